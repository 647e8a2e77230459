//! The bytes of messages about queues, installed DAGs and old runs.

use super::*;
use crate::wire::manage::{Action, CleanupReport, DagSummary, Install, QueueView, SourceText, Upcoming};

fn dag() -> DagName {
    DagName::new("d").unwrap()
}

fn queue() -> GroupName {
    GroupName::new("q").unwrap()
}

fn a_time() -> Upcoming {
    Upcoming {
        dag: dag(),
        action: Action::Restart,
        at: Time(1),
        due: Time(2),
        local: "l".to_owned(),
        zone: "z".to_owned(),
        note: Some("n".to_owned()),
        suspended: true,
        decided_ahead: Some(Time(3)),
        idle: true,
        barred: Some("b".to_owned()),
    }
}

fn a_dag() -> DagSummary {
    DagSummary {
        dag: dag(),
        file: "/f".to_owned(),
        owner: 1000,
        system: true,
        description: None,
        schedules: vec![("start".to_owned(), "@daily".to_owned())],
        suspended: false,
        problems: vec![problem()],
        in_force: true,
        next: Some(a_time()),
        last: Some("l".to_owned()),
        newest: Some((run_ref(), RunStatus::Queued)),
    }
}

#[test]
fn requests() {
    let enqueue = Submit {
        queue: Some(GroupName::new("q").unwrap()),
        priority: Some(Priority::new(-3).unwrap()),
        now: true,
        source: "s".to_owned(),
        name: None,
        file: "f".to_owned(),
        stem: "t".to_owned(),
        base: Some("b".to_owned()),
        schemas: Vec::new(),
        base_dir: "/".to_owned(),
        default_working_dir: None,
        run_id: Some("r".to_owned()),
        params: None,
        args: vec!["a".to_owned()],
        trigger: Trigger::Manual,
    };
    let install = Install {
        source: "s".to_owned(),
        file: "f".to_owned(),
        stem: "t".to_owned(),
        name: None,
        schemas: Vec::new(),
        replace: true,
        private: false,
        replaces: Some("h".to_owned()),
    };
    let all = [
        (
            Request::Submit(Box::new(enqueue)),
            "010173000166017401016200012f000101720001016100010171010501",
        ),
        (Request::Queues, "15"),
        (Request::Queue(queue()), "160171"),
        (
            Request::PauseQueue {
                queue: queue(),
                on: true,
            },
            "17017101",
        ),
        (
            Request::Move {
                run: selector(),
                queue: Some(queue()),
                priority: Some(Priority::MAX),
                first: true,
            },
            "18016401017201017101c801",
        ),
        (Request::Dequeue(selector()), "190164010172"),
        (Request::Dags, "0f"),
        (
            Request::Install(Box::new(install)),
            "1001730166017400000100010168",
        ),
        (Request::Remove(dag()), "110164"),
        (Request::Source(dag()), "120164"),
        (
            Request::Enable {
                dag: dag(),
                on: false,
            },
            "13016400",
        ),
        (
            Request::Next {
                dag: Some(dag()),
                count: 7,
            },
            "1401016407",
        ),
        (
            Request::Cleanup {
                dag: None,
                keep_days: Some(30),
                keep_runs: None,
                dry_run: true,
            },
            "1a00011e0001",
        ),
    ];
    for (index, (request, bytes)) in all.iter().enumerate() {
        assert_eq!(hex(request), *bytes, "request {index}");
    }
}

#[test]
fn responses() {
    let source = SourceText {
        dag: dag(),
        file: "/f".to_owned(),
        text: "t".to_owned(),
        hash: "h".to_owned(),
        own: true,
        in_force: false,
    };
    let view = QueueView {
        queue: queue(),
        capacity: Some(3),
        live: 1,
        queued: 2,
        paused: true,
        oldest: Some((run_ref(), Time(1))),
        owner: None,
    };
    let cleaned = CleanupReport {
        runs: 1,
        sub_runs: 2,
        bytes: Some(300),
        first: vec![run_ref()],
        failures: vec!["f".to_owned()],
        dry_run: true,
    };
    let all = [
        (
            Response::Dags(vec![a_dag()]),
            "0b010164022f66fbe80301000105737461727406406461696c790001016d00010101020001010164020204016c017a01016e0101060101016201016c010164017205",
        ),
        (
            Response::Dag(Box::new(a_dag()), vec![problem()]),
            "0c0164022f66fbe80301000105737461727406406461696c790001016d00010101020001010164020204016c017a01016e0101060101016201016c01016401720501016d000101010200",
        ),
        (Response::Source(Box::new(source)), "0d0164022f66017401680100"),
        (
            Response::Next(vec![a_time()]),
            "0e010164020204016c017a01016e01010601010162",
        ),
        (Response::Queues(vec![view]), "0f010171010301020101016401720200"),
        (Response::Cleaned(cleaned), "10010201fb2c01010164017201016601"),
    ];
    for (index, (response, bytes)) in all.iter().enumerate() {
        assert_eq!(hex(response), *bytes, "response {index}");
    }
}
