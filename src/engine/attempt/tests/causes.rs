//! What brought a step to a bad end, where its exit does not tell (P19).

use super::*;
use crate::model::{Cause, OomScope, OomVictim, StopReason};

const A: Node = Node::Step(0);
const B: Node = Node::Step(1);

fn cause_of(bench: &Bench, wanted: Node) -> Option<Cause> {
    bench.facts().into_iter().find_map(|fact| match fact {
        Fact::NodeEnded { node, cause, .. } if *node == wanted => Some(*cause),
        _ => None,
    })?
}

fn limited(seconds: u64) -> Dag {
    let mut dag = dag(vec![step("a", &[]), step("b", &[0])]);
    dag.steps[0].timeout_sec = seconds;
    dag
}

const TAKEN: Cause = Cause::OutOfMemory {
    killed: 1,
    total: 1,
    scope: OomScope::Around {},
    victim: OomVictim::Own {},
};

fn taken() -> TryEnd {
    TryEnd {
        cause: Some(TAKEN),
        ..killed(9)
    }
}

#[test]
fn what_the_kernel_did_goes_with_the_end_of_the_step() {
    let bench = Bench::new(&limited(0)).ends(A, &[taken()]).run();
    assert_eq!(cause_of(&bench, A), Some(TAKEN));
    assert_eq!(cause_of(&bench, B), Some(Cause::Upstream {}));
    let bench = Bench::new(&limited(0)).ends(A, &[killed(9)]).run();
    assert_eq!(cause_of(&bench, A), None, "its exit tells");
}

#[test]
fn a_time_limit_of_a_step_is_told_from_a_signal() {
    let mut bench = Bench::new(&limited(5)).hold(&[A]);
    bench.tell(Event::Begin);
    assert!(matches!(bench.tick(), Some(Timer::TryTimeout(_))));
    // What a limit kills may have been taken by the kernel in the same moment; the limit was over in any case.
    bench.release(A, taken());
    assert_eq!(cause_of(&bench, A), Some(Cause::StepTimeout {}));
    assert_eq!(cause_of(&bench, B), Some(Cause::Upstream {}));
}

#[test]
fn a_time_limit_of_the_run_is_told_from_one_of_a_step() {
    let mut dag = limited(0);
    dag.timeout_sec = 5;
    let mut bench = Bench::new(&dag).hold(&[A]);
    bench.tell(Event::Begin);
    assert_eq!(bench.tick(), Some(Timer::RunTimeout));
    bench.release(A, killed(9));
    assert_eq!(cause_of(&bench, A), Some(Cause::RunTimeout {}));
}

#[test]
fn a_stop_is_told_from_a_signal_of_somebody_else() {
    let mut bench = Bench::new(&limited(0)).hold(&[A]);
    bench.tell(Event::Begin);
    bench.tell(Event::Stop(StopReason::User { uid: 7 }));
    bench.release(A, killed(15));
    assert_eq!(cause_of(&bench, A), Some(Cause::Stopped {}));
}
