//! The silence of this daemon's own attempts: seen at a deadline for each live attempt, reported, and ended if the
//! administrator wants that. The rules are the engine's ([`crate::engine::scheduler::stalled`]).

use super::alarms::Alarm;
use super::dispatcher::{Asked, Asking, Dispatcher, now};
use crate::engine::scheduler::Event;
use crate::engine::scheduler::stalled::{Act, Look};
use crate::model::{AttemptId, Boot, StopReason};
use crate::proc::LockState;
use crate::telemetry::events;

/// Time that a stop may take if the DAG does not say, in seconds.
const GRACE_SECS: u64 = 5;

fn micros(secs: f64) -> u64 {
    Boot(0).after_secs(secs).0
}

impl Dispatcher {
    /// The entry of a live attempt is there: from now on its heartbeat is watched.
    pub(super) fn watch_heartbeat(&mut self, attempt: &AttemptId) {
        let at = now().boot;
        self.look_at_heartbeat(attempt, at);
        self.arm();
    }

    /// Its supervisor is dead, which the kernel told.
    pub(super) fn unwatch_heartbeat(&mut self, attempt: &AttemptId) {
        self.alarms.cancel(&Alarm::Heartbeat(attempt.clone()));
    }

    /// A heartbeat is to be looked at; the look was `due` at that time.
    pub(super) fn look_at_heartbeat(&mut self, attempt: &AttemptId, due: Boot) {
        let Some(held) = self.attempts.get(attempt).filter(|held| !held.ending) else {
            return;
        };
        let at = now();
        let entry = held.entry.as_ref();
        let entry = entry.and_then(|entry| self.proc.read_again(entry, at.wall).ok().flatten());
        // One whose lock is free is dying, or its entry is being made again.
        let entry = entry.filter(|entry| entry.lock != LockState::Free);
        let config = &self.config.proc;
        let look = Look {
            at: at.boot,
            due,
            age: entry.map(|entry| entry.age(at.wall)),
            stale_after: micros(config.stale_after_sec),
            stop_after: micros(config.stop_stalled_after_sec),
            grace: self.grace_of(attempt),
        };
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        let (stage, act, next) = held.stage.look(&look);
        held.stage = stage;
        if let Some(next) = next {
            self.alarms.set(next, Alarm::Heartbeat(attempt.clone()));
        }
        if let Some(act) = act {
            self.act_on_silence(attempt, act, look.age.unwrap_or(0) / 1_000_000);
        }
    }

    fn act_on_silence(&mut self, attempt: &AttemptId, act: Act, silent_secs: u64) {
        let Some(held) = self.attempts.get(attempt) else {
            return;
        };
        let run = held.run.clone();
        let named = format!("attempt {attempt} of {run}");
        match act {
            Act::Report => {
                self.counters.stalled += 1;
                events::attempt_stalled(&run, attempt, silent_secs);
                self.acted("attempt stalled", named);
            }
            Act::Recovered => {
                self.counters.recovered += 1;
                events::attempt_recovered(&run, attempt);
                self.acted("attempt beats again", named);
            }
            Act::Stop => {
                self.counters.stalled_stopped += 1;
                events::stalled_stopped(&run, attempt, silent_secs);
                self.acted("stalled attempt stopped", named);
                let token = self.ask(Asked {
                    run: run.clone(),
                    asking: Asking::Nobody,
                    warnings: Vec::new(),
                    created: false,
                });
                self.tell(Event::Stop(token, run, StopReason::Stalled));
            }
            Act::Kill => {
                self.counters.stalled_killed += 1;
                events::stalled_killed(&run, attempt);
                self.acted("stalled supervisor killed", named);
                self.signal_shim(attempt, &[libc::SIGKILL]);
            }
        }
    }

    /// How long a stop of the attempt may take, in microseconds: what its DAG says.
    fn grace_of(&self, attempt: &AttemptId) -> u64 {
        let live = self
            .attempts
            .get(attempt)
            .and_then(|held| self.runs.get(&held.run));
        let dag: Option<CleanUp> = live.and_then(|live| serde_json::from_str(&live.new.dag).ok());
        dag.map_or(GRACE_SECS, |dag| dag.max_clean_up_time_sec)
            .saturating_mul(1_000_000)
    }
}

/// The part of a DAG's snapshot that counts here.
#[derive(Debug, serde::Deserialize)]
struct CleanUp {
    max_clean_up_time_sec: u64,
}
