//! Notices that operators are still to be given.

use rusqlite::{Connection, params};

use super::rows::RunRow;
use super::run;
use crate::model::Notice;
use crate::store::codes;
use crate::store::error::Fault;

/// Keeps a notice until its command has run.
pub(super) fn notify(db: &Connection, notice: &Notice) -> Result<(), Fault> {
    let row = RunRow::get(db, &notice.run)?;
    run(
        db,
        "INSERT INTO notices (id, run, event, at, facts) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            notice.id,
            row.id,
            notice.event.as_str(),
            notice.at.0,
            codes::json(&notice.facts)?,
        ],
    )
}
