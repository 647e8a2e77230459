//! Entries of other writers in the proc directory: seen when they appear, looked at when they would be stale, and removed
//! when they are taken for dead. The rules are the engine's ([`crate::engine::scheduler::foreign`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::alarms::Alarm;
use super::dispatcher::{Dispatcher, now};
use crate::engine::scheduler::foreign::{Evidence, LOOKS, Reason, Record, Ruling, judge};
use crate::model::view::RunView;
use crate::model::{AttemptId, Boot, RunRef, RunStatus};
use crate::proc::name::NameIds;
use crate::proc::{Entry, EntryName, Removal};
use crate::store::Reader;
use crate::telemetry::events;

/// The entries of other writers that were seen.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    watched: BTreeMap<PathBuf, Watched>,
    pub(super) removed: u64,
}

/// An entry, as it was last read.
#[derive(Debug)]
struct Watched {
    /// None if it could not be read.
    entry: Option<Entry>,
    /// How often in a row it was found stale, or could not be read.
    looks: u32,
}

impl Foreign {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.watched.len()
    }
}

/// What is known of an attempt, from the run's view.
fn record_of(view: Option<&RunView>, attempt: &AttemptId) -> Record {
    match view {
        None => Record::Missing,
        Some(view) if view.attempt.as_ref() != Some(attempt) => Record::OtherAttempt,
        Some(view) if view.status == RunStatus::Running => Record::Running,
        Some(_) => Record::Over,
    }
}

fn ask_store(reader: &Reader, run: &RunRef, attempt: &AttemptId) -> Record {
    match reader.run_view(run) {
        Ok(view) => record_of(view.as_ref(), attempt),
        Err(error) => {
            tracing::error!(%run, %error, "the store cannot tell of the run of a stale proc entry");
            Record::Unknown
        }
    }
}

impl Dispatcher {
    /// A scan found these entries.
    pub(super) fn watch_foreign(&mut self, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| entry.owner.is_none()) {
            self.foreign_appeared(&entry.path);
        }
    }

    /// An entry has appeared. Those that this daemon publishes are known already.
    pub(super) fn foreign_appeared(&mut self, path: &Path) {
        let name = path.file_name().and_then(|name| EntryName::parse(name).ok());
        let held = match name.as_ref().map(EntryName::ids) {
            Some(NameIds::Current { attempt, .. }) => self.attempts.get(attempt),
            _ => None,
        };
        let published = held.and_then(|held| held.entry.as_ref());
        if published.is_some_and(|entry| entry.path == path) {
            return;
        }
        self.look_at_foreign(path);
        self.arm();
    }

    /// An entry is to be looked at.
    pub(super) fn look_at_foreign(&mut self, path: &Path) {
        let at = now();
        let stale_after = self.stale_after();
        let entry = match self.proc.read_path(path, at.wall) {
            Ok(Some(entry)) if entry.owner.is_none() => entry,
            Ok(_) => return self.forget_foreign(path),
            Err(error) => return self.foreign_unreadable(path, &error),
        };
        let age = entry.age(at.wall);
        let stale_micros = u64::try_from(stale_after.as_micros()).unwrap_or(u64::MAX);
        let fresh = age < stale_micros;
        let before = self.foreign.watched.get(path);
        let same = before
            .and_then(|before| before.entry.as_ref())
            .is_some_and(|seen| seen.heartbeat == entry.heartbeat && seen.inode == entry.inode);
        let looks = match before {
            _ if fresh => 0,
            Some(before) if same => before.looks.saturating_add(1),
            _ => 1,
        };
        let sibling = !fresh && self.has_sibling(&entry);
        self.foreign.watched.insert(
            path.to_owned(),
            Watched {
                entry: Some(entry.clone()),
                looks,
            },
        );
        let next = if fresh {
            (stale_micros - age).max(stale_micros / 2)
        } else {
            stale_micros / 2
        };
        self.alarms.set(
            Boot(at.boot.0.saturating_add(next.max(1))),
            Alarm::Foreign(path.to_owned()),
        );
        let evidence = Evidence {
            own: false,
            fresh,
            sibling,
            looks,
            record: self.known_record(&entry),
        };
        match judge(&evidence) {
            Ruling::Remove(reason) => self.remove_foreign(&entry, reason),
            Ruling::Doubt if looks >= LOOKS => self.ask_for_record(entry, evidence),
            Ruling::Leave | Ruling::Watch | Ruling::Doubt => {}
        }
    }

    /// What memory knows of the attempt; the store is asked only when it matters.
    fn known_record(&self, entry: &Entry) -> Record {
        let live = self.runs.get(&entry.meta.run);
        live.map_or(Record::Unknown, |live| {
            record_of(Some(&live.view), &entry.meta.attempt)
        })
    }

    fn ask_for_record(&self, entry: Entry, evidence: Evidence) {
        let (reader, run, attempt) = (
            self.reader.clone(),
            entry.meta.run.clone(),
            entry.meta.attempt.clone(),
        );
        self.elsewhere(
            move || ask_store(&reader, &run, &attempt),
            move |dispatcher, record| {
                if let Ruling::Remove(reason) = judge(&Evidence { record, ..evidence }) {
                    dispatcher.remove_foreign(&entry, reason);
                }
            },
        );
    }

    /// Whether another attempt of the run is alive: one of this daemon's, as the kernel tells, or one of another writer's
    /// that is fresh.
    fn has_sibling(&self, entry: &Entry) -> bool {
        let at = now().wall;
        let meta = &entry.meta;
        let own = |(attempt, held): (&AttemptId, &super::attempt::Attempt)| {
            held.run == meta.run && *attempt != meta.attempt && held.pidfd.is_some() && !held.ending
        };
        if self.attempts.iter().any(own) {
            return true;
        }
        let others = self
            .foreign
            .watched
            .values()
            .filter_map(|seen| seen.entry.as_ref());
        others
            .filter(|other| other.same_scope(entry) && other.meta.attempt != meta.attempt)
            .filter_map(|other| self.proc.read_again(other, at).ok().flatten())
            .any(|other| other.is_fresh(at, self.stale_after()))
    }

    fn remove_foreign(&mut self, entry: &Entry, reason: Reason) {
        match self.proc.remove_if_stale(entry, now().wall) {
            Ok(Removal::Removed) => {
                self.foreign.removed += 1;
                events::foreign_removed(&entry.path, &entry.meta.run, &entry.meta.attempt, reason.as_str());
                self.acted(
                    "foreign entry removed",
                    format!("{}: {}", entry.path.display(), reason.as_str()),
                );
                self.forget_foreign(&entry.path);
            }
            Ok(Removal::Gone) => self.forget_foreign(&entry.path),
            // It has changed since: the next look is armed.
            Ok(Removal::Kept) => {}
            Err(error) => {
                tracing::warn!(path = %entry.path.display(), %error, "a stale proc entry cannot be removed");
            }
        }
    }

    /// A file that is no valid entry. Its writer may be at work on it; what stays like that is left to `doctor`.
    fn foreign_unreadable(&mut self, path: &Path, error: &crate::proc::ProcError) {
        let watched = self.foreign.watched.entry(path.to_owned()).or_insert(Watched {
            entry: None,
            looks: 0,
        });
        watched.looks = watched.looks.saturating_add(1);
        if watched.looks >= LOOKS {
            tracing::warn!(path = %path.display(), %error, "a file in the proc directory is no valid entry");
            self.forget_foreign(path);
            return;
        }
        let pause = self.config.proc.stale_after_sec / 2.0;
        self.alarms
            .set(now().boot.after_secs(pause), Alarm::Foreign(path.to_owned()));
    }

    /// An entry is gone, or none of our business.
    pub(super) fn forget_foreign(&mut self, path: &Path) {
        self.foreign.watched.remove(path);
        self.alarms.cancel(&Alarm::Foreign(path.to_owned()));
    }
}
