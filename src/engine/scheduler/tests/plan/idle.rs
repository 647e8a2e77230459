//! A daemon that leaves when it is idle acts on no schedule.

use std::sync::Arc;

use super::{Bed, Desk, dag, hourly, new_run, time};
use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::{Config, Installed, Scheduler};

#[test]
fn without_schedules_plans_are_shown_and_nothing_is_decided_or_recorded() {
    let mut bed = Bed::new();
    bed.engine = Scheduler::new(Config::default()).without_schedules();
    bed.now.wall = time("0730");
    let mut desk = Desk(bed);
    // That it counts from today would be recorded, and what was missed since yesterday made up for.
    let plan = Installed {
        watermark: None,
        ..hourly()
    };
    assert_eq!(desk.install(plan), "idle");
    let missed = Installed {
        dag: "missed".parse().unwrap(),
        catchup_sec: 86_400,
        overlap: OverlapPolicy::All,
        template: Arc::new(*new_run("missed", 1)),
        ..hourly()
    };
    assert_eq!(desk.install(missed), "");
    desk.play(&[
        ("at 0800", ""),
        ("set 0930", ""),
        // What a person decides is recorded: what was due until it is enabled will not be made up for.
        ("suspend", "commit 1 suspend"),
        ("ok 1", "yes 1, idle"),
        ("enable", "commit 2 enable+mark 0930"),
        ("ok 2", "yes 2, idle"),
        ("at 1000", ""),
    ]);
    let next = desk.0.engine.upcoming(Some(&dag()), time("1030"), 1);
    let next: Vec<_> = next.iter().map(|next| (next.at, next.idle)).collect();
    assert_eq!(next, [(time("1100"), true)]);
}
