//! Runs that wait for a person, and what is decided about them.

use crate::model::StopReason;
use crate::model::change::Caller;
use crate::model::view::Decision;

use super::super::{Error, Filter};
use super::*;

fn waiting_step(name: &str, run: &RunRef, number: u32) -> StepView {
    let dir = log_dir()(Time(2), &attempt(run, number));
    StepView {
        status: StepStatus::Waiting,
        error: Some("waits for approval".to_owned()),
        ..succeeded(name, &dir, 3)
    }
}

fn decision(approved: bool) -> Decision {
    Decision {
        approved,
        uid: 1000,
        at: Time(9),
        reason: (!approved).then(|| "too late".to_owned()),
    }
}

fn decide(run: &RunRef, number: u32, view: &StepView) -> Change {
    Change::Decide {
        run: run.clone(),
        attempt: attempt(run, number),
        node: Node::Step(0),
        view: Box::new(view.clone()),
    }
}

fn requeue(run: &RunRef) -> Change {
    Change::Requeue {
        run: run.clone(),
        caller: None,
        automatic: false,
        at: Time(9),
    }
}

/// What brings an accepted run to where its first step waits.
fn until_waiting(run: &RunRef) -> Vec<Change> {
    vec![
        intend(run, 1, 2),
        identify(run, 1, 9),
        start(run, 1, 3),
        end(run, 1, RunStatus::Waiting, 5),
        step(run, 1, Node::Step(0), waiting_step("build", run, 1)),
        clean(run, 1),
    ]
}

/// A run that another one calls.
fn called_by(parent: &RunRef, root: &RunRef, id: &str) -> Change {
    Change::Accept(Box::new(NewRun {
        parent: Some(Caller {
            run: parent.clone(),
            attempt: 1,
            step: "build".to_owned(),
            root: root.clone(),
            depth: 1,
        }),
        ..new_run("sub", id, 2)
    }))
}

fn bench_with_waiting(run: &RunRef) -> Bench {
    let mut bench = Bench::new();
    bench.ok(vec![accept(run.dag.as_str(), run.id.as_str(), 1)]);
    bench.ok(until_waiting(run));
    bench
}

#[test]
fn a_run_that_waits_has_ended_its_attempt_and_is_listed_as_open() {
    let run = run_ref("etl", "r1");
    let bench = bench_with_waiting(&run);
    let view = bench.reader().run_view(&run).unwrap().unwrap();
    assert_eq!(
        (view.status, view.finished_at),
        (RunStatus::Waiting, Some(Time(5)))
    );
    assert_eq!(view.steps[0], waiting_step("build", &run, 1));
    let filter = Filter {
        statuses: vec![RunStatus::Waiting],
        ..Filter::default()
    };
    let list = bench.reader().history(&filter).unwrap().runs;
    assert_eq!(list, [view.summary()]);
    assert_eq!(list[0].progress, (0, 2), "what waits is not done");
    assert_eq!(bench.reader().counts().unwrap(), super::super::Counts::default());
}

#[test]
fn a_decision_and_the_return_into_the_queue_are_one_and_happen_once() {
    let run = run_ref("etl", "r1");
    let mut bench = bench_with_waiting(&run);
    let input = [("WHO".to_owned(), "me".to_owned())];
    let approved = waiting_step("build", &run, 1).decided(decision(true), &input);
    let rejected = waiting_step("build", &run, 1).decided(decision(false), &[]);
    // Part of a batch that fails: nothing of it is there.
    let broken = vec![decide(&run, 1, &rejected), requeue(&run_ref("etl", "other"))];
    assert!(matches!(bench.commit(broken), Err(Error::Other(_))));
    assert_eq!(
        bench.reader().run_view(&run).unwrap().unwrap().status,
        RunStatus::Waiting
    );

    bench.ok(vec![decide(&run, 1, &approved), requeue(&run)]);
    let last = bench.reader().attempt_view(&run, 1).unwrap().unwrap();
    assert_eq!((last.status, &last.steps[0]), (RunStatus::Waiting, &approved));
    assert_eq!(
        bench.reader().run_view(&run).unwrap().unwrap().status,
        RunStatus::Queued
    );
    assert_eq!(bench.reader().queue(None).unwrap()[0].attempts, 1);
    bench.reopen();
    let late = vec![decide(&run, 1, &rejected), requeue(&run)];
    assert_eq!(bench.commit(late.clone()), Err(Error::Exists));
    // The next attempt waits, too: only its steps can be decided then.
    bench.ok(vec![
        intend(&run, 2, 12),
        start(&run, 2, 13),
        end(&run, 2, RunStatus::Waiting, 15),
        step(&run, 2, Node::Step(0), approved.clone()),
        step(&run, 2, Node::Step(1), waiting_step("test", &run, 2)),
        clean(&run, 2),
    ]);
    assert_eq!(bench.commit(late), Err(Error::Exists), "an attempt of the past");
    let again = vec![decide(&run, 2, &rejected), requeue(&run)];
    assert_eq!(
        bench.commit(again),
        Err(Error::Exists),
        "a step that does not wait"
    );
    assert_eq!(
        bench.reader().attempt_view(&run, 1).unwrap().unwrap().steps[0],
        approved
    );
    let progress = bench.reader().history(&Filter::default()).unwrap().runs[0].progress;
    assert_eq!(progress, (1, 2));
}

#[test]
fn a_run_that_is_stopped_while_it_waits_keeps_its_steps_and_takes_its_waiting_sub_runs_along() {
    let run = run_ref("etl", "r1");
    let mut bench = bench_with_waiting(&run);
    for (id, waits) in [("c1", true), ("c2", false)] {
        let child = run_ref("sub", id);
        bench.ok(vec![called_by(&run, &run, id)]);
        bench.ok(if waits {
            until_waiting(&child)
        } else {
            vec![
                intend(&child, 1, 2),
                start(&child, 1, 3),
                end(&child, 1, RunStatus::Failed, 4),
            ]
        });
    }
    let other = run_ref("etl", "r2");
    bench.ok(vec![accept("etl", "r2", 1)]);
    bench.ok(until_waiting(&other));
    let stop = StopReason::User { uid: 7 };
    bench.ok(vec![
        Change::Stop {
            run: run.clone(),
            reason: stop.clone(),
            at: Time(20),
        },
        Change::EndQueued {
            run: run.clone(),
            status: RunStatus::Aborted,
            error: Some(stop.to_string()),
            at: Time(20),
        },
    ]);
    let view = bench.reader().run_view(&run).unwrap().unwrap();
    assert_eq!((view.status, view.number), (RunStatus::Aborted, 1));
    assert_eq!(
        (view.stop, view.finished_at),
        (Some(stop.clone()), Some(Time(20)))
    );
    assert_eq!(view.error, Some(stop.to_string()));
    assert_eq!(view.steps[0].status, StepStatus::Waiting);
    let status = |run: &RunRef| bench.reader().run_view(run).unwrap().unwrap().status;
    assert_eq!(status(&run_ref("sub", "c1")), RunStatus::Aborted);
    assert_eq!(status(&run_ref("sub", "c2")), RunStatus::Failed);
    assert_eq!(status(&other), RunStatus::Waiting);
}

#[test]
fn only_an_end_or_waiting_ends_an_attempt() {
    let run = run_ref("etl", "r1");
    let mut bench = Bench::new();
    bench.ok(vec![
        accept("etl", "r1", 1),
        intend(&run, 1, 2),
        start(&run, 1, 3),
    ]);
    for status in [RunStatus::Running, RunStatus::Queued, RunStatus::NotStarted] {
        let refused = bench.refused(end(&run, 1, status, 4));
        assert!(refused.contains("is not a final status"), "{refused}");
    }
    let refused = bench.refused(requeue(&run));
    assert!(
        refused.contains("only a run that has ended or waits"),
        "{refused}"
    );
}

#[test]
fn what_waits_below_a_root_that_is_over_waits_no_longer() {
    let (root, middle, leaf) = (run_ref("etl", "r1"), run_ref("sub", "c1"), run_ref("sub", "c2"));
    let mut bench = Bench::new();
    bench.ok(vec![
        accept("etl", "r1", 1),
        intend(&root, 1, 2),
        start(&root, 1, 3),
    ]);
    bench.ok(vec![
        called_by(&root, &root, "c1"),
        intend(&middle, 1, 2),
        start(&middle, 1, 3),
    ]);
    bench.ok(vec![called_by(&middle, &root, "c2")]);
    bench.ok(until_waiting(&leaf));
    let status = |bench: &Bench, run: &RunRef| bench.reader().run_view(run).unwrap().unwrap().status;
    // The root may still ask for it again: only its own end is the end.
    bench.ok(vec![end(&middle, 1, RunStatus::Aborted, 5)]);
    assert_eq!(status(&bench, &leaf), RunStatus::Waiting);
    bench.ok(vec![end(&root, 1, RunStatus::Failed, 6)]);
    let view = bench.reader().run_view(&leaf).unwrap().unwrap();
    assert_eq!(
        (view.status, view.finished_at),
        (RunStatus::Aborted, Some(Time(6)))
    );
    assert_eq!(view.stop, Some(StopReason::Caller));
    assert_eq!(view.error, Some(StopReason::Caller.to_string()));
    assert_eq!(view.steps[0].status, StepStatus::Waiting);
    assert_eq!(status(&bench, &root), RunStatus::Failed);
}

#[test]
fn what_waits_is_listed_with_what_was_called() {
    let (root, leaf) = (run_ref("etl", "r1"), run_ref("sub", "c1"));
    let mut bench = bench_with_waiting(&root);
    bench.ok(vec![called_by(&root, &root, "c1")]);
    bench.ok(until_waiting(&leaf));
    bench.ok(vec![accept("etl", "r2", 1)]);
    let NewRun { owner, .. } = bench.reader().launch_data(&root).unwrap().unwrap();
    for owner in [None, Some(owner)] {
        let listed = bench.reader().waiting(owner).unwrap();
        let views = [&leaf, &root].map(|run| bench.reader().run_view(run).unwrap().unwrap());
        assert_eq!(listed, views.map(|view| view.summary()), "the newest first");
        assert_eq!(listed[0].parent, Some(root.clone()));
    }
    assert!(bench.reader().waiting(Some(owner + 1)).unwrap().is_empty());
}
