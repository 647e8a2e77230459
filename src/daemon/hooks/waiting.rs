//! Notices that wait for their command. Owners take turns, and who has too many loses some, not who has few.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::Notice;

/// Notices by number, and whose they are.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    notices: BTreeMap<i64, Notice>,
    owners: BTreeMap<u32, BTreeSet<i64>>,
    /// How many each owner has.
    counts: BTreeSet<(usize, u32)>,
    /// The owners in the order of their turns, and the turn of each.
    turns: BTreeMap<u64, u32>,
    turn_of: BTreeMap<u32, u64>,
    last_turn: u64,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.notices.len()
    }

    pub(super) fn push(&mut self, notice: Notice) {
        let (id, owner) = (notice.id, notice.facts.owner);
        self.notices.insert(id, notice);
        self.change(owner, |ids| {
            ids.insert(id);
        });
    }

    /// Takes the oldest of the owner whose turn it is. The owner's next turn comes after those of all who wait now.
    pub(super) fn pop(&mut self) -> Option<Notice> {
        let (_, owner) = self.turns.pop_first()?;
        self.turn_of.remove(&owner);
        let id = *self.owners.get(&owner)?.first()?;
        self.take(id)
    }

    /// Takes the oldest of the owner who has most.
    pub(super) fn drop_one(&mut self) -> Option<Notice> {
        let (_, owner) = self.counts.last()?;
        let id = *self.owners.get(owner)?.first()?;
        self.take(id)
    }

    fn take(&mut self, id: i64) -> Option<Notice> {
        let notice = self.notices.remove(&id)?;
        self.change(notice.facts.owner, |ids| {
            ids.remove(&id);
        });
        Some(notice)
    }

    fn change(&mut self, owner: u32, how: impl FnOnce(&mut BTreeSet<i64>)) {
        let ids = self.owners.entry(owner).or_default();
        self.counts.remove(&(ids.len(), owner));
        how(ids);
        if ids.is_empty() {
            self.owners.remove(&owner);
            if let Some(turn) = self.turn_of.remove(&owner) {
                self.turns.remove(&turn);
            }
        } else {
            self.counts.insert((ids.len(), owner));
            if let Entry::Vacant(none) = self.turn_of.entry(owner) {
                self.last_turn += 1;
                none.insert(self.last_turn);
                self.turns.insert(self.last_turn, owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DagName, NoticeEvent, NoticeFacts, RunId, RunRef, RunStatus, Time, Trigger};

    fn notice(id: i64, owner: u32) -> Notice {
        Notice {
            id,
            run: RunRef {
                dag: DagName::new("d").unwrap(),
                id: RunId::new("r").unwrap(),
            },
            event: NoticeEvent::Failed,
            at: Time(0),
            facts: NoticeFacts {
                attempt: None,
                attempts: 0,
                status: RunStatus::Failed,
                error: None,
                lost: None,
                owner,
                trigger: Trigger::Manual,
                started_at: None,
                finished_at: None,
                log_dir: String::new(),
            },
        }
    }

    #[test]
    fn owners_take_turns() {
        let mut waiting = Waiting::default();
        for id in 1..=5 {
            waiting.push(notice(id, 7));
        }
        waiting.push(notice(6, 8));
        let mut order = Vec::new();
        while let Some(next) = waiting.pop() {
            if next.id == 2 {
                // Who comes later does not wait for all the others of who has many.
                waiting.push(notice(7, 9));
                waiting.push(notice(8, 8));
            }
            order.push(next.id);
        }
        assert_eq!(order, [1, 6, 2, 3, 7, 8, 4, 5]);
        assert!(waiting.turns.is_empty() && waiting.turn_of.is_empty());
    }

    #[test]
    fn who_has_most_loses_the_oldest() {
        let mut waiting = Waiting::default();
        for (id, owner) in [(1, 7), (2, 9), (3, 9), (4, 9), (5, 8)] {
            waiting.push(notice(id, owner));
        }
        let mut dropped = Vec::new();
        while waiting.len() > 3 {
            dropped.extend(waiting.drop_one().map(|notice| notice.id));
        }
        assert_eq!(dropped, [2, 3]);
        let rest: Vec<i64> = std::iter::from_fn(|| waiting.pop())
            .map(|notice| notice.id)
            .collect();
        assert_eq!(rest, [1, 4, 5]);
        assert!(waiting.owners.is_empty() && waiting.counts.is_empty());
        assert!(waiting.turns.is_empty() && waiting.turn_of.is_empty());
        assert!(waiting.drop_one().is_none());
    }
}
