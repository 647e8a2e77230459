//! What attempts used, and what brought them to a bad end.

use super::*;
use crate::model::{Cause, OomScope, OomVictim, RunCause, Usage};
use crate::store::Filter;

fn account(run: &RunRef, number: u32, usage: Usage, cause: Option<RunCause>) -> Change {
    Change::Account {
        attempt: attempt(run, number),
        usage,
        cause,
    }
}

fn out_of_memory() -> Cause {
    Cause::OutOfMemory {
        killed: 1,
        total: 1,
        scope: OomScope::Attempt {
            limit: Some(512 << 20),
        },
        victim: OomVictim::Own {},
    }
}

#[test]
fn what_was_used_is_told_of_run_attempt_and_list_and_later_words_replace_earlier_ones() {
    let mut bench = Bench::new();
    let run = run_ref("etl", "r1");
    let mut failed = StepView::new("build");
    failed.status = StepStatus::Failed;
    failed.cause = Some(out_of_memory());
    let cause = RunCause {
        step: Some(String::from("build")),
        cause: out_of_memory(),
    };
    let told = Usage {
        cpu_user_usec: Some(1),
        cpu_system_usec: Some(2),
        rss_max: Some(3),
        ..Usage::UNKNOWN
    };
    bench.ok(vec![
        accept("etl", "r1", 1),
        intend(&run, 1, 10),
        identify(&run, 1, 321),
        start(&run, 1, 20),
        step(&run, 1, Node::Step(0), failed),
        account(&run, 1, told, Some(cause.clone())),
        end(&run, 1, RunStatus::Failed, 30),
    ]);
    let read = Usage {
        cpu_user_usec: Some(10),
        cpu_system_usec: Some(20),
        mem_peak: Some(u64::MAX >> 1),
        rss_max: None,
        io_read: Some(0),
        io_written: Some(5),
        pids_peak: Some(6),
        oom_kills: Some(7),
        pids_refused: Some(8),
    };
    bench.ok(vec![account(&run, 1, read, None)]);
    bench.ok(vec![clean(&run, 1)]);
    bench.reopen();
    let usage = Usage {
        rss_max: Some(3),
        ..read
    };
    let reader = bench.reader();
    let view = reader.run_view(&run).unwrap().unwrap();
    assert_eq!(view.usage, usage);
    assert_eq!(view.steps[0].ended_by(), Some(out_of_memory()));
    let attempts = reader.attempts(&run).unwrap();
    assert_eq!(
        (attempts[0].usage, attempts[0].cause.clone()),
        (usage, Some(cause.clone()))
    );
    let list = reader.history(&Filter::default()).unwrap().runs;
    assert_eq!((list[0].usage, list[0].cause.clone()), (usage, Some(cause)));

    // A run that waits for another attempt has used nothing in it.
    bench.ok(vec![Change::Requeue {
        run: run.clone(),
        caller: None,
        automatic: false,
        at: Time(40),
    }]);
    let list = bench.reader().history(&Filter::default()).unwrap().runs;
    assert_eq!((list[0].usage, list[0].cause.clone()), (Usage::UNKNOWN, None));
    let view = bench.reader().attempt_view(&run, 1).unwrap().unwrap();
    assert_eq!(view.usage, usage, "the attempt keeps its own");
}

#[test]
fn of_what_a_store_of_schema_4_holds_nothing_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proctor.db");
    let migrations = &crate::store::schema::MIGRATIONS[..4];
    let db = crate::store::open::writer(&path, Duration::ZERO, migrations).unwrap();
    db.execute_batch(
        "INSERT INTO words VALUES (1, 'etl'), (2, '/d');
         INSERT INTO dags VALUES (1, 'h', 1, '[\"s\"]', '[]', '{}');
         INSERT INTO runs (id, dag, run_id, snapshot, grp, base_dir, capacity, owner, trigger, created_at, status, attempts,
                           launched, depth)
             VALUES (1, 1, 'r', 1, 1, 2, 0, 0, 0, 7, 3, 1, 1, 0);
         INSERT INTO attempts (id, run, number, attempt, status, intended_at, started_at, ended_at, flags)
             VALUES (1, 1, 1, 'a', 3, 7, 8, 9, 0);",
    )
    .unwrap();
    drop(db);
    let (store, _answers) = open(&path).unwrap();
    let reader = store.reader();
    assert_eq!(reader.schema_version().unwrap(), 5);
    let view = reader.run_view(&run_ref("etl", "r")).unwrap().unwrap();
    assert_eq!((view.usage, view.started_at), (Usage::UNKNOWN, Some(Time(8))));
    assert_eq!(reader.history(&Filter::default()).unwrap().runs[0].cause, None);
}
