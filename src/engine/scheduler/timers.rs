//! Deadlines. Nothing is polled: the shell arms one timer for the earliest of them.

use std::collections::BTreeSet;

use super::run::Key;
use crate::model::{Boot, DagName};

/// First pause after a failure, in seconds; each further one in a row doubles it.
pub(super) const BACKOFF_FIRST_SECS: f64 = 0.5;
/// Longest pause after a failure, in seconds.
pub(super) const BACKOFF_MAX_SECS: f64 = 30.0;

/// The deadline after `failures` failures in a row.
pub(super) fn backoff(now: Boot, failures: u32) -> Boot {
    let doublings = i32::try_from(failures.saturating_sub(1).min(16)).unwrap_or(16);
    now.after_secs((BACKOFF_FIRST_SECS * f64::powi(2.0, doublings)).min(BACKOFF_MAX_SECS))
}

/// Whose deadline it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Launches are held up until then.
    Launches,
    /// The run's batch is sent again, or it is queued again.
    Run(Key),
    /// A plan is due.
    Plans,
    /// A batch of the DAG's plan is tried again.
    Dag(DagName),
}

/// Every deadline, earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BTreeSet<(Boot, Timer)>,
    armed: Option<Boot>,
}

impl Timers {
    pub(super) fn insert(&mut self, at: Boot, timer: Timer) {
        self.set.insert((at, timer));
    }

    pub(super) fn remove(&mut self, at: Boot, timer: Timer) {
        self.set.remove(&(at, timer));
    }

    /// The armed timer was due: it must be armed anew for whatever is left.
    pub(super) const fn fired(&mut self) {
        self.armed = None;
    }

    /// Takes the earliest deadline if it is due.
    pub(super) fn due(&mut self, now: Boot) -> Option<Timer> {
        if self.set.first()?.0 > now {
            return None;
        }
        self.set.pop_first().map(|(_, timer)| timer)
    }

    /// The time to arm, if it is another than the armed one. A timer that nobody needs any more is left armed.
    pub(super) fn arm(&mut self) -> Option<Boot> {
        let first = self.set.first()?.0;
        if self.armed == Some(first) {
            return None;
        }
        self.armed = Some(first);
        Some(first)
    }

    /// How many deadlines belong to runs.
    pub(super) fn runs(&self) -> usize {
        self.set
            .iter()
            .filter(|(_, timer)| matches!(timer, Timer::Run(_)))
            .count()
    }
}
