//! `why`: the reason a run is in its state, in plain words, from evidence.

use super::dispatcher::Dispatcher;
use crate::model::outcome::signal_name;
use crate::model::view::{RunView, StepView};
use crate::model::{Exit, LostCause, RunStatus, StepStatus};
use crate::wire::control::Why;

/// Most runs named as the ones a run waits for.
const NAMED: usize = 5;

impl Dispatcher {
    /// Explains a run.
    pub(super) fn why(&self, view: &RunView) -> Why {
        let mut evidence = Vec::new();
        let answer = match view.status {
            RunStatus::Queued => self.why_queued(view, &mut evidence),
            RunStatus::Running => self.why_running(view, &mut evidence),
            RunStatus::NotStarted => String::from("it has not begun"),
            RunStatus::Waiting => why_waiting(view, &mut evidence),
            RunStatus::Succeeded => String::from("every step that ran ended well"),
            RunStatus::PartiallySucceeded => {
                explain_steps(view, &mut evidence);
                String::from("some steps failed in a way that the DAG tolerates (continue_on)")
            }
            RunStatus::Failed => why_failed(view, &mut evidence),
            RunStatus::Aborted => why_aborted(view, &mut evidence),
            RunStatus::Rejected => {
                explain_steps(view, &mut evidence);
                let rejected = view.steps.iter().find(|step| step.status == StepStatus::Rejected);
                let reason = rejected
                    .and_then(|step| Some(format!("step {} was {}", step.name, step.error.as_ref()?)));
                reason.unwrap_or_else(|| String::from("approval was refused"))
            }
        };
        explain_decisions(view, &mut evidence);
        if let Some(trouble) = &self.store_trouble {
            evidence.push(format!("the store cannot be written at the moment: {trouble}"));
        }
        Why {
            run: view.run.clone(),
            status: view.status,
            answer,
            evidence,
        }
    }

    fn why_queued(&self, view: &RunView, evidence: &mut Vec<String>) -> String {
        let group = &view.group;
        if self.draining {
            return String::from("the daemon is shutting down and starts nothing more");
        }
        let in_group = |status: RunStatus| {
            let mut runs: Vec<_> = self
                .runs
                .values()
                .filter(|live| live.view.group == *group && live.view.status == status)
                .map(|live| (live.view.created_at, live.view.run.clone()))
                .filter(|(_, run)| *run != view.run)
                .collect();
            runs.sort();
            runs
        };
        let live = in_group(RunStatus::Running);
        let ahead: Vec<_> = in_group(RunStatus::Queued)
            .into_iter()
            .filter(|(at, _)| *at < view.created_at)
            .collect();
        let capacity = self.runs.get(&view.run).map_or(0, |live| live.new.capacity);
        if capacity > 0 {
            evidence.push(format!("queue {group} allows {capacity} live runs at a time"));
        }
        for (_, run) in live.iter().take(NAMED) {
            evidence.push(format!("live in the same queue: {run}"));
        }
        for (_, run) in ahead.iter().take(NAMED) {
            evidence.push(format!("queued before it: {run}"));
        }
        let total = self.config.queue.max_live_attempts;
        if total > 0 && self.attempts.len() >= usize::try_from(total).unwrap_or(usize::MAX) {
            return format!(
                "the daemon's limit of {total} live attempts (queue.max_live_attempts) is reached"
            );
        }
        match (live.len(), ahead.len()) {
            (0, 0) => String::from("it is being launched"),
            (live, 0) => format!("it is next in queue {group}, behind {live} live run(s)"),
            (live, ahead) => {
                format!("it waits in queue {group} behind {live} live and {ahead} queued run(s)")
            }
        }
    }

    fn why_running(&self, view: &RunView, evidence: &mut Vec<String>) -> String {
        if let Some(pid) = view.pid {
            evidence.push(format!("its supervisor is process {pid}"));
        }
        for step in &view.steps {
            match (step.status, step.pid) {
                (StepStatus::Running, Some(pid)) => {
                    evidence.push(format!("step {} runs as process {pid}", step.name));
                }
                (StepStatus::Running, None) => evidence.push(format!("step {} is being prepared", step.name)),
                (StepStatus::Retrying, _) => {
                    let at = step
                        .next_try_at
                        .map(crate::model::Time::rfc3339)
                        .unwrap_or_default();
                    let error = step.error.as_deref().unwrap_or_default();
                    evidence.push(format!(
                        "step {} waits for its next try at {at}: {error}",
                        step.name
                    ));
                }
                _ => {}
            }
        }
        let stalled = view
            .attempt
            .as_ref()
            .is_some_and(|attempt| self.is_stalled(attempt));
        if stalled {
            return String::from("its supervisor exists but has stopped beating: it is stopped or starved");
        }
        match &view.stop {
            Some(reason) => format!("it is being stopped: {reason}"),
            None => String::from("its supervisor is alive and has not recorded an end"),
        }
    }
}

fn why_failed(view: &RunView, evidence: &mut Vec<String>) -> String {
    explain_steps(view, evidence);
    if let Some(cause) = &view.lost {
        if matches!(cause, LostCause::SupervisorSignal(signal) if *signal == libc::SIGKILL) {
            evidence.push(String::from(
                "nothing but SIGKILL leaves no record: somebody or something sent it",
            ));
        }
        return format!("the attempt was lost: {cause}; the rest of its processes was ended");
    }
    if view.timed_out {
        return String::from("the run's time limit (timeout_sec) was over");
    }
    match failed_steps(view).as_slice() {
        [] => view
            .error
            .clone()
            .unwrap_or_else(|| String::from("it failed before any step")),
        [one] => format!("step {} failed: {}", one.name, reason(one)),
        many => format!(
            "{} steps failed, {} first",
            many.len(),
            many.first().map_or("", |step| &step.name)
        ),
    }
}

fn why_waiting(view: &RunView, evidence: &mut Vec<String>) -> String {
    let mut names = Vec::new();
    let mut runs = Vec::new();
    for step in view
        .steps
        .iter()
        .filter(|step| step.status == StepStatus::Waiting)
    {
        if step.waits_for_sub_runs() {
            for run in step.waiting_sub_runs() {
                evidence.push(format!("step {} waits for sub-run {run}", step.name));
                runs.push(run.to_string());
            }
        } else {
            let text = step.error.as_deref().unwrap_or("waits for approval");
            evidence.push(format!("step {} {text}", step.name));
            names.push(step.name.clone());
        }
    }
    explain_steps(view, evidence);
    if names.is_empty() && !runs.is_empty() {
        return format!("a person has to decide in {}", runs.join(", "));
    }
    format!("a person has to approve or reject {}", names.join(", "))
}

fn why_aborted(view: &RunView, evidence: &mut Vec<String>) -> String {
    explain_steps(view, evidence);
    if view.kill_escalated {
        evidence.push(String::from(
            "the grace period was over, so everything left was sent SIGKILL",
        ));
    }
    match (&view.stop, &view.error) {
        (Some(reason), _) => format!("it was {reason}"),
        (None, Some(error)) => error.clone(),
        (None, None) => String::from("it was stopped"),
    }
}

fn failed_steps(view: &RunView) -> Vec<&StepView> {
    let mut failed: Vec<&StepView> = view
        .nodes()
        .map(|(_, step)| step)
        .filter(|step| step.status == StepStatus::Failed)
        .collect();
    failed.sort_by_key(|step| step.finished_at);
    failed
}

/// One line for each step that did not end well.
fn explain_steps(view: &RunView, evidence: &mut Vec<String>) {
    for (_, step) in view.nodes() {
        let told = match step.status {
            StepStatus::Failed => format!("step {}: {}", step.name, reason(step)),
            StepStatus::Aborted | StepStatus::Skipped => {
                let why = step.error.as_deref().unwrap_or("no reason recorded");
                format!("step {} was {}: {why}", step.name, step.status)
            }
            _ => continue,
        };
        evidence.push(told);
    }
}

/// One line for each step that a person decided about.
fn explain_decisions(view: &RunView, evidence: &mut Vec<String>) {
    for step in &view.steps {
        if let Some(decision) = &step.decision {
            evidence.push(format!(
                "step {}: {decision} at {}",
                step.name,
                decision.at.rfc3339()
            ));
        }
    }
}

/// How a step failed.
fn reason(step: &StepView) -> String {
    let how = match step.exit {
        Some(Exit::Code(code)) => Some(format!("exit code {code}")),
        Some(Exit::Signal { signal, .. }) => Some(format!("killed by {}", signal_name(signal))),
        None => None,
    };
    let text = step.error.as_deref().unwrap_or_default();
    let tries = match step.retry_count {
        0 => String::new(),
        count => format!(" after {count} retries"),
    };
    match how {
        Some(how)
            if !text.starts_with("exit status") && !text.starts_with("killed by") && !text.is_empty() =>
        {
            format!("{how}{tries}: {text}")
        }
        Some(how) => format!("{how}{tries}"),
        None => format!("{text}{tries}"),
    }
}
