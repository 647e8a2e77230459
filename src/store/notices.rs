//! Notices that operators are still to be given.

use rusqlite::Connection;

use super::codes;
use super::error::Fault;
use super::history::reference;
use crate::model::{Notice, NoticeEvent, Time};

/// All of them, oldest first. The table holds only what is pending.
pub(super) fn pending(db: &Connection) -> Result<Vec<Notice>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT n.id, n.event, n.at, n.facts, r.run_id, dag.word AS dag
         FROM notices n
         CROSS JOIN runs r ON r.id = n.run
         CROSS JOIN words dag ON dag.id = r.dag
         ORDER BY n.id",
    )?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let (dag, event): (String, String) = (row.get("dag")?, row.get("event")?);
        let facts: String = row.get("facts")?;
        all.push(Notice {
            id: row.get("id")?,
            run: reference(&dag, row.get("run_id")?)?,
            event: NoticeEvent::from_word(&event)
                .ok_or_else(|| Fault::text(format!("{event:?} is nothing that operators are told of")))?,
            at: Time(row.get("at")?),
            facts: codes::from_json(&facts)?,
        });
    }
    Ok(all)
}
