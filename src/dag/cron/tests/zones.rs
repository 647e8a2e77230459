//! Zones: names, and the days when clocks change.

use super::{at, local, zone};
use crate::dag::cron::{Moments, Zone};

#[test]
fn an_unknown_zone_gets_a_suggestion() {
    for (name, hint) in [
        ("europe/berlin", "`Europe/Berlin`"),
        ("Europe/Belrin", "`Europe/Berlin`"),
        ("Berlin", "`Europe/Berlin`"),
        ("new york", "`America/New_York`"),
        ("Kolkatta", "`Asia/Kolkata`"),
        ("utc", "`UTC`"),
        ("zzzzzzzzzzzz", "such as `Europe/Berlin`"),
        ("", "such as `Europe/Berlin`"),
    ] {
        let error = Zone::named(name).unwrap_err();
        assert!(error.hint().contains(hint), "{name}: {}", error.hint());
        assert_eq!(error.to_string(), format!("there is no time zone `{name}`"));
    }
    assert_eq!(zone("Etc/GMT+5").to_string(), "Etc/GMT+5");
    assert_eq!(zone("UTC"), Zone::UTC);
}

#[test]
fn a_local_time_comes_once_twice_or_is_skipped() {
    let once = |text| Moments::Once(at(text));
    let twice = |first, second| Moments::Twice {
        first: at(first),
        second: at(second),
    };
    let skipped = |text| Moments::Skipped { resumes: at(text) };
    for (name, time, moments) in [
        ("Europe/Berlin", "2026-03-29 01:59", once("2026-03-29T00:59:00Z")),
        (
            "Europe/Berlin",
            "2026-03-29 02:00",
            skipped("2026-03-29T01:00:00Z"),
        ),
        (
            "Europe/Berlin",
            "2026-03-29 02:59",
            skipped("2026-03-29T01:00:00Z"),
        ),
        ("Europe/Berlin", "2026-03-29 03:00", once("2026-03-29T01:00:00Z")),
        ("Europe/Berlin", "2026-10-25 01:59", once("2026-10-24T23:59:00Z")),
        (
            "Europe/Berlin",
            "2026-10-25 02:00",
            twice("2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
        ),
        (
            "Europe/Berlin",
            "2026-10-25 02:59",
            twice("2026-10-25T00:59:00Z", "2026-10-25T01:59:00Z"),
        ),
        ("Europe/Berlin", "2026-10-25 03:00", once("2026-10-25T02:00:00Z")),
        // Half an hour.
        (
            "Australia/Lord_Howe",
            "2026-10-04 02:15",
            skipped("2026-10-03T15:30:00Z"),
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-05 01:45",
            twice("2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"),
        ),
        // A whole day.
        (
            "Pacific/Apia",
            "2011-12-30 00:00",
            skipped("2011-12-30T10:00:00Z"),
        ),
        (
            "Pacific/Apia",
            "2011-12-30 23:59",
            skipped("2011-12-30T10:00:00Z"),
        ),
        ("Asia/Kolkata", "2026-03-29 02:30", once("2026-03-28T21:00:00Z")),
    ] {
        assert_eq!(zone(name).moments(local(time)), moments, "{time} in {name}");
    }
}

#[test]
fn the_clock_of_a_zone() {
    let berlin = zone("Europe/Berlin");
    assert_eq!(
        berlin.local(at("2026-07-01T10:00:59.999Z")),
        local("2026-07-01 12:00").with_second(59).unwrap()
    );
    assert_eq!(berlin.offset_sec(at("2026-07-01T10:00:00Z")), 7_200);
    assert_eq!(berlin.local(at("2026-07-01T10:00:00Z")).weekday(), "Wed");
    assert_eq!(local("2026-07-01 09:05").to_string(), "2026-07-01 09:05");
    // Until 1972 with seconds.
    assert_eq!(
        zone("Africa/Monrovia").offset_sec(at("1971-01-01T00:00:00Z")),
        -2_670
    );
    assert_eq!(
        zone("Africa/Monrovia").local(at("1971-01-01T00:00:00Z")),
        local("1970-12-31 23:15").with_second(30).unwrap()
    );
}

#[test]
fn seconds_are_shown_if_there_are_any() {
    let time = local("2026-07-01 09:05");
    assert_eq!(time.iso(), "2026-07-01T09:05:00");
    let later = time.with_second(7).unwrap();
    assert_eq!(
        (later.to_string(), later.iso()),
        ("2026-07-01 09:05:07".to_owned(), "2026-07-01T09:05:07".to_owned())
    );
    assert_eq!(time.with_second(60), None);
}
