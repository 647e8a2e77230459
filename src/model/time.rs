//! Points in time. Wall clock and boot clock are different types, so that they cannot be mixed up.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// A point of the wall clock: microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// The time that many whole seconds after the Unix epoch.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// As a calendar value. A time that `chrono` cannot represent becomes the epoch.
    #[must_use]
    pub fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    /// RFC 3339 in UTC with milliseconds, as logs and JSON answers show it.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.utc().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// The time that an RFC 3339 text means, rounded down to the microsecond; none if it is no such text.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let at = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Self(at.timestamp_micros()))
    }

    /// `YYYYMMDD_HHMMSSZ`, the stamp in proc entry names (seed-spec 1.3).
    #[must_use]
    pub fn compact(self) -> String {
        self.utc().format("%Y%m%d_%H%M%SZ").to_string()
    }

    /// `YYYY-MM-DD` in UTC, the directory of a day's attempts.
    #[must_use]
    pub fn day(self) -> String {
        self.utc().format("%Y-%m-%d").to_string()
    }
}

/// A point of the boot clock (`CLOCK_BOOTTIME`): microseconds since boot. It goes on during suspend and never
/// steps, so every deadline inside one boot is armed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Boot(pub u64);

impl Boot {
    /// The point `secs` later. Negative and non-finite values count as zero; the sum saturates.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value was checked to be finite and not negative, and `as` saturates at the top"
    )]
    pub fn after_secs(self, secs: f64) -> Self {
        let micros = if secs.is_finite() && secs > 0.0 {
            (secs * 1e6) as u64
        } else {
            0
        };
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this point; zero if it is not earlier.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Both clocks, read together. Engines get it as an argument and never read a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Wall clock.
    pub wall: Time,
    /// Boot clock.
    pub boot: Boot,
}
