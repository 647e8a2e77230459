//! How many runs rest in queues: of all, and of each queue.

use std::collections::BTreeMap;

use super::run::Run;
use crate::model::GroupName;

/// The counts. A queue in which nothing rests is not there, and runs that others called are in none.
#[derive(Debug, Default)]
pub(super) struct Resting {
    all: usize,
    of_queues: BTreeMap<GroupName, usize>,
}

impl Resting {
    /// The run comes to rest in its queue.
    pub(super) fn add(&mut self, run: &Run) {
        self.all += 1;
        if !run.is_guest() {
            *self.of_queues.entry(run.group.clone()).or_default() += 1;
        }
    }

    /// The run rests no more.
    pub(super) fn take(&mut self, run: &Run) {
        self.all = self.all.saturating_sub(1);
        let of_queue = self.of_queues.get_mut(&run.group);
        let Some(count) = of_queue.filter(|_| !run.is_guest()) else {
            return;
        };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.of_queues.remove(&run.group);
        }
    }

    /// How many in all.
    pub(super) const fn all(&self) -> usize {
        self.all
    }

    /// How many in a queue.
    pub(super) fn in_queue(&self, queue: &GroupName) -> usize {
        self.of_queues.get(queue).copied().unwrap_or(0)
    }

    /// Whether none rests.
    pub(super) fn is_empty(&self) -> bool {
        self.all == 0 && self.of_queues.is_empty()
    }
}
