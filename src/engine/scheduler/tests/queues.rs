//! Pauses, moves, and runs that are taken out of the queue.

use super::super::api::CommitError;
use super::{Bed, Event, Token, bed_at, new_run, run};
use crate::engine::scheduler::{Hold, Place};
use crate::model::{GroupName, Priority, StopReason};

fn queue(name: &str) -> GroupName {
    name.parse().unwrap()
}

fn pause(bed: &mut Bed, token: u64, on: bool) -> String {
    bed.give(Event::Pause(Token(token), queue("g"), on))
}

fn move_run(bed: &mut Bed, token: u64, name: &str, place: Place) -> String {
    bed.give(Event::Move(Token(token), run(name), place))
}

fn dequeue(bed: &mut Bed, token: u64, name: &str) -> String {
    let reason = StopReason::User { uid: 7 };
    bed.give(Event::Dequeue(Token(token), run(name), reason))
}

fn first() -> Place {
    Place {
        first: true,
        ..Place::default()
    }
}

#[test]
fn nothing_of_a_paused_queue_starts_and_a_restart_knows_it() {
    let mut bed = Bed::new();
    assert_eq!(pause(&mut bed, 90, true), "commit 1 pause g true");
    bed.play(&[
        ("ok 1", "yes 90, idle"),
        ("submit a", "commit 2 accept"),
        ("ok 2", "yes 1, changed"),
        ("submit X", "commit 3 accept"),
        ("ok 3", "yes 2, changed, commit 4 intend X1"),
    ]);
    assert_eq!(bed.engine.holds(&run("a")), [Hold::Paused]);
    assert!(bed.engine.queue(&queue("g")).paused);
    // One that starts at once does not start either.
    let mut new = new_run("n", 1);
    new.now = true;
    assert_eq!(bed.give(Event::Submit(Token(91), new)), "commit 5 accept");
    bed.play(&[("ok 5", "yes 91, changed")]);
    assert_eq!(pause(&mut bed, 92, false), "commit 6 pause g false");
    bed.play(&[("ok 6", "yes 92, commit 7 intend n1")]);

    let mut bed = Bed::new();
    assert_eq!(bed.give(Event::Paused(vec![queue("g")])), "");
    let list = vec![super::recover::queued("a", 1)];
    assert_eq!(bed.give(Event::Recover(list)), "");
    assert_eq!(pause(&mut bed, 1, false), "commit 1 pause g false");
    bed.play(&[("ok 1", "yes 1, commit 2 intend a1")]);
}

#[test]
fn pauses_of_one_queue_are_stored_one_after_the_other() {
    let mut bed = Bed::new();
    assert_eq!(pause(&mut bed, 1, true), "commit 1 pause g true");
    assert_eq!(pause(&mut bed, 2, false), "");
    assert_eq!(pause(&mut bed, 3, true), "");
    bed.play(&[
        ("ok 1", "yes 1, commit 2 pause g false"),
        ("io 2", "no 2 broken, commit 3 pause g true"),
        ("ok 2", ""),
        ("ok 3", "yes 3, idle"),
    ]);
    assert!(bed.engine.queue(&queue("g")).paused);
    assert!(bed.engine.is_empty());
    bed.tell("drain");
    assert_eq!(pause(&mut bed, 4, false), "no 4 draining");
}

/// A run `a` lives, `b` and `c` wait behind it.
fn waiting() -> Bed {
    let mut bed = bed_at(5);
    bed.play(&[
        ("submit b", "commit 5 accept"),
        ("ok 5", "yes 2, changed"),
        ("submit c", "commit 6 accept"),
        ("ok 6", "yes 3, changed"),
    ]);
    bed
}

#[test]
fn a_moved_run_has_its_place_when_that_is_stored() {
    let mut bed = waiting();
    assert_eq!(move_run(&mut bed, 90, "c", first()), "commit 7 move");
    // It is out of the queue meanwhile; and what nobody can change any more stays as it is.
    assert_eq!(move_run(&mut bed, 91, "c", first()), "no 91 changing");
    assert_eq!(move_run(&mut bed, 92, "a", first()), "no 92 running");
    assert_eq!(move_run(&mut bed, 93, "z", first()), "no 93 not-found");
    bed.play(&[
        ("ok 7", "yes 90, changed"),
        ("gone a1", "commit 8 end-failed-lost, commit 9 intend c1"),
    ]);
}

#[test]
fn a_move_that_cannot_be_stored_leaves_the_run_where_it_was() {
    let mut bed = waiting();
    assert_eq!(move_run(&mut bed, 90, "c", first()), "commit 7 move");
    let broken = CommitError::DiskFull("no space".into());
    assert_eq!(
        bed.give(Event::CommitFailed(7, broken)),
        "no 90 the disk is full: no space"
    );
    bed.play(&[("gone a1", "commit 8 end-failed-lost, commit 9 intend b1")]);
}

#[test]
fn a_run_changes_queue_and_priority() {
    let mut bed = waiting();
    let place = Place {
        queue: Some((queue("other"), 1)),
        ..Place::default()
    };
    assert_eq!(move_run(&mut bed, 90, "c", place), "commit 7 move");
    bed.play(&[("ok 7", "yes 90, changed, commit 8 intend c1")]);
    assert_eq!(bed.engine.queue(&queue("other")).live, 1);
    bed.play(&[("submit d", "commit 9 accept"), ("ok 9", "yes 4, changed")]);
    let place = Place {
        priority: Some(Priority::MAX),
        ..Place::default()
    };
    assert_eq!(move_run(&mut bed, 91, "d", place), "commit 10 move");
    bed.play(&[("ok 10", "yes 91, changed")]);
    let waits: Vec<String> = bed
        .engine
        .queued_in(&queue("g"))
        .iter()
        .map(|run| run.id.to_string())
        .collect();
    assert_eq!(waits, ["d", "b"]);
    assert_eq!(bed.engine.waiting_in(&queue("g")), 2);
    assert_eq!(bed.engine.waiting_in(&queue("other")), 0);
    bed.play(&[("gone a1", "commit 11 end-failed-lost, commit 12 intend d1")]);
}

#[test]
fn one_that_is_stopped_while_it_is_moved_ends() {
    let mut bed = waiting();
    assert_eq!(move_run(&mut bed, 90, "c", first()), "commit 7 move");
    bed.play(&[
        ("stop c", ""),
        ("ok 7", "yes 90, changed, commit 8 end-queued-aborted"),
        ("ok 8", "yes 4, changed, over"),
    ]);
}

#[test]
fn only_a_run_that_has_not_begun_is_taken_out_of_the_queue() {
    let mut bed = waiting();
    assert_eq!(dequeue(&mut bed, 90, "a"), "no 90 running");
    assert_eq!(dequeue(&mut bed, 91, "z"), "no 91 not-found");
    assert_eq!(dequeue(&mut bed, 92, "b"), "commit 7 end-queued-aborted");
    // It is being ended already.
    assert_eq!(dequeue(&mut bed, 94, "b"), "no 94 changing");
    assert_eq!(move_run(&mut bed, 95, "b", first()), "no 95 changing");
    bed.play(&[("ok 7", "yes 92, changed, over")]);
    bed.play(&[("gone a1", "commit 8 end-failed-lost, commit 9 intend c1")]);
    assert_eq!(dequeue(&mut bed, 93, "c"), "no 93 running");
}

#[test]
fn a_run_whose_start_went_wrong_is_passed_over_as_long_after_a_move_as_before() {
    for answer in ["ok 3", "io 3"] {
        let mut bed = Bed::new();
        bed.play(&[
            ("submit a", "commit 1 accept"),
            ("ok 1", "yes 1, changed, commit 2 intend a1"),
            ("io 2", "arm +500"),
        ]);
        assert_eq!(move_run(&mut bed, 90, "a", first()), "commit 3 move");
        let told = bed.tell(answer);
        assert!(!told.contains("intend"), "{told}");
        assert!(matches!(bed.engine.holds(&run("a"))[..], [Hold::Delayed(_)]));
        assert_eq!(bed.engine.counts().queued, 1);
        assert_eq!(bed.engine.waiting_in(&queue("g")), 1);
        assert_eq!(bed.tell("tick 500"), "commit 4 intend a1");
        assert_eq!(bed.engine.waiting_in(&queue("g")), 0);
    }
}
