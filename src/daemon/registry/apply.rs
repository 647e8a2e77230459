//! What follows from a look: which versions are in force, and who is told.

use std::collections::BTreeMap;
use std::sync::Arc;

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

    /// The DAGs that were installed and are not any more. One whose file is there, or cannot be looked for, is not gone,
    /// even if nobody can say now what it would do, as when a directory service is not up yet.
    fn gone(&self, before: &BTreeMap<DagName, FileId>) -> Vec<DagName> {
        let gone = before.iter().filter(|(dag, id)| {
            let kept = self.files.get(id).is_some_and(FileState::is_blank);
            !self.in_force.contains_key(*dag) && !kept && !self.unreadable.contains_key(&id.place)
        });
        gone.map(|(dag, _)| dag.clone()).collect()
    }

    /// Whether time alone may cure something: a place cannot be read, or nobody knows now whose it is.
    fn is_unsure(&self) -> bool {
        let ownerless = |state: &FileState| state.now.is_none() && state.owner.is_none();
        !self.unreadable.is_empty() || self.files.values().any(ownerless)
    }

    /// Takes over what was seen of the files.
    fn take_files(&mut self, places: BTreeMap<Place, Found>, all: bool) {
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
        for dag in self.registry.gone(&before) {
            let place = before.get(&dag).map_or(&Place::System, |id| &id.place);
            self.uninstalled(&dag, place);
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
    fn look_again_later(&mut self) {
        if !self.registry.is_unsure() {
            self.registry.unsure = 0;
            return self.alarms.cancel(&Alarm::Registry);
        }
        // 30 s first, an hour at most.
        let pause = AGAIN * (1 << self.registry.unsure.min(7));
        self.registry.unsure += 1;
        self.alarms
            .set(now().boot.after_secs(pause.as_secs_f64()), Alarm::Registry);
        self.arm();
    }

    /// The time has come.
    pub(in crate::daemon) fn look_again(&mut self) {
        let at = now().boot;
        self.registry.dirty = Some((Scope::All, at, at));
        self.look_now();
    }

    /// Tells the log what is wrong with files, once for each change.
    fn tell_problems(&mut self) {
        let config = &self.config;
        // What is wrong with the base configuration is wrong for every DAG, and told once.
        let base_file = config.paths.base.display().to_string();
        let of_base = |problem: &Problem| problem.file.as_ref() == Some(&base_file);
        let of_files = self.registry.files.values().flat_map(|state| &state.problems);
        let mut base: Vec<Problem> = Vec::new();
        let mut dags = 0;
        for state in self.registry.files.values() {
            dags += usize::from(state.problems.iter().any(of_base));
        }
        for problem in of_files.filter(|problem| of_base(problem)) {
            if !base.contains(problem) {
                base.push(problem.clone());
            }
        }
        if base != self.registry.base_told {
            if !base.is_empty() {
                events::base_rejected(&config.paths.base, &words(&base, &base_file), dags);
            }
            self.registry.base_told = base;
        }
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
            let own: Vec<Problem> = problems
                .iter()
                .filter(|problem| !of_base(problem))
                .cloned()
                .collect();
            if !own.is_empty() {
                let (taken, path) = (state.clash.is_some(), id.path(config));
                let kept = state.good.is_some() && !taken;
                let words = words(&own, &path.display().to_string());
                events::dag_rejected(&path, &words, taken, kept);
            }
            state.told = problems;
        }
    }
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

/// Problems for the log, in one line; those of another file than the one that is named beside them with their file.
fn words(problems: &[Problem], named: &str) -> String {
    const MOST: usize = 5;
    let mut words: Vec<String> = problems
        .iter()
        .take(MOST)
        .map(|problem| {
            let other = problem.file.as_ref().filter(|file| *file != named);
            let place = other.map(|file| format!("{file}:")).unwrap_or_default();
            match (problem.line, problem.column) {
                (Some(line), Some(column)) => format!("{place}{line}:{column}: {}", problem.message),
                _ if place.is_empty() => problem.message.clone(),
                _ => format!("{place} {}", problem.message),
            }
        })
        .collect();
    if problems.len() > MOST {
        words.push(format!("{} more", problems.len() - MOST));
    }
    words.join("; ")
}

#[cfg(test)]
mod tests;
