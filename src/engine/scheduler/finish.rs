//! How attempts end: by their own record, or lost without one; and how they leave memory.

use super::Scheduler;
use super::api::{AttemptEnd, Effect, Refusal};
use super::run::{Key, Phase, Run};
use super::save::accept;
use crate::model::change::Change;
use crate::model::{AttemptId, LostCause, Now, RunStatus, StopReason, Time};

impl Scheduler {
    /// The journal holds the final record. It is the truth in whatever phase it comes; one that comes before the
    /// gate was opened closes it.
    pub(super) fn ended(&mut self, now: Now, attempt: &AttemptId, end: AttemptEnd, out: &mut Vec<Effect>) {
        let Some((key, run)) = self.by_attempt(attempt) else {
            return;
        };
        match run.phase {
            Phase::Launching | Phase::Identifying => out.push(Effect::CloseGate(attempt.clone())),
            Phase::Opening | Phase::Running | Phase::Closing => {}
            _ => return,
        }
        self.record_end(now, key, end, false, out);
        self.end_family(now, key, out);
    }

    /// Commits the end. `gone` says whether nothing of the attempt lives any more.
    pub(super) fn record_end(
        &mut self,
        now: Now,
        key: Key,
        end: AttemptEnd,
        gone: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let Some(attempt) = run.attempt.clone() else {
            return;
        };
        // The journal is written with the job's rights, so its word for the status is checked.
        let (status, error) = match (end.status, &run.stop) {
            // The stop came when the attempt had ended, and nobody else can end the run for it.
            (RunStatus::Waiting, Some(reason)) => (RunStatus::Aborted, Some(reason.to_string())),
            (status, _) if status.ends_attempt() => (status, end.error),
            (status, _) => {
                let text = format!("the supervisor gave {status} as the final status");
                (RunStatus::Failed, Some(text))
            }
        };
        run.phase = Phase::Ending { gone };
        run.outcome = Some(status);
        // Without the supervisor's word the failure handler has run, and a retry would be one too many.
        let (again, at) = (end.retry && status == RunStatus::Failed, end.at);
        let stop = run.stop.clone();
        let way = self.gives_way(key).then_some(StopReason::Superseded);
        let retry = if again {
            self.retry_later(now, key, false, at)
        } else {
            None
        };
        // A stop or a newer run has overtaken the record. Nobody runs the handler any more, so that is said.
        let error = if again && retry.is_none() {
            Some(no_retry(error, stop.or(way).as_ref()))
        } else {
            error
        };
        let end = Change::End {
            attempt,
            status,
            error,
            lost: None,
            outputs: end.outputs,
            timed_out: end.timed_out,
            kill_escalated: end.kill_escalated,
            at,
        };
        self.save(key, std::iter::once(end).chain(retry).collect(), false, out);
    }

    /// Commits that the attempt died without a final record (P6).
    pub(super) fn record_loss(
        &mut self,
        now: Now,
        key: Key,
        cause: LostCause,
        at: Time,
        out: &mut Vec<Effect>,
    ) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let Some(attempt) = run.attempt.clone() else {
            return;
        };
        run.phase = Phase::Ending { gone: true };
        run.outcome = Some(RunStatus::Failed);
        let policy = run.again.policy.as_ref().filter(|_| run.stop.is_none());
        let tried = policy.is_some_and(|policy| policy.next(run.again.so_far, true).is_some());
        let error = if tried && self.gives_way(key) {
            let way = StopReason::Superseded;
            format!("lost: {cause}; no retry follows ({way})")
        } else {
            format!("lost: {cause}")
        };
        let end = Change::End {
            attempt,
            status: RunStatus::Failed,
            error: Some(error),
            lost: Some(cause),
            outputs: Vec::new(),
            timed_out: false,
            kill_escalated: false,
            at,
        };
        let retry = self.retry_later(now, key, true, at);
        self.save(key, std::iter::once(end).chain(retry).collect(), false, out);
    }

    /// Nothing of the attempt lives any more, and its journal is read to the end.
    pub(super) fn gone(&mut self, now: Now, attempt: &AttemptId, cause: LostCause, out: &mut Vec<Effect>) {
        let Some((key, run)) = self.by_attempt(attempt) else {
            return;
        };
        match run.phase {
            // An unreadable journal cannot say that it never started, and nothing may start twice (P3).
            Phase::Opening if matches!(cause, LostCause::JournalDamaged(_)) => {
                self.lost(now, key, cause, out);
            }
            // Nobody could open the gate for a shim that was left at it by the last daemon; that is not its fault.
            Phase::Opening if run.adopted => self.sweep(key, None, out),
            Phase::Launching | Phase::Identifying | Phase::Opening => self.sweep(key, Some(cause), out),
            Phase::Closing => self.sweep(key, None, out),
            Phase::Running => self.lost(now, key, cause, out),
            Phase::Ending { gone: false } => {
                run.phase = Phase::Ending { gone: true };
                self.vacate(key);
                self.clean(key, out);
            }
            _ => {}
        }
    }

    fn lost(&mut self, now: Now, key: Key, cause: LostCause, out: &mut Vec<Effect>) {
        self.record_loss(now, key, cause, now.wall, out);
        self.vacate(key);
        self.end_family(now, key, out);
    }

    /// Nothing of the attempt lives any more: its slot is free, as soon as that holds for the runs it called, too. They
    /// run within it (W36).
    pub(super) fn vacate(&mut self, key: Key) {
        let ended = |run: &&Run| matches!(run.phase, Phase::Ending { gone: true });
        let run = self.runs.get(&key).filter(ended);
        if run.is_some_and(|run| run.children.is_empty()) {
            self.release(key);
        }
    }

    /// The store has the end.
    pub(super) fn end_saved(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        let mut late = Vec::new();
        if let Some(run) = self.runs.get_mut(&key) {
            run.end_saved = true;
            late = std::mem::take(&mut run.late_stops);
            out.push(Effect::Changed(run.name.clone()));
            if run.outcome == Some(RunStatus::Succeeded) && !run.is_guest() {
                self.plans
                    .succeeded(&run.name.dag, run.owner, run.origin.counts_for(), now.wall);
            }
        }
        for (token, reason) in late {
            self.stop_rest(key, Some(token), &reason, out);
        }
        self.over(key, out);
        self.clean(key, out);
    }

    /// Tells that the run is over, once the store has the end and the runs that it called are gone; not if it is tried
    /// again by itself.
    pub(super) fn over(&mut self, key: Key, out: &mut Vec<Effect>) {
        if let Some(run) = self.runs.get_mut(&key)
            && run.end_saved
            && run.again.due.is_none()
            && run.children.is_empty()
            && !std::mem::replace(&mut run.over, true)
        {
            out.push(Effect::Over(run.name.clone()));
        }
    }

    /// Has removed what is left, once the store has the end and nothing lives any more, neither of the attempt nor of
    /// the runs it called; not before.
    pub(super) fn clean(&mut self, key: Key, out: &mut Vec<Effect>) {
        if let Some(run) = self.runs.get_mut(&key)
            && run.end_saved
            && run.children.is_empty()
            && matches!(run.phase, Phase::Ending { gone: true })
            && let Some(attempt) = &run.attempt
        {
            out.push(Effect::Clean(attempt.clone()));
            run.phase = Phase::Cleaning;
        }
    }

    /// Nothing of the attempt is left.
    pub(super) fn cleaned(&mut self, now: Now, attempt: &AttemptId, out: &mut Vec<Effect>) {
        let Some((key, run)) = self.by_attempt(attempt) else {
            return;
        };
        match &mut run.phase {
            Phase::Sweeping { give_up } => {
                let give_up = give_up.take();
                self.swept(now, key, give_up, out);
            }
            Phase::Cleaning => {
                run.phase = Phase::Forgetting;
                let clean = Change::Clean {
                    attempt: attempt.clone(),
                };
                self.save(key, vec![clean], false, out);
            }
            _ => {}
        }
    }

    /// Drops an ended run from memory, unless it is tried again by itself: history belongs to the store. A retry that
    /// waited for this moment goes on.
    pub(super) fn forget(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        self.release(key);
        if self.runs.get(&key).is_some_and(|run| run.again.due.is_some()) {
            return self.pause_run(now, key, out);
        }
        let Some(mut run) = self.remove(key) else {
            return;
        };
        self.leave_family(key, &run, out);
        if let Some(attempt) = &run.attempt {
            self.attempts.remove(attempt);
        }
        if run.member {
            self.groups.leave(&run);
        }
        accept(&mut run.stop_tokens, out);
        match (run.retry.take(), run.outcome) {
            (Some((token, mut facts)), Some(status)) => {
                facts.status = status;
                facts.attempts = run.attempts;
                self.retry(now, token, &run.name, facts, out);
            }
            (Some((token, _)), None) => out.push(Effect::Refused(token, Refusal::NotFound)),
            (None, _) => {}
        }
    }
}

/// The error of an attempt whose supervisor has left the failure handler out for a retry that does not follow.
fn no_retry(error: Option<String>, stop: Option<&StopReason>) -> String {
    let error = error.map(|error| format!("{error}; ")).unwrap_or_default();
    let why = stop.map(|stop| format!(" ({stop})")).unwrap_or_default();
    format!("{error}no retry follows{why}, and the failure handler was left out for one")
}
