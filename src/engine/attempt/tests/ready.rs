//! Which steps start, in which order, and what becomes of those that do not (7.5, 7.6).

use super::*;

/// Runs step 0 to an end and says what becomes of step 1, which depends on it.
fn dependant_of(first: &Step, end: &TryEnd, prepared: Result<Prepared, String>) -> String {
    let dag = dag(vec![first.clone(), step("b", &[0])]);
    let bench = Bench::new(&dag).ends(Node::Step(0), std::slice::from_ref(end));
    bench.prepared(Node::Step(0), prepared).run().letters()
}

#[test]
fn a_dependency_decides_as_the_table_of_7_6_says() {
    let plain = step("a", &[]);
    let with = |change: fn(&mut ContinueOn)| {
        let mut step = step("a", &[]);
        change(&mut step.continue_on);
        step
    };
    let failure = with(|on| on.failure = true);
    let code = with(|on| on.exit_code = vec![3, 4]);
    let output = with(|on| on.output = vec!["x".to_owned()]);
    let skipped = with(|on| on.skipped = true);
    let marked = with(|on| {
        on.exit_code = vec![3];
        on.mark_success = true;
    });
    let matched = TryEnd {
        output_matched: true,
        ..exit(1)
    };
    let ok = || Ok(Prepared::default());
    let table = [
        (&plain, exit(0), ok(), "SS"),
        (&plain, exit(1), ok(), "FA"),
        (&plain, exit(0), unmet(), "KK"),
        (&plain, exit(0), Err("bad number".to_owned()), "FA"),
        (&failure, exit(1), ok(), "FS"),
        (&failure, exit(0), unmet(), "KK"),
        (&failure, exit(0), Err("bad number".to_owned()), "FS"),
        (&code, exit(4), ok(), "FS"),
        (&code, exit(5), ok(), "FA"),
        (&code, exit(0), unmet(), "KK"),
        (&output, matched, ok(), "FS"),
        (&output, exit(1), ok(), "FA"),
        (&skipped, exit(0), unmet(), "KS"),
        (&skipped, exit(1), ok(), "FA"),
        (&marked, exit(3), ok(), "SS"),
        (&marked, exit(4), ok(), "FA"),
        (&marked, exit(0), Err("bad number".to_owned()), "FA"),
    ];
    for (first, end, prepared, letters) in table {
        let text = format!("{:?} {end:?} {prepared:?}", first.continue_on);
        assert_eq!(dependant_of(first, &end, prepared), letters, "{text}");
    }
}

#[test]
fn the_first_dependency_that_does_not_satisfy_decides() {
    for (depends, letter, why) in [
        (&[0, 1, 2][..], 'A', "upstream failed"),
        (&[2, 1, 0], 'K', "upstream skipped"),
        (&[3, 1], 'A', "upstream aborted"),
        (&[2, 3], 'S', ""),
    ] {
        let mut steps = vec![step("fails", &[]), step("skips", &[]), step("well", &[])];
        steps.push(step("after", if letter == 'S' { &[2] } else { &[0] }));
        steps.push(step("last", depends));
        let bench = Bench::new(&dag(steps)).ends(Node::Step(0), &[exit(1)]);
        let bench = bench.prepared(Node::Step(1), unmet()).run();
        assert!(
            bench.letters().ends_with(letter),
            "{depends:?}: {}",
            bench.letters()
        );
        let error = bench.end_of(Node::Step(4)).and_then(|end| end.2);
        assert_eq!(error.unwrap_or_default(), why);
    }
}

#[test]
fn a_failure_ends_everything_behind_it_and_nothing_beside_it() {
    let steps = [(&[][..]), &[], &[0], &[2], &[1], &[3, 4], &[4]];
    let steps = steps.iter().map(|depends| step("s", depends)).collect();
    let bench = Bench::new(&dag(steps)).ends(Node::Step(0), &[exit(2)]).run();
    assert_eq!(bench.letters(), "FSAASAS");
    assert_eq!(bench.end().0, RunStatus::Failed);
    assert_eq!(
        bench.end_of(Node::Step(0)),
        Some((StepStatus::Failed, Some(2), Some("exit code 2"), 1, false))
    );
    assert_eq!(
        bench.end_of(Node::Step(3)),
        Some((StepStatus::Aborted, None, Some("upstream aborted"), 0, false))
    );
}

#[test]
fn at_most_max_active_steps_run_and_in_order_of_definition() {
    for limit in [1, 2, 5] {
        let dag = Dag {
            max_active_steps: limit,
            ..dag((0..5).map(|_| step("s", &[])).collect())
        };
        let nodes: Vec<Node> = (0..5).map(Node::Step).collect();
        let mut bench = Bench::new(&dag).hold(&nodes);
        bench.tell(Event::Begin);
        for node in 0..5 {
            let running = "r".repeat(usize::try_from(limit.min(5 - node)).unwrap());
            let waiting = (5 - node).saturating_sub(limit);
            let rest = format!("{running}{}", "-".repeat(usize::try_from(waiting).unwrap()));
            assert!(bench.letters().ends_with(&rest), "{} {rest}", bench.letters());
            bench.release(Node::Step(node), exit(0));
        }
        assert_eq!(bench.end().0, RunStatus::Succeeded);
    }
}

#[test]
fn the_pause_lasts_after_every_start() {
    let dag = Dag {
        delay_sec: 3,
        ..dag((0..3).map(|_| step("s", &[])).collect())
    };
    let mut bench = Bench::new(&dag);
    bench.tell(Event::Begin);
    assert_eq!(bench.letters(), "S--");
    assert_eq!(bench.tick(), Some(Timer::StartDelay));
    assert_eq!(
        (bench.letters().as_str(), bench.now.boot),
        ("SS-", Boot(3_000_000))
    );
    assert_eq!(bench.tick(), Some(Timer::StartDelay));
    // Nothing starts any more, so nobody waits.
    assert_eq!(
        (bench.end().0, bench.now.boot),
        (RunStatus::Succeeded, Boot(6_000_000))
    );
    assert_eq!(bench.timers.len(), 0);
}

#[test]
fn an_empty_dag_ends_at_once() {
    let bench = Bench::new(&dag(vec![])).run();
    assert_eq!(bench.end(), (RunStatus::Succeeded, None, &[][..]));
    assert_eq!(bench.effects.last(), Some(&Effect::Leave));
}

#[test]
fn steps_that_wait_for_each_other_end_the_run_as_failed() {
    // The loader refuses such a DAG; one that comes from a damaged snapshot must not hang.
    let bench = Bench::new(&dag(vec![
        step("a", &[1]),
        step("b", &[0]),
        step("c", &[9]),
        step("d", &[]),
    ]))
    .run();
    assert_eq!(bench.letters(), "---S");
    let (status, error, _) = bench.end();
    assert_eq!(status, RunStatus::Failed);
    assert_eq!(error, Some("deadlock: 3 steps wait for steps that never end"));
}

#[test]
fn ten_thousand_steps_cost_a_fixed_number_of_effects_each() {
    let count = 10_000_u32;
    let chain = (0..count)
        .map(|n| step("s", &if n == 0 { vec![] } else { vec![n - 1] }))
        .collect();
    let mut wide: Vec<Step> = (0..count).map(|_| step("s", &[])).collect();
    let all: Vec<u32> = (0..count).collect();
    wide.push(step("last", &all));
    for steps in [chain, wide] {
        let dag = dag(steps);
        let bench = Bench::new(&dag).run();
        assert_eq!(bench.end().0, RunStatus::Succeeded);
        assert_eq!(bench.effects.len(), dag.steps.len() * 3 + 4);
        // A failure of the first one settles all behind it in one go.
        let bench = Bench::new(&dag).ends(Node::Step(0), &[exit(1)]).run();
        assert_eq!(bench.letters().matches('F').count(), 1);
        assert!(bench.letters().ends_with('A'));
    }
}
