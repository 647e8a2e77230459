//! A DAG that is installed, replaced and removed.

use super::{Desk, cron, hourly, time};
use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::{Event, Installed};
use crate::model::{Boot, Time};

pub(super) fn every(minutes: &str) -> Installed {
    Installed {
        starts: vec![cron(&format!("{minutes} * * * *"))],
        catchup_sec: 86_400,
        overlap: OverlapPolicy::All,
        ..hourly()
    }
}

#[test]
fn a_new_dag_counts_from_today_even_if_the_daemon_ends_before_its_first_tick() {
    let plan = Installed {
        watermark: None,
        ..every("0")
    };
    let (mut desk, first) = Desk::new("0730", plan);
    assert_eq!(first, "commit 1 mark 0730");
    desk.play(&[
        ("full 1", "idle"),
        ("at 073001", "commit 2 mark 0730"),
        ("ok 2", "idle"),
    ]);
    desk.play(&[("at 0800", "make s0800, commit 3 accept+mark 0800")]);
}

#[test]
fn another_schedule_counts_from_now_on_and_says_nothing_of_the_past() {
    let mut desk = Desk::quiet("0730", hourly());
    assert_eq!(desk.install(every("*/10")), "commit 1 mark 0730");
    desk.play(&[
        ("ok 1", "idle"),
        ("at 0740", "make s0740, commit 2 accept+mark 0740"),
    ]);
    // The same schedule again changes nothing, and nothing is written for it.
    let mut desk = Desk::quiet("0730", every("0"));
    assert_eq!(desk.install(every("0")), "");
    desk.play(&[("at 0800", "make s0800, commit 1 accept+mark 0800")]);
}

#[test]
fn what_was_due_by_the_old_schedule_is_decided_under_the_new_version() {
    let plan = Installed {
        watermark: Some(time("0500")),
        ..every("0")
    };
    let (mut desk, first) = Desk::new("0730", plan);
    assert_eq!(first, "make s0600, commit 1 accept+mark 0600");
    assert_eq!(desk.install(every("15")), "");
    desk.play(&[
        (
            "ok 1",
            "changed, 0600 made-up s0600, make s0700, commit 2 accept+mark 0700, commit 3 intend s06001",
        ),
        ("ok 2", "changed, 0700 made-up s0700, commit 4 mark 0730"),
        ("ok 4", ""),
        ("at 0800", ""),
        ("at 0815", "make s0815, commit 5 accept+mark 0815"),
    ]);
}

#[test]
fn a_tick_whose_batch_fails_after_the_change_is_tried_again() {
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[("at 0800", "make s0800, commit 1 accept+mark 0800")]);
    assert_eq!(desk.install(every("15")), "");
    desk.play(&[
        ("io 1", "0800 delayed (broken), unmake s0800, idle"),
        ("at 080001", "make s0800, commit 2 accept+mark 0800"),
        ("ok 2", "changed, 0800 started s0800, commit 3 intend s08001"),
        ("at 0815", "make s0815, commit 4 accept+mark 0815"),
    ]);
}

#[test]
fn a_dag_that_goes_while_its_run_is_being_stored_has_the_run_and_no_more() {
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("uninstall", ""),
        ("ok 1", "changed, 0800 started s0800, commit 2 intend s08001"),
        ("at 0900", ""),
    ]);
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("uninstall", ""),
        ("io 1", "0800 delayed (broken), unmake s0800, idle"),
        ("at 0900", ""),
    ]);
    assert!(desk.0.engine.is_empty());
}

#[test]
fn a_dag_that_goes_and_comes_back_meanwhile_starts_nothing_twice() {
    for (answer, expected) in [
        ("ok 1", "changed, 0800 started s0800, commit 2 intend s08001"),
        ("io 1", "0800 delayed (broken), unmake s0800, idle"),
    ] {
        let mut desk = Desk::quiet("0730", hourly());
        desk.play(&[
            ("at 0800", "make s0800, commit 1 accept+mark 0800"),
            ("uninstall", ""),
        ]);
        let again = Installed {
            watermark: Some(time("0730")),
            ..every("0")
        };
        assert_eq!(desk.install(again), "");
        desk.play(&[
            (answer, expected),
            (
                "at 080001",
                if answer == "ok 1" {
                    ""
                } else {
                    "make s0800, commit 2 accept+mark 0800"
                },
            ),
        ]);
    }
}

#[test]
fn the_next_dag_of_the_name_tells_its_own_watermark_whatever_was_on_its_way() {
    // What is on its way is for the same time, or for a later one if the clock was put back.
    let new = || Installed {
        watermark: None,
        ..hourly()
    };
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("uninstall", ""),
        ("forget", ""),
    ]);
    assert_eq!(desk.install(new()), "");
    desk.play(&[(
        "ok 1",
        "changed, 0800 started s0800, commit 2 mark 0800, commit 3 intend s08001",
    )]);
    let (mut desk, first) = Desk::new("0830", new());
    assert_eq!(first, "commit 1 mark 0830");
    desk.play(&[("uninstall", ""), ("forget", "")]);
    desk.0.now.wall = time("0730");
    assert_eq!(desk.install(new()), "");
    desk.play(&[
        ("ok 1", "commit 2 mark 0730"),
        ("ok 2", "idle"),
        ("at 0800", "make s0800, commit 3 accept+mark 0800"),
    ]);
}

/// At a minute past the hour, when the tick of the hour is put off by more than that: the desk, and the hour.
fn waiting() -> (Desk, String) {
    let plan = Installed {
        jitter_sec: 3_000,
        ..hourly()
    };
    let mut desk = Desk::quiet("0730", plan);
    let coming = desk.0.engine.upcoming(None, time("0730"), 12);
    let long = coming
        .iter()
        .find(|tick| tick.due.secs() - tick.at.secs() > 300)
        .unwrap();
    let hour = super::clock(long.at);
    let watermark = Some(Time(long.at.0 - 1));
    let plan = Installed {
        watermark,
        jitter_sec: 3_000,
        ..hourly()
    };
    desk = Desk::quiet(&hour, hourly());
    desk.tell("uninstall");
    assert_eq!(desk.install(plan), "");
    desk.play(&[(&format!("at {}02", hour.get(..2).unwrap()), "")]);
    (desk, hour)
}

#[test]
fn a_tick_that_is_put_off_comes_at_once_with_less_jitter() {
    // The same schedule with less jitter, or with none.
    let edits = [
        hourly(),
        Installed {
            jitter_sec: 1,
            ..hourly()
        },
    ];
    for edit in edits {
        let (mut desk, hour) = waiting();
        let told = format!("make s{hour}, commit 1 accept+mark {hour}");
        assert_eq!(desk.install(edit), told);
    }
}

#[test]
fn less_jitter_makes_nothing_late_that_waits_behind_a_batch() {
    let (mut desk, hour) = waiting();
    desk.play(&[("suspend", "commit 1 suspend")]);
    assert_eq!(desk.install(hourly()), "");
    let told = format!("no 1 broken, make s{hour}, commit 2 accept+mark {hour}");
    desk.play(&[("io 1", told.as_str())]);
}

/// The start at 08:00, of one at each full hour, is on its way to the store.
fn eight_is_in_flight() -> Desk {
    let mut desk = Desk::quiet("0730", every("0"));
    desk.play(&[("at 0800", "make s0800, commit 1 accept+mark 0800")]);
    desk
}

#[test]
fn a_clock_that_is_put_back_brings_nothing_of_a_new_schedule_from_before_the_edit() {
    let mut desk = eight_is_in_flight();
    desk.play(&[("at 1030", "")]);
    assert_eq!(desk.install(every("*/10")), "");
    desk.play(&[
        ("set 0935", ""),
        (
            "ok 1",
            "changed, 0800 started s0800, make s0900, commit 2 accept+mark 0900, commit 3 intend s08001",
        ),
        ("ok 2", "changed, 0900 made-up s0900, commit 4 mark 1030"),
        ("ok 4", ""),
        ("at 1035", ""),
        ("at 1040", "make s1040, commit 5 accept+mark 1040"),
    ]);
}

#[test]
fn a_clock_that_is_put_back_before_an_edit_takes_what_is_not_due_any_more_with_it() {
    let mut desk = eight_is_in_flight();
    desk.play(&[
        ("io 1", "0800 delayed (broken), unmake s0800, idle"),
        ("set 1030", ""),
        ("set 0835", ""),
    ]);
    // By the old schedule 09:00 was due meanwhile, and is not any more; 08:00 still is.
    assert_eq!(desk.install(every("50")), "");
    desk.play(&[
        ("set 0910", ""),
        ("at 091001", "make s0800, commit 2 accept+mark 0800"),
        (
            "ok 2",
            "changed, 0800 started s0800, make s0850, commit 3 accept+mark 0850, commit 4 intend s08001",
        ),
        ("ok 3", "changed, 0850 made-up s0850"),
        ("at 0949", ""),
    ]);
}

#[test]
fn what_was_never_scheduled_before_an_edit_does_not_come_by_going_and_coming_back() {
    let mut desk = Desk::quiet("0730", every("0"));
    desk.play(&[("at 0735", "")]);
    assert_eq!(desk.install(every("*/10")), "commit 1 mark 0735");
    desk.play(&[("uninstall", "")]);
    let back = Installed {
        watermark: Some(time("0730")),
        ..every("*/2")
    };
    assert_eq!(desk.install(back), "");
    // It is tried again if it was refused.
    desk.play(&[
        ("io 1", "idle"),
        ("at 073501", "commit 2 mark 0735"),
        ("ok 2", "idle"),
        ("at 0736", "make s0736, commit 3 accept+mark 0736"),
    ]);
}

#[test]
fn an_edit_by_a_clock_that_was_far_ahead_counts_from_now_on() {
    let mut desk = eight_is_in_flight();
    desk.play(&[("set 1630", "")]);
    assert_eq!(desk.install(every("*/10")), "");
    desk.play(&[
        ("set 0835", ""),
        (
            "ok 1",
            "changed, 0800 started s0800, commit 2 mark 0835, commit 3 intend s08001",
        ),
        ("ok 2", ""),
        ("at 0840", "make s0840, commit 4 accept+mark 0840"),
    ]);
}

/// Of a start at 01:00 that is put off until this time by its jitter.
fn put_off() -> (Installed, Time) {
    let plan = Installed {
        jitter_sec: 3000,
        ..hourly()
    };
    let (desk, _) = Desk::new("000001", plan.clone());
    let due = desk.0.engine.upcoming(None, time("0000"), 1)[0].due;
    assert!(due > time("0105"), "choose another name: this one is not put off");
    (plan, due)
}

fn at(desk: &mut Desk, at: Time) -> String {
    let ahead = at.0 - desk.0.now.wall.0;
    desk.0.now.boot = Boot(desk.0.now.boot.0 + u64::try_from(ahead).unwrap());
    desk.0.now.wall = at;
    desk.give(Event::Tick)
}

#[test]
fn a_start_that_is_put_off_comes_although_the_schedule_changes_meanwhile() {
    let (plan, due) = put_off();
    let made = "make s0100, commit 2 accept+mark 0100";
    // The new one has it, too.
    let mut desk = Desk::quiet("0030", plan.clone());
    desk.play(&[("at 0101", "")]);
    let daily = Installed {
        starts: vec![cron("0 1 * * *")],
        ..plan.clone()
    };
    assert_eq!(desk.install(daily), "commit 1 mark 005959");
    desk.play(&[("ok 1", "idle")]);
    assert_eq!(at(&mut desk, due), made);
    // Without jitter, or because another time follows sooner, it is due at once; what follows until now never was.
    for changed in [
        Installed {
            starts: vec![cron("0,1 * * * *")],
            jitter_sec: 0,
            ..plan.clone()
        },
        Installed {
            starts: vec![cron("* * * * *")],
            ..plan.clone()
        },
    ] {
        let mut desk = Desk::quiet("0030", plan.clone());
        desk.play(&[("at 0103", "")]);
        assert_eq!(desk.install(changed), "make s0100, commit 1 accept+mark 0100");
        desk.play(&[(
            "ok 1",
            "changed, 0100 started s0100, commit 2 mark 0103, commit 3 intend s01001",
        )]);
    }
    // The new one does not have it.
    let mut desk = Desk::quiet("0030", plan.clone());
    desk.play(&[("at 0101", "")]);
    let other = Installed {
        starts: vec![cron("30 1 * * *")],
        ..plan
    };
    assert_eq!(desk.install(other), "commit 1 mark 0101");
    desk.play(&[("ok 1", "idle")]);
    assert!(!at(&mut desk, due).contains("s0100"));
}

#[test]
fn a_start_that_was_due_before_an_edit_is_not_put_off_by_the_next_one() {
    let (jitter_sec, due) = (put_off().0.jitter_sec, put_off().1);
    let mut plan = every("0");
    plan.watermark = Some(time("04.2330"));
    let (mut desk, first) = Desk::new("0101", plan.clone());
    assert_eq!(first, "make s0000, commit 1 accept+mark 0000");
    plan.jitter_sec = jitter_sec;
    assert_eq!(desk.install(plan.clone()), "");
    plan.starts = vec![cron("0 1 * * *")];
    assert_eq!(desk.install(plan), "");
    let second = "changed, 0000 made-up s0000, make s0100, commit 2 accept+mark 0100, commit 3 intend s00001";
    desk.play(&[
        ("ok 1", second),
        ("ok 2", "changed, 0100 started s0100, commit 4 mark 0101"),
        ("ok 4", ""),
    ]);
    assert_eq!(at(&mut desk, due), "");
}

#[test]
fn a_start_that_is_put_off_comes_although_the_dag_is_enabled_meanwhile_and_is_shown() {
    let (plan, due) = put_off();
    let mut desk = Desk::quiet("0030", plan);
    desk.play(&[
        ("suspend", "commit 1 suspend"),
        ("ok 1", "yes 1, idle"),
        ("at 0101", ""),
    ]);
    let next = |desk: &Desk| {
        let next = desk.0.engine.upcoming(None, desk.0.now.wall, 2);
        next.iter().map(|next| next.at).collect::<Vec<_>>()
    };
    assert_eq!(next(&desk), [time("0100"), time("0200")]);
    desk.play(&[("enable", "commit 2 enable+mark 005959"), ("ok 2", "yes 2, idle")]);
    assert_eq!(next(&desk), [time("0100"), time("0200")]);
    assert_eq!(at(&mut desk, due), "make s0100, commit 3 accept+mark 0100");
    assert_eq!(next(&desk)[0], time("0200"), "it is decided");
}
