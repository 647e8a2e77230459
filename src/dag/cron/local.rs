//! Local times: what a clock on the wall shows, without a zone.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};
use std::fmt;

/// What the clock and calendar of some zone show, in whole seconds. Ordered as the calendar counts, which is not the
/// order of the instants when a clock is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTime(NaiveDateTime);

impl LocalTime {
    /// The local time with these numbers: month and day from 1, hour to 23, minute to 59. None if there is no such.
    #[must_use]
    pub fn new(year: i32, month: u32, day: u32, hour: u32, minute: u32) -> Option<Self> {
        Self::on(NaiveDate::from_ymd_opt(year, month, day)?, hour, minute)
    }

    /// The same minute with this second, 0 to 59. None if there is no such.
    #[must_use]
    pub fn with_second(self, second: u32) -> Option<Self> {
        self.0.with_second(second).map(Self)
    }

    pub(super) fn on(date: NaiveDate, hour: u32, minute: u32) -> Option<Self> {
        date.and_hms_opt(hour, minute, 0).map(Self)
    }

    /// What a clock shows that many seconds after it showed the Unix epoch. The epoch stands for what no calendar can
    /// represent.
    pub(super) fn from_secs(secs: i64) -> Self {
        Self(DateTime::from_timestamp(secs, 0).unwrap_or_default().naive_utc())
    }

    /// How many seconds it is since the clock showed the Unix epoch.
    pub(super) fn secs(self) -> i64 {
        self.0.and_utc().timestamp()
    }

    pub(super) const fn naive(self) -> NaiveDateTime {
        self.0
    }

    /// The whole minute after; none at the end of the calendar.
    pub(super) fn next_minute(self) -> Option<Self> {
        let minute = self.0.with_second(0)?;
        minute.checked_add_signed(chrono::TimeDelta::minutes(1)).map(Self)
    }

    /// The weekday: `Mon`, `Tue` and so on.
    #[must_use]
    pub fn weekday(self) -> String {
        self.0.weekday().to_string()
    }

    /// For programs: `2026-11-23T08:30:00`.
    #[must_use]
    pub fn iso(self) -> String {
        self.0.format("%Y-%m-%dT%H:%M:%S").to_string()
    }
}

impl fmt::Display for LocalTime {
    /// `2026-11-23 08:30`, with the seconds if there are any: `2026-11-23 08:30:15`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if self.0.second() == 0 {
            "%Y-%m-%d %H:%M"
        } else {
            "%Y-%m-%d %H:%M:%S"
        };
        write!(f, "{}", self.0.format(form))
    }
}
