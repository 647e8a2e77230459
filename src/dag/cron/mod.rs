//! Cron expressions and schedules: which local times they mean, and when those come in a time zone.
//!
//! An expression has five fields (minute, hour, day of month, month, day of week), each a list of values, ranges and
//! steps, behind an optional `TZ=ZONE` or `CRON_TZ=ZONE`. The parts, from the bottom up: `field` reads a field into a
//! set of numbers, [`Cron`] says which [`LocalTime`]s match, [`Zone`] says when a local time comes, and `activations`
//! puts both together into the instants at which the clock of the zone shows a matching time.
//!
//! On the days when a zone changes its offset these instants are not what people want: a local time that the clock
//! leaps over has none, one that the clock shows twice has two (W26). That is how the seed behaves, and what
//! [`Cron::after`] lists. The scheduler goes by [`Schedule`], which has a better rule for these days, and knows
//! seconds, words such as `@daily`, and single times besides: [`Schedule::next`] says when it [`Fire`]s.
//!
//! Pure: no clock, no files, no environment. The rules of the zones are compiled in ([`ZONE_RULES`]).

mod activations;
mod error;
mod field;
mod fires;
mod local;
mod once;
mod schedule;
#[cfg(test)]
mod tests;
mod zone;

use chrono::{Datelike, NaiveDate, Timelike};

pub use activations::Activation;
pub use error::CronError;
pub(in crate::dag) use error::shown;
pub use fires::{Dst, Fire};
pub use local::LocalTime;
pub use schedule::Schedule;
pub use zone::{Moments, ZONE_RULES, Zone, ZoneError};

use field::{FIELDS, Field, Set};

/// Last year of an activation.
const YEAR_MAX: i32 = 9_999;

/// Years in which every day that exists comes: a leap year can be eight years away, as from 2096 to 2104. Weekdays
/// cannot make it longer, because a day never has to match both a day of month and a weekday.
const YEARS_OF_ALL_DAYS: i32 = 8;

/// A valid expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cron {
    zone: Option<Zone>,
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
    /// Whether one of the two fields for days means all days, so that the other one decides alone. Else a day
    /// matches if either does.
    one_day_field: bool,
}

impl Cron {
    /// Reads an expression. Blanks around and between the fields do not count.
    ///
    /// # Errors
    /// All that is wrong with it, at least one, from left to right; of a field the first thing.
    pub fn parse(text: &str) -> Result<Self, Vec<CronError>> {
        let words = words(text);
        let (zone, fields, mut errors) = zone_before(&words);
        if let &[minutes, hours, days, months, weekdays] = fields {
            Self::of_fields(zone, [minutes, hours, days, months, weekdays], errors)
        } else {
            errors.push(error::not_five(fields, text));
            Err(errors)
        }
    }

    /// Reads the five fields; `errors` are those of what stands before them.
    fn of_fields(
        zone: Option<Zone>,
        [minutes, hours, days, months, weekdays]: [(u32, &str); 5],
        mut errors: Vec<CronError>,
    ) -> Result<Self, Vec<CronError>> {
        let mut read = |field: &Field, (column, word): (u32, &str)| {
            field
                .read(word, column)
                .map_err(|error| errors.push(error))
                .unwrap_or_default()
        };
        let [minute, hour, day, month, weekday] = &FIELDS;
        let (minutes, _) = read(minute, minutes);
        let (hours, _) = read(hour, hours);
        let (days, all_days) = read(day, days);
        let (months, _) = read(month, months);
        let (weekdays, all_weekdays) = read(weekday, weekdays);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            zone,
            minutes,
            hours,
            days,
            months,
            weekdays,
            one_day_field: all_days || all_weekdays,
        })
    }

    /// The zone that the expression names, if it does.
    #[must_use]
    pub const fn zone(&self) -> Option<Zone> {
        self.zone
    }

    /// Whether this local time is one that the expression means.
    #[must_use]
    pub fn matches(&self, local: LocalTime) -> bool {
        let at = local.naive();
        self.matches_day(at.date()) && self.hours.has(at.hour()) && self.minutes.has(at.minute())
    }

    /// The first matching local time after another one, as the calendar counts, whatever zone it is for. None if
    /// there is none until the year 9999, or never: 30 February.
    #[must_use]
    pub fn next_local(&self, after: LocalTime) -> Option<LocalTime> {
        let from = after.next_minute()?.naive();
        let today = from.date();
        if today.year() > YEAR_MAX {
            return None;
        }
        if self.matches_day(today)
            && let Some((hour, minute)) = self.time_from(from.hour(), from.minute())
        {
            return LocalTime::on(today, hour, minute);
        }
        let (hour, minute) = self.time_from(0, 0)?;
        let last_year = today.year().saturating_add(YEARS_OF_ALL_DAYS).min(YEAR_MAX);
        let mut date = today.succ_opt()?;
        while date.year() <= last_year {
            if self.matches_day(date) {
                return LocalTime::on(date, hour, minute);
            }
            date = if self.months.has(date.month()) {
                date.succ_opt()?
            } else {
                self.next_month(date)?
            };
        }
        None
    }

    /// Whether no local time ever matches, because none of the months has one of the days.
    #[must_use]
    pub fn never_matches(&self) -> bool {
        LocalTime::new(2000, 1, 1, 0, 0)
            .is_some_and(|any| !self.matches(any) && self.next_local(any).is_none())
    }

    fn matches_day(&self, date: NaiveDate) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().num_days_from_sunday());
        let matches = if self.one_day_field {
            day && weekday
        } else {
            day || weekday
        };
        matches && self.months.has(date.month())
    }

    /// The first matching hour and minute of a day, from these on.
    fn time_from(&self, hour: u32, minute: u32) -> Option<(u32, u32)> {
        if self.hours.has(hour)
            && let Some(minute) = self.minutes.first_from(minute)
        {
            return Some((hour, minute));
        }
        Some((self.hours.first_from(hour + 1)?, self.minutes.first_from(0)?))
    }

    /// The first day of the next month that matches.
    fn next_month(&self, date: NaiveDate) -> Option<NaiveDate> {
        match self.months.first_from(date.month() + 1) {
            Some(month) => NaiveDate::from_ymd_opt(date.year(), month, 1),
            None => NaiveDate::from_ymd_opt(date.year() + 1, self.months.first_from(1)?, 1),
        }
    }
}

/// The words of an expression, each with the column of its first character, from 1.
fn words(text: &str) -> Vec<(u32, &str)> {
    let mut found = Vec::new();
    let mut column: u32 = 1;
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        if !word.is_empty() {
            found.push((column, word));
        }
        column = column.saturating_add(u32::try_from(piece.chars().count()).unwrap_or(u32::MAX));
    }
    found
}

/// The zone that the first word names if it is `TZ=ZONE`, the words after it, and what is wrong with the zone.
fn zone_before<'w, 't>(words: &'w [(u32, &'t str)]) -> (Option<Zone>, &'w [(u32, &'t str)], Vec<CronError>) {
    let Some(((column, word), rest)) = words.split_first() else {
        return (None, words, Vec::new());
    };
    let Some((key, name)) = zone_prefix(word) else {
        return (None, words, Vec::new());
    };
    let at = column.saturating_add(u32::try_from(key.len()).unwrap_or(0));
    match Zone::named(name) {
        Ok(zone) => (Some(zone), rest, Vec::new()),
        Err(error) => (None, rest, vec![error.at(at)]),
    }
}

/// What stands before the name of a zone, and the name, if the word is that.
fn zone_prefix(word: &str) -> Option<(&'static str, &str)> {
    ["TZ=", "CRON_TZ="]
        .into_iter()
        .find_map(|key| Some((key, word.strip_prefix(key)?)))
}
