//! What the store is told of installed DAGs, until it has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::dispatcher::{Dispatcher, Msg};
use super::place::{FileId, Place};
use super::version::Version;
use super::{AGAIN, Registry};
use crate::engine::scheduler::Event;
use crate::model::DagName;
use crate::model::change::{Change, InstalledDag};
use crate::store::PlanRecord;
use crate::telemetry::events;

impl Registry {
    /// The engine decides something about schedules, and the store is told: it counts when it is there.
    pub(in crate::daemon) fn note_later(&mut self, number: u64, change: &Change) {
        self.deciding.entry(number).or_default().push(change.clone());
    }

    /// The store answered for a batch.
    pub(in crate::daemon) fn plan_stored(&mut self, number: u64, stored: bool) {
        let changes = self.deciding.remove(&number).filter(|_| stored);
        for change in changes.into_iter().flatten() {
            let (Change::Watermark { dag, .. } | Change::Suspend { dag, .. }) = &change else {
                continue;
            };
            let plan = self.plans.entry(dag.clone()).or_insert_with(|| PlanRecord {
                dag: dag.clone(),
                watermark: None,
                suspended: false,
            });
            match change {
                Change::Watermark { at, .. } => plan.watermark = Some(at),
                Change::Suspend { on, .. } => plan.suspended = on,
                _ => {}
            }
        }
    }

    /// What is decided of a DAG counts no more, nor does what the store is just being told of that: it forgets it after.
    fn forget(&mut self, dag: &DagName) {
        self.plans.remove(dag);
        self.last.remove(dag);
        for changes in self.deciding.values_mut() {
            changes.retain(|change| match change {
                Change::Watermark { dag: other, .. } | Change::Suspend { dag: other, .. } => other != dag,
                _ => true,
            });
        }
        self.forgets.insert(dag.clone());
    }

    /// The names that are the system's although nothing of it may be there: its DAG is held back, and who got the name could
    /// let go what that has left, which runs as the system does. Somebody who may enables it, or removes it for good.
    pub(super) fn reserved(&self, before: &BTreeMap<DagName, FileId>) -> BTreeSet<DagName> {
        let held = self.plans.values().filter(|plan| plan.suspended);
        let told = self
            .deciding
            .values()
            .flatten()
            .filter_map(|change| match change {
                Change::Suspend { dag, on: true } => Some(dag),
                _ => None,
            });
        let asked = self.suspending.values().filter(|asked| asked.on);
        let all = held.map(|plan| &plan.dag).chain(told);
        let all = all.chain(asked.map(|asked| &asked.dag));
        let systems = |dag: &&DagName| {
            let place = before.get(*dag).map(|id| &id.place);
            !self.removed.contains(*dag) && place.is_none_or(|place| *place == Place::System)
        };
        all.filter(systems).cloned().collect()
    }

    /// Whether a name is one of these.
    pub(super) fn is_reserved(&self, dag: &DagName) -> bool {
        let holder = self.holder(dag).map(|id| (dag.clone(), id));
        self.reserved(&holder.into_iter().collect()).contains(dag)
    }

    /// What the store is to be told of a DAG: which version there is, if any, and before that what it is to forget, all in
    /// one batch; and whether something is to be forgotten. None while something else about the DAG is on its way that
    /// would be forgotten with it.
    fn batch(&mut self, dag: &DagName, version: Option<&InstalledDag>) -> Option<(Vec<Change>, bool)> {
        let forget = self.forgets.contains(dag);
        let concerns = |change: &Change| match change {
            Change::Watermark { dag: other, .. } | Change::Suspend { dag: other, .. } => other == dag,
            _ => false,
        };
        if forget && self.deciding.values().flatten().any(concerns) {
            self.stored.remove(dag);
            self.postponed.insert(dag.clone());
            return None;
        }
        self.forgets.remove(dag);
        let mut batch = Vec::new();
        if forget || version.is_none() {
            let dag = dag.clone();
            batch.push(Change::Uninstall { dag, forget });
        }
        batch.extend(version.map(|version| Change::Install(Box::new(version.clone()))));
        if let Some(plan) = self.plans.get(dag).filter(|_| forget) {
            // It was decided and stored since the store failed to forget what was before.
            let mark = plan
                .watermark
                .map(|at| Change::Watermark { dag: dag.clone(), at });
            batch.extend(mark);
            let on = plan.suspended;
            batch.extend(on.then(|| Change::Suspend { dag: dag.clone(), on }));
        }
        Some((batch, forget))
    }

    /// Whether what is decided of a DAG was decided of another one that had its name: it was in another place, or
    /// belonged to somebody else. A user's plan goes with the file, so one without a file is the system's.
    pub(super) fn changes_hands(&self, dag: &DagName, version: &Version, before: Option<&FileId>) -> bool {
        let last = before.map_or(&Place::System, |id| &id.place);
        let stored = self.stored.get(dag);
        let moved = *last != FileId::from_stored(&version.record.file).place;
        let given = stored.is_some_and(|stored| stored.owner != version.record.owner);
        (moved && (before.is_some() || self.plans.contains_key(dag))) || given
    }
}

impl Dispatcher {
    /// A DAG has its name from another one: nothing that is decided of that one counts.
    pub(super) fn begin_anew(&mut self, dag: &DagName, known: bool) {
        if known {
            self.tell(Event::Uninstall(dag.clone()));
        }
        self.registry.stored.remove(dag);
        self.registry.forget(dag);
        self.tell(Event::Forget(dag.clone()));
        self.note_hold(dag);
    }

    /// Gives the store the version of a DAG that is in force, if it has another one.
    pub(super) fn store_version(&mut self, dag: &DagName) -> bool {
        let Some(force) = self.registry.in_force.get(dag) else {
            return false;
        };
        let record = Arc::clone(&force.version.record);
        let stored = self.registry.stored.insert(dag.clone(), Arc::clone(&record));
        let new = stored.is_none_or(|stored| !same(&stored, &record));
        if new {
            self.record(dag, Some(&record));
        }
        new
    }

    /// A DAG is not installed any more. A user's file goes only on purpose, and takes along what is decided of the DAG,
    /// which is none of the next owner's of the name; one of the system may come back.
    pub(super) fn uninstalled(&mut self, dag: &DagName, place: &Place) {
        self.registry.stored.remove(dag);
        self.registry.last.remove(dag);
        self.tell(Event::Uninstall(dag.clone()));
        if self.registry.removed.remove(dag) || *place != Place::System {
            self.registry.forget(dag);
            self.tell(Event::Forget(dag.clone()));
        }
        self.note_hold(dag);
        events::dag_uninstalled(dag);
        // After what the engine may have decided about it meanwhile.
        self.record(dag, None);
    }

    /// Tells the store which version there is, if any; as soon as it may be.
    fn record(&mut self, dag: &DagName, version: Option<&InstalledDag>) {
        if let Some((batch, forget)) = self.registry.batch(dag, version) {
            let number = self.own_batch();
            self.registry.saving.insert(number, (dag.clone(), forget));
            self.submit(number, batch);
        }
    }

    /// Tells the store what could not be told while something else was on its way. After each answer about schedules.
    pub(in crate::daemon) fn record_postponed(&mut self) {
        for dag in std::mem::take(&mut self.registry.postponed) {
            self.record_again(&dag);
        }
    }

    fn record_again(&mut self, dag: &DagName) {
        if self.registry.in_force.contains_key(dag) {
            self.store_version(dag);
        } else {
            self.record(dag, None);
        }
    }

    /// The store answered for a DAG. What it does not have is told again after a while: until then a restart would find
    /// an older version.
    pub(in crate::daemon) fn version_stored(&mut self, number: u64, stored: bool) {
        let Some((dag, forget)) = self.registry.saving.remove(&number).filter(|_| !stored) else {
            return;
        };
        self.registry.stored.remove(&dag);
        if forget {
            self.registry.forgets.insert(dag.clone());
        }
        let to_self = self.to_self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(AGAIN).await;
            let again = move |dispatcher: &mut Self| dispatcher.record_again(&dag);
            drop(to_self.send(Msg::Then(Box::new(again))));
        });
    }
}

/// Whether the store needs not be told again.
pub(super) fn same(stored: &InstalledDag, now: &InstalledDag) -> bool {
    let of = |dag: &InstalledDag| (dag.file.clone(), dag.owner, dag.mode);
    of(stored) == of(now)
        && stored.source == now.source
        && stored.base == now.base
        && stored.schemas == now.schemas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;

    fn suspend(on: bool) -> Change {
        let dag = DagName::new("etl").unwrap();
        Change::Suspend { dag, on }
    }

    #[test]
    fn what_is_decided_of_a_dag_counts_when_the_store_has_it() {
        let (mut registry, dag) = (Registry::new(), DagName::new("etl").unwrap());
        let mark = |at| Change::Watermark {
            dag: dag.clone(),
            at: Time(at),
        };
        registry.note_later(1, &suspend(true));
        assert!(!registry.is_suspended(&dag));
        registry.plan_stored(1, false);
        assert!(!registry.is_suspended(&dag));
        registry.note_later(2, &suspend(true));
        registry.note_later(2, &mark(5));
        registry.note_later(3, &mark(7));
        registry.plan_stored(2, true);
        assert!(registry.is_suspended(&dag));
        registry.plan_stored(3, false);
        assert_eq!(registry.plans[&dag].watermark, Some(Time(5)));
        registry.note_later(4, &suspend(false));
        registry.plan_stored(4, false);
        assert!(registry.is_suspended(&dag), "it could not be enabled");
        assert!(registry.deciding.is_empty());
        // What is forgotten meanwhile is forgotten in the store after it was told.
        registry.note_later(5, &mark(9));
        registry.forget(&dag);
        registry.plan_stored(5, true);
        assert!(!registry.is_suspended(&dag) && !registry.plans.contains_key(&dag));
    }

    #[test]
    fn what_the_store_failed_to_forget_is_forgotten_later_and_nothing_that_was_decided_since() {
        let (mut registry, dag) = (Registry::new(), DagName::new("etl").unwrap());
        let mark = |at| Change::Watermark {
            dag: dag.clone(),
            at: Time(at),
        };
        let forgotten = |forget| Change::Uninstall {
            dag: dag.clone(),
            forget,
        };
        registry.note_later(1, &suspend(true));
        registry.note_later(1, &mark(5));
        registry.plan_stored(1, true);
        registry.forget(&dag);
        assert_eq!(registry.batch(&dag, None), Some((vec![forgotten(true)], true)));
        assert_eq!(registry.batch(&dag, None), Some((vec![forgotten(false)], false)));
        // The store did not take that; what is decided of the next DAG of that name it does.
        registry.forgets.insert(dag.clone());
        registry.note_later(2, &mark(7));
        assert_eq!(registry.batch(&dag, None), None, "it would be forgotten too");
        assert!(registry.postponed.contains(&dag));
        registry.plan_stored(2, true);
        registry.note_later(3, &suspend(true));
        assert_eq!(registry.batch(&dag, None), None, "nobody knows whether it counts");
        registry.plan_stored(3, false);
        let batch = vec![forgotten(true), mark(7)];
        assert_eq!(registry.batch(&dag, None), Some((batch, true)));
        registry.forgets.insert(dag.clone());
        registry.note_later(4, &suspend(true));
        registry.plan_stored(4, true);
        let batch = vec![forgotten(true), mark(7), suspend(true)];
        assert_eq!(registry.batch(&dag, None), Some((batch, true)));
    }

    #[test]
    fn the_name_of_a_dag_of_the_system_that_is_held_back_is_reserved() {
        let (mut registry, dag) = (Registry::new(), DagName::new("etl").unwrap());
        assert!(!registry.is_reserved(&dag));
        // From the moment on that it is on its way to the store.
        registry.note_later(1, &suspend(true));
        assert!(registry.is_reserved(&dag));
        registry.plan_stored(1, true);
        assert!(registry.is_reserved(&dag));
        let at = |file: &str| BTreeMap::from([(dag.clone(), FileId::from_stored(file))]);
        assert!(registry.reserved(&at("etl.yaml")).contains(&dag));
        assert!(registry.reserved(&at("u/etl.yaml")).is_empty(), "a user's own");
        registry.removed.insert(dag.clone());
        assert!(!registry.is_reserved(&dag), "it goes for good");
        registry.removed.clear();
        registry.note_later(2, &suspend(false));
        assert!(registry.is_reserved(&dag));
        registry.plan_stored(2, true);
        assert!(!registry.is_reserved(&dag));
    }
}
