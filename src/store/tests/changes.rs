//! Every change, seen through the views.

use crate::model::{Exit, LostCause, StopReason};

use super::super::Filter;
use super::*;

#[test]
fn an_accepted_run_waits_with_its_steps_not_begun() {
    let mut bench = Bench::new();
    bench.ok(vec![accept("etl", "r1", 100)]);
    let view = bench.reader().run_view(&run_ref("etl", "r1")).unwrap().unwrap();
    assert_eq!(view.status, RunStatus::Queued);
    assert_eq!((view.attempt, view.number), (None, 0));
    assert_eq!(view.log_dir, "");
    assert_eq!(view.created_at, Time(100));
    assert_eq!(view.params, [("1".to_owned(), "fast".to_owned())]);
    assert_eq!(view.steps, [StepView::new("build"), StepView::new("test")]);
    assert_eq!(view.handlers, [(Handler::Exit, StepView::new("onExit"))]);
    let launch = bench.reader().launch_data(&run_ref("etl", "r1")).unwrap();
    assert_eq!(launch, Some(new_run("etl", "r1", 100)));
    let queue = bench.reader().queue(None).unwrap();
    assert_eq!(queue.len(), 1);
    assert_eq!((queue[0].capacity, queue[0].attempts), (2, 0));
}

#[test]
fn the_same_run_is_accepted_once_and_other_dags_may_use_its_id() {
    let mut bench = Bench::new();
    bench.ok(vec![accept("etl", "r1", 1)]);
    assert_eq!(bench.commit(vec![accept("etl", "r1", 2)]), Err(Error::Exists));
    bench.ok(vec![accept("other", "r1", 3)]);
    let view = bench.reader().run_view(&run_ref("etl", "r1")).unwrap().unwrap();
    assert_eq!(view.created_at, Time(1));
}

#[test]
fn a_run_goes_from_intent_to_end() {
    let mut bench = Bench::new();
    let run = run_ref("etl", "r1");
    bench.ok(vec![accept("etl", "r1", 1)]);
    bench.ok(vec![intend(&run, 1, 10)]);
    let view = bench.reader().run_view(&run).unwrap().unwrap();
    assert_eq!((view.status, view.number), (RunStatus::Queued, 1));
    assert_eq!(view.attempt, Some(attempt(&run, 1)));
    let dir = format!("/state/attempts/1970-01-01/{}", attempt(&run, 1));
    assert_eq!(view.log_dir, dir);
    assert!(bench.reader().queue(None).unwrap().is_empty());
    let live = bench.reader().recover().unwrap().live;
    assert_eq!((live[0].identity.clone(), live[0].started_at), (None, None));

    bench.ok(vec![identify(&run, 1, 321)]);
    bench.ok(vec![Change::Start {
        attempt: attempt(&run, 1),
        at: Time(20),
        params: Some(Vec::new()),
    }]);
    let view = bench.reader().run_view(&run).unwrap().unwrap();
    assert_eq!(view.status, RunStatus::Running);
    assert_eq!((view.started_at, view.pid), (Some(Time(20)), Some(321)));
    assert!(
        view.params.is_empty(),
        "told and empty is not the same as not told"
    );
}

/// A step of which everything is known.
fn eventful(dir: &str) -> StepView {
    StepView {
        status: StepStatus::Failed,
        error: Some("exit code 3".to_owned()),
        exit_code: Some(-1),
        exit: Some(Exit::Signal {
            signal: 11,
            core: true,
        }),
        retry_count: 2,
        done_count: 3,
        repeated: true,
        stdout: Some(format!("{dir}/test.log")),
        stderr: Some(format!("{dir}/test.log")),
        variables: vec![("OUT".to_owned(), "42".to_owned())],
        pid: Some(7),
        started_at: Some(Time(31)),
        finished_at: Some(Time(32)),
        next_try_at: Some(Time(33)),
        tolerated: true,
        ..StepView::new("test")
    }
}

#[test]
fn an_end_keeps_what_is_known_of_the_run_and_its_nodes() {
    let mut bench = Bench::new();
    let run = run_ref("etl", "r1");
    let dir = format!("/state/attempts/1970-01-01/{}", attempt(&run, 1));
    bench.ok(vec![
        accept("etl", "r1", 1),
        intend(&run, 1, 10),
        identify(&run, 1, 321),
        start(&run, 1, 20),
    ]);
    let failed = eventful(&dir);
    let mut handler = succeeded("onExit", &dir, 40);
    handler.stderr = Some("/elsewhere/err".to_owned());
    bench.ok(vec![
        step(
            &run,
            1,
            Node::Step(0),
            StepView {
                status: StepStatus::Running,
                ..StepView::new("build")
            },
        ),
        step(&run, 1, Node::Step(1), failed.clone()),
        step(&run, 1, Node::Handler(Handler::Exit), handler.clone()),
    ]);
    bench.ok(vec![step(&run, 1, Node::Step(0), succeeded("build", &dir, 25))]);
    let list = bench.reader().history(&Filter::default()).unwrap().runs;
    assert_eq!(
        list[0].progress,
        (2, 2),
        "counted from the steps while it is live"
    );
    let live = bench.reader().recover().unwrap().live;
    assert_eq!(live[0].identity, Some(identity(321)));

    bench.ok(vec![Change::End {
        attempt: attempt(&run, 1),
        status: RunStatus::PartiallySucceeded,
        error: Some("a step failed".to_owned()),
        lost: None,
        outputs: vec![("OUT".to_owned(), "42".to_owned())],
        timed_out: true,
        kill_escalated: true,
        at: Time(50),
    }]);
    bench.reopen();
    let view = bench.reader().run_view(&run).unwrap().unwrap();
    assert_eq!(view.status, RunStatus::PartiallySucceeded);
    assert_eq!(view.error.as_deref(), Some("a step failed"));
    assert_eq!((view.timed_out, view.kill_escalated), (true, true));
    assert_eq!((view.finished_at, view.pid), (Some(Time(50)), None));
    assert_eq!(view.outputs, [("OUT".to_owned(), "42".to_owned())]);
    assert_eq!(view.steps, [succeeded("build", &dir, 25), failed]);
    assert_eq!(view.handlers, [(Handler::Exit, handler)]);
    let list = bench.reader().history(&Filter::default()).unwrap().runs;
    assert_eq!(list, [view.summary()]);
    assert!(bench.reader().recover().unwrap().live.is_empty());
    let held = bench.reader().not_cleaned().unwrap();
    assert_eq!(
        (held[0].attempt.clone(), held[0].log_dir.clone()),
        (attempt(&run, 1), dir)
    );
    // Its supervisor may live yet, and is found by that.
    assert_eq!(held[0].identity, Some(identity(321)));
    bench.ok(vec![clean(&run, 1)]);
    bench.ok(vec![clean(&run, 1)]);
    assert!(bench.reader().not_cleaned().unwrap().is_empty());
    assert_eq!(bench.reader().run_of(&attempt(&run, 1)).unwrap(), Some((run, 1)));
}

#[test]
fn a_terminal_status_never_changes() {
    let mut bench = Bench::new();
    let run = run_ref("etl", "r1");
    bench.ok(life("etl", "r1", 1));
    let before = bench.reader().run_view(&run).unwrap();
    bench.ok(vec![end(&run, 1, RunStatus::Failed, 99)]);
    bench.ok(vec![start(&run, 1, 99)]);
    bench.ok(vec![identify(&run, 1, 99)]);
    bench.ok(vec![step(&run, 1, Node::Step(0), StepView::new("build"))]);
    bench.ok(vec![
        Change::Stop {
            run: run.clone(),
            reason: StopReason::Shutdown,
            at: Time(99),
        },
        Change::EndQueued {
            run: run.clone(),
            status: RunStatus::Aborted,
            error: None,
            at: Time(99),
        },
    ]);
    assert_eq!(bench.reader().run_view(&run).unwrap(), before);
}

#[test]
fn a_lost_attempt_keeps_its_cause_and_its_failed_steps_in_either_order() {
    for end_first in [false, true] {
        let mut bench = Bench::new();
        let run = run_ref("etl", "r1");
        bench.ok(vec![
            accept("etl", "r1", 1),
            intend(&run, 1, 2),
            start(&run, 1, 3),
        ]);
        let running = StepView {
            status: StepStatus::Running,
            ..StepView::new("build")
        };
        bench.ok(vec![step(&run, 1, Node::Step(0), running)]);
        let mut view = bench.reader().run_view(&run).unwrap().unwrap();
        assert_eq!(
            view.lose(Time(9), LostCause::SupervisorSignal(9)),
            [Node::Step(0)]
        );
        let ended = Change::End {
            attempt: attempt(&run, 1),
            status: view.status,
            error: view.error.clone(),
            lost: view.lost.clone(),
            outputs: Vec::new(),
            timed_out: false,
            kill_escalated: false,
            at: Time(9),
        };
        let failed = step(&run, 1, Node::Step(0), view.steps[0].clone());
        bench.ok(vec![Change::Account {
            attempt: attempt(&run, 1),
            usage: crate::model::Usage::UNKNOWN,
            cause: view.ended_by(),
        }]);
        bench.ok(if end_first {
            vec![ended, failed]
        } else {
            vec![failed, ended]
        });
        assert_eq!(bench.reader().run_view(&run).unwrap(), Some(view.clone()));
        let list = bench.reader().history(&Filter::default()).unwrap().runs;
        assert_eq!(list, [view.summary()]);
        let attempts = bench.reader().attempts(&run).unwrap();
        assert_eq!(attempts[0].lost, Some(LostCause::SupervisorSignal(9)));
    }
}

#[test]
fn what_contradicts_the_store_is_refused() {
    let mut bench = Bench::new();
    let run = run_ref("etl", "r1");
    assert_eq!(bench.refused(intend(&run, 1, 1)), "there is no run etl:r1");
    assert!(
        bench
            .refused(start(&run, 1, 1))
            .starts_with("there is no attempt ")
    );
    bench.ok(vec![accept("etl", "r1", 1)]);
    let requeue = Change::Requeue {
        run: run.clone(),
        caller: None,
        automatic: false,
        at: Time(2),
    };
    assert!(bench.refused(requeue.clone()).contains("is queued"));
    bench.ok(vec![intend(&run, 1, 2)]);
    assert!(bench.refused(intend(&run, 2, 2)).contains("not in the queue"));
    let end_queued = Change::EndQueued {
        run: run.clone(),
        status: RunStatus::Aborted,
        error: None,
        at: Time(3),
    };
    assert!(bench.refused(end_queued).contains("live attempt"));
    assert!(
        bench
            .refused(end(&run, 1, RunStatus::Running, 3))
            .contains("not a final status")
    );
    bench.ok(vec![start(&run, 1, 3)]);
    assert!(
        bench
            .refused(Change::Unlaunch {
                attempt: attempt(&run, 1)
            })
            .contains("has started")
    );
    assert!(bench.refused(requeue).contains("is running"));
}

#[test]
fn snapshots_and_names_are_stored_once() {
    let mut bench = Bench::new();
    for n in 0..50 {
        bench.ok(life("etl", &format!("r{n}"), n));
    }
    let path = bench.path();
    bench.store = None;
    let db = rusqlite::Connection::open(path).unwrap();
    let count = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        db.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("dags"), count("words")), (1, 3), "DAG, group, directory");
    assert_eq!((count("runs"), count("attempts"), count("steps")), (50, 50, 50));
    assert_eq!((count("queue"), count("held")), (0, 0));
}
