//! The other runs of a DAG: whether one is in the way of a tick, and what a tick does to them.
//!
//! What is ended or stopped for a tick is so in the tick's own batch, and hears of it when that is in the store. A run
//! that waits leaves the queue at once, lest it be started meanwhile, and goes back if the batch fails.

use std::collections::BTreeSet;

use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::Scheduler;
use crate::engine::scheduler::api::{CommitError, Effect, SCHEDULED_MAX, TickOutcome, USER_SCHEDULED_MAX};
use crate::engine::scheduler::run::{Key, Phase, Run};
use crate::model::change::Change;
use crate::model::{DagName, Now, RunStatus, StopReason};

/// What a decision does to other runs of the DAG.
#[derive(Debug)]
pub(super) struct Others {
    /// Those that wait, and end.
    pub(super) ended: Vec<Key>,
    /// Those that are told to stop.
    pub(super) stopped: Vec<Key>,
    /// Those that have ended and are not tried again.
    pub(super) given_up: Vec<Key>,
    /// Those of the stopped ones of which the tick's batch says so.
    written: BTreeSet<Key>,
    /// Why.
    pub(super) reason: StopReason,
}

impl Others {
    /// It leaves them alone.
    pub(super) const fn untouched() -> Self {
        Self::with(StopReason::Schedule)
    }

    const fn with(reason: StopReason) -> Self {
        Self {
            ended: Vec::new(),
            stopped: Vec::new(),
            given_up: Vec::new(),
            written: BTreeSet::new(),
            reason,
        }
    }

    /// How many runs it ends.
    pub(super) const fn count(&self) -> usize {
        self.ended.len() + self.stopped.len() + self.given_up.len()
    }
}

impl Scheduler {
    /// Root runs of the user's DAG that are queued or live, or wait for a retry. Somebody else's DAG of that name has
    /// nothing to do with it.
    fn occupants(&self, dag: &DagName, owner: u32) -> impl Iterator<Item = (Key, &Run)> {
        let keys = self.by_dag.get(&(dag.clone(), owner)).into_iter().flatten();
        keys.filter_map(|key| Some((*key, self.runs.get(key)?)))
            .filter(|(_, run)| run.occupies())
    }

    /// Whether a run of the DAG is queued or live, or waits for a retry.
    pub(super) fn is_busy(&self, dag: &DagName, owner: u32) -> bool {
        self.occupants(dag, owner).next().is_some()
    }

    /// Whether as many runs that schedules made wait as may.
    pub(super) fn is_crowded(&self, dag: &DagName, owner: u32) -> bool {
        self.waiting.of_dag(dag, owner) >= SCHEDULED_MAX
    }

    /// The same for all DAGs of the user. It does not matter if no more wait afterwards than before.
    pub(super) fn is_user_crowded(&self, owner: u32, others: &Others) -> bool {
        let replaces = !others.ended.is_empty() || !others.given_up.is_empty();
        self.unbounded != Some(owner) && !replaces && self.waiting.of_user(owner) >= USER_SCHEDULED_MAX
    }

    /// What is said of a tick that is dropped because the DAG is busy.
    pub(super) fn why_busy(&self, dag: &DagName, owner: u32) -> TickOutcome {
        let mut occupants = self.occupants(dag, owner);
        let first = occupants.next();
        let pausing = first.filter(|(key, _)| self.awaits_retry(*key));
        match pausing {
            Some((_, run)) if occupants.all(|(key, _)| self.awaits_retry(key)) => {
                TickOutcome::AwaitsRetry(run.name.clone())
            }
            _ => TickOutcome::Overlapped,
        }
    }

    /// What a stop ends: what is live and has not ended by itself, every pending retry, and what schedules made and
    /// waits. Nothing of these is to begin outside its hours.
    pub(super) fn stop_all(&self, dag: &DagName, owner: u32) -> Others {
        let ended = |run: &Run| {
            let live = run.slot && !run.is_ending();
            live || run.again.due.is_some() || (!run.slot && run.origin.scheduled_for.is_some())
        };
        let some = self.occupants(dag, owner).filter(|(_, run)| ended(run));
        self.sorted(some.map(|(key, _)| key).collect(), StopReason::Schedule)
    }

    /// Whether a run that a schedule made is not tried again, because one for a later time is queued or live, or waits for
    /// its own retry: with these policies the newest one counts, and nothing older comes back beside it or after it.
    pub(in crate::engine::scheduler) fn gives_way(&self, key: Key) -> bool {
        let Some(run) = self.runs.get(&key) else {
            return false;
        };
        let (dag, owner) = (&run.name.dag, run.owner);
        let overlap = self.plans.overlap(dag, owner);
        let only_newest = overlap.is_some_and(OverlapPolicy::only_newest);
        let at = run.origin.scheduled_for;
        // One that may not be stored after all is nothing to give way to yet.
        let stored = |run: &Run| !matches!(run.phase, Phase::Admitting { .. });
        let newer = |run: &Run| run.stop.is_none() && stored(run) && run.origin.scheduled_for > at;
        only_newest && at.is_some() && self.occupants(dag, owner).any(|(_, run)| newer(run))
    }

    /// Gives up the pending retries of a DAG that give way: that of a run which ended while the newer one was being
    /// stored, or before the policy was known, or of which a crash has kept from the store that it does not come. Those
    /// that are live are told that none follows, so that their failure handlers run.
    pub(super) fn give_up_older(&mut self, now: Now, dag: &DagName, owner: u32, out: &mut Vec<Effect>) {
        let keys: Vec<Key> = self.occupants(dag, owner).map(|(key, _)| key).collect();
        for key in keys {
            if self.runs.get(&key).is_some_and(|run| run.again.due.is_none()) {
                self.tell_no_retry(key, out);
            } else if self.gives_way(key) {
                self.stop_by_plan(now, key, &StopReason::Superseded, false, out);
            }
        }
    }

    /// Tells the supervisor of a live run that gives way to a newer one that no retry follows.
    pub(in crate::engine::scheduler) fn tell_no_retry(&self, key: Key, out: &mut Vec<Effect>) {
        let run = self.runs.get(&key);
        let live = run
            .filter(|run| matches!(run.phase, Phase::Opening | Phase::Running) && run.again.policy.is_some());
        if let Some(attempt) = live.and_then(|run| run.attempt.clone())
            && self.gives_way(key)
        {
            out.push(Effect::NoRetry(attempt));
        }
    }

    /// All that are queued or live make way for a new one.
    pub(super) fn supersede_all(&self, dag: &DagName, owner: u32) -> Others {
        let all = self.occupants(dag, owner).map(|(key, _)| key).collect();
        self.sorted(all, StopReason::Superseded)
    }

    /// The ones that schedules made and that wait, make way for a new one; with `live` those that are live, too.
    pub(super) fn supersede_scheduled(&self, dag: &DagName, owner: u32, live: bool) -> Others {
        let in_the_way = |run: &Run| {
            let waits = !run.slot || run.again.due.is_some();
            (run.slot && live) || (waits && run.origin.scheduled_for.is_some())
        };
        let some = self.occupants(dag, owner).filter(|(_, run)| in_the_way(run));
        self.sorted(some.map(|(key, _)| key).collect(), StopReason::Superseded)
    }

    fn sorted(&self, keys: Vec<Key>, reason: StopReason) -> Others {
        let at_rest =
            |run: &Run| run.rests() && run.stop.is_none() && run.batch.is_none() && run.unsaved.is_empty();
        // A retry that the store does not hold yet cannot be given up there: that follows as soon as it can.
        let pending =
            |run: &Run| run.stop.is_none() && run.end_saved && run.batch.is_none() && run.unsaved.is_empty();
        let mut others = Others::with(reason);
        for key in keys {
            let run = self.runs.get(&key);
            if run.is_some_and(at_rest) {
                others.ended.push(key);
            } else if self.awaits_retry(key) && run.is_some_and(pending) {
                others.given_up.push(key);
            } else {
                others.stopped.push(key);
            }
        }
        others
    }

    /// Prepares it: what waits leaves the queue, no retry comes meanwhile, and these changes tell the store.
    pub(super) fn prepare(&mut self, now: Now, others: &mut Others) -> Vec<Change> {
        let mut batch = Vec::new();
        for key in &others.ended {
            self.dequeue(*key);
            if let Some(run) = self.runs.get_mut(key) {
                run.phase = Phase::Dropping;
                batch.push(Change::EndQueued {
                    run: run.name.clone(),
                    status: RunStatus::Aborted,
                    error: Some(others.reason.to_string()),
                    at: now.wall,
                });
            }
        }
        for key in &others.given_up {
            self.clear_timer(*key);
            if let Some(run) = self.runs.get_mut(key) {
                run.stop = Some(others.reason.clone());
                batch.push(Change::CancelRetry {
                    run: run.name.clone(),
                    reason: others.reason.clone(),
                    at: now.wall,
                });
            }
        }
        for key in &others.stopped {
            // One that has ended has nothing to be told. One that is not stored yet, or not as queued again, cannot be
            // marked there; it is ended as soon as it is. One that goes back into its queue is there before this is.
            let marked = |run: &&Run| {
                let returns = matches!(run.phase, Phase::Returning { .. });
                run.stop.is_none()
                    && (returns || run.again.due.is_none())
                    && !run.is_ending()
                    && !matches!(run.phase, Phase::Admitting { .. })
            };
            if let Some(run) = self.runs.get(key).filter(marked) {
                others.written.insert(*key);
                batch.push(Change::Stop {
                    run: run.name.clone(),
                    reason: others.reason.clone(),
                    at: now.wall,
                });
            }
        }
        batch
    }

    /// It is in the store.
    pub(super) fn carry_out(&mut self, now: Now, others: Others, out: &mut Vec<Effect>) {
        for key in others.stopped {
            let written = others.written.contains(&key);
            self.stop_by_plan(now, key, &others.reason, written, out);
        }
        for key in others.given_up {
            if others.reason == StopReason::Superseded {
                self.block(key);
            }
            self.retry_cancelled(now, key, out);
        }
        for key in others.ended {
            self.dropped(now, key, out);
        }
    }

    /// It is not in the store, and nothing of it is done.
    pub(super) fn call_off(&mut self, now: Now, others: Others, error: &CommitError, out: &mut Vec<Effect>) {
        for key in others.ended {
            self.queue_again(now, key, out);
        }
        for key in others.given_up {
            self.retry_kept(now, key, error, out);
        }
    }

    /// Stops a run. With `written` the store has that already.
    pub(in crate::engine::scheduler) fn stop_by_plan(
        &mut self,
        now: Now,
        key: Key,
        reason: &StopReason,
        written: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        // What somebody else asked for and cannot be stored is not withdrawn any more, also if it has ended the run.
        run.bound = true;
        if !run.occupies() {
            return;
        }
        // It may have ended meanwhile, to be tried again: then the store has a stop that means nothing any more.
        let (ending, ended) = (run.is_ending(), run.again.due.is_some());
        if written && !ending && !ended && run.stop.is_none() {
            run.stop = Some(reason.clone());
            run.stop_saved = true;
        }
        let withdrawn = run.rests() && run.stop.is_some();
        if *reason == StopReason::Superseded {
            self.block(key);
        }
        if withdrawn {
            self.dequeue(key);
            self.drop_queued(now, key, out);
        } else if ended || !ending {
            self.stop_run(now, key, None, reason.clone(), out);
        }
    }

    /// While the run is live nothing of its DAG starts that waits.
    pub(in crate::engine::scheduler) fn block(&mut self, key: Key) {
        if let Some(run) = self.runs.get_mut(&key).filter(|run| run.slot && !run.blocks) {
            run.blocks = true;
            self.groups.block(&run.name.dag, run.owner);
        }
    }
}
