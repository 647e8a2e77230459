//! What `schedule:` of a DAG takes: an expression with or without seconds, a word such as `@daily`, or a single time.

use super::field::{SECOND, Set};
use super::{Cron, CronError, LocalTime, Zone, error, once, words, zone_before};
use crate::model::Time;

/// Hours of a day: an expression that names them all is an interval.
const HOURS: u32 = 24;

/// A compiled entry of `schedule:`. Small, and cheap to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Schedule(pub(super) Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Again and again.
    Calendar(Calendar),
    /// Once. `wanted` is the local time that was written, if it was one that the clock does not show just once.
    Once {
        at: Time,
        zone: Zone,
        wanted: Option<LocalTime>,
    },
}

/// An expression with the seconds at which it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Calendar {
    pub(super) cron: Cron,
    pub(super) seconds: Set,
    /// Whether it keeps its rhythm when the clock changes, instead of coming once for each local time.
    pub(super) interval: bool,
    /// Whether no day ever matches.
    pub(super) never: bool,
}

impl Schedule {
    /// Reads an expression: five fields, six with the seconds first, or one of the words `@hourly`, `@daily`,
    /// `@midnight`, `@weekly`, `@monthly`, `@yearly` and `@annually`; before them, if wanted, `TZ=ZONE` or
    /// `CRON_TZ=ZONE`.
    ///
    /// # Errors
    /// All that is wrong with it, at least one, from left to right; of a field the first thing.
    pub fn parse(text: &str) -> Result<Self, Vec<CronError>> {
        let words = words(text);
        let (zone, fields, mut errors) = zone_before(&words);
        let midnight = |day, month, weekday| [(1, "0"), (1, "0"), (1, day), (1, month), (1, weekday)];
        let (seconds, five) = match *fields {
            [(_, word)] if word.starts_with('@') => {
                let five = match word.to_ascii_lowercase().as_str() {
                    "@hourly" => [(1, "0"), (1, "*"), (1, "*"), (1, "*"), (1, "*")],
                    "@daily" | "@midnight" => midnight("*", "*", "*"),
                    "@weekly" => midnight("*", "*", "0"),
                    "@monthly" => midnight("1", "*", "*"),
                    "@yearly" | "@annually" => midnight("1", "1", "*"),
                    _ => {
                        errors.push(error::no_schedule(fields, text));
                        return Err(errors);
                    }
                };
                (None, five)
            }
            [minutes, hours, days, months, weekdays] => (None, [minutes, hours, days, months, weekdays]),
            [seconds, minutes, hours, days, months, weekdays] => {
                (Some(seconds), [minutes, hours, days, months, weekdays])
            }
            _ => {
                errors.push(error::no_schedule(fields, text));
                return Err(errors);
            }
        };
        let seconds = match seconds.map(|(column, word)| SECOND.read(word, column)) {
            None => Set::only(0),
            Some(Ok((seconds, _))) => seconds,
            Some(Err(error)) => {
                errors.push(error);
                Set::default()
            }
        };
        let cron = Cron::of_fields(zone, five, errors)?;
        Ok(Self(Kind::Calendar(Calendar {
            interval: cron.hours.is_all_below(HOURS),
            never: cron.never_matches(),
            cron,
            seconds,
        })))
    }

    /// A single time: RFC 3339, or `YYYY-MM-DD HH:MM` with or without `:SS` in this zone, or in one that is named
    /// before it with `TZ=ZONE` or `CRON_TZ=ZONE`. A local time that the clock leaps over comes at the end of the gap,
    /// one that it shows twice the first time.
    ///
    /// # Errors
    /// It is no such time, or no such zone; what is wrong, with its column.
    pub fn at(text: &str, zone: Zone) -> Result<Self, CronError> {
        once::read(text, zone).map(Self)
    }

    /// The zone that it names itself; that of a single time, too.
    #[must_use]
    pub const fn zone(&self) -> Option<Zone> {
        match &self.0 {
            Kind::Calendar(calendar) => calendar.cron.zone(),
            Kind::Once { zone, .. } => Some(*zone),
        }
    }

    /// Whether it never comes, because none of its months has one of its days.
    #[must_use]
    pub const fn never_comes(&self) -> bool {
        matches!(&self.0, Kind::Calendar(Calendar { never: true, .. }))
    }

    /// Whether it comes just once.
    #[must_use]
    pub const fn is_once(&self) -> bool {
        matches!(&self.0, Kind::Once { .. })
    }
}
