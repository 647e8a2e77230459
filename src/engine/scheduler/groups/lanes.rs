//! Who waits in one queue, and who of them is next: the highest priority; in that the user whose turn it is; of that
//! user the DAG whose turn it is; of that DAG the run that came first.

use std::collections::{BTreeMap, BTreeSet};

use super::round::Round;
use crate::engine::scheduler::run::Key;
use crate::model::{DagName, Priority};

/// Runs of one DAG, user and priority, by place.
type Lane = BTreeMap<i64, Key>;
/// Users, and of each the DAGs.
type Level = Round<u32, Round<DagName, Lane>>;

/// Which lane of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LaneId {
    pub(super) priority: Priority,
    pub(super) owner: u32,
    pub(super) dag: DagName,
}

/// The lanes of a queue. A level stays when it is empty: it remembers the turns.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    levels: BTreeMap<Priority, Level>,
    ready: BTreeSet<Priority>,
}

impl Lanes {
    /// Adds a run. `open` says whether runs of its DAG may start.
    pub(super) fn push(&mut self, lane: &LaneId, seq: i64, key: Key, open: bool, now: u64) {
        let level = self.levels.entry(lane.priority).or_default();
        let user = level.enter(&lane.owner, now);
        user.enter(&lane.dag, now).insert(seq, key);
        self.set_open(lane, open);
    }

    /// Removes a run.
    pub(super) fn remove(&mut self, lane: &LaneId, seq: i64) {
        let level = self.levels.get_mut(&lane.priority);
        let user = level.and_then(|level| level.get_mut(&lane.owner));
        let Some(user) = user else { return };
        let Some(runs) = user.get_mut(&lane.dag) else {
            return;
        };
        runs.remove(&seq);
        if runs.is_empty() {
            user.leave(&lane.dag);
            self.settle(lane.priority, lane.owner);
        }
    }

    /// Says whether runs of the lane's DAG may start.
    pub(super) fn set_open(&mut self, lane: &LaneId, open: bool) {
        let level = self.levels.get_mut(&lane.priority);
        if let Some(user) = level.and_then(|level| level.get_mut(&lane.owner)) {
            user.set_ready(&lane.dag, open);
            self.settle(lane.priority, lane.owner);
        }
    }

    /// Takes the next run, with the lane it was in.
    pub(super) fn pop(&mut self, now: u64) -> Option<(LaneId, Key)> {
        let priority = self.top()?;
        let level = self.levels.get_mut(&priority)?;
        let owner = *level.next()?;
        level.serve(&owner, now);
        let user = level.get_mut(&owner)?;
        let dag = user.next()?.clone();
        user.serve(&dag, now);
        let (seq, key) = user
            .get_mut(&dag)?
            .first_key_value()
            .map(|(seq, key)| (*seq, *key))?;
        let lane = LaneId { priority, owner, dag };
        self.remove(&lane, seq);
        Some((lane, key))
    }

    /// The highest priority of what may start.
    pub(super) fn top(&self) -> Option<Priority> {
        self.ready.last().copied()
    }

    /// What a change of a user's DAGs means for the user and the level.
    fn settle(&mut self, priority: Priority, owner: u32) {
        let Some(level) = self.levels.get_mut(&priority) else {
            return;
        };
        let (empty, ready) = level
            .get_mut(&owner)
            .map_or((true, false), |user| (user.is_empty(), user.is_ready()));
        if empty {
            level.leave(&owner);
        } else {
            level.set_ready(&owner, ready);
        }
        if level.is_ready() {
            self.ready.insert(priority);
        } else {
            self.ready.remove(&priority);
        }
    }
}
