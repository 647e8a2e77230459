//! Retries of a run as a whole.

mod asked;
mod restarts;

use super::super::api::{AttemptEnd, Event};
use super::{Bed, end, new_run};
use crate::engine::scheduler::{Effect, Scheduler, Token};
use crate::model::change::Change;
use crate::model::{
    Boot, DagName, Now, PendingRetry, Retries, RetryPolicy, RetryRule, RunStatus, StopReason, Time,
};

/// Two retries, ten seconds apart, after whatever it was.
fn policy() -> RetryPolicy {
    let rule = RetryRule {
        limit: 2,
        interval_sec: 10,
        backoff: 0.0,
        max_interval_sec: 60,
    };
    RetryPolicy {
        failed: Some(rule),
        exit_codes: vec![7],
        lost: Some(rule),
        shared: true,
    }
}

fn submit(bed: &mut Bed, policy: RetryPolicy) {
    bed.token += 1;
    let new = crate::model::change::NewRun {
        retry: Some(policy),
        ..*new_run("a", 1)
    };
    let event = Event::Submit(Token(bed.token), Box::new(new));
    assert_eq!(bed.give(event), "commit 1 accept");
}

/// Run `a` with a policy is running.
fn running(policy: RetryPolicy) -> Bed {
    let mut bed = Bed::new();
    submit(&mut bed, policy);
    bed.play(&[
        ("ok 1", "yes 1, changed, commit 2 intend a1"),
        ("ok 2", "changed, launch a1"),
        ("ready a1", "commit 3 identify"),
        ("ok 3", "open"),
        ("started a1", "commit 4 start"),
        ("ok 4", ""),
    ]);
    bed
}

/// It has failed, and waits for its first retry.
fn pausing() -> Bed {
    let mut bed = running(policy());
    bed.play(&[
        ("fails a1", "commit 5 end-failed+retry-later 1"),
        ("ok 5", "changed"),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 6 clean"),
        ("ok 6", "arm +10000"),
    ]);
    bed
}

fn hold(bed: &mut Bed, on: bool) -> Vec<Effect> {
    let dag: DagName = "dag".parse().unwrap();
    let mut out = Vec::new();
    bed.engine.hold_retries(&dag, 1000, on, bed.now, &mut out);
    assert_eq!(bed.engine.holds_retries(&dag, 1000), on);
    out
}

#[test]
fn a_failed_run_is_tried_again_until_its_budget_is_spent() {
    let mut bed = pausing();
    assert_eq!(
        bed.engine.counts().live,
        0,
        "what waits for a retry takes no slot"
    );
    assert_eq!(bed.engine.retried_on(&super::run("a")), Some(vec![7]));
    bed.play(&[
        ("tick 9999", "arm +1"),
        ("tick 10000", "commit 7 requeue"),
        ("ok 7", "changed, commit 8 intend a2"),
        ("ok 8", "changed, launch a2"),
    ]);
    assert_eq!(bed.engine.retried_on(&super::run("a")), Some(vec![7]));
    bed.play(&[
        ("ready a2", "commit 9 identify"),
        ("ok 9", "open"),
        ("started a2", "commit 10 start"),
        ("ok 10", ""),
        ("fails a2", "commit 11 end-failed+retry-later 2"),
        ("ok 11", "changed"),
        ("gone a2", "clean"),
        ("cleaned a2", "commit 12 clean"),
        ("ok 12", "arm +10000"),
        ("tick 20000", "commit 13 requeue"),
        ("ok 13", "changed, commit 14 intend a3"),
        ("ok 14", "changed, launch a3"),
    ]);
    assert_eq!(bed.engine.retried_on(&super::run("a")), None, "the last one");
    bed.play(&[
        ("ready a3", "commit 15 identify"),
        ("ok 15", "open"),
        ("started a3", "commit 16 start"),
        ("ok 16", ""),
        // Whatever the supervisor says.
        ("fails a3", "commit 17 end-failed"),
        ("ok 17", "changed, over"),
        ("gone a3", "clean"),
        ("cleaned a3", "commit 18 clean"),
        ("ok 18", "idle"),
    ]);
    assert!(bed.engine.is_empty());
}

#[test]
fn a_failure_is_tried_again_only_if_the_supervisor_left_the_handler_out() {
    running(policy()).play(&[
        ("fails-last a1", "commit 5 end-failed"),
        ("ok 5", "changed, over"),
    ]);
    // No other end is, whatever else the record says.
    for status in [
        RunStatus::Succeeded,
        RunStatus::Aborted,
        RunStatus::Rejected,
        RunStatus::Waiting,
    ] {
        let mut bed = running(policy());
        let ended = AttemptEnd {
            retry: true,
            ..end(status)
        };
        let told = bed.give(Event::Ended(super::attempt("a1"), ended));
        assert_eq!(told, format!("commit 5 end-{status}"));
    }
}

#[test]
fn a_loss_is_tried_again_if_the_policy_says_so() {
    running(policy()).play(&[("gone a1", "commit 5 end-failed-lost+retry-later 1")]);
    let only_failures = RetryPolicy {
        lost: None,
        ..policy()
    };
    running(only_failures.clone()).play(&[
        ("gone a1", "commit 5 end-failed-lost"),
        ("ok 5", "changed, over, clean"),
    ]);
    let only_losses = RetryPolicy {
        failed: None,
        ..policy()
    };
    let bed = running(only_losses);
    assert_eq!(bed.engine.retried_on(&super::run("a")), None);
    // What was stopped is not.
    running(policy()).play(&[
        ("stop a", "send-stop, commit 5 stop"),
        ("ok 5", "yes 2"),
        ("gone a1", "commit 6 end-failed-lost"),
    ]);
    drop(only_failures);
}

#[test]
fn a_run_that_nobody_can_start_is_not_tried_again_and_one_that_dies_at_its_gate_is() {
    let mut bed = Bed::new();
    submit(&mut bed, policy());
    bed.play(&[
        ("ok 1", "yes 1, changed, commit 2 intend a1"),
        ("ok 2", "changed, launch a1"),
        ("unmade a1", "commit 3 end-failed+clean"),
        ("ok 3", "changed, over, idle"),
    ]);
    let mut bed = Bed::new();
    submit(&mut bed, policy());
    bed.tell("ok 1");
    let mut batch = 2;
    let mut told = String::new();
    for _ in 0..5 {
        for event in [
            format!("ok {batch}"),
            "ready a1".into(),
            format!("ok {}", batch + 1),
        ] {
            bed.tell(&event);
        }
        bed.tell("gone a1");
        told = bed.tell("cleaned a1");
        batch += 2;
        if told.contains("unlaunch") {
            bed.tell(&format!("ok {batch}"));
            let later = bed.now.boot.0 / 1000 + 60_000;
            bed.tell(&format!("tick {later}"));
            batch += 1;
        }
    }
    assert!(told.ends_with("end-failed-lost+retry-later 1+clean"), "{told}");
    assert!(
        bed.tell(&format!("ok {batch}")).starts_with("changed, arm"),
        "not over"
    );
}

#[test]
fn a_stop_that_overtakes_the_record_is_said_to_have_cost_the_failure_handler() {
    let failed = |stop: bool, error: Option<&str>| {
        let mut bed = running(policy());
        if stop {
            bed.play(&[("stop a", "send-stop, commit 5 stop"), ("ok 5", "yes 2")]);
        }
        let ended = AttemptEnd {
            retry: true,
            error: error.map(str::to_owned),
            ..end(RunStatus::Failed)
        };
        let mut out = Vec::new();
        bed.engine
            .handle(bed.now, Event::Ended(super::attempt("a1"), ended), &mut out);
        match out.first() {
            Some(Effect::Commit(_, batch)) => match &batch[0] {
                Change::End { error, .. } => error.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        failed(false, Some("step x failed")).as_deref(),
        Some("step x failed")
    );
    let told = failed(true, Some("step x failed")).unwrap();
    assert!(told.starts_with("step x failed; no retry follows ("), "{told}");
    assert!(
        told.ends_with("and the failure handler was left out for one"),
        "{told}"
    );
    assert!(failed(true, None).unwrap().starts_with("no retry follows ("));
}

#[test]
fn without_room_on_the_disk_a_due_retry_waits_for_some() {
    let mut bed = pausing();
    bed.play(&[
        ("tick 10000", "commit 7 requeue"),
        ("full 7", "arm +500"),
        ("tick 10500", "commit 8 requeue"),
        ("io 8", "arm +1000"),
        ("tick 11500", "commit 9 requeue"),
        ("ok 9", "changed, commit 10 intend a2"),
    ]);
}

#[test]
fn while_its_dag_is_held_back_no_retry_comes() {
    let mut bed = pausing();
    assert_eq!(hold(&mut bed, true), []);
    bed.play(&[("tick 10000", ""), ("tick 20000", "")]);
    let out = hold(&mut bed, false);
    assert!(
        matches!(&out[..], [Effect::Commit(7, batch)] if matches!(batch[..], [Change::Requeue { automatic: true, .. }])),
        "{out:?}"
    );
    // One that is not due yet is armed again; a person's is not held back.
    let mut bed = pausing();
    hold(&mut bed, true);
    hold(&mut bed, false);
    bed.play(&[("tick 9000", "arm +1000"), ("tick 10000", "commit 7 requeue")]);
    let mut bed = pausing();
    hold(&mut bed, true);
    bed.play(&[("retry a", "commit 7 requeue")]);
    // It begins to wait while it is held back.
    let mut bed = running(policy());
    hold(&mut bed, true);
    bed.play(&[
        ("fails a1", "commit 5 end-failed+retry-later 1"),
        ("ok 5", "changed"),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 6 clean"),
        ("ok 6", ""),
    ]);
}

#[test]
fn while_its_user_is_gone_no_retry_comes_whatever_becomes_of_the_dag() {
    let dag: DagName = "dag".parse().unwrap();
    let gone = |bed: &mut Bed, owner: &[u32]| {
        let dags = owner.iter().map(|owner| (dag.clone(), *owner));
        bed.give(Event::Ownerless(dags.collect()))
    };
    let mut bed = pausing();
    assert_eq!(gone(&mut bed, &[1000, 7]), "");
    assert!(bed.engine.holds_retries(&dag, 1000));
    bed.play(&[("tick 10000", ""), ("tick 20000", "")]);
    hold_on(&mut bed, true);
    hold_on(&mut bed, false);
    assert_eq!(bed.give(Event::Forget(dag.clone())), "");
    assert!(bed.engine.holds_retries(&dag, 1000));
    assert_eq!(gone(&mut bed, &[7]), "commit 7 requeue");
    assert!(!bed.engine.holds_retries(&dag, 1000));
    // One that is back and disabled is held back by that.
    let mut bed = pausing();
    gone(&mut bed, &[1000]);
    hold_on(&mut bed, true);
    assert_eq!(gone(&mut bed, &[]), "");
    bed.play(&[("tick 10000", "")]);
}

/// Holds back the DAG, whatever else holds it back.
fn hold_on(bed: &mut Bed, on: bool) {
    let (dag, mut out) = ("dag".parse().unwrap(), Vec::new());
    bed.engine.hold_retries(&dag, 1000, on, bed.now, &mut out);
    assert_eq!(out, []);
}

#[test]
fn only_the_root_of_a_tree_is_tried_again() {
    let mut bed = running(policy());
    bed.play(&[("call x of a", "commit 5 accept")]);
    let mut new = new_run("y", 1);
    new.retry = Some(policy());
    new.parent = Some(crate::model::change::Caller {
        run: super::run("a"),
        attempt: 1,
        step: "s".into(),
        root: super::run("a"),
        depth: 1,
    });
    bed.token += 1;
    assert_eq!(bed.give(Event::Submit(Token(bed.token), new)), "commit 6 accept");
    bed.play(&[
        ("ok 6", "yes 3, changed, commit 7 intend y1"),
        ("ok 7", "changed, launch y1"),
        ("ready y1", "commit 8 identify"),
        ("ok 8", "open"),
        ("started y1", "commit 9 start"),
        ("ok 9", ""),
        ("fails y1", "commit 10 end-failed"),
        ("ok 10", "changed, over"),
    ]);
}

#[test]
fn what_a_dead_root_called_is_gone_before_its_retry() {
    let mut bed = running(policy());
    bed.play(&[
        ("call x of a", "commit 5 accept"),
        ("ok 5", "yes 2, changed, commit 6 intend x1"),
        ("ok 6", "changed, launch x1"),
        ("gone a1", "commit 7 end-failed-lost+retry-later 1, commit 8 stop"),
        ("ok 7", "changed"),
        ("tick 20000", ""),
        ("unmade x1", ""),
        ("ok 8", "commit 9 end-aborted+clean"),
        ("ok 9", "changed, over, clean"),
        ("cleaned a1", "commit 10 clean"),
        ("ok 10", "arm +0"),
        ("tick 20000", "commit 11 requeue"),
    ]);
}

#[test]
fn the_store_is_told_both_clocks() {
    let mut bed = running(policy());
    bed.engine.boot_id = "here".into();
    bed.now = Now {
        wall: Time::from_secs(500),
        boot: Boot(7_000_000),
    };
    let ended = AttemptEnd {
        retry: true,
        at: Time::from_secs(500),
        ..end(RunStatus::Failed)
    };
    let mut out = Vec::new();
    bed.engine
        .handle(bed.now, Event::Ended(super::attempt("a1"), ended), &mut out);
    let Some(Effect::Commit(_, batch)) = out.first() else {
        panic!("{out:?}")
    };
    let later = Change::RetryLater {
        run: super::run("a"),
        retries: Retries { failed: 1, lost: 0 },
        retry: PendingRetry {
            number: 1,
            limit: 2,
            at: Time::from_secs(510),
        },
        boot: Boot(17_000_000),
        boot_id: "here".into(),
    };
    assert_eq!(batch.get(1), Some(&later));
}
