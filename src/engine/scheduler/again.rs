//! Retries of a run as a whole (seed-spec 5): when an attempt of a run that nobody called ends badly and the policy of
//! its DAG has budget left, the run is ended and not over. It stays in memory until the retry is due, then goes back
//! into its queue by itself.
//!
//! ```text
//!   … ─ Ending ─ Cleaning ─ Forgetting ─ Pausing ─ Returning ─ Queued ─ …
//!                                         │   ▲──────┘
//!                                 stopped └─ over
//! ```
//!
//! The store has the pending retry in the batch with the attempt's end, so that no crash can part them.

mod cancel;

use std::collections::BTreeSet;

use super::Scheduler;
use super::api::{CommitError, Effect, Refusal, RetryFacts, Retrying, Token};
use super::run::{Key, Phase, Run};
use super::save::refusal;
use super::timers::backoff;
use crate::model::change::Change;
use crate::model::{
    Boot, DagName, Now, PendingRetry, Retries, RetryPolicy, RunRef, RunStatus, StopReason, Time,
};

const MICROS: f64 = 1e6;

/// What the engine knows of a run's retries as a whole.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// When it is tried again; none is never.
    pub(super) policy: Option<RetryPolicy>,
    /// Those that it has had, and the coming one.
    pub(super) so_far: Retries,
    /// When the coming one is due; none if none comes.
    pub(super) due: Option<Boot>,
}

impl Scheduler {
    /// The same engine, in the boot with this id: it goes into the store with every deadline by the boot clock, and
    /// tells whether one that is found there still means something.
    #[must_use]
    pub fn in_boot(mut self, id: String) -> Self {
        self.boot_id = id;
        self
    }

    /// The exit codes of failed steps after which the run would be tried again, if its attempt failed now; an empty list
    /// is any failure. None if it would not be.
    #[must_use]
    pub fn retried_on(&self, run: &RunRef) -> Option<Vec<i32>> {
        let key = *self.names.get(run)?;
        if self.gives_way(key) {
            return None;
        }
        let again = &self.runs.get(&key)?.again;
        let policy = again.policy.as_ref()?;
        policy.next(again.so_far, false)?;
        Some(policy.exit_codes.clone())
    }

    /// How many runs wait for their retry and for nothing else.
    pub(super) fn waiting_retries(&self) -> usize {
        let waiting = self.retrying.iter().filter_map(|(_, key)| self.runs.get(key));
        waiting
            .filter(|run| run.batch.is_none() && run.unsaved.is_empty())
            .count()
    }

    /// Whether pending retries of the runs of that user's DAG wait until its schedules are not held back any more.
    #[must_use]
    pub fn holds_retries(&self, dag: &DagName, owner: u32) -> bool {
        self.on_hold.contains(&(dag.clone(), owner)) || self.is_ownerless(dag, owner)
    }

    /// Whether they wait because there is no such user any more.
    #[must_use]
    pub fn is_ownerless(&self, dag: &DagName, owner: u32) -> bool {
        self.ownerless.contains(&(dag.clone(), owner))
    }

    /// These are the DAGs whose users are gone from now on. What became due is done for those that are back.
    pub(super) fn ownerless(&mut self, now: Now, dags: BTreeSet<(DagName, u32)>, out: &mut Vec<Effect>) {
        let before = std::mem::replace(&mut self.ownerless, dags);
        let changed: Vec<(DagName, u32)> = before.symmetric_difference(&self.ownerless).cloned().collect();
        for (dag, owner) in changed {
            self.hold_changed(&dag, owner, now, out);
        }
    }

    /// Holds back the pending retries of a user's DAG, or not any more: what became due meanwhile is done now.
    pub(super) fn hold_retries(
        &mut self,
        dag: &DagName,
        owner: u32,
        on: bool,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let changed = if on {
            self.on_hold.insert((dag.clone(), owner))
        } else {
            self.on_hold.remove(&(dag.clone(), owner))
        };
        if changed {
            self.hold_changed(dag, owner, now, out);
        }
    }

    /// Goes on with the pending retries of a user's DAG as they are held back now, or not.
    fn hold_changed(&mut self, dag: &DagName, owner: u32, now: Now, out: &mut Vec<Effect>) {
        let all = (dag.clone(), Key::MIN)..=(dag.clone(), Key::MAX);
        let of_dag = self.retrying.range(all).map(|(_, key)| *key);
        let of_owner = |key: &Key| self.runs.get(key).is_some_and(|run| run.owner == owner);
        let keys: Vec<Key> = of_dag.filter(of_owner).collect();
        for key in keys {
            if self.runs.get(&key).is_some_and(|run| run.stop.is_none()) {
                self.clear_timer(key);
                self.arm_retry(key, now.boot);
            }
            self.try_again(now, key, out);
        }
    }

    /// The retry that follows the end of the run's attempt, if one does, as it is to be committed with that end.
    pub(super) fn retry_later(&mut self, now: Now, key: Key, lost: bool, ended: Time) -> Option<Change> {
        if self.gives_way(key) {
            return None;
        }
        let run = self.runs.get_mut(&key)?;
        if run.is_guest() || run.stop.is_some() {
            return None;
        }
        let next = run.again.policy.as_ref()?.next(run.again.so_far, lost)?;
        run.again.so_far = run.again.so_far.with(lost);
        // The time between the end and now counts, as far as the wall clock can be believed.
        let passed = seconds(ended, now.wall).clamp(0.0, next.delay_sec);
        let rest = next.delay_sec - passed;
        let boot = now.boot.after_secs(rest);
        run.again.due = Some(boot);
        Some(Change::RetryLater {
            run: run.name.clone(),
            retries: run.again.so_far,
            retry: PendingRetry {
                number: next.number,
                limit: next.limit,
                at: after(now.wall, rest),
            },
            boot,
            boot_id: self.boot_id.clone(),
        })
    }

    /// Takes up what the store holds of a run's retries. A deadline of an earlier boot counts by the wall clock, and
    /// never for longer than the policy lets a retry wait: that clock may have been wrong then, or be wrong now.
    pub(super) fn take_up_retries(&self, now: Now, run: &mut Run, stored: Retrying) {
        if run.is_guest() {
            return;
        }
        let (policy, so_far) = (stored.policy, stored.so_far);
        run.again.due = stored.due.map(|due| {
            if due.boot_id == self.boot_id {
                return due.boot;
            }
            let rest = seconds(now.wall, due.retry.at).max(0.0);
            let rules = policy.iter().flat_map(|policy| [policy.failed, policy.lost]);
            let longest = rules.flatten().map(|rule| rule.delay_sec(due.retry.number));
            now.boot.after_secs(rest.min(longest.fold(0.0, f64::max)))
        });
        run.again.policy = policy;
        run.again.so_far = so_far;
    }

    /// Recovery found the run with nothing but a pending retry.
    pub(super) fn take_up_pausing(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        if let Some(run) = self.runs.get_mut(&key) {
            run.phase = Phase::Pausing;
            run.end_saved = true;
            run.outcome = Some(RunStatus::Failed);
            self.retrying.insert((run.name.dag.clone(), key));
            if run.stop.is_some() {
                self.take_up_cancel(now, key, out);
            } else {
                self.arm_retry(key, now.boot);
            }
        }
    }

    /// Nothing is left of the last attempt: the run waits for its retry.
    pub(super) fn pause_run(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        if let Some(attempt) = run.attempt.take() {
            self.attempts.remove(&attempt);
        }
        run.phase = Phase::Pausing;
        self.retrying.insert((run.name.dag.clone(), key));
        if run.stop.is_none() {
            self.wait_on(now, key, out);
        }
    }

    /// Waits for the deadline, unless somebody has asked for the retry meanwhile.
    fn wait_on(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        match self.runs.get_mut(&key).and_then(|run| run.retry.take()) {
            Some((token, _)) if self.draining => {
                out.push(Effect::Refused(token, Refusal::Draining));
                self.arm_retry(key, now.boot);
            }
            Some((token, _)) => self.retry_at_once(now, key, token, out),
            None => self.arm_retry(key, now.boot),
        }
    }

    /// Arms the deadline of a pending retry. `earliest` is when it may be tried at all.
    fn arm_retry(&mut self, key: Key, earliest: Boot) {
        if let Some(run) = self.runs.get(&key)
            && matches!(run.phase, Phase::Pausing)
            && let Some(due) = run.again.due
            && !self.holds_retries(&run.name.dag, run.owner)
        {
            self.set_timer(key, due.max(earliest));
        }
    }

    /// The timer of a run that waits for its retry is due.
    pub(super) fn retry_due(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        if self.runs.get(&key).is_some_and(|run| run.stop.is_some()) {
            // The retry does not come, which could not be stored so far.
            self.flush(key, out);
        } else {
            self.try_again(now, key, out);
        }
    }

    /// Puts the run back into its queue, if its retry is due and nothing holds it up.
    fn try_again(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get(&key) else { return };
        let waits = matches!(run.phase, Phase::Pausing) && run.stop.is_none();
        if waits && self.gives_way(key) {
            return self.stop_by_plan(now, key, &StopReason::Superseded, false, out);
        }
        let due = run.again.due.is_some_and(|due| due <= now.boot);
        let held = self.draining || run.stop.is_some() || self.holds_retries(&run.name.dag, run.owner);
        if due && !held && matches!(run.phase, Phase::Pausing) {
            self.requeue(now, key, None, out);
        }
    }

    /// A person wants the retry now. It is not one of those that come by themselves, so these count anew.
    pub(super) fn retry_at_once(&mut self, now: Now, key: Key, token: Token, out: &mut Vec<Effect>) {
        self.requeue(now, key, Some(token), out);
    }

    fn requeue(&mut self, now: Now, key: Key, token: Option<Token>, out: &mut Vec<Effect>) {
        self.clear_timer(key);
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        self.retrying.remove(&(run.name.dag.clone(), key));
        run.phase = Phase::Returning { token };
        let requeue = Change::Requeue {
            run: run.name.clone(),
            caller: None,
            automatic: token.is_none(),
            at: now.wall,
        };
        self.save(key, vec![requeue], true, out);
    }

    /// The run is in its queue again, in the store.
    pub(super) fn returned(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let Phase::Returning { token } = run.phase else {
            return;
        };
        if let Some(token) = token {
            run.again.so_far = Retries::default();
            out.push(Effect::Accepted(token));
        }
        run.again.due = None;
        run.end_saved = false;
        run.outcome = None;
        run.adopted = false;
        run.setbacks = 0;
        run.false_starts = 0;
        out.push(Effect::Changed(run.name.clone()));
        run.seq = self.groups.back();
        if run.stop.is_some() {
            self.drop_queued(now, key, out);
        } else {
            self.enqueue(key);
        }
    }

    /// The run is not in its queue. Without room on the disk its retry waits for some.
    pub(super) fn not_returned(&mut self, now: Now, key: Key, error: CommitError, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        if let Phase::Returning { token: Some(token) } = run.phase {
            out.push(Effect::Refused(token, refusal(error, true)));
        }
        run.phase = Phase::Pausing;
        run.failures += 1;
        self.retrying.insert((run.name.dag.clone(), key));
        let earliest = backoff(now.boot, run.failures);
        match run.stop.clone() {
            Some(reason) => self.save_cancel(now, key, reason, out),
            None => self.arm_retry(key, earliest),
        }
    }

    /// Whether a stop of the run can only mean that its retry is not to come.
    pub(super) fn awaits_retry(&self, key: Key) -> bool {
        let ended = |phase: &Phase| {
            matches!(
                phase,
                Phase::Ending { .. } | Phase::Cleaning | Phase::Forgetting | Phase::Pausing
            )
        };
        let run = self.runs.get(&key);
        run.is_some_and(|run| run.again.due.is_some() && ended(&run.phase))
    }

    /// A person asks for a retry of a run that is in memory.
    pub(super) fn retry_known(
        &mut self,
        now: Now,
        key: Key,
        token: Token,
        facts: RetryFacts,
        out: &mut Vec<Effect>,
    ) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        match run.phase {
            Phase::Pausing if run.stop.is_none() => self.retry_at_once(now, key, token, out),
            Phase::Returning { .. } => {
                out.push(Effect::Refused(token, Refusal::WrongState(RunStatus::Queued)));
            }
            // It waits until nothing is left of the attempt, or until the store has it that no retry comes.
            _ if run.end_saved && run.retry.is_none() => run.retry = Some((token, facts)),
            _ => out.push(Effect::Refused(token, Refusal::WrongState(run.status()))),
        }
    }
}

/// Seconds from one time to another; negative if that is earlier.
#[expect(
    clippy::cast_precision_loss,
    reason = "a difference of centuries does not need its microseconds"
)]
fn seconds(from: Time, to: Time) -> f64 {
    to.0.saturating_sub(from.0) as f64 / MICROS
}

/// That many seconds later.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a conversion of floats stops at the bounds, which is centuries from now"
)]
fn after(at: Time, seconds: f64) -> Time {
    Time(at.0.saturating_add((seconds * MICROS) as i64))
}
