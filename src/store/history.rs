//! Lists of runs, the newest first. Every query walks an index in order and stops when the page is full.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::model::view::RunSummary;
use crate::model::{AttemptId, DagName, GroupName, RunId, RunRef, RunStatus, Time, Usage};

use super::error::Fault;
use super::{account, codes, views};

/// Most runs of one page.
pub const HISTORY_MAX: u32 = 1000;

/// Which runs; the default is all of them, in pages of [`HISTORY_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Only of this DAG.
    pub dag: Option<DagName>,
    /// Only with one of these statuses; empty is any.
    pub statuses: Vec<RunStatus>,
    /// Only lost ones, and those with one of `statuses` if there are any.
    pub lost: bool,
    /// Only accepted at this time or later.
    pub from: Option<Time>,
    /// Only accepted before this time.
    pub to: Option<Time>,
    /// Only of this user id.
    pub owner: Option<u32>,
    /// Most runs of the page; none, zero or too many is [`HISTORY_MAX`].
    pub limit: Option<u32>,
    /// Go on behind this place of an earlier page.
    pub before: Option<Cursor>,
}

/// A place in the list. As text it is two numbers with a dot between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    created_at: i64,
    row: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created_at, self.row)
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (created_at, row) = text.split_once('.')?;
            Some(Self {
                created_at: created_at.parse().ok()?,
                row: row.parse().ok()?,
            })
        };
        parse()
            .ok_or_else(|| "a cursor is what an earlier page gave: two numbers with a dot between".to_owned())
    }
}

/// A part of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The runs.
    pub runs: Vec<RunSummary>,
    /// Where to go on; none at the end of the list.
    pub next: Option<Cursor>,
}

/// The statuses of the partial index `runs_open`; its condition must stand in the query as it is in the schema.
const OPEN: [RunStatus; 4] = [
    RunStatus::NotStarted,
    RunStatus::Running,
    RunStatus::Queued,
    RunStatus::Waiting,
];

pub(super) fn latest(db: &Connection, dag: &DagName) -> Result<Option<RunRef>, Fault> {
    let id = db
        .prepare_cached(
            "SELECT run_id FROM runs INDEXED BY runs_by_dag_and_time
             WHERE dag = (SELECT id FROM words WHERE word = ?1) AND parent IS NULL
             ORDER BY created_at DESC, id DESC LIMIT 1",
        )?
        .query_row([dag.as_str()], |row| row.get::<_, String>(0))
        .optional()?;
    id.map(|id| reference(dag.as_str(), id)).transpose()
}

/// One user's newest run of a DAG. It goes through that user's own ended runs of it and all that are open, and not
/// through what others have run.
pub(super) const LATEST_OF: &str = "
    SELECT run_id FROM (
        SELECT * FROM (
            SELECT run_id, created_at, id FROM runs INDEXED BY runs_ended
            WHERE dag = (SELECT id FROM words WHERE word = ?1) AND owner = ?2
              AND parent IS NULL AND status IN (2, 3, 4, 6, 8)
            ORDER BY created_at DESC, id DESC LIMIT 1)
        UNION ALL SELECT * FROM (
            SELECT run_id, created_at, id FROM runs INDEXED BY runs_open
            WHERE status IN (0, 1, 5, 7) AND dag = (SELECT id FROM words WHERE word = ?1) AND owner = ?2
              AND parent IS NULL
            ORDER BY created_at DESC, id DESC LIMIT 1))
    ORDER BY created_at DESC, id DESC LIMIT 1";

pub(super) fn latest_of(db: &Connection, dag: &DagName, owner: u32) -> Result<Option<RunRef>, Fault> {
    let id = db
        .prepare_cached(LATEST_OF)?
        .query_row((dag.as_str(), owner), |row| row.get::<_, String>(0))
        .optional()?;
    id.map(|id| reference(dag.as_str(), id)).transpose()
}

/// Most runs of a DAG that are looked at for one of a user's. Only a hint depends on it.
const LOOKED_AT: u32 = 1000;

/// Whether there is a run of that DAG and user, also one that was called, as far as is looked.
pub(super) fn has_runs_of(db: &Connection, dag: &DagName, owner: u32) -> Result<bool, Fault> {
    Ok(db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM (SELECT owner FROM runs INDEXED BY runs_by_name
                                           WHERE dag = (SELECT id FROM words WHERE word = ?1) LIMIT ?3)
                            WHERE owner = ?2)",
        )?
        .query_row((dag.as_str(), owner, LOOKED_AT), |row| row.get(0))?)
}

/// Whether there is any run of that DAG, also one that was called.
pub(super) fn has_runs(db: &Connection, dag: &DagName) -> Result<bool, Fault> {
    Ok(db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM runs INDEXED BY runs_by_name
                            WHERE dag = (SELECT id FROM words WHERE word = ?1))",
        )?
        .query_row([dag.as_str()], |row| row.get(0))?)
}

/// Runs that wait for a person, the newest [`HISTORY_MAX`], with those that were called.
pub(super) fn waiting(db: &Connection, owner: Option<u32>) -> Result<Vec<RunSummary>, Fault> {
    let (sql, values) = waiting_query(owner);
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(summary(row)?);
    }
    Ok(runs)
}

pub(super) fn waiting_query(owner: Option<u32>) -> (String, Vec<Value>) {
    let waiting = codes::run_status(RunStatus::Waiting);
    let mut terms = vec![
        format!("r.status = {waiting}"),
        format!("r.status IN ({})", list(&OPEN)),
    ];
    let values: Vec<Value> = owner.map(i64::from).map(Value::Integer).into_iter().collect();
    if owner.is_some() {
        terms.push("r.owner = ?1".to_owned());
    }
    (select("runs_open", &terms, u64::from(HISTORY_MAX)), values)
}

fn list(statuses: &[RunStatus]) -> String {
    let codes: Vec<String> = statuses
        .iter()
        .map(|status| codes::run_status(*status).to_string())
        .collect();
    codes.join(", ")
}

pub(super) fn page(db: &Connection, filter: &Filter) -> Result<Page, Fault> {
    let limit = filter
        .limit
        .filter(|n| (1..HISTORY_MAX).contains(n))
        .unwrap_or(HISTORY_MAX);
    let (sql, values) = query(filter, limit);
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut page = Page {
        runs: Vec::new(),
        next: None,
    };
    let mut last = None;
    let mut left = limit;
    while let Some(row) = rows.next()? {
        // One more than the page is read, to know whether there is more.
        if left == 0 {
            page.next = last;
            break;
        }
        left -= 1;
        last = Some(Cursor {
            created_at: row.get("created_at")?,
            row: row.get("id")?,
        });
        page.runs.push(summary(row)?);
    }
    Ok(page)
}

pub(super) fn query(filter: &Filter, limit: u32) -> (String, Vec<Value>) {
    let mut values = Vec::new();
    let mut terms = vec!["r.parent IS NULL".to_owned()];
    let simple = [
        ("r.created_at >=", filter.from.map(|at| at.0)),
        ("r.created_at <", filter.to.map(|at| at.0)),
        ("r.owner =", filter.owner.map(i64::from)),
        // Bounds the walk of the index; the exact term follows.
        ("r.created_at <=", filter.before.map(|cursor| cursor.created_at)),
    ];
    for (text, value) in simple {
        if let Some(value) = value {
            values.push(Value::Integer(value));
            terms.push(format!("{text} ?{}", values.len()));
        }
    }
    if let Some(cursor) = filter.before {
        values.push(Value::Integer(cursor.created_at));
        values.push(Value::Integer(cursor.row));
        terms.push(format!(
            "(r.created_at, r.id) < (?{}, ?{})",
            values.len() - 1,
            values.len()
        ));
    }
    if let Some(dag) = &filter.dag {
        values.push(Value::Text(dag.as_str().to_owned()));
        terms.push(format!(
            "r.dag = (SELECT id FROM words WHERE word = ?{})",
            values.len()
        ));
    }
    let open = !filter.lost
        && !filter.statuses.is_empty()
        && filter.statuses.iter().all(|status| OPEN.contains(status));
    let mut either = Vec::new();
    if !filter.statuses.is_empty() {
        either.push(format!("r.status IN ({})", list(&filter.statuses)));
    }
    if filter.lost {
        // What a run that was put into the queue again came to there says nothing of its last attempt.
        either.push(format!(
            "r.status = {} AND r.launched AND (SELECT l.lost FROM attempts l
                WHERE l.run = r.id AND l.number = r.attempts) IS NOT NULL",
            codes::run_status(RunStatus::Failed)
        ));
    }
    if !either.is_empty() {
        terms.push(format!("({})", either.join(" OR ")));
    }
    let index = if open {
        terms.push(format!("r.status IN ({})", list(&OPEN)));
        "runs_open"
    } else if filter.dag.is_some() {
        "runs_by_dag_and_time"
    } else {
        "runs_by_time"
    };
    (select(index, &terms, u64::from(limit) + 1), values)
}

/// The order of the joins and the index are fixed here, not left to the planner: its guess would change with the
/// data, and the cost with it.
fn select(index: &str, terms: &[String], rows: u64) -> String {
    format!(
        "SELECT r.id, r.run_id, r.owner, r.trigger, r.created_at, r.status, r.attempts, r.launched,
                r.error AS run_error, r.ended_at AS run_ended_at, dag.word AS dag, grp.word AS grp, d.count,
                a.attempt, a.error, a.started_at, a.ended_at, h.pid, p.run_id AS parent_id, pdag.word AS parent_dag,
                r.priority, r.now, r.scheduled_for, r.retry_at, r.retry_due, {account},
                COALESCE(a.done, (SELECT count(*) FROM steps s
                    WHERE s.attempt = a.id AND s.node >= 0 AND s.status IN ({done}))) AS done
         FROM runs r INDEXED BY {index}
         CROSS JOIN words dag ON dag.id = r.dag
         CROSS JOIN words grp ON grp.id = r.grp
         CROSS JOIN dags d ON d.id = r.snapshot
         LEFT JOIN attempts a ON a.run = r.id AND a.number = r.attempts
         LEFT JOIN held h ON h.attempt = a.id AND h.ended = 0
         LEFT JOIN runs p ON p.id = r.parent
         LEFT JOIN words pdag ON pdag.id = p.dag
         WHERE {terms}
         ORDER BY r.created_at DESC, r.id DESC LIMIT {rows}",
        done = codes::done_statuses(),
        account = account::columns("a"),
        terms = terms.join(" AND "),
    )
}

fn summary(row: &Row<'_>) -> Result<RunSummary, Fault> {
    let launched: bool = row.get("launched")?;
    let dag: String = row.get("dag")?;
    let started_at: Option<i64> = row.get("started_at")?;
    let finished_at: Option<i64> = row.get(if launched { "ended_at" } else { "run_ended_at" })?;
    let done: Option<u32> = row.get("done")?;
    let parent: (Option<String>, Option<String>) = (row.get("parent_dag")?, row.get("parent_id")?);
    let parent = match parent {
        (Some(dag), Some(id)) => Some(reference(&dag, id)?),
        _ => None,
    };
    Ok(RunSummary {
        run: reference(&dag, row.get("run_id")?)?,
        attempt: row
            .get::<_, Option<String>>("attempt")?
            .map(attempt_id)
            .transpose()?,
        number: row.get("attempts")?,
        status: codes::to_run_status(row.get("status")?)?,
        error: row.get(if launched { "error" } else { "run_error" })?,
        stalled: false,
        group: group_name(row.get("grp")?)?,
        owner: row.get("owner")?,
        trigger: codes::to_trigger(row.get("trigger")?)?,
        parent,
        created_at: Time(row.get("created_at")?),
        started_at: started_at.filter(|_| launched).map(Time),
        finished_at: finished_at.map(Time),
        pid: row.get("pid")?,
        progress: (done.filter(|_| launched).unwrap_or(0), row.get("count")?),
        priority: views::priority(row)?,
        scheduled_for: row.get::<_, Option<i64>>("scheduled_for")?.map(Time),
        retry: views::pending_retry(row)?,
        held: false,
        now: row.get("now")?,
        // A run that waits for its next attempt has used nothing in it, as it has no start.
        usage: if launched {
            account::usage(row)?
        } else {
            Usage::UNKNOWN
        },
        cause: if launched { account::cause(row)? } else { None },
    })
}

pub(super) fn reference(dag: &str, id: String) -> Result<RunRef, Fault> {
    let bad = |error| Fault::text(format!("a row of the store holds a bad name: {error}"));
    Ok(RunRef {
        dag: DagName::new(dag).map_err(bad)?,
        id: RunId::new(id).map_err(bad)?,
    })
}

pub(super) fn attempt_id(text: String) -> Result<AttemptId, Fault> {
    AttemptId::new(text).map_err(|error| Fault::text(format!("a row of the store holds a bad name: {error}")))
}

pub(super) fn dag_name(text: String) -> Result<DagName, Fault> {
    DagName::new(text).map_err(|error| Fault::text(format!("a row of the store holds a bad name: {error}")))
}

pub(super) fn group_name(text: String) -> Result<GroupName, Fault> {
    GroupName::new(text).map_err(|error| Fault::text(format!("a row of the store holds a bad name: {error}")))
}
