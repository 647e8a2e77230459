//! What had passed while nothing could start: late, missed, made up for.

use super::{Desk, cron, hourly, lives, roomy, succeeds, time};
use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::api::Origin;
use crate::engine::scheduler::{Event, Installed};
use crate::model::Time;

fn window(hours: u64, overlap: OverlapPolicy) -> Installed {
    Installed {
        catchup_sec: hours * 3600,
        overlap,
        ..hourly()
    }
}

/// Answers every batch with yes until there is none, and returns all outcomes.
fn outcomes(desk: &mut Desk, first: &str) -> Vec<String> {
    let mut all = first.to_owned();
    let mut told = Vec::new();
    let mut number = 0;
    while all.contains(&format!("commit {} ", number + 1)) {
        number += 1;
        let more = desk.tell(&format!("ok {number}"));
        let is_tick = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        told.extend(more.split(", ").filter(is_tick).map(ToOwned::to_owned));
        all = format!("{all}, {more}");
        // A launch that is never answered: the run lives on.
    }
    told
}

#[test]
fn a_start_that_is_late_by_a_minute_is_live_and_one_that_is_later_is_missed() {
    let (_, first) = Desk::new(
        "080100",
        Installed {
            watermark: Some(time("0700")),
            ..hourly()
        },
    );
    assert_eq!(first, "make s0800, commit 1 accept+mark 0800");
    let (mut desk, first) = Desk::new(
        "080101",
        Installed {
            watermark: Some(time("0700")),
            ..hourly()
        },
    );
    assert_eq!(first, "commit 1 mark 0800");
    desk.play(&[
        ("ok 1", "0800 missed, idle"),
        ("at 0900", "make s0900, commit 2 accept+mark 0900"),
    ]);
}

#[test]
fn after_a_long_sleep_only_the_newest_start_is_live() {
    let plan = Installed {
        starts: vec![cron("* * * * *")],
        ..hourly()
    };
    let mut desk = Desk::quiet("0756", plan);
    desk.play(&[
        ("at 080030", "make s0800, commit 1 accept+mark 0800"),
        (
            "ok 1",
            "changed, 0757 missed, 0758 missed, 0759 missed, 0800 started s0800, commit 2 intend s08001",
        ),
    ]);
}

#[test]
fn what_was_missed_inside_the_window_is_made_up_for_in_order() {
    let plan = Installed {
        watermark: Some(time("0300")),
        ..window(3, OverlapPolicy::All)
    };
    let (mut desk, first) = Desk::new("0730", plan);
    assert_eq!(first, "make s0500, commit 1 accept+mark 0500");
    assert_eq!(
        outcomes(&mut desk, &first),
        [
            "0400 missed",
            "0500 made-up s0500",
            "0600 made-up s0600",
            "0700 made-up s0700"
        ]
    );
}

#[test]
fn the_trigger_says_that_it_is_made_up_for() {
    let plan = Installed {
        watermark: Some(time("0600")),
        ..window(3, OverlapPolicy::All)
    };
    let mut bed = super::Bed::new();
    bed.now.wall = time("0730");
    let mut out = Vec::new();
    bed.engine
        .handle(bed.now, Event::Install(Box::new(plan)), &mut out);
    let crate::engine::scheduler::Effect::Make(new) = &out[0] else {
        panic!("{out:?}")
    };
    assert_eq!(new.trigger, crate::model::Trigger::Catchup);
    assert_eq!(
        (new.scheduled_for, new.created_at),
        (Some(time("0700")), time("0730"))
    );
}

#[test]
fn each_policy_has_its_own_way_to_make_up_for_what_was_missed() {
    let told = |overlap| {
        let plan = Installed {
            watermark: Some(time("0400")),
            ..window(24, overlap)
        };
        let (mut desk, first) = Desk::new("080010", plan);
        outcomes(&mut desk, &first)
    };
    assert_eq!(
        told(OverlapPolicy::Skip),
        [
            "0500 made-up s0500",
            "0600 overlapped",
            "0700 overlapped",
            "0800 overlapped"
        ]
    );
    assert_eq!(
        told(OverlapPolicy::All),
        [
            "0500 made-up s0500",
            "0600 made-up s0600",
            "0700 made-up s0700",
            "0800 started s0800"
        ]
    );
    let newest = [
        "0500 replaced",
        "0600 replaced",
        "0700 replaced",
        "0800 started s0800",
    ];
    assert_eq!(told(OverlapPolicy::Latest), newest);
    assert_eq!(told(OverlapPolicy::CancelOther), newest);
}

#[test]
fn stops_and_restarts_are_not_made_up_for() {
    let plan = Installed {
        starts: Vec::new(),
        stops: vec![cron("0 6 * * *")],
        restarts: vec![cron("0 7 * * *")],
        watermark: Some(time("0300")),
        ..window(24, OverlapPolicy::All)
    };
    let (mut desk, first) = Desk::new("0730", plan);
    assert_eq!(first, "commit 1 mark 0700");
    desk.play(&[("ok 1", "0600 missed, 0700 missed, idle")]);
}

#[test]
fn of_more_than_a_thousand_the_newest_are_made_up_for_however_long_it_was() {
    for days in [3, 3000] {
        let plan = Installed {
            starts: vec![cron("* * * * *")],
            watermark: Some(Time::from_secs(time("0000").secs() - days * 86_400)),
            ..window(24 * 4000, OverlapPolicy::All)
        };
        let (mut desk, first) = Desk::new("000010", plan);
        let told = outcomes(&mut desk, &first);
        assert_eq!(told.len(), 1000, "{days} days");
        // 999 minutes before midnight.
        assert_eq!(told[0], "04.0721 made-up s04.0721");
        assert_eq!(told[999], "0000 started s0000");
    }
}

#[test]
fn a_start_that_is_late_only_by_its_jitter_is_not_late() {
    let plan = Installed {
        jitter_sec: 3000,
        watermark: Some(time("0000")),
        ..roomy()
    };
    let (mut desk, _) = Desk::new("000001", plan);
    let due = desk.0.engine.upcoming(None, time("0000"), 1)[0].due;
    assert!(due > time("0101"), "choose another name: this one is not put off");
    let ahead = due.0 + 30_000_000 - desk.0.now.wall.0;
    desk.0.now.boot = crate::model::Boot(u64::try_from(ahead).unwrap());
    desk.0.now.wall = Time(due.0 + 30_000_000);
    assert_eq!(desk.give(Event::Tick), "make s0100, commit 1 accept+mark 0100");
}

fn choosy() -> Installed {
    Installed {
        skip_if_successful: true,
        ..hourly()
    }
}

#[test]
fn a_start_is_left_out_if_a_run_since_the_one_before_succeeded() {
    let mut desk = Desk::quiet("0730", choosy());
    desk.play(&[("at 0745", "")]);
    let new = crate::model::change::NewRun {
        created_at: time("0745"),
        ..*super::new_run("a", 1)
    };
    let told = desk.give(Event::Submit(crate::engine::scheduler::Token(9), Box::new(new)));
    assert_eq!(told, "commit 1 accept");
    desk.play(&[("ok 1", "yes 9, changed, commit 2 intend a1")]);
    lives(&mut desk, "a", 2);
    succeeds(&mut desk, "a", 5);
    desk.play(&[
        ("at 0800", "commit 7 mark 0800"),
        ("ok 7", "0800 successful, idle"),
        // That success was before the start at 08:00.
        ("at 0900", "make s0900, commit 8 accept+mark 0900"),
        ("ok 8", "changed, 0900 started s0900, commit 9 intend s09001"),
    ]);
    lives(&mut desk, "s0900", 9);
    succeeds(&mut desk, "s0900", 12);
    // The run for 09:00 has done the work of 09:00.
    desk.play(&[("at 1000", "make s1000, commit 14 accept+mark 1000")]);
}

#[test]
fn what_the_store_knows_of_successes_counts_too() {
    let plan = |success: &str| Installed {
        last_success: Some(time(success)),
        watermark: Some(time("0730")),
        ..choosy()
    };
    assert_eq!(Desk::new("0800", plan("0701")).1, "commit 1 mark 0800");
    assert_eq!(
        Desk::new("0800", plan("0700")).1,
        "make s0800, commit 1 accept+mark 0800"
    );
    let origin = Origin {
        created_at: time("0730"),
        scheduled_for: Some(time("0700")),
    };
    assert_eq!(origin.counts_for(), time("0700"));
    assert_eq!(
        Origin {
            scheduled_for: None,
            ..origin
        }
        .counts_for(),
        time("0730")
    );
}

#[test]
fn a_success_from_a_time_when_the_clock_was_wrong_leaves_out_nothing() {
    let plan = Installed {
        last_success: Some(time("08.0000")),
        watermark: Some(time("0730")),
        ..choosy()
    };
    assert_eq!(Desk::new("0800", plan).1, "make s0800, commit 1 accept+mark 0800");
    // The clock is put back by more hours than a watermark is believed for.
    let mut desk = Desk::quiet("0930", choosy());
    desk.play(&[
        ("at 1000", "make s1000, commit 1 accept+mark 1000"),
        ("ok 1", "changed, 1000 started s1000, commit 2 intend s10001"),
    ]);
    lives(&mut desk, "s1000", 2);
    succeeds(&mut desk, "s1000", 5);
    desk.play(&[
        ("set 0430", "commit 7 mark 0430"),
        ("ok 7", "idle"),
        ("at 0500", "make s0500, commit 8 accept+mark 0500"),
    ]);
    // It ends after that.
    let mut desk = Desk::quiet("0930", choosy());
    desk.play(&[
        ("at 1000", "make s1000, commit 1 accept+mark 1000"),
        ("ok 1", "changed, 1000 started s1000, commit 2 intend s10001"),
    ]);
    lives(&mut desk, "s1000", 2);
    desk.play(&[("set 0430", "commit 5 mark 0430"), ("ok 5", "")]);
    succeeds(&mut desk, "s1000", 6);
    desk.play(&[("at 0500", "make s0500, commit 8 accept+mark 0500")]);
}

#[test]
fn a_start_is_not_made_up_for_if_the_stop_after_it_has_passed_too() {
    for (overlap, last) in [(OverlapPolicy::All, "1300"), (OverlapPolicy::Latest, "1300")] {
        let plan = Installed {
            starts: vec![cron("0 * * * *"), cron("15 12 * * *")],
            stops: vec![cron("30 12 * * *")],
            watermark: Some(time("1130")),
            ..window(2, overlap)
        };
        let (mut desk, first) = Desk::new("1320", plan);
        assert_eq!(first, format!("make s{last}, commit 1 accept+mark {last}"));
        assert_eq!(
            outcomes(&mut desk, &first),
            [
                "1200 stop-passed",
                "1215 stop-passed",
                "1230 missed",
                "1300 made-up s1300"
            ]
        );
    }
    // The stop is in time: what it would end is not begun.
    let plan = Installed {
        stops: vec![cron("30 12 * * *")],
        watermark: Some(time("1130")),
        ..window(2, OverlapPolicy::All)
    };
    let (mut desk, first) = Desk::new("123010", plan);
    assert_eq!(first, "commit 1 mark 1230");
    assert_eq!(
        outcomes(&mut desk, &first),
        ["1200 stop-passed", "1230 stopped-0"]
    );
}
