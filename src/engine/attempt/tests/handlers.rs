//! Initialisation, handlers and the end of the attempt (7.5, 7.7, 7.10).

use super::*;
use crate::model::Handler::{Abort, Failure, Init, Success};

const ALL: [Handler; 5] = [Init, Success, Failure, Abort, Handler::Exit];
const WELL: StepStatus = StepStatus::Succeeded;

fn handler(handler: Handler) -> Node {
    Node::Handler(handler)
}

fn full(steps: Vec<Step>) -> Dag {
    with_handlers(dag(steps), &ALL)
}

#[test]
fn the_status_chooses_the_handlers() {
    let mut tolerated = step("a", &[]);
    tolerated.continue_on.failure = true;
    let table = [
        (step("a", &[]), exit(0), RunStatus::Succeeded, Success),
        (step("a", &[]), exit(1), RunStatus::Failed, Failure),
        (tolerated, exit(1), RunStatus::PartiallySucceeded, Success),
    ];
    for (first, end, status, chosen) in table {
        let bench = Bench::new(&full(vec![first, step("b", &[])]))
            .ends(Node::Step(0), &[end])
            .run();
        assert_eq!(
            bench.handlers(),
            [(Init, WELL), (chosen, WELL), (Handler::Exit, WELL)]
        );
        assert_eq!(bench.end().0, status);
    }
}

#[test]
fn a_handler_sees_the_status_of_the_moment() {
    let bench = Bench::new(&full(vec![step("a", &[])]));
    let mut bench = bench.hold(&[handler(Init), handler(Success), handler(Handler::Exit)]);
    assert_eq!(bench.engine.status(), RunStatus::NotStarted);
    bench.tell(Event::Begin);
    assert_eq!(bench.engine.status(), RunStatus::Running);
    bench.release(handler(Init), exit(0));
    assert_eq!(bench.engine.status(), RunStatus::Succeeded);
    bench.release(handler(Success), exit(1));
    assert_eq!(bench.engine.status(), RunStatus::Failed);
    bench.release(handler(Handler::Exit), exit(0));
    assert_eq!(bench.end().0, RunStatus::Failed);
}

#[test]
fn a_failed_handler_turns_a_success_into_a_failure_and_nothing_else() {
    let mut tolerated = step("a", &[]);
    tolerated.continue_on.failure = true;
    let plain = || step("a", &[]);
    let table = [
        (plain(), exit(0), Success, RunStatus::Failed),
        (plain(), exit(0), Handler::Exit, RunStatus::Failed),
        (plain(), exit(1), Failure, RunStatus::Failed),
        (tolerated, exit(1), Handler::Exit, RunStatus::PartiallySucceeded),
        (plain(), exit(0), Init, RunStatus::Aborted),
    ];
    for (first, end, fails, status) in table {
        let bench = Bench::new(&full(vec![first, step("b", &[])])).ends(Node::Step(0), &[end]);
        let bench = bench.ends(handler(fails), &[exit(9)]).run();
        let (got, error, _) = bench.end();
        assert_eq!((got, error), (status, Some("exit code 9")), "{fails:?}");
        // The exit handler ran whatever happened before it.
        assert_eq!(
            bench.handlers().last().map(|(handler, _)| *handler),
            Some(Handler::Exit)
        );
    }
}

#[test]
fn a_failed_init_handler_keeps_the_steps_from_starting() {
    let bench = Bench::new(&full(vec![step("a", &[])]))
        .ends(handler(Init), &[exit(9)])
        .run();
    assert_eq!(bench.letters(), "-");
    let failed = StepStatus::Failed;
    assert_eq!(
        bench.handlers(),
        [(Init, failed), (Abort, WELL), (Handler::Exit, WELL)]
    );
}

#[test]
fn a_handler_has_preconditions_but_neither_retries_nor_repeats() {
    let mut dag = full(vec![step("a", &[])]);
    dag.handlers = vec![
        (Init, step("init", &[])),
        (Success, retrying("success", &[])),
        (Handler::Exit, repeating("exit", RepeatMode::While, &[], false)),
    ];
    let bench = Bench::new(&dag).prepared(handler(Init), unmet());
    let bench = bench
        .prepared(handler(Success), limits(3, 0.0))
        .ends(handler(Success), &[exit(1)]);
    let bench = bench.run();
    let skipped = (Init, StepStatus::Skipped);
    assert_eq!(
        bench.handlers(),
        [skipped, (Success, StepStatus::Failed), (Handler::Exit, WELL)]
    );
    assert_eq!(bench.letters(), "S");
}

#[test]
fn what_cannot_be_initialised_fails() {
    let mut bench = Bench::new(&full(vec![step("a", &[])]));
    bench.initialised = Err("no such directory".to_owned());
    let bench = bench.run();
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("-", RunStatus::Failed)
    );
    assert_eq!(bench.end().1, Some("no such directory"));
    assert_eq!(bench.handlers(), [(Failure, WELL), (Handler::Exit, WELL)]);
}

#[test]
fn unmet_preconditions_abort_before_the_init_handler() {
    let mut bench = Bench::new(&full(vec![step("a", &[])]));
    bench.initialised = Ok(Err("condition was not met".to_owned()));
    let bench = bench.run();
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("-", RunStatus::Aborted)
    );
    assert_eq!(bench.end().1, Some("condition was not met"));
    let reason = "condition was not met".to_owned();
    assert_eq!(bench.facts().first(), Some(&&Fact::PreconditionsUnmet { reason }));
    assert_eq!(bench.handlers(), [(Abort, WELL), (Handler::Exit, WELL)]);
}

#[test]
fn the_end_is_recorded_when_the_tree_is_empty_and_not_before() {
    let mut bench = Bench::new(&dag(vec![step("a", &[])]));
    bench.hold_tree = true;
    bench.tell(Event::Begin);
    assert_eq!(bench.effects.last(), Some(&Effect::KillTree));
    assert!(!bench.engine.is_finished());
    bench.tell(Event::TreeEmpty);
    assert_eq!(bench.end().0, RunStatus::Succeeded);
    assert!(bench.engine.is_finished());
    let count = bench.effects.len();
    for event in [
        Event::Begin,
        Event::TreeEmpty,
        Event::Stop(StopReason::Shutdown),
        Event::Timer(Timer::Grace),
    ] {
        bench.tell(event);
    }
    assert_eq!(bench.effects.len(), count, "nothing follows the end");
}

#[test]
fn the_handlers_run_after_the_runs_time_limit_within_their_own_time() {
    // Own clean-up time, own time limit of the handler, seconds that it gets.
    for (clean_up, own, gets) in [(7, 0, 7), (0, 0, 5), (7, 30, 30)] {
        let mut dag = Dag {
            timeout_sec: 10,
            max_clean_up_time_sec: clean_up,
            ..full(vec![step("a", &[]), step("b", &[0])])
        };
        dag.handlers[2].1.timeout_sec = own;
        let mut bench = Bench::new(&dag).hold(&[Node::Step(0), handler(Failure)]);
        bench.tell(Event::Begin);
        assert_eq!(bench.tick(), Some(Timer::RunTimeout));
        assert_eq!(bench.count(|effect| matches!(effect, Effect::Kill(_))), 1);
        assert!(bench.facts().contains(&&Fact::TimedOut {}));
        bench.release(Node::Step(0), killed(9));
        assert_eq!(bench.letters(), "AA");
        assert!(matches!(bench.tick(), Some(Timer::TryTimeout(_))));
        assert_eq!(bench.now.boot, Boot((10 + gets) * 1_000_000));
        bench.release(handler(Failure), killed(9));
        assert_eq!(bench.end().0, RunStatus::Failed);
        let failed = StepStatus::Failed;
        assert_eq!(bench.handlers()[1..], [(Failure, failed), (Handler::Exit, WELL)]);
        assert_eq!(bench.end_of(handler(Failure)).and_then(|end| end.1), Some(124));
    }
}

#[test]
fn a_time_limit_that_ends_during_a_handler_leaves_it_its_own_time() {
    let dag = Dag {
        timeout_sec: 10,
        ..full(vec![step("a", &[])])
    };
    let mut bench = Bench::new(&dag).hold(&[handler(Success)]);
    bench.tell(Event::Begin);
    assert_eq!(bench.tick(), Some(Timer::RunTimeout));
    assert_eq!(bench.count(|effect| matches!(effect, Effect::Kill(_))), 0);
    bench.release(handler(Success), exit(0));
    let (status, error, _) = bench.end();
    assert_eq!(
        (status, error),
        (RunStatus::Failed, Some("run timed out after 10 s"))
    );
    assert_eq!(bench.handlers()[1..], [(Success, WELL), (Handler::Exit, WELL)]);
    assert_eq!(bench.timers.len(), 0);
}
