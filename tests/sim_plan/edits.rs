//! What people do to DAGs and queues while the world runs.

use crate::dags::{Dag, OTHER, OWNER};
use crate::world::{Ask, Pending, World};
use proctor::engine::scheduler::Event;
use proctor::model::change::Change;
use proctor::model::{DagName, GroupName, RunRef, Time};
use std::collections::BTreeSet;

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
        if self.rng.percent(15) {
            return self.change_hands(number, new);
        }
        if new.overlap != self.dags[number].overlap {
            self.spare_waiting(&name);
        }
        let asked = |ask: &Ask| matches!(ask, Ask::Suspend(dag, _) if *dag == name);
        let held = self.held.contains(&name) || self.asks.values().any(asked);
        let decided = self.decided(&name);
        let stored = self.store.watermarks.get(&name).copied();
        let sure = !held && !self.draining && decided.is_some();
        let now = self.now.wall;
        self.note(|| format!("### {name} is edited: {new:?}"));
        // Nothing older than two days is made up for by any DAG.
        let long_ago = Time(now.0 - 48 * 3_600_000_000);
        let (decided, stored) = (decided.unwrap_or(now), stored.unwrap_or(long_ago));
        self.dags[number].replace(&new, now, (decided, stored), sure);
        self.install(number);
    }

    /// The name is somebody else's now: nothing that was decided of it counts.
    fn change_hands(&mut self, number: usize, mut new: Dag) {
        self.report.owners += 1;
        new.owner = if new.owner == OWNER { OTHER } else { OWNER };
        let name = new.name.clone();
        self.note(|| format!("### {name} is somebody else's: {new:?}"));
        self.spare_waiting(&name);
        new.comes_back(self.now.wall);
        self.dags[number] = new;
        if self.lose(&name) {
            self.install(number);
        }
    }

    /// A DAG goes, and with it all that is decided of it. Says whether the daemon has survived it; if not, the next one
    /// has installed what there is.
    fn lose(&mut self, dag: &DagName) -> bool {
        let crashes = self.report.crashes;
        self.forgets.insert(dag.clone());
        self.tell(Event::Uninstall(dag.clone()));
        if self.report.crashes == crashes {
            self.forget(dag);
        }
        self.report.crashes == crashes
    }

    /// What is decided of a DAG counts no more. The store forgets it after what it is being told.
    pub(crate) fn forget(&mut self, dag: &DagName) {
        self.report.forgotten += 1;
        self.removed.insert(dag.clone());
        self.held.remove(dag);
        self.wanted.remove(dag);
        for ask in self.asks.values_mut() {
            if matches!(ask, Ask::Suspend(other, _) if other == dag) {
                *ask = Ask::Gone;
            }
        }
        let change = Change::Uninstall {
            dag: dag.clone(),
            forget: true,
        };
        let crashes = self.report.crashes;
        self.tell(Event::Forget(dag.clone()));
        if self.report.crashes == crashes {
            self.pending.push_back(Pending {
                number: 0,
                batch: vec![change],
                decided: self.now.wall,
                idle: false,
                dag: None,
                subject: BTreeSet::new(),
            });
        }
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
        let known = self.store.watermarks.contains_key(&name) && !self.forgets.contains(&name);
        if !known || self.rng.percent(50) {
            return self.install(number);
        }
        self.removed.insert(name.clone());
        // What was tried in vain, or is being tried now, comes back as a new one.
        let tried = self.delayed.iter().filter(|(dag, _)| *dag == name).cloned();
        let coming = self.wanted.get(&name).map(|at| (name.clone(), *at));
        self.anew.extend(tried.chain(coming));
        let now = self.now.wall;
        let (stays, forget) = (self.rng.percent(50), self.rng.percent(50));
        self.note(|| format!("### {name} goes: {stays} {forget}"));
        if !stays {
            self.away.insert(number);
        }
        let crashes = self.report.crashes;
        if forget {
            self.dags[number].comes_back(now);
            self.lose(&name);
        } else {
            // What is not on record by then is not known when it comes back.
            let watermark = self.store.watermarks.get(&name).copied();
            self.dags[number].forget(watermark);
            self.tell(Event::Uninstall(name));
        }
        if stays && self.report.crashes == crashes {
            self.install(number);
        }
    }

    /// A DAG that was not installed for a while is. If what was decided of it is forgotten, what it says of the time
    /// between was never scheduled.
    pub(crate) fn come_back(&mut self, number: usize) {
        if !self.away.remove(&number) {
            return;
        }
        self.report.removals += 1;
        let (now, name) = (self.now.wall, self.dags[number].name.clone());
        if self.forgets.contains(&name) || !self.store.watermarks.contains_key(&name) {
            self.dags[number].comes_back(now);
        }
        self.install(number);
    }

    pub(crate) fn install(&mut self, number: usize) {
        let dag = &self.dags[number];
        let mut installed = dag.installed();
        // What the store is to forget does not count any more.
        if !self.forgets.contains(&dag.name) {
            installed.watermark = self.store.watermarks.get(&dag.name).copied();
            installed.suspended = self.store.suspended.get(&dag.name).copied().unwrap_or(false);
        }
        let whose = (dag.name.clone(), dag.owner);
        installed.last_success = self
            .store
            .successes
            .get(&whose)
            .and_then(|all| all.last().copied());
        self.tell(Event::Install(Box::new(installed)));
    }

    /// Somebody pauses a queue, or has it go on.
    pub(crate) fn pause(&mut self) {
        let dag = &self.dags[self.rng.below(self.dags.len())];
        let queue = dag.group();
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
