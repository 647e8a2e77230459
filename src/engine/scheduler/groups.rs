//! Groups: who waits, who is live, and who is next. Nothing here is searched; each step costs O(log n).

use std::collections::BTreeMap;

use super::run::Key;
use crate::model::{DagName, GroupName};

/// One capacity domain. It is forgotten with its last run.
#[derive(Debug, Default)]
struct Group {
    capacity: u32,
    live: u32,
    members: usize,
    queue: BTreeMap<i64, Key>,
    /// The place of its first run, if that run could start as far as this group is concerned.
    ready: Option<i64>,
}

/// All groups, and the order in which their first runs may start: across groups, too, the older run goes first.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<GroupName, Group>,
    ready: BTreeMap<i64, GroupName>,
    /// Runs that were called by others, in order. They never wait for a slot: the run that called them holds one, and
    /// would wait for them for ever.
    guests: BTreeMap<i64, Key>,
    /// DAGs of which nothing starts that waits, and for how many reasons.
    blocked: BTreeMap<DagName, u32>,
    /// What waits of them, by place; it is in no queue.
    parked: BTreeMap<i64, (DagName, GroupName, Key)>,
    /// The DAG of each run in a queue.
    dags: BTreeMap<i64, DagName>,
    first: i64,
    last: i64,
    live: u32,
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

    /// Adds a run. `capacity` replaces that of the group, or only fills it in if `keep` is set.
    pub(super) fn join(&mut self, name: &GroupName, capacity: u32, keep: bool) {
        let group = self.groups.entry(name.clone()).or_default();
        if !keep || group.members == 0 {
            group.capacity = capacity;
        }
        group.members += 1;
        self.refresh(name);
    }

    /// Removes a run; it is neither queued nor live any more.
    pub(super) fn leave(&mut self, name: &GroupName) {
        if let Some(group) = self.groups.get_mut(name) {
            group.members = group.members.saturating_sub(1);
            if group.members == 0 && group.queue.is_empty() && group.live == 0 {
                self.groups.remove(name);
            }
        }
    }

    /// Puts a run into its queue.
    pub(super) fn push(&mut self, name: &GroupName, dag: &DagName, seq: i64, key: Key) {
        if self.blocked.contains_key(dag) {
            self.parked.insert(seq, (dag.clone(), name.clone(), key));
            return;
        }
        self.dags.insert(seq, dag.clone());
        if let Some(group) = self.groups.get_mut(name) {
            group.queue.insert(seq, key);
        }
        self.refresh(name);
    }

    /// Takes a run out of its queue.
    pub(super) fn remove(&mut self, name: &GroupName, seq: i64) {
        self.parked.remove(&seq);
        self.dags.remove(&seq);
        if let Some(group) = self.groups.get_mut(name) {
            group.queue.remove(&seq);
        }
        self.refresh(name);
    }

    /// Counts one more live attempt.
    pub(super) fn occupy(&mut self, name: &GroupName) {
        if let Some(group) = self.groups.get_mut(name) {
            group.live += 1;
            self.live += 1;
        }
        self.refresh(name);
    }

    /// Counts one live attempt less.
    pub(super) fn vacate(&mut self, name: &GroupName) {
        if let Some(group) = self.groups.get_mut(name) {
            group.live = group.live.saturating_sub(1);
            self.live = self.live.saturating_sub(1);
        }
        self.refresh(name);
    }

    /// Passes over what waits of a DAG, until it is unblocked as often.
    pub(super) fn block(&mut self, dag: &DagName) {
        *self.blocked.entry(dag.clone()).or_default() += 1;
        let places: Vec<i64> = self
            .dags
            .iter()
            .filter(|(_, of)| *of == dag)
            .map(|(seq, _)| *seq)
            .collect();
        let names: Vec<GroupName> = self.groups.keys().cloned().collect();
        for seq in places {
            for name in &names {
                let key = self
                    .groups
                    .get_mut(name)
                    .and_then(|group| group.queue.remove(&seq));
                if let Some(key) = key {
                    self.dags.remove(&seq);
                    self.parked.insert(seq, (dag.clone(), name.clone(), key));
                    self.refresh(name);
                }
            }
        }
    }

    /// One reason less to pass over what waits of a DAG.
    pub(super) fn unblock(&mut self, dag: &DagName) {
        let Some(count) = self.blocked.get_mut(dag) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.blocked.remove(dag);
            let mine = self.parked.iter().filter(|(_, (of, ..))| of == dag);
            let mine: Vec<i64> = mine.map(|(seq, _)| *seq).collect();
            for seq in mine {
                if let Some((dag, name, key)) = self.parked.remove(&seq) {
                    self.push(&name, &dag, seq, key);
                }
            }
        }
    }

    /// Puts a guest into the queue.
    pub(super) fn push_guest(&mut self, seq: i64, key: Key) {
        self.guests.insert(seq, key);
    }

    /// Takes a guest out of the queue.
    pub(super) fn remove_guest(&mut self, seq: i64) {
        self.guests.remove(&seq);
    }

    /// Counts one more live guest: in all, but in no group.
    pub(super) const fn occupy_guest(&mut self) {
        self.live += 1;
    }

    /// Counts one live guest less.
    pub(super) const fn vacate_guest(&mut self) {
        self.live = self.live.saturating_sub(1);
    }

    /// Takes the next run that may start and counts it as live. `max_live` is over all groups; 0 is no limit. Guests
    /// come first.
    pub(super) fn take(&mut self, max_live: u32) -> Option<Key> {
        if let Some((_, key)) = self.guests.pop_first() {
            self.occupy_guest();
            return Some(key);
        }
        if max_live != 0 && self.live >= max_live {
            return None;
        }
        let name = self.ready.first_key_value()?.1.clone();
        let (seq, key) = self.groups.get_mut(&name)?.queue.pop_first()?;
        self.dags.remove(&seq);
        self.occupy(&name);
        Some(key)
    }

    /// Live attempts in all groups, those of guests included.
    pub(super) const fn live(&self) -> u32 {
        self.live
    }

    /// Whether there is no group.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.ready.is_empty() && self.guests.is_empty() && self.blocked.is_empty()
    }

    fn refresh(&mut self, name: &GroupName) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        let free = group.capacity == 0 || group.live < group.capacity;
        let next = group
            .queue
            .first_key_value()
            .map(|(seq, _)| *seq)
            .filter(|_| free);
        if next != group.ready {
            if let Some(old) = group.ready {
                self.ready.remove(&old);
            }
            if let Some(new) = next {
                self.ready.insert(new, name.clone());
            }
            group.ready = next;
        }
    }
}
