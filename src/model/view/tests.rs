//! Records against a view.

use super::*;
use crate::model::{DagName, OomScope, OomVictim, RunCause, RunId};

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
    assert_eq!(
        apply(Fact::NodeExited {
            node,
            exit,
            cause: None
        }),
        (Some(exit), Some(3))
    );
    assert_eq!(apply(started()), (None, None));
}

fn apply_all(view: &mut RunView, facts: Vec<Fact>) {
    for (at, fact) in (1..).zip(facts) {
        view.apply(&Record {
            seq: 0,
            at: Time(at),
            fact,
        });
    }
}

fn oom(killed: u64, total: u64) -> Option<Cause> {
    Some(Cause::OutOfMemory {
        killed,
        total,
        scope: OomScope::Attempt { limit: Some(1) },
        victim: OomVictim::Own {},
    })
}

const KILLED: Exit = Exit::Signal {
    signal: 9,
    core: false,
};

fn exited(exit: Exit, cause: Option<Cause>) -> Fact {
    Fact::NodeExited {
        node: Node::Step(0),
        exit,
        cause,
    }
}

fn step_ended(status: StepStatus, cause: Option<Cause>) -> Fact {
    Fact::NodeEnded {
        node: Node::Step(0),
        status,
        exit_code: Some(1),
        error: Some(String::from("e")),
        done_count: 1,
        tolerated: false,
        cause,
    }
}

fn ended(status: RunStatus) -> Fact {
    Fact::Ended {
        status,
        error: None,
        outputs: Vec::new(),
        retry: false,
    }
}

#[test]
fn the_cause_of_a_bad_end_is_what_the_kernel_or_a_limit_did_before_it_is_the_exit() {
    let cause_of = |facts: Vec<Fact>| {
        let mut view = view();
        apply_all(&mut view, facts);
        (view.steps[0].ended_by(), view.ended_by())
    };
    let of_step = |cause| {
        let step = Some(String::from("s"));
        (Some(cause), Some(RunCause { step, cause }))
    };
    let fail = |exit, exit_cause, end_cause| {
        cause_of(vec![
            exited(exit, exit_cause),
            step_ended(StepStatus::Failed, end_cause),
            ended(RunStatus::Failed),
        ])
    };
    assert_eq!(fail(Exit::Code(3), None, None), of_step(Cause::Exit { code: 3 }));
    assert_eq!(fail(KILLED, None, None), of_step(Cause::from(KILLED)));
    assert_eq!(fail(KILLED, oom(1, 1), None), of_step(oom(1, 1).unwrap()));
    assert_eq!(
        fail(KILLED, None, Some(Cause::StepTimeout {})),
        of_step(Cause::StepTimeout {})
    );
    let mut facts = vec![
        Fact::TimedOut {},
        exited(KILLED, None),
        step_ended(StepStatus::Aborted, Some(Cause::RunTimeout {})),
        ended(RunStatus::Failed),
    ];
    let whole = |cause| Some(RunCause { step: None, cause });
    assert_eq!(
        cause_of(facts.clone()),
        (Some(Cause::RunTimeout {}), whole(Cause::RunTimeout {}))
    );
    facts[0] = Fact::StopRequested {
        reason: StopReason::User { uid: 1 },
    };
    facts[2] = step_ended(StepStatus::Aborted, Some(Cause::Stopped {}));
    facts[3] = ended(RunStatus::Aborted);
    assert_eq!(
        cause_of(facts),
        (Some(Cause::Stopped {}), whole(Cause::Stopped {}))
    );
    // What ended well has no cause, whatever was killed meanwhile.
    let well = vec![
        exited(Exit::Code(0), oom(1, 1)),
        step_ended(StepStatus::Succeeded, None),
        ended(RunStatus::Succeeded),
    ];
    assert_eq!(cause_of(well), (None, None));
    let mut lost = view();
    apply_all(
        &mut lost,
        vec![Fact::NodeStarted {
            node: Node::Step(0),
            stdout: String::new(),
            stderr: String::new(),
        }],
    );
    lost.lose(Time(9), LostCause::SupervisorGone);
    assert_eq!(lost.ended_by(), whole(Cause::Lost {}));
    assert_eq!(lost.steps[0].ended_by(), Some(Cause::Lost {}));
}

#[test]
fn a_tolerated_failure_is_not_what_failed_the_run() {
    let mut two = view();
    two.steps.push(StepView::new("t"));
    let mut first = step_ended(StepStatus::Failed, None);
    if let Fact::NodeEnded { tolerated, .. } = &mut first {
        *tolerated = true;
    }
    let mut second = step_ended(StepStatus::Failed, oom(2, 2));
    if let Fact::NodeEnded { node, .. } = &mut second {
        *node = Node::Step(1);
    }
    apply_all(&mut two, vec![first, second, ended(RunStatus::Failed)]);
    let cause = oom(2, 2).unwrap();
    let step = Some(String::from("t"));
    assert_eq!(two.ended_by(), Some(RunCause { step, cause }));
    assert_eq!(two.summary().cause, two.ended_by());
}

#[test]
fn processes_that_are_told_as_taken_are_counted_and_the_last_word_is_the_supervisors() {
    let mut view = view();
    apply_all(
        &mut view,
        vec![exited(KILLED, oom(1, 2)), exited(Exit::Code(0), oom(1, 3))],
    );
    assert_eq!(view.usage.oom_kills, Some(3));
    let usage = Usage {
        cpu_user_usec: Some(1),
        oom_kills: Some(4),
        ..Usage::UNKNOWN
    };
    apply_all(&mut view, vec![Fact::Used { usage }]);
    assert_eq!((view.usage, view.summary().usage), (usage, usage));
}
