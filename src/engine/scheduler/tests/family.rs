//! Runs that are called by steps of other runs.

use super::super::Config;
use super::super::api::Recovered;
use super::recover::{alive, live, lost, queued, recorded};
use super::{Bed, bed_at, run};
use crate::engine::scheduler::Event;

/// Brings the run that was called last, as the batch with that number, to `running`.
fn bring_up(bed: &mut Bed, name: &str, batch: u64) {
    let attempt = format!("{name}1");
    let intended = format!(
        "yes {}, changed, commit {} intend {attempt}",
        bed.token,
        batch + 1
    );
    bed.play(&[
        (&format!("ok {batch}"), &intended),
        (
            &format!("ok {}", batch + 1),
            &format!("changed, launch {attempt}"),
        ),
        (
            &format!("ready {attempt}"),
            &format!("commit {} identify", batch + 2),
        ),
        (&format!("ok {}", batch + 2), "open"),
        (
            &format!("started {attempt}"),
            &format!("commit {} start", batch + 3),
        ),
        (&format!("ok {}", batch + 3), ""),
    ]);
}

#[test]
fn a_sub_run_waits_for_no_slot_and_takes_none() {
    let mut bed = bed_at(5);
    bed.engine.configure(Config {
        max_live: 1,
        ..Config::default()
    });
    bed.play(&[("call x of a", "commit 5 accept")]);
    bring_up(&mut bed, "x", 5);
    assert_eq!(bed.engine.counts().live, 2);
    bed.play(&[
        ("submit b", "commit 9 accept"),
        ("ok 9", "yes 3, changed"),
        ("ended x1", "commit 10 end-succeeded"),
        ("ok 10", "changed, over"),
        ("gone x1", "clean"),
        ("cleaned x1", "commit 11 clean"),
        ("ok 11", ""),
        ("ended a1", "commit 12 end-succeeded"),
        ("gone a1", "commit 13 intend b1"),
    ]);
}

#[test]
fn only_what_is_under_way_can_call() {
    for parts in [0, 1, 2, 3, 6, 7, 8] {
        let mut bed = bed_at(parts);
        let told = bed.tell("call x of a");
        assert!(told.contains("caller-gone"), "after {parts} parts: {told}");
        let told = bed.tell("call-again x of a");
        assert!(told.contains("caller-gone"), "after {parts} parts: {told}");
    }
    bed_at(5).play(&[("call-again x of a", "commit 5 requeue")]);
}

#[test]
fn a_lost_run_takes_its_sub_runs_with_it_and_is_not_tried_again_before_they_are_gone() {
    let mut bed = bed_at(5);
    bed.play(&[("call x of a", "commit 5 accept")]);
    bring_up(&mut bed, "x", 5);
    bed.play(&[
        ("gone a1", "commit 9 end-failed-lost, ensure-stop, commit 10 stop"),
        ("ok 9", "changed"),
        ("retry a", ""),
        ("ok 10", ""),
        ("ended x1", "commit 11 end-succeeded"),
        ("ok 11", "changed, over"),
        ("gone x1", "clean"),
        ("cleaned x1", "commit 12 clean"),
        ("ok 12", "over, clean"),
        ("cleaned a1", "commit 13 clean"),
        ("ok 13", "commit 14 requeue"),
        ("ok 14", "yes 3, changed, commit 15 intend a2"),
    ]);
}

#[test]
fn the_slot_of_a_root_is_not_free_before_the_last_of_its_tree_is_gone() {
    let mut bed = bed_at(5);
    bed.play(&[("call x of a", "commit 5 accept")]);
    bring_up(&mut bed, "x", 5);
    bed.play(&[
        ("submit b", "commit 9 accept"),
        ("ok 9", "yes 3, changed"),
        (
            "gone a1",
            "commit 10 end-failed-lost, ensure-stop, commit 11 stop",
        ),
        ("ok 10", "changed"),
        ("ok 11", ""),
        ("ended x1", "commit 12 end-succeeded"),
        ("ok 12", "changed, over"),
        ("gone x1", "clean"),
        ("cleaned x1", "commit 13 clean"),
        ("ok 13", "over, clean, commit 14 intend b1"),
    ]);
}

#[test]
fn after_a_restart_a_dead_root_still_holds_its_slot_for_its_tree() {
    let tree = |evidence| {
        let mut bed = Bed::new();
        let list = vec![
            live("a", evidence),
            called(live("x", alive(true))),
            queued("b", 9),
        ];
        let told = bed.give(Event::Recover(list));
        (bed, told)
    };
    let (mut bed, told) = tree(recorded(false));
    assert_eq!(told, "adopt x, ensure-stop, commit 1 stop");
    bed.play(&[
        ("ok 1", ""),
        ("ended x1", "commit 2 end-succeeded"),
        ("ok 2", "changed, over"),
        ("gone x1", "clean"),
        ("cleaned x1", "commit 3 clean"),
        ("ok 3", "over, clean, commit 4 intend b1"),
    ]);
    let (mut bed, told) = tree(lost());
    assert_eq!(
        told,
        "commit 1 end-failed-lost, adopt x, ensure-stop, commit 2 stop"
    );
    bed.play(&[
        ("ok 1", "changed"),
        ("ok 2", ""),
        ("ended x1", "commit 3 end-succeeded"),
        ("ok 3", "changed, over"),
        ("gone x1", "clean"),
        ("cleaned x1", "commit 4 clean"),
        ("ok 4", "over, clean, commit 5 intend b1"),
    ]);
}

#[test]
fn a_kill_reaches_what_a_dead_run_has_called() {
    let mut bed = bed_at(5);
    bed.play(&[("call x of a", "commit 5 accept")]);
    bring_up(&mut bed, "x", 5);
    bed.play(&[("call y of x", "commit 9 accept")]);
    bring_up(&mut bed, "y", 9);
    bed.play(&[
        (
            "gone x1",
            "commit 13 end-failed-lost, ensure-stop, commit 14 stop",
        ),
        ("caller-stop x", ""),
        ("caller-kill x", "send-stop"),
    ]);
}

#[test]
fn a_sub_run_that_waits_in_the_queue_ends_there_with_its_caller() {
    let mut bed = bed_at(5);
    bed.play(&[
        ("call x of a", "commit 5 accept"),
        ("ended a1", "commit 6 end-succeeded"),
        ("ok 5", "yes 2, changed, commit 7 end-queued-aborted"),
        ("gone a1", ""),
        ("ok 6", "changed"),
        ("ok 7", "changed, over, over, clean"),
        ("cleaned a1", "commit 8 clean"),
        ("ok 8", "idle"),
    ]);
    assert!(bed.engine.is_empty());
}

#[test]
fn a_sub_run_that_is_refused_holds_nobody_up() {
    let mut bed = bed_at(5);
    bed.play(&[
        ("call x of a", "commit 5 accept"),
        ("exists 5", "no 2 exists"),
        ("ended a1", "commit 6 end-succeeded"),
        ("ok 6", "changed, over"),
        ("gone a1", "clean"),
    ]);
}

fn called(item: Recovered) -> Recovered {
    Recovered {
        parent: Some(run("a")),
        ..item
    }
}

#[test]
fn recovery_goes_on_with_the_sub_runs_of_what_is_alive() {
    let mut bed = Bed::new();
    let list = vec![
        live("a", alive(true)),
        called(live("x", alive(true))),
        called(queued("y", 1)),
    ];
    let told = bed.give(Event::Recover(list));
    assert_eq!(told, "adopt a, adopt x, commit 1 intend y1");
    assert_eq!(bed.engine.counts().live, 3);
}

#[test]
fn recovery_ends_the_sub_runs_of_what_is_not() {
    for (parent, first) in [
        (live("a", lost()), "commit 1 end-failed-lost, adopt x, "),
        (live("a", recorded(true)), "adopt a, adopt x, "),
    ] {
        let mut bed = Bed::new();
        let list = vec![parent, called(live("x", alive(true))), called(queued("y", 1))];
        let told = bed.give(Event::Recover(list));
        let stops = match first.contains("commit") {
            true => "ensure-stop, commit 2 stop, commit 3 end-queued-aborted",
            false => "ensure-stop, commit 1 stop, commit 2 end-queued-aborted",
        };
        assert_eq!(told, format!("{first}{stops}"));
    }
    // Of the caller nothing is known any more, and of one that is recorded and gone only the clean-up is missing.
    let mut bed = Bed::new();
    let told = bed.give(Event::Recover(vec![called(live("x", alive(true)))]));
    assert_eq!(told, "adopt x, ensure-stop, commit 1 stop");
    let mut bed = Bed::new();
    let list = vec![live("a", recorded(false)), called(live("x", alive(true)))];
    let told = bed.give(Event::Recover(list));
    assert_eq!(
        told, "adopt x, ensure-stop, commit 1 stop",
        "a is cleaned after x"
    );
}

#[test]
fn a_stop_that_the_caller_wants_outlives_a_full_disk() {
    // While it is launched: nobody asks once more, so it must not pass its gate when there is space again.
    let mut bed = bed_at(5);
    bed.play(&[
        ("call x of a", "commit 5 accept"),
        ("ok 5", "yes 2, changed, commit 6 intend x1"),
        ("ok 6", "changed, launch x1"),
        ("caller-stop x", "commit 7 stop"),
        ("full 7", "arm +500"),
        ("ready x1", "close"),
    ]);
    // A person's stop is withdrawn, but not that of a run that is over.
    let mut bed = bed_at(5);
    bed.play(&[
        ("call x of a", "commit 5 accept"),
        ("ok 5", "yes 2, changed, commit 6 intend x1"),
        ("ok 6", "changed, launch x1"),
        ("stop x", "commit 7 stop"),
        ("gone a1", "commit 8 end-failed-lost"),
        ("full 7", "arm +500"),
        ("ready x1", "close"),
    ]);
}

#[test]
fn a_caller_that_says_again_that_it_wants_a_stop_kills_nobody() {
    let mut bed = bed_at(5);
    bed.play(&[("call x of a", "commit 5 accept")]);
    bring_up(&mut bed, "x", 5);
    bed.play(&[
        ("caller-stop x", "ensure-stop, commit 9 stop"),
        ("caller-stop x", "ensure-stop"),
        ("ok 9", ""),
        ("caller-stop x", "ensure-stop"),
        ("caller-kill x", "ensure-stop, send-stop"),
        ("caller-stop y", ""),
    ]);
    let mut bed = bed_at(5);
    bed.play(&[("call x of a", "commit 5 accept")]);
    bring_up(&mut bed, "x", 5);
    bed.play(&[("caller-kill x", "ensure-stop, commit 9 stop, send-stop")]);
}

#[test]
fn a_sub_run_waits_for_room_on_the_disk() {
    let mut bed = bed_at(5);
    bed.play(&[
        ("call x of a", "commit 5 accept"),
        ("full 5", "arm +500"),
        ("tick 500", "commit 6 accept"),
        ("full 6", "arm +1000"),
        ("tick 1500", "commit 7 accept"),
        ("ok 7", "yes 2, changed, commit 8 intend x1"),
    ]);
    // Its caller may end meanwhile; any other trouble is told at once.
    let mut bed = bed_at(5);
    bed.play(&[
        ("call x of a", "commit 5 accept"),
        ("full 5", "arm +500"),
        ("ended a1", "commit 6 end-succeeded"),
        ("ok 6", "changed"),
        ("gone a1", ""),
        ("tick 500", "commit 7 accept"),
        ("ok 7", "yes 2, changed, commit 8 end-queued-aborted"),
        ("ok 8", "changed, over, over, clean"),
    ]);
    bed_at(5).play(&[("call x of a", "commit 5 accept"), ("io 5", "no 2 broken")]);
}

#[test]
fn a_stop_that_comes_before_the_loss_is_stored_is_a_further_one_when_it_is() {
    let mut bed = bed_at(5);
    bed.play(&[("call x of a", "commit 5 accept")]);
    bring_up(&mut bed, "x", 5);
    bed.play(&[
        ("gone a1", "commit 9 end-failed-lost, ensure-stop, commit 10 stop"),
        ("stop a", ""),
        ("ok 10", ""),
        ("ok 9", "changed, send-stop, yes 3"),
        ("ended x1", "commit 11 end-succeeded"),
        ("stop a", "no 4 failed"),
    ]);
}
