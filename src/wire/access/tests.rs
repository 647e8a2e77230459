//! Tests of the permit table, every role and verb.

use super::*;
use crate::model::{DagName, GroupName, Trigger};
use crate::wire::control::{HistoryFilter, Selector, Submit};
use crate::wire::manage::Install;

/// The rules in words of DESIGN §8, written the other way round: for each role what it may do.
#[test]
fn every_cell_of_the_table() {
    let everybody = ["ping", "submit", "install"];
    let lists = [
        "ps", "history", "dags", "remove", "source", "enable", "queues", "cleanup",
    ];
    let reading = ["status", "follow", "why", "attempts"];
    let changing = ["stop", "retry", "rerun", "approve", "reject", "dequeue"];
    // Who goes before others is not for those others to say: the owner is the daemon's own user.
    let checking = ["doctor", "pause-queue", "move", "metrics"];
    let operating = ["repair", "reload"];
    let mut cells = 0;
    for verb in Verb::all() {
        let word = verb.as_str();
        let of_runs = reading.contains(&word) || changing.contains(&word);
        assert_eq!(verb.is_about_a_run(), of_runs, "{word}");
        for role in [Role::Root, Role::Admin, Role::Owner, Role::Other] {
            let expected = if everybody.contains(&word) {
                Grant::Yes
            } else if lists.contains(&word) {
                if role == Role::Other {
                    Grant::OwnOnly
                } else {
                    Grant::Yes
                }
            } else if of_runs || checking.contains(&word) {
                if role == Role::Other {
                    Grant::No
                } else {
                    Grant::Yes
                }
            } else {
                assert!(operating.contains(&word), "{word} has no rule");
                if matches!(role, Role::Root | Role::Owner) {
                    Grant::Yes
                } else {
                    Grant::No
                }
            };
            assert_eq!(grant(role, verb), expected, "{role:?} {word}");
            cells += 1;
        }
    }
    assert_eq!(cells, VERBS * 4);
}

#[test]
fn roles_follow_from_user_ids() {
    assert_eq!(role(0, false, 1000), Role::Root);
    assert_eq!(role(0, true, 0), Role::Root);
    assert_eq!(role(1000, false, 1000), Role::Owner);
    assert_eq!(role(1001, true, 1000), Role::Admin);
    assert_eq!(role(1001, false, 1000), Role::Other);
    // The daemon's own user keeps the right to repair and reload when it is in the admin group, too.
    assert_eq!(grant(role(1000, true, 1000), Verb::Repair), Grant::Yes);
    // Nobody owns what belongs to root.
    assert_eq!(role(1000, false, 0), Role::Other);
}

fn dag() -> DagName {
    DagName::new("x").unwrap()
}

fn queue() -> GroupName {
    GroupName::new("q").unwrap()
}

fn install() -> Install {
    Install {
        source: String::new(),
        file: String::new(),
        stem: String::new(),
        name: None,
        schemas: Vec::new(),
        replace: false,
        private: false,
        replaces: None,
    }
}

#[test]
fn every_request_has_its_verb() {
    let selector = || Selector {
        dag: DagName::new("x").unwrap(),
        run: None,
    };
    let submit = Submit {
        source: String::new(),
        name: None,
        file: String::new(),
        stem: String::new(),
        base: None,
        schemas: Vec::new(),
        base_dir: String::new(),
        default_working_dir: None,
        run_id: None,
        params: None,
        args: Vec::new(),
        trigger: Trigger::Manual,
        queue: None,
        priority: None,
        now: false,
    };
    let requests = [
        Request::Ping,
        Request::Submit(Box::new(submit)),
        Request::Ps,
        Request::History(HistoryFilter::default()),
        Request::Status(selector()),
        Request::Follow(selector()),
        Request::Why(selector()),
        Request::Attempts(selector()),
        Request::Stop {
            run: selector(),
            interrupted: false,
        },
        Request::Retry(selector()),
        Request::Rerun(selector()),
        Request::Approve {
            run: selector(),
            step: None,
            inputs: Vec::new(),
        },
        Request::Reject {
            run: selector(),
            step: None,
            reason: None,
        },
        Request::Doctor { repair: false },
        Request::Doctor { repair: true },
        Request::Reload,
        Request::Dags,
        Request::Install(Box::new(install())),
        Request::Remove(dag()),
        Request::Source(dag()),
        Request::Enable { dag: dag(), on: true },
        Request::Queues,
        Request::PauseQueue {
            queue: queue(),
            on: true,
        },
        Request::Move {
            run: selector(),
            queue: None,
            priority: None,
            first: true,
        },
        Request::Dequeue(selector()),
        Request::Cleanup {
            dag: None,
            keep_days: None,
            keep_runs: None,
            dry_run: true,
        },
        Request::Metrics,
    ];
    let verbs: Vec<Verb> = requests.iter().map(Verb::of).collect();
    assert_eq!(verbs, Verb::all());
    let next = Request::Next { dag: None, count: 1 };
    assert_eq!(Verb::of(&next), Verb::Dags);
    assert_eq!(Verb::of(&Request::Queue(queue())), Verb::Queues);
}
