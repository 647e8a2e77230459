//! Users may have DAGs of one name: the schedules of one have nothing to do with the runs of another.

use std::sync::Arc;

use super::super::new_run;
use super::{Desk, cron, dag, hourly, lives, roomy, time};
use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::{Event, Installed, Token};
use crate::model::change::NewRun;

/// The DAG of another user than the one whose runs `submit` makes.
fn theirs(plan: Installed) -> Installed {
    let template = NewRun {
        owner: 2000,
        ..(*plan.template).clone()
    };
    Installed {
        template: Arc::new(template),
        ..plan
    }
}

/// Somebody's own run `A` is live when the schedules of another user's DAG of that name are due.
fn live(plan: Installed) -> Desk {
    let mut desk = Desk::quiet("0730", theirs(plan));
    let own = NewRun {
        created_at: time("0745"),
        ..*new_run("A", 2)
    };
    let submit = Event::Submit(Token(1), Box::new(own));
    assert_eq!(desk.give(submit), "commit 1 accept");
    desk.play(&[("ok 1", "yes 1, changed, commit 2 intend A1")]);
    lives(&mut desk, "A", 2);
    desk
}

#[test]
fn somebody_elses_run_is_not_in_the_way_of_a_start() {
    for overlap in [
        OverlapPolicy::Skip,
        OverlapPolicy::Latest,
        OverlapPolicy::CancelOther,
    ] {
        let mut desk = live(Installed { overlap, ..roomy() });
        desk.play(&[
            ("at 0800", "make s0800, commit 5 accept+mark 0800"),
            ("ok 5", "changed, 0800 started s0800, commit 6 intend s08001"),
        ]);
    }
}

#[test]
fn somebody_elses_run_is_neither_stopped_nor_restarted() {
    let stops = Installed {
        starts: Vec::new(),
        stops: vec![cron("0 * * * *")],
        ..roomy()
    };
    let mut desk = live(stops);
    desk.play(&[("at 0800", "commit 5 mark 0800"), ("ok 5", "0800 stopped-0")]);
    let restarts = Installed {
        starts: Vec::new(),
        restarts: vec![cron("0 * * * *")],
        ..roomy()
    };
    let mut desk = live(restarts);
    desk.play(&[("at 0800", "make r0800, commit 5 accept+mark 0800")]);
}

#[test]
fn a_run_that_makes_way_holds_up_no_other_users_runs() {
    let plan = Installed {
        overlap: OverlapPolicy::CancelOther,
        ..roomy()
    };
    let mut desk = Desk::quiet("0730", plan);
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("ok 1", "changed, 0800 started s0800, commit 2 intend s08001"),
    ]);
    lives(&mut desk, "s0800", 2);
    desk.play(&[
        ("at 0900", "make s0900, commit 5 stop+accept+mark 0900"),
        ("ok 5", "ensure-stop, changed, 0900 started s0900"),
    ]);
    // It waits for the one that stops, and nobody else does.
    let other = NewRun {
        owner: 2000,
        ..*new_run("A", 2)
    };
    let submit = Event::Submit(Token(1), Box::new(other));
    assert_eq!(desk.give(submit), "commit 6 accept");
    desk.play(&[("ok 6", "yes 1, changed, commit 7 intend A1")]);
}

#[test]
fn a_success_counts_for_its_own_user() {
    let plan = Installed {
        skip_if_successful: true,
        ..roomy()
    };
    let mut desk = live(plan);
    desk.play(&[
        ("ended A1", "commit 5 end-succeeded"),
        ("ok 5", "changed, over"),
        ("at 0800", "make s0800, commit 6 accept+mark 0800"),
    ]);
}

#[test]
fn who_holds_back_a_dag_holds_back_nobody_elses_retries() {
    let mut desk = Desk::quiet("0730", theirs(hourly()));
    desk.play(&[("suspend", "commit 1 suspend"), ("ok 1", "yes 1, idle")]);
    let engine = &desk.0.engine;
    assert!(engine.holds_retries(&dag(), 2000));
    assert!(!engine.holds_retries(&dag(), 1000));
    // It is another user's now, and is held back as it was.
    desk.install(hourly());
    let engine = &desk.0.engine;
    assert!(engine.holds_retries(&dag(), 1000));
    assert!(!engine.holds_retries(&dag(), 2000));
}

#[test]
fn the_run_of_another_users_schedule_at_that_time_does_not_count_as_started() {
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("at 0800", "make s0800, commit 1 accept+mark 0800"),
        ("ok 1", "changed, 0800 started s0800, commit 2 intend s08001"),
    ]);
    // It becomes another user's, who knows nothing of that run.
    desk.tell("uninstall");
    desk.install(theirs(Installed {
        watermark: Some(time("0730")),
        ..hourly()
    }));
    let made = desk.tell("at 080001");
    assert!(!made.contains("started-before"), "{made}");
    let runs = &desk.0.engine.counts().runs;
    assert_eq!(*runs, 2, "{made}");
}

#[test]
fn who_holds_back_a_dag_does_not_hold_back_the_next_one_of_that_name() {
    // The request is being stored when the file of the DAG goes, and is answered when somebody else's is there.
    let mut desk = Desk::quiet("0730", theirs(hourly()));
    desk.play(&[
        ("suspend", "commit 1 suspend"),
        ("enable", ""),
        ("suspend", ""),
        ("uninstall", ""),
        ("forget", "no 2 not-found, no 3 not-found"),
    ]);
    assert_eq!(
        desk.install(Installed {
            watermark: None,
            ..hourly()
        }),
        ""
    );
    assert!(!desk.0.engine.is_suspended(&dag()));
    desk.play(&[("ok 1", "no 1 not-found, commit 2 mark 0730"), ("ok 2", "idle")]);
    assert!(!desk.0.engine.is_suspended(&dag()));
    assert!(!desk.0.engine.holds_retries(&dag(), 1000));
    desk.play(&[
        ("at 0800", "make s0800, commit 3 accept+mark 0800"),
        ("ok 3", "changed, 0800 started s0800, commit 4 intend s08001"),
        // The new owner's own request counts.
        ("suspend", "commit 5 suspend"),
        ("ok 5", "yes 4"),
    ]);
    assert!(desk.0.engine.is_suspended(&dag()));
}

#[test]
fn what_was_asked_of_a_dag_that_is_gone_leaves_nothing() {
    let mut desk = Desk::quiet("0730", theirs(hourly()));
    desk.play(&[
        ("suspend", "commit 1 suspend"),
        ("forget", ""),
        ("uninstall", ""),
        ("ok 1", "no 1 not-found, idle"),
        ("forget", ""),
    ]);
    assert!(desk.0.engine.is_empty());
    // One that cannot be stored is refused for that.
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("suspend", "commit 1 suspend"),
        ("forget", ""),
        ("io 1", "no 1 broken, idle"),
        ("at 0800", "make s0800, commit 2 accept+mark 0800"),
    ]);
}

#[test]
fn a_dag_without_a_plan_is_held_back_as_well() {
    let mut desk = Desk(super::Bed::new());
    desk.play(&[("suspend", "commit 1 suspend"), ("ok 1", "yes 1, idle")]);
    assert!(desk.0.engine.holds_retries(&dag(), 1000));
    desk.play(&[("enable", "commit 2 enable"), ("ok 2", "yes 2, idle")]);
    assert!(!desk.0.engine.holds_retries(&dag(), 1000));
}

#[test]
fn what_was_held_back_is_not_when_the_name_is_free() {
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[("suspend", "commit 1 suspend"), ("ok 1", "yes 1, idle")]);
    // It may come back as it was.
    desk.play(&[("uninstall", "")]);
    assert!(desk.0.engine.holds_retries(&dag(), 1000));
    desk.play(&[("forget", "")]);
    assert!(!desk.0.engine.holds_retries(&dag(), 1000));
    // The store had it that it is held back when the daemon started, and nobody has installed it.
    let mut desk = Desk(super::Bed::new());
    desk.give(Event::Suspended(vec![(dag(), 1000)]));
    assert!(desk.0.engine.holds_retries(&dag(), 1000));
    desk.play(&[("forget", "")]);
    assert!(!desk.0.engine.holds_retries(&dag(), 1000));
    // That is on its way to the store, which forgets it then.
    let mut desk = Desk::quiet("0730", hourly());
    desk.play(&[
        ("suspend", "commit 1 suspend"),
        ("uninstall", ""),
        ("forget", ""),
        ("ok 1", "no 1 not-found, idle"),
    ]);
    assert!(!desk.0.engine.holds_retries(&dag(), 1000));
}
