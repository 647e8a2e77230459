//! What the service manager is asked for when starting or stopping takes longer than its unit allows.
//!
//! It is asked by what makes progress: a daemon that hangs does not ask, and is killed in time.

use std::time::Duration;

use super::alarms::Alarm;
use super::dispatcher::{Dispatcher, now};
use crate::model::Boot;
use crate::telemetry::notify;

/// What is asked for each time.
const MORE: Duration = Duration::from_secs(30);
/// How often it is asked for, in microseconds.
const AGAIN: u64 = 5_000_000;

/// Recovery, which goes through what was live one by one.
#[derive(Debug)]
pub(super) struct Patience {
    next: Boot,
}

impl Patience {
    /// From now on, for as long as the manager allows anyway.
    pub(super) fn new() -> Self {
        Self {
            next: Boot(now().boot.0.saturating_add(AGAIN)),
        }
    }

    /// Something was done, and there is more to do.
    pub(super) fn progress(&mut self) {
        let at = now().boot;
        if at >= self.next {
            self.next = Boot(at.0.saturating_add(AGAIN));
            // Without a service manager this is nothing; with one that does not listen nothing can be done.
            drop(notify::extend_timeout(MORE));
        }
    }
}

impl Dispatcher {
    /// The daemon waits for attempts to stop, as long as `shutdown.wait_sec` says: a job's handlers can take for ever, and no
    /// user is to keep the machine from going down.
    pub(super) fn begin_to_drain(&mut self) {
        let wait = Duration::from_secs_f64(self.config.shutdown.wait_sec).as_micros();
        let wait = u64::try_from(wait).unwrap_or(u64::MAX);
        self.draining = true;
        self.leaves_by = Boot(now().boot.0.saturating_add(wait));
    }

    pub(super) fn ask_for_time(&mut self) {
        if !self.draining || self.leaving.is_some() {
            return;
        }
        let at = now().boot;
        if at >= self.leaves_by {
            tracing::warn!(
                live = self.attempts.len(),
                "attempts have not ended within shutdown.wait_sec: their supervisors go on to stop them"
            );
            self.leaving = Some(Ok(()));
            return;
        }
        drop(notify::extend_timeout(MORE));
        let next = Boot(at.0.saturating_add(AGAIN)).min(self.leaves_by);
        self.alarms.set(next, Alarm::Patience);
        self.arm();
    }
}
