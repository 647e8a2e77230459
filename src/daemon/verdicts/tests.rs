//! What is granted of a wish, and what is said if nothing is.

use std::convert::Infallible;

use super::*;
use crate::daemon::decisions::{resume_steps, resumed_run};
use crate::dag::types::{Action, Step};
use crate::model::change::Caller;
use crate::model::view::ChildView;
use crate::model::{DagName, GroupName, RunId, RunRef, Time, Trigger};

fn run(dag: &str) -> RunRef {
    RunRef {
        dag: DagName::new(dag).unwrap(),
        id: RunId::new("r1").unwrap(),
    }
}

/// A DAG of steps that need approval, and a run of it: `w` waits, `s` succeeded, `c` waits for a sub-run, `R` rejected.
fn waiting(letters: &str) -> (Dag, RunView) {
    let mut dag = Dag::new(DagName::new("d").unwrap());
    let mut steps = Vec::new();
    for (at, letter) in letters.chars().enumerate() {
        let mut step = Step::new(format!("s{at}"), Action::Nothing);
        step.approval = Some(Approval {
            prompt: String::new(),
            input: vec!["WHO".to_owned(), "WHY".to_owned()],
            required: vec!["WHO".to_owned()],
        });
        let mut view = StepView::new(&step.name);
        view.status = match letter {
            's' => StepStatus::Succeeded,
            'R' => StepStatus::Rejected,
            _ => StepStatus::Waiting,
        };
        if letter == 'c' {
            step.approval = None;
            view.children.push(ChildView {
                run: run("sub"),
                params: String::new(),
                status: RunStatus::Waiting,
            });
        }
        dag.steps.push(step);
        steps.push(view);
    }
    let group = GroupName::from(&dag.name);
    let view = RunView {
        number: 1,
        status: RunStatus::Waiting,
        steps,
        ..RunView::new(run("d"), group, 7, Trigger::Manual, Time(0))
    };
    (dag, view)
}

fn pick(letters: &str, step: Option<&str>, word: Word) -> Result<usize, (ErrorKind, String)> {
    let (dag, view) = waiting(letters);
    let wish = Wish {
        step: step.map(str::to_owned),
        word,
    };
    let nothing = |_: &RunRef| Ok::<_, Infallible>(None);
    let below = wish.below(&view, nothing).unwrap();
    wish.pick(&dag, &view, &below).map_err(|refused| {
        let hint = refused.hint.map(|hint| format!(" ({hint})"));
        (
            refused.kind,
            format!("{}{}", refused.message, hint.unwrap_or_default()),
        )
    })
}

fn approve(inputs: &[(&str, &str)]) -> Word {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Word::Approve(inputs.iter().map(pair).collect())
}

#[test]
fn the_step_that_waits_is_found_by_name_or_because_it_is_the_only_one() {
    let no = || Word::Reject(None);
    assert_eq!(pick("sws", None, no()), Ok(1));
    assert_eq!(pick("scw", None, no()), Ok(2));
    assert_eq!(pick("ww", Some("s1"), no()), Ok(1));
    let several = "several steps of run d:r1 wait: s0, s2 (name one of them with --step)";
    assert_eq!(
        pick("wsw", None, no()),
        Err((ErrorKind::Invalid, several.to_owned()))
    );
    let unknown = "run d:r1 has no step x (these steps of it wait: s0)";
    assert_eq!(
        pick("ws", Some("x"), no()),
        Err((ErrorKind::NotFound, unknown.to_owned()))
    );
    let decided =
        "step s1 of run d:r1 is succeeded: it does not wait for approval (these steps of it wait: s0)";
    assert_eq!(
        pick("ws", Some("s1"), no()),
        Err((ErrorKind::WrongState, decided.to_owned()))
    );
}

#[test]
fn what_a_sub_run_waits_for_is_decided_there() {
    let below = "step s1 of run d:r1 waits for its sub-runs (decide there: sub:r1)";
    for step in [None, Some("s1")] {
        let answer = pick("sc", step, Word::Reject(None));
        assert_eq!(answer, Err((ErrorKind::WrongState, below.to_owned())));
    }
}

#[test]
fn only_inputs_that_are_asked_for_are_taken_and_required_ones_must_be_there() {
    let refused = |inputs: &[(&str, &str)]| pick("w", None, approve(inputs)).unwrap_err().1;
    assert_eq!(pick("w", None, approve(&[("WHO", "me")])), Ok(0));
    assert_eq!(pick("w", None, approve(&[("WHY", ""), ("WHO", "")])), Ok(0));
    assert_eq!(
        refused(&[]),
        "step s0 requires the input WHO (give it with --input WHO=VALUE)"
    );
    assert_eq!(
        refused(&[("WHO", "me"), ("WHEN", "now")]),
        "step s0 does not ask for an input WHEN (it asks for WHO, WHY)"
    );
    assert_eq!(
        refused(&[("WHO", "me"), ("WHO", "you")]),
        "the input WHO is given twice"
    );
    let long = "x".repeat(TEXT_MAX + 1);
    assert_eq!(
        refused(&[("WHO", &long)]),
        "the input WHO has 8193 bytes; at most 8192 are allowed"
    );
    assert_eq!(pick("w", None, approve(&[("WHO", &"x".repeat(TEXT_MAX))])), Ok(0));
    let reason = pick("w", None, Word::Reject(Some(long)));
    assert_eq!(
        reason.unwrap_err().1,
        "the reason has 8193 bytes; at most 8192 are allowed"
    );
}

#[test]
fn a_run_that_is_not_waiting_is_told_with_what_can_be_done() {
    let (_, mut view) = waiting("s");
    view.status = RunStatus::Running;
    let Response::Error { message, hint, .. } = Refused::not_waiting(&view).into() else {
        panic!("no refusal");
    };
    assert_eq!(message, "run d:r1 is running: it does not wait for a decision");
    assert!(hint.unwrap().contains("proctorctl wait d:r1"));
}

#[test]
fn the_root_of_the_tree_goes_on_for_a_decision_in_a_sub_run() {
    let (_, mut view) = waiting("w");
    assert_eq!(*resumed_run(&view), run("d"));
    view.parent = Some(Caller {
        run: run("middle"),
        attempt: 1,
        step: "s".to_owned(),
        root: run("root"),
        depth: 2,
    });
    assert_eq!(*resumed_run(&view), run("root"));
}

#[test]
fn a_rejection_is_carried_out_once_and_then_tried_again_like_a_failure() {
    let (_, view) = waiting("sRw");
    assert_eq!(resume_steps(view.clone()), view.steps);
    let ended = RunView {
        status: RunStatus::Rejected,
        ..view.clone()
    };
    let steps = resume_steps(ended);
    assert_eq!(steps[1], StepView::new("s1"));
    assert_eq!((&steps[0], &steps[2]), (&view.steps[0], &view.steps[2]));
}
