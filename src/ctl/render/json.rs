//! Answers as JSON: for each verb exactly one object. Times are RFC 3339 in UTC; what is not known is `null`.
//!
//! Keys are only ever added. The object of a run is the same wherever it appears.

use serde_json::{Map, Value, json};

use crate::ctl::failure::Failure;
use crate::ctl::family::Family;
use crate::ctl::render::usage;
use crate::model::change::Caller;
use crate::model::limits::CALL_DEPTH_MAX;
use crate::model::view::{ChildView, Decision, RunSummary, RunView, StepView};
use crate::model::{PendingRetry, RunRef, Time};
use crate::wire::control::{AttemptSummary, DoctorReport, Problem, Why};
use crate::wire::manage::{CleanupReport, QueueView};

fn at(time: Option<Time>) -> Value {
    time.map_or(Value::Null, |time| Value::String(time.rfc3339()))
}

/// Pairs as an object, in their order; of two with the same name the later counts.
fn object(pairs: &[(String, String)]) -> Value {
    Value::Object(
        pairs
            .iter()
            .map(|(k, v)| (k.clone(), Value::String(v.clone())))
            .collect(),
    )
}

/// A run with its steps and their sub-runs: the result object.
pub(crate) fn result(view: &RunView, family: &Family) -> Value {
    result_at(view, family, 0)
}

fn result_at(view: &RunView, family: &Family, depth: u32) -> Value {
    let step_object = |step: &StepView| step_object(step, family, depth);
    let handlers: Map<String, Value> = view
        .handlers
        .iter()
        .map(|(handler, step)| (handler.as_str().to_owned(), step_object(step)))
        .collect();
    let params: Vec<String> = view
        .params
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    json!({
        "dag": view.run.dag,
        "run_id": view.run.id,
        "attempt_id": view.attempt.as_ref().filter(|_| view.started_at.is_some()),
        "attempt": view.number,
        "status": view.status,
        "error": view.error,
        "lost": view.lost.as_ref().map(ToString::to_string),
        "stopped": view.stop.as_ref().map(ToString::to_string),
        "timed_out": view.timed_out,
        "cause": view.ended_by().as_ref().map(usage::run_cause),
        "usage": usage::object(&view.usage),
        "retry": view.retry.as_ref().map(|retry| pending_retry(retry, view.held)),
        "stalled": view.stalled,
        "queue": view.group,
        "priority": view.priority,
        "now": view.now,
        "owner": view.owner,
        "trigger": view.trigger,
        "parent": view.parent.as_ref().map(caller),
        "pid": view.pid,
        "scheduled_for": at(view.scheduled_for),
        "created_at": view.created_at.rfc3339(),
        "started_at": at(view.started_at),
        "finished_at": at(view.finished_at),
        "log_dir": view.log_dir,
        "params": params,
        "outputs": object(&view.outputs),
        "steps": view.steps.iter().map(step_object).collect::<Vec<_>>(),
        "handlers": handlers,
    })
}

/// A retry that comes by itself. Without a limit that is `null`. One that is held waits for its DAG to be enabled.
fn pending_retry(retry: &PendingRetry, held: bool) -> Value {
    json!({
        "number": retry.number,
        "limit": Some(retry.limit).filter(|limit| *limit < u32::MAX),
        "at": retry.at.rfc3339(),
        "held": held,
    })
}

/// The step that called a run, and the root of the tree.
fn caller(caller: &Caller) -> Value {
    json!({
        "dag": caller.run.dag,
        "run_id": caller.run.id,
        "attempt": caller.attempt,
        "step": caller.step,
        "root": { "dag": caller.root.dag, "run_id": caller.root.id },
    })
}

/// A sub-run; of one that was planned and never started little is known.
fn child(child: &ChildView, family: &Family, depth: u32) -> Value {
    match family.get(&child.run) {
        Some(view) if depth <= CALL_DEPTH_MAX => result_at(view, family, depth + 1),
        _ => json!({
            "dag": child.run.dag,
            "run_id": child.run.id,
            "attempt_id": null,
            "status": child.status,
            "error": null,
            "params": [child.params],
            "outputs": {},
            "steps": [],
            "handlers": {},
        }),
    }
}

fn step_object(step: &StepView, family: &Family, depth: u32) -> Value {
    let children: Vec<Value> = step
        .children
        .iter()
        .map(|known| child(known, family, depth))
        .collect();
    json!({
        "name": step.name,
        "status": step.status,
        "error": step.error,
        "exit_code": step.exit_code,
        "retry_count": step.retry_count,
        "done_count": step.done_count,
        "repeated": step.repeated,
        "stdout": step.stdout,
        "stderr": step.stderr,
        "variables": object(&step.variables),
        "children": children,
        "tolerated": step.tolerated,
        "cause": step.ended_by().map(usage::cause),
        "pid": step.pid,
        "started_at": at(step.started_at),
        "finished_at": at(step.finished_at),
        "next_try_at": at(step.next_try_at),
        "decision": step.decision.as_ref().map(decision),
    })
}

fn decision(decision: &Decision) -> Value {
    json!({
        "approved": decision.approved,
        "uid": decision.uid,
        "at": decision.at.rfc3339(),
        "reason": decision.reason,
    })
}

/// A run in a list.
pub(crate) fn summary(run: &RunSummary) -> Value {
    let (done, steps) = run.progress;
    json!({
        "dag": run.run.dag,
        "run_id": run.run.id,
        "attempt_id": run.attempt.as_ref().filter(|_| run.started_at.is_some()),
        "attempt": run.number,
        "status": run.status,
        "error": run.error,
        "stalled": run.stalled,
        "retry": run.retry.as_ref().map(|retry| pending_retry(retry, run.held)),
        "queue": run.group,
        "priority": run.priority,
        "now": run.now,
        "owner": run.owner,
        "trigger": run.trigger,
        "parent": run.parent.as_ref().map(ToString::to_string),
        "pid": run.pid,
        "scheduled_for": at(run.scheduled_for),
        "created_at": run.created_at.rfc3339(),
        "started_at": at(run.started_at),
        "finished_at": at(run.finished_at),
        "steps_done": done,
        "steps": steps,
        "cause": run.cause.as_ref().map(usage::run_cause),
        "usage": usage::object(&run.usage),
    })
}

/// A list of runs.
pub(crate) fn runs(runs: &[RunSummary]) -> Value {
    json!({ "runs": runs.iter().map(summary).collect::<Vec<_>>() })
}

/// Queues.
pub(crate) fn queues(queues: &[QueueView]) -> Value {
    let one = |queue: &QueueView| {
        let oldest = queue
            .oldest
            .as_ref()
            .map(|(run, at)| json!({ "dag": run.dag, "run_id": run.id, "created_at": at.rfc3339() }));
        json!({
            "queue": queue.queue,
            "capacity": queue.capacity,
            "live": queue.live,
            "queued": queue.queued,
            "paused": queue.paused,
            "oldest": oldest,
            "owner": queue.owner,
        })
    };
    json!({ "queues": queues.iter().map(one).collect::<Vec<_>>() })
}

/// The attempts of a run.
pub(crate) fn attempts(run: &RunRef, attempts: &[AttemptSummary]) -> Value {
    let list: Vec<Value> = attempts
        .iter()
        .map(|attempt| {
            json!({
                "attempt": attempt.number,
                "attempt_id": attempt.attempt,
                "status": attempt.status,
                "error": attempt.error,
                "lost": attempt.lost.as_ref().map(ToString::to_string),
                "started_at": at(attempt.started_at),
                "finished_at": at(attempt.finished_at),
                "cause": attempt.cause.as_ref().map(usage::run_cause),
                "usage": usage::object(&attempt.usage),
            })
        })
        .collect();
    json!({ "dag": run.dag, "run_id": run.id, "attempts": list })
}

/// Why a run is in its state.
pub(crate) fn why(why: &Why) -> Value {
    json!({
        "dag": why.run.dag,
        "run_id": why.run.id,
        "status": why.status,
        "answer": why.answer,
        "evidence": why.evidence,
    })
}

/// What `doctor` found.
pub(crate) fn doctor(report: &DoctorReport) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|f| json!({ "check": f.check, "ok": f.ok, "detail": f.detail, "repaired": f.repaired }))
        .collect();
    let counters: Map<String, Value> = report
        .counters
        .iter()
        .map(|(k, v)| (k.clone(), json!(v)))
        .collect();
    let actions: Vec<Value> = report
        .actions
        .iter()
        .map(|action| json!({ "what": action.what, "at": action.at.rfc3339(), "about": action.about }))
        .collect();
    json!({
        "ok": report.findings.iter().all(|f| f.ok || f.repaired),
        "findings": findings,
        "features": object(&report.features),
        "counters": counters,
        "actions": actions,
    })
}

/// What a clean-up removed, or would remove.
pub(crate) fn cleanup(report: &CleanupReport) -> Value {
    let first: Vec<Value> = report
        .first
        .iter()
        .map(|run| json!({ "dag": run.dag, "run_id": run.id }))
        .collect();
    json!({
        "dry_run": report.dry_run,
        "runs": report.runs,
        "sub_runs": report.sub_runs,
        "bytes": report.bytes,
        "first": first,
        "failures": report.failures,
    })
}

/// Problems of a DAG file.
pub(crate) fn problems(problems: &[Problem]) -> Value {
    let one = |p: &Problem| {
        json!({ "message": p.message, "file": p.file, "line": p.line, "column": p.column,
        "hint": p.hint })
    };
    Value::Array(problems.iter().map(one).collect())
}

/// A request that was accepted, of which no outcome is waited for.
pub(crate) fn accepted(run: &RunRef, warnings: &[Problem]) -> Value {
    json!({ "dag": run.dag, "run_id": run.id, "accepted": true, "warnings": problems(warnings) })
}

/// A failure. The message names the first problem where it would else not say what is wrong.
pub(crate) fn failure(failure: &Failure) -> Value {
    json!({
        "error": failure.message,
        "hint": failure.hint,
        "problems": problems(&failure.problems),
    })
}
