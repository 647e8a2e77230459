//! What each change does to the rows. Runs inside the writer's transaction; an error leaves the caller to roll
//! back. A terminal status never changes.

mod attempt;
mod installed;
mod notices;
mod retire;
mod rows;
mod scheduling;

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::change::{Change, NewRun};
use crate::model::{AttemptId, RunRef, RunStatus, Time};

use super::error::Fault;
use super::{LogDir, codes};
use attempt::{decide, end, end_waiting, identify, start, step};
use rows::{AttemptRow, RunRow};

pub(super) use attempt::{attempt_flags, step_flags};
pub(super) use scheduling::Due;

/// Where the queue's positions begin: there is room on both sides, since a run may come back to the head.
pub(super) const FIRST_POSITION: i64 = 1 << 40;

const QUEUED: i64 = codes::run_status(RunStatus::Queued);

/// Applies one change.
pub(super) fn apply(db: &Connection, change: &Change, log_dir: &LogDir) -> Result<(), Fault> {
    match change {
        Change::Accept(new) => accept(db, new),
        Change::Requeue {
            run,
            caller,
            automatic,
            at: _,
        } => requeue(db, run, *caller, *automatic),
        Change::Decide {
            run,
            attempt,
            node,
            view,
        } => decide(db, run, attempt, *node, view, log_dir),
        Change::Intend {
            run,
            attempt,
            number,
            at,
        } => intend(db, run, attempt, *number, *at),
        Change::Identify { attempt, identity } => identify(db, attempt, identity),
        Change::Unlaunch { attempt } => unlaunch(db, attempt),
        Change::Start { attempt, at, params } => start(db, attempt, *at, params.as_deref()),
        Change::Step { attempt, node, view } => step(db, attempt, *node, view, log_dir),
        Change::Stop {
            run: which,
            reason,
            at,
        } => {
            let row = RunRow::get(db, which)?;
            if row.status.is_terminal() {
                return Ok(());
            }
            let sql = "UPDATE runs SET stop = ?2, stopped_at = ?3 WHERE id = ?1";
            run(db, sql, params![row.id, codes::json(reason)?, at.0])
        }
        Change::RetryLater { .. } | Change::CancelRetry { .. } => scheduling::retry(db, change),
        Change::Watermark { dag, at } => scheduling::watermark(db, dag, *at),
        Change::Suspend { dag, on } => scheduling::suspend(db, dag, *on),
        Change::Install(version) => installed::install(db, version),
        Change::Uninstall { dag, forget } => installed::uninstall(db, dag, *forget),
        Change::PauseQueue { queue, on } => scheduling::pause(db, queue, *on),
        Change::Move {
            run,
            queue,
            priority,
            first,
        } => scheduling::place(db, run, queue.as_ref(), *priority, *first),
        Change::Notify(notice) => notices::notify(db, notice),
        Change::Notified { id } => run(db, "DELETE FROM notices WHERE id = ?1", [id]),
        Change::Retire { roots } => retire::retire(db, roots),
        Change::Removed { directories } => retire::removed(db, directories),
        Change::End { .. } => end(db, change),
        Change::Account {
            attempt,
            usage,
            cause,
        } => super::account::account(db, attempt, usage, cause.as_ref()),
        Change::EndQueued {
            run,
            status,
            error,
            at,
        } => end_queued(db, run, *status, error.as_deref(), *at),
        Change::Clean { attempt } => run(
            db,
            "DELETE FROM held WHERE ended = 1 AND attempt = (SELECT id FROM attempts WHERE attempt = ?1)",
            [attempt.as_str()],
        ),
    }
}

fn run(db: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<(), Fault> {
    db.prepare_cached(sql)?.execute(params)?;
    Ok(())
}

fn word(db: &Connection, word: &str) -> Result<i64, Fault> {
    let known = db
        .prepare_cached("SELECT id FROM words WHERE word = ?1")?
        .query_row([word], |row| row.get(0))
        .optional()?;
    match known {
        Some(id) => Ok(id),
        None => Ok(db
            .prepare_cached("INSERT INTO words (word) VALUES (?1)")?
            .insert([word])?),
    }
}

fn snapshot(db: &Connection, new: &NewRun) -> Result<i64, Fault> {
    let known = db
        .prepare_cached("SELECT id FROM dags WHERE hash = ?1")?
        .query_row([&new.dag_hash], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    let count = i64::try_from(new.steps.len()).unwrap_or(i64::MAX);
    let steps = codes::json(&new.steps)?;
    let handlers = codes::json(&new.handlers)?;
    Ok(db
        .prepare_cached("INSERT INTO dags (hash, count, steps, handlers, json) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .insert(params![new.dag_hash, count, steps, handlers, &*new.dag])?)
}

fn enqueue(db: &Connection, run_row: i64, group: i64) -> Result<(), Fault> {
    run(
        db,
        "INSERT INTO queue (position, run, grp)
         VALUES ((SELECT COALESCE(max(position) + 1, ?3) FROM queue), ?1, ?2)",
        [run_row, group, FIRST_POSITION],
    )
}

fn enqueue_at_head(db: &Connection, run_row: i64) -> Result<(), Fault> {
    run(
        db,
        "INSERT INTO queue (position, run, grp)
         VALUES ((SELECT COALESCE(min(position) - 1, ?2) FROM queue), ?1, (SELECT grp FROM runs WHERE id = ?1))",
        [run_row, FIRST_POSITION],
    )
}

fn accept(db: &Connection, new: &NewRun) -> Result<(), Fault> {
    if RunRow::find(db, &new.run)?.is_some() || retire::is_going(db, &new.run)? {
        return Err(Fault::Exists);
    }
    let dag = word(db, new.run.dag.as_str())?;
    let group = word(db, new.group.as_str())?;
    let base_dir = word(db, &new.base_dir)?;
    let snapshot = snapshot(db, new)?;
    let params = codes::json_list(&new.params)?;
    let params_json = Some(&new.params_json).filter(|text| !text.is_empty());
    let caller = new.parent.as_ref();
    let row = |run: Option<&RunRef>| {
        run.map(|run| Ok::<_, Fault>(RunRow::get(db, run)?.id))
            .transpose()
    };
    let parent = row(caller.map(|caller| &caller.run))?;
    let root = row(caller.map(|caller| &caller.root))?;
    let id = db
        .prepare_cached(
            "INSERT INTO runs (dag, run_id, snapshot, grp, base_dir, capacity, owner, trigger, created_at,
                               status, attempts, launched, params, params_json, parent, root, caller, depth, asked,
                               priority, now, dag_limit, scheduled_for, retry)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, 0, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                     ?18, ?19, ?20, ?21, ?22)",
        )?
        .insert(params![
            dag,
            new.run.id.as_str(),
            snapshot,
            group,
            base_dir,
            new.capacity,
            new.owner,
            codes::trigger(new.trigger),
            new.created_at.0,
            QUEUED,
            params,
            params_json,
            parent,
            root,
            caller.map(|caller| &caller.step),
            caller.map_or(0, |caller| caller.depth),
            caller.map(|caller| caller.attempt),
            new.priority.number(),
            new.now,
            new.dag_limit,
            new.scheduled_for.map(|at| at.0),
            codes::json_option(new.retry.as_ref())?,
        ])?;
    enqueue(db, id, group)
}

fn requeue(db: &Connection, which: &RunRef, caller: Option<u32>, automatic: bool) -> Result<(), Fault> {
    let row = RunRow::get(db, which)?;
    if retire::is_going(db, which)? {
        return Err(Fault::Exists);
    }
    if !row.status.ends_attempt() {
        return Err(Fault::text(format!(
            "run {which} is {}: only a run that has ended or waits can be put into the queue again",
            row.status
        )));
    }
    run(
        db,
        "UPDATE runs SET status = ?2, launched = 0, error = NULL, ended_at = NULL, stop = NULL, stopped_at = NULL,
                         asked = COALESCE(?3, asked), retry_at = NULL, retry_due = NULL,
                         retries = CASE WHEN ?4 THEN retries END
         WHERE id = ?1",
        params![row.id, QUEUED, caller, automatic],
    )?;
    enqueue(db, row.id, row.group)
}

fn intend(db: &Connection, which: &RunRef, attempt: &AttemptId, number: u32, at: Time) -> Result<(), Fault> {
    let row = RunRow::get(db, which)?;
    let left = db
        .prepare_cached("DELETE FROM queue WHERE run = ?1")?
        .execute([row.id])?;
    if left == 0 {
        return Err(Fault::text(format!("run {which} is not in the queue")));
    }
    let id = db
        .prepare_cached(
            "INSERT INTO attempts (run, number, attempt, status, intended_at, flags) VALUES (?1, ?2, ?3, ?4, ?5, 0)",
        )?
        .insert(params![row.id, number, attempt.as_str(), QUEUED, at.0])?;
    run(db, "INSERT INTO held (attempt, ended) VALUES (?1, 0)", [id])?;
    run(
        db,
        "UPDATE runs SET attempts = ?2, launched = 1 WHERE id = ?1",
        params![row.id, number],
    )
}

fn unlaunch(db: &Connection, attempt: &AttemptId) -> Result<(), Fault> {
    let row = AttemptRow::get(db, attempt)?;
    if row.started || row.ended {
        return Err(Fault::text(format!(
            "attempt {attempt} has started: it cannot be taken back"
        )));
    }
    run(db, "DELETE FROM held WHERE attempt = ?1", [row.id])?;
    run(db, "DELETE FROM steps WHERE attempt = ?1", [row.id])?;
    run(db, "DELETE FROM attempts WHERE id = ?1", [row.id])?;
    run(
        db,
        "UPDATE runs SET status = ?2, launched = 0,
                         attempts = (SELECT COALESCE(max(number), 0) FROM attempts WHERE run = ?1)
         WHERE id = ?1",
        [row.run, QUEUED],
    )?;
    enqueue_at_head(db, row.run)
}

fn end_queued(
    db: &Connection,
    which: &RunRef,
    status: RunStatus,
    error: Option<&str>,
    at: Time,
) -> Result<(), Fault> {
    let row = RunRow::get(db, which)?;
    if row.status.is_terminal() {
        return Ok(());
    }
    if !status.is_terminal() {
        return Err(not_an_end(status));
    }
    if row.status == RunStatus::Waiting {
        return end_waiting(db, row.id, status, error, at);
    }
    if row.launched {
        return Err(Fault::text(format!(
            "run {which} has a live attempt: it ends with that"
        )));
    }
    run(db, "DELETE FROM queue WHERE run = ?1", [row.id])?;
    run(
        db,
        "UPDATE runs SET status = ?2, error = ?3, ended_at = ?4 WHERE id = ?1",
        params![row.id, codes::run_status(status), error, at.0],
    )
}

fn not_an_end(status: RunStatus) -> Fault {
    Fault::text(format!("`{status}` is not a final status"))
}
