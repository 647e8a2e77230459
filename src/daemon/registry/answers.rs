//! What people ask about installed DAGs: which there are, what they say.

use std::collections::BTreeMap;

use super::super::control::refusal;
use super::super::dispatcher::{Dispatcher, now};
use super::super::requests::Asker;
use super::names::FileState;
use super::place::{FileId, Place};
use super::problems::{Cure, reserved, taken};
use super::version::{Version, hash_of, name_for};
use super::{Registry, files, schemas};
use crate::model::{DagName, RunRef, RunStatus};
use crate::store::Filter;
use crate::sys::creds;
use crate::wire::control::{ErrorKind, Response};
use crate::wire::manage::{DagSummary, SourceText};

/// Most problems of one DAG in a list.
const PROBLEMS_MAX: usize = 20;

/// The refusal of what is not there, or not to be seen, which must look the same.
pub(super) fn not_installed(dag: &DagName) -> Response {
    Response::Error {
        kind: ErrorKind::NotFound,
        message: format!("no DAG {dag} is installed"),
        hint: Some("`proctorctl dags` lists those that are".to_owned()),
        problems: Vec::new(),
    }
}

/// The refusal of what goes by name, to the owner of a file whose name another DAG has.
pub(super) fn named_twice(dag: &DagName) -> Response {
    Response::Error {
        kind: ErrorKind::WrongState,
        message: format!("your DAG {dag} is not in force: another DAG has that name"),
        hint: Some(format!(
            "`proctorctl remove {dag}` removes yours; install it with --name under another name"
        )),
        problems: Vec::new(),
    }
}

/// Whether a user may see a file: the one it belongs to, and of the system's those who could read it.
fn sees(uid: u32, id: &FileId, state: &FileState) -> bool {
    match id.place {
        Place::User(_) => state.owner == Some(uid),
        Place::System => is_open(id, state.mode),
    }
}

/// Whether the permissions of a file let everybody read it, where that is asked: a user's place is that user's.
fn is_open(id: &FileId, mode: u32) -> bool {
    matches!(id.place, Place::User(_)) || mode & 0o004 != 0
}

/// Whether a user may change a file: those of the system belong to the daemon's own user.
pub(super) fn owns(uid: u32, id: &FileId, owner: Option<u32>) -> bool {
    match id.place {
        Place::User(_) => {
            owner == Some(uid) || (creds::effective_uid() != 0 && uid == creds::effective_uid())
        }
        Place::System => uid == creds::effective_uid(),
    }
}

/// What a list calls a file: by the DAG that it is in force for, that it says, or by its own name.
pub(super) fn shown_name(id: &FileId, state: &FileState) -> Option<DagName> {
    let version = state.now.as_ref().or(state.good.as_ref());
    version
        .map(|version| version.record.dag.clone())
        .or_else(|| name_for(id.stem()))
}

impl Registry {
    /// Whose runs those of a file are, or were while there was such a user.
    pub(super) fn user_of(&self, id: &FileId) -> u32 {
        let mut force = self.in_force.values();
        let force = force.find(|force| force.file == *id).map(|force| &force.version);
        let state = self.files.get(id);
        let known = state.and_then(|state| state.owner);
        let of_version = || {
            let last = |state: &FileState| state.now.clone().or_else(|| state.good.clone());
            let version = force.cloned().or_else(|| state.and_then(last));
            version.map(|version| version.owner)
        };
        let of_store = || {
            let stored = id.stored();
            self.stored.values().find(|row| row.file == stored)?.owner
        };
        let known = known.or_else(of_version).or_else(of_store);
        known.unwrap_or_else(creds::effective_uid)
    }
}

impl Dispatcher {
    /// Whether somebody may see what goes by the name of a DAG, such as its schedule; none may see all. A file of theirs
    /// whose name another DAG has gives them no right to that one.
    pub(in crate::daemon) fn may_see(&self, dag: &DagName, owner: Option<u32>) -> Result<(), Box<Response>> {
        let id = self
            .file_of(dag, owner)
            .ok_or_else(|| Box::new(not_installed(dag)))?;
        match self.registry.holder(dag) {
            Some(holder) if holder != id => Err(Box::new(named_twice(dag))),
            _ => Ok(()),
        }
    }

    /// The file that a name means to somebody who wants to change something or to see its text: for who is no
    /// administrator their own one first, also if the system or another user has its name.
    fn file_to_work_on(&self, dag: &DagName, owner: Option<u32>) -> Option<FileId> {
        let own = owner.and_then(|uid| self.own_file(dag, uid));
        own.or_else(|| self.file_of(dag, owner))
    }

    /// The file with a name that a user may change: the one in force, else another one.
    pub(super) fn own_file(&self, dag: &DagName, uid: u32) -> Option<FileId> {
        let files = &self.registry.files;
        let own = |id: &FileId| files.get(id).is_some_and(|state| owns(uid, id, state.owner));
        let force = self.registry.in_force.get(dag).map(|force| &force.file);
        let other = || {
            let mut named = files
                .iter()
                .filter(|(id, state)| shown_name(id, state).as_ref() == Some(dag));
            named.find(|(id, _)| own(id)).map(|(id, _)| id)
        };
        force.filter(|id| own(id)).or_else(other).cloned()
    }

    /// The file that a name means to somebody: the one in force, else one that has errors. None if there is none that they
    /// may see.
    pub(super) fn file_of(&self, dag: &DagName, owner: Option<u32>) -> Option<FileId> {
        let seen = |id: &FileId| {
            let state = self.registry.files.get(id);
            state.is_some_and(|state| owner.is_none_or(|uid| sees(uid, id, state)))
        };
        let force = self
            .registry
            .in_force
            .get(dag)
            .map(|force| &force.file)
            .filter(|id| seen(id));
        let mut files = self.registry.files.iter();
        let other = || {
            let found = files.find(|(id, state)| shown_name(id, state).as_ref() == Some(dag) && seen(id));
            found.map(|(id, _)| id)
        };
        force.or_else(other).cloned()
    }

    /// A file in a list, for the user who asks; none is an administrator.
    pub(super) fn summary(&self, id: &FileId, owner: Option<u32>) -> Option<DagSummary> {
        let state = self.registry.files.get(id)?;
        let mut problems = state.problems.clone();
        problems.truncate(PROBLEMS_MAX);
        let cure = match owner {
            Some(_) => Cure::Own,
            None => Cure::File(id.path(&self.config)),
        };
        problems.extend(state.reserved.then(|| reserved(id, state, &cure)));
        if let Some(first) = &state.clash {
            // Whose file another user's is, is nobody's business.
            let place = match first.place {
                Place::User(_) if first.place != id.place => "another user's DAG".to_owned(),
                _ => first.path(&self.config).display().to_string(),
            };
            problems.push(taken(id, state, &place, &cure));
        }
        let force = self.registry.in_force.values().find(|force| force.file == *id);
        let shown = force.map(|force| &force.version).or(state.now.as_ref());
        let dag = shown
            .map(|version| version.record.dag.clone())
            .or_else(|| shown_name(id, state))?;
        let part = |of: fn(&Version) -> Vec<(String, String)>| shown.map(|version| of(version));
        let next = force.and_then(|_| self.engine.upcoming(Some(&dag), now().wall, 1).pop());
        Some(DagSummary {
            file: id.path(&self.config).display().to_string(),
            owner: self.registry.user_of(id),
            system: id.place == Place::System,
            description: shown.and_then(|version| version.description.clone()),
            schedules: part(|version| version.schedules.clone()).unwrap_or_default(),
            suspended: self.registry.is_suspended(&dag),
            problems,
            in_force: force.is_some(),
            next: next.map(|next| self.told(next)),
            last: force.and_then(|_| self.registry.last.get(&dag).cloned()),
            newest: None,
            dag,
        })
    }

    /// The installed DAGs.
    pub(in crate::daemon) fn dags(&mut self, owner: Option<u32>, asker: &Asker) {
        let files = self.registry.files.iter();
        let seen = files.filter(|(id, state)| owner.is_none_or(|uid| sees(uid, id, state)));
        let ids: Vec<FileId> = seen.map(|(id, _)| id.clone()).collect();
        let list: Vec<DagSummary> = ids.iter().filter_map(|id| self.summary(id, owner)).collect();
        let answers = asker.answers.clone();
        self.with_newest(list, owner, move |dispatcher, list| {
            dispatcher.answer(&answers, Response::Dags(list));
        });
    }

    /// Adds the newest run of each.
    fn with_newest(
        &self,
        mut list: Vec<DagSummary>,
        owner: Option<u32>,
        go_on: impl FnOnce(&mut Self, Vec<DagSummary>) + Send + 'static,
    ) {
        let reader = self.reader.clone();
        let force = self.registry.in_force.iter();
        let force: BTreeMap<DagName, u32> = force
            .map(|(dag, force)| (dag.clone(), force.version.owner))
            .collect();
        self.elsewhere(
            move || {
                let mut newest: BTreeMap<(DagName, u32), Option<(RunRef, RunStatus)>> = BTreeMap::new();
                for summary in &mut list {
                    // The runs of others are none of theirs, and would be gone through for nothing.
                    let of_others = owner.is_some_and(|uid| uid != summary.owner);
                    // Those of the DAG that has a file's name are none of the file's.
                    let of_another = !summary.in_force && force.get(&summary.dag) == Some(&summary.owner);
                    if of_others || of_another {
                        continue;
                    }
                    let key = (summary.dag.clone(), summary.owner);
                    let known = newest.entry(key).or_insert_with(|| {
                        let filter = Filter {
                            dag: Some(summary.dag.clone()),
                            owner: Some(summary.owner),
                            limit: Some(1),
                            ..Filter::default()
                        };
                        let page = reader.history(&filter).ok()?;
                        page.runs.into_iter().next().map(|run| (run.run, run.status))
                    });
                    summary.newest.clone_from(known);
                }
                list.sort_by(|a, b| (&a.dag, &a.file).cmp(&(&b.dag, &b.file)));
                list
            },
            move |dispatcher, mut list| {
                for (run, status) in list.iter_mut().filter_map(|summary| summary.newest.as_mut()) {
                    // What is in memory is newer than what is in the store.
                    if let Some(live) = dispatcher.runs.get(run) {
                        *status = live.view.status;
                    }
                }
                go_on(dispatcher, list);
            },
        );
    }

    /// Answers with one DAG.
    pub(super) fn answer_dag(
        &self,
        summary: Option<DagSummary>,
        warnings: Vec<crate::wire::control::Problem>,
        answers: tokio::sync::mpsc::Sender<Response>,
    ) {
        self.with_newest(summary.into_iter().collect(), None, move |dispatcher, list| {
            let answer = match list.into_iter().next() {
                Some(summary) => Response::Dag(Box::new(summary), warnings),
                None => refusal(ErrorKind::NotFound, "the DAG is not installed any more"),
            };
            dispatcher.answer(&answers, answer);
        });
    }

    /// The text of a DAG's file, as it is now.
    pub(in crate::daemon) fn source(&mut self, dag: DagName, owner: Option<u32>, asker: Asker) {
        let Some(id) = self.file_to_work_on(&dag, owner) else {
            return self.answer(&asker.answers, not_installed(&dag));
        };
        let config = std::sync::Arc::clone(&self.config);
        let known = self.registry.files.get(&id).and_then(|state| state.owner);
        let own = owns(asker.peer.uid, &id, known);
        let in_force = self.registry.holder(&dag) == Some(id.clone());
        self.elsewhere(
            move || {
                let path = id.path(&config).display().to_string();
                let dir = files::open_dir(&id.place.dir(&config));
                let text = dir.and_then(|dir| match dir {
                    Some(dir) => schemas::read_dag(&dir, &id, None),
                    None => Err(files::NO_DIR.to_owned()),
                });
                match text {
                    // What was seen of the file last may be out of date: what was opened counts.
                    Ok(Some(Ok(text))) if owner.is_some() && !is_open(&id, text.mode) => not_installed(&dag),
                    Ok(Some(Ok(text))) => Response::Source(Box::new(SourceText {
                        dag,
                        file: path,
                        hash: hash_of(&text.text),
                        text: text.text,
                        own,
                        in_force,
                    })),
                    Ok(_) => not_installed(&dag),
                    Err(error) => refusal(ErrorKind::Invalid, &format!("{path} cannot be used: {error}")),
                }
            },
            move |dispatcher, answer| dispatcher.answer(&asker.answers, answer),
        );
    }

    /// The file of a DAG that somebody wants to change, or the refusal.
    pub(super) fn file_to_change(&self, dag: &DagName, owner: Option<u32>) -> Result<FileId, Box<Response>> {
        let id = self
            .file_to_work_on(dag, owner)
            .ok_or_else(|| Box::new(not_installed(dag)))?;
        if let Some(uid) = owner {
            let known = self.registry.files.get(&id).and_then(|state| state.owner);
            if !owns(uid, &id, known) {
                let text = format!("DAG {dag} is the system's; only root and the admin group may change it");
                return Err(Box::new(refusal(ErrorKind::Denied, &text)));
            }
        }
        Ok(id)
    }

    /// Answers that somebody does not get the file of a DAG to change it, and logs it if they may not.
    pub(super) fn refuse_change(&mut self, asker: &Asker, dag: &DagName, refused: Response) {
        let kind = match &refused {
            Response::Error { kind, .. } => Some(*kind),
            _ => None,
        };
        if kind == Some(ErrorKind::Denied) {
            self.note_denial(asker, &format!(": {dag}, which is the system's"));
        }
        self.answer(&asker.answers, refused);
    }
}
