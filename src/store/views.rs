//! Runs and attempts with all that is known of them.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::model::change::{Caller, NewRun};
use crate::model::view::{RunView, StepView};
use crate::model::{AttemptId, Handler, LostCause, Node, PendingRetry, Priority, RunCause, RunRef};
use crate::model::{RunStatus, Time, Usage};

use super::error::Fault;
use super::history::{attempt_id, group_name, reference};
use super::{LogDir, account, apply, codes};

/// An attempt in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptSummary {
    /// Its number, from 1.
    pub number: u32,
    /// Its id.
    pub attempt: AttemptId,
    /// Status; `queued` while it is intended and has not passed the gate.
    pub status: RunStatus,
    /// When the launch was decided.
    pub intended_at: Time,
    /// When it passed the gate.
    pub started_at: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// The error in words.
    pub error: Option<String>,
    /// Why it is lost, if it is.
    pub lost: Option<LostCause>,
    /// What it used.
    pub usage: Usage,
    /// What brought it to a bad end.
    pub cause: Option<RunCause>,
}

const RUN: &str = "SELECT r.id, r.owner, r.trigger, r.created_at, r.status, r.attempts, r.launched, r.error,
        r.ended_at, r.stop, r.params, r.parent, r.root, r.caller, r.asked, r.depth,
        r.priority, r.now, r.scheduled_for, r.retry_at, r.retry_due,
        grp.word AS grp, d.steps, d.handlers
 FROM runs r
 CROSS JOIN words grp ON grp.id = r.grp
 CROSS JOIN dags d ON d.id = r.snapshot
 WHERE r.dag = (SELECT id FROM words WHERE word = ?1) AND r.run_id = ?2";

const ATTEMPT: &str =
    "SELECT a.id, a.attempt, a.status, a.intended_at, a.started_at, a.ended_at, a.flags, a.error,
        a.lost, a.stop, a.params, a.outputs, a.cpu_user, a.cpu_system, a.mem_peak, a.rss_max, a.io_read,
        a.io_written, a.pids_peak, a.oom_kills, a.pids_refused, h.pid
 FROM attempts a LEFT JOIN held h ON h.attempt = a.id AND h.ended = 0
 WHERE a.run = ?1 AND a.number = ?2";

const STEPS: &str =
    "SELECT node, status, flags, retries, executions, started_at, finished_at, next_try_at, pid,
        exit_code, exit, stdout, stderr, error, variables, children, decision, cause
 FROM steps WHERE attempt = ?1";

pub(super) fn run(db: &Connection, run: &RunRef, log_dir: &LogDir) -> Result<Option<RunView>, Fault> {
    let Some((id, launched, mut view)) = base(db, run)? else {
        return Ok(None);
    };
    let number = view.number;
    if launched {
        fill(db, id, number, &mut view, log_dir)?;
    } else if let Some((attempt, at)) = name(db, id, number)? {
        view.log_dir = log_dir(at, &attempt);
        view.attempt = Some(attempt);
    }
    Ok(Some(view))
}

pub(super) fn attempt(
    db: &Connection,
    run: &RunRef,
    number: u32,
    log_dir: &LogDir,
) -> Result<Option<RunView>, Fault> {
    let Some((id, launched, mut view)) = base(db, run)? else {
        return Ok(None);
    };
    if !launched || number != view.number {
        // These are of the run as it stands now, not of this attempt.
        view.error = None;
        view.finished_at = None;
        view.stop = None;
        view.retry = None;
    }
    view.number = number;
    let found = fill(db, id, number, &mut view, log_dir)?;
    Ok(found.then_some(view))
}

/// The run without anything of an attempt.
fn base(db: &Connection, run: &RunRef) -> Result<Option<(i64, bool, RunView)>, Fault> {
    let mut statement = db.prepare_cached(RUN)?;
    let mut rows = statement.query([run.dag.as_str(), run.id.as_str()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let ended_at: Option<i64> = row.get("ended_at")?;
    let steps: Vec<String> = codes::from_json(&row.get::<_, String>("steps")?)?;
    let handlers: Vec<(Handler, String)> = codes::from_json(&row.get::<_, String>("handlers")?)?;
    let owner = row.get("owner")?;
    let trigger = codes::to_trigger(row.get("trigger")?)?;
    let created_at = Time(row.get("created_at")?);
    let view = RunView {
        number: row.get("attempts")?,
        status: codes::to_run_status(row.get("status")?)?,
        error: row.get("error")?,
        stop: codes::from_json_option(text(row, "stop")?.as_deref())?,
        params: codes::from_json_list(text(row, "params")?.as_deref())?,
        parent: caller(db, row)?,
        finished_at: ended_at.map(Time),
        priority: priority(row)?,
        scheduled_for: row.get::<_, Option<i64>>("scheduled_for")?.map(Time),
        retry: pending_retry(row)?,
        now: row.get("now")?,
        steps: steps.iter().map(|name| StepView::new(name)).collect(),
        handlers: handlers
            .iter()
            .map(|(handler, name)| (*handler, StepView::new(name)))
            .collect(),
        ..RunView::new(
            run.clone(),
            group_name(row.get("grp")?)?,
            owner,
            trigger,
            created_at,
        )
    };
    Ok(Some((row.get("id")?, row.get("launched")?, view)))
}

/// Its place among those that wait.
pub(super) fn priority(row: &Row<'_>) -> Result<Priority, Fault> {
    Priority::new(row.get("priority")?).map_err(|error| Fault::text(error.to_string()))
}

/// The retry that comes by itself.
pub(super) fn pending_retry(row: &Row<'_>) -> Result<Option<PendingRetry>, Fault> {
    let (Some(at), Some(due)) = (row.get::<_, Option<i64>>("retry_at")?, text(row, "retry_due")?) else {
        return Ok(None);
    };
    let (number, limit, ..): apply::Due = codes::from_json(&due)?;
    Ok(Some(PendingRetry {
        number,
        limit,
        at: Time(at),
    }))
}

/// Which step called the run.
fn caller(db: &Connection, row: &Row<'_>) -> Result<Option<Caller>, Fault> {
    let (Some(parent), Some(root)) = (row.get("parent")?, row.get("root")?) else {
        return Ok(None);
    };
    Ok(Some(Caller {
        run: run_at(db, parent)?,
        attempt: row.get::<_, Option<u32>>("asked")?.unwrap_or(0),
        step: row.get("caller")?,
        root: run_at(db, root)?,
        depth: row.get("depth")?,
    }))
}

fn run_at(db: &Connection, id: i64) -> Result<RunRef, Fault> {
    let (dag, run_id): (String, String) = db
        .prepare_cached(
            "SELECT dag.word, r.run_id FROM runs r CROSS JOIN words dag ON dag.id = r.dag WHERE r.id = ?1",
        )?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    reference(&dag, run_id)
}

fn name(db: &Connection, run: i64, number: u32) -> Result<Option<(AttemptId, Time)>, Fault> {
    let row = db
        .prepare_cached("SELECT attempt, intended_at FROM attempts WHERE run = ?1 AND number = ?2")?
        .query_row((run, number), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    row.map(|(id, at)| Ok((attempt_id(id)?, Time(at)))).transpose()
}

/// Adds what is known of the attempt; says whether there is such an attempt.
fn fill(db: &Connection, run: i64, number: u32, view: &mut RunView, log_dir: &LogDir) -> Result<bool, Fault> {
    let mut statement = db.prepare_cached(ATTEMPT)?;
    let mut rows = statement.query((run, number))?;
    let Some(row) = rows.next()? else {
        return Ok(false);
    };
    let attempt = attempt_id(row.get("attempt")?)?;
    view.log_dir = log_dir(Time(row.get("intended_at")?), &attempt);
    view.attempt = Some(attempt);
    view.status = codes::to_run_status(row.get("status")?)?;
    view.started_at = row.get::<_, Option<i64>>("started_at")?.map(Time);
    view.finished_at = row.get::<_, Option<i64>>("ended_at")?.map(Time);
    (view.timed_out, view.kill_escalated) = apply::attempt_flags(row.get("flags")?);
    view.error = row.get("error")?;
    view.lost = codes::from_json_option(text(row, "lost")?.as_deref())?;
    if let Some(stop) = text(row, "stop")? {
        view.stop = Some(codes::from_json(&stop)?);
    }
    if let Some(params) = text(row, "params")? {
        view.params = codes::from_json(&params)?;
    }
    view.outputs = codes::from_json_list(text(row, "outputs")?.as_deref())?;
    view.pid = row.get("pid")?;
    view.usage = account::usage(row)?;
    steps(db, row.get("id")?, view)?;
    Ok(true)
}

fn steps(db: &Connection, attempt: i64, view: &mut RunView) -> Result<(), Fault> {
    let dir = view.log_dir.clone();
    let mut statement = db.prepare_cached(STEPS)?;
    let mut rows = statement.query([attempt])?;
    while let Some(row) = rows.next()? {
        let node: Node = codes::to_node(row.get("node")?)?;
        if let Some(step) = view.node_mut(node) {
            step_row(row, step, &dir)?;
            settle_children(db, step)?;
        }
    }
    Ok(())
}

fn step_row(row: &Row<'_>, step: &mut StepView, dir: &str) -> Result<(), Fault> {
    let time = |name: &str| -> Result<Option<Time>, Fault> { Ok(row.get::<_, Option<i64>>(name)?.map(Time)) };
    step.status = codes::to_step_status(row.get("status")?)?;
    (step.repeated, step.tolerated) = apply::step_flags(row.get("flags")?);
    step.retry_count = row.get("retries")?;
    step.done_count = row.get("executions")?;
    step.started_at = time("started_at")?;
    step.finished_at = time("finished_at")?;
    step.next_try_at = time("next_try_at")?;
    step.pid = row.get("pid")?;
    step.exit_code = row.get("exit_code")?;
    step.exit = row
        .get::<_, Option<i64>>("exit")?
        .map(codes::to_exit)
        .transpose()?;
    step.stdout = text(row, "stdout")?.map(|path| codes::lengthen(dir, &path));
    step.stderr = match text(row, "stderr")? {
        Some(same) if same.is_empty() => step.stdout.clone(),
        other => other.map(|path| codes::lengthen(dir, &path)),
    };
    step.error = row.get("error")?;
    step.variables = codes::from_json_list(text(row, "variables")?.as_deref())?;
    step.children = codes::to_children(text(row, "children")?.as_deref())?;
    step.decision = codes::from_json_option(text(row, "decision")?.as_deref())?;
    step.cause = codes::from_json_option(text(row, "cause")?.as_deref())?;
    Ok(())
}

/// How the sub-runs stand now. What the calling attempt knew of them may be older: it may have died before they ended,
/// and they may have been decided on, or stopped, since.
fn settle_children(db: &Connection, step: &mut StepView) -> Result<(), Fault> {
    for child in &mut step.children {
        let status = db
            .prepare_cached(
                "SELECT status FROM runs WHERE dag = (SELECT id FROM words WHERE word = ?1) AND run_id = ?2",
            )?
            .query_row([child.run.dag.as_str(), child.run.id.as_str()], |row| row.get(0))
            .optional()?;
        child.status = match status {
            Some(code) => codes::to_run_status(code)?,
            // It was asked for and never recorded.
            None => RunStatus::NotStarted,
        };
    }
    Ok(())
}

fn text(row: &Row<'_>, name: &str) -> Result<Option<String>, Fault> {
    Ok(row.get(name)?)
}

pub(super) fn attempts(db: &Connection, run: &RunRef) -> Result<Vec<AttemptSummary>, Fault> {
    let sql = format!(
        "SELECT number, attempt, status, intended_at, started_at, ended_at, error, lost, {} FROM attempts a
         WHERE run = (SELECT id FROM runs
                      WHERE dag = (SELECT id FROM words WHERE word = ?1) AND run_id = ?2)
         ORDER BY number",
        account::columns("a")
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([run.dag.as_str(), run.id.as_str()])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(AttemptSummary {
            number: row.get("number")?,
            attempt: attempt_id(row.get("attempt")?)?,
            status: codes::to_run_status(row.get("status")?)?,
            intended_at: Time(row.get("intended_at")?),
            started_at: row.get::<_, Option<i64>>("started_at")?.map(Time),
            ended_at: row.get::<_, Option<i64>>("ended_at")?.map(Time),
            error: row.get("error")?,
            lost: codes::from_json_option(text(row, "lost")?.as_deref())?,
            usage: account::usage(row)?,
            cause: account::cause(row)?,
        });
    }
    Ok(all)
}

pub(super) fn run_of(db: &Connection, attempt: &AttemptId) -> Result<Option<(RunRef, u32)>, Fault> {
    let row = db
        .prepare_cached(
            "SELECT dag.word, r.run_id, a.number FROM attempts a
             CROSS JOIN runs r ON r.id = a.run
             CROSS JOIN words dag ON dag.id = r.dag
             WHERE a.attempt = ?1",
        )?
        .query_row([attempt.as_str()], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    row.map(|(dag, id, number)| Ok((reference(&dag, id)?, number)))
        .transpose()
}

pub(super) fn launch_data(db: &Connection, run: &RunRef) -> Result<Option<NewRun>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT r.capacity, r.owner, r.trigger, r.created_at, r.params, r.params_json,
                r.parent, r.root, r.caller, r.asked, r.depth, grp.word AS grp,
                r.priority, r.now, r.dag_limit, r.scheduled_for, r.retry,
                dir.word AS base_dir, d.hash, d.json, d.steps, d.handlers
         FROM runs r
         CROSS JOIN words grp ON grp.id = r.grp
         CROSS JOIN words dir ON dir.id = r.base_dir
         CROSS JOIN dags d ON d.id = r.snapshot
         WHERE r.dag = (SELECT id FROM words WHERE word = ?1) AND r.run_id = ?2",
    )?;
    let mut rows = statement.query([run.dag.as_str(), run.id.as_str()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(NewRun {
        run: run.clone(),
        group: group_name(row.get("grp")?)?,
        capacity: row.get("capacity")?,
        owner: row.get("owner")?,
        trigger: codes::to_trigger(row.get("trigger")?)?,
        created_at: Time(row.get("created_at")?),
        dag_hash: row.get("hash")?,
        dag: row.get::<_, String>("json")?.into(),
        steps: codes::from_json(&row.get::<_, String>("steps")?)?,
        handlers: codes::from_json(&row.get::<_, String>("handlers")?)?,
        params: codes::from_json_list(text(row, "params")?.as_deref())?,
        params_json: text(row, "params_json")?.unwrap_or_default(),
        base_dir: row.get("base_dir")?,
        parent: caller(db, row)?,
        priority: priority(row)?,
        now: row.get("now")?,
        dag_limit: row.get("dag_limit")?,
        scheduled_for: row.get::<_, Option<i64>>("scheduled_for")?.map(Time),
        retry: codes::from_json_option(text(row, "retry")?.as_deref())?,
    }))
}
