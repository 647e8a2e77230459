//! Installed DAGs and what is decided of their schedules.

use rusqlite::Connection;

use super::{Bench, end, intend, life, new_run, run_ref};
use crate::model::change::{Change, InstalledDag, NewRun};
use crate::model::{DagName, RunStatus, SchemaFile, SchemaRef, Time};
use crate::store::PlanRecord;
use crate::store::installed::LAST_SUCCESS;

/// Whose runs those of [`life`] are.
const OWNER: u32 = 1000;

fn name(dag: &str) -> DagName {
    DagName::new(dag).unwrap()
}

fn version(dag: &str, source: &str) -> InstalledDag {
    let wanted = SchemaRef {
        path: "s.json".to_owned(),
        working_dir: None,
    };
    InstalledDag {
        dag: name(dag),
        file: format!("ann/{dag}.yaml"),
        owner: Some(1000),
        mode: 0o600,
        at: Time(7),
        source: source.to_owned(),
        base: Some("env: [A: b]\n".to_owned()),
        schemas: vec![SchemaFile::new(wanted, Ok("{}".to_owned()))],
    }
}

fn install(version: &InstalledDag) -> Change {
    Change::Install(Box::new(version.clone()))
}

#[test]
fn the_last_good_version_is_kept_until_the_dag_is_not_installed_any_more() {
    let mut bench = Bench::new();
    let (old, new) = (version("etl", "steps: [a]\n"), version("etl", "steps: [b]\n"));
    let system = InstalledDag {
        owner: None,
        base: None,
        schemas: Vec::new(),
        ..version("backup", "x")
    };
    bench.ok(vec![install(&old), install(&system)]);
    bench.ok(vec![install(&new)]);
    bench.reopen();
    assert_eq!(bench.reader().installed().unwrap(), [system.clone(), new]);
    bench.ok(vec![Change::Uninstall {
        dag: name("etl"),
        forget: false,
    }]);
    assert_eq!(bench.reader().installed().unwrap(), [system]);
}

#[test]
fn what_is_decided_of_schedules_outlives_the_file_but_not_a_removal() {
    let mut bench = Bench::new();
    let watermark = |at| Change::Watermark {
        dag: name("etl"),
        at: Time(at),
    };
    let suspend = |on| Change::Suspend { dag: name("etl"), on };
    let record = |watermark: Option<i64>, suspended| PlanRecord {
        dag: name("etl"),
        watermark: watermark.map(Time),
        suspended,
    };
    assert_eq!(bench.reader().plans().unwrap(), []);
    bench.ok(vec![suspend(true)]);
    assert_eq!(bench.reader().plans().unwrap(), [record(None, true)]);
    bench.ok(vec![watermark(9), watermark(5)]);
    bench.reopen();
    assert_eq!(
        bench.reader().plan(&name("etl")).unwrap(),
        Some(record(Some(5), true)),
        "it may go back"
    );
    bench.ok(vec![suspend(false)]);
    let uninstall = |forget| Change::Uninstall {
        dag: name("etl"),
        forget,
    };
    bench.ok(vec![uninstall(false)]);
    assert_eq!(bench.reader().plans().unwrap(), [record(Some(5), false)]);
    bench.ok(vec![uninstall(true)]);
    assert_eq!(bench.reader().plan(&name("etl")).unwrap(), None);
}

#[test]
fn the_newest_success_of_a_dag_is_found_by_an_index() {
    let mut bench = Bench::new();
    assert_eq!(
        bench
            .reader()
            .last_success(&name("etl"), OWNER, Time(999))
            .unwrap(),
        None
    );
    bench.ok(life("etl", "1", 100));
    bench.ok(life("etl", "2", 200));
    let failed = run_ref("etl", "3");
    bench.ok(vec![
        Change::Accept(Box::new(new_run("etl", "3", 300))),
        intend(&failed, 1, 301),
        end(&failed, 1, RunStatus::Failed, 302),
    ]);
    bench.ok(life("other", "1", 400));
    assert_eq!(
        bench
            .reader()
            .last_success(&name("etl"), OWNER, Time(999))
            .unwrap(),
        Some(Time(200))
    );
    // One that was made up for, after the one that was in time; the time that it is for counts.
    let scheduled = |id: &str, at: i64, owner: u32, made: i64| {
        let mut batch = life("etl", id, made);
        batch[0] = Change::Accept(Box::new(NewRun {
            owner,
            scheduled_for: Some(Time(at)),
            ..new_run("etl", id, made)
        }));
        batch
    };
    bench.ok(scheduled("4", 450, OWNER, 451));
    bench.ok(scheduled("5", 250, OWNER, 500));
    bench.ok(scheduled("6", 600, OWNER + 1, 601));
    bench.reopen();
    let until = |owner, now| {
        bench
            .reader()
            .last_success(&name("etl"), owner, Time(now))
            .unwrap()
    };
    let newest = |owner| until(owner, 999);
    assert_eq!(newest(OWNER), Some(Time(450)));
    assert_eq!(newest(OWNER + 1), Some(Time(600)), "a user's own");
    assert_eq!(newest(OWNER + 2), None);
    assert_eq!(until(OWNER, 449), Some(Time(250)), "not one of a time to come");
    assert_eq!(until(OWNER, 450), Some(Time(450)));
    let db = Connection::open(bench.path()).unwrap();
    let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {LAST_SUCCESS}")).unwrap();
    let lines: Vec<String> = plan
        .query_map(("etl", OWNER, 999), |row| row.get(3))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let plan = lines.join("\n");
    assert!(
        plan.contains("SEARCH runs USING") && !plan.contains("TEMP B-TREE"),
        "{plan}"
    );
}
