//! The proc directory while the daemon runs: deleted entries are made again, bad ones are put aside, and silence
//! is shown as what it is.

use super::dispatcher::{Dispatcher, now};
use crate::model::AttemptId;
use crate::proc::{ProcEvent, Verdict};

impl Dispatcher {
    /// Something changed in the proc directory.
    pub(super) fn proc_events(&mut self, events: &[ProcEvent]) {
        let mut look = false;
        for event in events {
            match event {
                ProcEvent::EntryVanished { .. } | ProcEvent::Rescan => look = true,
                ProcEvent::Unwatched { path, reason } => {
                    tracing::warn!(path = %path.display(), reason, "a proc directory cannot be watched");
                }
            }
        }
        if look {
            let attempts: Vec<AttemptId> = self.attempts.keys().cloned().collect();
            for attempt in attempts {
                self.heal_if_missing(&attempt);
            }
        }
    }

    /// Makes the entry of a live attempt again if somebody deleted it.
    pub(super) fn heal_if_missing(&mut self, attempt: &AttemptId) {
        let Some(held) = self.attempts.get(attempt) else {
            return;
        };
        let healing = held.prepared.is_some() || held.ending || held.channel.is_none();
        let missing = held
            .entry
            .as_ref()
            .is_some_and(|entry| matches!(self.proc.read_again(entry, now().wall), Ok(None)));
        if missing && !healing {
            self.heal(attempt);
        }
    }

    /// Whether the supervisor lives and has stopped beating. Silence alone is never death.
    pub(super) fn is_stalled(&self, attempt: &AttemptId) -> bool {
        let at = now().wall;
        let entry = self.attempts.get(attempt).and_then(|held| held.entry.as_ref());
        let entry = entry.and_then(|entry| self.proc.read_again(entry, at).ok().flatten());
        entry.is_some_and(|entry| entry.verdict(at, self.stale_after()) == Verdict::Stalled)
    }

    /// Age from which on a heartbeat is stale.
    pub(super) fn stale_after(&self) -> std::time::Duration {
        std::time::Duration::from_secs_f64(self.config.proc.stale_after_sec)
    }
}
