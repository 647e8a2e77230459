//! Admission, order and capacity.

use super::super::{Config, Scheduler};
use super::{Bed, Event, Token, bed_at, new_run};

fn limit(max_live: u32) -> Config {
    Config {
        max_live,
        ..Config::default()
    }
}

#[test]
fn a_run_exists_once() {
    let mut bed = Bed::new();
    bed.play(&[
        ("submit a", "commit 1 accept"),
        // Which of two is first is known when the store has answered.
        ("submit a", ""),
        ("ok 1", "yes 1, no 2 exists, changed, commit 2 intend a1"),
        ("submit a", "no 3 exists"),
    ]);
    Bed::new().play(&[("submit a", "commit 1 accept"), ("exists 1", "no 1 exists, idle")]);
}

#[test]
fn a_submission_that_cannot_be_stored_is_refused_with_the_reason() {
    let mut bed = Bed::new();
    bed.play(&[
        ("submit a", "commit 1 accept"),
        ("submit a", ""),
        (
            "full 1",
            "no 1 the disk is full: no space, no 2 the disk is full: no space, idle",
        ),
        ("submit a", "commit 2 accept"),
        ("io 2", "no 3 broken, idle"),
    ]);
    assert!(bed.engine.is_empty());
}

#[test]
fn first_come_first_served_within_the_capacity() {
    let mut bed = bed_at(5);
    bed.play(&[
        ("submit c", "commit 5 accept"),
        ("submit b", "commit 6 accept"),
        ("ok 5", "yes 2, changed"),
        ("ok 6", "yes 3, changed"),
    ]);
    assert_eq!((bed.engine.counts().queued, bed.engine.counts().live), (2, 1));
    // The slot is free when the tree is empty, not when the end is known or cleaned up.
    bed.play(&[
        ("ended a1", "commit 7 end-succeeded"),
        ("ok 7", "changed, over"),
        ("gone a1", "clean, commit 8 intend c1"),
        ("cleaned a1", "commit 9 clean"),
        ("ok 9", ""),
    ]);
}

#[test]
fn the_newest_submission_sets_the_capacity_of_its_group() {
    let mut bed = bed_at(5);
    let give = |bed: &mut Bed, name: &str, token, capacity| {
        bed.give(Event::Submit(Token(token), new_run(name, capacity)))
    };
    assert_eq!(give(&mut bed, "b", 2, 2), "commit 5 accept");
    bed.play(&[("ok 5", "yes 2, changed, commit 6 intend b1")]);
    assert_eq!(give(&mut bed, "c", 3, 1), "commit 7 accept");
    bed.play(&[("ok 7", "yes 3, changed")]);
    assert_eq!(give(&mut bed, "d", 4, 0), "commit 8 accept");
    bed.play(&[("ok 8", "yes 4, changed, commit 9 intend c1, commit 10 intend d1")]);
    // An older snapshot that is retried does not set it: `g` stays without a limit.
    bed.play(&[
        ("retry e", "commit 11 requeue"),
        ("ok 11", "yes 2, changed, commit 12 intend e2"),
    ]);
    bed.play(&[("submit f", "commit 13 accept"), ("ok 13", "yes 3, changed")]);
}

#[test]
fn groups_do_not_wait_for_each_other() {
    let mut bed = bed_at(5);
    bed.play(&[
        ("submit b", "commit 5 accept"),
        ("ok 5", "yes 2, changed"),
        ("submit X", "commit 6 accept"),
        ("ok 6", "yes 3, changed, commit 7 intend X1"),
    ]);
}

#[test]
fn the_limit_over_all_groups_lets_them_take_turns() {
    let mut bed = Bed::new();
    bed.engine = Scheduler::new(limit(1));
    for part in &super::LIFE[..5] {
        bed.play(part);
    }
    bed.play(&[
        ("submit X", "commit 5 accept"),
        ("ok 5", "yes 2, changed"),
        ("submit b", "commit 6 accept"),
        ("ok 6", "yes 3, changed"),
        ("submit Y", "commit 7 accept"),
        ("ok 7", "yes 4, changed"),
        ("gone a1", "commit 8 end-failed-lost, commit 9 intend X1"),
        ("ok 9", "changed, launch X1"),
        ("unmade X1", "commit 10 end-failed+clean, commit 11 intend Y1"),
    ]);
}

#[test]
fn a_limit_that_is_raised_lets_the_next_one_go() {
    let mut bed = Bed::new();
    bed.engine = Scheduler::new(limit(1));
    for part in &super::LIFE[..5] {
        bed.play(part);
    }
    bed.play(&[("submit X", "commit 5 accept"), ("ok 5", "yes 2, changed")]);
    bed.engine.configure(limit(2));
    bed.play(&[("tick 0", "commit 6 intend X1")]);
}
