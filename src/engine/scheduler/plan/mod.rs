//! Schedules: what is due, what was missed, and what becomes of it (seed-spec §8; W21, W26, W34; P12).
//!
//! A tick is a scheduled time of a DAG and what is to happen then. The ticks of a DAG are decided one after another,
//! in their order. A decision is one batch: the run that it makes, the runs that it ends or stops, and the watermark,
//! up to which every tick is decided. So a daemon that is killed at any point neither loses a tick nor starts one twice:
//! either the batch is in the store, or the next daemon decides again. Who acts on a decision waits for its batch.
//!
//! Nothing is scanned: the agenda holds the next due time of each DAG, and one timer is armed for the first of them.

mod backlog;
mod decide;
mod flight;
mod occupants;
mod suspend;
mod ticks;
mod upcoming;

use std::collections::{BTreeMap, BTreeSet};

use super::Scheduler;
use super::api::{Effect, Installed};
use super::timers::{Timer, backoff};
use crate::dag::types::OverlapPolicy;
use crate::model::{Boot, DagName, Now, Time};
use backlog::{Plan, is_far_ahead};
use flight::Flight;
use ticks::Tick;
pub use upcoming::Upcoming;

/// All plans, and when they are due.
#[derive(Debug, Default)]
pub(super) struct Plans {
    by_dag: BTreeMap<DagName, Plan>,
    /// The next due time of each plan that waits for it.
    agenda: BTreeSet<(Time, DagName)>,
    /// What the timer is set for: the time of the agenda, and of the boot clock.
    armed: Option<(Time, Boot)>,
    /// Batches in flight.
    flights: usize,
    /// Whether plans are only kept and shown, and nothing is decided.
    idle: bool,
    /// DAGs of which nothing is started, since their users may start nothing.
    barred: BTreeSet<DagName>,
    /// Other DAGs of which nobody knows whether their users may start anything.
    unsure: BTreeSet<DagName>,
}

impl Plans {
    /// Plans are only kept and shown from now on.
    pub(super) const fn keep_idle(&mut self) {
        self.idle = true;
    }

    /// How many batches are in flight.
    pub(super) const fn flights(&self) -> usize {
        self.flights
    }

    /// A run of the user's DAG has succeeded; `at` is the time it counts for.
    pub(super) fn succeeded(&mut self, dag: &DagName, owner: u32, at: Time, now: Time) {
        let plan = self.by_dag.get_mut(dag);
        if let Some(plan) = plan.filter(|plan| plan.owner == Some(owner)) {
            plan.note_success(Some(at), now);
        }
    }

    /// What the user's DAG does about overlaps, if it is installed.
    fn overlap(&self, dag: &DagName, owner: u32) -> Option<OverlapPolicy> {
        let installed = self.by_dag.get(dag)?.installed.as_ref()?;
        Some(installed.overlap).filter(|_| installed.template.owner == owner)
    }

    /// The timer went off.
    pub(super) const fn fired(&mut self) {
        self.armed = None;
    }

    fn enter(&mut self, dag: &DagName, at: Option<Time>) {
        let Some(plan) = self.by_dag.get_mut(dag).filter(|plan| plan.entry != at) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut plan.entry, at) {
            self.agenda.remove(&(old, dag.clone()));
        }
        self.agenda.extend(at.map(|at| (at, dag.clone())));
    }
}

impl Scheduler {
    /// The same engine, but one that acts on no schedule: plans are kept and shown, no tick is decided and nothing is
    /// recorded of them. For a daemon that leaves as soon as nobody needs it: what fired would be up to chance, and what
    /// was missed between would be made up for whenever somebody asks it something.
    #[must_use]
    pub const fn without_schedules(mut self) -> Self {
        self.plans.keep_idle();
        self
    }

    /// These are the DAGs whose users may start nothing, and those of which that is not known. It counts for what is decided
    /// from now on.
    pub(super) fn bar(
        &mut self,
        now: Now,
        dags: BTreeSet<DagName>,
        unsure: BTreeSet<DagName>,
        out: &mut Vec<Effect>,
    ) {
        self.plans.barred = dags;
        for dag in std::mem::replace(&mut self.plans.unsure, unsure) {
            if !self.plans.unsure.contains(&dag) {
                self.go_on_with(now, &dag, out);
            }
        }
    }

    /// The wall clock was set: deadlines lie elsewhere on the boot clock, and what was due may not be due any more.
    pub(super) fn clock_set(&mut self, now: Now, out: &mut Vec<Effect>) {
        if let Some((_, at)) = self.plans.armed.take() {
            self.timers.remove(at, Timer::Plans);
        }
        let dags: Vec<DagName> = self.plans.by_dag.keys().cloned().collect();
        for dag in dags {
            self.go_on_with(now, &dag, out);
        }
    }

    /// A plan is new, or replaces one. What was due by the one before is still decided; from now on the new one counts.
    pub(super) fn install(&mut self, now: Now, new: Installed, out: &mut Vec<Effect>) {
        let dag = new.dag.clone();
        let plan = self.plans.by_dag.entry(dag.clone()).or_default();
        let owner = new.template.owner;
        if plan.owner.replace(owner) != Some(owner) {
            (plan.last_success, plan.success_to_come) = (None, None);
        }
        plan.note_success(new.last_success, now.wall);
        // What is not due any more was never due by the schedule before.
        plan.put_back(now.wall);
        if let Some(old) = &plan.installed {
            let same = old.starts == new.starts
                && old.stops == new.stops
                && old.restarts == new.restarts
                && old.zone == new.zone;
            let decided = plan.decided_up_to();
            if !plan.suspended {
                plan.collect(now.wall);
            }
            // What is due is not put off, whatever its jitter is by now.
            let due = plan.backlog.back().map_or(decided, |tick| tick.at.max(decided));
            let put_off = plan.put_off(now.wall, due);
            plan.installed = Some(new);
            let waits = plan.next.is_some_and(|tick| tick.due > now.wall);
            if same {
                // Only the jitter of the next one can be another.
                let installed = plan.installed.as_ref();
                plan.next = plan
                    .next
                    .and_then(|tick| ticks::next(installed?, ticks::just_before(tick.at)));
                if let Some(tick) = plan.next.as_mut().filter(|_| waits) {
                    // With less jitter it was to come before now. Nobody was late with it.
                    tick.due = tick.due.max(now.wall);
                }
            } else {
                plan.begin(now.wall, put_off);
            }
        } else {
            plan.suspended = new.suspended;
            plan.watermark = match (&plan.flight, new.watermark) {
                // It went and comes back before the store has answered: what was read there is out of date.
                (Some(Flight::Ticks(_) | Flight::Mark(_)), Some(_)) => plan.watermark,
                (_, known) => known.unwrap_or(now.wall),
            };
            // So that it counts from today even if nothing is due before the daemon ends. What is on its way may be refused.
            plan.mark = match (&plan.flight, new.watermark) {
                (_, None) => Some(now.wall),
                (Some(Flight::Mark(at)), _) => Some(*at).filter(|at| *at > plan.watermark),
                _ => None,
            };
            plan.installed = Some(new);
            plan.go_on_after(plan.decided_up_to());
        }
        let suspended = plan.suspended;
        // That it is held back means the runs of whoever's it is now.
        self.let_retries_go(&dag, Some(owner), now, out);
        self.hold_retries(&dag, owner, suspended, now, out);
        self.give_up_older(now, &dag, owner, out);
        self.go_on_with(now, &dag, out);
    }

    /// Holds back no retries of the DAG's runs any more, but for those of one user.
    fn let_retries_go(&mut self, dag: &DagName, but: Option<u32>, now: Now, out: &mut Vec<Effect>) {
        let held = self.on_hold.range((dag.clone(), 0)..=(dag.clone(), u32::MAX));
        let others: Vec<u32> = held
            .map(|(_, held)| *held)
            .filter(|held| Some(*held) != but)
            .collect();
        for other in others {
            self.hold_retries(dag, other, false, now, out);
        }
    }

    /// A plan counts no more. What is being committed is decided, and a run of it is made if it can be stored.
    pub(super) fn uninstall(&mut self, now: Now, dag: &DagName, out: &mut Vec<Effect>) {
        if let Some(plan) = self.plans.by_dag.get_mut(dag) {
            plan.installed = None;
            plan.mark = None;
            if let Some(Flight::Ticks(decided)) = &mut plan.flight {
                decided.void = true;
            }
            plan.go_on_after(now.wall);
            self.go_on_with(now, dag, out);
        }
    }

    /// Goes on with whatever is due in the agenda.
    pub(super) fn plans_due(&mut self, now: Now, out: &mut Vec<Effect>) {
        while !self.draining
            && let Some((_, dag)) = self.plans.agenda.first().filter(|(at, _)| *at <= now.wall)
        {
            let dag = dag.clone();
            self.plans.enter(&dag, None);
            self.go_on_with(now, &dag, out);
        }
    }

    /// The pause after a failure is over.
    pub(super) fn plan_again(&mut self, now: Now, dag: &DagName, out: &mut Vec<Effect>) {
        if let Some(plan) = self.plans.by_dag.get_mut(dag) {
            plan.again = None;
            self.go_on_with(now, dag, out);
        }
    }

    /// Sets the timer for the first time of the agenda, if it is set for another.
    pub(super) fn arm_plans(&mut self, now: Now) {
        let first = self
            .plans
            .agenda
            .first()
            .map(|(at, _)| *at)
            .filter(|_| !self.draining);
        if first == self.plans.armed.map(|(wall, _)| wall) {
            return;
        }
        if let Some((_, at)) = self.plans.armed.take() {
            self.timers.remove(at, Timer::Plans);
        }
        if let Some(wall) = first {
            let wait = u64::try_from(wall.0.saturating_sub(now.wall.0)).unwrap_or(0);
            let at = Boot(now.boot.0.saturating_add(wait));
            self.plans.armed = Some((wall, at));
            self.timers.insert(at, Timer::Plans);
        }
    }

    /// Does the next thing for a plan, unless something is being committed for it already.
    fn go_on_with(&mut self, now: Now, dag: &DagName, out: &mut Vec<Effect>) {
        self.plans.enter(dag, None);
        let Some(plan) = self.plans.by_dag.get_mut(dag) else {
            return;
        };
        if plan.flight.is_some() {
            return;
        }
        if let Some((token, on)) = plan.asks.pop_front() {
            self.commit_suspension(now, dag, token, on, out);
            return;
        }
        if plan.installed.is_none() {
            if let Some(at) = plan.again.take() {
                self.timers.remove(at, Timer::Dag(dag.clone()));
            }
            self.plans.by_dag.remove(dag);
            return;
        }
        // What is not decided is undecided in the store, too: the next daemon, or the day it is enabled, sees to it.
        if plan.suspended || plan.again.is_some() || self.draining || self.plans.idle {
            return;
        }
        plan.disbelieve(now.wall);
        plan.note_success(None, now.wall);
        plan.put_back(now.wall);
        plan.collect(now.wall);
        if !plan.backlog.is_empty() {
            self.decide_ticks(now, dag, out);
        } else if let Some(at) = plan.mark {
            let batch = vec![watermark(dag, at)];
            self.take_off(dag, Flight::Mark(at), batch, out);
        } else {
            let due = plan.next.map(|tick| tick.due);
            self.plans.enter(dag, due);
        }
    }

    /// Waits before a plan is gone on with: something went wrong.
    fn pause_plan(&mut self, now: Now, dag: &DagName) {
        if let Some(plan) = self.plans.by_dag.get_mut(dag) {
            plan.failures = plan.failures.saturating_add(1);
            let at = backoff(now.boot, plan.failures);
            if let Some(old) = plan.again.replace(at) {
                self.timers.remove(old, Timer::Dag(dag.clone()));
            }
            self.timers.insert(at, Timer::Dag(dag.clone()));
        }
    }
}

impl Plan {
    /// The newest tick that is decided, or is being committed as such.
    fn decided_up_to(&self) -> Time {
        match &self.flight {
            Some(Flight::Ticks(decided)) => decided.at.max(self.watermark),
            Some(Flight::Mark(at)) => self.watermark.max(*at),
            _ => self.watermark,
        }
    }

    /// A time that lies far ahead of the clock was noted while that was wrong: everything counts from now on.
    fn disbelieve(&mut self, now: Time) {
        if is_far_ahead(self.watermark, now) {
            self.watermark = now;
            self.mark = Some(now);
            self.go_on_after(now);
        } else if self.mark.is_some_and(|mark| is_far_ahead(mark, now)) {
            // What the schedule before has left undecided is still decided. What is decided may be ahead by less, and stays so;
            // of a new DAG the store has no watermark yet.
            let after = self.decided_up_to().max(now);
            self.mark = Some(after);
            self.next = self.installed.as_ref().and_then(|plan| ticks::next(plan, after));
        }
    }

    /// Its schedule is another one from now on. `put_off` is the tick that the one before has put off beyond now: it comes
    /// if it is among those of the new one. What else that says of the past was never scheduled.
    fn begin(&mut self, now: Time, put_off: Option<Tick>) {
        let mut decided = self.decided_up_to().max(now);
        let again = |tick: Tick| {
            let same = ticks::next(self.installed.as_ref()?, ticks::just_before(tick.at))?;
            Some(same).filter(|same| same.at == tick.at && same.kind == tick.kind)
        };
        match put_off.and_then(again) {
            // It is not put off any more, and not late by that.
            Some(tick) if tick.due <= now => self.backlog.push_back(Tick { due: now, ..tick }),
            Some(tick) => decided = ticks::just_before(tick.at),
            None => {}
        }
        self.mark = Some(decided);
        let installed = self.installed.as_ref();
        self.next = installed.and_then(|plan| ticks::next(plan, decided));
    }
}

fn watermark(dag: &DagName, at: Time) -> crate::model::change::Change {
    let dag = dag.clone();
    crate::model::change::Change::Watermark { dag, at }
}
