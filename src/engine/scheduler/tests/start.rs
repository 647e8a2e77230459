//! Launch, the way back, loss and clean-up.

use super::super::launch::FALSE_STARTS_MAX;
use super::super::timers::backoff;
use super::{Bed, LIFE, bed_at};
use crate::model::Boot;

#[test]
fn a_whole_life_leaves_nothing_in_memory() {
    let mut bed = bed_at(LIFE.len());
    assert!(!bed.engine.is_empty());
    bed.play(&[("ok 6", "idle")]);
    assert!(bed.engine.is_empty());
}

#[test]
fn events_that_do_not_fit_change_nothing() {
    // What may really follow in each phase is tested below; all else is a duplicate or comes from nowhere.
    let fits: [&[&str]; 8] = [
        &[],
        &[
            "ready a1",
            "unmade a1",
            "started a1",
            "ended a1",
            "gone a1",
            "odd-end a1",
            "damaged a1",
        ],
        &["started a1", "ended a1", "gone a1", "odd-end a1", "damaged a1"],
        &["started a1", "ended a1", "gone a1", "odd-end a1", "damaged a1"],
        &["ended a1", "gone a1", "odd-end a1", "damaged a1"],
        &["gone a1", "damaged a1", "unmade a1"],
        &["cleaned a1"],
        &[],
    ];
    let all = [
        "ready a1",
        "unmade a1",
        "started a1",
        "ended a1",
        "odd-end a1",
        "gone a1",
        "damaged a1",
        "cleaned a1",
        "ready b1",
        "unmade b1",
        "started b1",
        "ended b1",
        "gone b1",
        "cleaned b1",
        "ok 77",
        "full 77",
        "ok 1",
    ];
    for parts in 1..=LIFE.len() {
        for event in all {
            let mut bed = bed_at(parts);
            let before = format!("{:?}", bed.engine);
            let effects = bed.tell(event);
            let silent = effects.is_empty() && before == format!("{:?}", bed.engine);
            let fitting = fits[parts - 1].contains(&event);
            // A shim that exits while its end is being committed changes the state and has no effect yet.
            assert_eq!(silent, !fitting, "{event} after {parts} parts: {effects}");
        }
    }
}

#[test]
fn end_and_exit_may_come_in_any_order() {
    bed_at(6).play(&[
        ("gone a1", ""),
        ("ok 5", "changed, over, clean"),
        ("cleaned a1", "commit 6 clean"),
    ]);
    bed_at(6).play(&[
        ("ok 5", "changed, over"),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 6 clean"),
    ]);
}

#[test]
fn a_shim_that_dies_without_a_record_is_lost() {
    bed_at(5).play(&[
        ("gone a1", "commit 5 end-failed-lost"),
        ("ok 5", "changed, over, clean"),
        ("cleaned a1", "commit 6 clean"),
        ("ok 6", "idle"),
    ]);
}

#[test]
fn a_damaged_journal_behind_an_open_gate_is_never_started_again() {
    bed_at(4).play(&[
        ("damaged a1", "commit 4 end-failed-lost"),
        ("ok 4", "changed, over, clean"),
    ]);
    // Before the gate was opened nothing can have run.
    bed_at(3).play(&[("damaged a1", "clean")]);
}

#[test]
fn a_final_record_before_the_gate_counts_and_closes_it() {
    bed_at(3).play(&[
        ("ended a1", "close"),
        ("ok 3", "commit 4 end-succeeded"),
        ("ok 4", "changed, over"),
        ("gone a1", "clean"),
    ]);
    bed_at(2).play(&[
        ("ended a1", "close, commit 3 end-succeeded"),
        ("unmade a1", ""),
        ("ok 3", "changed, over, clean"),
    ]);
}

#[test]
fn a_status_that_is_not_final_is_a_failure() {
    bed_at(5).play(&[("odd-end a1", "commit 5 end-failed")]);
}

#[test]
fn what_cannot_be_launched_fails_and_lets_the_next_go() {
    let mut bed = bed_at(2);
    bed.play(&[
        ("submit b", "commit 3 accept"),
        ("ok 3", "yes 2, changed"),
        ("unmade a1", "commit 4 end-failed+clean, commit 5 intend b1"),
        ("ok 4", "changed, over"),
        ("ok 5", "changed, launch b1"),
    ]);
}

#[test]
fn a_shim_that_dies_at_the_open_gate_is_started_again_but_not_for_ever() {
    let mut bed = bed_at(4);
    let mut commit = 3;
    let mut clock = 0;
    for round in 1..FALSE_STARTS_MAX {
        bed.play(&[("gone a1", "clean")]);
        assert_eq!(bed.tell("cleaned a1"), format!("commit {} unlaunch", commit + 1));
        let pause = backoff(Boot(0), round).0 / 1000;
        assert_eq!(
            bed.tell(&format!("ok {}", commit + 1)),
            format!("changed, arm +{pause}")
        );
        assert_eq!(bed.engine.counts().queued, 1);
        clock += pause;
        assert_eq!(
            bed.tell(&format!("tick {clock}")),
            format!("commit {} intend a1", commit + 2)
        );
        assert_eq!(bed.tell(&format!("ok {}", commit + 2)), "changed, launch a1");
        assert_eq!(bed.tell("ready a1"), format!("commit {} identify", commit + 3));
        commit += 3;
        assert_eq!(bed.tell(&format!("ok {commit}")), "open");
    }
    bed.play(&[("gone a1", "clean")]);
    assert_eq!(
        bed.tell("cleaned a1"),
        format!("commit {} end-failed-lost+clean", commit + 1)
    );
    assert_eq!(bed.tell(&format!("ok {}", commit + 1)), "changed, over, idle");
}

#[test]
fn a_full_disk_holds_up_launches_and_keeps_the_order() {
    let mut bed = bed_at(1);
    bed.play(&[
        ("submit b", "commit 3 accept"),
        ("ok 3", "yes 2, changed"),
        ("full 2", "arm +500"),
        ("tick 499", "arm +1"),
        ("tick 500", "commit 4 intend a1"),
        ("full 4", "arm +1000"),
        ("tick 1500", "commit 5 intend a1"),
        ("ok 5", "changed, launch a1"),
    ]);
}

#[test]
fn other_trouble_with_an_intent_delays_that_run_alone() {
    let mut bed = bed_at(1);
    bed.play(&[
        ("submit b", "commit 3 accept"),
        ("ok 3", "yes 2, changed"),
        ("io 2", "commit 4 intend b1, arm +500"),
        ("tick 500", ""),
        ("io 4", "commit 5 intend a1, arm +500"),
        ("exists 5", "commit 6 end-queued-failed"),
        ("ok 6", "changed, over"),
        ("tick 1000", "commit 7 intend b1"),
    ]);
}

#[test]
fn without_an_identity_in_the_store_the_gate_stays_shut() {
    bed_at(3).play(&[
        ("full 3", "close, arm +500"),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 4 unlaunch"),
        ("full 4", ""),
        ("tick 500", "commit 5 unlaunch"),
        ("ok 5", "changed, commit 6 intend a1"),
    ]);
    bed_at(3).play(&[
        ("io 3", "close"),
        ("gone a1", "clean"),
        ("cleaned a1", "commit 4 unlaunch"),
        ("ok 4", "changed, arm +500"),
    ]);
}

#[test]
fn what_is_true_is_kept_until_it_is_stored() {
    let mut bed = bed_at(4);
    bed.play(&[
        ("started a1", "commit 4 start"),
        ("full 4", "arm +500"),
        ("ended a1", ""),
        ("gone a1", ""),
        ("tick 500", "commit 5 start+end-succeeded"),
        ("full 5", "arm +1000"),
        ("tick 1500", "commit 6 start+end-succeeded"),
        ("ok 6", "changed, over, clean"),
        ("cleaned a1", "commit 7 clean"),
        // The count of failures began anew.
        ("io 7", "arm +500"),
        ("tick 2000", "commit 8 clean"),
        ("ok 8", "idle"),
    ]);
}

#[test]
fn pauses_double_up_to_the_limit() {
    let pauses: Vec<u64> = (1..=9).map(|n| backoff(Boot(0), n).0 / 1000).collect();
    assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
    assert_eq!(backoff(Boot(0), u32::MAX), Boot(30_000_000));
}

#[test]
fn a_drained_daemon_launches_nothing_and_finishes_what_runs() {
    bed_at(1).play(&[
        ("drain", ""),
        ("ok 2", "commit 3 unlaunch"),
        ("ok 3", "changed, idle"),
    ]);
    let mut bed = bed_at(5);
    bed.play(&[
        ("submit b", "commit 5 accept"),
        ("ok 5", "yes 2, changed"),
        ("drain", ""),
        ("submit c", "no 3 draining"),
        ("retry c", "no 4 draining"),
        ("ended a1", "commit 6 end-succeeded"),
        ("gone a1", ""),
        ("ok 6", "changed, over, clean"),
        ("cleaned a1", "commit 7 clean"),
        ("ok 7", "idle"),
    ]);
    assert_eq!(Bed::new().tell("drain"), "idle");
}
