//! Why a queued run has not started: what holds it, and who goes first.

use super::{NAMED, counted};
use crate::daemon::dispatcher::{Dispatcher, now};
use crate::daemon::live::LiveRun;
use crate::engine::scheduler::Hold;
use crate::model::view::RunView;
use crate::model::{Now, RunRef, RunStatus};

/// Who goes before a queued run in its queue.
#[derive(Debug, Default)]
struct Ahead<'a> {
    /// Whatever user or DAG they are of.
    higher: Vec<&'a LiveRun>,
    /// Of the same user, DAG and priority.
    earlier: Vec<&'a RunRef>,
    /// Of the same priority, and of other users or DAGs.
    turns: usize,
}

impl Dispatcher {
    pub(super) fn why_queued(&self, view: &RunView, evidence: &mut Vec<String>) -> String {
        if let Some(caller) = view.parent.as_ref().filter(|_| !self.draining) {
            evidence.push(format!(
                "it needs no place in a queue: run {} has one for all that it calls",
                caller.root
            ));
            return String::from("it is being launched");
        }
        let queue = &view.group;
        let state = self.engine.queue(queue);
        if view.now {
            evidence.push(String::from(
                "it starts at once, before all others and beyond the limits (--now), unless its queue is paused",
            ));
        }
        if let Some(capacity) = state.capacity.filter(|capacity| *capacity > 0) {
            let allowed = counted(capacity, "live run", "live runs");
            evidence.push(format!("queue {queue} allows {allowed} at a time"));
        }
        for run in self.live_in(view).iter().take(NAMED) {
            evidence.push(format!("live in the same queue: {run}"));
        }
        let ahead = self.ahead_of(view);
        ahead.explain(evidence);
        let mut holds = self.engine.holds(&view.run).into_iter();
        let first = holds.next();
        evidence.extend(holds.map(|hold| self.words_of(view, hold)));
        let waiting = counted(ahead.count(), "queued run", "queued runs");
        let live = counted(state.live, "live run", "live runs");
        match (first, ahead.count()) {
            (Some(Hold::QueueFull { .. }), 0) => format!("it is next in queue {queue}, behind {live}"),
            (Some(Hold::QueueFull { .. }), _) => {
                format!("it waits in queue {queue} behind {live} and {waiting}")
            }
            (Some(hold), _) => self.words_of(view, hold),
            (None, 0) => String::from("it is being launched"),
            (None, _) => format!("it waits in queue {queue} behind {waiting}"),
        }
    }

    fn words_of(&self, view: &RunView, hold: Hold) -> String {
        let queue = &view.group;
        match hold {
            Hold::Draining => String::from("the daemon is shutting down and starts nothing more"),
            Hold::DiskFull => String::from("the disk is full: nothing is started until there is room"),
            Hold::Delayed(at) => {
                let Now { boot, .. } = now();
                let secs = at.micros_since(boot).div_ceil(1_000_000);
                format!("its last start went wrong; it is tried again in {secs} s")
            }
            Hold::Paused => {
                format!("queue {queue} is paused; `proctorctl queue resume {queue}` has it go on")
            }
            Hold::Superseding => format!(
                "a live run of {} is being stopped for it, and nothing of that DAG starts before",
                view.run.dag
            ),
            Hold::DagFull { limit, live } => {
                let allowed = counted(limit, "live run", "live runs");
                format!(
                    "{} allows {allowed} at a time (max_active_runs), and {live} {}",
                    view.run.dag,
                    if live == 1 { "is live" } else { "are live" }
                )
            }
            Hold::QueueFull { live, .. } => {
                let live = counted(live, "live run", "live runs");
                format!("queue {queue} is full: it has {live}")
            }
            Hold::DaemonFull { limit, .. } => {
                format!("the daemon's limit of {limit} live attempts (queue.max_live_attempts) is reached")
            }
        }
    }

    /// The runs that are live in its queue, the oldest first. Runs that were called take no place.
    fn live_in(&self, view: &RunView) -> Vec<&RunRef> {
        let ours = |live: &&LiveRun| {
            live.view.group == view.group
                && live.new.parent.is_none()
                && live.view.status == RunStatus::Running
        };
        let mut runs: Vec<&LiveRun> = self.runs.values().filter(ours).collect();
        runs.sort_by_key(|live| (live.view.created_at, &live.view.run));
        runs.into_iter().map(|live| &live.view.run).collect()
    }

    fn ahead_of(&self, view: &RunView) -> Ahead<'_> {
        let mut ahead = Ahead::default();
        let mut reached = false;
        for run in self.engine.queued_in(&view.group) {
            reached |= *run == view.run;
            let Some(live) = self.runs.get(run).filter(|_| *run != view.run) else {
                continue;
            };
            if view.now && !live.new.now {
                continue;
            }
            let same_lane = live.new.owner == view.owner && run.dag == view.run.dag;
            if (live.new.now && !view.now) || live.view.priority > view.priority {
                ahead.higher.push(live);
            } else if live.view.priority == view.priority && !same_lane {
                ahead.turns += 1;
            } else if !reached {
                ahead.earlier.push(&live.view.run);
            }
        }
        ahead
    }
}

impl Ahead<'_> {
    fn count(&self) -> u32 {
        u32::try_from(self.higher.len() + self.earlier.len()).unwrap_or(u32::MAX)
    }

    fn explain(&self, evidence: &mut Vec<String>) {
        for live in self.higher.iter().take(NAMED) {
            let run = &live.view.run;
            evidence.push(if live.new.now {
                format!("goes before it: {run}, which starts at once (--now)")
            } else {
                format!("goes before it: {run}, of priority {}", live.view.priority)
            });
        }
        for run in self.earlier.iter().take(NAMED) {
            evidence.push(format!("queued before it: {run}"));
        }
        if self.turns > 0 {
            let others = counted(
                u32::try_from(self.turns).unwrap_or(u32::MAX),
                "queued run",
                "queued runs",
            );
            evidence.push(format!(
                "{others} of other users or DAGs have the same priority: they take turns with it"
            ));
        }
    }
}
