//! Where a person has to decide: of a run that waits, the steps to be decided about may be in its sub-runs, or in
//! theirs.

use crate::model::view::{RunView, StepView};
use crate::model::{RunRef, RunStatus, StepStatus};

/// Most runs that are named.
const NAMED: usize = 5;
/// Most runs that are looked at for one answer.
const LOOKED_AT: usize = 100;

/// A step that waits for a decision.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) run: RunRef,
    pub(super) step: String,
    /// For what it waits.
    pub(super) text: String,
}

/// What waits for a decision below a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Below {
    /// The first steps that do, in the order of the tree.
    pub(super) steps: Vec<Open>,
    /// The first of the sub-runs that the run itself waits for.
    pub(super) direct: Vec<RunRef>,
    /// Whether there may be more.
    more: bool,
}

impl Below {
    /// Walks down from a run that waits. `look` gives the view of a sub-run, if there is one.
    pub(super) fn find<E>(
        view: &RunView,
        mut look: impl FnMut(&RunRef) -> Result<Option<RunView>, E>,
    ) -> Result<Self, E> {
        // The next one is the last.
        let mut ahead = waiting_sub_runs(view);
        let mut found = Self {
            steps: Vec::new(),
            direct: ahead.iter().rev().take(NAMED).cloned().collect(),
            more: false,
        };
        let mut looks = 0;
        while let Some(run) = ahead.pop() {
            if found.steps.len() >= NAMED || looks == LOOKED_AT {
                found.more = true;
                break;
            }
            looks += 1;
            if let Some(view) = look(&run)?.filter(|view| view.status == RunStatus::Waiting) {
                found.steps.extend(open_steps(&view));
                ahead.extend(waiting_sub_runs(&view));
            }
        }
        Ok(found)
    }

    /// The runs to decide in, with commas between; empty if the run waits for none. While a tree goes on after a
    /// decision there may be nothing to decide below: then it is the sub-runs that the run waits for.
    pub(super) fn runs(&self) -> String {
        let mut runs: Vec<String> = if self.steps.is_empty() {
            self.direct.iter().map(ToString::to_string).collect()
        } else {
            self.steps.iter().map(|open| open.run.to_string()).collect()
        };
        runs.dedup();
        if self.more {
            runs.push(String::from("and others"));
        }
        runs.join(", ")
    }
}

/// The steps of this very run that wait for a decision.
pub(super) fn open_steps(view: &RunView) -> impl Iterator<Item = Open> {
    let waits = |step: &&StepView| step.status == StepStatus::Waiting && !step.waits_for_sub_runs();
    view.steps.iter().filter(waits).map(|step| Open {
        run: view.run.clone(),
        step: step.name.clone(),
        text: step
            .error
            .clone()
            .unwrap_or_else(|| String::from("waits for approval")),
    })
}

/// The sub-runs that the run waits for, the last one first.
fn waiting_sub_runs(view: &RunView) -> Vec<RunRef> {
    let waits = view.steps.iter().filter(|step| step.waits_for_sub_runs());
    let mut runs: Vec<RunRef> = waits.flat_map(StepView::waiting_sub_runs).cloned().collect();
    runs.reverse();
    runs
}
