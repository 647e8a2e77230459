//! What is old: runs that are over and that retention may remove, and directories that still are to be removed.
//!
//! Every query walks an index and stops early, so that finding nothing costs nothing.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use crate::model::{AttemptId, DagName, RunRef, Time};

use super::error::Fault;
use super::history::{attempt_id, reference};

/// The statuses of the partial index `runs_ended`; its condition must stand in the query as it is in the schema.
pub(super) const ENDED: &str = "(2, 3, 4, 6, 8)";

/// That a run `r` has ended is no sign that it is over: it may be tried again by itself, its attempt may not be cleaned
/// up, or something it called may wait or live. The last run of a schedule stays, so that its id cannot be given twice.
pub(super) const OVER: &str = "r.parent IS NULL AND r.status IN (2, 3, 4, 6, 8) AND r.retry_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM attempts a CROSS JOIN held h ON h.attempt = a.id WHERE a.run = r.id)
    AND NOT EXISTS (SELECT 1 FROM runs c INDEXED BY runs_by_root WHERE c.root = r.id
        AND (c.status IN (0, 1, 5, 7) OR c.retry_at IS NOT NULL OR EXISTS (
            SELECT 1 FROM attempts a CROSS JOIN held h ON h.attempt = a.id WHERE a.run = c.id)))
    AND (r.scheduled_for IS NULL OR r.scheduled_for < (
        SELECT max(s.scheduled_for) FROM runs s INDEXED BY runs_by_schedule
        WHERE s.dag = r.dag AND s.scheduled_for IS NOT NULL))";

/// The ended runs of a DAG that nobody called and that belong to one user. Two users may have DAGs of the same name, and
/// neither decides how long the other's runs are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// The DAG.
    pub dag: DagName,
    /// User id.
    pub owner: u32,
}

/// A place in the list of all series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeriesPlace {
    dag: i64,
    /// One more than the user id of the series before.
    owner: i64,
}

/// What is old. A run that either limit does not keep is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Runs that ended before.
    pub ended_before: Option<Time>,
    /// All but the newest so many.
    pub keep: Option<u32>,
    /// Runs with a notification that was made since and is not given yet stay.
    pub notices_since: Time,
}

/// An old run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldRun {
    /// Which.
    pub run: RunRef,
    /// How many runs it called, directly or not.
    pub sub_runs: u64,
    /// Where to go on behind it.
    pub place: (Time, i64),
}

/// A directory of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Its name: the attempt's id. The one of number 0 names the run's scratch directory.
    pub attempt: AttemptId,
    /// When the attempt was intended, whose day is part of the path; none for a scratch directory.
    pub at: Option<Time>,
}

pub(super) fn next_series(
    db: &Connection,
    after: SeriesPlace,
    dag: Option<&DagName>,
) -> Result<Option<(Series, SeriesPlace)>, Fault> {
    let mut values = vec![Value::Integer(after.dag), Value::Integer(after.owner)];
    values.extend(dag.map(|dag| Value::Text(dag.as_str().to_owned())));
    let found = db
        .prepare_cached(&series_query(dag.is_some()))?
        .query_row(params_from_iter(values), |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, u32>(2)?))
        })
        .optional()?;
    let Some((id, dag, owner)) = found else {
        return Ok(None);
    };
    let bad = |error| Fault::text(format!("a row of the store holds a bad name: {error}"));
    let dag = DagName::new(dag).map_err(bad)?;
    let place = SeriesPlace {
        dag: id,
        owner: i64::from(owner) + 1,
    };
    Ok(Some((Series { dag, owner }, place)))
}

/// The place is two bounds and not a pair to compare with: so each of them is a jump in the index.
pub(super) fn series_query(of_one: bool) -> String {
    let select = |condition: &str| {
        format!(
            "SELECT * FROM (SELECT r.dag, (SELECT word FROM words WHERE id = r.dag), r.owner
             FROM runs r INDEXED BY runs_ended
             WHERE {condition} AND r.parent IS NULL AND r.status IN {ENDED} ORDER BY r.dag, r.owner LIMIT 1)"
        )
    };
    let name = "(SELECT id FROM words WHERE word = ?3)";
    if of_one {
        let same = format!("r.dag = {name} AND r.owner >= iif({name} = ?1, ?2, 0)");
        return select(&same);
    }
    format!(
        "{} UNION ALL {} LIMIT 1",
        select("r.dag = ?1 AND r.owner >= ?2"),
        select("r.dag > ?1")
    )
}

/// The hash of the DAG as the newest run of the series had it, and the DAG unless the hash is the known one.
pub(super) fn newest_dag(
    db: &Connection,
    series: &Series,
    known: &str,
) -> Result<Option<(String, Option<String>)>, Fault> {
    Ok(db
        .prepare_cached(&format!(
            "SELECT d.hash, CASE WHEN d.hash <> ?3 THEN d.json END
             FROM runs r INDEXED BY runs_ended CROSS JOIN dags d ON d.id = r.snapshot
             WHERE r.dag = (SELECT id FROM words WHERE word = ?1) AND r.owner = ?2
               AND r.parent IS NULL AND r.status IN {ENDED}
             ORDER BY r.created_at DESC, r.id DESC LIMIT 1"
        ))?
        .query_row(params![series.dag.as_str(), series.owner, known], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?)
}

/// The oldest run that the count keeps: behind it all are old.
pub(super) const BOUNDARY: &str = "SELECT r.created_at, r.id FROM runs r INDEXED BY runs_ended
    WHERE r.dag = (SELECT id FROM words WHERE word = ?1) AND r.owner = ?2
      AND r.parent IS NULL AND r.status IN (2, 3, 4, 6, 8)
    ORDER BY r.created_at DESC, r.id DESC LIMIT 1 OFFSET ?3";

/// Old runs of the series, the oldest first, at most `most`, behind a place.
pub(super) fn old(
    db: &Connection,
    series: &Series,
    limits: &Limits,
    after: Option<(Time, i64)>,
    most: u32,
) -> Result<Vec<OldRun>, Fault> {
    let Some(values) = bounds(db, series, limits, after, most)? else {
        return Ok(Vec::new());
    };
    let mut statement = db.prepare_cached(&old_query())?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(OldRun {
            run: reference(series.dag.as_str(), row.get(0)?)?,
            sub_runs: row.get::<_, i64>(3)?.cast_unsigned(),
            place: (Time(row.get(1)?), row.get(2)?),
        });
    }
    Ok(found)
}

/// The values for [`old_query`]; none if nothing can be old.
pub(super) fn bounds(
    db: &Connection,
    series: &Series,
    limits: &Limits,
    after: Option<(Time, i64)>,
    most: u32,
) -> Result<Option<Vec<Value>>, Fault> {
    // No run is behind the least of places, all are behind the last one.
    let (least, last) = ((i64::MIN, i64::MIN), (i64::MAX, i64::MAX));
    let kept = match limits.keep {
        None => least,
        Some(0) => last,
        Some(keep) => db
            .prepare_cached(BOUNDARY)?
            .query_row(params![series.dag.as_str(), series.owner, keep - 1], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?
            .unwrap_or(least),
    };
    let before = limits.ended_before.map_or(i64::MIN, |at| at.0);
    // Nothing ends before it was accepted.
    let upper = kept.0.max(before);
    if upper == i64::MIN {
        return Ok(None);
    }
    let after = after.map_or(least, |(at, row)| (at.0, row));
    let mut values = vec![
        Value::Text(series.dag.as_str().to_owned()),
        Value::Integer(series.owner.into()),
    ];
    let numbers = [
        after.0,
        after.1,
        upper,
        kept.0,
        kept.1,
        before,
        limits.notices_since.0,
        most.into(),
    ];
    values.extend(numbers.map(Value::Integer));
    Ok(Some(values))
}

pub(super) fn old_query() -> String {
    format!(
        "SELECT r.run_id, r.created_at, r.id,
                (SELECT count(*) FROM runs c INDEXED BY runs_by_root WHERE c.root = r.id)
         FROM runs r INDEXED BY runs_ended
         WHERE r.dag = (SELECT id FROM words WHERE word = ?1) AND r.owner = ?2
           AND r.created_at >= ?3 AND r.created_at <= ?5 AND (r.created_at, r.id) > (?3, ?4)
           AND ((r.created_at, r.id) < (?6, ?7) OR COALESCE(CASE WHEN r.launched
                    THEN (SELECT a.ended_at FROM attempts a WHERE a.run = r.id AND a.number = r.attempts)
                    ELSE r.ended_at END, r.created_at) < ?8)
           AND {OVER}
           AND NOT EXISTS (SELECT 1 FROM notices n WHERE n.run = r.id AND n.at >= ?9)
         ORDER BY r.created_at, r.id LIMIT ?10"
    )
}

/// Which of these runs the store still has.
pub(super) fn present(db: &Connection, runs: &[RunRef]) -> Result<Vec<RunRef>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT 1 FROM runs WHERE dag = (SELECT id FROM words WHERE word = ?1) AND run_id = ?2",
    )?;
    let mut found = Vec::new();
    for run in runs {
        if statement.exists([run.dag.as_str(), run.id.as_str()])? {
            found.push(run.clone());
        }
    }
    Ok(found)
}

/// Roots of trees of which a part is removed, at most some hundred.
pub(super) fn unfinished(db: &Connection) -> Result<Vec<RunRef>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT w.word, r.run_id FROM removals m INDEXED BY removals_unfinished
         CROSS JOIN runs r ON r.id = m.root CROSS JOIN words w ON w.id = r.dag
         WHERE m.root IS NOT NULL LIMIT 100",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(reference(&row.get::<_, String>(0)?, row.get(1)?)?);
    }
    Ok(found)
}

/// Directories that are to be removed, by name, behind this one.
pub(super) fn removals(db: &Connection, after: &str, most: u32) -> Result<Vec<Directory>, Fault> {
    let mut statement =
        db.prepare_cached("SELECT attempt, at FROM removals WHERE attempt > ?1 ORDER BY attempt LIMIT ?2")?;
    let mut rows = statement.query(params![after, most])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Directory {
            attempt: attempt_id(row.get(0)?)?,
            at: row.get::<_, Option<i64>>(1)?.map(Time),
        });
    }
    Ok(found)
}

/// The directories of a run that nobody called and of all runs that it called.
pub(super) fn directories(db: &Connection, root: &RunRef) -> Result<Vec<Directory>, Fault> {
    let mut tree = db.prepare_cached(
        "WITH root (id) AS (SELECT id FROM runs WHERE dag = (SELECT id FROM words WHERE word = ?1) AND run_id = ?2)
         SELECT r.id, w.word, r.run_id FROM root CROSS JOIN runs r ON r.id = root.id CROSS JOIN words w ON w.id = r.dag
         UNION ALL
         SELECT c.id, w.word, c.run_id FROM root CROSS JOIN runs c INDEXED BY runs_by_root ON c.root = root.id
         CROSS JOIN words w ON w.id = c.dag",
    )?;
    let mut attempts = db.prepare_cached("SELECT attempt, intended_at FROM attempts WHERE run = ?1")?;
    let mut rows = tree.query([root.dag.as_str(), root.id.as_str()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let run = reference(&row.get::<_, String>(1)?, row.get(2)?)?;
        found.push(Directory {
            attempt: AttemptId::derive(&run, 0),
            at: None,
        });
        let mut of_run = attempts.query([row.get::<_, i64>(0)?])?;
        while let Some(row) = of_run.next()? {
            found.push(Directory {
                attempt: attempt_id(row.get(0)?)?,
                at: Some(Time(row.get(1)?)),
            });
        }
    }
    Ok(found)
}
