//! Stop and retry in every phase.

use super::{Bed, TO_FORGETTING, bed_at};

#[test]
fn what_is_not_there_cannot_be_stopped() {
    Bed::new().play(&[("stop a", "no 1 not-found, idle")]);
    let mut bed = bed_at(8);
    bed.play(&[("ok 6", "idle"), ("stop a", "no 2 not-found")]);
}

#[test]
fn a_run_stopped_before_it_is_accepted_ends_as_soon_as_it_is() {
    let mut bed = Bed::new();
    bed.play(&[
        ("submit a", "commit 1 accept"),
        ("stop a", ""),
        ("ok 1", "yes 1, changed, commit 2 end-queued-aborted"),
        ("stop a", ""),
        ("ok 2", "yes 2, yes 3, changed, over, idle"),
    ]);
    let mut bed = Bed::new();
    bed.play(&[
        ("submit a", "commit 1 accept"),
        ("stop a", ""),
        ("full 1", "no 1 the disk is full: no space, no 2 not-found, idle"),
    ]);
}

#[test]
fn a_queued_run_ends_without_an_attempt() {
    let mut bed = bed_at(5);
    bed.play(&[
        ("submit b", "commit 5 accept"),
        ("ok 5", "yes 2, changed"),
        ("stop b", "commit 6 end-queued-aborted"),
        ("stop b", ""),
        ("ok 6", "yes 3, yes 4, changed, over"),
    ]);
    assert_eq!(bed.engine.counts().runs, 1);
}

#[test]
fn a_stop_that_cannot_be_stored_is_refused_and_the_run_keeps_its_place() {
    let mut bed = bed_at(5);
    bed.play(&[
        ("submit b", "commit 5 accept"),
        ("ok 5", "yes 2, changed"),
        ("submit c", "commit 6 accept"),
        ("ok 6", "yes 3, changed"),
        ("stop b", "commit 7 end-queued-aborted"),
        ("full 7", "no 4 the disk is full: no space"),
        ("ended a1", "commit 8 end-succeeded"),
        ("gone a1", "commit 9 intend b1"),
    ]);
}

#[test]
fn a_delayed_run_can_be_stopped() {
    bed_at(1).play(&[
        ("io 2", "arm +500"),
        ("stop a", "commit 3 end-queued-aborted"),
        ("tick 500", ""),
        ("ok 3", "yes 2, changed, over, idle"),
    ]);
}

#[test]
fn before_the_gate_a_stop_means_that_nothing_runs() {
    // Intending: nothing is launched.
    bed_at(1).play(&[
        ("stop a", ""),
        ("ok 2", "commit 3 stop+end-aborted+clean"),
        ("stop a", ""),
        ("ok 3", "yes 2, yes 3, changed, over, idle"),
    ]);
    bed_at(1).play(&[
        ("stop a", ""),
        ("full 2", "commit 3 end-queued-aborted"),
        ("ok 3", "yes 2, changed, over, idle"),
    ]);
    // Launching: the gate is closed as soon as there is one.
    bed_at(2).play(&[
        ("stop a", "commit 3 stop"),
        ("ready a1", "close"),
        ("ok 3", "yes 2"),
        ("stop a", "yes 3"),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 4 end-aborted+clean"),
        ("ok 4", "changed, over, idle"),
    ]);
    bed_at(2).play(&[
        ("stop a", "commit 3 stop"),
        ("ok 3", "yes 2"),
        ("unmade a1", "commit 4 end-aborted+clean"),
        ("ok 4", "changed, over, idle"),
    ]);
    // Identifying: whatever becomes of the batch.
    bed_at(3).play(&[
        ("stop a", "close"),
        ("ok 3", "commit 4 stop"),
        ("ok 4", "yes 2"),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 5 end-aborted+clean"),
        ("ok 5", "changed, over, idle"),
    ]);
}

#[test]
fn before_the_gate_a_stop_that_cannot_be_stored_is_withdrawn() {
    let no = "no 2 the disk is full: no space";
    // Launching: it goes on as if nobody had asked.
    let mut bed = bed_at(2);
    bed.play(&[
        ("stop a", "commit 3 stop"),
        ("full 3", no),
        ("ready a1", "commit 4 identify"),
        ("ok 4", "open"),
    ]);
    // Closing: it is taken back and started again.
    let mut bed = bed_at(3);
    bed.play(&[("stop a", "close"), ("ok 3", "commit 4 stop"), ("full 4", no)]);
    bed.play(&[
        ("gone a1", "clean"),
        ("cleaned a1", "commit 5 unlaunch"),
        ("ok 5", "changed, commit 6 intend a1"),
    ]);
    // Its end was on the way already.
    let mut bed = bed_at(1);
    bed.play(&[
        ("stop a", ""),
        ("ok 2", "commit 3 stop+end-aborted+clean"),
        ("full 3", &format!("{no}, arm +500")),
    ]);
    bed.play(&[
        ("tick 500", "commit 4 unlaunch"),
        ("ok 4", "changed, commit 5 intend a1"),
    ]);
}

#[test]
fn a_running_attempt_is_told_once_for_each_request() {
    bed_at(5).play(&[
        ("stop a", "send-stop, commit 5 stop"),
        ("stop a", "send-stop"),
        ("ok 5", "yes 2, yes 3"),
        ("stop a", "send-stop, yes 4"),
    ]);
    // At the open gate, too, and with a full disk.
    bed_at(4).play(&[
        ("stop a", "send-stop, commit 4 stop"),
        ("full 4", "yes 2, arm +500"),
        ("started a1", ""),
        ("tick 500", "commit 5 stop+start"),
    ]);
}

#[test]
fn a_stop_before_the_first_record_ends_the_run_aborted_if_the_shim_dies() {
    bed_at(4).play(&[
        ("stop a", "send-stop, commit 4 stop"),
        ("ok 4", "yes 2"),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 5 end-aborted+clean"),
    ]);
}

#[test]
fn an_ended_run_cannot_be_stopped() {
    for parts in 6..=8 {
        bed_at(parts).play(&[("stop a", "no 2 succeeded")]);
    }
}

#[test]
fn a_retry_is_a_new_attempt_of_the_same_run() {
    let mut bed = Bed::new();
    bed.play(&[
        ("retry a", "commit 1 requeue"),
        ("retry a", "no 2 queued"),
        ("submit a", ""),
        ("ok 1", "yes 1, no 3 exists, changed, commit 2 intend a2"),
        ("ok 2", "changed, launch a2"),
        ("retry a", "no 4 running"),
    ]);
    Bed::new().play(&[("retry a", "commit 1 requeue"), ("exists 1", "no 1 queued, idle")]);
    Bed::new().play(&[
        ("retry a", "commit 1 requeue"),
        ("full 1", "no 1 the disk is full: no space, idle"),
    ]);
}

#[test]
fn a_retry_waits_until_nothing_is_left_of_the_attempt_before() {
    bed_at(6).play(&[("retry a", "no 2 running")]);
    let mut bed = bed_at(6);
    bed.play(&[
        ("ok 5", "changed, over"),
        ("retry a", ""),
        ("retry a", "no 3 queued"),
    ]);
    bed.play(&[("gone a1", "clean")]);
    bed.play(TO_FORGETTING);
    bed.play(&[
        ("ok 6", "commit 7 requeue"),
        ("ok 7", "yes 2, changed, commit 8 intend a2"),
    ]);
    // A daemon that shuts down meanwhile says so.
    let mut bed = bed_at(7);
    bed.play(&[("retry a", ""), ("drain", "")]);
    bed.play(TO_FORGETTING);
    bed.play(&[("ok 6", "no 2 draining, idle")]);
}
