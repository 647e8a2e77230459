//! What people do with a run that waits for its retry: stop it, or have the retry at once.

use super::super::run;
use super::{Event, StopReason, Token, pausing, policy, running};

#[test]
fn a_stop_cancels_the_pending_retry() {
    let mut bed = pausing();
    bed.play(&[
        ("stop a", "commit 7 cancel-retry"),
        ("stop a", ""),
        ("tick 10000", ""),
        ("ok 7", "yes 2, yes 3, over, idle"),
        ("stop a", "no 4 not-found"),
    ]);
    assert!(bed.engine.is_empty());
    // Before the end is stored, and while the attempt is cleaned up.
    let mut bed = running(policy());
    bed.play(&[
        ("fails a1", "commit 5 end-failed+retry-later 1"),
        ("stop a", ""),
        ("ok 5", "changed, commit 6 cancel-retry"),
        ("gone a1", "clean"),
        ("ok 6", "yes 2, over"),
        ("cleaned a1", "commit 7 clean"),
        ("ok 7", "idle"),
    ]);
    let mut bed = running(policy());
    bed.play(&[
        ("fails a1", "commit 5 end-failed+retry-later 1"),
        ("ok 5", "changed"),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 6 clean"),
        ("stop a", ""),
        ("ok 6", "commit 7 cancel-retry"),
        ("ok 7", "yes 2, over, idle"),
    ]);
    // It was on its way back into the queue: that is like any run that is stopped there.
    let mut bed = pausing();
    bed.play(&[
        ("tick 10000", "commit 7 requeue"),
        ("stop a", ""),
        ("ok 7", "changed, commit 8 end-queued-aborted"),
        ("ok 8", "yes 2, changed, over, idle"),
    ]);
    let mut bed = pausing();
    bed.play(&[
        ("tick 10000", "commit 7 requeue"),
        ("stop a", ""),
        ("full 7", "commit 8 cancel-retry"),
        ("ok 8", "yes 2, over, idle"),
    ]);
}

#[test]
fn a_daemon_that_leaves_stores_it_first() {
    let mut bed = pausing();
    bed.play(&[
        ("stop a", "commit 7 cancel-retry"),
        ("drain", ""),
        ("ok 7", "yes 2, over, idle"),
    ]);
}

#[test]
fn a_shutdown_does_not_cancel_it() {
    let mut bed = running(policy());
    bed.play(&[
        ("fails a1", "commit 5 end-failed+retry-later 1"),
        ("ok 5", "changed"),
    ]);
    bed.token += 1;
    let stop = Event::Stop(Token(bed.token), run("a"), StopReason::Shutdown);
    assert_eq!(bed.give(stop), "no 2 failed");
    bed.play(&[
        ("drain", ""),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 6 clean"),
        ("ok 6", "arm +10000, idle"),
        ("tick 10000", ""),
    ]);
    assert!(!bed.engine.is_empty(), "it is up to the next daemon");
}

#[test]
fn a_stop_that_cannot_be_stored_is_refused_and_the_retry_comes() {
    let no = "no 2 the disk is full: no space";
    let mut bed = pausing();
    bed.play(&[
        ("stop a", "commit 7 cancel-retry"),
        ("full 7", no),
        ("tick 10000", "commit 8 requeue"),
    ]);
    let mut bed = running(policy());
    bed.play(&[
        ("fails a1", "commit 5 end-failed+retry-later 1"),
        ("stop a", ""),
        ("full 5", &format!("{no}, arm +500")),
        ("tick 500", "commit 6 end-failed+retry-later 1"),
        ("ok 6", "changed"),
        ("gone a1", "clean"),
    ]);
}

#[test]
fn a_person_can_have_it_at_once_and_the_budget_is_new() {
    let mut bed = pausing();
    bed.play(&[
        ("retry a", "commit 7 requeue"),
        ("retry a", "no 3 queued"),
        ("submit a", "no 4 exists"),
        ("ok 7", "yes 2, changed, commit 8 intend a2"),
        ("ok 8", "changed, launch a2"),
        ("ready a2", "commit 9 identify"),
        ("ok 9", "open"),
        ("started a2", "commit 10 start"),
        ("ok 10", ""),
        ("fails a2", "commit 11 end-failed+retry-later 1"),
    ]);
    // It waits until nothing is left of the attempt before.
    let mut bed = running(policy());
    bed.play(&[
        ("fails a1", "commit 5 end-failed+retry-later 1"),
        ("ok 5", "changed"),
        ("retry a", ""),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 6 clean"),
        ("ok 6", "commit 7 requeue"),
        ("full 7", "no 2 the disk is full: no space, arm +10000"),
        ("tick 10000", "commit 8 requeue"),
    ]);
    let mut bed = pausing();
    bed.play(&[("drain", "idle"), ("retry a", "no 2 draining")]);
}
