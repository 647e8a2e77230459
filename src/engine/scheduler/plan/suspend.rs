//! Suspension: a person holds back all that a DAG's schedules do, or has them go on.
//!
//! For scheduled times it counts at once, before it is stored, for retries when it is stored; that it is over counts only
//! when it is stored. While it lasts nothing is decided and the watermark stays. Who held back a DAG did not want it to run,
//! so what passed meanwhile is left out when it goes on, whatever its catch-up window is: missed starts are made up for from
//! that moment on.

use super::backlog::{Plan, is_far_ahead};
use super::flight::Flight;
use super::ticks::just_before;
use super::watermark;
use crate::engine::scheduler::Scheduler;
use crate::engine::scheduler::api::{Effect, Refusal, TickOutcome, Token};
use crate::model::change::Change;
use crate::model::{DagName, Now, Time};

impl Scheduler {
    /// Somebody wants a DAG held back, or not any more. It need not be installed: the store keeps it.
    pub(in crate::engine::scheduler) fn suspend(
        &mut self,
        now: Now,
        ask: (Token, bool),
        dag: &DagName,
        owner: u32,
        out: &mut Vec<Effect>,
    ) {
        let plan = self.plans.by_dag.entry(dag.clone()).or_default();
        if plan.installed.is_none() {
            plan.owner = Some(owner);
        }
        plan.asks.push_back(ask);
        self.go_on_with(now, dag, out);
    }

    /// The name goes to another DAG, or to nobody.
    pub(in crate::engine::scheduler) fn forget_dag(
        &mut self,
        now: Now,
        dag: &DagName,
        out: &mut Vec<Effect>,
    ) {
        if let Some(plan) = self.plans.by_dag.get_mut(dag) {
            match &mut plan.flight {
                Some(Flight::Suspension { void, .. }) => *void = true,
                // The store forgets it after it has it: the next DAG of that name has to tell its own.
                Some(Flight::Ticks(decided)) => decided.at = Time(i64::MIN),
                Some(Flight::Mark(at)) => *at = Time(i64::MIN),
                None => {}
            }
            let asks = std::mem::take(&mut plan.asks).into_iter();
            out.extend(asks.map(|(token, _)| Effect::Refused(token, Refusal::NotFound)));
            if plan.installed.is_none() {
                plan.suspended = false;
                plan.owner = None;
            }
        }
        // As after a restart: the store forgets what was held back, too.
        self.let_retries_go(dag, None, now, out);
        self.go_on_with(now, dag, out);
    }

    /// Whether the schedules of an installed DAG are held back, or are about to be.
    #[must_use]
    pub fn is_suspended(&self, dag: &DagName) -> bool {
        self.plans.by_dag.get(dag).is_some_and(|plan| {
            let asked = |flight: &Flight| {
                matches!(
                    flight,
                    Flight::Suspension {
                        on: true,
                        void: false,
                        ..
                    }
                )
            };
            plan.suspended || plan.flight.as_ref().is_some_and(asked) || plan.asks.iter().any(|(_, on)| *on)
        })
    }

    pub(super) fn commit_suspension(
        &mut self,
        now: Now,
        dag: &DagName,
        token: Token,
        on: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(plan) = self.plans.by_dag.get_mut(dag) else {
            return;
        };
        let mut batch = vec![Change::Suspend { dag: dag.clone(), on }];
        let goes_on = !on && plan.suspended && plan.installed.is_some();
        let resumes = goes_on.then(|| plan.resumes_at(now.wall));
        batch.extend(resumes.map(|at| watermark(dag, at)));
        let flight = Flight::Suspension {
            token,
            on,
            resumes,
            void: false,
        };
        self.take_off(dag, flight, batch, out);
    }
}

impl Plan {
    /// What is scheduled for now or earlier, and is due later by its jitter, has not passed.
    fn resumes_at(&self, now: Time) -> Time {
        if is_far_ahead(self.watermark, now) {
            return now;
        }
        let put_off = self.put_off(now, self.watermark);
        put_off
            .map_or(now, |tick| just_before(tick.at))
            .max(self.watermark)
    }

    /// What passed up to this time is left out. Returns what is told of that.
    pub(super) fn resume(&mut self, dag: &DagName, at: Time) -> Vec<Effect> {
        self.collect(at);
        let passed = self.backlog.iter().chain(&self.next).filter(|tick| tick.at <= at);
        let told = passed
            .map(|tick| Effect::Tick(dag.clone(), tick.at, tick.kind, TickOutcome::HeldBack))
            .collect();
        self.watermark = at;
        self.mark = None;
        self.go_on_after(at);
        told
    }
}
