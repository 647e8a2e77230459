//! `install` and `remove`: the daemon alone writes the directories of users' DAGs.

use std::sync::Arc;

use super::super::admission::problems;
use super::super::control::refusal;
use super::super::dispatcher::Dispatcher;
use super::super::requests::Asker;
use super::answers::owns;
use super::files::read_base;
use super::place::{FileId, Place};
use super::turns::Turn;
use super::version::Context;
use super::write::{remove, write};
use crate::config::Config;
use crate::dag::{BaseConfig, LoadOptions, Source, name_of};
use crate::model::DagName;
use crate::model::limits::DAG_SOURCE_MAX;
use crate::sys::creds;
use crate::wire::control::{ErrorKind, Problem, Response};
use crate::wire::manage::{DagSummary, Install};

/// What of the registry an installation needs.
#[derive(Debug)]
pub(super) struct Known {
    /// The file that has the name, and the user id that owns it.
    taken: Option<(FileId, Option<u32>)>,
    /// The system keeps the name for a DAG of its own that is disabled and not there.
    reserved: bool,
    pub(super) context: Context,
    /// Who installs.
    pub(super) uid: u32,
}

pub(super) fn refused(kind: ErrorKind, message: impl Into<String>, hint: Option<&str>) -> Box<Response> {
    Box::new(Response::Error {
        kind,
        message: message.into(),
        hint: hint.map(str::to_owned),
        problems: Vec::new(),
    })
}

pub(super) fn failed(what: &str, error: &std::io::Error) -> Box<Response> {
    refused(
        ErrorKind::Unavailable,
        format!("nothing was installed: {what}: {error}"),
        None,
    )
}

pub(super) fn wrong(errors: Vec<Problem>) -> Box<Response> {
    Box::new(Response::Error {
        kind: ErrorKind::Invalid,
        message: "the DAG has errors; nothing was installed".to_owned(),
        hint: None,
        problems: errors,
    })
}

impl Dispatcher {
    /// Installs a DAG of the caller's own, or a new version of it.
    pub(in crate::daemon) fn install(&mut self, install: Install, asker: Asker) {
        self.in_turn(&asker.clone(), move |dispatcher, turn| {
            let config = Arc::clone(&dispatcher.config);
            // The name first: what has it already, memory knows.
            dispatcher.elsewhere(
                move || {
                    let name = name_for_install(&config, &install);
                    (install, name)
                },
                move |dispatcher, (install, name)| match name {
                    Ok(name) => dispatcher.install_as(name, install, asker, turn),
                    Err(refused) => dispatcher.answer(&asker.answers, *refused),
                },
            );
        });
    }

    /// The turn is over when memory knows of the new file, so that the next one to want its name is told.
    fn install_as(&mut self, dag: DagName, install: Install, asker: Asker, turn: Turn) {
        let uid = match creds::effective_uid() {
            0 => asker.peer.uid,
            own => own,
        };
        // An edit is of the file that was shown.
        let edited = install.replaces.as_ref().and_then(|_| self.own_file(&dag, uid));
        let taken = edited.or_else(|| self.file_of(&dag, None));
        let of_system = taken.as_ref().is_some_and(|id| id.place == Place::System);
        let known = Known {
            reserved: !of_system && self.registry.is_reserved(&dag),
            taken: taken.map(|id| {
                let owner = self.registry.files.get(&id).and_then(|state| state.owner);
                (id, owner)
            }),
            context: self.context(),
            uid,
        };
        self.elsewhere(
            move || write(&known, &dag, &install),
            move |dispatcher, written| match written {
                Ok((id, warnings)) => {
                    let place = id.place.clone();
                    let go_on = Box::new(move |dispatcher: &mut Self| {
                        let summary = dispatcher.summary(&id, (!asker.admin).then_some(uid));
                        dispatcher.answer_dag(summary, warnings, asker.answers);
                        drop(turn);
                    });
                    dispatcher.look_then(place, go_on);
                }
                Err(refused) => dispatcher.answer(&asker.answers, *refused),
            },
        );
    }

    /// Removes an installed DAG.
    pub(in crate::daemon) fn remove_dag(&mut self, dag: DagName, owner: Option<u32>, asker: Asker) {
        self.in_turn(&asker.clone(), move |dispatcher, turn| {
            match dispatcher.file_to_change(&dag, owner) {
                Ok(id) => {
                    let summary = dispatcher.summary(&id, owner);
                    dispatcher.remove_file(dag, id, summary, (asker, turn));
                }
                Err(refused) => dispatcher.refuse_change(&asker, &dag, *refused),
            }
        });
    }

    fn remove_file(
        &mut self,
        dag: DagName,
        id: FileId,
        summary: Option<DagSummary>,
        (asker, turn): (Asker, Turn),
    ) {
        let config = Arc::clone(&self.config);
        // What is decided of another one that has the name stays.
        let holds = self.registry.holder(&dag).as_ref() == Some(&id);
        // Before the file goes: a look that is being taken may be the one that sees it.
        if holds {
            self.registry.removed.insert(dag.clone());
        }
        self.elsewhere(
            move || {
                let removed = remove(&config, &id);
                (id, removed)
            },
            move |dispatcher, (id, removed)| match removed {
                Ok(()) => {
                    let go_on = Box::new(move |dispatcher: &mut Self| {
                        if holds {
                            dispatcher.registry.removed.remove(&dag);
                        }
                        dispatcher.answer_dag(summary, Vec::new(), asker.answers);
                        drop(turn);
                    });
                    dispatcher.look_then(id.place, go_on);
                }
                Err(error) => {
                    if holds {
                        dispatcher.registry.removed.remove(&dag);
                    }
                    let text = format!(
                        "{} cannot be removed: {error}",
                        id.path(&dispatcher.config).display()
                    );
                    dispatcher.answer(&asker.answers, refusal(ErrorKind::Unavailable, &text));
                }
            },
        );
    }
}

/// The name that a DAG is to be installed by.
fn name_for_install(config: &Config, install: &Install) -> Result<DagName, Box<Response>> {
    if install.source.len() > DAG_SOURCE_MAX {
        let text = format!("{} is over the limit of {DAG_SOURCE_MAX} bytes", install.file);
        return Err(refused(ErrorKind::Invalid, text, None));
    }
    let base = read_base(config).map_err(|error| refused(ErrorKind::Unavailable, error, None))?;
    let source = Source {
        text: install.source.as_bytes(),
        file: &install.file,
        stem: &install.stem,
    };
    let file = config.paths.base.display().to_string();
    let options = LoadOptions {
        name: install.name.as_deref(),
        base: base.as_ref().map(|text| BaseConfig {
            text: text.as_bytes(),
            file: &file,
        }),
        ..LoadOptions::default()
    };
    let name = name_of(&source, &options)
        .map_err(|errors| problems("the DAG has errors; nothing was installed", errors))?;
    if name.as_str().starts_with('.') {
        let text =
            format!("a DAG named {name} cannot be installed: files whose names begin with a dot are hidden");
        return Err(refused(
            ErrorKind::Invalid,
            text,
            Some("give it another name with --name"),
        ));
    }
    Ok(name)
}

/// Where the DAG goes: into the file that has its name, if that is the caller's and may be replaced.
pub(super) fn target(known: &Known, dag: &DagName, install: &Install) -> Result<FileId, Box<Response>> {
    let fresh = FileId {
        place: Place::of_user(known.uid),
        name: format!("{dag}.yaml"),
    };
    if known.reserved && install.replaces.is_none() {
        let text = format!("the name {dag} is the system's: its DAG is disabled; nothing was installed");
        let hint = if known.uid == creds::effective_uid() {
            format!("give it another name with --name; `proctorctl enable {dag}` gives this one up")
        } else {
            "give it another name with --name".to_owned()
        };
        return Err(refused(ErrorKind::Exists, text, Some(&hint)));
    }
    let Some((id, owner)) = &known.taken else {
        if install.replaces.is_some() {
            let text = format!("DAG {dag} is not installed any more");
            return Err(refused(ErrorKind::NotFound, text, None));
        }
        return Ok(fresh);
    };
    if !owns(known.uid, id, *owner) {
        let whose = match id.place {
            Place::System => "the system has",
            Place::User(_) => "another user has",
        };
        let text = format!("{whose} a DAG {dag}, and names are unique; nothing was installed");
        return Err(refused(
            ErrorKind::Exists,
            text,
            Some("give it another name with --name"),
        ));
    }
    if !install.replace {
        let text = format!(
            "a DAG {dag} is installed already: {}",
            id.path(&known.context.config).display()
        );
        return Err(refused(
            ErrorKind::Exists,
            text,
            Some("--replace replaces it; --name gives another name"),
        ));
    }
    Ok(id.clone())
}
