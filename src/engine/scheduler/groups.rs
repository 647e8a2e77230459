//! Groups: who waits, who is live, and who is next. Nothing here is searched; each step costs O(log n).

use std::collections::BTreeMap;

use super::run::Key;
use crate::model::GroupName;

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
    pub(super) fn push(&mut self, name: &GroupName, seq: i64, key: Key) {
        if let Some(group) = self.groups.get_mut(name) {
            group.queue.insert(seq, key);
        }
        self.refresh(name);
    }

    /// Takes a run out of its queue.
    pub(super) fn remove(&mut self, name: &GroupName, seq: i64) {
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
        let (_, key) = self.groups.get_mut(&name)?.queue.pop_first()?;
        self.occupy(&name);
        Some(key)
    }

    /// Live attempts in all groups, those of guests included.
    pub(super) const fn live(&self) -> u32 {
        self.live
    }

    /// Whether there is no group.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.ready.is_empty() && self.guests.is_empty()
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
