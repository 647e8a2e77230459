//! Local times: what a clock on the wall shows, without a zone.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};
use std::fmt;

/// What the clock and calendar of some zone show, in whole minutes. Ordered as the calendar counts, which is not the
/// order of the instants when a clock is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTime(NaiveDateTime);

impl LocalTime {
    /// The local time with these numbers: month and day from 1, hour to 23, minute to 59. None if there is no such.
    #[must_use]
    pub fn new(year: i32, month: u32, day: u32, hour: u32, minute: u32) -> Option<Self> {
        Self::on(NaiveDate::from_ymd_opt(year, month, day)?, hour, minute)
    }

    pub(super) fn on(date: NaiveDate, hour: u32, minute: u32) -> Option<Self> {
        date.and_hms_opt(hour, minute, 0).map(Self)
    }

    /// What a clock shows that many seconds after it showed the Unix epoch, rounded down to the minute. The epoch
    /// stands for what no calendar can represent.
    pub(super) fn from_secs(secs: i64) -> Self {
        let minute = secs.div_euclid(60).saturating_mul(60);
        Self(
            DateTime::from_timestamp(minute, 0)
                .unwrap_or_default()
                .naive_utc(),
        )
    }

    /// How many seconds it is since the clock showed the Unix epoch.
    pub(super) fn secs(self) -> i64 {
        self.0.and_utc().timestamp()
    }

    pub(super) const fn naive(self) -> NaiveDateTime {
        self.0
    }

    /// The minute after; none at the end of the calendar.
    pub(super) fn next_minute(self) -> Option<Self> {
        self.0.checked_add_signed(chrono::TimeDelta::minutes(1)).map(Self)
    }

    /// The weekday: `Mon`, `Tue` and so on.
    #[must_use]
    pub fn weekday(self) -> String {
        self.0.weekday().to_string()
    }
}

impl fmt::Display for LocalTime {
    /// `2026-11-23 08:30`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d %H:%M"))
    }
}
