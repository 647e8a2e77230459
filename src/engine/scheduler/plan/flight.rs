//! Batches of plans: what is being committed, and what follows when it is or is not.

use super::backlog::Plan;
use super::occupants::Others;
use super::ticks::Tick;
use crate::engine::scheduler::Scheduler;
use crate::engine::scheduler::api::{CommitError, Effect, Refusal, TickKind, TickOutcome, Token};
use crate::engine::scheduler::run::Key;
use crate::engine::scheduler::save::{Owner, words};
use crate::model::change::Change;
use crate::model::{DagName, Now, Time};

/// What is being committed for a plan.
#[derive(Debug)]
pub(super) enum Flight {
    /// Ticks are decided.
    Ticks(Box<Decided>),
    /// The watermark alone; before all times if the store is to forget it.
    Mark(Time),
    /// The plan is held back, or not any more; then what passed meanwhile is decided, up to now.
    Suspension {
        /// Who wants it.
        token: Token,
        /// Whether it is held back.
        on: bool,
        /// Up to when everything is decided then, if it goes on.
        resumes: Option<Time>,
        /// Whether the DAG that was meant does not have the name any more.
        void: bool,
    },
}

/// Ticks that are decided together: those before the last one come to nothing.
#[derive(Debug)]
pub(super) struct Decided {
    /// All of them, in order.
    pub(super) ticks: Vec<Tick>,
    /// The scheduled time of the last one; before all times if the store is to forget it.
    pub(super) at: Time,
    /// Whether the last one is more than left out: something is made, stopped or ended for it.
    pub(super) acts: bool,
    /// What became of each.
    pub(super) told: Vec<(Time, TickKind, TickOutcome)>,
    /// The run that is made.
    pub(super) made: Option<Key>,
    /// What the last one does to the other runs of the DAG.
    pub(super) others: Others,
    /// Whether the DAG that they are of is not installed any more. What has its name now has ticks of its own.
    pub(super) void: bool,
}

impl Scheduler {
    /// Hands a batch of a plan to the store.
    pub(super) fn take_off(
        &mut self,
        dag: &DagName,
        flight: Flight,
        batch: Vec<Change>,
        out: &mut Vec<Effect>,
    ) {
        if let Some(plan) = self.plans.by_dag.get_mut(dag) {
            plan.flight = Some(flight);
            self.plans.flights += 1;
            let number = self.batch_of(Owner::Dag(dag.clone()));
            out.push(Effect::Commit(number, batch));
        }
    }

    fn landed(&mut self, dag: &DagName) -> Option<(&mut Plan, Flight)> {
        let plan = self.plans.by_dag.get_mut(dag)?;
        let flight = plan.flight.take()?;
        self.plans.flights = self.plans.flights.saturating_sub(1);
        Some((plan, flight))
    }

    /// A batch of a plan is in the store.
    pub(in crate::engine::scheduler) fn plan_committed(
        &mut self,
        now: Now,
        dag: &DagName,
        out: &mut Vec<Effect>,
    ) {
        let idle = self.plans.idle;
        let Some((plan, flight)) = self.landed(dag) else {
            return;
        };
        plan.failures = 0;
        match flight {
            Flight::Mark(at) => plan.marked(at),
            Flight::Suspension {
                token, void: true, ..
            } => {
                out.push(Effect::Refused(token, Refusal::NotFound));
            }
            Flight::Suspension {
                token, on, resumes, ..
            } => {
                out.push(Effect::Accepted(token));
                plan.suspended = on;
                if let Some(at) = resumes {
                    let told = plan.resume(dag, at);
                    // Without schedules it is not for that that nothing happened.
                    out.extend(told.into_iter().filter(|_| !idle));
                }
                if let Some(owner) = plan.owner.filter(|_| on) {
                    self.hold_retries(dag, owner, true, now, out);
                } else {
                    // Whose it was when it was held back, or is now: nothing is held back any more.
                    self.let_retries_go(dag, None, now, out);
                }
            }
            Flight::Ticks(decided) => {
                plan.marked(decided.at);
                // Those that are stopped are in the way of the new one before it is queued.
                self.carry_out(now, decided.others, out);
                if let Some(key) = decided.made {
                    let owner = self.runs.get(&key).map(|run| run.owner);
                    self.admitted(now, key, false, out);
                    if let Some(owner) = owner {
                        self.give_up_older(now, dag, owner, out);
                    }
                }
                let told = decided.told.into_iter();
                out.extend(told.map(|(at, kind, outcome)| Effect::Tick(dag.clone(), at, kind, outcome)));
            }
        }
        self.go_on_with(now, dag, out);
    }

    /// A batch of a plan is not in the store. A tick is not lost by that: it is decided anew, when there is hope.
    pub(in crate::engine::scheduler) fn plan_not_committed(
        &mut self,
        now: Now,
        dag: &DagName,
        error: CommitError,
        out: &mut Vec<Effect>,
    ) {
        let Some((plan, flight)) = self.landed(dag) else {
            return;
        };
        match flight {
            Flight::Mark(_) => self.pause_plan(now, dag),
            Flight::Suspension { token, .. } => {
                out.push(Effect::Refused(token, Refusal::Store(words(error))));
            }
            Flight::Ticks(mut decided) => {
                let known = decided.made.is_some() && error == CommitError::Exists;
                if let Some(last) = decided.ticks.last_mut().filter(|_| decided.acts) {
                    last.known |= known;
                    if !known && !std::mem::replace(&mut last.tried, true) {
                        let outcome = TickOutcome::Delayed(words(error.clone()));
                        out.push(Effect::Tick(dag.clone(), last.at, last.kind, outcome));
                    }
                }
                if decided.void {
                    plan.go_on_after(plan.watermark);
                } else {
                    for tick in decided.ticks.into_iter().rev() {
                        plan.backlog.push_front(tick);
                    }
                    // An edit may have come while the clock was behind them.
                    plan.backlog.make_contiguous().sort_by_key(|tick| tick.at);
                }
                if !known {
                    self.pause_plan(now, dag);
                }
                self.call_off(now, decided.others, &error, out);
                if let Some(key) = decided.made {
                    let run = self.runs.get(&key).map(|run| run.name.clone());
                    self.not_admitted(key, error, false, out);
                    out.extend(run.map(Effect::Unmake));
                }
            }
        }
        self.go_on_with(now, dag, out);
    }
}

impl Plan {
    /// The store has this watermark.
    fn marked(&mut self, at: Time) {
        self.watermark = self.watermark.max(at);
        self.mark = self.mark.filter(|mark| *mark > at);
    }
}
