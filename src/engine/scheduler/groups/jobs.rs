//! DAGs over all queues: how many runs of each are live, how many may be, and where others wait.
//!
//! Two users may have DAGs of the same name; a limit or a block holds for the runs of one user, so that nobody can hold
//! up somebody else's.

use std::collections::BTreeMap;

use crate::model::{DagName, GroupName, Priority};

/// A DAG of one user.
#[derive(Debug, Default)]
struct Job {
    /// Most live runs; 0 is no limit.
    limit: u32,
    live: u32,
    /// By how many nothing of it is to start.
    blocks: u32,
    members: usize,
    /// Where its runs wait, and how many in each place. There are few: queues times priorities.
    lanes: BTreeMap<(GroupName, Priority), usize>,
}

/// A lane that opens or closes: the queue, the priority in it, the user, and whether it is open now.
pub(super) type Turned = (GroupName, Priority, u32, bool);

/// All DAGs of which runs are in memory, or that are blocked.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    users: BTreeMap<(DagName, u32), Job>,
}

impl Jobs {
    /// Adds a run. `limit` replaces that of the DAG, or only fills it in if `keep` is set.
    pub(super) fn join(&mut self, dag: &DagName, owner: u32, limit: u32, keep: bool) -> Vec<Turned> {
        self.change(dag, owner, |job| {
            if !keep || job.members == 0 {
                job.limit = limit;
            }
            job.members += 1;
        })
    }

    /// Removes a run; it is neither queued nor live any more.
    pub(super) fn leave(&mut self, dag: &DagName, owner: u32) {
        self.change(dag, owner, |job| job.members = job.members.saturating_sub(1));
    }

    /// Counts one more live run.
    pub(super) fn occupy(&mut self, dag: &DagName, owner: u32) -> Vec<Turned> {
        self.change(dag, owner, |job| job.live += 1)
    }

    /// Counts one live run less.
    pub(super) fn vacate(&mut self, dag: &DagName, owner: u32) -> Vec<Turned> {
        self.change(dag, owner, |job| job.live = job.live.saturating_sub(1))
    }

    /// One more wants nothing of the DAG to start.
    pub(super) fn block(&mut self, dag: &DagName, owner: u32) -> Vec<Turned> {
        self.change(dag, owner, |job| job.blocks += 1)
    }

    /// One fewer wants that.
    pub(super) fn unblock(&mut self, dag: &DagName, owner: u32) -> Vec<Turned> {
        self.change(dag, owner, |job| job.blocks = job.blocks.saturating_sub(1))
    }

    /// A run waits in that lane from now on. Returns whether the lane is open.
    pub(super) fn wait(&mut self, dag: &DagName, owner: u32, lane: (GroupName, Priority)) -> bool {
        let job = self.users.entry((dag.clone(), owner)).or_default();
        *job.lanes.entry(lane).or_default() += 1;
        job.is_free()
    }

    /// A run waits in that lane no more.
    pub(super) fn wait_no_more(&mut self, dag: &DagName, owner: u32, lane: &(GroupName, Priority)) {
        if let Some(job) = self.users.get_mut(&(dag.clone(), owner))
            && let Some(waiting) = job.lanes.get_mut(lane)
        {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                job.lanes.remove(lane);
            }
        }
    }

    /// Limit and live runs of a user's DAG.
    pub(super) fn load(&self, dag: &DagName, owner: u32) -> (u32, u32) {
        let job = self.users.get(&(dag.clone(), owner));
        job.map_or((0, 0), |job| (job.limit, job.live))
    }

    pub(super) fn is_blocked(&self, dag: &DagName, owner: u32) -> bool {
        let job = self.users.get(&(dag.clone(), owner));
        job.is_some_and(|job| job.blocks > 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    fn change(&mut self, dag: &DagName, owner: u32, change: impl FnOnce(&mut Job)) -> Vec<Turned> {
        let place = (dag.clone(), owner);
        let job = self.users.entry(place.clone()).or_default();
        let before = job.is_free();
        change(job);
        let free = job.is_free();
        if job.members == 0 && job.blocks == 0 {
            self.users.remove(&place);
            return Vec::new();
        }
        if before == free {
            return Vec::new();
        }
        job.turned(owner, free)
    }
}

impl Job {
    const fn is_free(&self) -> bool {
        self.blocks == 0 && (self.limit == 0 || self.live < self.limit)
    }

    fn turned(&self, owner: u32, open: bool) -> Vec<Turned> {
        let lanes = self.lanes.keys();
        lanes
            .map(|(queue, priority)| (queue.clone(), *priority, owner, open))
            .collect()
    }
}
