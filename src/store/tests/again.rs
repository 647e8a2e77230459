//! Retries of a run as a whole.

use crate::model::{Boot, PendingRetry, Retries, StopReason};

use super::super::{Filter, RetryState};
use super::*;

fn later(run: &RunRef, number: u32, at: i64) -> Change {
    Change::RetryLater {
        run: run.clone(),
        retries: Retries {
            failed: number,
            lost: 0,
        },
        retry: pending(number, at),
        boot: Boot(77),
        boot_id: "boot".to_owned(),
    }
}

fn pending(number: u32, at: i64) -> PendingRetry {
    PendingRetry {
        number,
        limit: 5,
        at: Time(at),
    }
}

fn requeue(run: &RunRef, automatic: bool) -> Change {
    Change::Requeue {
        run: run.clone(),
        caller: None,
        automatic,
        at: Time(50),
    }
}

fn state(bench: &Bench, run: &RunRef) -> RetryState {
    bench.reader().retry_state(run).unwrap()
}

/// A run whose first attempt has failed and will be followed by another one.
fn failed(bench: &mut Bench) -> RunRef {
    let run = run_ref("etl", "r1");
    bench.ok(vec![
        accept("etl", "r1", 1),
        intend(&run, 1, 2),
        start(&run, 1, 3),
        end(&run, 1, RunStatus::Failed, 5),
        later(&run, 1, 40),
    ]);
    run
}

#[test]
fn a_pending_retry_is_told_by_every_view_and_found_by_recovery() {
    let mut bench = Bench::new();
    let run = failed(&mut bench);
    bench.reopen();
    let reader = bench.reader();
    let view = reader.run_view(&run).unwrap().unwrap();
    assert_eq!(
        (view.status, view.retry),
        (RunStatus::Failed, Some(pending(1, 40)))
    );
    assert_eq!(reader.history(&Filter::default()).unwrap().runs, [view.summary()]);
    assert_eq!(reader.recover().unwrap().retrying, std::slice::from_ref(&run));
    let due = Some((pending(1, 40), Boot(77), "boot".to_owned()));
    let so_far = Retries { failed: 1, lost: 0 };
    assert_eq!(state(&bench, &run), RetryState { so_far, due });
    // Whether its last attempt is cleaned up or not.
    bench.ok(vec![clean(&run, 1)]);
    assert_eq!(bench.reader().recover().unwrap().retrying, [run]);
}

#[test]
fn a_retry_that_comes_by_itself_counts_and_that_of_a_person_starts_the_count_anew() {
    let mut bench = Bench::new();
    let run = failed(&mut bench);
    bench.ok(vec![requeue(&run, true)]);
    let so_far = Retries { failed: 1, lost: 0 };
    assert_eq!(state(&bench, &run), RetryState { so_far, due: None });
    let view = bench.reader().run_view(&run).unwrap().unwrap();
    assert_eq!((view.status, view.retry), (RunStatus::Queued, None));
    assert!(bench.reader().recover().unwrap().retrying.is_empty());
    bench.ok(vec![
        intend(&run, 2, 60),
        start(&run, 2, 61),
        end(&run, 2, RunStatus::Failed, 62),
        later(&run, 2, 90),
    ]);
    // Each attempt keeps its own end (W31), and says nothing of the retry that the run waits for now.
    let first = bench.reader().attempt_view(&run, 1).unwrap().unwrap();
    assert_eq!(
        (first.status, first.finished_at, first.retry),
        (RunStatus::Failed, Some(Time(5)), None)
    );
    bench.ok(vec![requeue(&run, false)]);
    assert_eq!(state(&bench, &run), RetryState::default());
}

#[test]
fn a_cancelled_retry_leaves_the_run_failed_and_says_who_cancelled_it() {
    let mut bench = Bench::new();
    let run = failed(&mut bench);
    let reason = StopReason::User { uid: 7 };
    let cancel = || Change::CancelRetry {
        run: run.clone(),
        reason: reason.clone(),
        at: Time(9),
    };
    bench.ok(vec![cancel()]);
    let view = bench.reader().run_view(&run).unwrap().unwrap();
    assert_eq!((view.status, view.retry), (RunStatus::Failed, None));
    assert_eq!(view.stop, Some(reason.clone()));
    assert_eq!(state(&bench, &run).due, None);
    assert!(bench.reader().recover().unwrap().retrying.is_empty());
    // One that is not pending any more cannot be cancelled.
    bench.ok(vec![requeue(&run, false), cancel()]);
    assert_eq!(bench.reader().run_view(&run).unwrap().unwrap().stop, None);
}
