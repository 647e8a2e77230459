//! What is stored of schedules, queues and retries of runs as a whole.

use super::*;
use crate::model::{Boot, PendingRetry, Priority, Retries, RetryPolicy, RetryRule, StopReason};

fn queue(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

fn pause(name: &str, on: bool) -> Change {
    Change::PauseQueue {
        queue: queue(name),
        on,
    }
}

fn place(id: &str, to: Option<(&str, u32)>, priority: Option<i16>, first: bool) -> Change {
    Change::Move {
        run: run_ref("etl", id),
        queue: to.map(|(name, capacity)| (queue(name), capacity)),
        priority: priority.map(|number| Priority::new(number).unwrap()),
        first,
    }
}

/// What waits, in order.
fn waiting(bench: &Bench, name: Option<&str>) -> Vec<String> {
    let group = name.map(queue);
    let queued = bench.reader().queue(group.as_ref()).unwrap();
    queued.iter().map(|queued| queued.run.id.to_string()).collect()
}

fn three() -> Bench {
    let mut bench = Bench::new();
    for (at, id) in [(0, "a"), (1, "b"), (2, "c")] {
        bench.ok(vec![accept("etl", id, at)]);
    }
    bench
}

#[test]
fn paused_queues_are_known_after_a_restart_until_they_go_on() {
    let mut bench = Bench::new();
    bench.ok(vec![pause("q", true), pause("p", true)]);
    bench.ok(vec![pause("q", true)]);
    bench.reopen();
    let mut paused = bench.reader().paused().unwrap();
    paused.sort();
    assert_eq!(paused, [queue("p"), queue("q")]);
    bench.ok(vec![pause("q", false), pause("never", false)]);
    assert_eq!(bench.reader().paused().unwrap(), [queue("p")]);
}

#[test]
fn a_moved_run_keeps_its_new_place_over_a_restart() {
    let mut bench = three();
    assert_eq!(waiting(&bench, None), ["a", "b", "c"]);
    bench.ok(vec![place("c", None, None, true)]);
    assert_eq!(waiting(&bench, None), ["c", "a", "b"]);
    bench.ok(vec![place("a", Some(("other", 7)), Some(9), false)]);
    bench.reopen();
    assert_eq!(waiting(&bench, None), ["c", "b", "a"]);
    assert_eq!(waiting(&bench, Some("main")), ["c", "b"]);
    let recovered = bench.reader().recover().unwrap();
    let moved = recovered.queued.last().unwrap();
    assert_eq!((moved.group.clone(), moved.capacity), (queue("other"), 7));
    let new = bench.reader().launch_data(&run_ref("etl", "a")).unwrap().unwrap();
    assert_eq!((new.group, new.capacity), (queue("other"), 7));
    assert_eq!(new.priority.number(), 9);
    let view = bench.reader().run_view(&run_ref("etl", "a")).unwrap().unwrap();
    assert_eq!((view.group, view.priority.number()), (queue("other"), 9));
    // Another priority alone leaves it where it was.
    bench.ok(vec![place("b", None, Some(-1), false)]);
    assert_eq!(waiting(&bench, None), ["c", "b", "a"]);
}

#[test]
fn only_what_waits_in_a_queue_is_moved() {
    let mut bench = three();
    let a = run_ref("etl", "a");
    bench.ok(vec![intend(&a, 1, 5)]);
    let refused = bench.refused(place("a", None, Some(1), true));
    assert!(
        refused.contains("run etl:a does not wait in a queue"),
        "{refused}"
    );
    bench.ok(vec![end(&a, 1, RunStatus::Failed, 6), clean(&a, 1)]);
    let refused = bench.refused(place("a", Some(("q", 1)), None, false));
    assert!(refused.contains("does not wait in a queue"), "{refused}");
    let view = bench.reader().run_view(&a).unwrap().unwrap();
    assert_eq!((view.group, view.priority), (queue("main"), Priority::default()));
}

#[test]
fn what_decides_when_a_run_starts_is_stored_with_it() {
    let mut bench = Bench::new();
    let rule = RetryRule {
        limit: 3,
        interval_sec: 60,
        backoff: 2.0,
        max_interval_sec: 600,
    };
    let new = NewRun {
        priority: Priority::MIN,
        now: true,
        dag_limit: 4,
        scheduled_for: Some(Time(77)),
        retry: Some(RetryPolicy {
            failed: Some(rule),
            exit_codes: vec![3, 4],
            lost: None,
            shared: true,
        }),
        ..new_run("etl", "a", 1)
    };
    bench.ok(vec![Change::Accept(Box::new(new.clone()))]);
    bench.reopen();
    let stored = bench.reader().launch_data(&new.run).unwrap().unwrap();
    assert_eq!(stored, new);
    let page = bench.reader().history(&crate::store::Filter::default()).unwrap();
    assert_eq!(page.runs[0].priority, Priority::MIN);
    assert_eq!(page.runs[0].scheduled_for, Some(Time(77)));
}

/// Number, limit and time of the retry that comes by itself.
fn pending(bench: &Bench, run: &RunRef) -> Option<PendingRetry> {
    let view = bench.reader().run_view(run).unwrap().unwrap();
    let page = bench.reader().history(&crate::store::Filter::default()).unwrap();
    let listed = page.runs.iter().find(|listed| listed.run == *run).unwrap();
    assert_eq!(listed.retry, view.retry);
    view.retry
}

fn later(run: &RunRef, number: u32) -> Change {
    Change::RetryLater {
        run: run.clone(),
        retries: Retries {
            failed: number,
            lost: 0,
        },
        retry: PendingRetry {
            number,
            limit: 5,
            at: Time(900),
        },
        boot: Boot(40),
        boot_id: "b".to_owned(),
    }
}

fn failed(bench: &mut Bench) -> RunRef {
    let run = run_ref("etl", "a");
    bench.ok(vec![accept("etl", "a", 1), intend(&run, 1, 2), start(&run, 1, 3)]);
    bench.ok(vec![
        end(&run, 1, RunStatus::Failed, 4),
        later(&run, 1),
        clean(&run, 1),
    ]);
    run
}

fn requeue(run: &RunRef, automatic: bool) -> Change {
    Change::Requeue {
        run: run.clone(),
        caller: None,
        automatic,
        at: Time(9),
    }
}

fn retries(bench: &Bench) -> Option<String> {
    let db = rusqlite::Connection::open(bench.path()).unwrap();
    db.query_row("SELECT retries FROM runs", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn a_retry_that_comes_by_itself_is_shown_until_it_comes() {
    let mut bench = Bench::new();
    let run = failed(&mut bench);
    bench.reopen();
    let expected = PendingRetry {
        number: 1,
        limit: 5,
        at: Time(900),
    };
    assert_eq!(pending(&bench, &run), Some(expected));
    assert!(retries(&bench).is_some());
    bench.ok(vec![requeue(&run, true)]);
    assert_eq!(pending(&bench, &run), None);
    assert!(retries(&bench).is_some(), "an automatic retry counts on");
    bench.ok(vec![intend(&run, 2, 10), start(&run, 2, 11)]);
    bench.ok(vec![end(&run, 2, RunStatus::Failed, 12), clean(&run, 2)]);
    bench.ok(vec![requeue(&run, false)]);
    assert_eq!(retries(&bench), None, "a person's retry has a new budget");
}

#[test]
fn a_retry_that_is_cancelled_leaves_the_run_failed_and_says_by_whom() {
    let mut bench = Bench::new();
    let run = failed(&mut bench);
    let reason = StopReason::User { uid: 7 };
    let cancel = Change::CancelRetry {
        run: run.clone(),
        reason: reason.clone(),
        at: Time(8),
    };
    bench.ok(vec![cancel.clone()]);
    assert_eq!(pending(&bench, &run), None);
    let view = bench.reader().run_view(&run).unwrap().unwrap();
    assert_eq!((view.status, view.stop), (RunStatus::Failed, Some(reason)));
    // Where none comes, there is nothing to cancel.
    let mut other = Bench::new();
    let run = failed(&mut other);
    other.ok(vec![requeue(&run, true), cancel]);
    assert_eq!(other.reader().run_view(&run).unwrap().unwrap().stop, None);
}

#[test]
fn watermarks_and_suspensions_do_not_undo_each_other() {
    let mut bench = Bench::new();
    let dag = DagName::new("etl").unwrap();
    let plan = |bench: &Bench| {
        let db = rusqlite::Connection::open(bench.path()).unwrap();
        let sql =
            "SELECT p.watermark, p.suspended FROM plans p JOIN words w ON w.id = p.dag WHERE w.word = 'etl'";
        db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
    };
    let watermark = |at: i64| Change::Watermark {
        dag: dag.clone(),
        at: Time(at),
    };
    let suspend = |on: bool| Change::Suspend { dag: dag.clone(), on };
    bench.ok(vec![suspend(true)]);
    let expected: (Option<i64>, bool) = (None, true);
    assert_eq!(plan(&bench), expected);
    bench.ok(vec![watermark(50)]);
    assert_eq!(plan(&bench), (Some(50), true));
    bench.ok(vec![suspend(false)]);
    // The clock was wrong: it goes back.
    bench.ok(vec![watermark(20)]);
    assert_eq!(plan(&bench), (Some(20), false));
}
