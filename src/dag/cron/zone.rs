//! Time zones: the local time at an instant, and the instants at which a local time comes.

use chrono::{DateTime, MappedLocalTime, Offset, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::{CronError, LocalTime, error};
use crate::dag::diag::closest;
use crate::model::Time;

/// Release of the IANA time zone database that is compiled in. It knows changes of the clock until the end of 2099;
/// thereafter each zone keeps the offset it has then.
pub const ZONE_RULES: &str = chrono_tz::IANA_TZDB_VERSION;

/// No zone is further from UTC, in seconds: the widest offset of all times is 15:56 h.
const OFFSET_MAX: i64 = 16 * 3_600;

/// No clock was ever put back by more, in seconds: 24 h, in Alaska in 1867. Between two changes of a zone there are
/// always some days, so within this time there is at most one.
pub(super) const REPETITION_MAX: i64 = 25 * 3_600;

/// A time zone of the IANA database, such as `Europe/Berlin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(Tz);

/// There is no such zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone {}", error::shown(.name))]
pub struct ZoneError {
    name: String,
    hint: String,
}

/// When a local time comes in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moments {
    /// At one instant, as nearly always.
    Once(Time),
    /// At two: the clock is put back and shows the time again.
    Twice {
        /// Before the clock is put back.
        first: Time,
        /// After it was.
        second: Time,
    },
    /// Not at all: the clock is put forward and leaps over the time.
    Skipped {
        /// When it leaps: the first instant after the gap.
        resumes: Time,
    },
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(Tz::UTC);

    /// The zone with this name, written exactly as the database does.
    ///
    /// # Errors
    /// There is none; the hint suggests what may be meant.
    pub fn named(name: &str) -> Result<Self, ZoneError> {
        name.parse().map(Self).map_err(|_| ZoneError {
            name: name.to_owned(),
            hint: suggestion(name),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// How many seconds its clocks are ahead of UTC at an instant; negative if they are behind.
    #[must_use]
    pub fn offset_sec(self, at: Time) -> i32 {
        let utc = at.utc().naive_utc();
        self.0.offset_from_utc_datetime(&utc).fix().local_minus_utc()
    }

    /// What its clocks show at an instant, rounded down to the second.
    #[must_use]
    pub fn local(self, at: Time) -> LocalTime {
        LocalTime::from_secs(at.secs().saturating_add(self.offset_sec(at).into()))
    }

    /// When its clocks show a local time.
    #[must_use]
    pub fn moments(self, local: LocalTime) -> Moments {
        let with = |offset: i32| Time::from_secs(local.secs().saturating_sub(offset.into()));
        match self
            .0
            .offset_from_local_datetime(&local.naive())
            .map(|offset| with(offset.fix().local_minus_utc()))
        {
            MappedLocalTime::Single(at) => Moments::Once(at),
            MappedLocalTime::Ambiguous(one, other) => Moments::Twice {
                first: one.min(other),
                second: one.max(other),
            },
            MappedLocalTime::None => Moments::Skipped {
                resumes: self.change(local.secs() - OFFSET_MAX, local.secs() + OFFSET_MAX),
            },
        }
    }

    /// The instant at which the offset changes: after `from`, where it has one value, and at the latest at `to`,
    /// where it has another; both in seconds since the Unix epoch.
    pub(super) fn change(self, from: i64, to: i64) -> Time {
        let before = self.offset_sec(Time::from_secs(from));
        let (mut same, mut changed) = (from, to);
        while changed - same > 1 {
            let middle = same + (changed - same) / 2;
            if self.offset_sec(Time::from_secs(middle)) == before {
                same = middle;
            } else {
                changed = middle;
            }
        }
        Time::from_secs(changed)
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl ZoneError {
    /// What cures it.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// The same as an error of an expression.
    pub(super) fn at(self, column: u32) -> CronError {
        CronError::new(column, self.to_string(), self.hint)
    }
}

/// What may be meant by a name that no zone has: the same in other case, the zone of that place, one that is spelt
/// like it, or one of a place that is.
fn suggestion(name: &str) -> String {
    let names = || TZ_VARIANTS.iter().map(|zone| zone.name());
    let place = |zone: &'static str| zone.rsplit('/').next().unwrap_or(zone);
    let zone_of = |meant: &str| names().find(|zone| place(zone).eq_ignore_ascii_case(meant));
    let found = names()
        .find(|zone| zone.eq_ignore_ascii_case(name))
        .or_else(|| zone_of(&name.replace(' ', "_")))
        .or_else(|| closest(name, names()))
        .or_else(|| zone_of(closest(name, names().map(place))?));
    match found {
        Some(zone) => format!("did you mean `{zone}`?"),
        None => "write a name of the IANA time zone database, such as `Europe/Berlin` or `UTC`".to_owned(),
    }
}

/// RFC 3339 with the offset; in UTC if the offset has seconds, which that form cannot write.
pub(super) fn rfc3339(at: Time, offset_sec: i32) -> String {
    let offset = chrono::FixedOffset::east_opt(offset_sec).filter(|_| offset_sec % 60 == 0);
    let utc: DateTime<chrono::Utc> = at.utc();
    let form = chrono::SecondsFormat::Secs;
    match offset {
        Some(offset) => utc.with_timezone(&offset).to_rfc3339_opts(form, true),
        None => utc.to_rfc3339_opts(form, true),
    }
}

/// An offset as RFC 3339 writes it, with seconds if it has some: `+02:00`, `-00:44:30`.
pub(super) fn offset_text(offset_sec: i32) -> String {
    chrono::FixedOffset::east_opt(offset_sec)
        .map(|offset| offset.to_string())
        .unwrap_or_default()
}
