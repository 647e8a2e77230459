//! What people do to queues, and what must hold of those who wait in them.

use crate::world::{Ask, Shim, World};
use proctor::engine::scheduler::{Event, Hold, Place};
use proctor::model::change::Change;
use proctor::model::{Priority, RunRef, StopReason};
use std::cmp::Reverse;
use std::collections::BTreeSet;

impl World<'_> {
    /// Somebody pauses a queue, or has it go on.
    pub(crate) fn pause(&mut self) {
        let queue = self.names.groups[self.rng.below(self.names.groups.len())].clone();
        let on = self.rng.percent(50);
        let token = self.ask(Ask::Pause(queue.clone(), on));
        self.tell(Event::Pause(token, queue, on));
    }

    /// No queue stays paused for ever.
    pub(crate) fn go_on(&mut self) {
        for queue in self.names.groups.clone() {
            let token = self.ask(Ask::Pause(queue.clone(), false));
            self.tell(Event::Pause(token, queue, false));
        }
    }

    fn any_run(&mut self) -> RunRef {
        let at = self.rng.below(self.names.runs.len());
        self.names.runs[at].clone()
    }

    pub(crate) fn move_run(&mut self) {
        let run = self.any_run();
        let to = self.rng.below(self.names.groups.len() * 2);
        let queue = self.names.groups.get(to).cloned().map(|queue| {
            let told = self.capacity[to].unwrap_or(1);
            (queue, told)
        });
        let number = [-7, 0, 10][self.rng.below(3)];
        let priority = self.rng.percent(50).then(|| Priority::new(number).unwrap());
        let first = self.rng.percent(30);
        let token = self.ask(Ask::Move(run.clone()));
        let place = Place {
            queue,
            priority,
            first,
        };
        self.tell(Event::Move(token, run, place));
    }

    pub(crate) fn dequeue(&mut self) {
        let run = self.any_run();
        let token = self.ask(Ask::Dequeue(run.clone()));
        self.tell(Event::Dequeue(token, run, StopReason::User { uid: 1000 }));
    }

    pub(crate) fn count_waits(&mut self) {
        let full = |run: &RunRef| {
            let holds = self.engine.holds(run);
            holds.iter().any(|hold| matches!(hold, Hold::DagFull { .. }))
        };
        self.report.waits_for_dag += u64::from(self.names.runs.iter().any(full));
    }

    /// A run is to be started: its queue is not paused, and without trouble it is the first of those of its user and DAG
    /// that wait in its queue.
    pub(crate) fn check_order(&self, run: &RunRef) {
        let mine = &self.store.rows[run];
        if mine.parent.is_some() {
            return;
        }
        assert!(
            !self.paused.contains(&mine.group),
            "{run} starts in a paused queue"
        );
        let trouble = self.report.failed_commits + self.report.crashes + self.report.kills;
        if trouble > 0 || mine.now {
            return;
        }
        // The engine does not know of these yet, or has them in its hands.
        let elsewhere = |run: &RunRef| {
            let asked = self.asks.values().any(|ask| match ask {
                Ask::Submit(other) | Ask::Retry(other) | Ask::Decide(other) | Ask::Move(other) => {
                    other == run
                }
                _ => false,
            });
            let decided = self.pending.iter().any(|(_, batch)| match &batch[0] {
                Change::Intend { run: other, .. } | Change::EndQueued { run: other, .. } => other == run,
                _ => false,
            });
            asked || decided
        };
        for (other, row) in &self.store.rows {
            let same_lane = row.group == mine.group
                && row.owner == mine.owner
                && other.dag == run.dag
                && row.parent.is_none()
                && !row.now;
            if same_lane && row.queued.is_some() && row.stop.is_none() && !elsewhere(other) {
                let place = |row: &crate::store::Row| (Reverse(row.priority), row.queued);
                assert!(place(row) >= place(mine), "{run} overtook {other}");
            }
        }
    }

    /// What limits the start of a run that is not to start at once. A tree takes one place, as long as anything in it
    /// lives.
    pub(crate) fn check_limits(&self, run: &RunRef) {
        let group = &self.store.rows[run].group;
        let live = |mine: &dyn Fn(&RunRef) -> bool| {
            let shims = self.shims.values().filter(|shim: &&Shim| shim.live());
            shims
                .filter_map(|shim| self.store.line(&shim.run).last().copied())
                .filter(|root| !self.store.rows[*root].now && mine(root))
                .collect::<BTreeSet<_>>()
                .len()
        };
        let index = self.names.groups.iter().position(|name| name == group).unwrap();
        if let Some(capacity) = self.capacity[index].filter(|capacity| *capacity > 0) {
            let here = live(&|root| self.store.rows[root].group == *group);
            assert!(here <= capacity as usize, "over the capacity of {group}");
        }
        let owner = self.store.rows[run].owner;
        let limit = self.dag_limits[&(run.dag.clone(), owner)];
        if limit > 0 {
            let here = live(&|root| root.dag == run.dag && self.store.rows[root].owner == owner);
            assert!(here <= limit as usize, "over the limit of {}", run.dag);
        }
        if self.config.max_live > 0 {
            let all = live(&|_| true);
            assert!(all <= self.config.max_live as usize, "over the limit");
        }
    }
}
