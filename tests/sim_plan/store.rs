//! What is committed, and nothing else.

use proctor::engine::scheduler::api::{CommitError, DueRetry, Retrying};
use proctor::model::change::Change;
use proctor::model::{AttemptId, DagName, GroupName, Priority, RunRef, RunStatus, StopReason, Time};
use std::collections::{BTreeMap, BTreeSet};

/// A run as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) created_at: Time,
    pub(crate) scheduled_for: Option<Time>,
    pub(crate) owner: u32,
    pub(crate) group: GroupName,
    pub(crate) capacity: u32,
    pub(crate) priority: Priority,
    pub(crate) dag_limit: u32,
    /// Its place in the queue.
    pub(crate) queued: Option<u64>,
    pub(crate) status: Option<RunStatus>,
    pub(crate) stop: Option<StopReason>,
    pub(crate) attempts: u32,
    /// The attempt that is not clean, and whether its end is stored.
    pub(crate) live: Option<(AttemptId, bool)>,
    pub(crate) retry: Retrying,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) rows: BTreeMap<RunRef, Row>,
    runs: BTreeMap<AttemptId, RunRef>,
    pub(crate) watermarks: BTreeMap<DagName, Time>,
    pub(crate) suspended: BTreeMap<DagName, bool>,
    /// The times that successes count for.
    pub(crate) successes: BTreeMap<(DagName, u32), BTreeSet<Time>>,
    pub(crate) paused: BTreeSet<GroupName>,
    /// Runs of which an attempt was taken back: they wait again.
    pub(crate) taken_back: BTreeSet<RunRef>,
    next: u64,
}

impl Store {
    /// Commits all of it, or nothing.
    pub(crate) fn commit(&mut self, batch: &[Change]) -> Result<(), CommitError> {
        let exists =
            |change: &Change| matches!(change, Change::Accept(new) if self.rows.contains_key(&new.run));
        if batch.iter().any(exists) {
            return Err(CommitError::Exists);
        }
        for change in batch {
            self.apply(change);
        }
        Ok(())
    }

    /// A launch that cannot be stored is taken back, too; and so is a stop of what waits.
    pub(crate) fn not_stored(&mut self, batch: &[Change]) {
        if let [Change::Intend { run, .. } | Change::EndQueued { run, .. }] = batch {
            self.taken_back.insert(run.clone());
        }
    }

    fn row(&mut self, run: &RunRef) -> &mut Row {
        self.rows.get_mut(run).expect("of a run that is not accepted")
    }

    fn apply(&mut self, change: &Change) {
        self.next += 1;
        let next = self.next;
        match change {
            Change::Accept(new) => {
                let row = Row {
                    created_at: new.created_at,
                    scheduled_for: new.scheduled_for,
                    owner: new.owner,
                    group: new.group.clone(),
                    capacity: new.capacity,
                    priority: new.priority,
                    dag_limit: new.dag_limit,
                    queued: Some(next),
                    status: None,
                    stop: None,
                    attempts: 0,
                    live: None,
                    retry: Retrying {
                        policy: new.retry.clone(),
                        ..Retrying::default()
                    },
                };
                self.rows.insert(new.run.clone(), row);
            }
            Change::Intend {
                run, attempt, number, ..
            } => {
                let row = self.row(run);
                assert!(row.live.is_none(), "{run}: {row:?}");
                assert_eq!(*number, row.attempts + 1);
                row.queued.take().expect("intended, but not queued");
                row.attempts += 1;
                row.live = Some((attempt.clone(), false));
                self.runs.insert(attempt.clone(), run.clone());
            }
            Change::Unlaunch { attempt } => {
                let run = self.runs[attempt].clone();
                let row = self.row(&run);
                row.live = None;
                row.attempts -= 1;
                row.queued = Some(next);
                self.taken_back.insert(run);
            }
            Change::End { attempt, status, .. } => {
                let run = self.runs[attempt].clone();
                let row = self.row(&run);
                assert!(row.status.is_none(), "{run} ends twice");
                row.status = Some(*status);
                row.live = Some((attempt.clone(), true));
                let counts = row.scheduled_for.unwrap_or(row.created_at);
                let owner = row.owner;
                if *status == RunStatus::Succeeded {
                    self.successes.entry((run.dag, owner)).or_default().insert(counts);
                }
            }
            Change::Clean { attempt } => {
                let run = self.runs[attempt].clone();
                self.row(&run).live = None;
            }
            Change::EndQueued { run, status, .. } => {
                let row = self.row(run);
                if row.status.is_none() {
                    row.queued.take().expect("ended in the queue, but not queued");
                    row.status = Some(*status);
                }
            }
            Change::Stop { run, reason, .. } => {
                let row = self.row(run);
                if row.status.is_none() {
                    row.stop = Some(reason.clone());
                }
            }
            Change::RetryLater { .. } | Change::CancelRetry { .. } | Change::Requeue { .. } => {
                self.turn(change, next);
            }
            Change::Watermark { dag, at } => {
                self.watermarks.insert(dag.clone(), *at);
            }
            Change::Suspend { dag, on } => {
                self.suspended.insert(dag.clone(), *on);
            }
            Change::Uninstall { dag, forget: true } => {
                self.watermarks.remove(dag);
                self.suspended.remove(dag);
            }
            Change::PauseQueue { queue, on } => {
                if *on {
                    self.paused.insert(queue.clone());
                } else {
                    self.paused.remove(queue);
                }
            }
            Change::Identify { .. } | Change::Start { .. } => {}
            other => panic!("nobody asked for it: {other:?}"),
        }
    }

    /// A pending retry is stored, given up, or done.
    fn turn(&mut self, change: &Change, next: u64) {
        match change {
            Change::RetryLater {
                run,
                retries,
                retry,
                boot,
                boot_id,
            } => {
                let row = self.row(run);
                assert_eq!(row.status, Some(RunStatus::Failed));
                row.retry.so_far = *retries;
                row.retry.due = Some(DueRetry {
                    retry: *retry,
                    boot: *boot,
                    boot_id: boot_id.clone(),
                });
            }
            Change::CancelRetry { run, reason, .. } => {
                let row = self.row(run);
                if row.retry.due.take().is_some() {
                    row.stop = Some(reason.clone());
                }
            }
            Change::Requeue { run, automatic, .. } => {
                let row = self.row(run);
                assert!(row.live.is_none() && row.status.is_some(), "{run}: {row:?}");
                let due = row.retry.due.take();
                if *automatic {
                    assert!(due.is_some(), "{run} is tried again, and nobody asked for it");
                    assert_eq!(row.stop, None, "{run} was stopped, and is tried again");
                } else {
                    row.retry.so_far = proctor::model::Retries::default();
                }
                row.status = None;
                row.stop = None;
                row.queued = Some(next);
                // It waits beside what came meanwhile.
                self.taken_back.insert(run.clone());
            }
            _ => unreachable!(),
        }
    }
}
