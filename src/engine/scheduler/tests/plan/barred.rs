//! DAGs whose users may start nothing.

use std::collections::BTreeSet;

use super::{Bed, Desk, cron, dag, hourly, time};
use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::{Event, Installed};

fn bar(desk: &mut Desk, on: bool) -> String {
    let dags: BTreeSet<_> = on.then(dag).into_iter().collect();
    desk.give(Event::Barred {
        dags,
        unsure: BTreeSet::new(),
    })
}

fn unsure(desk: &mut Desk) -> String {
    desk.give(Event::Barred {
        dags: BTreeSet::new(),
        unsure: BTreeSet::from([dag()]),
    })
}

#[test]
fn nothing_is_started_while_its_user_may_not_and_nothing_of_that_time_is_made_up_for() {
    let plan = Installed {
        catchup_sec: 86_400,
        overlap: OverlapPolicy::All,
        stops: vec![cron("30 8 * * *")],
        restarts: vec![cron("45 8 * * *")],
        ..hourly()
    };
    let mut desk = Desk::quiet("0730", plan);
    let next = |desk: &Desk| desk.0.engine.next_due().map(|(_, due, ..)| due);
    assert_eq!(next(&desk), Some(time("0800")));
    assert_eq!(bar(&mut desk, true), "");
    assert_eq!(next(&desk), None, "a start that does not come is not the next");
    desk.play(&[("at 0800", "commit 1 mark 0800"), ("ok 1", "0800 barred, idle")]);
    assert_eq!(next(&desk), Some(time("0830")), "a stop comes");
    desk.play(&[
        ("at 0830", "commit 2 mark 0830"),
        ("ok 2", "0830 stopped-0, idle"),
        ("at 0845", "commit 3 mark 0845"),
        ("ok 3", "0845 barred, idle"),
    ]);
    assert_eq!(bar(&mut desk, false), "");
    desk.play(&[("at 0900", "make s0900, commit 4 accept+mark 0900")]);
}

#[test]
fn what_was_missed_is_left_out_as_well() {
    let plan = Installed {
        catchup_sec: 86_400,
        overlap: OverlapPolicy::All,
        watermark: Some(time("0600")),
        ..hourly()
    };
    let mut bed = Bed::new();
    bed.now.wall = time("0830");
    let mut desk = Desk(bed);
    bar(&mut desk, true);
    assert_eq!(desk.install(plan), "commit 1 mark 0800");
    desk.play(&[("ok 1", "0700 barred, 0800 barred, idle")]);
}

#[test]
fn a_run_that_is_being_made_is_made() {
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[("at 0800", "make s0800, commit 1 accept+mark 0800")]);
    bar(&mut desk, true);
    desk.play(&[("ok 1", "changed, 0800 started s0800, commit 2 intend s08001")]);
}

#[test]
fn what_is_due_waits_until_it_is_known_whether_its_user_may() {
    let mut desk = Desk::quiet("0730", hourly());
    assert_eq!(unsure(&mut desk), "");
    desk.play(&[("at 0800", "")]);
    assert_eq!(bar(&mut desk, false), "make s0800, commit 1 accept+mark 0800");
}

#[test]
fn what_is_due_is_left_out_when_it_is_known_that_its_user_may_not() {
    let mut desk = Desk::quiet("0730", hourly());
    unsure(&mut desk);
    desk.play(&[("at 0800", "")]);
    assert_eq!(bar(&mut desk, true), "commit 1 mark 0800");
    desk.play(&[("ok 1", "0800 barred, idle")]);
}

#[test]
fn what_waited_too_long_for_that_was_missed_or_is_made_up_for() {
    let mut desk = Desk::quiet("0730", hourly());
    unsure(&mut desk);
    desk.play(&[
        ("at 0800", ""),
        ("at 0801", ""),
        ("at 0802", "commit 1 mark 0800"),
        ("ok 1", "0800 missed, idle"),
    ]);
    assert_eq!(bar(&mut desk, false), "");
    let plan = Installed {
        catchup_sec: 86_400,
        ..hourly()
    };
    let mut desk = Desk::quiet("0730", plan);
    unsure(&mut desk);
    desk.play(&[("at 0800", ""), ("at 0802", ""), ("at 0830", "")]);
    let started = bar(&mut desk, false);
    assert!(started.contains("make s0800"), "{started}");
}

#[test]
fn a_stop_does_not_wait_for_it() {
    let plan = Installed {
        catchup_sec: 86_400,
        stops: vec![cron("30 8 * * *")],
        ..hourly()
    };
    let mut desk = Desk::quiet("0730", plan);
    unsure(&mut desk);
    desk.play(&[
        ("at 0800", ""),
        ("at 0830", "commit 1 mark 0830"),
        ("ok 1", "0800 stop-passed, 0830 stopped-0, idle"),
    ]);
}
