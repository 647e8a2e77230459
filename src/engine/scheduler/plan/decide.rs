//! The decision: what becomes of the ticks that are due, given what the DAG is doing.

use super::backlog::{Class, LATE_MAX};
use super::flight::{Decided, Flight};
use super::occupants::Others;
use super::ticks::{self, Tick};
use super::watermark;
use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::Scheduler;
use crate::engine::scheduler::api::{Effect, Installed, TickKind, TickOutcome};
use crate::engine::scheduler::run::Phase;
use crate::model::change::{Change, NewRun};
use crate::model::{DagName, Now, RunId, RunRef, Time, Trigger};

/// What is to be done for a tick.
#[derive(Debug)]
enum Act {
    /// Nothing.
    LeaveOut(TickOutcome),
    /// Runs are stopped.
    Stop(Others),
    /// A run is made.
    Start(RunRef, Others),
    /// Whether its run exists is being found out, by somebody who submits it.
    Wait,
    /// Whether its user may start anything is not known yet. What becomes known is told.
    Hold,
}

impl Scheduler {
    /// Decides the ticks of a plan that are due: all that come to nothing, up to the first one that does not.
    pub(super) fn decide_ticks(&mut self, now: Now, dag: &DagName, out: &mut Vec<Effect>) {
        let Some(plan) = self.plans.by_dag.get(dag) else {
            return;
        };
        let Some(installed) = &plan.installed else {
            return;
        };
        let mut told = Vec::new();
        let mut last = None;
        for (tick, class) in plan.classes(installed, now.wall) {
            let act = match self.weigh(installed, plan.last_success, &tick, class) {
                Act::Start(_, others) if self.is_user_crowded(installed.template.owner, &others) => {
                    Act::LeaveOut(TickOutcome::UserCrowded)
                }
                act => act,
            };
            if let Act::LeaveOut(outcome) = act {
                told.push((tick.at, tick.kind, outcome));
            } else {
                last = Some((tick, class, act));
                break;
            }
        }
        let mut batch = Vec::new();
        let mut decided = Decided {
            ticks: Vec::new(),
            at: Time::default(),
            acts: false,
            made: None,
            others: Others::untouched(),
            told: Vec::new(),
            void: false,
        };
        let mut count = told.len();
        if count == 0
            && let Some((tick, _, Act::Hold)) = &last
        {
            return self.hold(now, dag, tick.due);
        }
        match last {
            Some((tick, _, Act::Stop(mut others))) => {
                told.push((tick.at, tick.kind, TickOutcome::Stopped(others.count())));
                batch = self.prepare(now, &mut others);
                decided.others = others;
            }
            Some((tick, class, Act::Start(run, mut others))) => {
                let caught_up = class == Class::Late;
                let new = Box::new(new_run(&installed.template, run, now.wall, &tick, caught_up));
                let run = new.run.clone();
                told.push((tick.at, tick.kind, TickOutcome::Started { run, caught_up }));
                batch = self.prepare(now, &mut others);
                decided.others = others;
                decided.made = Some(self.admit(None, &new));
                out.push(Effect::Make(new.clone()));
                batch.push(Change::Accept(new));
            }
            _ => {}
        }
        decided.acts = told.len() > count;
        count = told.len();
        decided.told = told;
        if count == 0 {
            self.pause_plan(now, dag);
            return;
        }
        let Some(plan) = self.plans.by_dag.get_mut(dag) else {
            return;
        };
        decided.ticks = plan.backlog.drain(..count.min(plan.backlog.len())).collect();
        decided.at = decided.ticks.last().map_or(plan.watermark, |tick| tick.at);
        batch.push(watermark(dag, decided.at));
        self.take_off(dag, Flight::Ticks(Box::new(decided)), batch, out);
    }

    /// Waits with a start that was due at this time until it is known whether its user may. What comes after it does not
    /// wait: a minute later it was missed, as far as it is not made up for, and a stop takes it away.
    fn hold(&mut self, now: Now, dag: &DagName, due: Time) {
        let missed = Time(due.0.saturating_add(LATE_MAX + 1));
        let next = self.plans.by_dag.get(dag).and_then(|plan| plan.next);
        let wakes = [Some(missed), next.map(|tick| tick.due)].into_iter().flatten();
        self.plans.enter(dag, wakes.filter(|at| *at > now.wall).min());
    }

    fn weigh(&self, plan: &Installed, last_success: Option<Time>, tick: &Tick, class: Class) -> Act {
        match class {
            Class::Missed => return Act::LeaveOut(TickOutcome::Missed),
            Class::Over => return Act::LeaveOut(TickOutcome::StopPassed),
            Class::Replaced => return Act::LeaveOut(TickOutcome::Replaced),
            Class::Live | Class::Late => {}
        }
        let (dag, owner) = (&plan.dag, plan.template.owner);
        if tick.kind == TickKind::Stop {
            let others = self.stop_all(dag, owner);
            return if others.count() == 0 {
                Act::LeaveOut(TickOutcome::Stopped(0))
            } else {
                Act::Stop(others)
            };
        }
        if self.plans.barred.contains(dag) {
            return Act::LeaveOut(TickOutcome::Barred);
        }
        if self.plans.unsure.contains(dag) {
            return Act::Hold;
        }
        let restart = tick.kind == TickKind::Restart;
        let run = RunRef {
            dag: dag.clone(),
            id: RunId::scheduled(dag, owner, tick.at, restart),
        };
        let there = self.names.get(&run).and_then(|key| self.runs.get(key));
        match there.map(|run| &run.phase) {
            Some(Phase::Admitting { .. }) => return Act::Wait,
            Some(_) => return Act::LeaveOut(TickOutcome::StartedBefore),
            None if tick.known => return Act::LeaveOut(TickOutcome::StartedBefore),
            None => {}
        }
        if restart {
            return Act::Start(run, self.supersede_scheduled(dag, owner, true));
        }
        // The run of the start before has done its own work, and not that of this one: it counts for its own time.
        if plan.skip_if_successful
            && let Some(success) = last_success
            && ticks::previous_start(plan, tick.at).is_some_and(|before| success > before)
        {
            return Act::LeaveOut(TickOutcome::Successful);
        }
        match plan.overlap {
            OverlapPolicy::Skip if self.is_busy(dag, owner) => Act::LeaveOut(self.why_busy(dag, owner)),
            OverlapPolicy::All if self.is_crowded(dag, owner) => Act::LeaveOut(TickOutcome::Crowded),
            OverlapPolicy::Skip | OverlapPolicy::All => Act::Start(run, Others::untouched()),
            OverlapPolicy::Latest => Act::Start(run, self.supersede_scheduled(dag, owner, false)),
            OverlapPolicy::CancelOther => Act::Start(run, self.supersede_all(dag, owner)),
        }
    }
}

fn new_run(template: &NewRun, run: RunRef, now: Time, tick: &Tick, caught_up: bool) -> NewRun {
    NewRun {
        run,
        trigger: if caught_up {
            Trigger::Catchup
        } else {
            Trigger::Scheduler
        },
        created_at: now,
        scheduled_for: Some(tick.at),
        ..template.clone()
    }
}
