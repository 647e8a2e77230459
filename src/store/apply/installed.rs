//! Changes of the last good versions of installed DAGs.

use rusqlite::{Connection, params};

use super::{run, word};
use crate::model::DagName;
use crate::model::change::InstalledDag;
use crate::store::codes;
use crate::store::error::Fault;

pub(super) fn install(db: &Connection, version: &InstalledDag) -> Result<(), Fault> {
    let dag = word(db, version.dag.as_str())?;
    run(
        db,
        "INSERT OR REPLACE INTO installed (dag, file, owner, mode, at, source, base, schemas)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            dag,
            version.file,
            version.owner,
            version.mode,
            version.at.0,
            version.source,
            version.base,
            codes::json_list(&version.schemas)?,
        ],
    )
}

pub(super) fn uninstall(db: &Connection, dag: &DagName, forget: bool) -> Result<(), Fault> {
    run(
        db,
        "DELETE FROM installed WHERE dag = (SELECT id FROM words WHERE word = ?1)",
        [dag.as_str()],
    )?;
    if forget {
        run(
            db,
            "DELETE FROM plans WHERE dag = (SELECT id FROM words WHERE word = ?1)",
            [dag.as_str()],
        )?;
    }
    Ok(())
}
