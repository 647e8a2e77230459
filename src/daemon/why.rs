//! `why`: the reason a run is in its state, in plain words, from evidence.

mod queue;
mod steps;

use std::fmt::Display;

use self::steps::{explain_decisions, explain_live, explain_steps, reason};
use super::below::{Below, open_steps};
use super::control::refusal;
use super::dispatcher::{Dispatcher, now};
use super::live::LiveRun;
use super::requests::Asker;
use crate::model::view::{ChildView, RunView, StepView};
use crate::model::{LostCause, RunRef, RunStatus, StepStatus};
use crate::wire::control::{ErrorKind, Response, Why};
use crate::wire::shim::SlotUse;

/// Most runs or steps that are named of a kind.
const NAMED: usize = 5;

impl Dispatcher {
    /// Tells why a run is in its state.
    pub(super) fn explain(&mut self, asker: Asker, view: RunView) {
        let waits = view.status == RunStatus::Waiting;
        if !waits || !view.steps.iter().any(StepView::waits_for_sub_runs) {
            let why = self.why(&view, &Below::default());
            self.answer(&asker.answers, Response::Why(why));
            return;
        }
        let reader = self.reader.clone();
        self.elsewhere(
            move || {
                let below = Below::find(&view, |run| reader.run_view(run));
                (view, below)
            },
            move |dispatcher, (view, below)| {
                let answer = match below {
                    Ok(below) => Response::Why(dispatcher.why(&view, &below)),
                    Err(error) => refusal(
                        ErrorKind::Unavailable,
                        &format!("the store cannot be read: {error}"),
                    ),
                };
                dispatcher.answer(&asker.answers, answer);
            },
        );
    }

    fn why(&self, view: &RunView, below: &Below) -> Why {
        let mut evidence = Vec::new();
        let answer = match view.status {
            RunStatus::Queued => self.why_queued(view, &mut evidence),
            RunStatus::Running => self.why_running(view, &mut evidence),
            RunStatus::NotStarted => String::from("it has not begun"),
            RunStatus::Waiting => why_waiting(view, below, &mut evidence),
            RunStatus::Succeeded => String::from("every step that ran ended well"),
            RunStatus::PartiallySucceeded => {
                explain_steps(view, &mut evidence);
                String::from("some steps failed in a way that the DAG tolerates (continue_on)")
            }
            RunStatus::Failed => {
                let failed = why_failed(view, &mut evidence);
                failed + &self.explain_retry(view, now().wall, &mut evidence)
            }
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
        if view.status.is_terminal() {
            self.explain_left(view, &mut evidence);
        }
        let force = self.registry.in_force.get(&view.run.dag);
        if let Some(why) = self.registry.barred(&view.run.dag)
            && force.is_some_and(|force| force.version.owner == view.owner)
        {
            evidence.push(format!("the schedules of {} start nothing: {why}", view.run.dag));
        }
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

    fn why_running(&self, view: &RunView, evidence: &mut Vec<String>) -> String {
        if let Some(pid) = view.pid {
            evidence.push(format!("its supervisor is process {pid}"));
        }
        let stands = |child: &ChildView| {
            let live = self.runs.get(&child.run);
            live.map_or(child.status, |live| live.view.status)
        };
        let wants = self.calls.slots.get(&view.run) == Some(&SlotUse::Wanted);
        let wanted = view.parent.as_ref().filter(|_| wants);
        let at = now().wall;
        for (_, step) in view.nodes() {
            evidence.extend(explain_live(step, at, wanted, stands));
            for child in &step.children {
                let ended = self.runs.get(&child.run).filter(|live| !live.over);
                if let Some(live) = ended.filter(|live| live.view.status.ends_attempt()) {
                    self.explain_left(&live.view, evidence);
                }
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

    /// What a run that is over called and is not over yet. It is stopped with its caller.
    fn explain_left(&self, view: &RunView, evidence: &mut Vec<String>) {
        let below = |live: &&LiveRun| {
            let caller = live.new.parent.as_ref();
            let called = caller.is_some_and(|caller| caller.root == view.run || caller.run == view.run);
            called && !live.view.status.ends_attempt()
        };
        let mut left: Vec<(&RunRef, RunStatus)> = self
            .runs
            .values()
            .filter(below)
            .map(|live| (&live.view.run, live.view.status))
            .collect();
        left.sort_by_key(|(run, _)| *run);
        if left.len() > NAMED {
            evidence.push(format!("{} sub-runs of it are being ended", left.len()));
        }
        for (run, status) in left.iter().take(NAMED) {
            evidence.push(format!("sub-run {run} is still {status}: it is being ended"));
        }
    }
}

/// A number with the word for what is counted.
fn counted(number: impl Display + Copy + PartialEq + From<u8>, one: &str, many: &str) -> String {
    if number == 1.into() {
        format!("{number} {one}")
    } else {
        format!("{number} {many}")
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

fn why_waiting(view: &RunView, below: &Below, evidence: &mut Vec<String>) -> String {
    let mut names = Vec::new();
    for open in open_steps(view) {
        evidence.push(format!("step {} {}", open.step, open.text));
        names.push(open.step);
    }
    evidence.extend(
        below
            .direct
            .iter()
            .map(|run| format!("it waits for sub-run {run}")),
    );
    for open in &below.steps {
        evidence.push(format!("step {} of {} {}", open.step, open.run, open.text));
    }
    explain_steps(view, evidence);
    let names = names.join(", ");
    let runs = below.runs();
    match (names.is_empty(), runs.is_empty()) {
        (true, false) => format!("a person has to decide in {runs}"),
        (false, false) => format!("a person has to approve or reject {names}, and to decide in {runs}"),
        (_, true) => format!("a person has to approve or reject {names}"),
    }
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

#[cfg(test)]
mod tests;
