//! Steps that wait for a person (seed-spec 7.18), and the attempt that carries out a rejection.

use crate::model::StepStatus;
use crate::model::view::StepView;

use super::node::{Outcome, clip};
use super::{Attempt, TryEnd};
use crate::dag::types::{Action, Approval, Step};

/// What a step says while it waits.
pub(super) fn waiting_text(approval: &Approval) -> String {
    match approval.prompt.trim() {
        "" => "waits for approval".to_owned(),
        prompt => clip(format!("waits for approval: {prompt}")),
    }
}

/// Whether a step that waits goes on waiting in a further attempt. One that waits for its sub-runs asks for them
/// again instead: somebody may have decided there.
pub(super) fn goes_on_waiting(step: &Step, old: &StepView) -> bool {
    old.status == StepStatus::Waiting
        && !old.waits_for_sub_runs()
        && (step.approval.is_some() || !matches!(step.action, Action::Call(_)))
}

/// Whether these steps hold a rejection that is to be carried out.
pub(super) fn is_rejected(steps: &[StepView]) -> bool {
    steps.iter().any(|step| step.status == StepStatus::Rejected)
}

/// The outcome of a try whose sub-runs wait for a person, or were rejected by one: neither a success nor a failure,
/// so that neither a retry nor a repeat follows.
pub(super) fn undecided(end: &TryEnd) -> Option<Outcome> {
    let (status, text) = match end.verdict? {
        status @ StepStatus::Waiting => (status, "waits for its sub-runs, which wait for approval"),
        status @ StepStatus::Rejected => (status, "a sub-run was rejected"),
        _ => return None,
    };
    let error = end.error.clone().unwrap_or_else(|| text.to_owned());
    Some(Outcome::plain(status, clip(error)))
}

impl Attempt {
    /// A step that needs approval waits for it where another one would have succeeded, also when a stop or a time
    /// limit ended it: nothing behind it may start without.
    pub(super) fn gate(&self, slot: usize, outcome: Outcome) -> Outcome {
        let text = self
            .plan
            .policies
            .get(slot)
            .and_then(|policy| policy.approval.as_ref());
        match (text, outcome.status) {
            (Some(text), StepStatus::Succeeded | StepStatus::PartiallySucceeded) => Outcome {
                status: StepStatus::Waiting,
                error: Some(text.clone()),
                ..outcome
            },
            _ => outcome,
        }
    }

    /// Whether a step waits for a person.
    pub(super) fn waits(&self) -> bool {
        let mut steps = self.nodes.iter().take(self.plan.steps);
        steps.any(|node| node.ended == Some(StepStatus::Waiting))
    }
}
