//! Changes of an attempt that exists.

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::change::{AttemptIdentity, Change};
use crate::model::view::StepView;
use crate::model::{AttemptId, Node, RunRef, RunStatus, StepStatus, StopReason, Time};

use super::rows::{AttemptRow, RunRow};
use super::{not_an_end, run};
use crate::store::error::Fault;
use crate::store::{LogDir, codes};

const FLAG_TIMED_OUT: i64 = 1;
const FLAG_KILL_ESCALATED: i64 = 2;
const FLAG_REPEATED: i64 = 1;
const FLAG_TOLERATED: i64 = 2;

const RUNNING: i64 = codes::run_status(RunStatus::Running);

pub(super) fn identify(
    db: &Connection,
    attempt: &AttemptId,
    identity: &AttemptIdentity,
) -> Result<(), Fault> {
    let row = AttemptRow::get(db, attempt)?;
    run(
        db,
        "UPDATE held SET pid = ?2, pidfs_inode = ?3, start_ticks = ?4, boot_id = ?5, cgroup_id = ?6
         WHERE attempt = ?1 AND ended = 0",
        params![
            row.id,
            identity.pid,
            identity.pidfs_inode.map(u64::cast_signed),
            identity.start_ticks.map(u64::cast_signed),
            identity.boot_id,
            identity.cgroup_id.map(u64::cast_signed),
        ],
    )
}

pub(super) fn start(
    db: &Connection,
    attempt: &AttemptId,
    at: Time,
    params: Option<&[(String, String)]>,
) -> Result<(), Fault> {
    let row = AttemptRow::get(db, attempt)?;
    if row.ended {
        return Ok(());
    }
    // Told and empty is not the same as not told.
    let params = params.map(codes::json).transpose()?;
    run(
        db,
        "UPDATE attempts SET status = ?2, started_at = COALESCE(started_at, ?3), params = COALESCE(?4, params)
         WHERE id = ?1",
        params![row.id, RUNNING, at.0, params],
    )?;
    run(
        db,
        "UPDATE runs SET status = ?2 WHERE id = ?1",
        [row.run, RUNNING],
    )
}

pub(super) fn step(
    db: &Connection,
    attempt: &AttemptId,
    node: Node,
    view: &StepView,
    log_dir: &LogDir,
) -> Result<(), Fault> {
    let row = AttemptRow::get(db, attempt)?;
    let code = codes::node(node);
    if row.ended && is_done(db, row.id, code)? {
        return Ok(());
    }
    write_step(db, &row, code, view, &log_dir(row.intended_at, attempt))?;
    if row.ended { count_done(db, row.id) } else { Ok(()) }
}

/// A step that waits is as somebody decided. What does not wait any more was decided by somebody else.
pub(super) fn decide(
    db: &Connection,
    which: &RunRef,
    attempt: &AttemptId,
    node: Node,
    view: &StepView,
    log_dir: &LogDir,
) -> Result<(), Fault> {
    let (owner, row) = (RunRow::get(db, which)?, AttemptRow::get(db, attempt)?);
    let code = codes::node(node);
    let newest: bool = db
        .prepare_cached(
            "SELECT attempts = (SELECT number FROM attempts WHERE id = ?2) FROM runs WHERE id = ?1",
        )?
        .query_row([owner.id, row.id], |found| found.get::<_, Option<bool>>(0))?
        .unwrap_or(false);
    let waits = owner.status == RunStatus::Waiting
        && row.run == owner.id
        && newest
        && step_status(db, row.id, code)? == Some(StepStatus::Waiting);
    if !waits {
        return Err(Fault::Exists);
    }
    write_step(db, &row, code, view, &log_dir(row.intended_at, attempt))?;
    count_done(db, row.id)
}

fn write_step(db: &Connection, row: &AttemptRow, code: i64, view: &StepView, dir: &str) -> Result<(), Fault> {
    let stdout = view.stdout.as_deref().map(|path| codes::shorten(dir, path));
    let stderr = match (&view.stdout, &view.stderr) {
        (Some(out), Some(err)) if out == err => Some(""),
        (_, err) => err.as_deref().map(|path| codes::shorten(dir, path)),
    };
    let flags = i64::from(view.repeated) * FLAG_REPEATED + i64::from(view.tolerated) * FLAG_TOLERATED;
    run(
        db,
        "INSERT OR REPLACE INTO steps (attempt, node, status, flags, retries, executions, started_at, finished_at,
             next_try_at, pid, exit_code, exit, stdout, stderr, error, variables, children, decision, cause)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        params![
            row.id,
            code,
            codes::step_status(view.status),
            flags,
            view.retry_count,
            view.done_count,
            view.started_at.map(|at| at.0),
            view.finished_at.map(|at| at.0),
            view.next_try_at.map(|at| at.0),
            view.pid,
            view.exit_code,
            view.exit.map(codes::exit),
            stdout,
            stderr,
            view.error,
            codes::json_list(&view.variables)?,
            codes::children(&view.children)?,
            codes::json_option(view.decision.as_ref())?,
            codes::json_option(view.cause.as_ref())?,
        ],
    )
}

fn is_done(db: &Connection, attempt: i64, node: i64) -> Result<bool, Fault> {
    Ok(step_status(db, attempt, node)?.is_some_and(StepStatus::is_done))
}

fn step_status(db: &Connection, attempt: i64, node: i64) -> Result<Option<StepStatus>, Fault> {
    let status: Option<i64> = db
        .prepare_cached("SELECT status FROM steps WHERE attempt = ?1 AND node = ?2")?
        .query_row([attempt, node], |row| row.get(0))
        .optional()?;
    status.map(codes::to_step_status).transpose()
}

fn count_done(db: &Connection, attempt: i64) -> Result<(), Fault> {
    let sql = format!(
        "UPDATE attempts SET done = (SELECT count(*) FROM steps
             WHERE attempt = ?1 AND node >= 0 AND status IN ({})) WHERE id = ?1",
        codes::done_statuses()
    );
    run(db, &sql, [attempt])
}

pub(super) fn end(db: &Connection, change: &Change) -> Result<(), Fault> {
    let Change::End {
        attempt,
        status,
        error,
        lost,
        outputs,
        timed_out,
        kill_escalated,
        at,
    } = change
    else {
        return Ok(());
    };
    let row = AttemptRow::get(db, attempt)?;
    if row.ended {
        return Ok(());
    }
    if !status.ends_attempt() {
        return Err(not_an_end(*status));
    }
    let flags = i64::from(*timed_out) * FLAG_TIMED_OUT + i64::from(*kill_escalated) * FLAG_KILL_ESCALATED;
    run(
        db,
        "UPDATE attempts SET status = ?2, ended_at = ?3, error = ?4, lost = ?5, outputs = ?6, flags = ?7,
                             stop = (SELECT stop FROM runs WHERE id = attempts.run)
         WHERE id = ?1",
        params![
            row.id,
            codes::run_status(*status),
            at.0,
            error,
            codes::json_option(lost.as_ref())?,
            codes::json_list(outputs)?,
            flags,
        ],
    )?;
    count_done(db, row.id)?;
    run(
        db,
        "UPDATE runs SET status = ?2 WHERE id = ?1",
        [row.run, codes::run_status(*status)],
    )?;
    // Its supervisor, and what it left, may live until it is cleaned up: how they are found stays.
    run(db, "UPDATE held SET ended = 1 WHERE attempt = ?1", [row.id])?;
    if status.is_terminal() && !is_called(db, row.run)? {
        let text = StopReason::Caller.to_string();
        return end_waiting(db, row.run, RunStatus::Aborted, Some(&text), *at);
    }
    Ok(())
}

fn is_called(db: &Connection, run: i64) -> Result<bool, Fault> {
    let sql = "SELECT parent IS NOT NULL FROM runs WHERE id = ?1";
    Ok(db.prepare_cached(sql)?.query_row([run], |row| row.get(0))?)
}

/// The runs of a tree from its root on, found call by call: what it costs depends on the tree, not on the history.
const TREE: &str = "WITH RECURSIVE tree (id) AS (
        SELECT ?1 UNION ALL SELECT r.id FROM tree CROSS JOIN runs r INDEXED BY runs_by_parent ON r.parent = tree.id)
     SELECT id FROM tree";

/// What waits in the tree of a root that is over ends without a further attempt, the root itself included: nobody could
/// decide about it any more. Their last attempts, which left them waiting, take the end over: so the steps stay what they
/// were.
pub(super) fn end_waiting(
    db: &Connection,
    root: i64,
    status: RunStatus,
    error: Option<&str>,
    at: Time,
) -> Result<(), Fault> {
    let waiting = codes::run_status(RunStatus::Waiting);
    let status = codes::run_status(status);
    let caller = codes::json(&StopReason::Caller)?;
    let sql = format!(
        "UPDATE attempts SET status = ?2, error = ?3, ended_at = ?4,
                             stop = COALESCE((SELECT stop FROM runs WHERE id = ?1), ?6)
         WHERE id IN (SELECT a.id FROM runs r CROSS JOIN attempts a ON a.run = r.id AND a.number = r.attempts
                      WHERE r.id IN ({TREE}) AND r.status = ?5)"
    );
    run(db, &sql, params![root, status, error, at.0, waiting, caller])?;
    let sql = format!(
        "UPDATE runs SET status = ?2, stop = COALESCE((SELECT stop FROM runs WHERE id = ?1), ?4)
         WHERE id IN ({TREE}) AND status = ?3"
    );
    run(db, &sql, params![root, status, waiting, caller])
}

/// Whether the time limit was over, and whether SIGKILL ended the grace period.
pub(in crate::store) fn attempt_flags(flags: i64) -> (bool, bool) {
    (flags & FLAG_TIMED_OUT != 0, flags & FLAG_KILL_ESCALATED != 0)
}

/// Whether the step was repeated, and whether its failure is tolerated.
pub(in crate::store) fn step_flags(flags: i64) -> (bool, bool) {
    (flags & FLAG_REPEATED != 0, flags & FLAG_TOLERATED != 0)
}
