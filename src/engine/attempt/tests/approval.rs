//! Approval: steps that wait, runs that end waiting, and what a decision makes of the next attempt (7.18).

use super::calls::calling;
use super::resume::view;
use super::*;
use crate::dag::types::Approval;
use crate::model::view::StepView;

pub(super) fn gated(name: &str, depends: &[u32]) -> Step {
    Step {
        approval: Some(Approval {
            prompt: "ship it?".to_owned(),
            ..Approval::default()
        }),
        ..step(name, depends)
    }
}

pub(super) fn executed(bench: &Bench) -> Vec<Node> {
    let node = |effect: &Effect| match effect {
        Effect::Execute(key) => Some(key.node),
        _ => None,
    };
    bench.effects.iter().filter_map(node).collect()
}

pub(super) fn resume(dag: &Dag, letters: &str) -> Resume {
    let views = dag.steps.iter().zip(letters.chars());
    Resume {
        steps: views.map(|(step, letter)| view(&step.name, letter)).collect(),
    }
}

/// 0 needs approval, 1 comes after it, 2 and 3 are another branch.
fn two_branches() -> Dag {
    let steps = vec![gated("a", &[]), step("b", &[0]), step("c", &[]), step("d", &[2])];
    with_handlers(dag(steps), &Handler::ALL)
}

#[test]
fn a_step_that_needs_approval_waits_and_the_rest_goes_on() {
    let bench = Bench::new(&two_branches()).run();
    assert_eq!(bench.letters(), "w-SS");
    assert_eq!(bench.end(), (RunStatus::Waiting, None, &[][..]));
    let waits = (
        StepStatus::Waiting,
        Some(0),
        Some("waits for approval: ship it?"),
        1,
        false,
    );
    assert_eq!(bench.end_of(Node::Step(0)), Some(waits));
    assert_eq!(
        bench.handlers(),
        [
            (Handler::Init, StepStatus::Succeeded),
            (Handler::Wait, StepStatus::Succeeded)
        ]
    );
    let mut without = two_branches();
    without.steps[0].approval = Some(Approval::default());
    let bench = Bench::new(&without).run();
    assert_eq!(bench.end_of(Node::Step(0)).unwrap().2, Some("waits for approval"));
}

#[test]
fn a_failure_needs_no_approval_and_a_forgiven_one_does() {
    let mut dag = two_branches();
    let bench = Bench::new(&dag).ends(Node::Step(0), &[exit(3)]).run();
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("FASS", RunStatus::Failed)
    );
    dag.steps[0].continue_on.failure = true;
    dag.steps[0].continue_on.mark_success = true;
    let bench = Bench::new(&dag).ends(Node::Step(0), &[exit(3)]).run();
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("w-SS", RunStatus::Waiting)
    );
    assert_eq!(bench.end_of(Node::Step(0)).unwrap().1, Some(3));
}

#[test]
fn a_failure_elsewhere_and_a_failed_wait_handler_leave_it_waiting() {
    let dag = two_branches();
    let bench = Bench::new(&dag).ends(Node::Step(2), &[exit(1)]).run();
    assert_eq!(bench.letters(), "w-FA");
    assert_eq!(bench.end(), (RunStatus::Waiting, Some("exit code 1"), &[][..]));
    let bench = Bench::new(&dag)
        .ends(Node::Handler(Handler::Wait), &[exit(9)])
        .run();
    assert_eq!(bench.end(), (RunStatus::Waiting, None, &[][..]));
    assert_eq!(bench.handlers()[1], (Handler::Wait, StepStatus::Failed));
}

#[test]
fn a_retry_and_a_repeat_come_before_the_waiting() {
    let mut dag = dag(vec![gated("a", &[])]);
    dag.steps[0].retry = retrying("a", &[]).retry;
    let bench = Bench::new(&dag).prepared(Node::Step(0), limits(2, 1.0));
    let bench = bench.ends(Node::Step(0), &[exit(1), exit(1), exit(0)]).run();
    assert_eq!((bench.letters().as_str(), executed(&bench).len()), ("w", 3));
    dag.steps[0].retry = None;
    dag.steps[0].repeat = repeating("a", RepeatMode::Until, &[7], false).repeat;
    dag.steps[0].continue_on.exit_code = vec![7];
    dag.steps[0].continue_on.mark_success = true;
    let bench = Bench::new(&dag)
        .ends(Node::Step(0), &[exit(0), exit(0), exit(7)])
        .run();
    assert_eq!((bench.letters().as_str(), executed(&bench).len()), ("w", 3));
}

#[test]
fn an_approved_step_lets_what_depends_on_it_start_and_is_not_executed_again() {
    let dag = two_branches();
    let bench = Bench::of(Attempt::new(&dag, Some(&resume(&dag, "S-SS")))).run();
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("SSSS", RunStatus::Succeeded)
    );
    let nodes = [
        Node::Handler(Handler::Init),
        Node::Step(1),
        Node::Handler(Handler::Success),
        Node::Handler(Handler::Exit),
    ];
    assert_eq!(executed(&bench), nodes);
}

#[test]
fn a_step_that_is_not_decided_waits_on_without_being_executed() {
    let steps = vec![
        gated("a", &[]),
        gated("b", &[]),
        step("c", &[0]),
        step("d", &[0, 1]),
    ];
    let dag = dag(steps);
    let before = resume(&dag, "Sw--");
    assert_eq!(carry_over(&dag, Some(&before))[1], before.steps[1]);
    let bench = Bench::of(Attempt::new(&dag, Some(&before))).run();
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("SwS-", RunStatus::Waiting)
    );
    assert_eq!(executed(&bench), [Node::Step(2)]);
    // Nothing may go on: it ends at once, waiting.
    let bench = Bench::of(Attempt::new(&dag, Some(&resume(&dag, "ww--")))).run();
    assert_eq!((bench.letters().as_str(), executed(&bench).len()), ("ww--", 0));
    assert_eq!(bench.end().0, RunStatus::Waiting);
}

#[test]
fn after_an_approval_failed_steps_run_again() {
    let dag = two_branches();
    let bench = Bench::of(Attempt::new(&dag, Some(&resume(&dag, "S-FA")))).run();
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("SSSS", RunStatus::Succeeded)
    );
}

#[test]
fn a_rejection_runs_no_step_and_then_the_handlers_of_a_failure() {
    let dag = two_branches();
    let mut before = resume(&dag, "R-FA");
    before.steps[0].error = Some("rejected by user id 7: no".to_owned());
    let mut bench = Bench::of(Attempt::new(&dag, Some(&before)));
    // Preconditions are about steps that start.
    bench.initialised = Ok(Err("it is Sunday".to_owned()));
    let bench = bench.run();
    assert_eq!(bench.letters(), "RAFA");
    assert_eq!(bench.end_of(Node::Step(1)).unwrap().2, Some("upstream rejected"));
    assert_eq!(
        bench.end(),
        (
            RunStatus::Rejected,
            Some("step a: rejected by user id 7: no"),
            &[][..]
        )
    );
    assert_eq!(
        executed(&bench),
        [Node::Handler(Handler::Failure), Node::Handler(Handler::Exit)]
    );
}

#[test]
fn what_is_behind_a_rejected_step_is_aborted_also_if_it_is_behind_one_that_waits() {
    let dag = dag(vec![
        gated("a", &[]),
        gated("b", &[]),
        step("c", &[0, 1]),
        step("d", &[0, 2]),
        step("e", &[0]),
    ]);
    let bench = Bench::of(Attempt::new(&dag, Some(&resume(&dag, "wR---")))).run();
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("wRAA-", RunStatus::Rejected)
    );
}

#[test]
fn a_rejection_ends_the_run_whatever_else_waits() {
    let steps = vec![
        gated("a", &[]),
        gated("b", &[]),
        step("c", &[1]),
        calling("d", &[]),
        step("e", &[]),
    ];
    let dag = dag(steps);
    // The last one never began, for whatever reason: it does not begin now either.
    let bench = Bench::of(Attempt::new(&dag, Some(&resume(&dag, "Rw-w-")))).run();
    assert_eq!((bench.letters().as_str(), executed(&bench).len()), ("Rw-w-", 0));
    assert_eq!(bench.end().0, RunStatus::Rejected);
}

#[test]
fn a_rejection_is_carried_out_also_if_the_run_cannot_be_initialised() {
    let dag = two_branches();
    let mut bench = Bench::of(Attempt::new(&dag, Some(&resume(&dag, "R-SS"))));
    bench.initialised = Err("no such directory".to_owned());
    assert_eq!(bench.run().end().0, RunStatus::Rejected);
}

#[test]
fn a_stop_aborts_a_run_in_which_steps_wait() {
    let dag = two_branches();
    let user = || Event::Stop(StopReason::User { uid: 7 });
    // While another branch runs.
    let mut bench = Bench::new(&dag).hold(&[Node::Step(2)]);
    bench.tell(Event::Begin);
    bench.tell(user());
    bench.release(Node::Step(2), killed(15));
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("w-A-", RunStatus::Aborted)
    );
    assert_eq!(bench.handlers()[1].0, Handler::Abort);
    // While the wait handler runs: those of an abort follow it.
    let mut bench = Bench::new(&dag).hold(&[Node::Handler(Handler::Wait)]);
    bench.tell(Event::Begin);
    bench.tell(user());
    bench.release(Node::Handler(Handler::Wait), killed(15));
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("w-SS", RunStatus::Aborted)
    );
    let handlers: Vec<Handler> = bench.handlers().iter().map(|(handler, _)| *handler).collect();
    assert_eq!(
        handlers,
        [Handler::Init, Handler::Wait, Handler::Abort, Handler::Exit]
    );
    assert_eq!(bench.end().1, Some("stopped by user id 7"));
    // While the last of the tree is being killed.
    let mut bench = Bench::new(&dag);
    bench.hold_tree = true;
    bench.tell(Event::Begin);
    bench.tell(user());
    bench.tell(user());
    bench.tell(Event::TreeEmpty);
    assert_eq!(
        (bench.end().0, bench.end().1),
        (RunStatus::Aborted, Some("stopped by user id 7"))
    );
    assert_eq!(
        bench.count(|effect| matches!(effect, Effect::Record(Fact::StopRequested { .. }))),
        1
    );
}

#[test]
fn a_repeating_step_that_a_stop_ends_well_still_needs_approval() {
    let mut dag = dag(vec![gated("a", &[]), step("b", &[0])]);
    dag.steps[0].repeat = repeating("a", RepeatMode::While, &[], false).repeat;
    let mut bench = Bench::new(&dag).hold(&[Node::Step(0)]);
    bench.tell(Event::Begin);
    bench.tell(Event::Stop(StopReason::User { uid: 7 }));
    bench.release(Node::Step(0), exit(0));
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("w-", RunStatus::Aborted)
    );
    let bench = Bench::of(Attempt::new(&dag, Some(&resume(&dag, "w-")))).run();
    assert_eq!(
        (bench.letters().as_str(), bench.end().0),
        ("w-", RunStatus::Waiting)
    );
}

#[test]
fn a_decision_leaves_the_step_approved_with_its_inputs_or_rejected() {
    let decision = |approved: bool| crate::model::view::Decision {
        approved,
        uid: 7,
        at: Time(9),
        reason: (!approved).then(|| "too late".to_owned()),
    };
    let old = StepView {
        error: Some("waits for approval".to_owned()),
        ..view("a", 'w')
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let inputs = [pair("OUT", "new"), pair("WHO", "me")];
    let approved = old.decided(decision(true), &inputs);
    assert_eq!((approved.status, &approved.error), (StepStatus::Succeeded, &None));
    assert_eq!(approved.variables, inputs);
    let rejected = old.decided(decision(false), &[]);
    assert_eq!(rejected.status, StepStatus::Rejected);
    assert_eq!(rejected.error.as_deref(), Some("rejected by user id 7: too late"));
    assert_eq!(rejected.decision, Some(decision(false)));
}
