//! What brought a step or a run to a bad end: one answer for each, from all that is known.

use super::{RunView, StepView};
use crate::model::{Cause, RunCause, RunStatus, StepStatus};

impl StepView {
    /// What brought it to a bad end; none if it did not come to one, or if no process and no limit had to do with it.
    #[must_use]
    pub fn ended_by(&self) -> Option<Cause> {
        match self.status {
            StepStatus::Failed => self
                .cause
                .or_else(|| self.exit.filter(|exit| !exit.is_success()).map(Cause::from)),
            StepStatus::Aborted => self.cause,
            _ => None,
        }
    }
}

impl RunView {
    /// What brought its newest attempt to a bad end; none if it did not come to one.
    #[must_use]
    pub fn ended_by(&self) -> Option<RunCause> {
        let whole = |cause| Some(RunCause { step: None, cause });
        match self.status {
            _ if self.lost.is_some() => whole(Cause::Lost {}),
            RunStatus::Failed if self.timed_out => whole(Cause::RunTimeout {}),
            RunStatus::Aborted if self.stop.is_some() => whole(Cause::Stopped {}),
            RunStatus::Failed | RunStatus::Aborted => {
                let first = self.failed().into_iter().find(|step| !step.tolerated)?;
                Some(RunCause {
                    step: Some(first.name.clone()),
                    cause: first.ended_by()?,
                })
            }
            _ => None,
        }
    }

    /// The steps and handlers that failed, in the order of their ends.
    #[must_use]
    pub fn failed(&self) -> Vec<&StepView> {
        let mut failed: Vec<&StepView> = self
            .nodes()
            .map(|(_, step)| step)
            .filter(|step| step.status == StepStatus::Failed)
            .collect();
        failed.sort_by_key(|step| step.finished_at);
        failed
    }
}
