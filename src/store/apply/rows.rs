//! Finding the rows a change is about.

use rusqlite::{Connection, OptionalExtension};

use crate::model::{AttemptId, RunRef, RunStatus, Time};
use crate::store::codes;
use crate::store::error::Fault;

pub(super) struct RunRow {
    pub(super) id: i64,
    pub(super) status: RunStatus,
    pub(super) launched: bool,
    pub(super) group: i64,
}

impl RunRow {
    pub(super) fn find(db: &Connection, run: &RunRef) -> Result<Option<Self>, Fault> {
        let row = db
            .prepare_cached(
                "SELECT id, status, launched, grp FROM runs
                 WHERE dag = (SELECT id FROM words WHERE word = ?1) AND run_id = ?2",
            )?
            .query_row([run.dag.as_str(), run.id.as_str()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let Some((id, status, launched, group)) = row else {
            return Ok(None);
        };
        Ok(Some(Self {
            id,
            status: codes::to_run_status(status)?,
            launched,
            group,
        }))
    }

    pub(super) fn get(db: &Connection, run: &RunRef) -> Result<Self, Fault> {
        Self::find(db, run)?.ok_or_else(|| Fault::text(format!("there is no run {run}")))
    }
}

pub(super) struct AttemptRow {
    pub(super) id: i64,
    pub(super) run: i64,
    pub(super) intended_at: Time,
    pub(super) started: bool,
    pub(super) ended: bool,
}

impl AttemptRow {
    pub(super) fn get(db: &Connection, attempt: &AttemptId) -> Result<Self, Fault> {
        db.prepare_cached(
            "SELECT id, run, intended_at, started_at IS NOT NULL, ended_at IS NOT NULL
             FROM attempts WHERE attempt = ?1",
        )?
        .query_row([attempt.as_str()], |row| {
            Ok(Self {
                id: row.get(0)?,
                run: row.get(1)?,
                intended_at: Time(row.get(2)?),
                started: row.get(3)?,
                ended: row.get(4)?,
            })
        })
        .optional()?
        .ok_or_else(|| Fault::text(format!("there is no attempt {attempt}")))
    }
}
