//! Tests of the decision whether a run is over.

use super::over;
use crate::model::change::Change;
use crate::model::{
    AttemptId, Boot, DagName, PendingRetry, Retries, RunId, RunRef, RunStatus, StopReason, Time,
};

fn run() -> RunRef {
    RunRef {
        dag: DagName::new("d").unwrap(),
        id: RunId::new("r").unwrap(),
    }
}

fn attempt() -> AttemptId {
    AttemptId::new("a").unwrap()
}

fn end(status: RunStatus) -> Change {
    Change::End {
        attempt: attempt(),
        status,
        error: None,
        lost: None,
        outputs: Vec::new(),
        timed_out: false,
        kill_escalated: false,
        at: Time(0),
    }
}

fn end_queued(status: RunStatus) -> Change {
    Change::EndQueued {
        run: run(),
        status,
        error: None,
        at: Time(0),
    }
}

fn retry_later() -> Change {
    Change::RetryLater {
        run: run(),
        retries: Retries::default(),
        retry: PendingRetry {
            number: 1,
            limit: 2,
            at: Time(5),
        },
        boot: Boot(5),
        boot_id: String::new(),
    }
}

#[test]
fn a_run_is_over_with_its_last_end_and_not_before() {
    let found = |changes: &[Change]| !over(changes, |found| (*found == attempt()).then(run)).is_empty();
    for status in RunStatus::ALL {
        assert_eq!(found(&[end(*status)]), status.is_terminal(), "{status}");
        assert_eq!(found(&[end_queued(*status)]), status.is_terminal(), "{status}");
        // Whatever the end, a retry follows.
        assert!(!found(&[end(*status), retry_later()]), "{status}");
    }
    let clean = Change::Clean { attempt: attempt() };
    assert!(found(&[end(RunStatus::Failed), clean.clone()]));
    assert!(!found(&[clean]));
    assert!(!found(&[retry_later()]));
    let cancel = Change::CancelRetry {
        run: run(),
        reason: StopReason::User { uid: 0 },
        at: Time(9),
    };
    assert!(
        found(std::slice::from_ref(&cancel)),
        "no retry follows the end that is stored already"
    );
    // An end, and the stop that came before both could be stored.
    assert!(found(&[end(RunStatus::Failed), retry_later(), cancel.clone()]));
    // A schedule may end several at once.
    let other = RunRef {
        id: "other".parse().unwrap(),
        ..run()
    };
    let aborted = Change::EndQueued {
        run: other.clone(),
        status: RunStatus::Aborted,
        error: None,
        at: Time(9),
    };
    assert_eq!(over(&[aborted, cancel], |_| None), [run(), other].into());
    // An attempt that nobody knows ends no run.
    assert!(over(&[end(RunStatus::Failed)], |_| None).is_empty());
}
