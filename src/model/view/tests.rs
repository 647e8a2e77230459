//! Records against a view.

use super::*;
use crate::model::{DagName, RunId};

fn view() -> RunView {
    RunView {
        run: RunRef {
            dag: DagName::new("d").unwrap(),
            id: RunId::new("r").unwrap(),
        },
        attempt: None,
        number: 1,
        status: RunStatus::Queued,
        error: None,
        lost: None,
        stop: None,
        timed_out: false,
        kill_escalated: false,
        stalled: false,
        params: Vec::new(),
        outputs: Vec::new(),
        group: GroupName::new("g").unwrap(),
        owner: 0,
        trigger: Trigger::Manual,
        parent: None,
        created_at: Time(1),
        started_at: None,
        finished_at: None,
        pid: None,
        log_dir: String::from("/logs"),
        steps: vec![StepView::new("s")],
        handlers: Vec::new(),
    }
}

#[test]
fn nothing_follows_the_end() {
    let ended = |status| Fact::Ended {
        status,
        error: None,
        outputs: Vec::new(),
    };
    let mut view = view();
    let apply = |view: &mut RunView, fact: Fact| {
        view.apply(&Record {
            seq: 0,
            at: Time(2),
            fact,
        })
    };
    apply(&mut view, Fact::Started { pid: 7 });
    assert_eq!((view.status, view.pid), (RunStatus::Running, Some(7)));
    apply(&mut view, ended(RunStatus::Succeeded));
    let end = view.clone();
    for fact in [
        Fact::Started { pid: 8 },
        ended(RunStatus::Running),
        ended(RunStatus::Failed),
        Fact::TimedOut {},
    ] {
        assert_eq!(apply(&mut view, fact), None);
        assert_eq!(view, end);
    }
}
