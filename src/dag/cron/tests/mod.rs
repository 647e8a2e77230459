//! Tests of expressions, zones, activations and schedules.

mod activations;
mod calendar;
mod fires;
mod oracle;
mod parsing;
mod schedules;
mod year;
mod zones;

use super::{Cron, LocalTime, Schedule, Zone};
use crate::model::Time;

/// A valid expression.
fn cron(text: &str) -> Cron {
    Cron::parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

/// A valid schedule.
fn schedule(text: &str) -> Schedule {
    Schedule::parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

fn zone(name: &str) -> Zone {
    Zone::named(name).unwrap()
}

/// An instant in RFC 3339.
fn at(text: &str) -> Time {
    Time::from_rfc3339(text).unwrap_or_else(|| panic!("{text}"))
}

/// A local time like `2026-11-23 08:30`.
fn local(text: &str) -> LocalTime {
    let number = |from: usize, to: usize| text.get(from..to).unwrap().parse::<u32>().unwrap();
    LocalTime::new(
        text.get(..4).unwrap().parse().unwrap(),
        number(5, 7),
        number(8, 10),
        number(11, 13),
        number(14, 16),
    )
    .unwrap()
}
