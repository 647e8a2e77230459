//! How many runs that schedules made wait: of each DAG, and of each user.

use std::collections::BTreeMap;

use super::run::Run;
use crate::model::DagName;

/// The counts. What is none is not there.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    of_users: BTreeMap<u32, usize>,
    of_dags: BTreeMap<(DagName, u32), usize>,
}

/// Whether a schedule made the run, and it is in memory without being live: it waits for its turn or a retry.
const fn counts(run: &Run) -> bool {
    run.origin.scheduled_for.is_some() && !run.slot
}

impl Waiting {
    /// The run has come into memory, or is not live any more.
    pub(super) fn add(&mut self, run: &Run) {
        if counts(run) {
            *self.of_users.entry(run.owner).or_default() += 1;
            let dag = (run.name.dag.clone(), run.owner);
            *self.of_dags.entry(dag).or_default() += 1;
        }
    }

    /// The run leaves memory, or is about to be live.
    pub(super) fn take(&mut self, run: &Run) {
        fn less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
            let Some(count) = counts.get_mut(key) else { return };
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(key);
            }
        }
        if counts(run) {
            less(&mut self.of_users, &run.owner);
            less(&mut self.of_dags, &(run.name.dag.clone(), run.owner));
        }
    }

    /// How many wait of a user's DAGs.
    pub(super) fn of_user(&self, owner: u32) -> usize {
        self.of_users.get(&owner).copied().unwrap_or(0)
    }

    /// How many wait of a user's DAG.
    pub(super) fn of_dag(&self, dag: &DagName, owner: u32) -> usize {
        let count = self.of_dags.get(&(dag.clone(), owner));
        count.copied().unwrap_or(0)
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.of_users.is_empty() && self.of_dags.is_empty()
    }
}
