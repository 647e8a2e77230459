//! What the steps of a run tell about its state.

use super::{NAMED, counted};
use crate::model::change::Caller;
use crate::model::outcome::{STDERR_MARK, signal_name};
use crate::model::view::{ChildView, RunView, StepView};
use crate::model::{Cause, Exit, RunStatus, StepStatus, Time};

/// Number of SIGKILL.
const KILL: i32 = 9;
/// Most lines that are told of what a step wrote to standard error.
const STDERR_LINES: usize = 10;

/// How a step failed.
pub(super) fn reason(step: &StepView) -> String {
    let tries = match step.retry_count {
        0 => String::new(),
        count => format!(" after {}", counted(count, "retry", "retries")),
    };
    failure(step, &tries)
}

/// How the last try of a step failed, with `tries` behind how its process ended.
fn failure(step: &StepView, tries: &str) -> String {
    let error = step.error.as_deref().unwrap_or_default();
    let text = error.split_once(STDERR_MARK).map_or(error, |(text, _)| text);
    let (how, same) = match step.exit {
        Some(Exit::Code(code)) => {
            let how = format!("exit code {code}");
            match text.strip_prefix(&format!("exit status {code}")) {
                // What the kernel did stands behind it.
                Some(rest) if rest.is_empty() || rest.starts_with("; ") => (how + rest, true),
                _ => {
                    let same = text == how;
                    (how, same)
                }
            }
        }
        Some(Exit::Signal { signal, .. }) => {
            let how = format!("killed by {}", signal_name(signal));
            if text.starts_with(&how) || matches!(step.cause, Some(Cause::OutOfMemory { .. })) {
                // It may tell more, as that there is a core dump, or who killed it.
                (text.to_owned(), true)
            } else {
                (how, false)
            }
        }
        None => (text.to_owned(), true),
    };
    if same || text.is_empty() {
        format!("{how}{tries}")
    } else {
        format!("{how}{tries}: {text}")
    }
}

/// The end of what the last try of a step wrote to standard error, a line each.
fn stderr_end(step: &StepView) -> Vec<String> {
    let error = step.error.as_deref().unwrap_or_default();
    let stderr = error.split_once(STDERR_MARK).map_or("", |(_, stderr)| stderr);
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let before = lines.len().saturating_sub(STDERR_LINES);
    // The error of a step that calls tells that of a sub-run.
    let writer = if step.children.is_empty() {
        format!("step {}", step.name)
    } else {
        format!("a sub-run of step {}", step.name)
    };
    let last = lines.iter().skip(before);
    last.map(|line| format!("{writer} wrote to standard error: {line}"))
        .collect()
}

/// One line for each step that did not end well, and for the first of those that failed what they wrote.
pub(super) fn explain_steps(view: &RunView, evidence: &mut Vec<String>) {
    let mut failed = 0;
    for (_, step) in view.nodes() {
        match step.status {
            StepStatus::Failed => {
                evidence.push(format!("step {}: {}", step.name, reason(step)));
                failed += 1;
                if failed <= NAMED {
                    evidence.extend(stderr_end(step));
                }
            }
            StepStatus::Aborted | StepStatus::Skipped => {
                let why = step.error.as_deref().unwrap_or("no reason recorded");
                evidence.push(format!("step {} was {}: {why}", step.name, step.status));
            }
            _ => {}
        }
    }
}

/// What the counters of the attempt say of processes that were killed, as far as it is not known otherwise.
pub(super) fn explain_kills(view: &RunView) -> Vec<String> {
    let mut told = Vec::new();
    let by_signal = |step: &StepView| {
        let kill = matches!(step.ended_by(), Some(Cause::Signal { signal: KILL, .. }));
        kill && !view.kill_escalated
    };
    match view.usage.oom_kills {
        Some(0) => {}
        Some(kills) => told.push(format!(
            "the out-of-memory killer took {} of the attempt",
            counted(kills, "process", "processes")
        )),
        None if view.nodes().any(|(_, step)| by_signal(step)) => told.push(String::from(
            "whether the out-of-memory killer sent SIGKILL is not known: attempts have no memory controller here",
        )),
        None => {}
    }
    if let Some(refused @ 1..) = view.usage.pids_refused {
        told.push(format!(
            "{} of the attempt {} refused by a limit of processes",
            counted(refused, "fork", "forks"),
            if refused == 1 { "was" } else { "were" }
        ));
    }
    told
}

/// One line for each step that a person decided about.
pub(super) fn explain_decisions(view: &RunView, evidence: &mut Vec<String>) {
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

/// What a step does in a run that is live `now`; nothing if it does nothing. `stands` is how a sub-run stands, and
/// `wanted` the step that called this run, if the run waits for that to have room for a further try.
pub(super) fn explain_live(
    step: &StepView,
    now: Time,
    wanted: Option<&Caller>,
    stands: impl Fn(&ChildView) -> RunStatus,
) -> Vec<String> {
    let name = &step.name;
    let room = wanted.filter(|_| step.next_try_at.is_some_and(|at| at <= now));
    match (step.status, step.pid, step.next_try_at) {
        (StepStatus::Running, Some(pid), _) => vec![format!("step {name} runs as process {pid}")],
        (StepStatus::Running | StepStatus::Retrying, _, Some(at)) => {
            let when = match room {
                Some(caller) => format!(
                    "is due for its next try, and waits until step {} of {} has room for it (max_concurrent)",
                    caller.step, caller.run
                ),
                None => format!("waits for its next try at {}", at.rfc3339()),
            };
            if step.status == StepStatus::Running {
                return vec![format!("step {name} repeats: it {when}")];
            }
            let mut told = vec![format!("step {name} {when}: {}", failure(step, ""))];
            told.extend(stderr_end(step));
            told
        }
        (StepStatus::Running, None, None) => {
            let children: Vec<(&ChildView, RunStatus)> =
                step.children.iter().map(|child| (child, stands(child))).collect();
            // It was told of the ends that it has recorded; of others what they called may not be gone.
            if children.iter().all(|(child, _)| child.status.ends_attempt()) {
                return vec![format!("step {name} is being prepared")];
            }
            explain_sub_runs(name, &children)
        }
        _ => Vec::new(),
    }
}

/// How many sub-runs of a step stand how, and which are the first that are not over.
fn explain_sub_runs(step: &str, children: &[(&ChildView, RunStatus)]) -> Vec<String> {
    let counts = RunStatus::ALL.iter().filter_map(|status| {
        let count = children.iter().filter(|(_, found)| found == status).count();
        (count > 0).then(|| format!("{count} {status}"))
    });
    let counts: Vec<String> = counts.collect();
    let mut told = vec![format!(
        "step {step} waits for its sub-runs: {}",
        counts.join(", ")
    )];
    // One that is not started is no run yet.
    let open = children
        .iter()
        .filter(|(_, status)| !status.is_terminal() && *status != RunStatus::NotStarted);
    told.extend(
        open.take(NAMED)
            .map(|(child, status)| format!("sub-run {} is {status}", child.run)),
    );
    told
}
