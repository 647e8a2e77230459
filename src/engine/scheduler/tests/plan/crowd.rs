//! How many runs that schedules made may wait.

use super::{Desk, cron, hourly, time};
use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::api::{Origin, Recovered, Retrying, USER_SCHEDULED_MAX};
use crate::engine::scheduler::{Config, Event, Installed, Token};
use crate::model::{RunRef, StopReason};

/// A run that a schedule of the user's DAG made, and that waits.
fn waits(dag: &str, number: usize, owner: u32) -> Recovered {
    Recovered {
        run: RunRef {
            dag: dag.parse().unwrap(),
            id: format!("w{number}").parse().unwrap(),
        },
        group: "g".parse().unwrap(),
        capacity: 1,
        attempts: 0,
        queued: Some(u64::try_from(number).unwrap()),
        live: None,
        unstored_start: None,
        stop: None,
        parent: None,
        retry: Retrying::default(),
        origin: Origin {
            created_at: time("0000"),
            scheduled_for: Some(time("0000")),
        },
        owner,
        priority: crate::model::Priority::default(),
        now: false,
        dag_limit: 0,
    }
}

/// So many runs of the user wait, of many DAGs, and one is about to be live, when user 1000's DAG is due at 08:00.
fn crowd(count: usize, owner: u32, plan: Installed) -> Desk {
    let mut desk = Desk(super::Bed::new());
    desk.0.now.wall = time("0730");
    let all = (0..=count).map(|number| waits(&format!("other{}", number % 100), number, owner));
    let told = desk.give(Event::Recover(all.collect()));
    assert!(told.ends_with("commit 1 intend w01"), "{told}");
    let plan = Installed {
        watermark: Some(time("0730")),
        ..plan
    };
    assert_eq!(desk.install(plan), "");
    desk
}

#[test]
fn all_dags_of_a_user_together_have_so_many_runs_wait_and_no_more() {
    for overlap in [
        OverlapPolicy::Skip,
        OverlapPolicy::All,
        OverlapPolicy::Latest,
        OverlapPolicy::CancelOther,
    ] {
        let plan = || Installed { overlap, ..hourly() };
        let mut desk = crowd(USER_SCHEDULED_MAX, 1000, plan());
        desk.play(&[("at 0800", "commit 2 mark 0800"), ("ok 2", "0800 user-crowded")]);
        // One that waits makes room.
        let run = waits("other1", 1, 1000).run;
        let stop = Event::Stop(Token(1), run, StopReason::User { uid: 1000 });
        assert_eq!(desk.give(stop), "commit 3 end-queued-aborted");
        desk.play(&[
            ("ok 3", "yes 1, changed, over"),
            ("at 0900", "make s0900, commit 4 accept+mark 0900"),
            ("ok 4", "changed, 0900 started s0900"),
        ]);
    }
}

#[test]
fn a_restart_that_is_left_out_stops_nothing() {
    let plan = Installed {
        starts: Vec::new(),
        restarts: vec![cron("0 * * * *")],
        ..hourly()
    };
    let mut desk = crowd(USER_SCHEDULED_MAX, 1000, plan);
    desk.play(&[("at 0800", "commit 2 mark 0800"), ("ok 2", "0800 user-crowded")]);
}

#[test]
fn one_that_makes_way_leaves_its_place_to_the_new_one() {
    let plan = Installed {
        overlap: OverlapPolicy::Latest,
        ..hourly()
    };
    let mut desk = crowd(USER_SCHEDULED_MAX - 1, 1000, plan);
    desk.play(&[
        ("at 0800", "make s0800, commit 2 accept+mark 0800"),
        ("ok 2", "changed, 0800 started s0800"),
        (
            "at 0900",
            "make s0900, commit 3 end-queued-aborted+accept+mark 0900",
        ),
    ]);
}

#[test]
fn the_runs_of_others_do_not_count_and_one_user_has_no_bound() {
    let plan = || Installed {
        overlap: OverlapPolicy::All,
        ..hourly()
    };
    let mut desk = crowd(USER_SCHEDULED_MAX, 2000, plan());
    desk.play(&[("at 0800", "make s0800, commit 2 accept+mark 0800")]);

    let mut desk = crowd(USER_SCHEDULED_MAX, 1000, plan());
    desk.0.engine.configure(Config {
        unbounded: Some(1000),
        ..Config::default()
    });
    desk.play(&[("at 0800", "make s0800, commit 2 accept+mark 0800")]);
}
