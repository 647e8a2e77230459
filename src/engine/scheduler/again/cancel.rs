//! Pending retries that do not come after all: somebody stops the run, or a schedule does.

use crate::engine::scheduler::Scheduler;
use crate::engine::scheduler::api::{CommitError, Effect, Refusal, Token};
use crate::engine::scheduler::run::{Key, Phase};
use crate::engine::scheduler::save::{accept, words};
use crate::model::change::Change;
use crate::model::{Now, StopReason};

impl Scheduler {
    /// Recovery found a stop beside a pending retry: a schedule stopped the run just before it ended, and the daemon was
    /// killed before it could say that no retry comes. It says so now.
    pub(in crate::engine::scheduler) fn take_up_cancel(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        if let Some(run) = self.runs.get_mut(&key)
            && run.again.due.is_some()
            && let Some(reason) = run.stop.clone()
        {
            run.bound = true;
            self.save_cancel(now, key, reason, out);
        }
    }

    /// Somebody stops a run that has ended and would be tried again: it is not.
    pub(in crate::engine::scheduler) fn cancel_retry(
        &mut self,
        now: Now,
        key: Key,
        token: Option<Token>,
        reason: StopReason,
        out: &mut Vec<Effect>,
    ) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        run.stop_tokens.extend(token);
        if run.stop.is_some() {
            self.clear_timer(key);
            self.flush(key, out);
            return;
        }
        run.stop = Some(reason.clone());
        self.save_cancel(now, key, reason, out);
    }

    pub(super) fn save_cancel(&mut self, now: Now, key: Key, reason: StopReason, out: &mut Vec<Effect>) {
        if let Some(run) = self.runs.get(&key) {
            let cancel = Change::CancelRetry {
                run: run.name.clone(),
                reason,
                at: now.wall,
            };
            self.save(key, vec![cancel], true, out);
        }
    }

    /// The store has it that no retry comes: the run is over.
    pub(in crate::engine::scheduler) fn retry_cancelled(
        &mut self,
        now: Now,
        key: Key,
        out: &mut Vec<Effect>,
    ) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        run.again.due = None;
        accept(&mut run.stop_tokens, out);
        let (pausing, place) = (matches!(run.phase, Phase::Pausing), (run.name.dag.clone(), key));
        self.over(key, out);
        if pausing {
            self.retrying.remove(&place);
            self.forget(now, key, out);
        }
    }

    /// That the retry does not come could not be stored: who asked for it is told, and it comes. False if it is something
    /// else that could not be stored, or if nobody is there to ask again.
    pub(in crate::engine::scheduler) fn withdraw_cancel(
        &mut self,
        now: Now,
        key: Key,
        error: &CommitError,
        out: &mut Vec<Effect>,
    ) -> bool {
        let Some(run) = self.runs.get_mut(&key) else {
            return false;
        };
        let cancels = |change: &Change| matches!(change, Change::CancelRetry { .. });
        if run.bound || run.stop_tokens.is_empty() || !run.unsaved.iter().any(cancels) {
            return false;
        }
        run.unsaved.retain(|change| !cancels(change));
        self.retry_kept(now, key, error, out);
        true
    }

    /// The retry comes after all.
    pub(in crate::engine::scheduler) fn retry_kept(
        &mut self,
        now: Now,
        key: Key,
        error: &CommitError,
        out: &mut Vec<Effect>,
    ) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let why = Refusal::Store(words(error.clone()));
        for token in run.stop_tokens.drain(..) {
            out.push(Effect::Refused(token, why.clone()));
        }
        run.stop = None;
        if matches!(run.phase, Phase::Pausing) {
            self.wait_on(now, key, out);
        }
    }
}
