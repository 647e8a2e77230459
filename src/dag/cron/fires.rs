//! When a schedule is due, also on the days when the clock changes (W26).
//!
//! An expression whose hours are all hours is an interval: it is due whenever the clock shows a matching time, so its
//! rhythm goes on, and it comes both times in autumn. Every other one means fixed times, each once: what the clock
//! leaps over comes when it has leapt, all of one gap together, and what it shows twice comes the first time.

use super::activations::{EARLIEST, LATEST};
use super::schedule::{Calendar, Kind};
use super::zone::{REPETITION_MAX, offset_text, rfc3339};
use super::{LocalTime, Moments, Schedule, Zone};
use crate::model::Time;

/// An instant at which a schedule is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fire {
    /// The instant, a whole second.
    pub at: Time,
    /// What the clock shows then.
    pub local: LocalTime,
    /// How many seconds the clock is ahead of UTC then; negative if it is behind.
    pub offset_sec: i32,
    /// What a change of the clock has to do with it.
    pub dst: Dst,
}

/// What a change of the clock has to do with a fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dst {
    /// Nothing.
    Usual,
    /// The clock leaps over the local time; it comes at the end of the gap.
    Moved {
        /// The local time that there is not; of several in one gap the first.
        wanted: LocalTime,
    },
    /// The clock shows the local time twice; this is the first one, and the second does not count.
    First,
}

impl Fire {
    fn new(zone: Zone, at: Time, dst: Dst) -> Self {
        Self {
            at,
            local: zone.local(at),
            offset_sec: zone.offset_sec(at),
            dst,
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

impl Dst {
    /// For programs: `moved`, `first`, or none.
    #[must_use]
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Usual => None,
            Self::Moved { .. } => Some("moved"),
            Self::First => Some("first"),
        }
    }
}

impl Schedule {
    /// The first time it is due after an instant, in the zone that it names or else in this one. None if it never is
    /// again; there is nothing after the year 9999.
    #[must_use]
    pub fn next(&self, after: Time, zone: Zone) -> Option<Fire> {
        let zone = self.zone().unwrap_or(zone);
        match &self.0 {
            Kind::Once { at, wanted, .. } => (*at > after).then(|| once(*at, *wanted, zone)),
            Kind::Calendar(calendar) => {
                let after = after.max(EARLIEST);
                if calendar.never || after >= LATEST {
                    None
                } else if calendar.interval {
                    calendar.next_shown(after, zone)
                } else {
                    calendar.next_meant(after, zone)
                }
            }
        }
    }

    /// The last time it was due before an instant, in the zone that it names or else in this one. None if it never
    /// was; there is nothing before the year 0.
    #[must_use]
    pub fn previous(&self, before: Time, zone: Zone) -> Option<Fire> {
        if let Kind::Once { at, wanted, .. } = &self.0 {
            let zone = self.zone().unwrap_or(zone);
            return (*at < before).then(|| once(*at, *wanted, zone));
        }
        if self.never_comes() {
            return None;
        }
        // The first instant that has no fire between itself and the end; what was found just before it is the last.
        // Whole seconds suffice, since every fire is one.
        let before = before.min(LATEST);
        let due = |from: i64| {
            self.next(Time::from_secs(from), zone)
                .filter(|fire| fire.at < before)
        };
        let mut none = before.secs();
        let mut back: i64 = 1;
        let mut found = loop {
            let from = none.saturating_sub(back).max(EARLIEST.secs());
            match due(from) {
                Some(fire) => break fire,
                None if from <= EARLIEST.secs() => return None,
                None => none = from,
            }
            back = back.saturating_mul(2);
        };
        while none - found.at.secs() > 1 {
            let middle = found.at.secs() + (none - found.at.secs()) / 2;
            match due(middle) {
                Some(fire) => found = fire,
                None => none = middle,
            }
        }
        Some(due(found.at.secs()).unwrap_or(found))
    }

    /// All times it is due after an instant, ascending. Each costs about as much as the first one.
    pub fn after(&self, from: Time, zone: Zone) -> impl Iterator<Item = Fire> + '_ {
        let mut last = from;
        std::iter::from_fn(move || {
            let next = self.next(last, zone)?;
            last = next.at;
            Some(next)
        })
    }
}

fn once(at: Time, wanted: Option<LocalTime>, zone: Zone) -> Fire {
    let dst = match wanted {
        None => Dst::Usual,
        Some(wanted) if zone.local(at) == wanted => Dst::First,
        Some(wanted) => Dst::Moved { wanted },
    };
    Fire::new(zone, at, dst)
}

impl Calendar {
    /// The first local time after another one that matches, as the calendar counts.
    fn next_local(&self, after: LocalTime) -> Option<LocalTime> {
        let second = u32::try_from(after.secs().rem_euclid(60)).unwrap_or(0);
        if let Some(second) = self.seconds.first_from(second + 1)
            && self.cron.matches(after)
        {
            return after.with_second(second);
        }
        self.cron
            .next_local(after)?
            .with_second(self.seconds.first_from(0)?)
    }

    fn matches(&self, local: LocalTime) -> bool {
        let second = u32::try_from(local.secs().rem_euclid(60)).unwrap_or(0);
        self.seconds.has(second) && self.cron.matches(local)
    }

    /// The next fire of fixed times: each local time once.
    ///
    /// What they are due at never goes back when the local times go on, so the first local time that can be due after
    /// the instant decides.
    fn next_meant(&self, after: Time, zone: Zone) -> Option<Fire> {
        let mut from = zone.local(after);
        if let Moments::Twice { first, second } = zone.moments(from)
            && after >= second
        {
            // All that the clock shows again was due when it showed it first, up to when it was put back.
            let put_back = zone.change(first.secs(), second.secs());
            let offset = zone.offset_sec(first);
            from = LocalTime::from_secs(put_back.secs() + i64::from(offset) - 1);
        }
        let wanted = self.next_local(from)?;
        let (at, dst) = match zone.moments(wanted) {
            Moments::Once(at) => (at, Dst::Usual),
            Moments::Twice { first, .. } => (first, Dst::First),
            // The end of the gap may be one of the times itself.
            Moments::Skipped { resumes } if self.matches(zone.local(resumes)) => (resumes, Dst::Usual),
            Moments::Skipped { resumes } => (resumes, Dst::Moved { wanted }),
        };
        Some(Fire::new(zone, at, dst))
    }

    /// The next fire of an interval: whenever the clock shows a matching time.
    fn next_shown(&self, after: Time, zone: Zone) -> Option<Fire> {
        let at = match (self.ahead(after, zone), self.again(after, zone)) {
            (Some(ahead), Some(again)) => ahead.min(again),
            (ahead, again) => ahead.or(again)?,
        };
        Some(Fire::new(zone, at, Dst::Usual))
    }

    /// The first matching time that is later on the clock than what it shows at `after`.
    fn ahead(&self, after: Time, zone: Zone) -> Option<Time> {
        let mut from = zone.local(after);
        loop {
            let local = self.next_local(from)?;
            match zone.moments(local) {
                Moments::Once(at) => return Some(at),
                Moments::Twice { first, second } => return Some(if first > after { first } else { second }),
                // On to what the clock shows when it has leapt.
                Moments::Skipped { resumes } => from = LocalTime::from_secs(zone.local(resumes).secs() - 1),
            }
        }
    }

    /// The first matching time after the clock is put back, if that is about to happen. It may be earlier on the clock
    /// than what it shows at `after`.
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
