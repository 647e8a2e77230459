//! When schedules are due on the days when clocks change: five zones, both directions, and the ends of time.

use super::{at, schedule, zone};
use crate::dag::cron::Zone;
use crate::model::Time;

/// All fires after an instant and up to another one, as the clock of the zone shows them without the year, with what
/// the change of the clock has to do with each.
fn fires(text: &str, name: &str, (from, to): (&str, &str)) -> Vec<String> {
    schedule(text)
        .after(at(from), zone(name))
        .take_while(|fire| fire.at <= at(to))
        .map(|fire| {
            let time = fire.rfc3339();
            let dst = fire.dst.word().map(|word| format!(" {word}")).unwrap_or_default();
            format!("{}{dst}", time.get(5..).unwrap())
        })
        .collect()
}

type Case<'a> = (&'a str, &'a [&'a str]);

fn each(name: &str, window: (&str, &str), cases: &[Case<'_>]) {
    for (text, expected) in cases {
        assert_eq!(
            fires(text, name, window),
            *expected,
            "{text} in {name} from {}",
            window.0
        );
    }
}

#[test]
fn berlin_leaps_over_an_hour_of_the_night_and_shows_one_twice() {
    let spring = ("2026-03-29T00:15:00+01:00", "2026-03-29T04:15:00+02:00");
    each(
        "Europe/Berlin",
        spring,
        &[
            ("30 2 * * *", &["03-29T03:00:00+02:00 moved"]),
            // Several times in one gap are one fire, also if its end is one of the times.
            ("0,20,40 2 * * *", &["03-29T03:00:00+02:00 moved"]),
            ("0 2,3 * * *", &["03-29T03:00:00+02:00"]),
            (
                "30 2,3 * * *",
                &["03-29T03:00:00+02:00 moved", "03-29T03:30:00+02:00"],
            ),
            ("15 10 2 * * *", &["03-29T03:00:00+02:00 moved"]),
            ("* * 2 * * *", &["03-29T03:00:00+02:00 moved"]),
            ("30 2-22/2 * * *", &["03-29T03:00:00+02:00 moved"]),
            // An interval keeps its rhythm.
            (
                "30 * * * *",
                &[
                    "03-29T00:30:00+01:00",
                    "03-29T01:30:00+01:00",
                    "03-29T03:30:00+02:00",
                ],
            ),
            (
                "@hourly",
                &[
                    "03-29T01:00:00+01:00",
                    "03-29T03:00:00+02:00",
                    "03-29T04:00:00+02:00",
                ],
            ),
        ],
    );
    let autumn = ("2026-10-25T01:45:00+02:00", "2026-10-25T03:15:00+01:00");
    each(
        "Europe/Berlin",
        autumn,
        &[
            ("30 2 * * *", &["10-25T02:30:00+02:00 first"]),
            (
                "0,30 2 * * *",
                &["10-25T02:00:00+02:00 first", "10-25T02:30:00+02:00 first"],
            ),
            ("0 3 * * *", &["10-25T03:00:00+01:00"]),
            ("59 59 2 * * *", &["10-25T02:59:59+02:00 first"]),
            ("30 */2 * * *", &["10-25T02:30:00+02:00 first"]),
            ("30 * * * *", &["10-25T02:30:00+02:00", "10-25T02:30:00+01:00"]),
            (
                "0 */30 * * * *",
                &[
                    "10-25T02:00:00+02:00",
                    "10-25T02:30:00+02:00",
                    "10-25T02:00:00+01:00",
                    "10-25T02:30:00+01:00",
                    "10-25T03:00:00+01:00",
                ],
            ),
        ],
    );
    // Whoever asks while the clock shows the hour again has had all of its fixed times.
    let again = ("2026-10-25T02:10:00+01:00", "2026-10-25T12:00:00+01:00");
    each(
        "Europe/Berlin",
        again,
        &[("30 2 * * *", &[]), ("* * 2 * * *", &[])],
    );
}

#[test]
fn new_york_goes_the_same_way_at_its_own_time() {
    each(
        "America/New_York",
        ("2026-03-08T00:30:00-05:00", "2026-03-08T04:00:00-04:00"),
        &[
            ("15 2 * * sun", &["03-08T03:00:00-04:00 moved"]),
            ("0 1-3 * * *", &["03-08T01:00:00-05:00", "03-08T03:00:00-04:00"]),
            (
                "15 1-3 * * *",
                &[
                    "03-08T01:15:00-05:00",
                    "03-08T03:00:00-04:00 moved",
                    "03-08T03:15:00-04:00",
                ],
            ),
            (
                "0 */45 * * * *",
                &[
                    "03-08T00:45:00-05:00",
                    "03-08T01:00:00-05:00",
                    "03-08T01:45:00-05:00",
                    "03-08T03:00:00-04:00",
                    "03-08T03:45:00-04:00",
                    "03-08T04:00:00-04:00",
                ],
            ),
        ],
    );
    each(
        "America/New_York",
        ("2026-11-01T00:30:00-04:00", "2026-11-01T02:30:00-05:00"),
        &[
            ("15 1 * * *", &["11-01T01:15:00-04:00 first"]),
            (
                "15 1,2 * * *",
                &["11-01T01:15:00-04:00 first", "11-01T02:15:00-05:00"],
            ),
            (
                "15 * * * *",
                &[
                    "11-01T01:15:00-04:00",
                    "11-01T01:15:00-05:00",
                    "11-01T02:15:00-05:00",
                ],
            ),
        ],
    );
}

#[test]
fn lord_howe_moves_by_half_an_hour() {
    each(
        "Australia/Lord_Howe",
        ("2026-10-04T01:50:00+10:30", "2026-10-04T03:45:00+11:00"),
        &[
            ("15 2 * * *", &["10-04T02:30:00+11:00 moved"]),
            ("0,10,20 2 * * *", &["10-04T02:30:00+11:00 moved"]),
            ("*/15 2 * * *", &["10-04T02:30:00+11:00", "10-04T02:45:00+11:00"]),
            ("45 2 * * *", &["10-04T02:45:00+11:00"]),
            ("15 * * * *", &["10-04T03:15:00+11:00"]),
            ("45 * * * *", &["10-04T02:45:00+11:00", "10-04T03:45:00+11:00"]),
        ],
    );
    each(
        "Australia/Lord_Howe",
        ("2026-04-05T01:20:00+11:00", "2026-04-05T02:10:00+10:30"),
        &[
            ("45 1 * * *", &["04-05T01:45:00+11:00 first"]),
            ("25 1 * * *", &["04-05T01:25:00+11:00"]),
            (
                "*/15 1 * * *",
                &["04-05T01:30:00+11:00 first", "04-05T01:45:00+11:00 first"],
            ),
            ("45 * * * *", &["04-05T01:45:00+11:00", "04-05T01:45:00+10:30"]),
        ],
    );
}

#[test]
fn in_santiago_and_beirut_the_change_is_at_midnight() {
    each(
        "America/Santiago",
        ("2026-09-05T22:30:00-04:00", "2026-09-06T02:00:00-03:00"),
        &[
            ("@daily", &["09-06T01:00:00-03:00 moved"]),
            ("30 0 * * sun", &["09-06T01:00:00-03:00 moved"]),
            ("0 0,1 * * *", &["09-06T01:00:00-03:00"]),
            // Saturday is over when the clock leaps.
            ("30 0 * * sat", &[]),
            (
                "0 * * * *",
                &[
                    "09-05T23:00:00-04:00",
                    "09-06T01:00:00-03:00",
                    "09-06T02:00:00-03:00",
                ],
            ),
        ],
    );
    each(
        "America/Santiago",
        ("2026-04-04T22:30:00-03:00", "2026-04-05T00:30:00-04:00"),
        &[
            ("30 23 * * sat", &["04-04T23:30:00-03:00 first"]),
            ("@daily", &["04-05T00:00:00-04:00"]),
            (
                "30 * * * *",
                &[
                    "04-04T23:30:00-03:00",
                    "04-04T23:30:00-04:00",
                    "04-05T00:30:00-04:00",
                ],
            ),
        ],
    );
    each(
        "Asia/Beirut",
        ("2026-03-28T23:30:00+02:00", "2026-03-29T01:30:00+03:00"),
        &[
            ("0 0 29 3 *", &["03-29T01:00:00+03:00 moved"]),
            ("@monthly", &[]),
            ("59 59 0 * * *", &["03-29T01:00:00+03:00 moved"]),
            ("30 1 * * *", &["03-29T01:30:00+03:00"]),
        ],
    );
    each(
        "Asia/Beirut",
        ("2026-10-24T22:30:00+03:00", "2026-10-25T00:00:00+02:00"),
        &[
            ("15 23 * * *", &["10-24T23:15:00+03:00 first"]),
            ("@daily", &["10-25T00:00:00+02:00"]),
            ("15 * * * *", &["10-24T23:15:00+03:00", "10-24T23:15:00+02:00"]),
        ],
    );
}

#[test]
fn kolkata_never_changes() {
    for day in ["2026-03-29", "2026-10-25"] {
        let window = (
            &*format!("{day}T01:45:00+05:30"),
            &*format!("{day}T03:15:00+05:30"),
        );
        let of = |time: &str| format!("{}T{time}+05:30", day.get(5..).unwrap());
        assert_eq!(fires("30 2 * * *", "Asia/Kolkata", window), [of("02:30:00")]);
        assert_eq!(
            fires("0,30 2,3 * * *", "Asia/Kolkata", window),
            [of("02:00:00"), of("02:30:00"), of("03:00:00")]
        );
        assert_eq!(
            fires("@hourly", "Asia/Kolkata", window),
            [of("02:00:00"), of("03:00:00")]
        );
        assert_eq!(fires("5 30 2 * * *", "Asia/Kolkata", window), [of("02:30:05")]);
    }
}

#[test]
fn a_day_that_a_zone_leaves_out_comes_at_its_end() {
    let window = ("2011-12-29T12:00:00-10:00", "2011-12-31T12:00:00+14:00");
    each(
        "Pacific/Apia",
        window,
        &[
            (
                "0 13 * * *",
                &["12-29T13:00:00-10:00", "12-31T00:00:00+14:00 moved"],
            ),
            ("@daily", &["12-31T00:00:00+14:00"]),
            ("0 * 30 12 *", &[]),
        ],
    );
}

#[test]
fn fires_are_strictly_after_and_before() {
    let nine = schedule("0 9 * * *");
    let next = |from| nine.next(at(from), Zone::UTC).unwrap().rfc3339();
    let previous = |from| nine.previous(at(from), Zone::UTC).unwrap().rfc3339();
    assert_eq!(next("2026-01-01T08:59:59.999999Z"), "2026-01-01T09:00:00Z");
    assert_eq!(next("2026-01-01T09:00:00Z"), "2026-01-02T09:00:00Z");
    assert_eq!(previous("2026-01-01T09:00:00Z"), "2025-12-31T09:00:00Z");
    assert_eq!(previous("2026-01-01T09:00:00.000001Z"), "2026-01-01T09:00:00Z");
    let every = schedule("* * * * * *");
    assert_eq!(
        every.previous(at("2026-01-01T00:00:00Z"), Zone::UTC).unwrap().at,
        at("2025-12-31T23:59:59Z")
    );
    let leap = schedule("0 0 29 2 *");
    assert_eq!(
        leap.previous(at("2104-02-29T00:00:00Z"), Zone::UTC).unwrap().at,
        at("2096-02-29T00:00:00Z")
    );
}

#[test]
fn the_ends_of_time() {
    for text in ["* * * * * *", "@daily", "0 0 29 2 *", "0 0 1 1 *"] {
        let schedule = schedule(text);
        for name in ["UTC", "Pacific/Kiritimati", "Pacific/Niue"] {
            let zone = zone(name);
            let first = schedule.next(Time(i64::MIN), zone).unwrap();
            assert_eq!(schedule.previous(first.at, zone), None, "{text} in {name}");
            let last = schedule.previous(Time(i64::MAX), zone).unwrap();
            assert_eq!(schedule.next(last.at, zone), None, "{text} in {name}");
            assert_eq!(schedule.next(Time(i64::MAX), zone), None);
            assert_eq!(schedule.previous(Time(i64::MIN), zone), None);
        }
    }
    let never = schedule("0 0 0 30 2 *");
    assert_eq!(never.next(Time(0), Zone::UTC), None);
    assert_eq!(never.previous(Time(0), Zone::UTC), None);
}
