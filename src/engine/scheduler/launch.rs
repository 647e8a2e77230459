//! From the queue through the gate: decide, record, do, observe (DESIGN §4), and the way back for an attempt that
//! never passed the gate.

use super::Scheduler;
use super::api::{CommitError, Effect};
use super::run::{Key, Phase};
use super::save::unlaunch;
use super::timers::backoff;
use crate::model::change::{AttemptIdentity, Change};
use crate::model::{AttemptId, Boot, LostCause, Now, RunStatus, StopReason, Time};

/// How often in a row a shim may die between the open gate and its first record before the run fails. A death
/// there costs nothing and the attempt is started again; one that always dies must not be tried for ever (W13).
pub(super) const FALSE_STARTS_MAX: u32 = 5;

impl Scheduler {
    /// Decides for launches as long as there are free slots and waiting runs.
    pub(super) fn launch_next(&mut self, now: Now, out: &mut Vec<Effect>) {
        while !self.draining && !self.held {
            let Some(key) = self.groups.take(self.max_live) else {
                return;
            };
            let Some(run) = self.runs.get_mut(&key) else {
                continue;
            };
            self.resting.take(run);
            self.waiting.take(run);
            run.slot = true;
            self.groups.occupy(run);
            run.phase = Phase::Intending;
            run.attempts = run.attempts.saturating_add(1);
            let attempt = AttemptId::derive(&run.name, run.attempts);
            run.attempt = Some(attempt.clone());
            self.attempts.insert(attempt.clone(), key);
            let intend = Change::Intend {
                run: run.name.clone(),
                attempt,
                number: run.attempts,
                at: now.wall,
            };
            self.save(key, vec![intend], false, out);
        }
    }

    /// The intent is committed: the shell may make things, unless somebody does not want that any more.
    pub(super) fn intended(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let Some(attempt) = run.attempt.clone() else {
            return;
        };
        if run.stop.is_some() {
            self.end_unstarted(now, key, RunStatus::Aborted, None, None, out);
        } else if self.draining {
            run.phase = Phase::Unlaunching;
            self.save(key, vec![unlaunch(attempt)], false, out);
        } else {
            run.phase = Phase::Launching;
            out.push(Effect::Changed(run.name.clone()));
            out.push(Effect::Launch(run.name.clone(), attempt, run.attempts));
        }
    }

    /// The intent is not in the store: the run is still queued. On a full disk all launches wait; any other
    /// trouble is this run's own, so the others go on without it (W13).
    pub(super) fn not_intended(&mut self, now: Now, key: Key, error: &CommitError, out: &mut Vec<Effect>) {
        self.release(key);
        self.take_back(key);
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        run.unsaved.clear();
        if run.stop.is_some() {
            self.drop_queued(now, key, out);
            return;
        }
        match error {
            CommitError::DiskFull(_) => {
                self.hold_launches(now);
                self.enqueue(key);
            }
            CommitError::Exists => {
                run.phase = Phase::Dropping;
                let number = run.attempts.saturating_add(1);
                let end = Change::EndQueued {
                    run: run.name.clone(),
                    status: RunStatus::Failed,
                    error: Some(format!("cannot start: attempt {number} exists already")),
                    at: now.wall,
                };
                self.save(key, vec![end], false, out);
            }
            CommitError::Other(_) => {
                run.setbacks += 1;
                self.delay(now, key);
            }
        }
    }

    /// The shim waits at the gate.
    pub(super) fn ready(&mut self, attempt: &AttemptId, identity: AttemptIdentity, out: &mut Vec<Effect>) {
        let Some((key, run)) = self.by_attempt(attempt) else {
            return;
        };
        if !matches!(run.phase, Phase::Launching) {
            return;
        }
        if run.stop.is_some() {
            run.phase = Phase::Closing;
            out.push(Effect::CloseGate(attempt.clone()));
            return;
        }
        run.phase = Phase::Identifying;
        let identify = Change::Identify {
            attempt: attempt.clone(),
            identity,
        };
        self.save(key, vec![identify], false, out);
    }

    /// The identity is committed: from here on a restarted daemon finds the shim again.
    pub(super) fn identified(&mut self, key: Key, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        if let (Phase::Identifying, Some(attempt)) = (&run.phase, &run.attempt) {
            out.push(Effect::OpenGate(attempt.clone()));
            run.phase = Phase::Opening;
            self.hold_failures = 0;
            // Its specification was made before a newer run came, perhaps.
            self.tell_no_retry(key, out);
        }
    }

    /// The identity is not in the store, so the gate must not open.
    pub(super) fn not_identified(&mut self, now: Now, key: Key, error: &CommitError, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        if let (Phase::Identifying, Some(attempt)) = (&run.phase, &run.attempt) {
            out.push(Effect::CloseGate(attempt.clone()));
            run.phase = Phase::Closing;
            if matches!(error, CommitError::DiskFull(_)) {
                self.hold_launches(now);
            } else {
                run.setbacks += 1;
            }
        }
    }

    /// The shim passed the gate.
    pub(super) fn started(
        &mut self,
        attempt: &AttemptId,
        at: Time,
        params: Option<Vec<(String, String)>>,
        out: &mut Vec<Effect>,
    ) {
        let Some((key, run)) = self.by_attempt(attempt) else {
            return;
        };
        match run.phase {
            Phase::Launching | Phase::Identifying | Phase::Opening | Phase::Closing => {}
            _ => return,
        }
        run.phase = Phase::Running;
        run.setbacks = 0;
        run.false_starts = 0;
        let start = Change::Start {
            attempt: attempt.clone(),
            at,
            params,
        };
        self.save(key, vec![start], false, out);
    }

    /// The attempt never started, and nothing of it lives: have removed what was made for it. A shim that died on
    /// its own between the gate and its first record counts as a false start.
    pub(super) fn sweep(&mut self, key: Key, cause: Option<LostCause>, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let Some(attempt) = run.attempt.clone() else {
            return;
        };
        if cause.is_some() {
            run.false_starts += 1;
            run.setbacks += 1;
        }
        run.phase = Phase::Sweeping {
            give_up: cause.filter(|_| run.false_starts >= FALSE_STARTS_MAX),
        };
        out.push(Effect::Clean(attempt));
    }

    /// What was made for an attempt that never started is removed.
    pub(super) fn swept(&mut self, now: Now, key: Key, give_up: Option<LostCause>, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let Some(attempt) = run.attempt.clone() else {
            return;
        };
        if run.stop.is_some() {
            self.end_unstarted(now, key, RunStatus::Aborted, None, None, out);
        } else if let Some(cause) = give_up {
            let why = format!("cannot start: {cause}, before it began, {FALSE_STARTS_MAX} times in a row");
            self.end_unstarted(now, key, RunStatus::Failed, Some(why), Some(cause), out);
        } else {
            run.phase = Phase::Unlaunching;
            self.save(key, vec![unlaunch(attempt)], false, out);
        }
    }

    /// The attempt is taken back: the run is queued at its old place, for the same attempt number.
    pub(super) fn unlaunched(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        self.release(key);
        self.take_back(key);
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        run.adopted = false;
        out.push(Effect::Changed(run.name.clone()));
        if run.stop.is_some() {
            self.drop_queued(now, key, out);
        } else if run.setbacks > 0 {
            self.delay(now, key);
        } else {
            self.enqueue(key);
        }
    }

    /// Nothing could be made. The run fails with the reason and does not stand in the others' way (W13).
    pub(super) fn launch_failed(&mut self, now: Now, attempt: &AttemptId, why: &str, out: &mut Vec<Effect>) {
        let Some((key, run)) = self.by_attempt(attempt) else {
            return;
        };
        match run.phase {
            Phase::Launching if run.stop.is_some() => {
                self.end_unstarted(now, key, RunStatus::Aborted, None, None, out);
            }
            Phase::Launching => {
                let why = format!("cannot start: {why}");
                self.end_unstarted(now, key, RunStatus::Failed, Some(why), None, out);
            }
            Phase::Ending { gone: false } => self.gone(now, attempt, LostCause::SupervisorGone, out),
            _ => {}
        }
    }

    /// Ends an attempt that never started and of which nothing is left. Without words the stop gives them.
    fn end_unstarted(
        &mut self,
        now: Now,
        key: Key,
        status: RunStatus,
        error: Option<String>,
        lost: Option<LostCause>,
        out: &mut Vec<Effect>,
    ) {
        self.release(key);
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let Some(attempt) = run.attempt.clone() else {
            return;
        };
        run.phase = Phase::Forgetting;
        run.outcome = Some(status);
        let is_lost = lost.is_some();
        let end = Change::End {
            attempt: attempt.clone(),
            status,
            error: error.or_else(|| run.stop.as_ref().map(ToString::to_string)),
            lost,
            outputs: Vec::new(),
            timed_out: false,
            kill_escalated: false,
            at: now.wall,
        };
        let retry = if is_lost {
            self.retry_later(now, key, true, now.wall)
        } else {
            None
        };
        let clean = Change::Clean { attempt };
        let batch = std::iter::once(end).chain(retry).chain([clean]);
        self.save(key, batch.collect(), false, out);
    }

    fn delay(&mut self, now: Now, key: Key) {
        let Some(run) = self.runs.get(&key) else {
            return;
        };
        let at = backoff(now.boot, run.setbacks);
        self.delay_until(key, at);
    }

    /// The run rests in the queue and is passed over until then.
    pub(super) fn delay_until(&mut self, key: Key, at: Boot) {
        if let Some(run) = self.runs.get_mut(&key) {
            run.phase = Phase::Delayed;
            self.resting.add(run);
            self.set_timer(key, at);
        }
    }

    /// Gives the run's slot back; does nothing if it has none.
    pub(super) fn release(&mut self, key: Key) {
        if let Some(run) = self.runs.get_mut(&key).filter(|run| run.slot) {
            run.slot = false;
            self.waiting.add(run);
            if std::mem::take(&mut run.blocks) {
                self.groups.unblock(&run.name.dag, run.owner);
            }
            self.groups.vacate(run);
        }
    }

    /// Counts a live attempt that was found by recovery.
    pub(super) fn occupy(&mut self, key: Key) {
        if let Some(run) = self.runs.get_mut(&key) {
            self.waiting.take(run);
            run.slot = true;
            self.groups.occupy(run);
            if !run.is_guest() && run.stop == Some(StopReason::Superseded) {
                self.block(key);
            }
        }
    }

    /// Forgets the attempt and its number: the next one has the same.
    fn take_back(&mut self, key: Key) {
        if let Some(run) = self.runs.get_mut(&key) {
            run.attempts = run.attempts.saturating_sub(1);
            if let Some(attempt) = run.attempt.take() {
                self.attempts.remove(&attempt);
            }
        }
    }
}
