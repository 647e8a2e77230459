//! A step's view: what each fact changes of it, and what a person's decision does.

use std::fmt;

use super::{ChildView, Decision, StepView};
use crate::model::fact::Call;
use crate::model::{Fact, RunRef, RunStatus, StepStatus, Time};

impl StepView {
    /// The same without its sub-runs, of which there may be a thousand.
    #[must_use]
    pub fn without_children(&self) -> Self {
        Self {
            name: self.name.clone(),
            error: self.error.clone(),
            stdout: self.stdout.clone(),
            stderr: self.stderr.clone(),
            variables: self.variables.clone(),
            children: Vec::new(),
            decision: self.decision.clone(),
            ..*self
        }
    }

    pub(super) fn apply(&mut self, log_dir: &str, at: Time, fact: &Fact) {
        match fact {
            Fact::NodeStarted { stdout, stderr, .. } => {
                self.status = StepStatus::Running;
                self.started_at = self.started_at.or(Some(at));
                self.finished_at = None;
                self.next_try_at = None;
                self.error = None;
                // Those of the try before say nothing about this one, which may end without.
                self.exit = None;
                self.exit_code = None;
                self.cause = None;
                self.stdout = Some(format!("{log_dir}/{stdout}"));
                self.stderr = Some(format!("{log_dir}/{stderr}"));
            }
            Fact::NodeSpawned { pid, .. } => self.pid = Some(*pid),
            Fact::NodeExited { exit, cause, .. } => {
                self.exit = Some(*exit);
                self.cause = *cause;
                self.exit_code = Some(exit.code());
                self.pid = None;
            }
            Fact::NodeRetrying {
                retry_count,
                until,
                error,
                exit_code,
                ..
            } => {
                self.status = StepStatus::Retrying;
                self.retry_count = *retry_count;
                self.next_try_at = Some(*until);
                self.error = Some(error.clone());
                self.exit_code = exit_code.or(self.exit_code);
                self.pid = None;
            }
            Fact::NodeRepeating {
                done_count, until, ..
            } => {
                self.repeated = true;
                self.done_count = *done_count;
                self.next_try_at = Some(*until);
                self.pid = None;
            }
            Fact::NodeOutput { name, value, .. } => {
                match self.variables.iter_mut().find(|(known, _)| known == name) {
                    Some((_, old)) => old.clone_from(value),
                    None => self.variables.push((name.clone(), value.clone())),
                }
            }
            Fact::NodeEnded {
                status,
                exit_code,
                error,
                done_count,
                tolerated,
                cause,
                ..
            } => {
                self.status = *status;
                self.exit_code = *exit_code;
                self.error.clone_from(error);
                self.done_count = *done_count;
                self.tolerated = *tolerated;
                self.cause = cause.or(self.cause);
                self.finished_at = Some(at);
                self.next_try_at = None;
                self.pid = None;
            }
            Fact::NodeCalls { children, .. } => {
                let planned = |call: &Call| ChildView {
                    run: call.run.clone(),
                    params: call.params.clone(),
                    status: RunStatus::NotStarted,
                };
                self.children = children.iter().map(planned).collect();
            }
            Fact::ChildChanged { child, status, .. } => {
                let at = usize::try_from(*child).unwrap_or(usize::MAX);
                if let Some(view) = self.children.get_mut(at) {
                    view.status = *status;
                }
            }
            Fact::Started { .. }
            | Fact::Params { .. }
            | Fact::PreconditionsUnmet { .. }
            | Fact::StopRequested { .. }
            | Fact::KillEscalated {}
            | Fact::TimedOut {}
            | Fact::Used { .. }
            | Fact::Ended { .. } => {}
        }
    }

    /// Whether it waits for sub-runs that wait themselves: then what is to be decided is theirs.
    #[must_use]
    pub fn waits_for_sub_runs(&self) -> bool {
        self.status == StepStatus::Waiting && self.waiting_sub_runs().next().is_some()
    }

    /// The sub-runs of its last execution that wait for a person.
    pub fn waiting_sub_runs(&self) -> impl Iterator<Item = &RunRef> {
        let waiting = self
            .children
            .iter()
            .filter(|child| child.status == RunStatus::Waiting);
        waiting.map(|child| &child.run)
    }

    /// The step as a decision leaves it. Values that were given with an approval become variables of it.
    #[must_use]
    pub fn decided(&self, decision: Decision, inputs: &[(String, String)]) -> Self {
        let mut view = self.clone();
        if decision.approved {
            let in_part = |child: &ChildView| child.status != RunStatus::Succeeded;
            view.status = if view.children.iter().any(in_part) {
                StepStatus::PartiallySucceeded
            } else {
                StepStatus::Succeeded
            };
            view.error = None;
            for (name, value) in inputs {
                match view.variables.iter_mut().find(|(known, _)| known == name) {
                    Some((_, old)) => old.clone_from(value),
                    None => view.variables.push((name.clone(), value.clone())),
                }
            }
        } else {
            view.status = StepStatus::Rejected;
            view.error = Some(decision.to_string());
        }
        view.decision = Some(decision);
        view
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.approved { "approved" } else { "rejected" };
        write!(f, "{what} by user id {}", self.uid)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}
