//! What the engine keeps per node.

use crate::model::limits::TEXT_MAX;
use crate::model::outcome::signal_name;
use crate::model::{Boot, Cause, Exit, StepStatus};

use super::{Prepared, TryEnd};

/// What a node is doing. Only in the stages `Preparing`, `Executing` and `Checking` an answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stage {
    /// Its dependencies are not settled.
    #[default]
    Idle,
    /// It may start.
    Ready,
    /// Its numbers and preconditions are being evaluated.
    Preparing,
    /// A try is being executed.
    Executing,
    /// It waits for its next try after a failure.
    RetryWait,
    /// Its repeat condition is being evaluated.
    Checking,
    /// It waits for its next execution after one that was in order.
    RepeatWait,
    /// It ended.
    Done,
}

impl Stage {
    /// Whether the node began and has not ended: it takes one of the slots of `max_active_steps`.
    pub(super) const fn is_active(self) -> bool {
        match self {
            Self::Preparing | Self::Executing | Self::RetryWait | Self::Checking | Self::RepeatWait => true,
            Self::Idle | Self::Ready | Self::Done => false,
        }
    }
}

/// What cuts a node short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// A stop.
    Stop,
    /// The time limit of the run.
    RunTimeout,
}

/// How a node, or one try of it, ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) status: StepStatus,
    pub(super) exit_code: Option<i32>,
    pub(super) error: Option<String>,
    pub(super) tolerated: bool,
    /// What brought it there, where the exit does not tell.
    pub(super) cause: Option<Cause>,
}

impl Outcome {
    /// The same with what brought it there.
    #[must_use]
    pub(super) fn because(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    /// An end without a process.
    pub(super) fn plain(status: StepStatus, error: impl Into<String>) -> Self {
        Self {
            status,
            exit_code: None,
            error: Some(error.into()),
            tolerated: false,
            cause: None,
        }
    }
}

/// One node.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeState {
    /// Its status once it is `Done`, and what a kept step has from the start.
    pub(super) ended: Option<StepStatus>,
    /// The exit code it ended with.
    pub(super) code: Option<i32>,
    pub(super) tolerated: bool,
    pub(super) stage: Stage,
    /// Serial number of the last question.
    pub(super) serial: u32,
    pub(super) cut: Option<Cut>,
    /// The time limit of the try is over and its end is awaited.
    pub(super) overdue: bool,
    /// Whether a time limit is armed.
    pub(super) limited: bool,
    /// A time limit that came from outside: the clean-up time of a handler after the run's time limit.
    pub(super) deadline: Option<Boot>,
    pub(super) retries: u32,
    pub(super) done: u32,
    pub(super) numbers: Prepared,
    /// How the last try ended.
    pub(super) last: Option<Outcome>,
    pub(super) output: Option<String>,
    /// How many of its dependencies, in order, are known to be satisfied.
    pub(super) satisfied: usize,
}

impl NodeState {
    /// The status that the rules of seed-spec 3.4 see.
    pub(super) fn status(&self) -> StepStatus {
        match (self.ended, self.stage.is_active()) {
            (Some(status), _) => status,
            (None, true) => StepStatus::Running,
            (None, false) => StepStatus::NotStarted,
        }
    }

    /// Whether the last execution ended without an error.
    pub(super) fn last_was_well(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.error.is_none())
    }
}

/// Exit code and error of a try. Only an observed exit code 0, or a verdict that is no failure, without any error is
/// a success (P6). A verdict stands for the exit codes 0 and 1.
pub(super) fn judge(end: &TryEnd) -> (Option<i32>, Option<String>) {
    if let Some(verdict) = end.verdict {
        let error = match (&end.error, verdict) {
            (Some(error), _) => Some(clip(error.clone())),
            (
                None,
                StepStatus::Succeeded
                | StepStatus::PartiallySucceeded
                | StepStatus::Waiting
                | StepStatus::Rejected,
            ) => None,
            (None, _) => Some(format!("the step came to {verdict}")),
        };
        return (Some(i32::from(error.is_some())), error);
    }
    let code = end.exit.map(Exit::code);
    let cause = match end.exit {
        Some(Exit::Code(0)) => return (code, end.error.clone().map(clip)),
        Some(Exit::Code(code)) => format!("exit code {code}"),
        Some(Exit::Signal { signal, .. }) => format!("killed by {}", signal_name(signal)),
        None => "no process was seen to end".to_owned(),
    };
    let error = match &end.error {
        None => cause,
        Some(text) => match end.exit {
            // The code alone says -1, so the text has to name the signal.
            Some(Exit::Signal { signal, .. }) if !text.contains(&signal_name(signal)) => {
                format!("{cause}: {text}")
            }
            _ => text.clone(),
        },
    };
    (code, Some(clip(error)))
}

/// Cuts a text to the longest that a fact may hold.
pub(super) fn clip(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        let end = (0..=TEXT_MAX).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
    }
    text
}

/// A reason, and the error that came with it.
pub(super) fn join(reason: &str, error: Option<&str>) -> String {
    match error {
        Some(error) => clip(format!("{reason}: {error}")),
        None => reason.to_owned(),
    }
}
