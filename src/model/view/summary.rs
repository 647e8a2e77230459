//! A run in one line of a list.

use serde::{Deserialize, Serialize};

use super::RunView;
use crate::model::{AttemptId, GroupName, PendingRetry, Priority, RunCause, RunRef, RunStatus};
use crate::model::{Time, Trigger, Usage};

/// A run in a list: no steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Which run.
    pub run: RunRef,
    /// Its newest attempt.
    pub attempt: Option<AttemptId>,
    /// Number of that attempt, from 1.
    pub number: u32,
    /// Status.
    pub status: RunStatus,
    /// The error in words.
    pub error: Option<String>,
    /// Whether the supervisor lives but has stopped beating.
    pub stalled: bool,
    /// Capacity domain.
    pub group: GroupName,
    /// User id the run belongs to.
    pub owner: u32,
    /// What made the run.
    pub trigger: Trigger,
    /// The run that called it.
    pub parent: Option<RunRef>,
    /// When the run was accepted.
    pub created_at: Time,
    /// When the newest attempt started.
    pub started_at: Option<Time>,
    /// When the run ended.
    pub finished_at: Option<Time>,
    /// Process id of the shim while it lives.
    pub pid: Option<u32>,
    /// Steps that are done, and steps in all.
    pub progress: (u32, u32),
    /// Which of the runs that wait in its queue goes first.
    pub priority: Priority,
    /// The time of its schedule that it is for.
    pub scheduled_for: Option<Time>,
    /// The retry that will come by itself.
    pub retry: Option<PendingRetry>,
    /// Whether that retry waits until the DAG is enabled, or its user is back.
    pub held: bool,
    /// Whether it starts at once, before all others and beyond the limits.
    pub now: bool,
    /// What its newest attempt has used.
    pub usage: Usage,
    /// What brought that attempt to a bad end.
    pub cause: Option<RunCause>,
}

impl RunView {
    /// The same without the steps.
    #[must_use]
    pub fn summary(&self) -> RunSummary {
        let done = self.steps.iter().filter(|step| step.status.is_done()).count();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        RunSummary {
            run: self.run.clone(),
            attempt: self.attempt.clone(),
            number: self.number,
            status: self.status,
            error: self.error.clone(),
            stalled: self.stalled,
            group: self.group.clone(),
            owner: self.owner,
            trigger: self.trigger,
            parent: self.parent.as_ref().map(|caller| caller.run.clone()),
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            pid: self.pid,
            progress: (count(done), count(self.steps.len())),
            priority: self.priority,
            scheduled_for: self.scheduled_for,
            retry: self.retry,
            held: self.held,
            now: self.now,
            usage: self.usage,
            cause: self.ended_by(),
        }
    }
}
