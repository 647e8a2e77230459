//! The proc directory while the daemon runs: deleted entries are made again, bad ones are put aside, and silence
//! is shown as what it is.

use std::os::fd::AsFd;

use super::dispatcher::{Dispatcher, now};
use crate::model::AttemptId;
use crate::proc::{Meta, Owner, ProcEvent, Verdict};
use crate::telemetry::events;
use crate::wire::shim::ToShim;

impl Dispatcher {
    /// Something changed in the proc directory.
    pub(super) fn proc_events(&mut self, events: &[ProcEvent]) {
        let mut look = false;
        for event in events {
            match event {
                ProcEvent::EntryVanished { path } => {
                    self.forget_foreign(path);
                    look = true;
                }
                ProcEvent::EntryAppeared { path } => self.foreign_appeared(path),
                ProcEvent::Rescan => {
                    match self.proc.scan(now().wall) {
                        Ok(scan) => self.watch_foreign(&scan.entries),
                        Err(error) => tracing::error!(%error, "the proc directory cannot be read"),
                    }
                    look = true;
                }
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
        // A live attempt without an entry is one whose entry was deleted while there was no daemon.
        let missing = match &held.entry {
            Some(entry) => matches!(self.proc.read_again(entry, now().wall), Ok(None)),
            None => held.pidfd.is_some(),
        };
        if missing && !healing {
            self.heal(attempt);
        }
    }

    /// A new entry for an attempt whose entry was deleted by somebody: made, locked, handed to the shim.
    fn heal(&mut self, attempt: &AttemptId) {
        let Some(held) = self.attempts.get(attempt) else {
            return;
        };
        let Some(live) = self.runs.get(&held.run) else {
            return;
        };
        let (at, group, dag) = (now().wall, live.new.group.clone(), held.run.dag.clone());
        let prepared = match &held.entry {
            Some(entry) => self.proc.prepare_again(entry, at),
            None => {
                let since = live.view.started_at.unwrap_or(held.intended_at);
                let meta = Meta {
                    run: held.run.clone(),
                    attempt: attempt.clone(),
                    root: Some(super::effects::root_of(&live.new).clone()),
                    started_at: since.secs(),
                };
                self.proc.prepare(&group, meta, since)
            }
        };
        let made = prepared.and_then(|prepared| Ok((prepared.descriptor()?, prepared)));
        let (descriptor, prepared) = match made {
            Ok(made) => made,
            Err(error) => {
                tracing::error!(ATTEMPT_ID = %attempt, %error, "a deleted entry cannot be made again");
                return;
            }
        };
        if let Some(held) = self.attempts.get_mut(attempt) {
            held.prepared = Some(prepared);
        }
        if let Some(watch) = &mut self.watch {
            // Its directory may have been deleted as well.
            let unwatched = watch.watch_dag(&group, &dag);
            self.proc_events(&unwatched);
        }
        if !self.send_with_fd(attempt, &ToShim::ReplaceEntry, descriptor.as_fd()) {
            tracing::warn!(ATTEMPT_ID = %attempt, "a shim cannot be given its new entry");
        }
    }

    /// The shim beats on the new entry: now it gets its name.
    pub(super) fn publish_healed(&mut self, attempt: &AttemptId) {
        let Some(owner) = self.owner_of(attempt) else {
            return;
        };
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        let Some(prepared) = held.prepared.take() else {
            return;
        };
        match prepared.publish(&owner, now().wall) {
            Ok(entry) => {
                self.counters.healed += 1;
                events::entry_healed(&entry.path, &"it had been deleted");
                let path = entry.path.display().to_string();
                held.entry = Some(entry);
                self.acted("entry made again", path);
            }
            Err(error) => {
                tracing::error!(ATTEMPT_ID = %attempt, %error, "a deleted entry cannot be published again");
            }
        }
    }

    /// What an entry tells of the shim.
    pub(super) fn owner_of(&self, attempt: &AttemptId) -> Option<Owner> {
        let held = self.attempts.get(attempt)?;
        Some(Owner {
            identity: super::shims::identity(held, &self.boot_id),
            uid: self.runs.get(&held.run).map_or(0, |live| live.new.owner),
            socket: self.config.paths.socket(attempt).display().to_string(),
        })
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
