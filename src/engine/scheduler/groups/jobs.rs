//! DAGs over all queues: how many runs of each are live, how many may be, and where others wait.
//!
//! Two users may have DAGs of the same name; a limit or a block holds for the runs of one user, so that nobody can hold
//! up somebody else's. So it is with the capacity of the queue that has the DAG's own name, in which its runs wait if
//! nothing names another: it is a limit of each user's DAG, too.

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
    own: Own,
    /// Where its runs wait, and how many in each place. There are few: queues times priorities.
    lanes: BTreeMap<(GroupName, Priority), usize>,
}

/// What the queue with the DAG's own name holds of it.
#[derive(Debug, Default)]
struct Own {
    /// Most live runs, as runs have told; 0 is no limit.
    told: u32,
    /// What is configured counts instead.
    named: Option<u32>,
    live: u32,
    members: usize,
}

/// Whether that is the queue with the DAG's own name.
pub(super) fn is_own(queue: &GroupName, dag: &DagName) -> bool {
    queue.as_str() == dag.as_str()
}

/// A lane that opens or closes: the queue, the priority in it, the user, and whether it is open now.
pub(super) type Turned = (GroupName, Priority, u32, bool);

/// All DAGs of which runs are in memory, or that are blocked.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    users: BTreeMap<(DagName, u32), Job>,
}

impl Jobs {
    /// Adds a run. `limit` replaces that of the DAG, or only fills it in if `keep` is set; and so does `own`, the
    /// capacity of its queue as the run tells it, and as it is configured, if that is the one with the DAG's own name.
    pub(super) fn join(
        &mut self,
        dag: &DagName,
        owner: u32,
        limit: u32,
        own: Option<(u32, Option<u32>)>,
        keep: bool,
    ) -> Vec<Turned> {
        self.change(dag, owner, |job| {
            if !keep || job.members == 0 {
                job.limit = limit;
            }
            job.members += 1;
            if let Some((told, named)) = own {
                if !keep || job.own.members == 0 {
                    job.own.told = told;
                }
                job.own.named = named;
                job.own.members += 1;
            }
        })
    }

    /// Removes a run; it is neither queued nor live any more.
    pub(super) fn leave(&mut self, dag: &DagName, owner: u32, own: bool) {
        self.change(dag, owner, |job| {
            job.members = job.members.saturating_sub(1);
            job.own.members = job.own.members.saturating_sub(usize::from(own));
        });
    }

    /// Counts one more live run.
    pub(super) fn occupy(&mut self, dag: &DagName, owner: u32, own: bool) -> Vec<Turned> {
        self.change(dag, owner, |job| {
            job.live += 1;
            job.own.live += u32::from(own);
        })
    }

    /// Counts one live run less.
    pub(super) fn vacate(&mut self, dag: &DagName, owner: u32, own: bool) -> Vec<Turned> {
        self.change(dag, owner, |job| {
            job.live = job.live.saturating_sub(1);
            job.own.live = job.own.live.saturating_sub(u32::from(own));
        })
    }

    /// An administrator decides the capacity of the queue with the DAG's own name, for all users, or does not any more.
    pub(super) fn configure(&mut self, dag: &DagName, named: Option<u32>) -> Vec<Turned> {
        let users = self.users.range((dag.clone(), 0)..=(dag.clone(), u32::MAX));
        let owners: Vec<u32> = users.map(|((_, owner), _)| *owner).collect();
        let turned = owners
            .into_iter()
            .flat_map(|owner| self.change(dag, owner, |job| job.own.named = named));
        turned.collect()
    }

    /// Capacity and live runs of the queue with the DAG's own name, for each user who has runs in it.
    pub(super) fn own_of(&self, dag: &DagName) -> impl Iterator<Item = (u32, u32, u32)> {
        let users = self.users.range((dag.clone(), 0)..=(dag.clone(), u32::MAX));
        users
            .filter(|(_, job)| job.own.members > 0)
            .map(|((_, owner), job)| (*owner, job.own.capacity(), job.own.live))
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
        let own = is_own(&lane.0, dag);
        *job.lanes.entry(lane).or_default() += 1;
        job.is_open(own)
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

    /// The same of the queue with the DAG's own name.
    pub(super) fn own_load(&self, dag: &DagName, owner: u32) -> (u32, u32) {
        let job = self.users.get(&(dag.clone(), owner));
        job.map_or((0, 0), |job| (job.own.capacity(), job.own.live))
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
        let before = [job.is_open(false), job.is_open(true)];
        change(job);
        if job.members == 0 && job.blocks == 0 {
            self.users.remove(&place);
            return Vec::new();
        }
        if before == [job.is_open(false), job.is_open(true)] {
            return Vec::new();
        }
        let lanes = job.lanes.keys();
        lanes
            .map(|(queue, priority)| {
                let open = job.is_open(is_own(queue, dag));
                (queue.clone(), *priority, owner, open)
            })
            .collect()
    }
}

impl Job {
    /// Whether one more may start, in the queue with the DAG's own name (`own`) or in another.
    const fn is_open(&self, own: bool) -> bool {
        self.blocks == 0
            && (self.limit == 0 || self.live < self.limit)
            && (!own || self.own.capacity() == 0 || self.own.live < self.own.capacity())
    }
}

impl Own {
    /// The capacity that counts.
    const fn capacity(&self) -> u32 {
        match self.named {
            Some(named) => named,
            None => self.told,
        }
    }
}
