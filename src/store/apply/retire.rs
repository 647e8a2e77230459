//! Removing old runs.
//!
//! The rows go first, and in the same transaction the store takes note of the directories that are to go. Files first
//! would leave, for as long as that takes and after a crash, runs that are listed and whose logs are gone; and a retry that
//! comes meanwhile would find half of what it builds on. So a run disappears at once and as a whole, what is still
//! on the disk is known without looking there, and who comes first, retry or removal, the transaction decides.

use rusqlite::{Connection, OptionalExtension, params};

use super::run;
use crate::model::{AttemptId, RunRef};
use crate::store::error::Fault;
use crate::store::history::reference;
use crate::store::retire::OVER;

/// Most runs that one change removes, so that what waits behind it waits for milliseconds. A larger tree takes several, the
/// called before the callers; from the first on there is no way back.
pub(super) const SLICE: usize = 100;

/// Whether something of a run that was removed is still there. Its directories would be the new run's.
pub(super) fn is_going(db: &Connection, which: &RunRef) -> Result<bool, Fault> {
    Ok(db
        .prepare_cached("SELECT 1 FROM removals WHERE attempt = ?1")?
        .exists([AttemptId::derive(which, 0).as_str()])?)
}

/// Removes runs that nobody called, with all they called, until a slice is full. One that is not over stays.
pub(super) fn retire(db: &Connection, roots: &[RunRef]) -> Result<(), Fault> {
    let mut left = SLICE;
    for root in roots {
        if left == 0 {
            break;
        }
        let Some(id) = removable(db, root)? else { continue };
        let tree = AttemptId::derive(root, 0);
        let below = deepest(db, id, left)?;
        for (row, called) in &below {
            remove(db, *row, called, &tree)?;
        }
        left -= below.len();
        if left > 0 {
            remove(db, id, root, &tree)?;
            left -= 1;
        } else {
            run(
                db,
                "INSERT OR REPLACE INTO removals (attempt, tree, root) VALUES (?1, ?1, ?2)",
                params![tree.as_str(), id],
            )?;
        }
    }
    Ok(())
}

fn removable(db: &Connection, root: &RunRef) -> Result<Option<i64>, Fault> {
    Ok(db
        .prepare_cached(&format!(
            "SELECT r.id FROM runs r WHERE r.dag = (SELECT id FROM words WHERE word = ?1) AND r.run_id = ?2
             AND (EXISTS (SELECT 1 FROM removals m WHERE m.root = r.id) OR ({OVER}))"
        ))?
        .query_row([root.dag.as_str(), root.id.as_str()], |row| row.get(0))
        .optional()?)
}

/// What a root called, the deepest first: each run goes before the one that called it.
fn deepest(db: &Connection, root: i64, most: usize) -> Result<Vec<(i64, RunRef)>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT c.id, (SELECT word FROM words WHERE id = c.dag), c.run_id
         FROM runs c INDEXED BY runs_by_root WHERE c.root = ?1 ORDER BY c.depth DESC LIMIT ?2",
    )?;
    let mut rows = statement.query(params![root, i64::try_from(most).unwrap_or(i64::MAX)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let called = reference(&row.get::<_, String>(1)?, row.get(2)?)?;
        found.push((row.get(0)?, called));
    }
    Ok(found)
}

fn remove(db: &Connection, row: i64, which: &RunRef, tree: &AttemptId) -> Result<(), Fault> {
    let scratch = AttemptId::derive(which, 0);
    run(
        db,
        "INSERT OR REPLACE INTO removals (attempt, at, tree)
         SELECT attempt, intended_at, ?2 FROM attempts WHERE run = ?1",
        params![row, tree.as_str()],
    )?;
    run(
        db,
        "INSERT OR REPLACE INTO removals (attempt, tree) VALUES (?1, ?2)",
        [scratch.as_str(), tree.as_str()],
    )?;
    run(
        db,
        "DELETE FROM steps WHERE attempt IN (SELECT id FROM attempts WHERE run = ?1)",
        [row],
    )?;
    run(db, "DELETE FROM attempts WHERE run = ?1", [row])?;
    run(db, "DELETE FROM notices WHERE run = ?1", [row])?;
    let snapshot: i64 = db
        .prepare_cached("DELETE FROM runs WHERE id = ?1 RETURNING snapshot")?
        .query_row([row], |row| row.get(0))?;
    run(
        db,
        "DELETE FROM dags WHERE id = ?1
         AND NOT EXISTS (SELECT 1 FROM runs INDEXED BY runs_by_snapshot WHERE snapshot = ?1)",
        [snapshot],
    )
}

/// These directories are gone. The one that keeps the root's name from being given again is forgotten last.
pub(super) fn removed(db: &Connection, directories: &[AttemptId]) -> Result<(), Fault> {
    for last in [false, true] {
        for directory in directories {
            run(
                db,
                "DELETE FROM removals WHERE attempt = ?1 AND root IS NULL AND (attempt = tree) = ?2
                 AND (attempt <> tree OR NOT EXISTS (
                    SELECT 1 FROM removals o INDEXED BY removals_by_tree
                    WHERE o.tree = removals.tree AND o.attempt <> o.tree))",
                params![directory.as_str(), last],
            )?;
        }
    }
    Ok(())
}
