//! Activations against an oracle that looks at the clock every minute, and has the fields as lists of numbers.

use chrono::{DateTime, Datelike, TimeZone, Timelike};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::{Cron, Schedule, Zone, cron, zone};
use crate::model::Time;

/// A field as text, its numbers, and whether it means all.
pub(super) type Numbers = (String, Vec<u32>, bool);

pub(super) fn field(least: u32, most: u32) -> impl Strategy<Value = Numbers> {
    let all = Just(("*".to_owned(), (least..=most).collect(), true));
    let step = (2..=most / 2).prop_map(move |step| {
        let numbers = (least..=most).filter(|n| (n - least).is_multiple_of(step));
        (format!("*/{step}"), numbers.collect(), false)
    });
    let range = (least..=most, least..=most, 1_u32..4).prop_map(|(one, other, step)| {
        let (first, last) = (one.min(other), one.max(other));
        let numbers = (first..=last).filter(|n| (n - first).is_multiple_of(step));
        (format!("{first}-{last}/{step}"), numbers.collect(), false)
    });
    let list = proptest::collection::vec(least..=most, 1..4).prop_map(|numbers| {
        let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        (words.join(","), numbers, false)
    });
    prop_oneof![2 => all, 1 => step, 1 => range, 2 => list]
}

/// Zones, each with instants near which their clocks change.
const CHANGES: [(Tz, &[&str]); 11] = [
    (
        Tz::Europe__Berlin,
        &["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"],
    ),
    (
        Tz::America__New_York,
        &["2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"],
    ),
    (
        Tz::Australia__Lord_Howe,
        &["2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"],
    ),
    (
        Tz::Africa__Casablanca,
        &["2026-02-15T02:00:00Z", "2026-03-22T02:00:00Z"],
    ),
    (Tz::Asia__Kolkata, &["2026-03-29T01:00:00Z"]),
    (Tz::UTC, &["2026-12-31T23:59:59Z"]),
    (
        Tz::America__Havana,
        &["2026-03-08T05:00:00Z", "2026-11-01T05:00:00Z"],
    ),
    (
        Tz::America__Sao_Paulo,
        &["2018-02-18T02:00:00Z", "2018-11-04T03:00:00Z"],
    ),
    (Tz::Pacific__Apia, &["2011-12-30T10:00:00Z"]),
    (
        Tz::Pacific__Kwajalein,
        &["1969-09-30T13:00:00Z", "1993-08-21T12:00:00Z"],
    ),
    (
        Tz::Antarctica__Troll,
        &["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"],
    ),
];

pub(super) fn place() -> impl Strategy<Value = (Tz, i64)> {
    let spread = -60 * 3_600..60 * 3_600_i64;
    (0..CHANGES.len(), any::<prop::sample::Index>(), spread).prop_map(|(zone, which, away)| {
        let (zone, changes) = CHANGES[zone];
        let change = Time::from_rfc3339(changes[which.index(changes.len())]).unwrap();
        (zone, change.secs() + away)
    })
}

/// How long the oracle looks, in minutes.
const WINDOW: i64 = 4 * 24 * 60;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn every_minute_of_the_clock_is_seen(
        minute in field(0, 59),
        hour in field(0, 23),
        day in field(1, 31),
        month in field(1, 12),
        weekday in field(0, 6),
        (tz, from) in place(),
    ) {
        let text = format!("{} {} {} {} {}", minute.0, hour.0, day.0, month.0, weekday.0);
        let first = from.div_euclid(60) + 1;
        let expected: Vec<i64> = (first..first + WINDOW)
            .map(|at| at * 60)
            .filter(|at| {
                let shown = tz.from_utc_datetime(&DateTime::from_timestamp(*at, 0).unwrap().naive_utc());
                let on_day = day.1.contains(&shown.day());
                let on_weekday = weekday.1.contains(&shown.weekday().num_days_from_sunday());
                let today = if day.2 || weekday.2 { on_day && on_weekday } else { on_day || on_weekday };
                today
                    && month.1.contains(&shown.month())
                    && hour.1.contains(&shown.hour())
                    && minute.1.contains(&shown.minute())
            })
            .collect();
        let found: Vec<i64> = cron(&text)
            .after(Time::from_secs(from), zone(tz.name()))
            .map(|activation| activation.at.secs())
            .take_while(|at| *at < (first + WINDOW) * 60)
            .collect();
        prop_assert_eq!(found, expected, "{} in {} from {}", text, tz.name(), from);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}|[-0-9*/?, a-zLW#@=]{0,30}") {
        let refused = [
            Cron::parse(&text).err(),
            Schedule::parse(&text).err(),
            Schedule::at(&text, Zone::UTC).err().map(|error| vec![error]),
        ];
        for errors in refused.into_iter().flatten() {
            let length = u32::try_from(text.chars().count()).unwrap();
            prop_assert!(!errors.is_empty());
            for error in errors {
                prop_assert!((1..=length + 1).contains(&error.column), "{:?}", error);
                prop_assert!(!error.message.is_empty() && !error.hint.is_empty());
            }
        }
    }
}
