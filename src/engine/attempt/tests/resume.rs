//! The retry of a run (7.13, W23).

use super::*;
use crate::model::view::StepView;

pub(super) fn view(name: &str, letter: char) -> StepView {
    let status = match letter {
        'S' => StepStatus::Succeeded,
        'K' => StepStatus::Skipped,
        'P' => StepStatus::PartiallySucceeded,
        'F' => StepStatus::Failed,
        'A' => StepStatus::Aborted,
        'R' => StepStatus::Rejected,
        'r' => StepStatus::Running,
        't' => StepStatus::Retrying,
        'w' => StepStatus::Waiting,
        _ => StepStatus::NotStarted,
    };
    StepView {
        status,
        retry_count: 3,
        variables: vec![("OUT".to_owned(), format!("old {name}"))],
        ..StepView::new(name)
    }
}

/// One letter per step: `k` kept, `x` executed again.
fn plan(dag: &Dag, letters: &str) -> (String, Resume) {
    let views = dag.steps.iter().zip(letters.chars());
    let resume = Resume {
        steps: views.map(|(step, letter)| view(&step.name, letter)).collect(),
    };
    let carried = carry_over(dag, Some(&resume));
    let letter = |(new, old): (&StepView, &StepView)| if new == old { 'k' } else { 'x' };
    for (new, step) in carried.iter().zip(&dag.steps) {
        assert!(resume.steps.contains(new) || *new == StepView::new(&step.name));
    }
    (carried.iter().zip(&resume.steps).map(letter).collect(), resume)
}

#[test]
fn what_did_not_end_well_and_all_behind_it_runs_again() {
    // 0 -> 1 -> 3, 0 -> 2 -> 3, 4 alone.
    let steps = [
        ("a", &[][..]),
        ("b", &[0]),
        ("c", &[0]),
        ("d", &[1, 2]),
        ("e", &[]),
    ];
    let dag = dag(steps.iter().map(|(name, depends)| step(name, depends)).collect());
    for (before, again) in [
        ("SSSSS", "kkkkk"),
        ("SSSSF", "kkkkx"),
        ("SFSAS", "kxkxk"),
        ("SSKSP", "kkkkk"),
        ("FSSSS", "xxxxk"),
        ("SrS-S", "kxkxk"),
        ("StSSA", "kxkxx"),
        ("-----", "xxxxx"),
    ] {
        let (got, resume) = plan(&dag, before);
        assert_eq!(got, again, "{before}");
        let bench = Bench::of(Attempt::new(&dag, Some(&resume))).run();
        let executed = bench.count(|effect| matches!(effect, Effect::Execute(_)));
        assert_eq!(executed, again.matches('x').count(), "{before}");
        let success = matches!(
            bench.end().0,
            RunStatus::Succeeded | RunStatus::PartiallySucceeded
        );
        assert!(success, "{before}: {:?}", bench.end());
    }
}

#[test]
fn kept_steps_keep_their_outputs_and_satisfy_or_skip() {
    let mut steps = vec![step("a", &[]), step("b", &[]), step("c", &[0]), step("d", &[1])];
    for (step, key) in steps.iter_mut().zip(["a", "b", "c", "d"]) {
        step.output = output("OUT", Some(key), false);
    }
    steps[1].continue_on.skipped = true;
    let dag = dag(steps);
    let (kept, mut resume) = plan(&dag, "SKFF");
    assert_eq!(kept, "kkxx");
    resume.steps[1].variables.clear();
    let bench = Bench::of(Attempt::new(&dag, Some(&resume)));
    let bench = bench.ends(Node::Step(2), &[captured(exit(0), "new c")]).run();
    assert_eq!(bench.letters(), "SKSS");
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(bench.end().2, [pair("a", "old a"), pair("c", "new c")]);
}

#[test]
fn views_that_do_not_fit_the_dag_run_again() {
    let dag = dag(vec![step("a", &[]), step("b", &[])]);
    let resume = Resume {
        steps: vec![view("other", 'S')],
    };
    let fresh: Vec<StepView> = ["a", "b"].map(StepView::new).into();
    assert_eq!(carry_over(&dag, Some(&resume)), fresh);
    assert_eq!(carry_over(&dag, None), fresh);
}

#[test]
fn layers_that_all_depend_on_each_other_are_visited_once() {
    // 60 layers of 20: a walk along every path would never end.
    let layer = |n: u32| -> Vec<u32> {
        if n == 0 {
            vec![]
        } else {
            ((n - 1) * 20..n * 20).collect()
        }
    };
    let steps = (0..60)
        .flat_map(|n| (0..20).map(move |_| step("s", &layer(n))))
        .collect();
    let dag = dag(steps);
    let (kept, _) = plan(&dag, &format!("F{}", "S".repeat(1199)));
    assert_eq!(kept.matches('x').count(), 1181);
}
