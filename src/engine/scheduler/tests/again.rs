//! Retries of a run as a whole.

use super::super::api::{DueRetry, Event, Evidence, Recovered, Retrying};
use super::recover::{live, lost, queued, recorded};
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
    bed.engine.hold_retries(&dag, on, bed.now, &mut out);
    assert_eq!(bed.engine.holds_retries(&dag), on);
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
        let ended = crate::engine::scheduler::api::AttemptEnd {
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
fn a_stop_cancels_the_pending_retry() {
    let mut bed = pausing();
    bed.play(&[
        ("stop a", "commit 7 cancel-retry"),
        ("stop a", ""),
        ("tick 10000", ""),
        ("ok 7", "yes 2, yes 3, over, idle"),
        ("stop a", "no 4 not-found"),
    ]);
    assert!(bed.engine.is_empty());
    // Before the end is stored, and while the attempt is cleaned up.
    let mut bed = running(policy());
    bed.play(&[
        ("fails a1", "commit 5 end-failed+retry-later 1"),
        ("stop a", ""),
        ("ok 5", "changed, commit 6 cancel-retry"),
        ("gone a1", "clean"),
        ("ok 6", "yes 2, over"),
        ("cleaned a1", "commit 7 clean"),
        ("ok 7", "idle"),
    ]);
    let mut bed = running(policy());
    bed.play(&[
        ("fails a1", "commit 5 end-failed+retry-later 1"),
        ("ok 5", "changed"),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 6 clean"),
        ("stop a", ""),
        ("ok 6", "commit 7 cancel-retry"),
        ("ok 7", "yes 2, over, idle"),
    ]);
    // It was on its way back into the queue: that is like any run that is stopped there.
    let mut bed = pausing();
    bed.play(&[
        ("tick 10000", "commit 7 requeue"),
        ("stop a", ""),
        ("ok 7", "changed, commit 8 end-queued-aborted"),
        ("ok 8", "yes 2, changed, over, idle"),
    ]);
    let mut bed = pausing();
    bed.play(&[
        ("tick 10000", "commit 7 requeue"),
        ("stop a", ""),
        ("full 7", "commit 8 cancel-retry"),
        ("ok 8", "yes 2, over, idle"),
    ]);
}

#[test]
fn a_shutdown_does_not_cancel_it() {
    let mut bed = running(policy());
    bed.play(&[
        ("fails a1", "commit 5 end-failed+retry-later 1"),
        ("ok 5", "changed"),
    ]);
    bed.token += 1;
    let stop = Event::Stop(Token(bed.token), super::run("a"), StopReason::Shutdown);
    assert_eq!(bed.give(stop), "no 2 failed");
    bed.play(&[
        ("drain", ""),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 6 clean"),
        ("ok 6", "arm +10000, idle"),
        ("tick 10000", ""),
    ]);
    assert!(!bed.engine.is_empty(), "it is up to the next daemon");
}

#[test]
fn a_stop_that_cannot_be_stored_is_refused_and_the_retry_comes() {
    let no = "no 2 the disk is full: no space";
    let mut bed = pausing();
    bed.play(&[
        ("stop a", "commit 7 cancel-retry"),
        ("full 7", no),
        ("tick 10000", "commit 8 requeue"),
    ]);
    let mut bed = running(policy());
    bed.play(&[
        ("fails a1", "commit 5 end-failed+retry-later 1"),
        ("stop a", ""),
        ("full 5", &format!("{no}, arm +500")),
        ("tick 500", "commit 6 end-failed+retry-later 1"),
        ("ok 6", "changed"),
        ("gone a1", "clean"),
    ]);
}

#[test]
fn a_person_can_have_it_at_once_and_the_budget_is_new() {
    let mut bed = pausing();
    bed.play(&[
        ("retry a", "commit 7 requeue"),
        ("retry a", "no 3 queued"),
        ("submit a", "no 4 exists"),
        ("ok 7", "yes 2, changed, commit 8 intend a2"),
        ("ok 8", "changed, launch a2"),
        ("ready a2", "commit 9 identify"),
        ("ok 9", "open"),
        ("started a2", "commit 10 start"),
        ("ok 10", ""),
        ("fails a2", "commit 11 end-failed+retry-later 1"),
    ]);
    // It waits until nothing is left of the attempt before.
    let mut bed = running(policy());
    bed.play(&[
        ("fails a1", "commit 5 end-failed+retry-later 1"),
        ("ok 5", "changed"),
        ("retry a", ""),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 6 clean"),
        ("ok 6", "commit 7 requeue"),
        ("full 7", "no 2 the disk is full: no space, arm +10000"),
        ("tick 10000", "commit 8 requeue"),
    ]);
    let mut bed = pausing();
    bed.play(&[("drain", "idle"), ("retry a", "no 2 draining")]);
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

fn pending(item: Recovered, at: i64, boot: u64, boot_id: &str) -> Recovered {
    Recovered {
        queued: None,
        retry: Retrying {
            policy: Some(policy()),
            so_far: Retries { failed: 1, lost: 0 },
            due: Some(DueRetry {
                retry: PendingRetry {
                    number: 1,
                    limit: 2,
                    at: Time::from_secs(at),
                },
                boot: Boot(boot * 1_000_000),
                boot_id: boot_id.to_owned(),
            }),
        },
        ..item
    }
}

/// A daemon that starts 100 s after the boot `now`, at 1000 s by the wall clock.
fn restarted() -> Bed {
    let mut bed = Bed::new();
    bed.engine = Scheduler::new(crate::engine::scheduler::Config::default()).in_boot("now".into());
    bed.now = Now {
        wall: Time::from_secs(1000),
        boot: Boot(100_000_000),
    };
    bed
}

#[test]
fn a_restart_keeps_the_pending_retry_and_its_deadline() {
    for (at, boot, boot_id, wait) in [
        // In the same boot the wall clock may have been set meanwhile.
        (5000, 104, "now", 4),
        (1004, 90, "now", 0),
        // In another one it is what counts, up to the longest that the policy has.
        (1004, 7_000, "before", 4),
        (900, 7_000, "before", 0),
        (99_000, 7_000, "before", 10),
    ] {
        let mut bed = restarted();
        let item = Recovered {
            attempts: 1,
            ..pending(queued("a", 0), at, boot, boot_id)
        };
        let armed = format!("arm +{}", wait * 1000);
        assert_eq!(bed.give(Event::Recover(vec![item.clone()])), armed);
        assert_eq!(bed.give(Event::Recover(vec![item])), "", "taken up twice");
        let due = 100_000 + wait * 1000;
        bed.play(&[
            (&format!("tick {due}"), "commit 1 requeue"),
            ("ok 1", "changed, commit 2 intend a2"),
        ]);
    }
    let mut bed = restarted();
    bed.give(Event::Recover(vec![pending(queued("a", 0), 1004, 104, "now")]));
    bed.play(&[("stop a", "commit 1 cancel-retry"), ("ok 1", "yes 1, over, idle")]);
}

#[test]
fn a_restart_goes_on_where_the_end_was_stored_and_decides_where_it_was_not() {
    let mut bed = restarted();
    let item = pending(live("a", recorded(false)), 1004, 104, "now");
    assert_eq!(bed.give(Event::Recover(vec![item])), "clean");
    bed.play(&[
        ("cleaned a1", "commit 1 clean"),
        ("ok 1", "arm +4000"),
        ("tick 104000", "commit 2 requeue"),
    ]);
    let unstored = |evidence| Recovered {
        retry: Retrying {
            policy: Some(policy()),
            so_far: Retries { failed: 1, lost: 0 },
            due: None,
        },
        ..live("a", evidence)
    };
    let mut bed = restarted();
    let told = bed.give(Event::Recover(vec![unstored(lost())]));
    assert_eq!(told, "commit 1 end-failed-lost+retry-later 2");
    let failed = crate::engine::scheduler::api::AttemptEnd {
        retry: true,
        // The time since then counts.
        at: Time::from_secs(993),
        ..end(RunStatus::Failed)
    };
    let mut bed = restarted();
    let told = bed.give(Event::Recover(vec![unstored(Evidence::Ended(failed))]));
    assert_eq!(told, "commit 1 end-failed+retry-later 2");
    bed.play(&[
        ("ok 1", "changed, clean"),
        ("cleaned a1", "commit 2 clean"),
        ("ok 2", "arm +3000"),
    ]);
    // One that was queued again keeps its count.
    let mut bed = restarted();
    let mut again = pending(queued("a", 1), 1004, 104, "now");
    again.queued = Some(1);
    again.retry.due = None;
    again.retry.so_far.lost = 1;
    assert_eq!(bed.give(Event::Recover(vec![again])), "commit 1 intend a1");
    assert_eq!(bed.engine.retried_on(&super::run("a")), None);
}

#[test]
fn the_store_is_told_both_clocks() {
    let mut bed = running(policy());
    bed.engine.boot_id = "here".into();
    bed.now = Now {
        wall: Time::from_secs(500),
        boot: Boot(7_000_000),
    };
    let ended = crate::engine::scheduler::api::AttemptEnd {
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
