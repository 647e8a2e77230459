//! What attempts use: read from the cgroup once that is empty and before it is removed.
//!
//! The shim has told before the end what it saw, and that is stored with the end. What is read here replaces it: it is of the
//! whole attempt, and nobody but the kernel has had a hand in it. It goes to the store with the batch that says that the attempt
//! is cleaned up; if the shim has told nothing, before anything is removed. So a crash in between loses nothing, and an attempt
//! that ends in the usual way costs no commit of its own.

use super::attempt::Attempt;
use super::dispatcher::Dispatcher;
use crate::model::change::Change;
use crate::model::view::RunView;
use crate::model::{AttemptId, LostCause, Usage};
use crate::sys::pidfd::WaitStatus;

/// Number of SIGKILL.
const KILL: i32 = 9;

impl Attempt {
    /// Reads what it has used, now that nothing of it lives; `view` is what its journal has told. Without a cgroup that is all
    /// that is known. One that never passed the gate has used nothing that anybody asks for.
    pub(super) fn account(&mut self, view: &mut RunView) {
        if view.started_at.is_none() {
            return;
        }
        self.use_told |= view.usage.is_known() && view.status.ends_attempt();
        if let Some(cgroup) = &self.cgroup {
            let usage = cgroup.usage().or(view.usage);
            view.usage = usage;
            self.used = Some(usage);
        }
    }

    /// Why it ended if its journal does not say, now that its shim is dead. `told` is how many processes the journal says that
    /// the out-of-memory killer took; a further one was the shim.
    pub(super) fn cause_of_loss(&self, told: Option<u64>) -> LostCause {
        if let Some(why) = &self.damaged {
            return LostCause::JournalDamaged(why.clone());
        }
        let taken = || {
            let counted = self.cgroup.as_ref()?.events().read().oom_kills?;
            Some(counted > told.unwrap_or(0))
        };
        match self.exit.flatten() {
            Some(WaitStatus::Signal { signal: KILL, .. }) if taken() == Some(true) => LostCause::OutOfMemory,
            Some(WaitStatus::Signal { signal, .. }) => LostCause::SupervisorSignal(signal),
            Some(WaitStatus::Code(code)) => LostCause::SupervisorExit(code),
            None => LostCause::SupervisorGone,
        }
    }
}

impl Dispatcher {
    /// Reads what an attempt has used, of which nothing lives any more, and gives why it is lost, should it be.
    pub(super) fn account(&mut self, attempt: &AttemptId) -> Option<LostCause> {
        let held = self.attempts.get_mut(attempt)?;
        let Some(live) = self.runs.get_mut(&held.run) else {
            return Some(held.cause_of_loss(None));
        };
        // What is read next would count the shim among those that its journal has told.
        let cause = held.cause_of_loss(live.view.usage.oom_kills);
        held.account(&mut live.view);
        self.counters.used.add(&live.view.usage);
        Some(cause)
    }

    /// What is known of an attempt's use and of its bad end when its end is given to the store.
    pub(super) fn account_for_end(&mut self, attempt: &AttemptId) -> Option<Change> {
        let held = self.attempts.get_mut(attempt)?;
        let view = &self.runs.get(&held.run)?.view;
        let (usage, cause) = (held.used.unwrap_or(view.usage), view.ended_by());
        held.use_told = usage.is_known();
        (usage.is_known() || cause.is_some()).then(|| Change::Account {
            attempt: attempt.clone(),
            usage,
            cause,
        })
    }

    /// What was read of an attempt's use and is not in the store.
    pub(super) fn unstored_account(&self, attempt: &AttemptId) -> Option<Change> {
        let usage = self.attempts.get(attempt)?.used?;
        Some(Change::Account {
            attempt: attempt.clone(),
            usage,
            cause: None,
        })
    }

    /// Gives what was read of an attempt's use to the store before its cgroup is removed, if the store has nothing of it. False
    /// if there is nothing to give.
    pub(super) fn store_account(&mut self, attempt: &AttemptId) -> bool {
        if self.attempts.get(attempt).is_some_and(|held| held.use_told) {
            return false;
        }
        let Some(change) = self.unstored_account(attempt) else {
            return false;
        };
        let number = self.own_batch();
        self.accounting.insert(number, attempt.clone());
        self.submit(number, vec![change]);
        true
    }

    /// The store has answered. What it has not taken goes with the batch that says that the attempt is cleaned up, which is
    /// given to it until it takes that.
    pub(super) fn account_stored(&mut self, number: u64, stored: bool) {
        let Some(attempt) = self.accounting.remove(&number) else {
            return;
        };
        if stored {
            self.account_taken(&attempt);
        }
        self.remove_remains(&attempt);
    }

    /// The store has what was read of an attempt's use.
    pub(super) fn account_taken(&mut self, attempt: &AttemptId) {
        if let Some(held) = self.attempts.get_mut(attempt) {
            held.used = None;
        }
    }
}

/// What is known of sums, with names for `doctor`.
pub(super) fn named(used: &Usage) -> Vec<(&'static str, u64)> {
    let known = [
        ("CPU milliseconds used", used.cpu_usec().map(|usec| usec / 1000)),
        ("bytes read", used.io_read),
        ("bytes written", used.io_written),
        ("out-of-memory kills", used.oom_kills),
        ("forks refused", used.pids_refused),
    ];
    let known = known.into_iter();
    known.filter_map(|(name, value)| Some((name, value?))).collect()
}
