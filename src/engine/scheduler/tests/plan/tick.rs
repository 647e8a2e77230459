//! What a tick does, and when.

use super::{Desk, cron, dag, hourly, lives, roomy, succeeds, time};
use crate::engine::scheduler::{Effect, Event, Installed, TickKind};
use crate::model::{Boot, Time, Trigger};

fn minute_of(seconds: i64) -> Time {
    Time(time("0000").0 + seconds * 1_000_000)
}

#[test]
fn a_tick_makes_a_run_in_one_batch_with_the_watermark() {
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("at 0759", ""),
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("ok 1", "changed, 0800 started s0800, commit 2 intend s08001"),
    ]);
    lives(&mut desk, "s0800", 2);
    succeeds(&mut desk, "s0800", 5);
    desk.play(&[("at 0900", "make s0900, commit 7 accept+mark 0900")]);
}

#[test]
fn a_run_of_a_schedule_is_like_its_template_but_for_what_is_its_own() {
    let mut desk = Desk::quiet("0730", hourly()).0;
    desk.now.wall = time("0800");
    desk.now.boot = Boot(30 * 60 * 1_000_000);
    let mut out = Vec::new();
    desk.engine.handle(desk.now, Event::Tick, &mut out);
    let Effect::Make(new) = &out[0] else {
        panic!("{out:?}")
    };
    let mut template = (*hourly().template).clone();
    template.run = new.run.clone();
    template.trigger = Trigger::Scheduler;
    template.created_at = time("0800");
    template.scheduled_for = Some(time("0800"));
    assert_eq!(**new, template);
}

#[test]
fn equal_times_of_several_expressions_are_one_tick() {
    let plan = Installed {
        starts: vec![cron("0 * * * *"), cron("0 8 * * *"), cron("*/30 * * * *")],
        ..hourly()
    };
    let mut desk = Desk::quiet("0745", plan);
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("ok 1", "changed, 0800 started s0800, commit 2 intend s08001"),
        ("at 0829", ""),
        ("at 0830", "commit 3 mark 0830"),
    ]);
}

#[test]
fn one_timer_is_armed_for_the_first_of_all_plans_and_again_if_it_comes_too_early() {
    let mut bed = Desk::quiet("0730", hourly()).0;
    let minute = 60_000_000;
    let at = |minutes: u64| vec![Effect::Arm(Boot(minutes * minute))];
    let give = |bed: &mut super::Bed, event| {
        let mut out = Vec::new();
        bed.engine.handle(bed.now, event, &mut out);
        out
    };
    let other = |name: &str, expression: &str| Installed {
        dag: name.parse().unwrap(),
        starts: vec![cron(expression)],
        watermark: Some(time("0730")),
        ..hourly()
    };
    // At 08:00 the first one is due; a later one changes nothing.
    assert_eq!(
        give(&mut bed, Event::Install(Box::new(other("late", "0 9 * * *")))),
        []
    );
    assert_eq!(
        give(&mut bed, Event::Install(Box::new(other("soon", "45 7 * * *")))),
        at(15)
    );
    assert_eq!(give(&mut bed, Event::Uninstall("soon".parse().unwrap())), at(30));
    // The clocks do not run alike.
    bed.now.boot = Boot(30 * minute);
    bed.now.wall = time("0759");
    assert_eq!(give(&mut bed, Event::Tick), at(31));
    bed.now.wall = time("0758");
    assert_eq!(give(&mut bed, Event::ClockSet), at(32));
}

#[test]
fn jitter_puts_a_start_off_by_what_is_the_same_for_its_time_and_never_to_the_next_tick() {
    let plan = |jitter_sec, starts: &str| Installed {
        jitter_sec,
        starts: vec![cron(starts)],
        ..roomy()
    };
    let desk = Desk::quiet("0000", plan(600, "0 * * * *")).0;
    let coming = desk.engine.upcoming(None, time("0000"), 200);
    let waits: Vec<i64> = coming
        .iter()
        .map(|tick| tick.due.secs() - tick.at.secs())
        .collect();
    assert!(waits.iter().all(|wait| (0..=600).contains(wait)), "{waits:?}");
    assert!(
        waits.iter().any(|wait| *wait > 300) && waits.iter().any(|wait| *wait < 300),
        "{waits:?}"
    );
    let again = Desk::quiet("0000", plan(600, "0 * * * *")).0;
    assert_eq!(again.engine.upcoming(None, time("0000"), 200), coming);
    // It acts when it is due, for the time that is scheduled.
    let mut desk = Desk(desk);
    let (first, due) = (coming[0].at, coming[0].due.0 - time("0000").0);
    assert!(
        waits[0] > 0,
        "this DAG's 01:00 is put off: choose another name if it is not"
    );
    assert_eq!(first, time("0100"));
    desk.0.now.wall = Time(coming[0].due.0 - 1);
    desk.0.now.boot = Boot(u64::try_from(due).unwrap() - 1);
    assert_eq!(desk.give(Event::Tick), "");
    desk.0.now.wall = coming[0].due;
    desk.0.now.boot = Boot(u64::try_from(due).unwrap());
    assert_eq!(desk.give(Event::Tick), "make s0100, commit 1 accept+mark 0100");
    // An hour of jitter and a minute between the starts: each comes before the next.
    let desk = Desk::quiet("0000", plan(3600, "* * * * *")).0;
    let coming = desk.engine.upcoming(None, time("0000"), 200);
    for (one, next) in coming.iter().zip(&coming[1..]) {
        assert!(one.due < next.at && one.due >= one.at, "{one:?} {next:?}");
    }
}

#[test]
fn a_stop_tick_stops_what_is_live_and_leaves_what_waits() {
    let plan = Installed {
        stops: vec![cron("30 * * * *")],
        overlap: crate::dag::types::OverlapPolicy::All,
        ..hourly()
    };
    let mut desk = Desk::quiet("0715", plan);
    desk.play(&[
        ("at 0730", "commit 1 mark 0730"),
        ("ok 1", "0730 stopped-0, idle"),
        ("at 0800", "make s0800, commit 2 accept+mark 0800"),
        ("ok 2", "changed, 0800 started s0800, commit 3 intend s08001"),
    ]);
    lives(&mut desk, "s0800", 3);
    desk.play(&[
        ("submit a", "commit 6 accept"),
        ("ok 6", "yes 1, changed"),
        ("at 0830", "commit 7 stop+mark 0830"),
        ("ok 7", "ensure-stop, 0830 stopped-1"),
        // The stop is stored: a person's is a further one, and needs no batch.
        ("stop s0800", "send-stop, yes 2"),
        ("gone s08001", "commit 8 end-failed-lost, commit 9 intend a1"),
    ]);
}

#[test]
fn a_restart_tick_stops_what_is_live_and_starts_when_it_is_gone() {
    let plan = Installed {
        starts: vec![cron("0 8 * * *")],
        restarts: vec![cron("0 9 * * *")],
        ..roomy()
    };
    let mut desk = Desk::quiet("0730", plan);
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("ok 1", "changed, 0800 started s0800, commit 2 intend s08001"),
    ]);
    lives(&mut desk, "s0800", 2);
    desk.play(&[
        ("at 0900", "make r0900, commit 5 stop+accept+mark 0900"),
        // There is room for two, but it waits for the old one.
        ("ok 5", "ensure-stop, changed, 0900 started r0900"),
        ("ended s08001", "commit 6 end-succeeded"),
        ("gone s08001", "commit 7 intend r09001"),
    ]);
}

#[test]
fn a_stop_and_a_start_for_one_time_are_a_restart() {
    let plan = Installed {
        stops: vec![cron("0 8 * * *")],
        ..hourly()
    };
    let mut desk = Desk::quiet("0730", plan);
    let kinds: Vec<TickKind> = desk
        .0
        .engine
        .upcoming(Some(&dag()), time("0630"), 3)
        .iter()
        .map(|tick| tick.kind)
        .collect();
    // What is decided does not come again.
    assert_eq!(kinds, [TickKind::Restart, TickKind::Start, TickKind::Start]);
    desk.play(&[("at 0800", "make r0800, commit 1 accept+mark 0800")]);
}

#[test]
fn what_comes_is_told_of_one_dag_and_of_all_in_order() {
    let mut desk = Desk::quiet("0730", hourly()).0;
    let other = Installed {
        dag: "other".parse().unwrap(),
        starts: vec![cron("15 8 * * *")],
        stops: vec![cron("30 8 * * *")],
        suspended: true,
        watermark: Some(time("0730")),
        ..hourly()
    };
    desk.give(Event::Install(Box::new(other)));
    let told = |only: Option<&str>, count| {
        let only = only.map(|name| name.parse().unwrap());
        let coming = desk.engine.upcoming(only.as_ref(), time("0730"), count);
        let words: Vec<String> = coming
            .iter()
            .map(|tick| {
                let held = if tick.suspended { " held" } else { "" };
                format!("{} {} {:?}{held}", super::clock(tick.at), tick.dag, tick.kind)
            })
            .collect();
        words.join(", ")
    };
    assert_eq!(
        told(None, 4),
        "0800 dag Start, 0815 other Start held, 0830 other Stop held, 0900 dag Start"
    );
    assert_eq!(told(Some("dag"), 2), "0800 dag Start, 0900 dag Start");
    assert_eq!(told(Some("none"), 2), "");
    assert_eq!(desk.engine.upcoming(None, minute_of(60), 0), []);
}
