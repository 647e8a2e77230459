//! Schedules: compiled expressions and one-off times, and when they fire.

use super::{Cron, CronError, LocalTime, Zone};
use crate::model::Time;

/// A compiled expression, or a one-off time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Cron);

/// When a schedule fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fire {
    /// The instant.
    pub at: Time,
    /// What the clock of the zone shows then.
    pub local: LocalTime,
    /// How many seconds that clock is ahead of UTC then.
    pub offset_sec: i32,
    /// What is unusual because the clock changes.
    pub dst: Dst,
}

/// What is unusual about a time because the clock changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dst {
    /// Nothing.
    Usual,
    /// The wanted local time is leapt over; it comes at the end of the gap.
    Moved {
        /// The local time that the expression means.
        wanted: LocalTime,
    },
    /// The clock shows it twice; this is the first time, and the second one does not count.
    First,
}

impl Schedule {
    /// Reads an expression.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<CronError>> {
        Cron::parse(text).map(Self)
    }

    /// The first time after an instant at which it fires.
    #[must_use]
    pub fn next(&self, after: Time, zone: Zone) -> Option<Fire> {
        self.0.next(after, zone).map(|activation| Fire {
            at: activation.at,
            local: activation.local,
            offset_sec: activation.offset_sec,
            dst: Dst::Usual,
        })
    }

    /// The last time before an instant at which it fires.
    #[must_use]
    pub fn previous(&self, before: Time, zone: Zone) -> Option<Fire> {
        let mut days = 1;
        while days < 12_000 {
            let from = Time::from_secs(before.secs() - days * 86_400);
            let mut last = None;
            let mut at = from;
            while let Some(fire) = self.next(at, zone).filter(|fire| fire.at < before) {
                at = fire.at;
                last = Some(fire);
            }
            if last.is_some() {
                return last;
            }
            days *= 4;
        }
        None
    }

    /// The zone that it names, if it does.
    #[must_use]
    pub const fn zone(&self) -> Option<Zone> {
        self.0.zone()
    }
}
