//! A run in the daemon's memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::decisions::resume_steps;
use super::effects::fresh_view;
use crate::model::Node;
use crate::model::change::NewRun;
use crate::model::view::{RunView, StepView};

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
