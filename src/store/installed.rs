//! What the store knows of installed DAGs and their schedules. Asked when the daemon starts.

use rusqlite::{Connection, OptionalExtension};

use super::codes;
use super::error::Fault;
use super::history::dag_name;
use crate::model::change::InstalledDag;
use crate::model::{DagName, Time};

/// What is decided of the schedules of a DAG, whether it is installed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRecord {
    /// Which DAG.
    pub dag: DagName,
    /// Scheduled times up to this one are decided; none if it never had a schedule.
    pub watermark: Option<Time>,
    /// Whether its schedules are held back.
    pub suspended: bool,
}

pub(super) fn plans(db: &Connection) -> Result<Vec<PlanRecord>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT word, watermark, suspended FROM plans CROSS JOIN words ON words.id = plans.dag ORDER BY word",
    )?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(PlanRecord {
            dag: dag_name(row.get(0)?)?,
            watermark: row.get::<_, Option<i64>>(1)?.map(Time),
            suspended: row.get(2)?,
        });
    }
    Ok(all)
}

pub(super) fn plan(db: &Connection, dag: &DagName) -> Result<Option<PlanRecord>, Fault> {
    let found = db
        .prepare_cached(
            "SELECT watermark, suspended FROM plans WHERE dag = (SELECT id FROM words WHERE word = ?1)",
        )?
        .query_row([dag.as_str()], |row| {
            Ok(PlanRecord {
                dag: dag.clone(),
                watermark: row.get::<_, Option<i64>>(0)?.map(Time),
                suspended: row.get(1)?,
            })
        })
        .optional()?;
    Ok(found)
}

pub(super) fn installed(db: &Connection) -> Result<Vec<InstalledDag>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT word, file, owner, mode, at, source, base, schemas
         FROM installed CROSS JOIN words ON words.id = installed.dag ORDER BY word",
    )?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(InstalledDag {
            dag: dag_name(row.get(0)?)?,
            file: row.get(1)?,
            owner: row.get(2)?,
            mode: row.get(3)?,
            at: Time(row.get(4)?),
            source: row.get(5)?,
            base: row.get(6)?,
            schemas: codes::from_json_list(row.get::<_, Option<String>>(7)?.as_deref())?,
        });
    }
    Ok(all)
}

/// The expression and the condition of the index `runs_succeeded` must stand in the query as they are in the schema.
pub(super) const LAST_SUCCESS: &str =
    "SELECT COALESCE(scheduled_for, created_at) FROM runs INDEXED BY runs_succeeded
     WHERE dag = (SELECT id FROM words WHERE word = ?1) AND owner = ?2 AND parent IS NULL AND status = 4
       AND COALESCE(scheduled_for, created_at) <= ?3
     ORDER BY COALESCE(scheduled_for, created_at) DESC LIMIT 1";

pub(super) fn last_success(
    db: &Connection,
    dag: &DagName,
    owner: u32,
    now: Time,
) -> Result<Option<Time>, Fault> {
    let at = db
        .prepare_cached(LAST_SUCCESS)?
        .query_row((dag.as_str(), owner, now.0), |row| row.get(0))
        .optional()?;
    Ok(at.map(Time))
}
