//! The status of a run from the statuses of its steps (seed-spec 3.4).

use crate::model::{Handler, RunStatus, StepStatus};

/// What the rules ask of the steps, counted in one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    running: usize,
    retrying: usize,
    rejected: usize,
    waiting: usize,
    not_started: usize,
    aborted: usize,
    failed: usize,
    tolerated: usize,
    succeeded: usize,
    partially: usize,
}

impl Tally {
    pub(super) fn add(&mut self, status: StepStatus, tolerated: bool) {
        match status {
            StepStatus::Running => self.running += 1,
            StepStatus::Retrying => self.retrying += 1,
            StepStatus::Rejected => self.rejected += 1,
            StepStatus::Waiting => self.waiting += 1,
            StepStatus::NotStarted => self.not_started += 1,
            StepStatus::Aborted => self.aborted += 1,
            StepStatus::Failed if tolerated => self.tolerated += 1,
            StepStatus::Failed => self.failed += 1,
            StepStatus::Succeeded => self.succeeded += 1,
            StepStatus::PartiallySucceeded => self.partially += 1,
            StepStatus::Skipped => {}
        }
    }

    fn all_well(&self) -> bool {
        self.running
            + self.retrying
            + self.rejected
            + self.waiting
            + self.not_started
            + self.aborted
            + self.failed
            + self.tolerated
            == 0
    }

    fn partial_success(&self) -> bool {
        self.failed == 0 && self.succeeded + self.partially > 0 && self.tolerated + self.partially > 0
    }
}

/// What the rules ask of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Course {
    /// It began.
    pub(super) started: bool,
    /// No further step will start.
    pub(super) finished: bool,
    /// Somebody stopped it, its preconditions are not met, or its init handler failed.
    pub(super) cancelled: bool,
    /// It could not be initialised, its time limit was over, or its steps wait for each other: a failure, whatever
    /// the steps say.
    pub(super) broken: bool,
    /// An error was recorded.
    pub(super) error: bool,
}

/// The status: the first rule that applies.
pub(super) fn derive(course: Course, steps: &Tally) -> RunStatus {
    if course.cancelled && !steps.all_well() {
        RunStatus::Aborted
    } else if !course.started {
        RunStatus::NotStarted
    } else if steps.running > 0 {
        RunStatus::Running
    } else if steps.retrying > 0 {
        RunStatus::Queued
    } else if steps.rejected > 0 {
        RunStatus::Rejected
    } else if steps.waiting > 0 {
        RunStatus::Waiting
    } else if !course.finished {
        RunStatus::Running
    } else if course.broken {
        RunStatus::Failed
    } else if steps.partial_success() {
        RunStatus::PartiallySucceeded
    } else if course.error {
        RunStatus::Failed
    } else {
        RunStatus::Succeeded
    }
}

/// The handlers that follow a status, in order (seed-spec 7.10).
pub(super) const fn handlers_after(status: RunStatus) -> &'static [Handler] {
    match status {
        RunStatus::Succeeded | RunStatus::PartiallySucceeded => &[Handler::Success, Handler::Exit],
        RunStatus::Failed | RunStatus::Rejected => &[Handler::Failure, Handler::Exit],
        RunStatus::Aborted => &[Handler::Abort, Handler::Exit],
        RunStatus::Waiting => &[Handler::Wait],
        RunStatus::NotStarted | RunStatus::Running | RunStatus::Queued => &[],
    }
}
