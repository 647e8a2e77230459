//! How tries end, are retried and repeated (7.8), and what is collected.

use super::*;

const A: Node = Node::Step(0);

#[test]
fn only_an_observed_exit_code_0_is_a_success() {
    let with = |exit, error: Option<&str>| TryEnd {
        exit,
        error: error.map(str::to_owned),
        ..TryEnd::default()
    };
    let sig = Some(Exit::Signal {
        signal: 9,
        core: false,
    });
    let table = [
        (exit(0), StepStatus::Succeeded, Some(0), None),
        (exit(7), StepStatus::Failed, Some(7), Some("exit code 7")),
        (
            with(Some(Exit::Code(7)), None),
            StepStatus::Failed,
            Some(7),
            Some("exit code 7"),
        ),
        (
            with(sig, None),
            StepStatus::Failed,
            Some(-1),
            Some("killed by SIGKILL"),
        ),
        (
            killed(15),
            StepStatus::Failed,
            Some(-1),
            Some("killed by SIGTERM: it was killed"),
        ),
        (
            with(sig, Some("command 2 was killed by SIGKILL")),
            StepStatus::Failed,
            Some(-1),
            Some("command 2 was killed by SIGKILL"),
        ),
        (
            with(None, Some("no such program")),
            StepStatus::Failed,
            None,
            Some("no such program"),
        ),
        (
            with(None, None),
            StepStatus::Failed,
            None,
            Some("no process was seen to end"),
        ),
        (
            with(Some(Exit::Code(0)), Some("output is too large")),
            StepStatus::Failed,
            Some(0),
            Some("output is too large"),
        ),
    ];
    for (end, status, code, error) in table {
        let bench = Bench::new(&dag(vec![step("a", &[])]))
            .ends(A, std::slice::from_ref(&end))
            .run();
        assert_eq!(bench.end_of(A), Some((status, code, error, 1, false)), "{end:?}");
    }
}

#[test]
fn a_text_is_cut_where_a_character_ends() {
    let end = TryEnd {
        error: Some("ä".repeat(5000)),
        ..exit(1)
    };
    let bench = Bench::new(&dag(vec![step("a", &[])])).ends(A, &[end]).run();
    assert_eq!(bench.end_of(A).and_then(|end| end.2).map(str::len), Some(8192));
}

#[test]
fn retries_follow_limit_codes_and_back_off() {
    // Codes, limit, ends; then status, executions, waits.
    type Row<'a> = (&'a [i32], u32, &'a [i32], StepStatus, usize, &'a [u64]);
    let table: &[Row] = &[
        (&[], 0, &[1], StepStatus::Failed, 1, &[]),
        (&[], 2, &[1, 1, 0], StepStatus::Succeeded, 3, &[3, 6]),
        (&[], 2, &[1, 1, 1], StepStatus::Failed, 3, &[3, 6]),
        (&[], 4, &[1, 2, 3, 4, 5], StepStatus::Failed, 5, &[3, 6, 8, 8]),
        (&[5], 2, &[1], StepStatus::Failed, 1, &[]),
        (&[5], 2, &[5, 1], StepStatus::Failed, 2, &[3]),
        (&[5], 2, &[5, 5, 0], StepStatus::Succeeded, 3, &[3, 6]),
    ];
    for (codes, limit, ends, status, executions, waits) in table {
        let ends: Vec<TryEnd> = ends.iter().map(|code| exit(*code)).collect();
        let bench = Bench::new(&dag(vec![retrying("a", codes)])).ends(A, &ends);
        let bench = bench.prepared(A, limits(*limit, 3.0)).run();
        let text = format!("{codes:?} {limit} {ends:?}");
        let end = bench.end_of(A).unwrap();
        assert_eq!((end.0, end.3), (*status, 1), "{text}");
        assert_eq!(
            bench.count(|effect| matches!(effect, Effect::Execute(_))),
            *executions,
            "{text}"
        );
        assert_eq!(bench.waits(), *waits, "{text}");
        assert_eq!(
            bench.count(|effect| matches!(effect, Effect::Prepare(_))),
            1,
            "{text}"
        );
    }
}

#[test]
fn a_retry_is_recorded_with_its_count_and_time() {
    let bench = Bench::new(&dag(vec![retrying("a", &[])])).ends(A, &[exit(6)]);
    let bench = bench.prepared(A, limits(1, 2.5)).run();
    let retrying = Fact::NodeRetrying {
        node: A,
        retry_count: 1,
        until: Time(2_500_000),
        error: "exit code 6".to_owned(),
        exit_code: Some(6),
    };
    assert_eq!(bench.facts().first(), Some(&&retrying));
    assert_eq!(bench.end().0, RunStatus::Succeeded);
}

#[test]
fn a_spawn_failure_counts_as_code_1_for_the_lists() {
    let gone = TryEnd {
        error: Some("no such program".to_owned()),
        ..TryEnd::default()
    };
    for (codes, executions) in [(&[1], 2), (&[2], 1)] {
        let bench = Bench::new(&dag(vec![retrying("a", codes)])).ends(A, std::slice::from_ref(&gone));
        let bench = bench.prepared(A, limits(1, 0.0)).run();
        assert_eq!(
            bench.count(|effect| matches!(effect, Effect::Execute(_))),
            executions
        );
    }
}

#[test]
fn mark_success_forgives_a_tolerated_failure_but_not_a_timeout_or_an_unlisted_code() {
    let marked = |codes: &[i32]| {
        let mut step = retrying("a", codes);
        step.continue_on.failure = true;
        step.continue_on.mark_success = true;
        step.timeout_sec = 10;
        step
    };
    for (codes, limit, status) in [
        (&[][..], 0, RunStatus::Succeeded),
        (&[], 1, RunStatus::Succeeded),
        // A retry was left, and the code is not one that is retried.
        (&[5], 1, RunStatus::Failed),
    ] {
        let bench = Bench::new(&dag(vec![marked(codes)])).ends(A, &[exit(1), exit(1)]);
        let bench = bench.prepared(A, limits(limit, 0.0)).run();
        assert_eq!(bench.end().0, status, "{codes:?} {limit}");
    }
    let mut bench = Bench::new(&dag(vec![marked(&[])])).hold(&[A]);
    bench.tell(Event::Begin);
    assert!(matches!(bench.tick(), Some(Timer::TryTimeout(_))));
    bench.release(A, killed(9));
    assert_eq!(
        bench.end_of(A),
        Some((
            StepStatus::Failed,
            Some(124),
            Some("step timed out after 10 s"),
            1,
            true
        ))
    );
}

#[test]
fn a_step_timeout_kills_and_is_never_retried() {
    let mut slow = retrying("a", &[]);
    slow.timeout_sec = 4;
    let dag = dag(vec![slow, step("b", &[0])]);
    let mut bench = Bench::new(&dag).hold(&[A]).prepared(A, limits(5, 0.0));
    bench.tell(Event::Begin);
    assert!(matches!(bench.tick(), Some(Timer::TryTimeout(_))));
    assert_eq!(bench.now.boot, Boot(4_000_000));
    assert_eq!(bench.count(|effect| matches!(effect, Effect::Kill(_))), 1);
    assert_eq!(bench.letters(), "r-");
    bench.release(A, killed(9));
    assert_eq!(
        bench.end_of(A),
        Some((
            StepStatus::Failed,
            Some(124),
            Some("step timed out after 4 s"),
            1,
            false
        ))
    );
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("FA", RunStatus::Failed)
    );

    // What ended well before the kill reached it ended well.
    let mut bench = Bench::new(&dag).hold(&[A]);
    bench.tell(Event::Begin);
    bench.tick();
    bench.release(A, exit(0));
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("SS", RunStatus::Succeeded)
    );
}

#[test]
fn each_try_has_the_whole_time_limit() {
    let mut slow = retrying("a", &[]);
    slow.timeout_sec = 4;
    let mut bench = Bench::new(&dag(vec![slow]))
        .hold(&[A])
        .prepared(A, limits(1, 3.0));
    bench.tell(Event::Begin);
    bench.release(A, exit(1));
    // The time limit of the first try is disarmed, so only the next try is due.
    assert!(matches!(bench.tick(), Some(Timer::NextTry(_))));
    assert!(matches!(bench.tick(), Some(Timer::TryTimeout(_))));
    assert_eq!(bench.now.boot, Boot(7_000_000));
}

#[test]
fn a_repeating_step_counts_its_executions() {
    use RepeatMode::{Until, While};
    // Mode, codes, condition, limit, ends, checks; then status, executions.
    type Row<'a> = (
        RepeatMode,
        &'a [i32],
        u32,
        &'a [i32],
        &'a [Result<bool, ()>],
        StepStatus,
        u32,
    );
    let (yes, no, bad) = (Ok(true), Ok(false), Err(()));
    let table: &[Row] = &[
        (While, &[], 3, &[0, 0, 0], &[], StepStatus::Succeeded, 3),
        (While, &[], 0, &[0, 0, 1], &[], StepStatus::Failed, 3),
        (While, &[1], 5, &[1, 1, 0], &[], StepStatus::Succeeded, 3),
        (While, &[1], 2, &[1, 1], &[], StepStatus::Failed, 2),
        (While, &[], 0, &[0, 0], &[yes, no], StepStatus::Succeeded, 2),
        (While, &[], 0, &[0, 0], &[yes, bad], StepStatus::Succeeded, 2),
        (While, &[], 0, &[1, 0], &[yes, no], StepStatus::Succeeded, 2),
        (
            Until,
            &[],
            0,
            &[0, 0, 0],
            &[no, bad, yes],
            StepStatus::Succeeded,
            3,
        ),
        (Until, &[], 0, &[0, 1], &[no, yes], StepStatus::Failed, 2),
        (Until, &[], 0, &[1, 1, 0], &[], StepStatus::Succeeded, 3),
        (Until, &[0], 0, &[1, 1, 0], &[], StepStatus::Succeeded, 3),
    ];
    for (mode, codes, limit, ends, checks, status, executions) in table {
        let ends: Vec<TryEnd> = ends.iter().map(|code| exit(*code)).collect();
        let mut bench =
            Bench::new(&dag(vec![repeating("a", *mode, codes, !checks.is_empty())])).ends(A, &ends);
        bench.checks = checks
            .iter()
            .map(|check| check.map_err(|()| "bad".to_owned()))
            .collect();
        let numbers = Prepared {
            repeat_limit: *limit,
            repeat_interval: 2.0,
            ..Prepared::default()
        };
        let bench = bench.prepared(A, Ok(numbers)).run();
        let end = bench.end_of(A).unwrap();
        let text = format!("{mode:?} {codes:?} {limit} {ends:?} {checks:?}");
        assert_eq!((end.0, end.3), (*status, *executions), "{text}");
        assert_eq!(
            bench.waits().len(),
            usize::try_from(*executions).unwrap() - 1,
            "{text}"
        );
        // An execution that failed and was repeated leaves no error behind.
        let run = if *status == StepStatus::Succeeded {
            RunStatus::Succeeded
        } else {
            RunStatus::Failed
        };
        assert_eq!(bench.end().0, run, "{text}");
    }
}

#[test]
fn outputs_are_collected_in_order_and_the_last_one_counts() {
    let mut steps: Vec<Step> = (0..6).map(|_| step("s", &[])).collect();
    let outputs = [
        output("TWO_WORDS", None, false),
        output("ALREADY_CAMEL_Case", Some("given"), false),
        output("SECRET", None, true),
        output("RESULT", None, false),
        None,
        output("two_words", None, false),
    ];
    for (step, output) in steps.iter_mut().zip(outputs) {
        step.output = output;
    }
    let mut bench = Bench::new(&dag(steps));
    for node in 0..6 {
        bench = bench.ends(Node::Step(node), &[captured(exit(0), &format!("v{node}"))]);
    }
    let bench = bench.run();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        bench.end().2,
        [pair("twoWords", "v5"), pair("given", "v1"), pair("result", "v3")]
    );
}

#[test]
fn the_output_of_the_last_try_is_the_steps() {
    let mut step = retrying("a", &[]);
    step.output = output("RESULT", None, false);
    let ends = [captured(exit(1), "one"), captured(exit(1), "two"), exit(1)];
    let bench = Bench::new(&dag(vec![step]))
        .ends(A, &ends)
        .prepared(A, limits(2, 0.0))
        .run();
    // The last try got too little far to have one.
    assert_eq!(bench.end().2, [("result".to_owned(), "two".to_owned())]);
}

#[test]
fn answers_to_older_questions_are_ignored() {
    let mut bench = Bench::new(&dag(vec![retrying("a", &[])]))
        .hold(&[A])
        .prepared(A, limits(1, 5.0));
    bench.tell(Event::Begin);
    let first = bench.held[&A];
    bench.release(A, exit(1));
    let Some(Timer::NextTry(wait)) = bench.tick() else {
        panic!("it does not wait");
    };
    let count = bench.effects.len();
    for event in [
        Event::TryEnded(first, exit(0)),
        Event::Prepared(first, Ok(Prepared::default())),
        Event::RepeatChecked(first, Ok(true)),
        Event::Timer(Timer::NextTry(wait)),
        Event::Timer(Timer::TryTimeout(first)),
        Event::Initialised(Err("late".to_owned())),
        Event::TreeEmpty,
        Event::Begin,
        Event::TryEnded(
            NodeKey {
                node: Node::Step(9),
                serial: 1,
            },
            exit(0),
        ),
        Event::TryEnded(
            NodeKey {
                node: Node::Handler(Handler::Abort),
                serial: 1,
            },
            exit(0),
        ),
    ] {
        bench.tell(event);
    }
    assert_eq!((bench.effects.len(), bench.letters().as_str()), (count, "r"));
    bench.release(A, exit(0));
    assert_eq!(bench.end().0, RunStatus::Succeeded);
}
