//! A queue: what it holds, and what of it may start.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::jobs::is_own;
use super::lanes::Lanes;
use super::round::Turn;
use crate::engine::scheduler::run::Key;
use crate::model::{DagName, GroupName, Priority};

/// One capacity domain. It is forgotten with its last run.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Of what waits in `lanes`, as runs have told; what is configured counts instead, and for all.
    pub(super) capacity: u32,
    /// Live runs, and those among them of the DAG with the queue's name.
    pub(super) live: u32,
    pub(super) own_live: u32,
    /// What the newest run of that DAG has told of the capacity, which holds for each user by itself.
    pub(super) own_capacity: u32,
    pub(super) members: usize,
    pub(super) own_members: usize,
    pub(super) lanes: Lanes,
    /// Where runs of the DAG with the queue's name wait.
    pub(super) own: Lanes,
    /// Whether such a run was served last.
    pub(super) own_served: bool,
    /// Runs that start at once, in order. They only wait for a paused queue.
    pub(super) hurried: BTreeMap<i64, Key>,
    /// When it was served, as in a round.
    pub(super) turn: Turn,
    /// Its place among the queues, if a run of it could start as far as it is concerned.
    pub(super) ready: Option<(Reverse<Priority>, Turn)>,
    /// The place of its first run that starts at once, if it may.
    pub(super) hurry: Option<i64>,
}

impl Group {
    /// Where runs of that DAG wait in this queue.
    pub(super) fn lanes(&mut self, name: &GroupName, dag: &DagName) -> &mut Lanes {
        if is_own(name, dag) {
            &mut self.own
        } else {
            &mut self.lanes
        }
    }

    /// The highest priorities of what may start: of other DAGs, and of the one with the queue's name. Those of that one
    /// have a limit for each user, and take no place of the others unless the queue's capacity is configured (`named`).
    pub(super) fn tops(&self, named: Option<u32>) -> (Option<Priority>, Option<Priority>) {
        let counted = if named.is_some() {
            self.live
        } else {
            self.live.saturating_sub(self.own_live)
        };
        let capacity = named.unwrap_or(self.capacity);
        let free = capacity == 0 || counted < capacity;
        let own = self.own.top().filter(|_| free || named.is_none());
        (self.lanes.top().filter(|_| free), own)
    }
}
