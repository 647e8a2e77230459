//! Activations: the instants at which the clock of a zone shows a local time that the expression means.

use super::zone::{REPETITION_MAX, offset_text, rfc3339};
use super::{Cron, LocalTime, Moments, Zone};
use crate::model::Time;

/// 2 January of the year 0, so that no local time has a year that RFC 3339 cannot write.
pub(super) const EARLIEST: Time = Time::from_secs(-62_167_132_800);
/// 2 January of the year 10000, when the last year is over in every zone.
pub(super) const LATEST: Time = Time::from_secs(253_402_387_200);

/// An instant at which the expression is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation {
    /// The instant, a whole second.
    pub at: Time,
    /// What the clock shows then.
    pub local: LocalTime,
    /// How many seconds the clock is ahead of UTC then; negative if it is behind.
    pub offset_sec: i32,
}

impl Activation {
    fn of(zone: Zone, at: Time) -> Self {
        Self {
            at,
            local: zone.local(at),
            offset_sec: zone.offset_sec(at),
        }
    }

    /// RFC 3339 in whole seconds with the zone's offset, `Z` if that is zero. In UTC for the offsets of distant times
    /// that are no whole minutes, because the form cannot write them.
    #[must_use]
    pub fn rfc3339(&self) -> String {
        rfc3339(self.at, self.offset_sec)
    }

    /// The offset: `+02:00`, and with seconds for the offsets of distant times.
    #[must_use]
    pub fn offset(&self) -> String {
        offset_text(self.offset_sec)
    }
}

impl Cron {
    /// The first activation after an instant, in the zone that the expression names or else in this one. A local time
    /// that the clock leaps over has none, one that it shows twice has two. None after the year 9999.
    #[must_use]
    pub fn next(&self, after: Time, zone: Zone) -> Option<Activation> {
        let zone = self.zone().unwrap_or(zone);
        let after = after.max(EARLIEST);
        if after >= LATEST {
            return None;
        }
        let ahead = self.ahead(after, zone);
        let again = self.again(after, zone);
        let at = match (ahead, again) {
            (Some(ahead), Some(again)) => ahead.min(again),
            (ahead, again) => ahead.or(again)?,
        };
        Some(Activation::of(zone, at))
    }

    /// All activations after an instant, ascending. Each costs about as much as the first one.
    pub fn after(&self, from: Time, zone: Zone) -> impl Iterator<Item = Activation> + '_ {
        let mut last = from;
        std::iter::from_fn(move || {
            let next = self.next(last, zone)?;
            last = next.at;
            Some(next)
        })
    }

    /// The first activation whose local time is later than the one at `after`.
    fn ahead(&self, after: Time, zone: Zone) -> Option<Time> {
        let mut local = zone.local(after);
        loop {
            local = self.next_local(local)?;
            let at = match zone.moments(local) {
                Moments::Once(at) => at,
                Moments::Twice { first, second } => {
                    if first > after {
                        first
                    } else {
                        second
                    }
                }
                Moments::Skipped { .. } => continue,
            };
            if at > after {
                return Some(at);
            }
        }
    }

    /// The first activation after the clock is put back, if that is about to happen. Its local time may be earlier
    /// than the one at `after`, because the clock shows it for the second time.
    fn again(&self, after: Time, zone: Zone) -> Option<Time> {
        let soon = after.secs() + REPETITION_MAX;
        let offset = zone.offset_sec(Time::from_secs(soon));
        if offset >= zone.offset_sec(after) {
            return None;
        }
        let put_back = zone.change(after.secs(), soon).secs() + i64::from(offset);
        let local = self.next_local(LocalTime::from_secs(put_back - 1))?;
        let at = Time::from_secs(local.secs() - i64::from(offset));
        (zone.offset_sec(at) == offset).then_some(at)
    }
}
