//! What does not grow with history: asserted with SQLite's own counters, not with a clock.

use rusqlite::{Connection, StatementStatus, params_from_iter};

use super::super::{Filter, Limits, Series, SeriesPlace, history, recovery, retire};
use super::*;

const SEED_RUNS: i64 = 2000;
const COPIES: i64 = 49;

/// Finished runs through the front door, then copies of them to 100,000, and three runs that are not ended.
fn large() -> (Bench, u64) {
    let mut bench = Bench::new();
    let store = bench.store.take().unwrap();
    for n in 0..SEED_RUNS {
        let id = format!("0199b1c2-7d3e-7f00-8000-{n:012x}");
        let mut changes = life("etl", &id, 1_764_000_000_000_000 + n * 1_000_000);
        if let Change::Accept(run) = &mut changes[0] {
            run.steps.truncate(1);
            run.handlers.clear();
        }
        store.submit(u64::try_from(n).unwrap(), changes).unwrap();
    }
    drop(store);
    let size = std::fs::metadata(bench.path()).unwrap().len();
    let db = Connection::open(bench.path()).unwrap();
    db.execute_batch(&format!(
        "PRAGMA synchronous = off; BEGIN;
         CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {COPIES})
             SELECT i FROM n;
         INSERT INTO runs SELECT r.id + n.i * {SEED_RUNS}, dag, n.i || '-' || run_id, snapshot, grp, base_dir, capacity,
             owner, trigger, created_at + n.i * {SEED_RUNS} * 1000000, status, attempts, launched, error, ended_at, stop,
             stopped_at, params, params_json, parent, root, caller, asked, depth, priority, now, dag_limit, scheduled_for,
             retry, retries, retry_at, retry_due FROM runs r, n;
         INSERT INTO attempts SELECT a.id + n.i * {SEED_RUNS}, run + n.i * {SEED_RUNS}, number, n.i || '-' || attempt, status,
             intended_at, started_at, ended_at, done, flags, error, lost, stop, params, outputs FROM attempts a, n;
         INSERT INTO steps SELECT attempt + n.i * {SEED_RUNS}, node, status, flags, retries, executions, started_at,
             finished_at, next_try_at, pid, exit_code, exit, stdout, stderr, error, variables, children, decision FROM steps, n;
         COMMIT;"
    ))
    .unwrap();
    let total: i64 = db
        .query_row("SELECT count(*) FROM runs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(total, 100_000);
    drop(db);
    bench.reopen();
    let live = run_ref("etl", "live");
    let done = run_ref("etl", "done");
    bench.ok(vec![
        accept("etl", "live", 1),
        intend(&live, 1, 2),
        start(&live, 1, 3),
    ]);
    bench.ok(vec![
        accept("etl", "done", 1),
        intend(&done, 1, 2),
        end(&done, 1, RunStatus::Failed, 3),
    ]);
    bench.ok(vec![accept("etl", "queued", 1)]);
    (bench, size)
}

/// Runs the query to its end and gives the plan and the number of virtual-machine steps.
fn cost(db: &Connection, sql: &str, values: &[rusqlite::types::Value]) -> (Vec<String>, i32) {
    let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let plan = plan
        .query_map(params_from_iter(values), |row| row.get::<_, String>(3))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut statement = db.prepare(sql).unwrap();
    let mut rows = statement.query(params_from_iter(values)).unwrap();
    while rows.next().unwrap().is_some() {}
    drop(rows);
    (plan, statement.get_status(StatementStatus::VmStep))
}

fn has_no_sort_and_scans_only(plan: &[String], small: &[&str]) {
    for line in plan {
        assert!(!line.contains("TEMP B-TREE"), "{plan:#?}");
        let scanned = line
            .strip_prefix("SCAN ")
            .is_none_or(|rest| small.iter().any(|name| rest.starts_with(name)));
        assert!(scanned, "{line} in {plan:#?}");
    }
}

#[test]
fn nothing_scans_a_history_of_100_000_runs() {
    let (bench, size) = large();
    let each = size / u64::try_from(SEED_RUNS).unwrap();
    println!("{each} bytes for a finished run of one step");
    assert!(each < 600, "{each} bytes for a finished run of one step");

    let db = Connection::open(bench.path()).unwrap();
    pending_is_found_at_once(&db);
    pages_are_found_at_once(&bench, &db);
    old_runs_are_found_at_once(&db);
    let recovery = bench.reader().recover().unwrap();
    assert_eq!((recovery.queued.len(), recovery.live.len()), (1, 1));
    assert_eq!(bench.reader().not_cleaned().unwrap().len(), 1);
    assert!(bench.reader().integrity_check().unwrap().is_empty());
}

fn pending_is_found_at_once(db: &Connection) {
    let (plan, steps) = cost(db, recovery::HELD, &[0.into()]);
    has_no_sort_and_scans_only(&plan, &["h"]);
    assert!(steps < 200, "{steps} steps: {plan:#?}");
    let (plan, steps) = cost(db, recovery::QUEUE, &[]);
    has_no_sort_and_scans_only(&plan, &["q"]);
    assert!(steps < 200, "{steps} steps: {plan:#?}");
    for owner in [None, Some(7)] {
        let (sql, values) = history::waiting_query(owner);
        let (plan, steps) = cost(db, &sql, &values);
        has_no_sort_and_scans_only(&plan, &["r USING INDEX runs_open"]);
        assert!(steps < 200, "{steps} steps: {plan:#?}");
    }
    for owner in [7, 1000] {
        let (plan, steps) = cost(db, history::LATEST_OF, &["etl".to_owned().into(), owner.into()]);
        assert!(steps < 300, "{steps} steps: {plan:#?}");
    }
    let (plan, steps) = cost(db, recovery::GROUP_QUEUE, &["main".to_owned().into()]);
    has_no_sort_and_scans_only(&plan, &[]);
    assert!(steps < 200, "{steps} steps: {plan:#?}");
}

fn old_runs_are_found_at_once(db: &Connection) {
    let series = Series {
        dag: DagName::new("etl").unwrap(),
        owner: 1000,
    };
    let nothing = Limits {
        ended_before: Some(Time(1_764_000_000_000_000)),
        keep: Some(100),
        ..Limits::default()
    };
    let dag = rusqlite::types::Value::from("etl".to_owned());
    let (plan, steps) = cost(db, retire::BOUNDARY, &[dag, 1000.into(), 99.into()]);
    has_no_sort_and_scans_only(&plan, &[]);
    assert!(steps < 1_000, "{steps} steps: {plan:#?}");
    // More than a hundred are kept and the rest is old: the first page of it costs what a page costs.
    for (limits, most) in [
        (nothing, 20_000),
        (
            Limits {
                keep: None,
                ..nothing
            },
            200,
        ),
    ] {
        let values = retire::bounds(db, &series, &limits, None, 100).unwrap().unwrap();
        let (plan, steps) = cost(db, &retire::old_query(), &values);
        has_no_sort_and_scans_only(&plan, &[]);
        assert!(steps < most, "{steps} steps: {plan:#?}");
    }
    let start = [0.into(), 0.into()];
    let (plan, steps) = cost(db, &retire::series_query(false), &start);
    has_no_sort_and_scans_only(&plan, &["(subquery"]);
    assert!(steps < 200, "{steps} steps: {plan:#?}");
    let place = SeriesPlace::default();
    let (_, place) = retire::next_series(db, place, None).unwrap().unwrap();
    assert_eq!(retire::next_series(db, place, None).unwrap(), None);
}

fn pages_are_found_at_once(bench: &Bench, db: &Connection) {
    let mut middle = bench
        .reader()
        .history(&Filter {
            limit: Some(500),
            ..Filter::default()
        })
        .unwrap();
    for _ in 0..5 {
        let filter = Filter {
            limit: Some(500),
            before: middle.next,
            ..Filter::default()
        };
        middle = bench.reader().history(&filter).unwrap();
    }
    let ten = || Filter {
        limit: Some(10),
        ..Filter::default()
    };
    let etl = Some(DagName::new("etl").unwrap());
    let at = middle.runs[0].created_at;
    let cases = [
        ("runs_by_time", ten()),
        (
            "runs_by_time",
            Filter {
                before: middle.next,
                ..ten()
            },
        ),
        (
            "runs_by_time",
            Filter {
                from: Some(at),
                to: Some(Time(at.0 + 5_000_000)),
                ..ten()
            },
        ),
        (
            "runs_by_time",
            Filter {
                statuses: vec![RunStatus::Succeeded],
                ..ten()
            },
        ),
        (
            "runs_by_dag_and_time",
            Filter {
                dag: etl.clone(),
                ..ten()
            },
        ),
        (
            "runs_by_dag_and_time",
            Filter {
                dag: etl.clone(),
                before: middle.next,
                ..ten()
            },
        ),
        (
            "runs_open",
            Filter {
                statuses: vec![RunStatus::Running],
                ..ten()
            },
        ),
        (
            "runs_open",
            Filter {
                dag: etl,
                statuses: vec![RunStatus::Queued],
                ..ten()
            },
        ),
    ];
    let lost = Filter { lost: true, ..ten() };
    let (sql, values) = history::query(&lost, 10);
    has_no_sort_and_scans_only(&cost(db, &sql, &values).0, &["r USING INDEX runs_by_time"]);
    for (index, filter) in cases {
        let (sql, values) = history::query(&filter, 10);
        let (plan, steps) = cost(db, &sql, &values);
        let walks = plan[0].starts_with("SCAN r USING INDEX") || plan[0].starts_with("SEARCH r USING INDEX");
        assert!(walks && plan[0].contains(index), "{plan:#?}");
        has_no_sort_and_scans_only(&plan, &["r USING INDEX"]);
        assert!(steps < 2000, "{steps} steps for {filter:?}: {plan:#?}");
    }
}

/// What refers to a run is found by an index, also by SQLite itself when it checks the references.
#[test]
fn removing_runs_does_not_grow_with_history() {
    let (mut bench, _) = large();
    let db = Connection::open(bench.path()).unwrap();
    db.pragma_update(None, "foreign_keys", true).unwrap();
    db.execute_batch("BEGIN").unwrap();
    let mut statement = db.prepare("DELETE FROM steps WHERE attempt = 5").unwrap();
    statement.execute([]).unwrap();
    drop(statement);
    for (sql, most) in [
        ("DELETE FROM attempts WHERE run = 5", 200),
        ("DELETE FROM runs WHERE id = 5", 200),
        (
            "DELETE FROM dags WHERE id = 1 AND NOT EXISTS (SELECT 1 FROM runs WHERE snapshot = 1)",
            100,
        ),
    ] {
        let mut statement = db.prepare(sql).unwrap();
        statement.execute([]).unwrap();
        let steps = statement.get_status(StatementStatus::VmStep);
        assert!(steps < most, "{steps} steps: {sql}");
    }
    db.execute_batch("ROLLBACK").unwrap();
    drop(db);
    let series = Series {
        dag: DagName::new("etl").unwrap(),
        owner: 1000,
    };
    let limits = Limits {
        keep: Some(90_000),
        ..Limits::default()
    };
    let mut removed = 0;
    loop {
        let old = bench.reader().old_runs(&series, &limits, None, 100).unwrap();
        if old.is_empty() {
            break;
        }
        removed += old.len();
        let roots = old.into_iter().map(|old| old.run).collect();
        bench.ok(vec![Change::Retire { roots }]);
    }
    // One that is not cleaned up yet is among the oldest.
    assert_eq!(removed, 10_000);
    assert!(bench.reader().integrity_check().unwrap().is_empty());
}
