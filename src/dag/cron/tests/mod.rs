//! Tests of expressions, zones and activations.

mod activations;
mod calendar;
mod oracle;
mod parsing;
mod zones;

use super::{Cron, LocalTime, Zone};
use crate::model::Time;

/// A valid expression.
fn cron(text: &str) -> Cron {
    Cron::parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
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
