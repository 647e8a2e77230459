//! What attempts used, as columns.

use rusqlite::{Connection, Row, params};

use super::codes;
use super::error::Fault;
use crate::model::{AttemptId, RunCause, Usage};

/// Adds what is known to the attempt's row.
pub(super) fn account(
    db: &Connection,
    attempt: &AttemptId,
    usage: &Usage,
    cause: Option<&RunCause>,
) -> Result<(), Fault> {
    let number = |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
    db.prepare_cached(
        "UPDATE attempts SET cpu_user = COALESCE(?2, cpu_user), cpu_system = COALESCE(?3, cpu_system),
             mem_peak = COALESCE(?4, mem_peak), rss_max = COALESCE(?5, rss_max),
             io_read = COALESCE(?6, io_read), io_written = COALESCE(?7, io_written),
             pids_peak = COALESCE(?8, pids_peak), oom_kills = COALESCE(?9, oom_kills),
             pids_refused = COALESCE(?10, pids_refused), cause = COALESCE(?11, cause)
         WHERE attempt = ?1",
    )?
    .execute(params![
        attempt.as_str(),
        number(usage.cpu_user_usec),
        number(usage.cpu_system_usec),
        number(usage.mem_peak),
        number(usage.rss_max),
        number(usage.io_read),
        number(usage.io_written),
        number(usage.pids_peak),
        number(usage.oom_kills),
        number(usage.pids_refused),
        codes::json_option(cause)?,
    ])?;
    Ok(())
}

/// The columns of an attempt's row that [`usage`] and [`cause`] read, of the table with this name.
pub(super) fn columns(table: &str) -> String {
    let names = [
        "cpu_user",
        "cpu_system",
        "mem_peak",
        "rss_max",
        "io_read",
        "io_written",
        "pids_peak",
        "oom_kills",
        "pids_refused",
        "cause",
    ];
    names.map(|name| format!("{table}.{name}")).join(", ")
}

/// What an attempt used.
pub(super) fn usage(row: &Row<'_>) -> Result<Usage, Fault> {
    let number = |name: &str| -> Result<Option<u64>, Fault> {
        let value: Option<i64> = row.get(name)?;
        Ok(value.and_then(|value| u64::try_from(value).ok()))
    };
    Ok(Usage {
        cpu_user_usec: number("cpu_user")?,
        cpu_system_usec: number("cpu_system")?,
        mem_peak: number("mem_peak")?,
        rss_max: number("rss_max")?,
        io_read: number("io_read")?,
        io_written: number("io_written")?,
        pids_peak: number("pids_peak")?,
        oom_kills: number("oom_kills")?,
        pids_refused: number("pids_refused")?,
    })
}

/// What brought an attempt to a bad end.
pub(super) fn cause(row: &Row<'_>) -> Result<Option<RunCause>, Fault> {
    codes::from_json_option(row.get::<_, Option<String>>("cause")?.as_deref())
}
