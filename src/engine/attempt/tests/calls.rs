//! Calls whose sub-runs wait for a person, or were rejected by one.

use super::approval::{executed, gated, resume};
use super::*;
use crate::dag::types::Call;
use crate::model::RunId;
use crate::model::view::{ChildView, StepView};

pub(super) fn calling(name: &str, depends: &[u32]) -> Step {
    let call = Call {
        target: "sub".to_owned(),
        params: Vec::new(),
        parallel: None,
    };
    Step {
        action: Action::Call(Box::new(call)),
        ..step(name, depends)
    }
}

fn verdict(status: StepStatus) -> TryEnd {
    TryEnd {
        verdict: Some(status),
        ..TryEnd::default()
    }
}

#[test]
fn a_call_whose_sub_run_waits_asks_for_it_again() {
    let dag = dag(vec![calling("a", &[]), step("b", &[0])]);
    let bench = Bench::new(&dag)
        .ends(Node::Step(0), &[verdict(StepStatus::Waiting)])
        .run();
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("w-", RunStatus::Waiting)
    );
    let text = "waits for its sub-runs, which wait for approval";
    assert_eq!(
        bench.end_of(Node::Step(0)),
        Some((StepStatus::Waiting, None, Some(text), 0, false))
    );
    let bench = Bench::of(Attempt::new(&dag, Some(&resume(&dag, "w-")))).run();
    assert_eq!((bench.letters().as_str(), executed(&bench).len()), ("SS", 2));
}

#[test]
fn a_call_with_an_approval_of_its_own_is_asked_again_only_for_its_sub_runs() {
    let mut dag = dag(vec![calling("a", &[]), step("b", &[0])]);
    dag.steps[0].approval = gated("a", &[]).approval;
    let bench = Bench::new(&dag)
        .ends(Node::Step(0), &[verdict(StepStatus::PartiallySucceeded)])
        .run();
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("w-", RunStatus::Waiting)
    );
    let mut before = resume(&dag, "w-");
    let child = |status| ChildView {
        run: crate::model::RunRef {
            dag: DagName::new("sub").unwrap(),
            id: RunId::new("r1").unwrap(),
        },
        params: String::new(),
        status,
    };
    before.steps[0].children = vec![child(RunStatus::Succeeded)];
    assert_eq!(carry_over(&dag, Some(&before))[0], before.steps[0]);
    before.steps[0].children.push(child(RunStatus::Waiting));
    assert_eq!(carry_over(&dag, Some(&before))[0], StepView::new("a"));
}

#[test]
fn a_sub_run_that_was_rejected_rejects_its_step_without_retry_or_repeat() {
    let mut dag = with_handlers(dag(vec![calling("a", &[]), step("b", &[0])]), &[Handler::Failure]);
    dag.steps[0].retry = retrying("a", &[]).retry;
    dag.steps[0].repeat = repeating("a", RepeatMode::While, &[], false).repeat;
    for status in [StepStatus::Rejected, StepStatus::Waiting] {
        let end = TryEnd {
            error: Some("sub:r1 is not approved".to_owned()),
            ..verdict(status)
        };
        let bench = Bench::new(&dag).prepared(Node::Step(0), limits(5, 1.0));
        let bench = bench.ends(Node::Step(0), &[end]).run();
        assert_eq!(
            executed(&bench)
                .iter()
                .filter(|node| **node == Node::Step(0))
                .count(),
            1
        );
        let error = bench.end_of(Node::Step(0)).unwrap().2;
        assert_eq!(error, Some("sub:r1 is not approved"));
        if status == StepStatus::Rejected {
            assert_eq!(
                (bench.letters().as_str(), bench.end().0),
                ("RA", RunStatus::Rejected)
            );
            assert_eq!(bench.end().1, error);
            assert_eq!(bench.handlers(), [(Handler::Failure, StepStatus::Succeeded)]);
        } else {
            assert_eq!(
                (bench.letters().as_str(), bench.end().0),
                ("w-", RunStatus::Waiting)
            );
        }
    }
}

#[test]
fn a_time_limit_does_not_make_a_waiting_sub_run_a_success() {
    let mut dag = dag(vec![calling("a", &[]), gated("b", &[])]);
    dag.timeout_sec = 3;
    let mut bench = Bench::new(&dag).hold(&[Node::Step(0)]);
    bench.tell(Event::Begin);
    assert_eq!(bench.tick(), Some(Timer::RunTimeout));
    bench.release(Node::Step(0), verdict(StepStatus::Waiting));
    assert_eq!(bench.letters(), "Aw");
    assert_eq!(
        bench.end().0,
        RunStatus::Waiting,
        "rule 6 of 3.4 comes before errors"
    );
}
