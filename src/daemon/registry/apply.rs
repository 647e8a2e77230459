//! What follows from a look: which versions are in force, and who is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::alarms::Alarm;
use super::super::dispatcher::{Dispatcher, now};
use super::names::{FileState, InForce, settle};
use super::place::{FileId, Place};
use super::record::same;
use super::scan::{Found, Scope, Seen, Unreadable};
use super::version::{self, Plan, Version, of_file};
use super::{AGAIN, Registry};
use crate::engine::scheduler::Event;
use crate::model::DagName;
use crate::model::change::InstalledDag;
use crate::telemetry::events;

/// What is waited for before what could not be looked at is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// Nothing: there is nothing to be tried again.
    Over,
    /// The time that is set already.
    Set,
    /// This long from now on.
    Begins(Duration),
    /// The same, unless a time is set already that comes earlier.
    AtMost(Duration),
}

/// What could not be told or looked at, and may be in a while.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    /// A place cannot be read.
    Unreadable(Place),
    /// Nobody knows whether the user of a place may start anything.
    Rights(Place),
    /// Nobody knows whose a file is, or who the user is that it names.
    Owner(FileId),
}

impl Registry {
    /// What the store has when the daemon starts.
    pub(super) fn take_stored(&mut self, stored: &[InstalledDag]) {
        for row in stored {
            self.stored.insert(row.dag.clone(), Arc::new(row.clone()));
        }
    }

    /// Which file each DAG was in, also before the daemon started.
    fn before(&self) -> BTreeMap<DagName, FileId> {
        let stored = self.stored.iter();
        let mut before: BTreeMap<DagName, FileId> = stored
            .map(|(dag, row)| (dag.clone(), FileId::from_stored(&row.file)))
            .collect();
        before.extend(
            self.in_force
                .iter()
                .map(|(dag, force)| (dag.clone(), force.file.clone())),
        );
        before
    }

    /// The file that the name of a DAG belongs to, and what is decided of it: the one in force, else the one that the store
    /// has.
    pub(super) fn holder(&self, dag: &DagName) -> Option<FileId> {
        let force = self.in_force.get(dag).map(|force| force.file.clone());
        force.or_else(|| {
            let row = self.stored.get(dag)?;
            Some(FileId::from_stored(&row.file))
        })
    }

    /// The DAGs that were installed and are not any more. One whose file is there, or cannot be looked for, is not gone,
    /// even if nobody can say now what it would do, as when a directory service is not up yet.
    fn gone(&self, before: &BTreeMap<DagName, FileId>) -> Vec<DagName> {
        let gone = before.iter().filter(|(dag, id)| {
            let kept = self.files.get(id).is_some_and(FileState::is_kept);
            !self.in_force.contains_key(*dag) && !kept && !self.unreadable.contains_key(&id.place)
        });
        gone.map(|(dag, _)| dag.clone()).collect()
    }

    /// The DAGs that are kept and not in force any more: they belong to nobody now.
    fn idle(&self, last: &BTreeMap<DagName, InForce>, gone: &[DagName]) -> Vec<DagName> {
        let idle = last.keys().filter(|dag| {
            let now = self.in_force.contains_key(*dag);
            !now && !gone.contains(dag)
        });
        idle.cloned().collect()
    }

    /// The DAGs of places that are nobody's now, and the user ids that they belonged to.
    fn ownerless(&self) -> BTreeSet<(DagName, u32)> {
        let nobodys = |id: &FileId| self.files.get(id).is_some_and(|state| state.nobodys);
        let stored = self.stored.values().filter_map(|row| {
            let id = FileId::from_stored(&row.file);
            Some((row.dag.clone(), row.owner.filter(|_| nobodys(&id))?))
        });
        // The store may not have them yet.
        let files = self.files.values().filter(|state| state.nobodys);
        let good = files.filter_map(|state| state.good.as_ref());
        let good = good.map(|good| (good.record.dag.clone(), good.owner));
        stored.chain(good).collect()
    }

    /// What time alone may cure.
    fn doubts(&self) -> BTreeSet<Doubt> {
        let unsure = |state: &FileState| state.unsure || (state.now.is_none() && state.owner.is_none());
        let files = self.files.iter().filter(|(_, state)| unsure(state));
        let unreadable = self.unreadable.keys().cloned().map(Doubt::Unreadable);
        let judged = self.judgements.unsure().cloned().map(Doubt::Rights);
        let files = files.map(|(id, _)| Doubt::Owner(id.clone()));
        unreadable.chain(judged).chain(files).collect()
    }

    /// Until when the next try is put off. Looks that something else causes neither put it off nor make pauses longer:
    /// anybody can cause many.
    fn pause(&mut self, set: bool) -> Pause {
        let doubts = self.doubts();
        if doubts.is_empty() {
            self.unsure = 0;
            self.doubts = doubts;
            return Pause::Over;
        }
        // What is in doubt for long must not have anything else wait as long.
        let anew = !doubts.is_subset(&self.doubts);
        self.doubts = doubts;
        if anew {
            self.unsure = 0;
            return Pause::AtMost(AGAIN);
        }
        if set {
            return Pause::Set;
        }
        // 30 s first, an hour at most.
        Pause::Begins(AGAIN * (1 << self.unsure.min(7)))
    }

    /// Takes over what was seen of the files.
    fn take_files(&mut self, places: BTreeMap<Place, Found>, nobodys: &BTreeSet<Place>, all: bool) {
        let looked_at: BTreeSet<Place> = places.keys().cloned().collect();
        if all {
            self.files.retain(|id, _| places.contains_key(&id.place));
        }
        for (place, found) in places {
            let mut found = match found {
                Ok(found) => found,
                Err(Unreadable { why: error, stored }) => {
                    for (name, file) in stored {
                        let place = place.clone();
                        let state = self.files.entry(FileId { place, name }).or_default();
                        state.owner = state.owner.or(file.owner);
                        if let Some(stored) = file.stored.as_ref().filter(|_| state.mode == 0) {
                            // Who could read it then may see that it is there.
                            state.mode = stored.record.mode;
                        }
                        state.good = state.good.take().or(file.stored);
                    }
                    if self.unreadable.get(&place) != Some(&error) {
                        tracing::error!(%error, "installed DAGs cannot be read; what is in force stays so");
                        self.unreadable.insert(place.clone(), error.clone());
                    }
                    // Nothing is known to be gone: all is as it was, with a reason why it cannot be looked at.
                    for (id, state) in &mut self.files {
                        if id.place == place {
                            state.stamps = None;
                            state.now = None;
                            state.problems = vec![of_file(error.clone(), None, &id.name)];
                        }
                    }
                    continue;
                }
            };
            self.files
                .retain(|id, _| id.place != place || found.contains_key(&id.name));
            self.unreadable.remove(&place);
            for (name, file) in std::mem::take(&mut found) {
                let place = place.clone();
                let state = self.files.entry(FileId { place, name }).or_default();
                let Some(now) = file.now else { continue };
                state.stamps = file.stamps;
                (state.owner, state.mode, state.unsure) = (file.owner, file.mode, file.unsure);
                (state.now, state.problems) = match now {
                    Ok(version) => (Some(version), Vec::new()),
                    Err(problems) => (None, problems),
                };
                state.good = state.good.take().or(file.stored);
            }
        }
        for (id, state) in &mut self.files {
            if looked_at.contains(&id.place) {
                state.nobodys = nobodys.contains(&id.place);
            }
        }
    }
}

impl Dispatcher {
    /// A look was taken.
    pub(super) fn seen(&mut self, seen: Seen) {
        self.registry.base = seen.base;
        let before = self.registry.before();
        self.registry.take_files(seen.places, &seen.nobodys, seen.all);
        let lists = &self.config.access;
        self.registry.take_judged(seen.judged, &seen.access, lists);
        let reserved = self.registry.reserved(&before);
        let force = settle(&mut self.registry.files, &before, &reserved);
        let last = std::mem::replace(&mut self.registry.in_force, force);
        let gone = self.registry.gone(&before);
        for dag in &gone {
            let place = before.get(dag).map_or(&Place::System, |id| &id.place);
            self.uninstalled(dag, place);
        }
        for dag in self.registry.idle(&last, &gone) {
            self.tell(Event::Uninstall(dag));
        }
        self.tell_ownerless();
        self.tell_barred();
        let now: Vec<(DagName, InForce)> = self
            .registry
            .in_force
            .iter()
            .filter(|(dag, force)| {
                last.get(*dag)
                    .is_none_or(|last| !Arc::ptr_eq(&last.version, &force.version))
            })
            .map(|(dag, force)| (dag.clone(), force.clone()))
            .collect();
        for (dag, InForce { version, .. }) in now {
            let mut known = last.contains_key(&dag);
            if self.registry.changes_hands(&dag, &version, before.get(&dag)) {
                self.begin_anew(&dag, known);
                known = false;
            }
            let success = seen.last_success.get(&(dag.clone(), version.owner)).copied();
            self.installed(&dag, &version, known, success);
        }
        self.registry.catalog = Arc::new(self.registry.in_force.clone());
        self.tell_problems();
        self.look_again_later();
    }

    /// Retries of runs whose users are gone wait: somebody else may have their numbers.
    fn tell_ownerless(&mut self) {
        let now = self.registry.ownerless();
        let last = std::mem::replace(&mut self.registry.ownerless, now.clone());
        if last == now {
            return;
        }
        self.tell(Event::Ownerless(now.clone()));
        for (dag, _) in last.symmetric_difference(&now) {
            self.note_hold(dag);
        }
    }

    /// A version is in force from now on. The store has it first: a file that breaks must not take its schedule along.
    fn installed(
        &mut self,
        dag: &DagName,
        version: &Version,
        known: bool,
        last_success: Option<crate::model::Time>,
    ) {
        let again = known || self.registry.stored.contains_key(dag);
        // What it said while the daemon was down counts for that time; what it says now never did.
        let before = if known { None } else { self.stored_plan(dag) };
        if self.store_version(dag) {
            events::dag_installed(dag, &version.record.file, version.owner, again);
        }
        match &version.plan {
            Some(plan) => {
                let decided = self.registry.plans.get(dag);
                let suspended = decided.is_some_and(|plan| plan.suspended);
                // One that comes back after it was gone is new: nothing of the time between is made up for.
                let watermark = decided.filter(|_| again).and_then(|plan| plan.watermark);
                for plan in before.iter().chain([plan]) {
                    let installed = plan.installed(suspended, watermark, last_success);
                    self.tell(Event::Install(Box::new(installed)));
                }
                if suspended {
                    self.note_hold(dag);
                }
                self.warn_if_ahead(dag);
            }
            None if known => self.tell(Event::Uninstall(dag.clone())),
            None => {}
        }
    }

    /// What the stored version of a DAG would have done, if it is another one than is in force now.
    fn stored_plan(&self, dag: &DagName) -> Option<Plan> {
        let stored = self.registry.stored.get(dag)?;
        let InForce { file, version } = self.registry.in_force.get(dag)?;
        if same(stored, &version.record) {
            return None;
        }
        let context = self.context();
        let owner = file.place.owner(&self.config).ok()?;
        let path = file.path(&self.config).display().to_string();
        let stored = version::make(&context, &owner, &path, file.stem(), (**stored).clone()).ok()?;
        stored.plan
    }

    /// What cannot be looked at may be there in a while: a directory service comes up, a file system is mounted. No
    /// event tells of that.
    pub(super) fn look_again_later(&mut self) {
        match self.registry.pause(self.alarms.is_set(&Alarm::Registry)) {
            Pause::Over => self.alarms.cancel(&Alarm::Registry),
            Pause::Set => {}
            Pause::Begins(pause) => {
                let at = now().boot.after_secs(pause.as_secs_f64());
                self.alarms.set(at, Alarm::Registry);
                self.arm();
            }
            Pause::AtMost(pause) => {
                let at = now().boot.after_secs(pause.as_secs_f64());
                self.alarms.set_by(at, Alarm::Registry);
                self.arm();
            }
        }
    }

    /// The time has come.
    pub(in crate::daemon) fn look_again(&mut self) {
        self.registry.unsure += 1;
        self.look_now(Scope::All);
    }
}

#[cfg(test)]
mod tests;
