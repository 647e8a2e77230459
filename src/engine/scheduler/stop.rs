//! Stop, in every phase. Before the gate it means that no user code runs; behind it the shim does the stopping.

use super::Scheduler;
use super::api::{Effect, Refusal, Token};
use super::run::{Key, Phase};
use crate::model::change::Change;
use crate::model::{Now, RunRef, RunStatus, StopReason};

impl Scheduler {
    /// Somebody asks the run to stop. The first reason is recorded; each request of a person is passed on.
    pub(super) fn stop(
        &mut self,
        now: Now,
        token: Token,
        name: &RunRef,
        reason: StopReason,
        out: &mut Vec<Effect>,
    ) {
        match self.names.get(name) {
            Some(key) => self.stop_run(now, *key, Some(token), reason, out),
            None => out.push(Effect::Refused(token, Refusal::NotFound)),
        }
    }

    /// The step that called the run wants it stopped; with `kill` at once, as by a further request.
    pub(super) fn caller_stops(&mut self, now: Now, name: &RunRef, kill: bool, out: &mut Vec<Effect>) {
        let Some(key) = self.names.get(name).copied() else {
            return;
        };
        self.stop_run(now, key, None, StopReason::Caller, out);
        if kill {
            self.kill_family(key, &StopReason::Caller, out);
        }
    }

    /// Has the run killed, which was told to stop already, or what is left of the runs that it called if it has ended
    /// itself. False if nothing of that lives.
    fn kill_family(&self, key: Key, reason: &StopReason, out: &mut Vec<Effect>) -> bool {
        let Some(run) = self.runs.get(&key) else {
            return false;
        };
        if let Some(attempt) = run.attempt.clone().filter(|_| run.is_under_way()) {
            // It kills what it called.
            out.push(Effect::SendStop(attempt, reason.clone()));
            return true;
        }
        let mut lives = false;
        for child in &run.children {
            lives |= self.kill_family(*child, reason, out);
        }
        lives
    }

    /// Stops what is left of a run that has ended. What it has called was told to stop when it ended, so a person's stop is
    /// a further one.
    pub(super) fn stop_rest(
        &mut self,
        key: Key,
        token: Option<Token>,
        reason: &StopReason,
        out: &mut Vec<Effect>,
    ) {
        let Some(token) = token else { return };
        if self.kill_family(key, reason, out) {
            out.push(Effect::Accepted(token));
        } else {
            let outcome = self.runs.get(&key).and_then(|run| run.outcome);
            let refusal = Refusal::WrongState(outcome.unwrap_or(RunStatus::Failed));
            out.push(Effect::Refused(token, refusal));
        }
    }

    /// Stops a run. Without a token nobody waits for an answer: the run that called it wants that, or is over.
    pub(super) fn stop_run(
        &mut self,
        now: Now,
        key: Key,
        token: Option<Token>,
        reason: StopReason,
        out: &mut Vec<Effect>,
    ) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        run.bound |= reason == StopReason::Caller;
        // A shutdown stops what is live; a retry that comes is up to the next daemon.
        if reason != StopReason::Shutdown && self.awaits_retry(key) {
            if token.is_some() {
                self.kill_family(key, &reason, out);
            }
            return self.cancel_retry(now, key, token, reason, out);
        }
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let too_late = |outcome: Option<RunStatus>| {
            let status = outcome.unwrap_or(RunStatus::Failed);
            token.map(|token| Effect::Refused(token, Refusal::WrongState(status)))
        };
        match run.phase {
            Phase::Pausing => {
                out.extend(too_late(run.outcome));
                return;
            }
            Phase::Ending { .. } | Phase::Cleaning => {
                // What it has called may live. Before the end is stored a crash would forget that this is a further stop.
                if run.end_saved || run.children.is_empty() {
                    self.stop_rest(key, token, &reason, out);
                } else {
                    run.late_stops.extend(token.map(|token| (token, reason)));
                }
                return;
            }
            // An end that a stop brought about, and that is not stored yet, is what the asker wants.
            Phase::Forgetting if run.end_saved || run.stop.is_none() => {
                out.extend(too_late(run.outcome));
                return;
            }
            Phase::Identifying => {
                run.phase = Phase::Closing;
                out.extend(run.attempt.clone().map(Effect::CloseGate));
            }
            Phase::Opening | Phase::Running => {
                let pass = match reason {
                    StopReason::Caller
                    | StopReason::Shutdown
                    | StopReason::Schedule
                    | StopReason::Superseded
                    | StopReason::Stalled => Effect::EnsureStop,
                    StopReason::User { .. } | StopReason::Client { .. } | StopReason::Signal(_) => {
                        Effect::SendStop
                    }
                };
                out.extend(run.attempt.clone().map(|attempt| pass(attempt, reason.clone())));
            }
            _ => {}
        }
        if run.stop_saved {
            out.extend(token.map(Effect::Accepted));
            return;
        }
        run.stop_tokens.extend(token);
        if run.stop.is_some() {
            self.clear_timer(key);
            self.flush(key, out);
            return;
        }
        run.stop = Some(reason.clone());
        match run.phase {
            // The one is ended as soon as it exists, the next as soon as it has its place; the last is being ended.
            Phase::Admitting { .. } | Phase::Returning { .. } | Phase::Moving { .. } | Phase::Dropping => {}
            Phase::Queued | Phase::Delayed => {
                self.dequeue(key);
                self.drop_queued(now, key, out);
            }
            _ => {
                let stop = Change::Stop {
                    run: run.name.clone(),
                    reason,
                    at: now.wall,
                };
                self.save(key, vec![stop], true, out);
            }
        }
    }
}
