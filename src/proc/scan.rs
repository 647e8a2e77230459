//! What a walk over the proc directory found, and the questions it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::entry::{Entry, EntryError};
use super::verdict::Verdict;
use crate::model::{AttemptId, DagName, GroupName, RunRef, Time};

/// Something in the proc directory that is no valid entry.
#[derive(Debug, thiserror::Error)]
#[error("{path:?} is not a valid proc entry: {error}")]
pub struct BadEntry {
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub error: EntryError,
    /// Device and inode of what was found, if it could be told.
    pub inode: Option<(u64, u64)>,
    /// Group and DAG of the directory it lies in, if it lies in one.
    pub place: Option<(GroupName, DagName)>,
}

/// All entries at one moment. One walk answers any number of questions.
///
/// "Alive" here means that the entry's verdict is not [`Verdict::Dead`]: an own entry counts while its lock
/// is held, even if it has fallen silent, and not a moment longer; a foreign one counts while it is fresh.
#[derive(Debug)]
pub struct Scan {
    /// When it was made; freshness is judged for this moment.
    pub at: Time,
    /// The age from which on a heartbeat is stale.
    pub stale_after: Duration,
    /// The valid entries, fresh or not, sorted by path.
    pub entries: Vec<Entry>,
    /// The others, sorted by path.
    pub bad: Vec<BadEntry>,
}

impl Scan {
    /// Whether the entry takes up a slot.
    #[must_use]
    pub fn is_alive(&self, entry: &Entry) -> bool {
        entry.verdict(self.at, self.stale_after).occupies()
    }

    fn alive(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| self.is_alive(entry))
    }

    fn alive_in(&self, group: &GroupName) -> impl Iterator<Item = &Entry> {
        self.alive().filter(move |entry| entry.group == *group)
    }

    /// Number of distinct runs that are alive in the group. Two live attempts of a run count once.
    #[must_use]
    pub fn count_alive(&self, group: &GroupName) -> usize {
        self.alive_in(group)
            .map(|entry| &entry.meta.run)
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// The same for the runs of one DAG.
    #[must_use]
    pub fn count_alive_by_dag(&self, group: &GroupName, dag: &DagName) -> usize {
        let of_dag = self.alive_in(group).filter(|entry| entry.meta.run.dag == *dag);
        of_dag
            .map(|entry| &entry.meta.run.id)
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// Whether an attempt of the run is alive in the group.
    #[must_use]
    pub fn is_run_alive(&self, group: &GroupName, run: &RunRef) -> bool {
        self.alive_in(group).any(|entry| entry.meta.run == *run)
    }

    /// Whether this attempt is alive in the group.
    #[must_use]
    pub fn is_attempt_alive(&self, group: &GroupName, run: &RunRef, attempt: &AttemptId) -> bool {
        self.alive_in(group)
            .any(|entry| entry.meta.run == *run && entry.meta.attempt == *attempt)
    }

    /// The distinct runs alive in the group, sorted by name and id.
    #[must_use]
    pub fn list_alive(&self, group: &GroupName) -> Vec<RunRef> {
        let runs: BTreeSet<_> = self.alive_in(group).map(|entry| entry.meta.run.clone()).collect();
        runs.into_iter().collect()
    }

    /// The runs alive in each group that has some.
    #[must_use]
    pub fn list_all_alive(&self) -> BTreeMap<GroupName, Vec<RunRef>> {
        let mut groups: BTreeMap<GroupName, BTreeSet<RunRef>> = BTreeMap::new();
        for entry in self.alive() {
            groups
                .entry(entry.group.clone())
                .or_default()
                .insert(entry.meta.run.clone());
        }
        groups
            .into_iter()
            .map(|(group, runs)| (group, runs.into_iter().collect()))
            .collect()
    }

    /// Of the DAG's entries in the group that are alive and not silent, the one started last; of those, the one
    /// that beat last.
    #[must_use]
    pub fn latest_fresh_by_dag(&self, group: &GroupName, dag: &DagName) -> Option<&Entry> {
        self.alive_in(group)
            .filter(|entry| entry.meta.run.dag == *dag)
            .filter(|entry| entry.verdict(self.at, self.stale_after) == Verdict::Alive)
            .max_by_key(|entry| (entry.meta.started_at, entry.heartbeat))
    }
}
