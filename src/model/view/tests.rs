//! Records against a view.

use super::*;
use crate::model::{DagName, RunId};

fn view() -> RunView {
    let dag = DagName::new("d").unwrap();
    let group = GroupName::from(&dag);
    let id = RunId::new("r").unwrap();
    RunView {
        number: 1,
        log_dir: String::from("/logs"),
        steps: vec![StepView::new("s")],
        ..RunView::new(RunRef { dag, id }, group, 0, Trigger::Manual, Time(1))
    }
}

#[test]
fn nothing_follows_the_end() {
    let ended = |status| Fact::Ended {
        status,
        error: None,
        outputs: Vec::new(),
        retry: false,
    };
    let mut view = view();
    let apply = |view: &mut RunView, fact: Fact| {
        view.apply(&Record {
            seq: 0,
            at: Time(2),
            fact,
        })
    };
    apply(&mut view, Fact::Started { pid: 7 });
    assert_eq!((view.status, view.pid), (RunStatus::Running, Some(7)));
    apply(&mut view, ended(RunStatus::Succeeded));
    let end = view.clone();
    for fact in [
        Fact::Started { pid: 8 },
        ended(RunStatus::Running),
        ended(RunStatus::Failed),
        Fact::TimedOut {},
    ] {
        assert_eq!(apply(&mut view, fact), None);
        assert_eq!(view, end);
    }
}

#[test]
fn a_further_try_begins_without_the_exit_of_the_one_before() {
    let mut step = StepView::new("s");
    let mut apply = |fact: Fact| {
        step.apply("/l", Time(1), &fact);
        (step.exit, step.exit_code)
    };
    let node = Node::Step(0);
    let started = || Fact::NodeStarted {
        node,
        stdout: String::from("o"),
        stderr: String::from("e"),
    };
    apply(started());
    let exit = Exit::Code(3);
    assert_eq!(apply(Fact::NodeExited { node, exit }), (Some(exit), Some(3)));
    assert_eq!(apply(started()), (None, None));
}
