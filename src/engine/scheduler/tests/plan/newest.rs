//! With `latest` and `cancel_other` the newest scheduled time counts: an older run is not tried again beside it or after it.

use super::retries::{item, live, pausing, with};
use super::{Desk, time};
use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::api::{Origin, Recovered, Retrying};
use crate::engine::scheduler::{Event, Installed};

/// The run for 08:00 is live, and so is the one for 09:00.
fn both() -> Desk {
    let mut desk = live(with(OverlapPolicy::Latest));
    desk.play(&[
        ("at 0900", "make s0900, commit 5 accept+mark 0900"),
        (
            "ok 5",
            "changed, no-retry, 0900 started s0900, commit 6 intend s09001",
        ),
    ]);
    desk
}

#[test]
fn a_run_that_fails_when_a_newer_one_was_queued_is_not_tried_again() {
    let mut desk = both();
    desk.play(&[("fails s08001", "commit 7 end-failed"), ("ok 7", "changed, over")]);
    // Nor is one that is lost.
    let mut desk = both();
    desk.play(&[
        ("gone s08001", "commit 7 end-failed-lost"),
        ("ok 7", "changed, over, clean"),
    ]);
    // It ends while the newer one is being stored, which may fail.
    let mut desk = live(with(OverlapPolicy::Latest));
    desk.play(&[
        ("at 0900", "make s0900, commit 5 accept+mark 0900"),
        ("fails s08001", "commit 6 end-failed+retry-later 1"),
        ("ok 6", "changed"),
        // As of everything that makes way, nothing of it lives when the newer one starts.
        ("ok 5", "changed, commit 7 cancel-retry, 0900 started s0900"),
        ("ok 7", "over"),
        ("gone s08001", "clean, commit 8 intend s09001"),
    ]);
    // The newer one itself is.
    let mut desk = both();
    desk.play(&[
        ("ok 6", "changed, launch s09001"),
        ("ready s09001", "commit 7 identify"),
        ("ok 7", "open"),
        ("started s09001", "commit 8 start"),
        ("fails s09001", ""),
        ("ok 8", "commit 9 end-failed+retry-later 1"),
    ]);
    // With other policies both are.
    let mut desk = live(with(OverlapPolicy::All));
    desk.play(&[
        ("at 0900", "make s0900, commit 5 accept+mark 0900"),
        ("fails s08001", "commit 6 end-failed+retry-later 1"),
    ]);
}

#[test]
fn the_supervisor_of_a_run_that_gives_way_is_told_so_before_it_starts() {
    let desk = both();
    let run = |id: &str| crate::model::RunRef {
        dag: super::dag(),
        id: super::long(id).parse().unwrap(),
    };
    assert_eq!(desk.0.engine.retried_on(&run("s0800")), None);
    assert_eq!(desk.0.engine.retried_on(&run("s0900")), Some(Vec::new()));
}

/// What a killed daemon has left: the run for 08:00 waits for its retry, the one for 09:00 in the queue.
fn left() -> Vec<Recovered> {
    let origin = |at: &str| Origin {
        created_at: time(at),
        scheduled_for: Some(time(at)),
    };
    let old = Recovered {
        stop: None,
        owner: 1000,
        origin: origin("0800"),
        ..item("s0800", None)
    };
    let new = Recovered {
        attempts: 0,
        queued: Some(1),
        stop: None,
        owner: 1000,
        retry: Retrying::default(),
        origin: origin("0900"),
        ..item("s0900", None)
    };
    vec![old, new]
}

#[test]
fn a_pending_retry_that_a_killed_daemon_left_beside_a_newer_run_is_given_up() {
    for overlap in [
        OverlapPolicy::Latest,
        OverlapPolicy::CancelOther,
        OverlapPolicy::All,
        OverlapPolicy::Skip,
    ] {
        let mut desk = Desk(super::Bed::new());
        desk.0.now.wall = time("0901");
        // Paused, so that nothing starts meanwhile.
        desk.give(Event::Paused(vec!["Template".parse().unwrap()]));
        assert_eq!(desk.give(Event::Recover(left())), "");
        let plan = Installed {
            watermark: Some(time("0900")),
            ..with(overlap)
        };
        let gives_way = matches!(overlap, OverlapPolicy::Latest | OverlapPolicy::CancelOther);
        assert_eq!(
            desk.install(plan),
            if gives_way { "commit 1 cancel-retry" } else { "" }
        );
        if gives_way {
            desk.play(&[("ok 1", "over")]);
        }
    }
}

#[test]
fn an_older_retry_does_not_come_beside_a_newer_one_that_waits_for_its_own() {
    let mut desk = pausing(with(OverlapPolicy::All));
    desk.play(&[
        ("at 0900", "make s0900, commit 7 accept+mark 0900"),
        ("ok 7", "changed, 0900 started s0900, commit 8 intend s09001"),
    ]);
    // The DAG is edited.
    assert_eq!(desk.install(with(OverlapPolicy::Latest)), "commit 9 cancel-retry");
    desk.play(&[("ok 9", "over")]);
}

#[test]
fn the_supervisor_of_a_live_run_is_told_when_a_newer_one_comes_that_no_retry_follows() {
    for (overlap, told) in [(OverlapPolicy::Latest, true), (OverlapPolicy::All, false)] {
        let mut desk = Desk::quiet("0730", with(overlap));
        desk.play(&[
            ("at 0800", "make s0800, commit 1 accept+mark 0800"),
            ("ok 1", "changed, 0800 started s0800, commit 2 intend s08001"),
        ]);
        super::lives(&mut desk, "s0800", 2);
        let run = |id: &str| crate::model::RunRef {
            dag: super::dag(),
            id: super::long(id).parse().unwrap(),
        };
        assert_eq!(desk.tell("at 0900"), "make s0900, commit 5 accept+mark 0900");
        let said = desk.tell("ok 5");
        assert_eq!(said.contains("no-retry"), told, "{said}");
        assert_eq!(desk.0.engine.retried_on(&run("s0800")).is_none(), told);
    }
}
