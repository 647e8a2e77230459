//! What is left of an attempt that the last daemon launched: its process, its cgroup, its journal.

use std::collections::BTreeSet;

use super::attempt::Attempt;
use super::dispatcher::{Dispatcher, now};
use super::shims::{identity, journal_file};
use crate::engine::scheduler::api::{AttemptEnd, Evidence};
use crate::model::change::AttemptIdentity;
use crate::model::view::RunView;
use crate::model::{AttemptId, Fact, LostCause, Record};
use crate::proc::LockState;
use crate::store::LiveAttempt;
use crate::sys::cgroup::{self, Cgroup};
use crate::sys::identity::{ProcessIdentity, SameProcess};
use crate::sys::pidfd::PidFd;

/// What a journal says.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) started: bool,
    pub(super) end: Option<AttemptEnd>,
}

impl Dispatcher {
    /// Finds the cgroup of an attempt: where attempts have theirs now, or wherever it was made, as the daemon may have run in
    /// another unit then, or in none.
    ///
    /// If its id is known, no other one will do, whatever its name: what is in it is going to be killed. That of an attempt
    /// whose shim the store does not know can only be where attempts have theirs, by its name.
    pub(super) fn cgroup_of(
        &self,
        attempt: &AttemptId,
        stored: Option<&AttemptIdentity>,
    ) -> Result<Option<Cgroup>, String> {
        let here = match self.workshop.cgroups() {
            Some(cgroups) => cgroups
                .open(attempt.as_str())
                .map_err(|error| format!("the cgroup of attempt {attempt}: {error}"))?,
            None => None,
        };
        // Ids count in one boot only.
        let known = stored.filter(|known| known.boot_id == self.boot_id);
        let Some((id, pid)) = known.and_then(|known| Some((known.cgroup_id?, known.pid))) else {
            return Ok(here);
        };
        if here.as_ref().is_some_and(|here| here.id() == id) {
            return Ok(here);
        }
        let found = cgroup::by_id(attempt.as_str(), id, Some(pid));
        if found.is_some() {
            tracing::info!(ATTEMPT_ID = %attempt, "its cgroup is where an earlier daemon has made it");
        }
        Ok(found)
    }

    /// What is known of the processes of an attempt that was found. What was known of a cgroup that cannot be found now stays
    /// known.
    pub(super) fn identity_of(&self, held: &Attempt, stored: Option<&AttemptIdentity>) -> AttemptIdentity {
        let found = identity(held, &self.boot_id);
        let known = stored.filter(|known| known.boot_id == self.boot_id);
        AttemptIdentity {
            cgroup_id: found.cgroup_id.or(known.and_then(|known| known.cgroup_id)),
            ..found
        }
    }

    /// Finds the shim's process and proves that it is the one that was recorded. A process that cannot be proved
    /// to be ours is never signalled; one that holds the entry's lock is alive, whatever else is known.
    ///
    /// The store's record counts, which is the daemon's alone. The shim can write to the entry, and it is the job's user:
    /// what only the entry says is believed of a process in the attempt's own cgroup, and of no other.
    pub(super) fn find_shim(&self, held: &mut Attempt, stored: Option<&AttemptIdentity>) -> bool {
        let from_entry = held.entry.as_ref().and_then(|entry| entry.owner.as_ref());
        let Some(known) = stored.or(from_entry.map(|owner| &owner.identity)).cloned() else {
            return false;
        };
        if known.boot_id != self.boot_id {
            return false;
        }
        let known = known.clone();
        let wanted = ProcessIdentity {
            pid: known.pid,
            pidfs_inode: known.pidfs_inode,
            start_ticks: known.start_ticks,
            boot_id: known.boot_id,
            cgroup_id: known.cgroup_id,
        };
        let locked = held
            .entry
            .as_ref()
            .is_some_and(|entry| entry.lock == LockState::Held);
        held.kept = self.kept.name_of(known.pidfs_inode);
        let ended = || self.kept.end_of(known.pidfs_inode);
        let Ok(pidfd) = PidFd::open(known.pid) else {
            held.exit = Some(ended());
            return false;
        };
        let same = match wanted.compare(&pidfd) {
            SameProcess::Same if stored.is_none() && !is_inside(held, &pidfd, known.pid) => {
                SameProcess::Uncertain
            }
            judged => judged,
        };
        let alive = match same {
            SameProcess::Same => !pidfd.is_exited().unwrap_or(false),
            SameProcess::Different => false,
            SameProcess::Uncertain => locked,
        };
        if alive {
            held.pid = known.pid;
            held.proven = same == SameProcess::Same;
            held.pidfd = Some(pidfd);
        } else {
            let zombie = pidfd.zombie_status().filter(|_| same == SameProcess::Same);
            held.exit = Some(zombie.or_else(ended));
        }
        alive
    }

    /// Reads the whole journal into a fresh view.
    pub(super) fn read_from_start(
        &self,
        attempt: &AttemptId,
        held: &mut Attempt,
        view: &mut RunView,
        unsaved: &mut BTreeSet<crate::model::Node>,
    ) -> Told {
        let dir = self.config.paths.attempt(&held.intended_at.day(), attempt);
        let mut told = Told::default();
        let opened = journal_file(&dir).map_err(|error| error.to_string());
        let mut journal = match opened.and_then(|file| Self::open_journal(file, attempt)) {
            Ok(journal) => journal,
            Err(why) => {
                held.damaged = Some(why);
                return told;
            }
        };
        loop {
            match journal.read_new(1024 * 1024) {
                Ok(records) if records.is_empty() => break,
                Ok(records) => {
                    for record in records {
                        unsaved.extend(view.apply(&record));
                        told.take(&record, view);
                    }
                }
                Err(error) => {
                    held.damaged = Some(error.to_string());
                    return told;
                }
            }
        }
        held.journal = Some(journal);
        told
    }

    /// What to make of an attempt of which nothing lives any more and whose journal has no final record.
    ///
    /// The gate opens only after the identity is in the store, so without one it never opened.
    ///
    /// `oom_told` is how many processes the journal says that the out-of-memory killer took.
    pub(super) fn evidence_of_death(
        &self,
        held: &Attempt,
        stored: &LiveAttempt,
        started: bool,
        oom_told: Option<u64>,
    ) -> Evidence {
        let at = now().wall;
        let Some(identity) = &stored.identity else {
            return Evidence::NeverStarted;
        };
        let rebooted = identity.boot_id != self.boot_id;
        match (&held.damaged, started) {
            (None, false) => Evidence::NeverStarted,
            _ if rebooted => Evidence::Lost {
                cause: LostCause::Reboot,
                at,
            },
            _ => Evidence::Lost {
                cause: held.cause_of_loss(oom_told),
                at,
            },
        }
    }
}

/// Whether a process is in the attempt's cgroup, or in one below it.
fn is_inside(held: &Attempt, process: &PidFd, pid: u32) -> bool {
    let listed = held
        .cgroup
        .as_ref()
        .and_then(|cgroup| cgroup.procs_all().ok())
        .is_some_and(|inside| inside.contains(&pid));
    // Only then was the number its own when it was looked for.
    listed && !process.is_reaped().unwrap_or(true)
}

impl Told {
    fn take(&mut self, record: &Record, view: &RunView) {
        match &record.fact {
            Fact::Started { .. } => self.started = true,
            Fact::Ended {
                status,
                error,
                outputs,
                retry,
            } => {
                self.end = Some(AttemptEnd {
                    status: *status,
                    error: error.clone(),
                    outputs: outputs.clone(),
                    timed_out: view.timed_out,
                    kill_escalated: view.kill_escalated,
                    retry: *retry,
                    at: record.at,
                });
            }
            _ => {}
        }
    }
}
