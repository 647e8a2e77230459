//! Retries of runs as a whole: which policies runs have, what a supervisor makes of them, and what must hold.

use crate::rng::Rng;
use crate::store::{Row, Truth};
use crate::world::World;
use proctor::engine::scheduler::api::{DueRetry, Retrying};
use proctor::model::change::Change;
use proctor::model::{RetryPolicy, RetryRule, RunStatus};

/// The exit code of a failed step that a policy with codes names.
const WANTED: i32 = 7;

/// What is stored of a run's retries.
pub(crate) type Stored = Retrying;

/// A policy, or none.
pub(crate) fn policy(rng: &mut Rng) -> Option<RetryPolicy> {
    if rng.percent(40) {
        return None;
    }
    let mut rule = || RetryRule {
        limit: u32::try_from(1 + rng.below(3)).unwrap(),
        interval_sec: u64::try_from(rng.below(3)).unwrap(),
        backoff: 2.0,
        max_interval_sec: 3,
    };
    let (failed, lost) = (rule(), rule());
    Some(RetryPolicy {
        failed: Some(failed).filter(|_| rng.percent(80)),
        lost: Some(lost).filter(|_| rng.percent(80)),
        exit_codes: if rng.percent(50) { vec![WANTED] } else { Vec::new() },
        shared: rng.percent(50),
    })
}

/// Whether a supervisor whose step failed leaves the failure handler out.
pub(crate) fn leaves_handler_out(retried_on: Option<&Vec<i32>>, rng: &mut Rng) -> bool {
    let code = if rng.percent(70) { WANTED } else { 1 };
    retried_on.is_some_and(|codes| {
        let policy = RetryPolicy {
            exit_codes: codes.clone(),
            ..RetryPolicy::default()
        };
        policy.wants(std::iter::once(code))
    })
}

impl Row {
    /// A retry comes exactly if the attempt ended in a way that the policy wants, and the budget allows it.
    pub(crate) fn check_end(&self, batch: &[Change], at: usize, stopped: bool, truth: Truth) {
        let Change::End { status, lost, .. } = &batch[at] else {
            return;
        };
        let is_lost = lost.is_some();
        let wanted =
            self.parent.is_none() && *status == RunStatus::Failed && !stopped && (is_lost || truth.retry);
        let next = self.retry.policy.as_ref().filter(|_| wanted);
        let next = next.and_then(|policy| policy.next(self.retry.so_far, is_lost));
        match (next, batch.get(at + 1)) {
            (None, Some(Change::RetryLater { .. })) => panic!("a retry that nobody wants: {batch:?}"),
            (Some(next), Some(Change::RetryLater { retries, retry, .. })) => {
                assert_eq!(*retries, self.retry.so_far.with(is_lost));
                assert_eq!((retry.number, retry.limit), (next.number, next.limit));
            }
            (Some(next), other) => panic!("{next:?} is left out: {other:?}"),
            (None, _) => {}
        }
        assert!(
            !truth.retry || next.is_some() || stopped,
            "the failure handler never runs"
        );
    }

    /// The pending retry is stored, given up, or done.
    pub(crate) fn turn(&mut self, change: &Change) {
        match change {
            Change::RetryLater {
                retries,
                retry,
                boot,
                boot_id,
                ..
            } => {
                assert_eq!(self.status, Some(RunStatus::Failed));
                assert!(self.stop.is_none(), "stopped, and tried again");
                assert_eq!(self.retry.due, None, "two retries");
                self.retry.so_far = *retries;
                self.retry.due = Some(DueRetry {
                    retry: *retry,
                    boot: *boot,
                    boot_id: boot_id.clone(),
                });
            }
            Change::CancelRetry { reason, .. } => {
                assert!(self.retry.due.take().is_some(), "nothing to cancel");
                self.stop = Some(reason.clone());
            }
            Change::Requeue { automatic: true, .. } => {
                assert!(self.retry.due.take().is_some(), "nobody asked for it");
                self.automatic += 1;
            }
            Change::Requeue { .. } => {
                self.retry.due = None;
                self.retry.so_far = proctor::model::Retries::default();
            }
            _ => unreachable!(),
        }
    }
}

impl World<'_> {
    /// No retry comes before its time, as long as that can be told.
    pub(crate) fn check_time(&self, batch: &[Change]) {
        let Some(Change::Requeue {
            run, automatic: true, ..
        }) = batch.first()
        else {
            return;
        };
        let due = self.store.rows[run].retry.due.as_ref().expect("it has none");
        assert!(
            due.boot_id != self.boot_id || self.now.boot >= due.boot,
            "tried again too early"
        );
    }

    /// Runs that are over now that no retry comes.
    pub(crate) fn note_cancelled(&mut self, batch: &[Change]) {
        for change in batch {
            if let Change::CancelRetry { run, .. } = change {
                self.report.cancelled_retries += 1;
                self.ending.insert(run.clone());
            }
        }
    }

    pub(crate) fn boot_number(&self) -> String {
        format!("boot {}", self.report.reboots)
    }
}
