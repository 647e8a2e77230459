//! What a view said before a batch that may fail: people are shown what is to be stored at once, and what is not stored is
//! taken back.

use std::collections::BTreeMap;

use super::dispatcher::Dispatcher;
use crate::model::change::Change;
use crate::model::view::RunView;
use crate::model::{RunRef, RunStatus, StopReason, Time};
use crate::telemetry::events;

/// What is to be shown again if the batch of this number fails.
pub(super) type Undo = BTreeMap<u64, Vec<(RunRef, Before)>>;

/// What a change replaced in a view.
#[derive(Debug)]
pub(super) enum Before {
    /// A queued run ended.
    End {
        /// What is shown instead; it is taken back only while it is.
        now: RunStatus,
        status: RunStatus,
        error: Option<String>,
        finished_at: Option<Time>,
    },
    /// A run is to stop.
    Stop {
        now: Box<StopReason>,
        stop: Option<Box<StopReason>>,
    },
}

impl Before {
    /// Shows the change. Gives what was shown before; none if it is no change of these.
    fn show(change: &Change, view: &mut RunView) -> Option<Self> {
        match change {
            Change::EndQueued {
                status, error, at, ..
            } => Some(Self::End {
                now: *status,
                status: std::mem::replace(&mut view.status, *status),
                error: std::mem::replace(&mut view.error, error.clone()),
                finished_at: view.finished_at.replace(*at),
            }),
            Change::Stop { reason, .. } => Some(Self::Stop {
                now: Box::new(reason.clone()),
                stop: view.stop.replace(reason.clone()).map(Box::new),
            }),
            _ => None,
        }
    }

    /// Shows what was shown before, unless something else is shown by now.
    fn restore(self, view: &mut RunView) {
        match self {
            Self::End {
                now,
                status,
                error,
                finished_at,
            } if view.status == now => {
                (view.status, view.error, view.finished_at) = (status, error, finished_at);
            }
            Self::Stop { now, stop } if view.stop.as_ref() == Some(&*now) => {
                view.stop = stop.map(|stop| *stop);
            }
            _ => {}
        }
    }
}

impl Dispatcher {
    /// Shows what a change does to a run.
    pub(super) fn show(&mut self, number: u64, run: &RunRef, change: &Change) {
        let live = self.runs.get_mut(run);
        if let Some(before) = live.and_then(|live| Before::show(change, &mut live.view)) {
            if let (Before::Stop { stop: None, .. }, Change::Stop { reason, .. }) = (&before, change) {
                events::stop_requested(run, reason);
            }
            self.undo.entry(number).or_default().push((run.clone(), before));
        }
    }

    /// The store has answered for a batch: what it does not have is not shown any more.
    pub(super) fn shown_stored(&mut self, number: u64, stored: bool) {
        let shown = self.undo.remove(&number).filter(|_| !stored);
        for (run, before) in shown.into_iter().flatten().rev() {
            if let Some(live) = self.runs.get_mut(&run) {
                before.restore(&mut live.view);
            }
        }
    }
}
