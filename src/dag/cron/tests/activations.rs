//! Activations in zones, above all on the days when clocks change.

use super::{at, cron, zone};
use crate::dag::cron::{Cron, Moments, Zone};
use crate::model::Time;

fn next(text: &str, name: &str, from: &str, count: usize) -> Vec<String> {
    cron(text)
        .after(at(from), zone(name))
        .take(count)
        .map(|activation| activation.rfc3339())
        .collect()
}

#[test]
fn clocks_are_put_forward_and_back() {
    for (text, name, from, times) in [
        // 02:30 does not come on 29 March, and twice on 25 October.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-27T12:00:00Z",
            &["2026-03-28T02:30:00+01:00", "2026-03-30T02:30:00+02:00"][..],
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            &[
                "2026-10-25T02:30:00+02:00",
                "2026-10-25T02:30:00+01:00",
                "2026-10-26T02:30:00+01:00",
            ],
        ),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-25T00:00:00Z",
            &[
                "2026-10-25T02:30:00+02:00",
                "2026-10-25T02:00:00+01:00",
                "2026-10-25T02:30:00+01:00",
                "2026-10-25T03:00:00+01:00",
            ],
        ),
        (
            "0 * * * *",
            "America/New_York",
            "2026-03-08T05:30:00Z",
            &["2026-03-08T01:00:00-05:00", "2026-03-08T03:00:00-04:00"],
        ),
        // Only the second pass is left, and its local time is earlier than that of the start.
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T01:45:00-04:00",
            &["2026-11-01T01:30:00-05:00", "2026-11-02T01:30:00-05:00"],
        ),
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-02T12:00:00Z",
            &["2026-10-03T02:15:00+10:30", "2026-10-05T02:15:00+11:00"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T14:00:00Z",
            &[
                "2026-04-05T01:45:00+11:00",
                "2026-04-05T01:45:00+10:30",
                "2026-04-06T01:45:00+10:30",
            ],
        ),
        // Winter time is in Ramadan: back on 15 February, forward on 22 March 2026.
        (
            "30 2 * * *",
            "Africa/Casablanca",
            "2026-02-14T12:00:00Z",
            &[
                "2026-02-15T02:30:00+01:00",
                "2026-02-15T02:30:00Z",
                "2026-02-16T02:30:00Z",
            ],
        ),
        (
            "30 2 * * *",
            "Africa/Casablanca",
            "2026-03-21T12:00:00Z",
            &["2026-03-23T02:30:00+01:00"],
        ),
        (
            "30 2 * * *",
            "Asia/Kolkata",
            "2026-03-28T12:00:00Z",
            &["2026-03-29T02:30:00+05:30", "2026-03-30T02:30:00+05:30"],
        ),
        // The clock is put back over midnight, so that an hour of Saturday comes after one of Sunday would have.
        (
            "30 23 * * sat",
            "America/Sao_Paulo",
            "2018-02-17T12:00:00Z",
            &[
                "2018-02-17T23:30:00-02:00",
                "2018-02-17T23:30:00-03:00",
                "2018-02-24T23:30:00-03:00",
            ],
        ),
        // The zone left out 30 December.
        (
            "0 12 * * *",
            "Pacific/Apia",
            "2011-12-29T00:00:00Z",
            &["2011-12-29T12:00:00-10:00", "2011-12-31T12:00:00+14:00"],
        ),
    ] {
        assert_eq!(next(text, name, from, times.len()), times, "{text} in {name}");
    }
}

#[test]
fn the_zone_of_the_expression_comes_first() {
    assert_eq!(
        next(
            "TZ=Asia/Tokyo 0 9 * * *",
            "Europe/Berlin",
            "2026-01-01T00:00:00Z",
            1
        ),
        ["2026-01-02T09:00:00+09:00"]
    );
    assert_eq!(
        next("0 9 * * *", "UTC", "2026-01-01T09:00:00Z", 1),
        ["2026-01-02T09:00:00Z"]
    );
}

#[test]
fn an_activation_knows_its_local_time() {
    let activation = cron("0 9 * * *")
        .next(at("2026-07-01T00:00:00.5Z"), zone("Asia/Kolkata"))
        .unwrap();
    assert_eq!(activation.at, at("2026-07-01T03:30:00Z"));
    assert_eq!(activation.local.to_string(), "2026-07-01 09:00");
    assert_eq!(
        (activation.offset_sec, activation.offset().as_str()),
        (19_800, "+05:30")
    );
}

#[test]
fn fractions_of_a_second_count() {
    let every = cron("* * * * *");
    let next = |from| every.next(at(from), Zone::UTC).unwrap().at;
    assert_eq!(next("2026-01-01T00:00:00Z"), at("2026-01-01T00:01:00Z"));
    assert_eq!(next("2025-12-31T23:59:59.999999Z"), at("2026-01-01T00:00:00Z"));
    assert_eq!(next("2026-01-01T00:00:00.000001Z"), at("2026-01-01T00:01:00Z"));
}

#[test]
fn offsets_with_seconds_are_told_in_utc() {
    let activation = cron("0 12 * * *")
        .next(at("1971-01-01T00:00:00Z"), zone("Africa/Monrovia"))
        .unwrap();
    assert_eq!(activation.rfc3339(), "1971-01-01T12:44:30Z");
    assert_eq!(activation.offset(), "-00:44:30");
    assert_eq!(activation.local.to_string(), "1971-01-01 12:00");
}

#[test]
fn the_ends_of_time() {
    let every = cron("* * * * *");
    for name in ["UTC", "Pacific/Kiritimati", "Pacific/Niue"] {
        let first = every.next(Time(i64::MIN), zone(name)).unwrap();
        assert!(first.rfc3339().starts_with("0000-01-0"), "{}", first.rfc3339());
        let last = every
            .after(at("9999-12-30T00:00:00Z"), zone(name))
            .last()
            .unwrap();
        assert_eq!(last.local.to_string(), "9999-12-31 23:59");
        assert_eq!(every.next(Time(i64::MAX), zone(name)), None);
    }
    assert_eq!(cron("0 0 30 2 *").next(Time(0), Zone::UTC), None);
    assert_eq!(
        cron("0 0 29 2 *")
            .after(at("2000-01-01T00:00:00Z"), Zone::UTC)
            .count(),
        1_940
    );
}

/// Another rule for the days when clocks change, as a scheduler may want it: a local time that is skipped is due when
/// the clock has leapt over it, one that comes twice the first time only.
fn once_each(cron: &Cron, after: Time, zone: Zone) -> Option<Time> {
    let mut local = zone.local(after);
    loop {
        local = cron.next_local(local)?;
        let due = match zone.moments(local) {
            Moments::Once(at) => at,
            Moments::Twice { first, .. } => first,
            Moments::Skipped { resumes } => resumes,
        };
        if due > after {
            return Some(due);
        }
    }
}

#[test]
fn a_scheduler_can_run_each_local_time_once() {
    let berlin = zone("Europe/Berlin");
    for (text, from, times) in [
        (
            "30 2 * * *",
            "2026-03-28T12:00:00Z",
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        ),
        (
            "*/20 2 * * *",
            "2026-03-28T12:00:00Z",
            ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"],
        ),
        (
            "30 2 * * *",
            "2026-10-24T12:00:00Z",
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        ),
        (
            "30 2 * * *",
            "2026-10-25T01:10:00Z",
            ["2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"],
        ),
    ] {
        let mut last = at(from);
        for time in times {
            last = once_each(&cron(text), last, berlin).unwrap();
            assert_eq!(last, at(time), "{text} from {from}");
        }
    }
}
