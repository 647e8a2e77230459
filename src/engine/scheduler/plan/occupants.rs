//! The other runs of a DAG: whether one is in the way of a tick, and what a tick does to them.
//!
//! What is ended or stopped for a tick is so in the tick's own batch, and hears of it when that is in the store. A run
//! that waits leaves the queue at once, lest it be started meanwhile, and goes back if the batch fails.

use crate::engine::scheduler::Scheduler;
use crate::engine::scheduler::api::{Effect, SCHEDULED_MAX};
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
    /// Why.
    pub(super) reason: StopReason,
}

impl Others {
    /// It leaves them alone.
    pub(super) const fn untouched() -> Self {
        Self::stopping(Vec::new(), StopReason::Schedule)
    }

    /// It has these stopped.
    pub(super) const fn stopping(stopped: Vec<Key>, reason: StopReason) -> Self {
        Self {
            ended: Vec::new(),
            stopped,
            reason,
        }
    }
}

impl Scheduler {
    /// Root runs of the user's DAG that are queued or live. Somebody else's DAG of that name has nothing to do with it.
    fn occupants(&self, dag: &DagName, owner: u32) -> impl Iterator<Item = (Key, &Run)> {
        let keys = self.by_dag.get(&(dag.clone(), owner)).into_iter().flatten();
        keys.filter_map(|key| Some((*key, self.runs.get(key)?)))
            .filter(|(_, run)| run.occupies())
    }

    /// Whether a run of the DAG is queued or live.
    pub(super) fn is_busy(&self, dag: &DagName, owner: u32) -> bool {
        self.occupants(dag, owner).next().is_some()
    }

    /// Whether as many runs that schedules made wait as may.
    pub(super) fn is_crowded(&self, dag: &DagName, owner: u32) -> bool {
        let all = self.by_dag.get(&(dag.clone(), owner));
        if all.is_none_or(|all| all.len() < SCHEDULED_MAX) {
            return false;
        }
        let waits = |run: &Run| !run.slot && run.origin.scheduled_for.is_some();
        let waiting = self.occupants(dag, owner).filter(|(_, run)| waits(run));
        waiting.count() >= SCHEDULED_MAX
    }

    /// The live ones that have not ended by themselves.
    pub(super) fn live_runs(&self, dag: &DagName, owner: u32) -> Vec<Key> {
        let live = self
            .occupants(dag, owner)
            .filter(|(_, run)| run.slot && !run.is_ending());
        live.map(|(key, _)| key).collect()
    }

    /// All that are queued or live make way for a new one.
    pub(super) fn supersede_all(&self, dag: &DagName, owner: u32) -> Others {
        let all = self.occupants(dag, owner).map(|(key, _)| key).collect();
        self.sorted(all)
    }

    /// The ones that schedules made and that wait, make way for a new one; with `live` those that are live, too.
    pub(super) fn supersede_scheduled(&self, dag: &DagName, owner: u32, live: bool) -> Others {
        let in_the_way = |run: &Run| {
            if run.slot {
                live
            } else {
                run.origin.scheduled_for.is_some()
            }
        };
        let some = self.occupants(dag, owner).filter(|(_, run)| in_the_way(run));
        self.sorted(some.map(|(key, _)| key).collect())
    }

    fn sorted(&self, keys: Vec<Key>) -> Others {
        let at_rest =
            |run: &Run| run.rests() && run.stop.is_none() && run.batch.is_none() && run.unsaved.is_empty();
        let (ended, stopped) = keys
            .into_iter()
            .partition(|key| self.runs.get(key).is_some_and(at_rest));
        Others {
            ended,
            ..Others::stopping(stopped, StopReason::Superseded)
        }
    }

    /// Prepares it: what waits leaves the queue, and these changes tell the store.
    pub(super) fn prepare(&mut self, now: Now, others: &Others) -> Vec<Change> {
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
        let stopped = others.stopped.iter().filter_map(|key| self.runs.get(key));
        // One that has ended has nothing to be told. One that is not stored yet cannot be marked there; it is ended as soon
        // as it is.
        let stored = stopped.filter(|run| {
            run.stop.is_none() && !run.is_ending() && !matches!(run.phase, Phase::Admitting { .. })
        });
        batch.extend(stored.map(|run| Change::Stop {
            run: run.name.clone(),
            reason: others.reason.clone(),
            at: now.wall,
        }));
        batch
    }

    /// It is in the store.
    pub(super) fn carry_out(&mut self, now: Now, others: Others, out: &mut Vec<Effect>) {
        for key in others.stopped {
            self.stop_by_plan(now, key, &others.reason, out);
        }
        for key in others.ended {
            self.dropped(now, key, out);
        }
    }

    /// It is not in the store, and nothing of it is done.
    pub(super) fn call_off(&mut self, now: Now, others: Others, out: &mut Vec<Effect>) {
        for key in others.ended {
            match self.runs.get(&key) {
                // Somebody else wants it stopped.
                Some(run) if run.stop.is_some() => self.drop_queued(now, key, out),
                Some(_) => self.enqueue(key),
                None => {}
            }
        }
    }

    /// Stops a run; the store has that already, unless it did not have the run.
    fn stop_by_plan(&mut self, now: Now, key: Key, reason: &StopReason, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key).filter(|run| run.occupies()) else {
            return;
        };
        // What somebody else asked for and cannot be stored is not withdrawn any more.
        run.bound = true;
        let (rests, ending) = (run.rests(), run.is_ending());
        if !matches!(run.phase, Phase::Admitting { .. }) && !ending && run.stop.is_none() {
            run.stop = Some(reason.clone());
            run.stop_saved = true;
        }
        if *reason == StopReason::Superseded {
            self.block(key);
        }
        if ending {
            return;
        }
        if rests {
            self.dequeue(key);
            self.drop_queued(now, key, out);
        } else {
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
