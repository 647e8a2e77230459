//! Suspension: a person holds back all that a DAG's schedules do, or has them go on.
//!
//! It counts at once, before it is stored; that it is over counts only when it is stored. While it lasts nothing is
//! decided and the watermark stays. Who held back a DAG did not want it to run, so what passed meanwhile is left out when
//! it goes on, whatever its catch-up window is: missed starts are made up for from that moment on.

use super::backlog::Plan;
use super::flight::Flight;
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
        token: Token,
        dag: &DagName,
        on: bool,
        out: &mut Vec<Effect>,
    ) {
        let plan = self.plans.by_dag.entry(dag.clone()).or_default();
        plan.asks.push_back((token, on));
        self.go_on_with(now, dag, out);
    }

    /// The name goes to another DAG, or to nobody.
    pub(in crate::engine::scheduler) fn forget_dag(
        &mut self,
        now: Now,
        dag: &DagName,
        out: &mut Vec<Effect>,
    ) {
        let Some(plan) = self.plans.by_dag.get_mut(dag) else {
            return;
        };
        if let Some(Flight::Suspension { void, .. }) = &mut plan.flight {
            *void = true;
        }
        let asks = std::mem::take(&mut plan.asks).into_iter();
        out.extend(asks.map(|(token, _)| Effect::Refused(token, Refusal::NotFound)));
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
    fn resumes_at(&self, now: Time) -> Time {
        if self.is_far_ahead(now) {
            now
        } else {
            self.watermark.max(now)
        }
    }

    /// What passed up to this time is left out.
    pub(super) fn resume(&mut self, dag: &DagName, at: Time, out: &mut Vec<Effect>) {
        self.collect(at);
        let passed = self.backlog.iter().chain(&self.next).filter(|tick| tick.at <= at);
        out.extend(passed.map(|tick| Effect::Tick(dag.clone(), tick.at, TickOutcome::Missed)));
        self.watermark = at;
        self.mark = None;
        self.go_on_after(at);
    }
}
