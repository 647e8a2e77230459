//! The status word that handlers see.

use crate::model::view::RunView;
use crate::model::{RunStatus, StepStatus};

/// `DAG_RUN_STATUS`: how the run stands before its handlers have their say (seed-spec 7.10).
pub(super) fn status_of_handlers(view: &RunView) -> &'static str {
    let any = |wanted: StepStatus| view.steps.iter().any(|step| step.status == wanted);
    let untolerated =
        view.steps.iter().any(|step| step.status == StepStatus::Failed && !step.tolerated);
    let status = if view.status.is_terminal() {
        view.status
    } else if view.stop.is_some() {
        RunStatus::Aborted
    } else if untolerated || view.timed_out {
        RunStatus::Failed
    } else if any(StepStatus::Running) || any(StepStatus::NotStarted) {
        RunStatus::Running
    } else if any(StepStatus::Failed) {
        RunStatus::PartiallySucceeded
    } else {
        RunStatus::Succeeded
    };
    status.as_str()
}
