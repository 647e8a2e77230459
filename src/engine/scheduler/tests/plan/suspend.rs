//! Held back by a person, and let go again.

use super::{Desk, cron, dag, hourly, time};
use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::{Event, Installed};

fn catching_up() -> Installed {
    Installed {
        catchup_sec: 86_400,
        overlap: OverlapPolicy::All,
        ..hourly()
    }
}

#[test]
fn nothing_happens_while_it_is_held_back_and_nothing_of_that_time_is_made_up_for() {
    let plan = Installed {
        stops: vec![cron("30 8 * * *")],
        restarts: vec![cron("45 8 * * *")],
        ..catching_up()
    };
    let mut desk = Desk::quiet("0730", plan);
    desk.play(&[
        ("suspend", "commit 1 suspend"),
        ("ok 1", "yes 1, idle"),
        ("at 0800", ""),
        ("at 0900", ""),
        ("at 0930", ""),
        ("enable", "commit 2 enable+mark 0930"),
        (
            "ok 2",
            "yes 2, 0800 held-back, 0830 held-back, 0845 held-back, 0900 held-back, idle",
        ),
        ("at 1000", "make s1000, commit 3 accept+mark 1000"),
    ]);
}

#[test]
fn it_counts_from_the_request_on_and_that_it_is_over_only_when_it_is_stored() {
    let mut desk = Desk::quiet("0730", catching_up());
    desk.play(&[
        ("at 0759", ""),
        ("suspend", "commit 1 suspend"),
        ("at 0800", ""),
        // It cannot be stored, so it is not held back; and nothing is lost.
        ("io 1", "no 1 broken, make s0800, commit 2 accept+mark 0800"),
        // What is on its way is decided.
        ("suspend", ""),
        (
            "ok 2",
            "changed, 0800 started s0800, commit 3 suspend, commit 4 intend s08001",
        ),
        ("ok 3", "yes 2"),
        ("enable", "commit 5 enable+mark 0800"),
        ("at 0900", ""),
        ("full 5", "no 3 the disk is full: no space"),
        ("at 0930", ""),
    ]);
    assert!(desk.0.engine.is_suspended(&dag()));
}

#[test]
fn requests_are_answered_in_their_order() {
    let mut desk = Desk::quiet("0730", catching_up());
    desk.play(&[
        ("suspend", "commit 1 suspend"),
        ("enable", ""),
        ("suspend", ""),
        ("ok 1", "yes 1, commit 2 enable+mark 0730"),
        ("ok 2", "yes 2, commit 3 suspend"),
        ("ok 3", "yes 3, idle"),
        ("at 0800", ""),
    ]);
}

#[test]
fn what_was_being_made_up_for_is_dropped_as_well() {
    let plan = Installed {
        watermark: Some(time("0300")),
        ..catching_up()
    };
    let (mut desk, first) = Desk::new("0630", plan);
    assert_eq!(first, "make s0400, commit 1 accept+mark 0400");
    desk.play(&[
        ("suspend", ""),
        (
            "ok 1",
            "changed, 0400 made-up s0400, commit 2 suspend, commit 3 intend s04001",
        ),
        ("ok 2", "yes 1"),
        ("enable", "commit 4 enable+mark 0630"),
        ("ok 4", "yes 2, 0500 held-back, 0600 held-back"),
    ]);
}

#[test]
fn it_survives_the_daemon_and_keeps_the_watermark() {
    let plan = Installed {
        watermark: Some(time("0300")),
        suspended: true,
        ..catching_up()
    };
    let (mut desk, first) = Desk::new("0630", plan.clone());
    assert_eq!(first, "idle");
    assert!(desk.0.engine.is_suspended(&dag()));
    // A new version says what the shell read before: the engine knows better.
    desk.play(&[
        ("enable", "commit 1 enable+mark 0630"),
        (
            "ok 1",
            "yes 1, 0400 held-back, 0500 held-back, 0600 held-back, idle",
        ),
    ]);
    assert_eq!(desk.install(plan), "");
    desk.play(&[("at 0700", "make s0700, commit 2 accept+mark 0700")]);
}

#[test]
fn a_dag_that_is_not_installed_can_be_held_back_for_later() {
    let mut desk = Desk(super::Bed::new());
    desk.play(&[("suspend", "commit 1 suspend"), ("ok 1", "yes 1, idle")]);
    assert!(desk.0.engine.is_empty() && !desk.0.engine.is_suspended(&dag()));
    // It comes while that is being stored.
    desk.0.now.wall = time("0730");
    desk.play(&[("suspend", "commit 2 suspend")]);
    assert_eq!(
        desk.install(Installed {
            watermark: None,
            ..catching_up()
        }),
        ""
    );
    desk.play(&[("ok 2", "yes 2, idle"), ("at 0800", "")]);
    assert_eq!(desk.give(Event::Uninstall(dag())), "");
}

#[test]
fn what_failed_before_does_not_keep_a_person_waiting() {
    let mut desk = Desk::quiet("0730", catching_up());
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("io 1", "0800 delayed (broken), unmake s0800, idle"),
        ("suspend", "commit 2 suspend"),
        ("ok 2", "yes 1, idle"),
        ("at 080001", ""),
    ]);
}
