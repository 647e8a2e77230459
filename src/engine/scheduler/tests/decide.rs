//! Runs that wait for a person, and what a decision does.

use super::super::api::{Evidence, Origin, Recovered, Retrying};
use super::{Bed, Event, attempt, bed_at, end, group, run};
use crate::model::{RunStatus, StopReason};

#[test]
fn a_run_that_waits_is_cleaned_up_and_leaves_memory_and_its_slot() {
    let mut bed = bed_at(5);
    bed.play(&[
        ("submit b", "commit 5 accept"),
        ("ok 5", "yes 2, changed"),
        ("waits a1", "commit 6 end-waiting"),
        ("ok 6", "changed, over"),
        ("gone a1", "clean, commit 7 intend b1"),
        ("cleaned a1", "commit 8 clean"),
        ("ok 8", ""),
    ]);
    assert_eq!(bed.engine.counts().runs, 1, "b alone");
}

#[test]
fn an_approved_run_comes_into_the_queue_with_its_decision() {
    let mut bed = Bed::new();
    bed.play(&[
        ("decide a", "commit 1 decide+requeue"),
        ("decide a", "no 2 queued"),
        ("submit a", ""),
        ("ok 1", "yes 1, no 3 exists, changed, commit 2 intend a2"),
        ("decide a", "no 4 running"),
    ]);
    // What can be decided is refused while the daemon leaves.
    let mut bed = Bed::new();
    bed.play(&[
        ("drain", "idle"),
        ("decide a", "no 1 draining"),
        ("end-waiting a", "no 2 draining"),
    ]);
}

#[test]
fn a_decision_that_cannot_be_stored_or_comes_too_late_changes_nothing() {
    let mut bed = Bed::new();
    bed.play(&[
        ("late-decide a", "no 1 failed, idle"),
        ("decide a", "commit 1 decide+requeue"),
        ("exists 1", "no 2 queued, idle"),
        ("decide a", "commit 2 decide+requeue"),
        ("full 2", "no 3 the disk is full: no space, idle"),
        ("end-waiting a", "commit 3 stop+end-queued-aborted"),
        ("io 3", "no 4 broken, idle"),
    ]);
    assert!(bed.engine.is_empty());
}

#[test]
fn a_run_that_waits_is_stopped_without_a_further_attempt() {
    let mut bed = Bed::new();
    bed.play(&[
        ("end-waiting a", "commit 1 stop+end-queued-aborted"),
        ("stop a", ""),
        ("retry a", "no 3 queued"),
        ("ok 1", "yes 1, yes 2, changed, over, idle"),
    ]);
    assert!(bed.engine.is_empty());
}

#[test]
fn a_stop_of_a_run_that_is_being_approved_ends_it_in_the_queue() {
    let mut bed = Bed::new();
    bed.play(&[
        ("decide a", "commit 1 decide+requeue"),
        ("stop a", ""),
        ("ok 1", "yes 1, changed, commit 2 end-queued-aborted"),
        ("ok 2", "yes 2, changed, over, idle"),
    ]);
}

#[test]
fn a_stop_that_the_attempt_did_not_hear_before_it_waited_aborts_the_run() {
    let mut bed = bed_at(5);
    bed.play(&[
        ("stop a", "send-stop, commit 5 stop"),
        ("waits a1", ""),
        ("ok 5", "yes 2, commit 6 end-aborted"),
        ("ok 6", "changed, over"),
    ]);
    // The same where the daemon died between.
    let (group, capacity) = group("a");
    let mut bed = Bed::new();
    let recovered = Recovered {
        run: run("a"),
        group,
        capacity,
        owner: 1000,
        priority: crate::model::Priority::default(),
        now: false,
        dag_limit: 0,
        attempts: 1,
        queued: None,
        live: Some((attempt("a1"), 1, Evidence::Ended(end(RunStatus::Waiting)))),
        unstored_start: None,
        parent: None,
        retry: Retrying::default(),
        origin: Origin::default(),
        stop: Some(StopReason::User { uid: 7 }),
    };
    assert_eq!(bed.give(Event::Recover(vec![recovered])), "commit 1 end-aborted");
}

#[test]
fn a_run_that_waits_is_not_retried() {
    let mut bed = bed_at(5);
    bed.play(&[
        ("waits a1", "commit 5 end-waiting"),
        ("ok 5", "changed, over"),
        ("retry a", ""),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 6 clean"),
        ("ok 6", "no 2 waiting, idle"),
    ]);
}
