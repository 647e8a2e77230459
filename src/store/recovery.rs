//! What the daemon has to know when it starts, and what is pending. Reads only the small tables `queue` and `held`
//! and the rows they point to.

use rusqlite::{Connection, Row};

use crate::model::change::AttemptIdentity;
use crate::model::{AttemptId, Boot, GroupName, PendingRetry, Retries, RunRef, StopReason, Time};

use super::error::Fault;
use super::history::{attempt_id, group_name, reference};
use super::{LogDir, codes};

/// A run that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedRun {
    /// Which run.
    pub run: RunRef,
    /// Position; smaller is earlier. Only the order means something.
    pub position: u64,
    /// Capacity domain.
    pub group: GroupName,
    /// Most live attempts of the group; 0 is no limit.
    pub capacity: u32,
    /// User id it belongs to.
    pub owner: u32,
    /// When it was accepted.
    pub created_at: Time,
    /// Attempts it has had.
    pub attempts: u32,
    /// A stop that was asked for.
    pub stop: Option<StopReason>,
}

/// An attempt that is intended or live.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveAttempt {
    /// Its run.
    pub run: RunRef,
    /// The attempt.
    pub attempt: AttemptId,
    /// Its number, from 1.
    pub number: u32,
    /// Capacity domain.
    pub group: GroupName,
    /// Most live attempts of the group; 0 is no limit.
    pub capacity: u32,
    /// User id it runs as.
    pub owner: u32,
    /// Its processes, once the shim has been there.
    pub identity: Option<AttemptIdentity>,
    /// A stop that was asked for.
    pub stop: Option<StopReason>,
    /// When the launch was decided.
    pub intended_at: Time,
    /// When it passed the gate, as far as the store knows.
    pub started_at: Option<Time>,
    /// Absolute path of its log directory.
    pub log_dir: String,
}

/// An ended attempt that is not cleaned up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldAttempt {
    /// Its run.
    pub run: RunRef,
    /// The attempt.
    pub attempt: AttemptId,
    /// Its number, from 1.
    pub number: u32,
    /// Capacity domain, a part of its entry's path.
    pub group: GroupName,
    /// Its processes, if the shim has been there.
    pub identity: Option<AttemptIdentity>,
    /// When the launch was decided.
    pub intended_at: Time,
    /// Absolute path of its log directory.
    pub log_dir: String,
}

/// Everything that has not ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recovery {
    /// Runs that wait, in order.
    pub queued: Vec<QueuedRun>,
    /// Attempts that are intended or live, in the order of their intents.
    pub live: Vec<LiveAttempt>,
    /// Runs that will be tried again by themselves, whether their last attempt is cleaned up or not.
    pub retrying: Vec<RunRef>,
}

/// What is recorded of a run's retries as a whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RetryState {
    /// Those it has had by itself, the coming one included.
    pub so_far: Retries,
    /// The coming one; when it is due by the boot clock, and the id of the boot in which that clock counts.
    pub due: Option<(PendingRetry, Boot, String)>,
}

/// How much is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Runs that wait.
    pub queued: u64,
    /// Attempts that are intended or live as far as the store knows. What is alive is told by the proc entries.
    pub live: u64,
    /// Ended attempts that are not cleaned up.
    pub not_cleaned: u64,
}

pub(super) const QUEUE: &str =
    "SELECT q.position, r.run_id, r.owner, r.capacity, r.attempts, r.stop, r.created_at,
            dag.word AS dag, grp.word AS grp
     FROM queue q
     CROSS JOIN runs r ON r.id = q.run
     CROSS JOIN words dag ON dag.id = r.dag
     CROSS JOIN words grp ON grp.id = q.grp
     ORDER BY q.position";

pub(super) const GROUP_QUEUE: &str =
    "SELECT q.position, r.run_id, r.owner, r.capacity, r.attempts, r.stop, r.created_at,
            dag.word AS dag, grp.word AS grp
     FROM queue q INDEXED BY queue_by_group
     CROSS JOIN runs r ON r.id = q.run
     CROSS JOIN words dag ON dag.id = r.dag
     CROSS JOIN words grp ON grp.id = q.grp
     WHERE q.grp = (SELECT id FROM words WHERE word = ?1)
     ORDER BY q.position";

pub(super) const HELD: &str = "SELECT h.pid, h.pidfs_inode, h.start_ticks, h.boot_id, h.cgroup_id,
            a.attempt, a.number, a.intended_at, a.started_at, r.run_id, r.owner, r.capacity, r.stop,
            dag.word AS dag, grp.word AS grp
     FROM held h
     CROSS JOIN attempts a ON a.id = h.attempt
     CROSS JOIN runs r ON r.id = a.run
     CROSS JOIN words dag ON dag.id = r.dag
     CROSS JOIN words grp ON grp.id = r.grp
     WHERE h.ended = ?1
     ORDER BY h.attempt";

pub(super) const RETRYING: &str = "SELECT r.run_id, dag.word AS dag
     FROM runs r INDEXED BY runs_retrying
     CROSS JOIN words dag ON dag.id = r.dag
     WHERE r.retry_at IS NOT NULL
     ORDER BY r.id";

pub(super) fn recover(db: &Connection, log_dir: &LogDir) -> Result<Recovery, Fault> {
    Ok(Recovery {
        queued: queue(db, None)?,
        live: held(db, false, |row| live(row, log_dir))?,
        retrying: retrying(db)?,
    })
}

fn retrying(db: &Connection) -> Result<Vec<RunRef>, Fault> {
    let mut statement = db.prepare_cached(RETRYING)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let dag: String = row.get("dag")?;
        all.push(reference(&dag, row.get("run_id")?)?);
    }
    Ok(all)
}

pub(super) fn retry_state(db: &Connection, run: &RunRef) -> Result<RetryState, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT retries, retry_at, retry_due FROM runs
         WHERE dag = (SELECT id FROM words WHERE word = ?1) AND run_id = ?2",
    )?;
    let mut rows = statement.query([run.dag.as_str(), run.id.as_str()])?;
    let Some(row) = rows.next()? else {
        return Ok(RetryState::default());
    };
    let so_far = codes::from_json_option(row.get::<_, Option<String>>("retries")?.as_deref())?;
    let due = match (
        row.get::<_, Option<i64>>("retry_at")?,
        row.get::<_, Option<String>>("retry_due")?,
    ) {
        (Some(at), Some(due)) => {
            let (number, limit, boot, boot_id): super::apply::Due = codes::from_json(&due)?;
            let at = Time(at);
            Some((PendingRetry { number, limit, at }, boot, boot_id))
        }
        _ => None,
    };
    Ok(RetryState {
        so_far: so_far.unwrap_or_default(),
        due,
    })
}

pub(super) fn not_cleaned(db: &Connection, log_dir: &LogDir) -> Result<Vec<HeldAttempt>, Fault> {
    held(db, true, |row| {
        let live = live(row, log_dir)?;
        Ok(HeldAttempt {
            run: live.run,
            attempt: live.attempt,
            number: live.number,
            group: live.group,
            identity: live.identity,
            intended_at: live.intended_at,
            log_dir: live.log_dir,
        })
    })
}

pub(super) fn queue(db: &Connection, group: Option<&GroupName>) -> Result<Vec<QueuedRun>, Fault> {
    let mut statement = db.prepare_cached(if group.is_some() { GROUP_QUEUE } else { QUEUE })?;
    let mut rows = match group {
        Some(group) => statement.query([group.as_str()])?,
        None => statement.query([])?,
    };
    let mut queue = Vec::new();
    while let Some(row) = rows.next()? {
        queue.push(queued(row)?);
    }
    Ok(queue)
}

pub(super) fn paused(db: &Connection) -> Result<Vec<GroupName>, Fault> {
    let mut statement =
        db.prepare_cached("SELECT w.word FROM paused p CROSS JOIN words w ON w.id = p.grp")?;
    let mut rows = statement.query([])?;
    let mut queues = Vec::new();
    while let Some(row) = rows.next()? {
        queues.push(group_name(row.get(0)?)?);
    }
    Ok(queues)
}

pub(super) fn counts(db: &Connection) -> Result<Counts, Fault> {
    Ok(db
        .prepare_cached(
            "SELECT (SELECT count(*) FROM queue),
                    (SELECT count(*) FROM held WHERE ended = 0),
                    (SELECT count(*) FROM held WHERE ended = 1)",
        )?
        .query_row([], |row| {
            let count = |n: i64| u64::try_from(n).unwrap_or(0);
            Ok(Counts {
                queued: count(row.get(0)?),
                live: count(row.get(1)?),
                not_cleaned: count(row.get(2)?),
            })
        })?)
}

fn queued(row: &Row<'_>) -> Result<QueuedRun, Fault> {
    let dag: String = row.get("dag")?;
    let position: i64 = row.get("position")?;
    Ok(QueuedRun {
        run: reference(&dag, row.get("run_id")?)?,
        position: u64::try_from(position).unwrap_or(0),
        group: group_name(row.get("grp")?)?,
        capacity: row.get("capacity")?,
        owner: row.get("owner")?,
        created_at: Time(row.get("created_at")?),
        attempts: row.get("attempts")?,
        stop: codes::from_json_option(row.get::<_, Option<String>>("stop")?.as_deref())?,
    })
}

fn held<T>(
    db: &Connection,
    ended: bool,
    mut read: impl FnMut(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut statement = db.prepare_cached(HELD)?;
    let mut rows = statement.query([ended])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(row)?);
    }
    Ok(all)
}

fn live(row: &Row<'_>, log_dir: &LogDir) -> Result<LiveAttempt, Fault> {
    let dag: String = row.get("dag")?;
    let attempt = attempt_id(row.get("attempt")?)?;
    let intended_at = Time(row.get("intended_at")?);
    let started_at: Option<i64> = row.get("started_at")?;
    Ok(LiveAttempt {
        run: reference(&dag, row.get("run_id")?)?,
        number: row.get("number")?,
        group: group_name(row.get("grp")?)?,
        capacity: row.get("capacity")?,
        owner: row.get("owner")?,
        identity: identity(row)?,
        stop: codes::from_json_option(row.get::<_, Option<String>>("stop")?.as_deref())?,
        intended_at,
        started_at: started_at.map(Time),
        log_dir: log_dir(intended_at, &attempt),
        attempt,
    })
}

fn identity(row: &Row<'_>) -> Result<Option<AttemptIdentity>, Fault> {
    let Some(pid) = row.get("pid")? else {
        return Ok(None);
    };
    let unsigned = |name: &str| -> Result<Option<u64>, Fault> {
        Ok(row.get::<_, Option<i64>>(name)?.map(i64::cast_unsigned))
    };
    Ok(Some(AttemptIdentity {
        pid,
        pidfs_inode: unsigned("pidfs_inode")?,
        start_ticks: unsigned("start_ticks")?,
        boot_id: row.get::<_, Option<String>>("boot_id")?.unwrap_or_default(),
        cgroup_id: unsigned("cgroup_id")?,
    }))
}
