//! What becomes of a start while a run of the DAG is queued or live.

use super::{Desk, hourly, lives, roomy};
use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::api::{Evidence, Origin, Recovered, Retrying, SCHEDULED_MAX};
use crate::engine::scheduler::{Event, Installed};
use crate::model::{RunRef, StopReason};

fn with(overlap: OverlapPolicy) -> Installed {
    Installed { overlap, ..hourly() }
}

/// The run for 08:00 is live.
fn live(plan: Installed) -> Desk {
    let mut desk = Desk::quiet("0730", plan);
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("ok 1", "changed, 0800 started s0800, commit 2 intend s08001"),
    ]);
    lives(&mut desk, "s0800", 2);
    desk
}

/// The run for 08:00 is live, the one for 09:00 waits.
fn live_and_waiting(overlap: OverlapPolicy) -> Desk {
    let mut desk = live(with(overlap));
    desk.play(&[
        ("at 0900", "make s0900, commit 5 accept+mark 0900"),
        ("ok 5", "changed, 0900 started s0900"),
    ]);
    desk
}

#[test]
fn skip_drops_a_start_while_a_run_is_queued_or_live() {
    let mut desk = live(with(OverlapPolicy::Skip));
    desk.play(&[
        ("at 0900", "commit 5 mark 0900"),
        ("ok 5", "0900 overlapped"),
        // Its tree is empty, and it is cleaned up: nothing of it is live.
        ("ended s08001", "commit 6 end-succeeded"),
        ("ok 6", "changed, over"),
        ("gone s08001", "clean"),
        ("at 1000", "make s1000, commit 7 accept+mark 1000"),
        ("ok 7", "changed, 1000 started s1000, commit 8 intend s10001"),
        ("at 1100", "commit 9 mark 1100"),
    ]);
    // One that a person submitted counts as well.
    let mut desk = Desk::quiet("0730", with(OverlapPolicy::Skip));
    desk.play(&[("submit a", "commit 1 accept"), ("at 0800", "commit 2 mark 0800")]);
}

#[test]
fn all_queues_every_start() {
    let mut desk = live_and_waiting(OverlapPolicy::All);
    desk.play(&[
        ("at 1000", "make s1000, commit 6 accept+mark 1000"),
        ("ok 6", "changed, 1000 started s1000"),
    ]);
    assert_eq!(desk.0.engine.counts().queued, 2);
}

#[test]
fn latest_has_the_newest_start_take_the_place_of_the_one_that_waits() {
    let mut desk = live_and_waiting(OverlapPolicy::Latest);
    desk.play(&[
        // What a person submitted waits on.
        ("submit a", "commit 6 accept"),
        ("ok 6", "yes 1, changed"),
        (
            "at 1000",
            "make s1000, commit 7 end-queued-aborted+accept+mark 1000",
        ),
        ("ok 7", "changed, over, changed, 1000 started s1000"),
        ("ended s08001", "commit 8 end-succeeded"),
        ("gone s08001", "commit 9 intend a1"),
    ]);
    assert_eq!(desk.0.engine.counts().queued, 1);
}

#[test]
fn what_would_have_ended_in_the_queue_keeps_its_place_if_that_cannot_be_stored() {
    let mut desk = live_and_waiting(OverlapPolicy::Latest);
    desk.play(&[
        ("submit a", "commit 6 accept"),
        ("ok 6", "yes 1, changed"),
        (
            "at 1000",
            "make s1000, commit 7 end-queued-aborted+accept+mark 1000",
        ),
        // It is not started meanwhile.
        ("ended s08001", "commit 8 end-succeeded"),
        (
            "full 7",
            "1000 delayed (the disk is full: no space), unmake s1000",
        ),
        ("gone s08001", "commit 9 intend s09001"),
        ("at 100001", "make s1000, commit 10 accept+mark 1000"),
    ]);
    // A person's stop that came in between is not forgotten.
    let mut desk = live_and_waiting(OverlapPolicy::Latest);
    desk.play(&[
        (
            "at 1000",
            "make s1000, commit 6 end-queued-aborted+accept+mark 1000",
        ),
        ("stop s0900", ""),
        (
            "io 6",
            "1000 delayed (broken), commit 7 end-queued-aborted, unmake s1000",
        ),
        ("ok 7", "yes 1, changed, over"),
    ]);
}

#[test]
fn cancel_other_ends_what_waits_stops_what_is_live_and_waits_until_it_is_gone() {
    let mut desk = live(Installed {
        overlap: OverlapPolicy::CancelOther,
        ..roomy()
    });
    desk.play(&[
        ("submit G", "commit 5 accept"),
        ("ok 5", "yes 1, changed, commit 6 intend G1"),
        ("submit a", "commit 7 accept"),
        ("ok 7", "yes 2, changed, commit 8 intend a1"),
        ("submit b", "commit 9 accept"),
        ("ok 9", "yes 3, changed"),
        (
            "at 0900",
            "make s0900, commit 10 end-queued-aborted+stop+stop+stop+accept+mark 0900",
        ),
        ("ok 6", "changed, launch G1"),
        ("ok 10", "ensure-stop, changed, over, changed, 0900 started s0900"),
        // The one that was being launched stops at its gate, the one whose intent was in flight before it.
        ("ready G1", "close"),
        ("gone G1", "clean"),
        ("cleaned G1", "commit 11 end-aborted+clean"),
        ("ok 8", "commit 12 end-aborted+clean"),
        ("ended s08001", "commit 13 end-succeeded"),
        ("gone s08001", "commit 14 intend s09001"),
    ]);
}

#[test]
fn a_run_that_is_being_accepted_is_cancelled_as_soon_as_it_exists() {
    let mut desk = Desk::quiet("0730", with(OverlapPolicy::CancelOther));
    desk.play(&[
        ("submit a", "commit 1 accept"),
        ("at 0800", "make s0800, commit 2 accept+mark 0800"),
        ("ok 2", "changed, 0800 started s0800, commit 3 intend s08001"),
        ("ok 1", "yes 1, changed, commit 4 end-queued-aborted"),
    ]);
    // If it got further meanwhile, the tick's batch does not say that it is stopped: its own does.
    let mut desk = Desk::quiet("0730", with(OverlapPolicy::CancelOther));
    desk.play(&[
        ("submit a", "commit 1 accept"),
        ("at 0800", "make s0800, commit 2 accept+mark 0800"),
        ("ok 1", "yes 1, changed, commit 3 intend a1"),
        ("ok 3", "changed, launch a1"),
        ("ok 2", "commit 4 stop, changed, 0800 started s0800"),
    ]);
}

#[test]
fn a_stop_that_cannot_be_stored_is_not_withdrawn_from_a_superseded_run() {
    let mut desk = Desk::quiet("0730", with(OverlapPolicy::CancelOther));
    desk.play(&[
        ("submit a", "commit 1 accept"),
        ("ok 1", "yes 1, changed, commit 2 intend a1"),
        ("ok 2", "changed, launch a1"),
        ("at 0800", "make s0800, commit 3 stop+accept+mark 0800"),
        ("stop a", "commit 4 stop"),
        ("unmade a1", ""),
        ("ok 3", "changed, 0800 started s0800, commit 5 intend s08001"),
        ("io 4", ""),
        ("at 080001", "commit 6 stop+end-aborted+clean"),
        ("ok 6", "yes 2, changed, over"),
    ]);
}

#[test]
fn what_is_live_is_left_alone_if_the_decision_cannot_be_stored() {
    let mut desk = live(with(OverlapPolicy::CancelOther));
    desk.play(&[
        ("at 0900", "make s0900, commit 5 stop+accept+mark 0900"),
        ("io 5", "0900 delayed (broken), unmake s0900"),
        ("ended s08001", "commit 6 end-succeeded"),
        ("at 090001", "make s0900, commit 7 accept+mark 0900"),
    ]);
}

#[test]
fn a_superseded_run_is_in_the_way_after_a_restart_of_the_daemon_too() {
    let item = |id: &str, live| Recovered {
        run: RunRef {
            dag: super::dag(),
            id: super::long(id).parse().unwrap(),
        },
        group: "Template".parse().unwrap(),
        capacity: 2,
        attempts: 0,
        queued: None,
        live,
        unstored_start: None,
        stop: None,
        parent: None,
        retry: Retrying::default(),
        origin: Origin::default(),
        owner: 1000,
        priority: crate::model::Priority::default(),
        now: false,
        dag_limit: 0,
    };
    let identity = crate::model::change::AttemptIdentity::default();
    let alive = Evidence::Alive {
        identity,
        started: true,
    };
    let old = super::super::attempt(&super::long("s08001"));
    let list = vec![
        Recovered {
            stop: Some(StopReason::Superseded),
            ..item("s0800", Some((old, 1, alive)))
        },
        Recovered {
            queued: Some(1),
            ..item("s0900", None)
        },
    ];
    let mut desk = Desk(super::Bed::new());
    assert_eq!(desk.give(Event::Recover(list)), "adopt s0800, ensure-stop");
    desk.play(&[
        ("ended s08001", "commit 1 end-succeeded"),
        ("gone s08001", "commit 2 intend s09001"),
    ]);
}

#[test]
fn so_many_scheduled_runs_wait_and_no_more() {
    let mut desk = Desk::quiet("0700", with(OverlapPolicy::All));
    let next = |desk: &mut Desk| {
        let bed = &mut desk.0;
        bed.now.wall.0 += 3_600_000_000;
        bed.now.boot.0 += 3_600_000_000;
        let told = desk.give(Event::Tick);
        let (_, batch) = told.split_once("commit ").unwrap();
        let number = batch.split(' ').next().unwrap().parse().unwrap();
        desk.give(Event::Committed(number))
    };
    for _ in 0..=SCHEDULED_MAX {
        let told = next(&mut desk);
        assert!(told.contains("started"), "{told}");
    }
    // One is about to be live, the others wait.
    assert_eq!(desk.0.engine.counts().queued, SCHEDULED_MAX);
    let told = next(&mut desk);
    assert!(told.ends_with("crowded"), "{told}");
    assert_eq!(desk.0.engine.counts().queued, SCHEDULED_MAX);
}
