//! What ticks do to runs that have ended badly and are to be tried again.

use std::sync::Arc;

use super::{Desk, cron, hourly, lives, long};
use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::api::{DueRetry, Evidence, Origin, Recovered, Retrying};
use crate::engine::scheduler::tests::{attempt, new_run};
use crate::engine::scheduler::{Event, Installed};
use crate::model::change::NewRun;
use crate::model::{Boot, PendingRetry, Retries, RetryPolicy, RetryRule, RunRef, StopReason, Time};

/// Two retries after a failure, two hours apart.
fn policy() -> RetryPolicy {
    let rule = RetryRule {
        limit: 2,
        interval_sec: 7200,
        backoff: 0.0,
        max_interval_sec: 7200,
    };
    RetryPolicy {
        failed: Some(rule),
        exit_codes: Vec::new(),
        lost: Some(rule),
        shared: true,
    }
}

/// Room for two.
pub(super) fn with(overlap: OverlapPolicy) -> Installed {
    let template = NewRun {
        retry: Some(policy()),
        ..*new_run("Template", 2)
    };
    Installed {
        overlap,
        template: Arc::new(template),
        ..hourly()
    }
}

/// The run for 08:00 is live.
pub(super) fn live(plan: Installed) -> Desk {
    let mut desk = Desk::quiet("0730", plan);
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("ok 1", "changed, 0800 started s0800, commit 2 intend s08001"),
    ]);
    lives(&mut desk, "s0800", 2);
    desk
}

/// It has failed, and its processes live yet.
fn ending(plan: Installed) -> Desk {
    let mut desk = live(plan);
    desk.play(&[
        ("fails s08001", "commit 5 end-failed+retry-later 1"),
        ("ok 5", "changed"),
    ]);
    desk
}

/// It waits for its retry.
pub(super) fn pausing(plan: Installed) -> Desk {
    let mut desk = ending(plan);
    desk.play(&[
        ("gone s08001", "clean"),
        ("cleaned s08001", "commit 6 clean"),
        ("ok 6", ""),
    ]);
    desk
}

#[test]
fn a_run_that_waits_for_its_retry_makes_way_and_is_over() {
    for overlap in [OverlapPolicy::CancelOther, OverlapPolicy::Latest] {
        let mut desk = pausing(with(overlap));
        desk.play(&[
            ("at 0900", "make s0900, commit 7 cancel-retry+accept+mark 0900"),
            // Meanwhile it does not come, and who stops it waits for the same answer.
            ("stop s0800", ""),
            (
                "ok 7",
                "yes 1, over, changed, 0900 started s0900, commit 8 intend s09001",
            ),
            ("stop s0800", "no 2 not-found"),
        ]);
    }
}

#[test]
fn its_retry_comes_if_the_decision_cannot_be_stored() {
    let mut desk = pausing(with(OverlapPolicy::CancelOther));
    desk.play(&[
        ("at 0900", "make s0900, commit 7 cancel-retry+accept+mark 0900"),
        ("stop s0800", ""),
        (
            "full 7",
            "0900 delayed (the disk is full: no space), no 1 the disk is full: no space, unmake s0900",
        ),
        ("at 090001", "make s0900, commit 8 cancel-retry+accept+mark 0900"),
        ("io 8", "unmake s0900"),
        ("uninstall", ""),
        ("at 1001", "commit 9 requeue"),
    ]);
}

#[test]
fn a_run_that_has_failed_and_lives_yet_is_in_the_way_until_it_is_gone() {
    let mut desk = ending(with(OverlapPolicy::CancelOther));
    desk.play(&[
        ("at 0900", "make s0900, commit 6 cancel-retry+accept+mark 0900"),
        ("ok 6", "over, changed, 0900 started s0900"),
        ("gone s08001", "clean, commit 7 intend s09001"),
        ("cleaned s08001", "commit 8 clean"),
        ("ok 8", ""),
        ("stop s0800", "no 1 not-found"),
    ]);
}

#[test]
fn a_run_that_failed_makes_way_in_every_phase_before_its_retry() {
    // Its end is not stored yet.
    let mut desk = live(with(OverlapPolicy::CancelOther));
    desk.play(&[
        ("fails s08001", "commit 5 end-failed+retry-later 1"),
        ("at 0900", "make s0900, commit 6 accept+mark 0900"),
        ("ok 5", "changed"),
        ("ok 6", "commit 7 cancel-retry, changed, 0900 started s0900"),
        ("ok 7", "over"),
        ("gone s08001", "clean, commit 8 intend s09001"),
    ]);
    // It ends while the decision is on its way.
    let mut desk = live(with(OverlapPolicy::CancelOther));
    desk.play(&[
        ("at 0900", "make s0900, commit 5 stop+accept+mark 0900"),
        ("fails s08001", "commit 6 end-failed+retry-later 1"),
        ("ok 5", "changed, 0900 started s0900"),
        ("ok 6", "changed, commit 7 cancel-retry"),
        ("ok 7", "over"),
    ]);
    // It is being cleaned up.
    let mut desk = ending(with(OverlapPolicy::CancelOther));
    desk.play(&[
        ("gone s08001", "clean"),
        ("at 0900", "make s0900, commit 6 cancel-retry+accept+mark 0900"),
        (
            "ok 6",
            "over, changed, 0900 started s0900, commit 7 intend s09001",
        ),
        ("cleaned s08001", "commit 8 clean"),
        ("ok 8", ""),
        ("stop s0800", "no 1 not-found"),
    ]);
    // It is about to wait.
    let mut desk = ending(with(OverlapPolicy::CancelOther));
    desk.play(&[
        ("gone s08001", "clean"),
        ("cleaned s08001", "commit 6 clean"),
        ("at 0900", "make s0900, commit 7 accept+mark 0900"),
        ("ok 6", ""),
        (
            "ok 7",
            "commit 8 cancel-retry, changed, 0900 started s0900, commit 9 intend s09001",
        ),
        ("ok 8", "over"),
        ("stop s0800", "no 1 not-found"),
    ]);
}

#[test]
fn a_retry_that_is_on_its_way_into_the_queue_is_ended_there() {
    let plan = with(OverlapPolicy::CancelOther);
    let mut desk = pausing(plan);
    desk.play(&[
        ("retry s0800", "commit 7 requeue"),
        ("at 0900", "make s0900, commit 8 stop+accept+mark 0900"),
        ("ok 8", "changed, 0900 started s0900, commit 9 intend s09001"),
        ("ok 7", "yes 1, changed, commit 10 end-queued-aborted"),
        ("ok 10", "changed, over"),
    ]);
}

pub(super) fn item(id: &str, live: Option<Evidence>) -> Recovered {
    Recovered {
        run: RunRef {
            dag: super::dag(),
            id: long(id).parse().unwrap(),
        },
        group: "Template".parse().unwrap(),
        capacity: 2,
        attempts: 1,
        queued: None,
        live: live.map(|evidence| (attempt(&long(&format!("{id}1"))), 1, evidence)),
        unstored_start: None,
        stop: Some(StopReason::Superseded),
        parent: None,
        retry: Retrying {
            policy: Some(policy()),
            so_far: Retries { failed: 1, lost: 0 },
            due: Some(DueRetry {
                retry: PendingRetry {
                    number: 1,
                    limit: 2,
                    at: Time(0),
                },
                boot: Boot(5),
                boot_id: String::new(),
            }),
        },
        origin: Origin::default(),
        owner: 0,
        priority: crate::model::Priority::default(),
        now: false,
        dag_limit: 0,
    }
}

#[test]
fn a_stop_that_is_stored_beside_a_pending_retry_ends_it_after_a_restart_of_the_daemon() {
    let mut desk = Desk(super::Bed::new());
    let told = desk.give(Event::Recover(vec![item("s0800", None)]));
    assert_eq!(told, "commit 1 cancel-retry");
    // Nobody would ask again, so it is not withdrawn.
    desk.play(&[
        ("stop s0800", ""),
        ("full 1", ""),
        ("at 000001", "commit 2 cancel-retry"),
        ("ok 2", "yes 1, over, idle"),
    ]);
    let recorded = Evidence::Recorded {
        status: crate::model::RunStatus::Failed,
        alive: None,
    };
    let mut desk = Desk(super::Bed::new());
    let told = desk.give(Event::Recover(vec![item("s0800", Some(recorded))]));
    assert_eq!(told, "commit 1 cancel-retry, clean");
    desk.play(&[
        ("ok 1", "over"),
        ("cleaned s08001", "commit 2 clean"),
        ("ok 2", "idle"),
    ]);
}

#[test]
fn a_start_that_is_dropped_for_a_pending_retry_is_told_so() {
    let mut desk = pausing(with(OverlapPolicy::Skip));
    desk.play(&[
        ("at 0900", "commit 7 mark 0900"),
        ("ok 7", "0900 awaits-retry s0800"),
    ]);
    // What is queued or live counts more.
    let mut desk = pausing(with(OverlapPolicy::Skip));
    desk.play(&[
        ("submit a", "commit 7 accept"),
        ("at 0900", "commit 8 mark 0900"),
        ("ok 8", "0900 overlapped"),
    ]);
}

#[test]
fn a_stop_ends_pending_retries_and_what_schedules_made_and_waits() {
    let stops = vec![cron("30 * * * *")];
    let mut desk = pausing(Installed {
        stops: stops.clone(),
        ..with(OverlapPolicy::Skip)
    });
    desk.play(&[
        ("at 0830", "commit 7 cancel-retry+mark 0830"),
        ("ok 7", "over, 0830 stopped-1, idle"),
    ]);
    // It has ended badly, and is not cleaned up: nothing of the new one is held up by that.
    let mut desk = ending(Installed {
        stops,
        ..with(OverlapPolicy::Skip)
    });
    desk.play(&[
        ("at 0830", "commit 6 cancel-retry+mark 0830"),
        ("ok 6", "over, 0830 stopped-1"),
        ("submit A", "commit 7 accept"),
        ("ok 7", "yes 1, changed, commit 8 intend A1"),
    ]);
    // What a person submitted waits on.
    let mut desk = live(Installed {
        stops: vec![cron("30 9 * * *")],
        overlap: OverlapPolicy::All,
        ..hourly()
    });
    desk.play(&[
        ("at 0900", "make s0900, commit 5 accept+mark 0900"),
        ("ok 5", "changed, 0900 started s0900"),
        ("submit a", "commit 6 accept"),
        ("ok 6", "yes 1, changed"),
        ("at 0930", "commit 7 end-queued-aborted+stop+mark 0930"),
        ("ok 7", "ensure-stop, changed, over, 0930 stopped-2"),
    ]);
    assert_eq!(desk.0.engine.counts().queued, 1);
}

#[test]
fn what_leaves_is_in_the_way_of_a_newer_run_of_a_schedule_after_a_restart_of_the_daemon() {
    let identity = crate::model::change::AttemptIdentity::default();
    let alive = Evidence::Alive {
        identity: identity.clone(),
        started: true,
    };
    let recorded = Evidence::Recorded {
        status: crate::model::RunStatus::Failed,
        alive: Some(identity),
    };
    // A person had stopped it before it was superseded; or it had ended.
    let stopped = Recovered {
        stop: Some(StopReason::User { uid: 7 }),
        retry: Retrying::default(),
        ..item("s0800", Some(alive))
    };
    let ended = Recovered {
        stop: None,
        retry: Retrying::default(),
        ..item("s0800", Some(recorded))
    };
    let waits = |scheduled_for| Recovered {
        attempts: 0,
        queued: Some(1),
        stop: None,
        retry: Retrying::default(),
        origin: Origin {
            created_at: Time(5),
            scheduled_for,
        },
        ..item("s0900", None)
    };
    for (old, told) in [
        (stopped.clone(), "adopt s0800, ensure-stop"),
        (ended, "adopt s0800, over"),
    ] {
        let mut desk = Desk(super::Bed::new());
        let list = vec![old, waits(Some(Time(5)))];
        assert_eq!(desk.give(Event::Recover(list)), told);
        assert!(desk.tell("gone s08001").contains("intend s09001"));
    }
    // What a person submitted has nothing to do with it, and no more has an older one.
    let told = "adopt s0800, ensure-stop, commit 1 intend s09001";
    let mut desk = Desk(super::Bed::new());
    let list = vec![stopped.clone(), waits(None)];
    assert_eq!(desk.give(Event::Recover(list)), told);
    let newer = Recovered {
        origin: Origin {
            created_at: Time(6),
            scheduled_for: None,
        },
        ..stopped
    };
    let mut desk = Desk(super::Bed::new());
    let list = vec![newer, waits(Some(Time(5)))];
    assert_eq!(desk.give(Event::Recover(list)), told);
}

#[test]
fn a_retry_comes_when_what_held_it_back_is_forgotten() {
    let mut desk = pausing(with(OverlapPolicy::Skip));
    desk.play(&[
        ("suspend", "commit 7 suspend"),
        ("ok 7", "yes 1"),
        ("uninstall", ""),
        ("at 1001", ""),
        ("forget", "commit 8 requeue"),
    ]);
}
