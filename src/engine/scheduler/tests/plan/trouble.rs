//! A store that refuses, a daemon that leaves, a clock that is set.

use super::change::every;
use super::{Desk, cron, dag, hourly, time};
use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::{Event, Installed};

#[test]
fn a_run_that_exists_already_was_started_before_and_only_the_watermark_follows() {
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("exists 1", "unmake s0800, commit 2 mark 0800"),
        ("io 2", "idle"),
        ("at 080001", "commit 3 mark 0800"),
        ("ok 3", "0800 started-before, idle"),
    ]);
    // One that is in memory is not even asked for.
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("submit s0800", "commit 1 accept"),
        // Whether it comes to exist is not known yet.
        ("at 0800", ""),
        ("ok 1", "yes 1, changed, commit 2 intend s08001"),
        ("at 080001", "commit 3 mark 0800"),
        ("ok 3", "0800 started-before"),
    ]);
}

#[test]
fn what_cannot_be_stored_is_tried_again_and_told_once() {
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        (
            "full 1",
            "0800 delayed (the disk is full: no space), unmake s0800, idle",
        ),
        ("at 080001", "make s0800, commit 2 accept+mark 0800"),
        ("full 2", "unmake s0800, idle"),
        ("at 080003", "make s0800, commit 3 accept+mark 0800"),
        // Somebody who submits the same run meanwhile is told why not.
        ("submit s0800", ""),
        ("io 3", "no 1 broken, unmake s0800, idle"),
        // However long it takes, it is not missed; what came meanwhile is, but for the newest.
        ("at 1005", "make s0800, commit 4 accept+mark 0800"),
        (
            "ok 4",
            "changed, 0800 started s0800, commit 5 mark 1000, commit 6 intend s08001",
        ),
        ("ok 5", "0900 missed, 1000 missed"),
    ]);
}

#[test]
fn while_a_batch_is_in_flight_the_next_tick_waits() {
    let plan = Installed {
        starts: vec![cron("* * * * *")],
        overlap: OverlapPolicy::All,
        ..hourly()
    };
    let mut desk = Desk::quiet("0759", plan);
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("at 0801", ""),
        (
            "ok 1",
            "changed, 0800 started s0800, make s0801, commit 2 accept+mark 0801, commit 3 intend s08001",
        ),
    ]);
}

#[test]
fn a_stop_tells_of_a_failure_too_and_a_tick_that_does_nothing_tells_nothing() {
    let plan = Installed {
        stops: vec![cron("30 * * * *")],
        ..hourly()
    };
    let mut desk = Desk::quiet("0730", plan);
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("ok 1", "changed, 0800 started s0800, commit 2 intend s08001"),
        ("ok 2", "changed, launch s08001"),
        ("at 0830", "commit 3 stop+mark 0830"),
        ("io 3", "0830 delayed (broken)"),
        ("unmade s08001", "commit 4 end-failed+clean"),
        ("at 083001", "commit 5 mark 0830"),
        ("io 5", ""),
    ]);
}

#[test]
fn a_daemon_that_leaves_decides_nothing_and_the_next_one_does() {
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[("drain", "idle"), ("at 0800", ""), ("set 0900", "")]);
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("drain", ""),
        ("ok 1", "changed, 0800 started s0800, idle"),
    ]);
    // A batch of the plan alone is waited for as well.
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("suspend", "commit 1 suspend"),
        ("drain", ""),
        ("ok 1", "yes 1, idle"),
    ]);
}

#[test]
fn the_clock_goes_back_a_little_and_nothing_comes_twice() {
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("exists 1", "unmake s0800, commit 2 mark 0800"),
        ("ok 2", "0800 started-before, idle"),
        ("set 0615", ""),
        ("at 0700", ""),
        ("at 0800", ""),
        ("at 0900", "make s0900, commit 3 accept+mark 0900"),
    ]);
    // The same when the daemon starts.
    let (mut desk, first) = Desk::new(
        "0615",
        Installed {
            watermark: Some(time("0800")),
            ..hourly()
        },
    );
    assert_eq!(first, "idle");
    // And people can be told why nothing happens, until there is nothing to tell.
    let ahead = |desk: &Desk, at: &str| {
        let engine = &desk.0.engine;
        let next = engine.upcoming(None, time(at), 1).remove(0);
        assert_eq!(next.decided_ahead, engine.decided_ahead(&dag(), time(at)));
        next.decided_ahead
    };
    assert_eq!(ahead(&desk, "0615"), Some(time("0800")));
    assert_eq!(ahead(&desk, "075901"), None);
    desk.play(&[
        ("at 0800", ""),
        ("at 0900", "make s0900, commit 1 accept+mark 0900"),
    ]);
    assert_eq!(ahead(&desk, "0900"), None);
}

#[test]
fn a_watermark_far_ahead_was_made_by_a_wrong_clock() {
    let plan = Installed {
        watermark: Some(time("1030")),
        ..hourly()
    };
    let (mut desk, first) = Desk::new("0715", plan);
    assert_eq!(first, "commit 1 mark 0715");
    desk.play(&[
        ("ok 1", "idle"),
        ("at 0800", "make s0800, commit 2 accept+mark 0800"),
    ]);
    let mut desk = Desk::quiet("1200", hourly());
    desk.play(&[
        ("set 0800", "commit 1 mark 0800"),
        ("io 1", "idle"),
        ("at 080001", "commit 2 mark 0800"),
        ("ok 2", "idle"),
        ("at 0900", "make s0900, commit 3 accept+mark 0900"),
    ]);
}

#[test]
fn an_edit_by_a_clock_that_was_far_ahead_takes_nothing_back_that_is_decided() {
    let mut desk = Desk::quiet("0730", every("0"));
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("set 1630", ""),
    ]);
    assert_eq!(desk.install(every("*/10")), "");
    desk.play(&[
        ("set 0625", ""),
        (
            "ok 1",
            "changed, 0800 started s0800, commit 2 mark 0800, commit 3 intend s08001",
        ),
        ("ok 2", ""),
        ("at 0800", ""),
        ("at 0810", "make s0810, commit 4 accept+mark 0810"),
    ]);
    // Of a new one the store is told from when on it counts, although that could not be stored before.
    let plan = Installed {
        watermark: None,
        ..every("0")
    };
    let (mut desk, first) = Desk::new("0730", plan);
    assert_eq!(first, "commit 1 mark 0730");
    desk.play(&[("set 1630", "")]);
    assert_eq!(desk.install(every("*/10")), "");
    desk.play(&[
        ("set 0625", ""),
        ("full 1", "idle"),
        ("at 062501", "commit 2 mark 0730"),
    ]);
}

#[test]
fn the_clock_goes_ahead_and_what_it_leapt_over_is_missed() {
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("set 1000", "make s1000, commit 1 accept+mark 1000"),
        (
            "ok 1",
            "changed, 0800 missed, 0900 missed, 1000 started s1000, commit 2 intend s10001",
        ),
    ]);
}

#[test]
fn what_a_wrong_clock_made_due_is_not_due_any_more() {
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("set 0900", "make s0900, commit 1 accept+mark 0900"),
        ("io 1", "0900 delayed (broken), unmake s0900, idle"),
        ("set 0731", ""),
        ("at 0732", ""),
        ("at 0800", "make s0800, commit 2 accept+mark 0800"),
    ]);
}

#[test]
fn what_a_wrong_clock_made_too_old_to_be_looked_at_comes_again() {
    let plan = Installed {
        starts: vec![cron("* * * * *")],
        ..hourly()
    };
    let mut desk = Desk::quiet("0730", plan);
    desk.play(&[
        ("set 08.0000", "make s08.0000, commit 1 accept+mark 08.0000"),
        ("set 0731", ""),
        ("io 1", "08.0000 delayed (broken), unmake s08.0000, idle"),
        ("at 073101", "make s0731, commit 2 accept+mark 0731"),
    ]);
}

#[test]
fn what_a_wrong_clock_made_too_old_comes_again_before_what_it_did_not() {
    let plan = Installed {
        starts: vec![cron("* * * * *")],
        overlap: OverlapPolicy::All,
        catchup_sec: 96 * 3600,
        ..hourly()
    };
    let mut desk = Desk::quiet("0730", plan);
    desk.play(&[
        // The newest thousand are looked at.
        ("set 08.0000", "make s07.0721, commit 1 accept+mark 07.0721"),
        ("set 07.0730", ""),
        ("io 1", "07.0721 delayed (broken), unmake s07.0721, idle"),
        // Now others are those, and 07:21 is the tenth before the last.
        ("at 07.073001", "make s06.1451, commit 2 accept+mark 06.1451"),
    ]);
}

#[test]
fn nothing_of_a_plan_is_left_when_it_is_gone() {
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("io 1", "0800 delayed (broken), unmake s0800, idle"),
        ("uninstall", ""),
        ("at 0900", ""),
    ]);
    assert!(desk.0.engine.upcoming(None, time("0700"), 9).is_empty());
    assert_eq!(desk.give(Event::Uninstall(dag())), "");
    assert!(desk.0.engine.is_empty());
}

#[test]
fn a_start_that_is_tried_again_gives_way_to_none_that_is_missed() {
    for overlap in [OverlapPolicy::Latest, OverlapPolicy::CancelOther] {
        let mut desk = Desk::quiet("0730", Installed { overlap, ..hourly() });
        desk.play(&[
            ("at 0800", "make s0800, commit 1 accept+mark 0800"),
            ("io 1", "0800 delayed (broken), unmake s0800, idle"),
            // The machine has slept, and the start at 09:00 is missed.
            ("at 0905", "make s0800, commit 2 accept+mark 0800"),
            (
                "ok 2",
                "changed, 0800 started s0800, commit 3 mark 0900, commit 4 intend s08001",
            ),
            ("ok 3", "0900 missed"),
        ]);
    }
}

#[test]
fn what_could_not_be_stored_is_not_lost_behind_more_than_a_thousand_that_came_since() {
    let plan = Installed {
        starts: vec![cron("* * * * *")],
        ..hourly()
    };
    let mut desk = Desk::quiet("0730", plan);
    desk.play(&[
        // Two that are missed are decided along with it.
        ("at 0733", "make s0733, commit 1 accept+mark 0733"),
        ("io 1", "0733 delayed (broken), unmake s0733, idle"),
        ("at 06.0733", "make s0733, commit 2 accept+mark 0733"),
    ]);
}
