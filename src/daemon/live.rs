//! A run in the daemon's memory.

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::Arc;

use super::decisions::resume_steps;
use super::effects::fresh_view;
use crate::model::change::NewRun;
use crate::model::view::{RunView, StepView};
use crate::model::{Node, RunRef};

/// A run that is queued or live, or has ended and is not cleaned up.
#[derive(Debug)]
pub(super) struct LiveRun {
    pub(super) new: Arc<NewRun>,
    pub(super) view: RunView,
    /// Steps of the attempt before, for a retry.
    pub(super) resume: Option<Vec<StepView>>,
    /// Nodes that changed since they were last given to the store.
    pub(super) unsaved: BTreeSet<Node>,
    /// Whether it is over: its end is in the store, and what it called is gone.
    pub(super) over: bool,
}

impl LiveRun {
    /// A run that has had no attempt.
    pub(super) fn first(new: impl Into<Arc<NewRun>>) -> Self {
        let new = new.into();
        Self {
            view: fresh_view(&new),
            new,
            resume: None,
            unsaved: BTreeSet::new(),
            over: false,
        }
    }

    /// A run whose last attempt has ended.
    pub(super) fn ended(new: impl Into<Arc<NewRun>>, view: RunView) -> Self {
        Self {
            view,
            ..Self::first(new)
        }
    }

    /// A run that waits for a further attempt, after the one that left it like this.
    pub(super) fn further(new: impl Into<Arc<NewRun>>, last: RunView) -> Self {
        let mut queued = Self::first(new);
        queued.view.attempt.clone_from(&last.attempt);
        queued.view.number = last.number;
        queued.resume = Some(resume_steps(last));
        queued
    }
}

/// How much of the daemon's memory the runs of one user take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Share {
    pub(super) runs: usize,
    /// Bytes of their DAGs, as if each run had a copy of its own.
    pub(super) bytes: usize,
}

/// Every run in memory. To count them, or to find a text that they share, none is looked at.
#[derive(Debug, Default)]
pub(super) struct Runs {
    all: HashMap<RunRef, LiveRun>,
    shares: HashMap<u32, Share>,
    /// The DAGs of these runs by hash, and how many have each.
    texts: HashMap<String, (Arc<str>, usize)>,
}

/// Reading needs no care.
impl Deref for Runs {
    type Target = HashMap<RunRef, LiveRun>;
    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl Runs {
    /// Lets a run that is to come into memory use the text of its DAG that is there already.
    pub(super) fn share(&self, new: &mut NewRun) {
        if let Some((text, _)) = self.texts.get(&new.dag_hash) {
            new.dag = Arc::clone(text);
        }
    }

    /// Takes a run in, in place of what had its name.
    pub(super) fn insert(&mut self, run: RunRef, live: LiveRun) {
        drop(self.remove(&run));
        let new = &live.new;
        let share = self.shares.entry(new.owner).or_default();
        share.runs += 1;
        share.bytes += new.dag.len();
        let text = self.texts.entry(new.dag_hash.clone());
        text.or_insert_with(|| (Arc::clone(&new.dag), 0)).1 += 1;
        self.all.insert(run, live);
    }

    pub(super) fn remove(&mut self, run: &RunRef) -> Option<LiveRun> {
        let live = self.all.remove(run)?;
        let new = &live.new;
        if let Some(share) = self.shares.get_mut(&new.owner) {
            share.runs = share.runs.saturating_sub(1);
            share.bytes = share.bytes.saturating_sub(new.dag.len());
            if share.runs == 0 {
                self.shares.remove(&new.owner);
            }
        }
        if let Some((_, users)) = self.texts.get_mut(&new.dag_hash) {
            *users = users.saturating_sub(1);
            if *users == 0 {
                self.texts.remove(&new.dag_hash);
            }
        }
        Some(live)
    }

    /// A run to be changed; its owner and its DAG stay.
    pub(super) fn get_mut(&mut self, run: &RunRef) -> Option<&mut LiveRun> {
        self.all.get_mut(run)
    }

    /// What a user's runs take.
    pub(super) fn of(&self, owner: u32) -> Share {
        self.shares.get(&owner).copied().unwrap_or_default()
    }
}
