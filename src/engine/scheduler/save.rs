//! What is committed, and what follows when a batch is or is not. Each run has at most one batch in flight; what
//! happens meanwhile waits behind it and goes into one batch. What is true already is kept until it is stored (P21).

use super::api::{CommitError, Effect, Refusal};
use super::run::{Key, Phase};
use super::timers::{Timer, backoff};
use super::{Scheduler, Token};
use crate::model::change::Change;
use crate::model::{DagName, GroupName, Now, RunStatus};

/// Whose batch it is. Each owner has at most one in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// A run's.
    Run(Key),
    /// The plan's of a DAG.
    Dag(DagName),
    /// A queue's.
    Queue(GroupName),
}

impl Scheduler {
    /// Commits a change after those of the run that are under way. If the last batch failed it waits for the
    /// next try, unless a request is behind it (`urgent`).
    pub(super) fn save(&mut self, key: Key, changes: Vec<Change>, urgent: bool, out: &mut Vec<Effect>) {
        if let Some(run) = self.runs.get_mut(&key) {
            run.unsaved.extend(changes);
            if urgent {
                self.clear_timer(key);
            }
            self.flush(key, out);
        }
    }

    /// Sends what is unsaved, if nothing is in flight and no pause is due.
    pub(super) fn flush(&mut self, key: Key, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        if run.batch.is_some() || run.timer.is_some() || run.unsaved.is_empty() {
            return;
        }
        self.last_commit += 1;
        let batch = std::mem::take(&mut run.unsaved);
        run.batch = Some((self.last_commit, batch.clone()));
        self.commits.insert(self.last_commit, Owner::Run(key));
        out.push(Effect::Commit(self.last_commit, batch));
    }

    /// A batch is in the store.
    pub(super) fn committed(&mut self, now: Now, number: u64, out: &mut Vec<Effect>) {
        let key = match self.commits.remove(&number) {
            Some(Owner::Run(key)) => key,
            Some(Owner::Dag(dag)) => return self.plan_committed(now, &dag, out),
            Some(Owner::Queue(queue)) => return self.queue_committed(number, &queue, out),
            None => return,
        };
        let Some(batch) = self.answered(key) else {
            return;
        };
        if let Some(run) = self.runs.get_mut(&key) {
            run.failures = 0;
        }
        for change in batch {
            match change {
                Change::Accept(_) => self.admitted(now, key, false, out),
                Change::Requeue { .. } if self.is_returning(key) => self.returned(now, key, out),
                Change::Requeue { .. } => self.admitted(now, key, true, out),
                Change::Intend { .. } => self.intended(now, key, out),
                Change::Identify { .. } => self.identified(key, out),
                Change::Unlaunch { .. } => self.unlaunched(now, key, out),
                Change::Stop { .. } => {
                    if let Some(run) = self.runs.get_mut(&key) {
                        run.stop_saved = true;
                        accept(&mut run.stop_tokens, out);
                    }
                }
                Change::End { .. } => self.end_saved(now, key, out),
                Change::EndQueued { .. } => self.dropped(now, key, out),
                Change::Clean { .. } => self.forget(now, key, out),
                Change::Move { .. } => self.moved(now, key, out),
                Change::CancelRetry { .. } => self.retry_cancelled(now, key, out),
                Change::RetryLater { .. }
                | Change::Watermark { .. }
                | Change::Suspend { .. }
                | Change::Install(_)
                | Change::Uninstall { .. }
                | Change::PauseQueue { .. }
                | Change::Start { .. }
                | Change::Notify(_)
                | Change::Notified { .. }
                | Change::Step { .. }
                | Change::Account { .. }
                | Change::Decide { .. }
                | Change::Retire { .. }
                | Change::Removed { .. } => {}
            }
        }
        self.flush(key, out);
    }

    /// A batch is not in the store, and nothing of it is.
    pub(super) fn commit_failed(&mut self, now: Now, number: u64, error: CommitError, out: &mut Vec<Effect>) {
        let key = match self.commits.remove(&number) {
            Some(Owner::Run(key)) => key,
            Some(Owner::Dag(dag)) => return self.plan_not_committed(now, &dag, error, out),
            Some(Owner::Queue(queue)) => return self.queue_not_committed(number, &queue, error, out),
            None => return,
        };
        let Some(batch) = self.answered(key) else {
            return;
        };
        let guest = self.runs.get(&key).is_some_and(super::run::Run::is_guest);
        match batch.first() {
            Some(Change::Requeue { .. }) if self.is_returning(key) => {
                self.not_returned(now, key, error, out);
            }
            // A running step waits for it, and nobody is there to ask again: it waits for room (P21).
            Some(Change::Accept(_) | Change::Requeue { .. })
                if guest && matches!(error, CommitError::DiskFull(_)) =>
            {
                self.keep(now, key, batch, error, out);
            }
            Some(Change::Accept(_)) => self.not_admitted(key, error, false, out),
            Some(Change::Requeue { .. } | Change::Decide { .. }) => self.not_admitted(key, error, true, out),
            Some(Change::Intend { .. }) => self.not_intended(now, key, &error, out),
            Some(Change::Identify { .. }) => self.not_identified(now, key, &error, out),
            Some(Change::Move { .. }) => self.not_moved(now, key, error, out),
            _ => self.keep(now, key, batch, error, out),
        }
        self.flush(key, out);
    }

    fn is_returning(&self, key: Key) -> bool {
        let run = self.runs.get(&key);
        run.is_some_and(|run| matches!(run.phase, Phase::Returning { .. }))
    }

    fn answered(&mut self, key: Key) -> Option<Vec<Change>> {
        let (_, batch) = self.runs.get_mut(&key)?.batch.take()?;
        Some(batch)
    }

    /// A number for a batch of this owner.
    pub(super) fn batch_of(&mut self, owner: Owner) -> u64 {
        self.last_commit += 1;
        self.commits.insert(self.last_commit, owner);
        self.last_commit
    }

    /// Keeps what is true and tries again later. A stop that cannot be recorded is refused and withdrawn, unless
    /// the attempt may be running: then it has been passed on, and the shim records it; or the caller wants it: nobody
    /// would ask again.
    fn keep(&mut self, now: Now, key: Key, batch: Vec<Change>, error: CommitError, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let later = std::mem::replace(&mut run.unsaved, batch);
        run.unsaved.extend(later);
        if self.withdraw_cancel(now, key, &error, out) {
            return self.save_later(now, key);
        }
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let stop_lost = run.stop.is_some() && !run.bound && !run.stop_saved && !run.stop_tokens.is_empty();
        match run.phase {
            Phase::Opening | Phase::Running | Phase::Ending { .. } | Phase::Cleaning => {
                accept(&mut run.stop_tokens, out);
            }
            _ if stop_lost => {
                let why = Refusal::Store(words(error));
                for token in run.stop_tokens.drain(..) {
                    out.push(Effect::Refused(token, why.clone()));
                }
                run.stop = None;
                run.unsaved
                    .retain(|change| !matches!(change, Change::Stop { .. }));
                match run.phase {
                    Phase::Dropping if run.waits => {
                        // It waits on, in the store.
                        self.remove(key);
                        return;
                    }
                    Phase::Dropping => {
                        run.unsaved.clear();
                        self.enqueue(key);
                        return;
                    }
                    Phase::Forgetting => {
                        run.outcome = None;
                        run.phase = Phase::Unlaunching;
                        run.unsaved = run.attempt.iter().cloned().map(unlaunch).collect();
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        self.save_later(now, key);
    }

    /// Has what is unsaved sent again after a pause.
    fn save_later(&mut self, now: Now, key: Key) {
        if let Some(run) = self.runs.get_mut(&key) {
            run.failures += 1;
            if !run.unsaved.is_empty() {
                let at = backoff(now.boot, run.failures);
                self.set_timer(key, at);
            }
        }
    }

    /// The armed timer is due.
    pub(super) fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.timers.fired();
        while let Some(timer) = self.timers.due(now.boot) {
            match timer {
                Timer::Launches => self.held = false,
                Timer::Plans => {
                    self.plans.fired();
                    self.plans_due(now, out);
                }
                Timer::Dag(dag) => self.plan_again(now, &dag, out),
                Timer::Run(key) => {
                    let Some(run) = self.runs.get_mut(&key) else {
                        continue;
                    };
                    run.timer = None;
                    match run.phase {
                        Phase::Delayed => {
                            self.resting.take(run);
                            self.enqueue(key);
                        }
                        Phase::Pausing => self.retry_due(now, key, out),
                        _ => self.flush(key, out),
                    }
                }
            }
        }
    }

    /// Sets the run's deadline in place of an earlier one.
    pub(super) fn set_timer(&mut self, key: Key, at: crate::model::Boot) {
        self.clear_timer(key);
        if let Some(run) = self.runs.get_mut(&key) {
            run.timer = Some(at);
            self.timers.insert(at, Timer::Run(key));
        }
    }

    /// Drops the run's deadline.
    pub(super) fn clear_timer(&mut self, key: Key) {
        if let Some(at) = self.runs.get_mut(&key).and_then(|run| run.timer.take()) {
            self.timers.remove(at, Timer::Run(key));
        }
    }

    /// Holds up launches in every group: the disk is full, and each would fail alike.
    pub(super) fn hold_launches(&mut self, now: Now) {
        if !self.held {
            self.held = true;
            self.hold_failures += 1;
            let at = backoff(now.boot, self.hold_failures);
            self.timers.insert(at, Timer::Launches);
        }
    }
}

/// The change that takes an attempt back.
pub(super) const fn unlaunch(attempt: crate::model::AttemptId) -> Change {
    Change::Unlaunch { attempt }
}

/// Answers every token with yes.
pub(super) fn accept(tokens: &mut Vec<Token>, out: &mut Vec<Effect>) {
    out.extend(tokens.drain(..).map(Effect::Accepted));
}

/// The error in words for a person.
pub(super) fn words(error: CommitError) -> String {
    match error {
        CommitError::Exists => "the store holds it already".to_owned(),
        CommitError::DiskFull(why) => format!("the disk is full: {why}"),
        CommitError::Other(why) => why,
    }
}

/// How a request on a run whose requeueing failed is refused.
pub(super) fn refusal(error: CommitError, requeue: bool) -> Refusal {
    match error {
        CommitError::Exists if requeue => Refusal::WrongState(RunStatus::Queued),
        CommitError::Exists => Refusal::Exists,
        error => Refusal::Store(words(error)),
    }
}
