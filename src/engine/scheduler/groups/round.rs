//! A round of members that are served in turn: next is the one that was served least recently.

use std::collections::{BTreeMap, BTreeSet};

/// Most members that have nothing to be served any more and keep their turn for when they have. Who comes back so does
/// not lose to those that stayed; beyond this number the longest away is forgotten.
const REMEMBERED: usize = 256;

/// Smaller is sooner. Of one that was served: when, and nothing comes after it; of one that is new: when the last one
/// was served, and when it came. So a new one goes before that one, and behind all others that wait.
pub(super) type Turn = (u64, u64);

#[derive(Debug, Default)]
struct Member<V> {
    turn: Turn,
    ready: bool,
    value: V,
}

/// The members. Times are readings of a counter that only grows. Whoever is served comes last, and who is new only
/// overtakes who was served last, so nobody starves.
#[derive(Debug)]
pub(super) struct Round<K, V> {
    members: BTreeMap<K, Member<V>>,
    ready: BTreeSet<(Turn, K)>,
    left: BTreeMap<K, Turn>,
    left_first: BTreeSet<(Turn, K)>,
    /// When one was served last.
    last: u64,
}

impl<K, V> Default for Round<K, V> {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            ready: BTreeSet::new(),
            left: BTreeMap::new(),
            left_first: BTreeSet::new(),
            last: 0,
        }
    }
}

impl<K: Ord + Clone, V: Default> Round<K, V> {
    /// A member; one that was here before keeps its turn.
    pub(super) fn enter(&mut self, key: &K, now: u64) -> &mut V {
        if !self.members.contains_key(key) {
            let before = self.left.remove(key);
            if let Some(before) = before {
                self.left_first.remove(&(before, key.clone()));
            }
            let member = Member {
                turn: before.unwrap_or((self.last, now)),
                ready: false,
                value: V::default(),
            };
            self.members.insert(key.clone(), member);
        }
        &mut self.members.entry(key.clone()).or_default().value
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.members.get_mut(key).map(|member| &mut member.value)
    }

    /// Says whether a member can be served.
    pub(super) fn set_ready(&mut self, key: &K, ready: bool) {
        if let Some(member) = self.members.get_mut(key)
            && member.ready != ready
        {
            member.ready = ready;
            if ready {
                self.ready.insert((member.turn, key.clone()));
            } else {
                self.ready.remove(&(member.turn, key.clone()));
            }
        }
    }

    /// A member is served: it comes last now.
    pub(super) fn serve(&mut self, key: &K, now: u64) {
        let turn = (now, u64::MAX);
        self.last = now;
        if let Some(member) = self.members.get_mut(key) {
            if member.ready {
                self.ready.remove(&(member.turn, key.clone()));
                self.ready.insert((turn, key.clone()));
            }
            member.turn = turn;
        }
    }

    /// A member has nothing to be served any more.
    pub(super) fn leave(&mut self, key: &K) {
        self.set_ready(key, false);
        if let Some(member) = self.members.remove(key) {
            self.left.insert(key.clone(), member.turn);
            self.left_first.insert((member.turn, key.clone()));
            if self.left.len() > REMEMBERED
                && let Some((_, oldest)) = self.left_first.pop_first()
            {
                self.left.remove(&oldest);
            }
        }
    }

    /// Whose turn it is.
    pub(super) fn next(&self) -> Option<&K> {
        self.ready.first().map(|(_, key)| key)
    }

    /// Whether anybody can be served.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}
