//! The store of the simulated world: what is committed, and nothing else. It checks every batch against what a
//! history may never hold.

use proctor::engine::scheduler::api::CommitError;
use proctor::model::change::Change;
use proctor::model::{AttemptId, GroupName, LostCause, Priority, RunRef, RunStatus, StopReason};
use std::collections::{BTreeMap, BTreeSet};

/// An attempt as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    pub(crate) identified: bool,
    pub(crate) started: bool,
    pub(crate) end: Option<(RunStatus, Option<LostCause>)>,
    pub(crate) clean: bool,
}

/// A run as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) group: GroupName,
    pub(crate) capacity: u32,
    pub(crate) owner: u32,
    pub(crate) priority: Priority,
    pub(crate) now: bool,
    pub(crate) dag_limit: u32,
    /// The run whose step called it.
    pub(crate) parent: Option<RunRef>,
    pub(crate) order: u64,
    pub(crate) queued: Option<i64>,
    pub(crate) status: Option<RunStatus>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) stop: Option<StopReason>,
    /// A retry was asked for with facts that were out of date.
    pub(crate) stale: bool,
    /// Somebody decided about a run that waits; so it may be queued again.
    pub(crate) decided: bool,
    /// Its retries as a whole.
    pub(crate) retry: crate::again::Stored,
    /// How often it was tried again by itself.
    pub(crate) automatic: u64,
}

/// What an attempt's journal says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Truth {
    pub(crate) began: bool,
    pub(crate) ended: Option<RunStatus>,
    /// Whether the failure handler was left out.
    pub(crate) retry: bool,
}

impl Row {
    /// It ends in the queue, or while it waits.
    fn end_without_attempt(&mut self, status: RunStatus) {
        assert!(status.is_terminal());
        match self.status {
            Some(RunStatus::Waiting) => {
                let last = self.attempts.last_mut().expect("it waits without an attempt");
                assert_eq!(last.end, Some((RunStatus::Waiting, None)));
                last.end = Some((status, None));
            }
            Some(_) => return,
            None => assert!(self.queued.take().is_some()),
        }
        self.status = Some(status);
    }

    /// The attempt that is not marked clean.
    pub(crate) fn live(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| !attempt.clean)
    }
}

/// Everything that is committed.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) rows: BTreeMap<RunRef, Row>,
    pub(crate) runs: BTreeMap<AttemptId, RunRef>,
    pub(crate) paused: BTreeSet<GroupName>,
    next: i64,
    head: i64,
}

impl Store {
    pub(crate) fn attempt(&self, id: &AttemptId) -> Option<&Attempt> {
        let row = self.rows.get(self.runs.get(id)?)?;
        row.attempts.iter().find(|attempt| attempt.id == *id)
    }

    pub(crate) fn row_of(&self, id: &AttemptId) -> Option<&Row> {
        self.rows.get(self.runs.get(id)?)
    }

    /// A run, the one that called it, and so on.
    pub(crate) fn line<'a>(&'a self, run: &'a RunRef) -> Vec<&'a RunRef> {
        std::iter::successors(Some(run), |run| self.rows.get(run)?.parent.as_ref()).collect()
    }

    /// Commits the batch or nothing of it. `truth` is what the attempt's journal says: started, and how it ended.
    pub(crate) fn commit(
        &mut self,
        batch: &[Change],
        truth: impl Fn(&AttemptId) -> Truth,
    ) -> Result<(), CommitError> {
        assert!(!batch.is_empty(), "an empty batch");
        for (at, change) in batch.iter().enumerate() {
            self.apply(change, &truth)?;
            if let Change::End { attempt, .. } = change {
                let row = &self.rows[&self.runs[attempt]];
                row.check_end(batch, at, row.stop.is_some(), truth(attempt));
            }
        }
        Ok(())
    }

    fn apply(&mut self, change: &Change, truth: &impl Fn(&AttemptId) -> Truth) -> Result<(), CommitError> {
        match change {
            Change::Accept(new) => {
                if self.rows.contains_key(&new.run) {
                    return Err(CommitError::Exists);
                }
                self.next += 1;
                let row = Row {
                    group: new.group.clone(),
                    capacity: new.capacity,
                    owner: new.owner,
                    priority: new.priority,
                    now: new.now,
                    dag_limit: new.dag_limit,
                    parent: new.parent.as_ref().map(|caller| caller.run.clone()),
                    order: self.next.unsigned_abs(),
                    queued: Some(self.next),
                    status: None,
                    attempts: Vec::new(),
                    stop: None,
                    stale: false,
                    decided: false,
                    retry: crate::again::Stored {
                        policy: new.retry.clone(),
                        ..crate::again::Stored::default()
                    },
                    automatic: 0,
                };
                self.rows.insert(new.run.clone(), row);
            }
            Change::Requeue { run, caller, .. } => self.requeue(run, caller.is_some(), change)?,
            Change::Decide { run, attempt, .. } => {
                let row = self.rows.get_mut(run).expect("decided before it was accepted");
                let newest = row.attempts.last().is_some_and(|newest| newest.id == *attempt);
                if row.status != Some(RunStatus::Waiting) || !newest {
                    return Err(CommitError::Exists);
                }
                row.decided = true;
            }
            Change::Intend {
                run, attempt, number, ..
            } => {
                let row = self.rows.get_mut(run).expect("intended before it was accepted");
                assert!(row.queued.is_some(), "intended, but not queued");
                assert!(row.stop.is_none(), "intended after a stop");
                assert_eq!(*attempt, AttemptId::derive(run, *number));
                assert!(row.live().is_none(), "intended while an attempt is not clean");
                let next = u32::try_from(row.attempts.len()).unwrap() + 1;
                if *number < next && row.stale {
                    return Err(CommitError::Exists);
                }
                assert_eq!(*number, next, "attempt numbers are dense");
                row.queued = None;
                row.attempts.push(Attempt {
                    id: attempt.clone(),
                    identified: false,
                    started: false,
                    end: None,
                    clean: false,
                });
                self.runs.insert(attempt.clone(), run.clone());
            }
            Change::RetryLater { run, .. } | Change::CancelRetry { run, .. } => {
                self.rows.get_mut(run).expect("of a run that is not").turn(change);
            }
            Change::Watermark { .. }
            | Change::Suspend { .. }
            | Change::Install(_)
            | Change::Uninstall { .. }
            | Change::Notify(_)
            | Change::Notified { .. }
            | Change::Retire { .. }
            | Change::Removed { .. } => panic!("nobody asked for it: {change:?}"),
            Change::PauseQueue { queue, on: true } => {
                self.paused.insert(queue.clone());
            }
            Change::PauseQueue { queue, on: false } => {
                self.paused.remove(queue);
            }
            Change::Move { .. } => self.place(change),
            Change::Stop { run, reason, .. } => {
                let row = self.rows.get_mut(run).expect("stopped before it was accepted");
                if row.status == Some(RunStatus::Waiting) {
                    assert!(row.live().is_none(), "it waits, and an attempt is not clean");
                } else if row.status.is_some() {
                    // A run that waits no more: nothing is changed of it.
                    return Ok(());
                }
                row.stop = Some(reason.clone());
            }
            Change::EndQueued { run, status, .. } => {
                let row = self.rows.get_mut(run).expect("ended before it was accepted");
                row.end_without_attempt(*status);
            }
            Change::Identify { attempt, .. }
            | Change::Unlaunch { attempt }
            | Change::Start { attempt, .. }
            | Change::End { attempt, .. }
            | Change::Clean { attempt } => self.apply_attempt(attempt, change, truth(attempt)),
            Change::Step { .. } | Change::Account { .. } => panic!("the shell's business: {change:?}"),
        }
        Ok(())
    }

    fn requeue(&mut self, run: &RunRef, called: bool, change: &Change) -> Result<(), CommitError> {
        self.next += 1;
        for (child, row) in &self.rows {
            let mine = row.parent.as_ref() == Some(run);
            assert!(
                !mine || (row.queued.is_none() && row.live().is_none()),
                "{run} is tried again before {child}, which it called, is gone"
            );
        }
        let row = self.rows.get_mut(run).expect("requeued before it was accepted");
        if row.status.is_none() {
            return Err(CommitError::Exists);
        }
        let decided = std::mem::take(&mut row.decided);
        assert!(
            decided || called || row.status != Some(RunStatus::Waiting),
            "requeued, but nobody decided"
        );
        assert!(row.live().is_none(), "requeued while an attempt is not clean");
        row.turn(change);
        row.status = None;
        row.stop = None;
        row.queued = Some(self.next);
        Ok(())
    }

    fn place(&mut self, change: &Change) {
        let Change::Move {
            run,
            queue,
            priority,
            first,
        } = change
        else {
            return;
        };
        let row = self.rows.get_mut(run).expect("moved before it was accepted");
        assert!(
            row.queued.is_some() && row.stop.is_none(),
            "{run} is moved and not queued: {row:?}"
        );
        if let Some((group, capacity)) = queue {
            row.group = group.clone();
            row.capacity = *capacity;
        }
        row.priority = priority.unwrap_or(row.priority);
        if *first {
            self.head -= 1;
            row.queued = Some(self.head);
        } else if queue.is_some() {
            self.next += 1;
            row.queued = Some(self.next);
        }
    }

    fn apply_attempt(&mut self, id: &AttemptId, change: &Change, truth: Truth) {
        let run = self.runs.get(id).expect("of an attempt that was not intended");
        let row = self.rows.get_mut(run).unwrap();
        let stopped = row.stop.is_some();
        let attempt = row.attempts.last_mut().expect("a taken back attempt");
        assert_eq!(attempt.id, *id, "of an attempt that is over: {change:?}");
        assert!(!attempt.clean, "after it was cleaned: {change:?}");
        let (began, journal) = (truth.began, truth.ended);
        match change {
            Change::Clean { .. } => {
                assert!(attempt.end.is_some(), "cleaned before its end");
                attempt.clean = true;
                return;
            }
            _ => assert!(attempt.end.is_none(), "a terminal state changes: {change:?}"),
        }
        match change {
            Change::Identify { .. } => attempt.identified = true,
            Change::Start { .. } => {
                assert!(began, "a start that never was");
                attempt.started = true;
            }
            Change::Unlaunch { .. } => {
                assert!(!began, "taken back, but it had started");
                row.attempts.pop();
                self.runs.remove(id);
                self.head -= 1;
                row.queued = Some(self.head);
            }
            Change::End {
                status, lost, error, ..
            } => {
                assert!(status.ends_attempt());
                assert_eq!(attempt.started, began, "the start is stored before the end");
                let gave_up = error.as_ref().is_some_and(|text| text.contains("times in a row"));
                assert!(
                    began || gave_up || lost.is_none(),
                    "never started, so nothing is lost"
                );
                match journal {
                    Some(RunStatus::Waiting) if stopped => {
                        assert_eq!(
                            (*status, lost),
                            (RunStatus::Aborted, &None),
                            "the stop is forgotten"
                        );
                    }
                    Some(told) => assert_eq!((*status, lost), (told, &None), "not what its journal says"),
                    None if began => assert!(
                        *status == RunStatus::Failed && lost.is_some(),
                        "no final record, so it is lost; the store was told {status}, {lost:?}"
                    ),
                    None => assert!(
                        *status == RunStatus::Failed || (*status == RunStatus::Aborted && stopped),
                        "never started; the store was told {status}"
                    ),
                }
                attempt.end = Some((*status, lost.clone()));
                row.status = Some(*status);
            }
            _ => unreachable!(),
        }
    }
}
