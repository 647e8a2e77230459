//! The stop ladder and the time limit of the run (7.11, W7, W8).

use super::*;
use crate::model::Handler::{Abort, Init, Success};

const A: Node = Node::Step(0);
const B: Node = Node::Step(1);
const ABORT: Node = Node::Handler(Abort);
const USER: StopReason = StopReason::User { uid: 7 };

fn signals(bench: &Bench) -> Vec<(Node, i32)> {
    let mut signals = Vec::new();
    for effect in &bench.effects {
        if let Effect::Signal(key, signal) = effect {
            signals.push((key.node, *signal));
        }
    }
    signals
}

fn escalations(bench: &Bench) -> usize {
    bench.count(|effect| *effect == Effect::Record(Fact::KillEscalated {}))
}

#[test]
fn a_stop_signals_what_runs_and_leaves_the_rest_not_started() {
    let dag = with_handlers(
        dag(vec![step("a", &[]), step("b", &[]), step("c", &[1])]),
        &[Abort, Handler::Exit],
    );
    let mut bench = Bench::new(&dag).hold(&[B]);
    bench.tell(Event::Begin);
    bench.tell(Event::Stop(USER));
    assert_eq!(signals(&bench), [(B, 15)]);
    assert_eq!(bench.timers.get(&Timer::Grace), Some(&Boot(5_000_000)));
    bench.release(B, killed(15));
    assert_eq!(bench.letters(), "SA-");
    assert_eq!(
        bench.end_of(B),
        Some((
            StepStatus::Aborted,
            Some(-1),
            Some("stopped by user id 7: killed by SIGTERM: it was killed"),
            0,
            false
        ))
    );
    let well = StepStatus::Succeeded;
    assert_eq!(bench.handlers(), [(Abort, well), (Handler::Exit, well)]);
    assert_eq!(
        bench.end(),
        (RunStatus::Aborted, Some("stopped by user id 7"), &[][..])
    );
    assert_eq!((escalations(&bench), bench.timers.len()), (0, 0));
}

#[test]
fn the_reason_decides_whose_signal_it_is() {
    let mut own = step("a", &[]);
    own.signal_on_stop = Some(2);
    let table = [
        (USER, 2),
        (StopReason::Shutdown, 2),
        (StopReason::Client { uid: 7 }, 15),
        (StopReason::Signal(1), 15),
    ];
    for (reason, signal) in table {
        let mut bench = Bench::new(&dag(vec![own.clone(), step("b", &[])])).hold(&[A, B]);
        bench.tell(Event::Begin);
        bench.tell(Event::Stop(reason.clone()));
        assert_eq!(signals(&bench), [(A, signal), (B, 15)]);
        assert!(bench.facts().contains(&&Fact::StopRequested { reason }));
    }
}

#[test]
fn a_step_that_exits_0_after_the_signal_is_aborted_all_the_same() {
    let mut bench = Bench::new(&dag(vec![step("a", &[])])).hold(&[A]);
    bench.tell(Event::Begin);
    bench.tell(Event::Stop(USER));
    bench.release(A, exit(0));
    assert_eq!(
        bench.end_of(A),
        Some((
            StepStatus::Aborted,
            Some(0),
            Some("stopped by user id 7"),
            0,
            false
        ))
    );
}

#[test]
fn the_grace_period_ends_with_a_kill_of_everything() {
    for second_stop in [false, true] {
        let repeating = repeating("b", RepeatMode::While, &[], false);
        let dag = with_handlers(dag(vec![step("a", &[]), repeating]), &[Abort]);
        let mut bench = Bench::new(&dag).hold(&[A, B]);
        bench.hold_tree = true;
        bench.tell(Event::Begin);
        bench.tell(Event::Stop(USER));
        assert_eq!(signals(&bench), [(A, 15)], "a repeating step is not signalled");
        if second_stop {
            bench.tell(Event::Stop(USER));
        } else {
            assert_eq!(bench.tick(), Some(Timer::Grace));
        }
        assert_eq!(escalations(&bench), 1);
        assert_eq!(bench.effects.last(), Some(&Effect::KillTree));
        // Further requests have nothing to add.
        bench.tell(Event::Stop(USER));
        bench.tell(Event::Timer(Timer::Grace));
        bench.release(A, killed(9));
        bench.release(B, killed(9));
        // The handler would be killed with the rest of the tree, so it waits.
        assert_eq!((bench.letters().as_str(), bench.handlers().len()), ("AA", 0));
        bench.tell(Event::TreeEmpty);
        assert_eq!(bench.handlers(), [(Abort, StepStatus::Succeeded)]);
        bench.tell(Event::TreeEmpty);
        assert_eq!((bench.end().0, escalations(&bench)), (RunStatus::Aborted, 1));
        assert_eq!(
            bench.count(|effect| matches!(effect, Effect::Record(Fact::StopRequested { .. }))),
            1
        );
    }
}

#[test]
fn a_stop_that_is_told_again_cuts_nothing_short() {
    let again = || Event::EnsureStop(StopReason::Caller);
    for first in [Event::Stop(USER), again()] {
        let mut bench = Bench::new(&with_handlers(dag(vec![step("a", &[])]), &[Abort])).hold(&[A, ABORT]);
        bench.tell(Event::Begin);
        bench.tell(first);
        bench.tell(again());
        assert_eq!((signals(&bench), escalations(&bench)), (vec![(A, 15)], 0));
        bench.release(A, killed(15));
        // A stop does not end the handlers that it has begun; another one does.
        bench.tell(again());
        assert_eq!(signals(&bench), [(A, 15)]);
        bench.tell(Event::Stop(USER));
        assert_eq!(signals(&bench), [(A, 15), (ABORT, 15)]);
    }
}

#[test]
fn waits_end_at_once() {
    // A step, how its tries end before the stop, and what it is after.
    let table = [
        (retrying("a", &[]), vec![exit(1)], "A", RunStatus::Aborted),
        (
            repeating("a", RepeatMode::While, &[], false),
            vec![exit(0)],
            "S",
            RunStatus::Succeeded,
        ),
        (
            repeating("a", RepeatMode::Until, &[], true),
            vec![exit(0)],
            "S",
            RunStatus::Succeeded,
        ),
        // Success is what it waits for, and nobody saw it.
        (
            repeating("a", RepeatMode::Until, &[], false),
            vec![exit(1)],
            "A",
            RunStatus::Aborted,
        ),
    ];
    for (first, ends, letter, status) in table {
        let mut bench = Bench::new(&dag(vec![first]))
            .ends(A, &ends)
            .prepared(A, limits(9, 3600.0));
        bench.tell(Event::Begin);
        assert_eq!(bench.timers.len(), 1);
        bench.tell(Event::Stop(USER));
        assert_eq!((bench.letters().as_str(), bench.end().0), (letter, status));
        assert_eq!((bench.now.boot, bench.timers.len()), (Boot(0), 0));
    }
}

#[test]
fn the_pause_after_a_start_ends_at_once() {
    let dag = Dag {
        delay_sec: 3600,
        ..dag(vec![step("a", &[]), step("b", &[])])
    };
    let mut bench = Bench::new(&dag);
    bench.tell(Event::Begin);
    bench.tell(Event::Stop(USER));
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("S-", RunStatus::Aborted)
    );
    assert_eq!((bench.now.boot, bench.timers.len()), (Boot(0), 0));
}

#[test]
fn a_repeating_step_finishes_its_execution() {
    for (end, letter, status) in [
        (exit(0), "S", RunStatus::Succeeded),
        (exit(1), "A", RunStatus::Aborted),
    ] {
        let dag = dag(vec![repeating("a", RepeatMode::While, &[], false)]);
        let mut bench = Bench::new(&dag).hold(&[A]);
        bench.tell(Event::Begin);
        bench.release(A, exit(0));
        assert!(matches!(bench.tick(), Some(Timer::NextTry(_))));
        bench.tell(Event::Stop(USER));
        assert_eq!(signals(&bench), []);
        bench.release(A, end);
        assert_eq!((bench.letters().as_str(), bench.end().0), (letter, status));
        let done = if letter == "S" { 2 } else { 1 };
        assert_eq!(bench.end_of(A).map(|end| end.3), Some(done));
    }
}

#[test]
fn a_stop_reaches_a_step_that_is_being_prepared_or_checked() {
    let keys = |effects: Vec<Effect>, wanted: fn(&Effect) -> Option<NodeKey>| effects.iter().find_map(wanted);
    let mut engine = Attempt::new(&dag(vec![repeating("a", RepeatMode::While, &[], true)]), None);
    let now = Now::default();
    drop(engine.handle(now, Event::Begin));
    let effects = engine.handle(now, Event::Initialised(Ok(Ok(()))));
    let prepare = keys(effects, |effect| match effect {
        Effect::Prepare(key) => Some(*key),
        _ => None,
    })
    .unwrap();
    let mut stopped = Bench::of(engine);
    stopped.tell(Event::Stop(USER));
    assert_eq!(signals(&stopped), [(A, 15)]);
    // Also an answer that says all is well starts nothing any more.
    stopped.tell(Event::Prepared(prepare, Ok(Prepared::default())));
    assert_eq!(
        (stopped.letters().as_str(), stopped.end().0),
        ("A", RunStatus::Aborted)
    );

    let mut engine = Attempt::new(&dag(vec![repeating("a", RepeatMode::While, &[], true)]), None);
    drop(engine.handle(now, Event::Begin));
    drop(engine.handle(now, Event::Initialised(Ok(Ok(())))));
    drop(engine.handle(now, Event::Prepared(prepare, Ok(Prepared::default()))));
    let execute = NodeKey { serial: 2, ..prepare };
    let check = NodeKey { serial: 3, ..prepare };
    let effects = engine.handle(now, Event::TryEnded(execute, exit(0)));
    assert_eq!(effects, [Effect::CheckRepeat(check)]);
    let mut stopped = Bench::of(engine);
    stopped.tell(Event::Stop(USER));
    assert_eq!(signals(&stopped), [(A, 15)]);
    stopped.tell(Event::RepeatChecked(check, Ok(true)));
    assert_eq!(
        (stopped.letters().as_str(), stopped.end().0),
        ("S", RunStatus::Succeeded)
    );
}

#[test]
fn a_stop_during_the_initialisation_kills_what_it_started() {
    for early in [true, false] {
        let dag = with_handlers(dag(vec![step("a", &[])]), &[Init, Abort]);
        let mut engine = Attempt::new(&dag, None);
        let mut effects = Vec::new();
        let events = if early {
            [Event::Stop(USER), Event::Begin]
        } else {
            [Event::Begin, Event::Stop(USER)]
        };
        for event in events {
            effects.extend(engine.handle(Now::default(), event));
        }
        let requested = Effect::Record(Fact::StopRequested { reason: USER });
        assert_eq!(effects, [Effect::Initialise, requested, Effect::KillTree]);
        let mut bench = Bench::of(engine);
        bench.tell(Event::Initialised(Err("killed".to_owned())));
        assert_eq!(
            bench.effects.len(),
            0,
            "nothing starts while the tree is being killed"
        );
        bench.tell(Event::TreeEmpty);
        assert_eq!(bench.handlers(), [(Abort, StepStatus::Succeeded)]);
        assert_eq!(
            (bench.letters().as_str(), bench.end().0),
            ("-", RunStatus::Aborted)
        );
    }
}

#[test]
fn a_handler_at_the_end_has_a_ladder_of_its_own() {
    let dag = with_handlers(dag(vec![step("a", &[])]), &[Abort, Success, Handler::Exit]);
    let nodes = [A, Node::Handler(Abort), Node::Handler(Handler::Exit)];
    let mut bench = Bench::new(&dag).hold(&nodes);
    bench.tell(Event::Begin);
    bench.tell(Event::Stop(USER));
    bench.release(A, killed(15));
    // The stop is over; the handler runs without a limit until somebody stops it.
    assert_eq!(bench.timers.len(), 0);
    bench.tell(Event::Stop(USER));
    assert_eq!(signals(&bench).last(), Some(&(Node::Handler(Abort), 15)));
    assert_eq!(bench.tick(), Some(Timer::Grace));
    assert_eq!(escalations(&bench), 1);
    bench.release(Node::Handler(Abort), killed(9));
    // The exit handler runs always; a further stop begins its ladder from the start.
    bench.tell(Event::Stop(USER));
    assert_eq!(signals(&bench).last(), Some(&(Node::Handler(Handler::Exit), 15)));
    assert_eq!(escalations(&bench), 1);
    bench.release(Node::Handler(Handler::Exit), exit(0));
    let aborted = StepStatus::Aborted;
    assert_eq!(bench.handlers(), [(Abort, aborted), (Handler::Exit, aborted)]);
    assert_eq!(bench.end().0, RunStatus::Aborted);
}

#[test]
fn the_runs_time_limit_cuts_what_runs_and_what_waits() {
    let steps = vec![
        step("runs", &[]),
        retrying("waits", &[]),
        repeating("repeats", RepeatMode::While, &[], false),
        step("in time", &[]),
        step("behind", &[0]),
        step("after", &[3]),
    ];
    let dag = Dag {
        timeout_sec: 6,
        ..dag(steps)
    };
    let bench = Bench::new(&dag).hold(&[A, Node::Step(3)]).ends(B, &[exit(1)]);
    let bench = bench.prepared(B, limits(9, 3600.0));
    let mut bench = bench.prepared(Node::Step(2), limits(0, 3600.0));
    bench.tell(Event::Begin);
    assert_eq!(bench.letters(), "rtrr--");
    assert_eq!(bench.tick(), Some(Timer::RunTimeout));
    assert_eq!(bench.letters(), "rAAr--");
    bench.release(A, killed(9));
    bench.release(Node::Step(3), exit(0));
    // Nothing more starts: what became ready too late is aborted too.
    assert_eq!(bench.letters(), "AAASAA");
    let (status, error, _) = bench.end();
    assert_eq!(
        (status, error),
        (RunStatus::Failed, Some("run timed out after 6 s"))
    );
    assert_eq!(bench.timers.len(), 0);
}

#[test]
fn a_time_limit_before_the_first_step_fails_the_run() {
    let dag = Dag {
        timeout_sec: 60,
        ..with_handlers(dag(vec![step("a", &[])]), &[Init, Handler::Failure])
    };
    let mut bench = Bench::new(&dag).hold(&[Node::Handler(Init)]);
    bench.tell(Event::Begin);
    assert_eq!(bench.tick(), Some(Timer::RunTimeout));
    bench.release(Node::Handler(Init), killed(9));
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("-", RunStatus::Failed)
    );
    assert_eq!(
        bench.handlers().last(),
        Some(&(Handler::Failure, StepStatus::Succeeded))
    );
}
