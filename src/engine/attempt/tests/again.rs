//! The attempt's part in retries of the whole run: the failure handler runs only when none follows.

use super::*;
use crate::model::Handler::{Abort, Exit as AtExit, Failure, Init, Success};

fn full(steps: Vec<Step>) -> Dag {
    with_handlers(dag(steps), &[Init, Success, Failure, Abort, AtExit])
}

fn retried(dag: &Dag, codes: &[i32]) -> Bench {
    Bench::of(Attempt::new(dag, None).retried_on(Some(codes.to_vec())))
}

/// The handlers that ran, and whether the record says that a retry follows.
fn outcome(bench: &Bench) -> (Vec<Handler>, bool) {
    let ran = bench.handlers().into_iter().map(|(handler, _)| handler);
    let told = matches!(bench.facts().last(), Some(Fact::Ended { retry: true, .. }));
    (ran.collect(), told)
}

#[test]
fn the_failure_handler_waits_for_the_last_retry() {
    let mut tolerated = step("b", &[]);
    tolerated.continue_on.failure = true;
    let table: [(&[i32], i32, i32, bool); 6] = [
        (&[], 1, 0, true),
        (&[7], 7, 0, true),
        (&[7], 1, 0, false),
        // Of several failures one is enough, but not one that is tolerated.
        (&[1, 7], 7, 3, true),
        (&[3], 7, 3, false),
        (&[-1], 7, 0, false),
    ];
    for (codes, first, second, again) in table {
        let bench = retried(&full(vec![step("a", &[]), tolerated.clone()]), codes)
            .ends(Node::Step(0), &[exit(first)])
            .ends(Node::Step(1), &[exit(second)])
            .run();
        let ran = if again {
            vec![Init, AtExit]
        } else {
            vec![Init, Failure, AtExit]
        };
        assert_eq!(outcome(&bench), (ran, again), "{codes:?}, {first}, {second}");
        assert_eq!(bench.end().0, RunStatus::Failed);
    }
    // Without a budget, as without a policy.
    let bench = Bench::new(&full(vec![step("a", &[])]))
        .ends(Node::Step(0), &[exit(1)])
        .run();
    assert_eq!(outcome(&bench), (vec![Init, Failure, AtExit], false));
}

#[test]
fn what_did_not_fail_is_not_tried_again() {
    let bench = retried(&full(vec![step("a", &[])]), &[]).run();
    assert_eq!(outcome(&bench), (vec![Init, Success, AtExit], false));
    // Its steps were in order; there is nothing to run again.
    let bench = retried(&full(vec![step("a", &[])]), &[])
        .ends(Node::Handler(AtExit), &[exit(9)])
        .run();
    assert_eq!(bench.end().0, RunStatus::Failed);
    assert_eq!(outcome(&bench), (vec![Init, Success, AtExit], false));
    // An init handler that fails aborts the run.
    let bench = retried(&full(vec![step("a", &[])]), &[])
        .ends(Node::Handler(Init), &[exit(9)])
        .run();
    assert_eq!(outcome(&bench), (vec![Init, Abort, AtExit], false));
}

#[test]
fn a_stop_means_that_no_retry_follows() {
    let mut bench = retried(&full(vec![step("a", &[])]), &[]).hold(&[Node::Step(0)]);
    bench.tell(Event::Begin);
    bench.tell(Event::Stop(StopReason::User { uid: 7 }));
    bench.release(Node::Step(0), exit(1));
    assert_eq!(outcome(&bench), (vec![Init, Abort, AtExit], false));
    // While the exit handler runs, of an attempt that would have been followed by another one.
    let mut bench = retried(&full(vec![step("a", &[])]), &[])
        .ends(Node::Step(0), &[exit(1)])
        .hold(&[Node::Handler(AtExit)]);
    bench.tell(Event::Begin);
    bench.tell(Event::Stop(StopReason::User { uid: 7 }));
    bench.release(Node::Handler(AtExit), exit(0));
    assert_eq!(bench.end().0, RunStatus::Failed);
    // It has failed for good, so its failure handler runs after all.
    assert_eq!(outcome(&bench), (vec![Init, AtExit, Failure], false));
}

#[test]
fn who_is_told_that_no_retry_follows_runs_the_failure_handler() {
    // Before it fails, and while the exit handler runs that comes first when a retry follows.
    for held in [Node::Step(0), Node::Handler(AtExit)] {
        let mut bench = retried(&full(vec![step("a", &[])]), &[])
            .ends(Node::Step(0), &[exit(1)])
            .hold(&[held]);
        bench.tell(Event::Begin);
        bench.tell(Event::NoRetry);
        bench.release(held, if held == Node::Step(0) { exit(1) } else { exit(0) });
        assert_eq!(bench.end().0, RunStatus::Failed);
        let ran = if held == Node::Step(0) {
            vec![Init, Failure, AtExit]
        } else {
            vec![Init, AtExit, Failure]
        };
        assert_eq!(outcome(&bench), (ran, false), "{held:?}");
    }
}

#[test]
fn a_time_limit_is_a_failure_without_an_exit_code_of_its_own() {
    for (codes, again) in [(&[][..], true), (&[7][..], false)] {
        let mut limited = full(vec![step("a", &[])]);
        limited.timeout_sec = 5;
        let mut bench = retried(&limited, codes).hold(&[Node::Step(0)]);
        bench.tell(Event::Begin);
        bench.tell(Event::Timer(Timer::RunTimeout));
        bench.release(
            Node::Step(0),
            TryEnd {
                error: Some("killed".into()),
                ..exit(-1)
            },
        );
        assert_eq!(bench.end().0, RunStatus::Failed);
        let ran = if again {
            vec![Init, AtExit]
        } else {
            vec![Init, Failure, AtExit]
        };
        assert_eq!(outcome(&bench), (ran, again), "{codes:?}");
    }
}
