//! The schema and its versions. `user_version` of the file holds the version; each step to the next one is one
//! transaction, so a crash leaves the old version or the new one.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// The steps in order: the one at position `n` makes version `n + 1` of version `n`; version 0 is an empty file.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("v1.sql"),
    include_str!("v2.sql"),
    include_str!("v3.sql"),
    include_str!("v4.sql"),
    include_str!("v5.sql"),
];

/// Tables and indexes that the newest version has.
pub(super) const OBJECTS: [&str; 29] = [
    "words",
    "dags",
    "runs",
    "runs_by_name",
    "runs_by_time",
    "runs_by_dag_and_time",
    "runs_open",
    "runs_by_parent",
    "runs_succeeded",
    "runs_retrying",
    "plans",
    "installed",
    "paused",
    "notices",
    "queue",
    "queue_by_group",
    "attempts",
    "attempts_by_name",
    "attempts_by_run",
    "held",
    "steps",
    "runs_ended",
    "runs_by_root",
    "runs_by_schedule",
    "runs_by_snapshot",
    "notices_by_run",
    "removals",
    "removals_by_tree",
    "removals_unfinished",
];

/// In the header of every Proctor database (`application_id`): "Proc".
pub(super) const APPLICATION_ID: u32 = 0x5072_6f63;

/// Newest version a list of steps leads to.
pub(super) fn newest(migrations: &[&str]) -> u32 {
    u32::try_from(migrations.len()).unwrap_or(u32::MAX)
}

/// The version of the file, the write-ahead log included.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings the file to the newest version. A newer file is refused before anything is written.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), OpenError> {
    let known = newest(migrations);
    let found = version(connection).map_err(|error| OpenError::sqlite(path, &error))?;
    if found > known {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    let versions = (1u32..).zip(migrations).filter(|(to, _)| *to > found);
    for (to, sql) in versions {
        step(connection, to, sql).map_err(|source| match OpenError::sqlite(path, &source) {
            OpenError::Other { path, .. } => OpenError::Migration {
                path,
                from: to - 1,
                to,
                source,
            },
            clear => clear,
        })?;
    }
    Ok(())
}

fn step(connection: &mut Connection, to: u32, sql: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(sql)?;
    transaction.pragma_update(None, "user_version", to)?;
    transaction.commit()
}

/// Says what is missing, if something is.
pub(super) fn missing(connection: &Connection) -> rusqlite::Result<Option<&'static str>> {
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema")?;
    let names = statement
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(OBJECTS
        .into_iter()
        .find(|object| !names.iter().any(|name| name == object)))
}
