//! Recovery: what each evidence leads to.

use super::super::api::{Evidence, Origin, Recovered, Retrying, StartRecord};
use super::{Bed, attempt, end, group, run};
use crate::engine::scheduler::Event;
use crate::model::change::AttemptIdentity;
use crate::model::{LostCause, Priority, RunStatus, StopReason, Time};

pub(super) fn queued(name: &str, position: u64) -> Recovered {
    let (group, capacity) = group(name);
    Recovered {
        run: run(name),
        group,
        capacity,
        owner: 1000,
        priority: Priority::default(),
        now: false,
        dag_limit: 0,
        attempts: 0,
        queued: Some(position),
        live: None,
        unstored_start: None,
        stop: None,
        parent: None,
        retry: Retrying::default(),
        origin: Origin::default(),
    }
}

pub(super) fn live(name: &str, evidence: Evidence) -> Recovered {
    Recovered {
        attempts: 1,
        queued: None,
        live: Some((attempt(&format!("{name}1")), 1, evidence)),
        ..queued(name, 0)
    }
}

pub(super) fn alive(started: bool) -> Evidence {
    let identity = AttemptIdentity::default();
    Evidence::Alive { identity, started }
}

pub(super) fn recorded(living: bool) -> Evidence {
    Evidence::Recorded {
        status: RunStatus::Failed,
        alive: living.then(AttemptIdentity::default),
    }
}

pub(super) fn lost() -> Evidence {
    let cause = LostCause::Reboot;
    let at = Time(5);
    Evidence::Lost { cause, at }
}

fn stopped(item: Recovered) -> Recovered {
    Recovered {
        stop: Some(StopReason::User { uid: 7 }),
        ..item
    }
}

fn begun(item: Recovered) -> Recovered {
    Recovered {
        unstored_start: Some(StartRecord {
            at: Time(3),
            params: None,
        }),
        ..item
    }
}

#[test]
fn each_evidence_leads_on() {
    let ended = || Evidence::Ended(end(RunStatus::Succeeded));
    let table: Vec<(Recovered, &str)> = vec![
        (queued("a", 4), "commit 1 intend a1"),
        (stopped(queued("a", 4)), "commit 1 end-queued-aborted"),
        (live("a", Evidence::NeverStarted), "clean"),
        (live("a", alive(false)), "adopt a"),
        (live("a", alive(true)), "adopt a"),
        (begun(live("a", alive(true))), "adopt a, commit 1 start"),
        (stopped(live("a", alive(true))), "adopt a, ensure-stop"),
        (live("a", ended()), "commit 1 end-succeeded"),
        (begun(live("a", ended())), "commit 1 start+end-succeeded"),
        (live("a", lost()), "commit 1 end-failed-lost"),
        (begun(live("a", lost())), "commit 1 start+end-failed-lost"),
        (live("a", recorded(false)), "over, clean"),
        (live("a", recorded(true)), "adopt a, over"),
    ];
    for (item, expected) in table {
        let mut bed = Bed::new();
        assert_eq!(bed.give(Event::Recover(vec![item.clone()])), expected, "{item:?}");
        assert_eq!(bed.give(Event::Recover(vec![item])), "", "taken up twice");
    }
    assert_eq!(Bed::new().give(Event::Recover(Vec::new())), "idle");
}

#[test]
fn what_never_started_goes_before_those_that_wait_with_the_same_number() {
    let mut bed = Bed::new();
    let list = vec![queued("b", 9), queued("c", 3), live("a", Evidence::NeverStarted)];
    assert_eq!(bed.give(Event::Recover(list)), "clean");
    bed.play(&[
        ("cleaned a1", "commit 1 unlaunch"),
        ("ok 1", "changed, commit 2 intend a1"),
        ("ok 2", "changed, launch a1"),
        ("unmade a1", "commit 3 end-failed+clean, commit 4 intend c1"),
    ]);
}

#[test]
fn those_that_never_started_keep_their_order() {
    let mut bed = Bed::new();
    let list = ["X", "a", "b"].map(|name| live(name, Evidence::NeverStarted));
    assert_eq!(bed.give(Event::Recover(list.to_vec())), "clean, clean, clean");
    bed.play(&[
        ("cleaned b1", "commit 1 unlaunch"),
        ("ok 1", "changed"),
        ("cleaned a1", "commit 2 unlaunch"),
        ("ok 2", "changed, commit 3 intend a1"),
    ]);
}

#[test]
fn what_never_started_and_was_stopped_ends() {
    let mut bed = Bed::new();
    assert_eq!(
        bed.give(Event::Recover(vec![stopped(live("a", Evidence::NeverStarted))])),
        "clean"
    );
    bed.play(&[
        ("cleaned a1", "commit 1 end-aborted+clean"),
        ("ok 1", "changed, over, idle"),
    ]);
}

#[test]
fn a_shim_left_at_its_gate_is_started_again_at_once() {
    let mut bed = Bed::new();
    assert_eq!(bed.give(Event::Recover(vec![live("a", alive(false))])), "adopt a");
    bed.play(&[
        ("gone a1", "clean"),
        ("cleaned a1", "commit 1 unlaunch"),
        ("ok 1", "changed, commit 2 intend a1"),
    ]);
    // The next one dies on its own.
    bed.play(&[
        ("ok 2", "changed, launch a1"),
        ("ready a1", "commit 3 identify"),
        ("ok 3", "open"),
    ]);
    bed.play(&[
        ("gone a1", "clean"),
        ("cleaned a1", "commit 4 unlaunch"),
        ("ok 4", "changed, arm +500"),
    ]);
    // It may have passed the gate just before the last daemon died.
    let mut bed = Bed::new();
    assert_eq!(bed.give(Event::Recover(vec![live("a", alive(false))])), "adopt a");
    bed.play(&[
        ("started a1", "commit 1 start"),
        ("gone a1", ""),
        ("ok 1", "commit 2 end-failed-lost"),
    ]);
}

#[test]
fn the_living_count_against_capacity_and_the_dead_do_not() {
    for (evidence, counts) in [
        (alive(true), true),
        (alive(false), true),
        (recorded(true), true),
        (Evidence::NeverStarted, true),
        (recorded(false), false),
        (lost(), false),
        (Evidence::Ended(end(RunStatus::Failed)), false),
    ] {
        let mut bed = Bed::new();
        let effects = bed.give(Event::Recover(vec![live("a", evidence.clone()), queued("b", 1)]));
        assert_eq!(!effects.contains("intend b1"), counts, "{evidence:?}: {effects}");
    }
}

#[test]
fn an_end_that_is_stored_is_not_written_again() {
    let mut bed = Bed::new();
    assert_eq!(
        bed.give(Event::Recover(vec![live("a", recorded(true))])),
        "adopt a, over"
    );
    bed.play(&[
        ("started a1", ""),
        ("ended a1", ""),
        ("stop a", "no 1 failed"),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 1 clean"),
        ("ok 1", "idle"),
    ]);
}
