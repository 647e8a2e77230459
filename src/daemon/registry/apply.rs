//! What follows from a look: which versions are in force, and who is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::dispatcher::Dispatcher;
use super::names::{InForce, settle};
use super::place::{FileId, Place};
use super::scan::{FoundFile, Seen};
use super::version::{self, Plan, Version, of_file};
use super::{Catalog, Registry};
use crate::engine::scheduler::Event;
use crate::model::DagName;
use crate::model::change::{Change, InstalledDag};
use crate::telemetry::events;
use crate::wire::control::Problem;

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

    /// Takes over what was seen of the files.
    fn take_files(
        &mut self,
        places: BTreeMap<Place, Result<BTreeMap<String, FoundFile>, String>>,
        all: bool,
    ) {
        if all {
            self.files.retain(|id, _| places.contains_key(&id.place));
        }
        for (place, found) in places {
            let mut found = match found {
                Ok(found) => found,
                Err(error) => {
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
                (state.owner, state.mode) = (file.owner, file.mode);
                (state.now, state.problems) = match now {
                    Ok(version) => (Some(version), Vec::new()),
                    Err(problems) => (None, problems),
                };
                state.good = state.good.take().or(file.stored);
            }
        }
    }
}

impl Dispatcher {
    /// A look was taken.
    pub(super) fn seen(&mut self, seen: Seen) {
        self.registry.base = seen.base;
        let before = self.registry.before();
        self.registry.take_files(seen.places, seen.all);
        let force = settle(&mut self.registry.files, &before);
        let last = std::mem::replace(&mut self.registry.in_force, force);
        let gone: Vec<DagName> = before
            .keys()
            .filter(|dag| !self.registry.in_force.contains_key(*dag))
            .cloned()
            .collect();
        for dag in gone {
            self.uninstalled(dag);
        }
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
            let known = last.contains_key(&dag);
            let success = seen.last_success.get(&(dag.clone(), version.owner)).copied();
            self.installed(&dag, &version, known, success);
        }
        let system = self
            .registry
            .in_force
            .iter()
            .filter(|(_, force)| force.file.place == Place::System);
        let catalog: Catalog = system
            .map(|(dag, force)| (dag.clone(), force.file.name.clone()))
            .collect();
        self.registry.catalog = Arc::new(catalog);
        self.tell_problems();
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

    /// Gives the store the version of a DAG that is in force, if it has another one.
    pub(super) fn store_version(&mut self, dag: &DagName) -> bool {
        let Some(force) = self.registry.in_force.get(dag) else {
            return false;
        };
        let record = Arc::clone(&force.version.record);
        let stored = self.registry.stored.insert(dag.clone(), Arc::clone(&record));
        let new = stored.is_none_or(|stored| !same(&stored, &record));
        if new {
            let batch = vec![Change::Install(Box::new((*record).clone()))];
            let number = self.own_batch();
            self.registry.saving.insert(number, dag.clone());
            self.submit(number, batch);
        }
        new
    }

    fn uninstalled(&mut self, dag: DagName) {
        self.registry.stored.remove(&dag);
        self.registry.last.remove(&dag);
        let forget = self.registry.removed.remove(&dag);
        if forget {
            self.registry.plans.remove(&dag);
        }
        self.tell(Event::Uninstall(dag.clone()));
        events::dag_uninstalled(&dag);
        // After what the engine may have decided about it meanwhile.
        let number = self.own_batch();
        self.submit(number, vec![Change::Uninstall { dag, forget }]);
    }

    /// Tells the log what is wrong with files, once for each change.
    fn tell_problems(&mut self) {
        let config = &self.config;
        let files = &mut self.registry.files;
        let first: BTreeMap<FileId, Option<FileId>> = files
            .iter()
            .map(|(id, state)| (id.clone(), state.clash.clone()))
            .collect();
        for (id, state) in files {
            let mut problems = state.problems.clone();
            if let Some(Some(first)) = first.get(id) {
                problems.push(clash(
                    state.now.as_deref(),
                    &first.path(config).display().to_string(),
                ));
            }
            if problems == state.told {
                continue;
            }
            if !problems.is_empty() {
                let kept = state.good.is_some();
                events::dag_rejected(&id.path(config), &words(&problems), kept);
            }
            state.told = problems;
        }
    }
}

/// Whether the store needs not be told again.
fn same(stored: &InstalledDag, now: &InstalledDag) -> bool {
    let of = |dag: &InstalledDag| (dag.file.clone(), dag.owner, dag.mode);
    of(stored) == of(now)
        && stored.source == now.source
        && stored.base == now.base
        && stored.schemas == now.schemas
}

/// The problem of a file whose name another one has.
pub(super) fn clash(version: Option<&Version>, first: &str) -> Problem {
    let name = version
        .map(|version| version.record.dag.to_string())
        .unwrap_or_default();
    Problem {
        message: format!("the name {name} is taken: {first} has it"),
        file: version.map(|version| version.record.file.clone()),
        line: None,
        column: None,
        hint: Some("give one of the two another `name:`".to_owned()),
    }
}

/// Problems for the log, in one line.
fn words(problems: &[Problem]) -> String {
    const MOST: usize = 5;
    let mut words: Vec<String> = problems
        .iter()
        .take(MOST)
        .map(|problem| match (problem.line, problem.column) {
            (Some(line), Some(column)) => format!("{line}:{column}: {}", problem.message),
            _ => problem.message.clone(),
        })
        .collect();
    if problems.len() > MOST {
        words.push(format!("{} more", problems.len() - MOST));
    }
    words.join("; ")
}
