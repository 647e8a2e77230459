//! What goes to the store and what follows when it is there: the engine's batches, and the steps that changed.

use super::attempt::Attempt;
use super::dispatcher::Dispatcher;
use crate::engine::scheduler::Event;
use crate::engine::scheduler::api::CommitError;
use crate::model::change::Change;
use crate::model::{AttemptId, Node};
use crate::store;
use crate::telemetry::events;

/// How an attempt leaves memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It has ended.
    Ended,
    /// It never started; its run is queued again.
    TakenBack,
}

impl Dispatcher {
    /// Hands a batch of the engine's to the store, with the steps that changed since the last one.
    pub(super) fn commit(&mut self, number: u64, changes: Vec<Change>) {
        let mut batch = Vec::with_capacity(changes.len() + 1);
        for change in changes {
            self.note_retry(number, &change);
            match &change {
                Change::Intend {
                    run,
                    attempt,
                    number,
                    at,
                } => {
                    self.attempts
                        .insert(attempt.clone(), Attempt::new(run.clone(), *number, *at));
                    self.begin_attempt(run, attempt, *number);
                }
                Change::End {
                    attempt,
                    status,
                    error,
                    lost,
                    at,
                    ..
                } => {
                    let run = self.attempts.get(attempt).map(|attempt| attempt.run.clone());
                    if let Some(live) = run.and_then(|run| self.runs.get_mut(&run)) {
                        if let Some(cause) = lost {
                            let nodes = live.view.lose(*at, cause.clone());
                            live.unsaved.extend(nodes);
                        }
                        // An end that no journal tells, such as a launch that failed, is told here only.
                        live.view.status = *status;
                        live.view.error.clone_from(error);
                        live.view.finished_at = Some(*at);
                    }
                    self.take_unsaved(number, attempt, &mut batch);
                    batch.extend(self.account_for_end(attempt));
                }
                Change::EndQueued { run, .. } | Change::Stop { run, .. } => self.show(number, run, &change),
                Change::Watermark { .. } | Change::Suspend { .. } => {
                    self.registry.note_later(number, &change);
                }
                Change::Clean { attempt } => {
                    batch.extend(self.unstored_account(attempt));
                    self.forgetting.insert(number, (attempt.clone(), Leaving::Ended));
                }
                Change::Unlaunch { attempt } => {
                    self.forgetting
                        .insert(number, (attempt.clone(), Leaving::TakenBack));
                }
                _ => {}
            }
            batch.push(change);
        }
        self.add_notice(number, &mut batch);
        self.submit(number, batch);
    }

    pub(super) fn submit(&mut self, number: u64, batch: Vec<Change>) {
        self.metrics.submitted(number, batch.len());
        if let Err(error) = self.store.submit(number, batch) {
            self.leaving = Some(Err(format!("the store is gone: {error}")));
        }
    }

    /// Moves the attempt's changed steps into a batch.
    ///
    /// They get none of their own: while the attempt lives, memory answers for them, and after a crash its journal
    /// does. So each is written to the store once, with the attempt's end.
    fn take_unsaved(&mut self, number: u64, attempt: &AttemptId, batch: &mut Vec<Change>) {
        let Some(run) = self.attempts.get(attempt).map(|attempt| attempt.run.clone()) else {
            return;
        };
        let Some(live) = self.runs.get_mut(&run) else {
            return;
        };
        let nodes: Vec<Node> = std::mem::take(&mut live.unsaved).into_iter().collect();
        batch.extend(nodes.iter().filter_map(|node| {
            let view = Box::new(live.view.node(*node)?.clone());
            Some(Change::Step {
                attempt: attempt.clone(),
                node: *node,
                view,
            })
        }));
        if !nodes.is_empty() {
            self.saving.insert(number, (run, nodes));
        }
    }

    /// The store's answer.
    pub(super) fn stored(&mut self, number: u64, result: Result<(), store::Error>) {
        self.metrics.stored(number, result.is_ok());
        self.retention_stored(number, &result);
        self.account_stored(number, result.is_ok());
        let saved = self.saving.remove(&number);
        let forgotten = self.forgetting.remove(&number);
        let turns = self.turning.remove(&number);
        self.shown_stored(number, result.is_ok());
        self.notice_stored(number, result.is_ok());
        self.version_stored(number, result.is_ok());
        self.registry.plan_stored(number, result.is_ok());
        self.record_postponed();
        match result {
            Ok(()) => {
                if self.store_trouble.take().is_some() {
                    events::store_recovered();
                }
                if let Some((attempt, leaving)) = &forgotten {
                    self.remove_last(attempt);
                    if *leaving == Leaving::TakenBack {
                        // Before the engine hears of it: it may intend the same attempt again at once.
                        self.attempts.remove(attempt);
                    }
                }
                match turns {
                    Some(turns) => self.turn(number, turns),
                    None if number < 1 << 62 => self.tell(Event::Committed(number)),
                    None => {}
                }
                if let Some((attempt, Leaving::Ended)) = forgotten {
                    self.forget(&attempt);
                }
            }
            Err(error) => {
                if let Some((run, nodes)) = saved
                    && let Some(live) = self.runs.get_mut(&run)
                {
                    // They go with the next batch of the attempt; its end is one at the latest.
                    live.unsaved.extend(nodes);
                }
                let failure = match &error {
                    store::Error::Exists => CommitError::Exists,
                    store::Error::DiskFull(text) => CommitError::DiskFull(text.clone()),
                    store::Error::Other(text) => CommitError::Other(text.clone()),
                };
                if !matches!(error, store::Error::Exists) && self.store_trouble.is_none() {
                    events::store_trouble("commit", &error);
                    self.store_trouble = Some(error.to_string());
                }
                if number < 1 << 62 {
                    self.tell(Event::CommitFailed(number, failure));
                }
            }
        }
    }

    /// Everything of an ended attempt is recorded and removed: nothing of it is held any more. Its run is, if it is tried
    /// again by itself.
    pub(super) fn forget(&mut self, attempt: &AttemptId) {
        let Some(held) = self.attempts.remove(attempt) else {
            return;
        };
        self.calls.forget(attempt);
        let ended = self.runs.get(&held.run).is_some_and(|live| {
            let newest = live.view.attempt.as_ref() == Some(attempt);
            newest && live.view.status.ends_attempt() && live.view.retry.is_none()
        });
        if ended {
            self.drop_run(&held.run);
        }
    }
}
