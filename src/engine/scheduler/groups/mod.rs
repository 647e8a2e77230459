//! Groups: who waits, who is live, and who is next. Nothing here is searched; each step costs O(log n).
//!
//! A run waits in a lane of its queue, made of its priority, its user and its DAG. A queue that is full or paused, and
//! a DAG that is full or blocked, take what they hold up out of the order, so that it stands in nobody's way, and put it
//! back when that is over.

mod group;
mod jobs;
mod lanes;
mod round;
mod rows;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::run::{Key, Run};
use crate::model::{DagName, GroupName, Priority};
use group::Group;
use jobs::{Jobs, Turned, is_own};
use lanes::LaneId;
use round::Turn;

/// How a queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Load {
    pub(super) capacity: Option<u32>,
    pub(super) live: u32,
    pub(super) paused: bool,
}

/// All groups, and the order in which their runs may start: across groups the highest priority, then the group that
/// was served least recently.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<GroupName, Group>,
    ready: BTreeSet<(Reverse<Priority>, Turn, GroupName)>,
    /// Queues whose first run starts at once.
    hurried: BTreeSet<(i64, GroupName)>,
    /// Runs that were called by others, in order. They never wait for a slot: the run that called them holds one, and
    /// would wait for them for ever.
    guests: BTreeMap<i64, Key>,
    jobs: Jobs,
    /// Queues that start nothing, whether they hold runs or not.
    paused: BTreeSet<GroupName>,
    /// Capacities that an administrator decides: what runs say does not count there.
    named: BTreeMap<GroupName, u32>,
    first: i64,
    last: i64,
    live: u32,
    /// A counter that orders what happens.
    clock: u64,
    /// When a queue was served last.
    served: u64,
}

impl Groups {
    /// A place behind every other.
    pub(super) fn back(&mut self) -> i64 {
        self.last = self.last.saturating_add(1);
        self.last
    }

    /// A place before every other.
    pub(super) fn front(&mut self) -> i64 {
        self.first = self.first.saturating_sub(1);
        self.first
    }

    /// Adds a run. `capacity`, and the run's limit of its DAG, replace those that were told before, or only fill them in
    /// if `keep` is set.
    pub(super) fn join(&mut self, run: &Run, capacity: u32, keep: bool) {
        let turn = (self.served, self.now());
        let name = &run.group;
        let group = self.groups.entry(name.clone()).or_insert_with(|| Group {
            turn,
            ..Group::default()
        });
        let own = is_own(name, &run.name.dag);
        let named = self.named.get(name).copied();
        let (told, members) = if own {
            (&mut group.own_capacity, group.own_members)
        } else {
            (&mut group.capacity, group.members - group.own_members)
        };
        if !keep || members == 0 {
            *told = capacity;
        }
        group.members += 1;
        group.own_members += usize::from(own);
        self.refresh(name);
        let own = own.then_some((capacity, named));
        let turned = self.jobs.join(&run.name.dag, run.owner, run.dag_limit, own, keep);
        self.turn_lanes(&run.name.dag, turned);
    }

    /// Removes a run; it is neither queued nor live any more.
    pub(super) fn leave(&mut self, run: &Run) {
        let name = &run.group;
        let own = is_own(name, &run.name.dag);
        self.jobs.leave(&run.name.dag, run.owner, own);
        if let Some(group) = self.groups.get_mut(name) {
            group.members = group.members.saturating_sub(1);
            group.own_members = group.own_members.saturating_sub(usize::from(own));
            if group.members == 0 {
                self.groups.remove(name);
            }
        }
    }

    /// Puts a run into its queue.
    pub(super) fn push(&mut self, run: &Run, key: Key) {
        if run.is_guest() {
            self.guests.insert(run.seq, key);
            return;
        }
        let now = self.now();
        let name = &run.group;
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        if run.now {
            group.hurried.insert(run.seq, key);
        } else {
            let lane = lane_of(run);
            let place = (name.clone(), lane.priority);
            let open = self.jobs.wait(&lane.dag, lane.owner, place);
            group.lanes(name, &lane.dag).push(&lane, run.seq, key, open, now);
        }
        self.refresh(name);
    }

    /// Takes a run out of its queue.
    pub(super) fn remove(&mut self, run: &Run) {
        if run.is_guest() {
            self.guests.remove(&run.seq);
            return;
        }
        let name = &run.group;
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        if run.now {
            group.hurried.remove(&run.seq);
        } else {
            let lane = lane_of(run);
            group.lanes(name, &lane.dag).remove(&lane, run.seq);
            let place = (name.clone(), lane.priority);
            self.jobs.wait_no_more(&lane.dag, lane.owner, &place);
        }
        self.refresh(name);
    }

    /// Counts one more live attempt: of a guest in all, but in no group.
    pub(super) fn occupy(&mut self, run: &Run) {
        self.live += 1;
        if run.is_guest() {
            return;
        }
        let own = is_own(&run.group, &run.name.dag);
        if let Some(group) = self.groups.get_mut(&run.group) {
            group.live += 1;
            group.own_live += u32::from(own);
        }
        self.refresh(&run.group);
        let turned = self.jobs.occupy(&run.name.dag, run.owner, own);
        self.turn_lanes(&run.name.dag, turned);
    }

    /// Counts one live attempt less.
    pub(super) fn vacate(&mut self, run: &Run) {
        self.live = self.live.saturating_sub(1);
        if run.is_guest() {
            return;
        }
        let own = is_own(&run.group, &run.name.dag);
        if let Some(group) = self.groups.get_mut(&run.group) {
            group.live = group.live.saturating_sub(1);
            group.own_live = group.own_live.saturating_sub(u32::from(own));
        }
        self.refresh(&run.group);
        let turned = self.jobs.vacate(&run.name.dag, run.owner, own);
        self.turn_lanes(&run.name.dag, turned);
    }

    /// Takes the next run that may start out of its queue; it is to be counted as live before the next one is taken.
    /// `max_live` is over all groups; 0 is no limit. Guests come first, then those that start at once.
    pub(super) fn take(&mut self, max_live: u32) -> Option<Key> {
        if let Some((_, key)) = self.guests.pop_first() {
            return Some(key);
        }
        if let Some((seq, name)) = self.hurried.first().cloned() {
            let key = self.groups.get_mut(&name)?.hurried.remove(&seq);
            self.refresh(&name);
            return key;
        }
        if max_live != 0 && self.live >= max_live {
            return None;
        }
        let (_, _, name) = self.ready.first().cloned()?;
        self.served = self.now();
        let group = self.groups.get_mut(&name)?;
        group.turn = (self.served, u64::MAX);
        let (shared, own) = group.tops(self.named.get(&name).copied());
        // Those of the same priority take turns.
        let from_own = own > shared || (own == shared && !group.own_served);
        group.own_served = from_own;
        let lanes = if from_own {
            &mut group.own
        } else {
            &mut group.lanes
        };
        let (lane, key) = lanes.pop(self.served)?;
        let place = (name, lane.priority);
        self.jobs.wait_no_more(&lane.dag, lane.owner, &place);
        self.refresh(&place.0);
        Some(key)
    }

    /// Starts nothing of a queue any more, or again.
    pub(super) fn pause(&mut self, name: &GroupName, on: bool) {
        if on {
            self.paused.insert(name.clone());
        } else {
            self.paused.remove(name);
        }
        self.refresh(name);
    }

    /// Starts nothing more of a user's DAG until [`Self::unblock`] was called as often. What starts at once does all the
    /// same.
    pub(super) fn block(&mut self, dag: &DagName, owner: u32) {
        let turned = self.jobs.block(dag, owner);
        self.turn_lanes(dag, turned);
    }

    /// Takes one [`Self::block`] back.
    pub(super) fn unblock(&mut self, dag: &DagName, owner: u32) {
        let turned = self.jobs.unblock(dag, owner);
        self.turn_lanes(dag, turned);
    }

    /// An administrator decides the capacities of these queues, whoever's runs they hold; others keep what runs have
    /// told, and so do those of which nothing is decided any more.
    pub(super) fn configure(&mut self, named: BTreeMap<GroupName, u32>) {
        let before = std::mem::replace(&mut self.named, named);
        let known: BTreeSet<GroupName> = before.into_keys().chain(self.named.keys().cloned()).collect();
        for name in known {
            if let Ok(dag) = DagName::new(name.as_str()) {
                let turned = self.jobs.configure(&dag, self.named.get(&name).copied());
                self.turn_lanes(&dag, turned);
            }
        }
        let groups: Vec<GroupName> = self.groups.keys().cloned().collect();
        for name in groups {
            self.refresh(&name);
        }
    }

    /// How a queue stands. Its capacity is known if it is configured or holds runs.
    pub(super) fn load(&self, name: &GroupName) -> Load {
        let group = self.groups.get(name);
        let told = group.map(|group| {
            if group.members == group.own_members {
                group.own_capacity
            } else {
                group.capacity
            }
        });
        Load {
            capacity: self.named.get(name).copied().or(told),
            live: group.map_or(0, |group| group.live),
            paused: self.paused.contains(name),
        }
    }

    /// The queues that are configured, hold runs or are paused.
    pub(super) fn names(&self) -> BTreeSet<&GroupName> {
        let known = self.groups.keys().chain(self.named.keys());
        known.chain(&self.paused).collect()
    }

    /// Limit and live runs of the run's DAG.
    pub(super) fn dag_load(&self, run: &Run) -> (u32, u32) {
        self.jobs.load(&run.name.dag, run.owner)
    }

    /// Capacity and live runs of the run's queue, as far as they count for it.
    pub(super) fn queue_load(&self, run: &Run) -> (u32, u32) {
        let Some(group) = self.groups.get(&run.group) else {
            return (0, 0);
        };
        if let Some(named) = self.named.get(&run.group) {
            (*named, group.live)
        } else if is_own(&run.group, &run.name.dag) {
            self.jobs.own_load(&run.name.dag, run.owner)
        } else {
            (group.capacity, group.live.saturating_sub(group.own_live))
        }
    }

    /// Whether nothing of the run's DAG is to start.
    pub(super) fn is_blocked(&self, run: &Run) -> bool {
        self.jobs.is_blocked(&run.name.dag, run.owner)
    }

    /// Live attempts in all groups, those of guests included.
    pub(super) const fn live(&self) -> u32 {
        self.live
    }

    /// Whether there is no group, and nothing that waits or is blocked.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
            && self.ready.is_empty()
            && self.hurried.is_empty()
            && self.guests.is_empty()
            && self.jobs.is_empty()
    }

    const fn now(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn turn_lanes(&mut self, dag: &DagName, turned: Vec<Turned>) {
        for (name, priority, owner, open) in turned {
            if let Some(group) = self.groups.get_mut(&name) {
                let lane = LaneId {
                    priority,
                    owner,
                    dag: dag.clone(),
                };
                group.lanes(&name, dag).set_open(&lane, open);
            }
            self.refresh(&name);
        }
    }

    fn refresh(&mut self, name: &GroupName) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        let paused = self.paused.contains(name);
        let (shared, own) = group.tops(self.named.get(name).copied());
        let top = shared.max(own).filter(|_| !paused);
        let ready = top.map(|priority| (Reverse(priority), group.turn));
        if ready != group.ready {
            if let Some((priority, turn)) = group.ready {
                self.ready.remove(&(priority, turn, name.clone()));
            }
            if let Some((priority, turn)) = ready {
                self.ready.insert((priority, turn, name.clone()));
            }
            group.ready = ready;
        }
        let first = group.hurried.first_key_value().map(|(seq, _)| *seq);
        let hurry = first.filter(|_| !paused);
        if hurry != group.hurry {
            if let Some(seq) = group.hurry {
                self.hurried.remove(&(seq, name.clone()));
            }
            if let Some(seq) = hurry {
                self.hurried.insert((seq, name.clone()));
            }
            group.hurry = hurry;
        }
    }
}

fn lane_of(run: &Run) -> LaneId {
    LaneId {
        priority: run.priority,
        owner: run.owner,
        dag: run.name.dag.clone(),
    }
}
