//! Changes of schedules, queues and retries of runs as a whole.

use rusqlite::{Connection, params};

use super::rows::RunRow;
use super::{FIRST_POSITION, run, word};
use crate::model::change::Change;
use crate::model::{Boot, DagName, GroupName, Priority, RunRef, RunStatus, Time};
use crate::store::codes;
use crate::store::error::Fault;

/// What `retry_due` holds: number and limit of the retry, and when it is due by the clock of which boot.
pub(in crate::store) type Due = (u32, u32, Boot, String);

/// A retry that comes by itself, or that does not come after all.
pub(super) fn retry(db: &Connection, change: &Change) -> Result<(), Fault> {
    match change {
        Change::RetryLater {
            run: which,
            retries,
            retry,
            boot,
            boot_id,
        } => {
            let row = RunRow::get(db, which)?;
            let due: Due = (retry.number, retry.limit, *boot, boot_id.clone());
            run(
                db,
                "UPDATE runs SET retries = ?2, retry_at = ?3, retry_due = ?4 WHERE id = ?1",
                params![row.id, codes::json(retries)?, retry.at.0, codes::json(&due)?],
            )
        }
        Change::CancelRetry {
            run: which,
            reason,
            at,
        } => {
            let row = RunRow::get(db, which)?;
            run(
                db,
                "UPDATE runs SET retry_at = NULL, retry_due = NULL, stop = ?2, stopped_at = ?3
                 WHERE id = ?1 AND retry_at IS NOT NULL",
                params![row.id, codes::json(reason)?, at.0],
            )
        }
        _ => Ok(()),
    }
}

/// Scheduled times up to this one are decided. It may go back: then the clock was wrong.
pub(super) fn watermark(db: &Connection, dag: &DagName, at: Time) -> Result<(), Fault> {
    let dag = word(db, dag.as_str())?;
    run(
        db,
        "INSERT INTO plans (dag, watermark) VALUES (?1, ?2) ON CONFLICT (dag) DO UPDATE SET watermark = ?2",
        params![dag, at.0],
    )
}

pub(super) fn suspend(db: &Connection, dag: &DagName, on: bool) -> Result<(), Fault> {
    let dag = word(db, dag.as_str())?;
    run(
        db,
        "INSERT INTO plans (dag, suspended) VALUES (?1, ?2) ON CONFLICT (dag) DO UPDATE SET suspended = ?2",
        params![dag, on],
    )
}

pub(super) fn pause(db: &Connection, queue: &GroupName, on: bool) -> Result<(), Fault> {
    let queue = word(db, queue.as_str())?;
    let sql = if on {
        "INSERT OR IGNORE INTO paused (grp) VALUES (?1)"
    } else {
        "DELETE FROM paused WHERE grp = ?1"
    };
    run(db, sql, [queue])
}

/// Gives a queued run another place.
pub(super) fn place(
    db: &Connection,
    which: &RunRef,
    queue: Option<&(GroupName, u32)>,
    priority: Option<Priority>,
    first: bool,
) -> Result<(), Fault> {
    let row = RunRow::get(db, which)?;
    if row.status != RunStatus::Queued || row.launched {
        return Err(Fault::text(format!("run {which} does not wait in a queue")));
    }
    if let Some((queue, capacity)) = queue {
        let group = word(db, queue.as_str())?;
        run(
            db,
            "UPDATE runs SET grp = ?2, capacity = ?3 WHERE id = ?1",
            params![row.id, group, capacity],
        )?;
        run(db, "UPDATE queue SET grp = ?2 WHERE run = ?1", [row.id, group])?;
    }
    if let Some(priority) = priority {
        run(
            db,
            "UPDATE runs SET priority = ?2 WHERE id = ?1",
            params![row.id, priority.number()],
        )?;
    }
    let position = if first {
        "SELECT COALESCE(min(position) - 1, ?2) FROM queue"
    } else if queue.is_some() {
        "SELECT COALESCE(max(position) + 1, ?2) FROM queue"
    } else {
        return Ok(());
    };
    run(
        db,
        &format!("UPDATE queue SET position = ({position}) WHERE run = ?1"),
        [row.id, FIRST_POSITION],
    )
}
