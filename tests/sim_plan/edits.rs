//! What people do to DAGs and queues while the world runs.

use crate::dags::{OTHER, OWNER};
use crate::world::{Ask, World};
use proctor::engine::scheduler::Event;
use proctor::model::change::Change;
use proctor::model::{DagName, GroupName, RunRef, Time};

impl World {
    /// Up to when the ticks of a DAG are decided, as far as the store has been told.
    fn decided(&self, dag: &DagName) -> Option<Time> {
        let coming = self.pending.iter().flat_map(|pending| &pending.batch);
        let coming = coming.filter_map(|change| match change {
            Change::Watermark { dag: other, at } if other == dag => Some(*at),
            _ => None,
        });
        let stored = self.store.watermarks.get(dag).copied();
        // It may have failed, and nobody has been told.
        let wanted = self.wanted.get(dag).copied();
        coming.chain(stored).chain(wanted).max()
    }

    /// The file of a DAG is replaced.
    pub(crate) fn edit(&mut self) {
        let number = self.rng.below(self.dags.len());
        if self.away.contains(&number) {
            return;
        }
        self.report.edits += 1;
        let mut new = self.dags[number].clone();
        let name = new.name.clone();
        new.edit(&mut self.rng);
        if self.rng.percent(5) {
            // The name is somebody else's now.
            new.owner = if new.owner == OWNER { OTHER } else { OWNER };
        }
        if new.overlap != self.dags[number].overlap {
            self.spare_waiting(&name);
        }
        let asked = |ask: &Ask| matches!(ask, Ask::Suspend(dag, _) if *dag == name);
        let held = self.held.contains(&name) || self.asks.values().any(asked);
        let decided = self.decided(&name);
        let sure = !held && !self.draining && decided.is_some();
        let now = self.now.wall;
        self.note(|| format!("### {name} is edited: {new:?}"));
        self.dags[number].replace(&new, now, decided.unwrap_or(now), sure);
        self.install(number);
    }

    /// What waits was queued by the rules of another version.
    fn spare_waiting(&mut self, dag: &DagName) {
        let coming = self.pending.iter().flat_map(|pending| &pending.batch);
        let coming = coming.filter_map(|change| match change {
            Change::Accept(new) => Some(&new.run),
            _ => None,
        });
        let all = self.store.rows.keys().chain(coming);
        let waiting: Vec<RunRef> = all.filter(|run| run.dag == *dag).cloned().collect();
        self.store.taken_back.extend(waiting);
    }

    /// A DAG goes, and perhaps comes back at once.
    pub(crate) fn remove(&mut self) {
        let number = self.rng.below(self.dags.len());
        if self.away.contains(&number) {
            return self.come_back(number);
        }
        let name = self.dags[number].name.clone();
        let known = self.store.watermarks.contains_key(&name);
        if known && self.rng.percent(50) {
            self.removed.insert(name.clone());
            if self.rng.percent(50) {
                self.away.insert(number);
            }
            self.tell(Event::Uninstall(name));
        }
        if !self.away.contains(&number) {
            self.install(number);
        }
    }

    /// A DAG that was not installed for a while is: what it says of the time between was never scheduled.
    pub(crate) fn come_back(&mut self, number: usize) {
        if !self.away.remove(&number) {
            return;
        }
        self.report.removals += 1;
        let (now, dag) = (self.now.wall, &mut self.dags[number]);
        let name = dag.name.clone();
        dag.comes_back(now);
        // What was being decided when it went may be tried again.
        let told = self.pending.iter().flat_map(|pending| &pending.batch);
        let mut told = told.filter(|change| matches!(change, Change::Watermark { dag, .. } if *dag == name));
        if told.next().is_some() || !self.answers.is_empty() {
            self.dags[number].blur(now);
        }
        self.store.watermarks.remove(&name);
        self.far.remove(&name);
        self.install(number);
    }

    pub(crate) fn install(&mut self, number: usize) {
        let dag = &self.dags[number];
        let mut installed = dag.installed();
        installed.watermark = self.store.watermarks.get(&dag.name).copied();
        installed.suspended = self.store.suspended.get(&dag.name).copied().unwrap_or(false);
        let whose = (dag.name.clone(), dag.owner);
        installed.last_success = self.store.successes.get(&whose).copied();
        self.tell(Event::Install(Box::new(installed)));
    }

    /// Somebody pauses a queue, or has it go on.
    pub(crate) fn pause(&mut self) {
        let dag = &self.dags[self.rng.below(self.dags.len())];
        let queue = dag.group(dag.owner);
        let on = self.rng.percent(40);
        self.report.pauses += u64::from(on);
        self.pause_queue(queue, on);
    }

    fn pause_queue(&mut self, queue: GroupName, on: bool) {
        let token = self.ask(Ask::Other);
        self.tell(Event::Pause(token, queue, on));
    }

    /// No queue stays paused for ever.
    pub(crate) fn resume_queues(&mut self) {
        for queue in self.store.paused.clone() {
            self.pause_queue(queue, false);
        }
    }
}
