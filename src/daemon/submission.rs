//! A submission: the DAG that somebody sends or names is loaded and checked, and whose its run is.

use std::sync::Arc;

use super::admission::{
    About, Snapshot, group_of, invalid, known_user, new_run, owner_of, problem, problems,
};
use super::dispatcher::{Dispatcher, now};
use super::installed::{self, Starter};
use super::privileges::{goes_before, lower, run_id};
use super::queues::not_configured;
use super::registry::{Catalog, Context, of_file};
use super::requests::Asker;
use super::{limits, run_as};
use crate::dag::{BaseConfig, Dag, LoadOptions, ParamInput, Source, load};
use crate::model::access::Peer;
use crate::model::change::NewRun;
use crate::model::{DagName, Time};
use crate::wire::control::{ErrorKind, Problem, Response, Submit};

/// A run that may be submitted, with what deserves a look.
type Admitted = (Box<NewRun>, Vec<Problem>);

/// Why a submission comes to nothing.
enum Not {
    /// It is wrong, or cannot be.
    Refused(Box<Response>),
    /// They may not: in words that follow "may not submit a run".
    Denied(String),
}

impl From<Box<Response>> for Not {
    fn from(refused: Box<Response>) -> Self {
        Self::Refused(refused)
    }
}

/// Who sends a submission, and where its DAG comes from.
struct Origin {
    peer: Peer,
    /// Whether the sender is an administrator.
    admin: bool,
    /// Whether the sender has given settings of their own that hold where the DAG says nothing.
    settings: Option<&'static str>,
    /// Whether it is a DAG of the system.
    system: bool,
    /// Whether the sender may read it.
    readable: bool,
}

impl Dispatcher {
    /// Somebody wants a run.
    pub(super) fn submit_request(&mut self, asker: &Asker, mut submit: Submit) {
        let goes_first = asker.goes_first();
        let Asker {
            peer, answers, admin, ..
        } = asker.clone();
        let asker = asker.clone();
        if !goes_first && let Some(what) = goes_before(&submit) {
            return self.deny(&asker, &format!(" {what}"));
        }
        let (context, catalog) = (self.context(), Arc::clone(&self.registry.catalog));
        let at = now().wall;
        self.elsewhere(
            move || {
                let mut warnings = Vec::new();
                let mut origin = Origin::of(peer, admin, &submit);
                if submit.source.is_empty() {
                    warnings = take_installed(&context, &catalog, &mut origin, &mut submit)?;
                }
                known_user(peer.uid)?;
                let (new, more) = admit(&context, &origin, goes_first, &submit, at)?;
                warnings.extend(more);
                Ok((new, warnings))
            },
            move |dispatcher, admitted: Result<Admitted, Not>| match admitted {
                Ok((new, warnings)) => dispatcher.submit_run(new, warnings, answers),
                Err(Not::Refused(refused)) => dispatcher.answer(&answers, *refused),
                Err(Not::Denied(what)) => dispatcher.deny(&asker, &what),
            },
        );
    }
}

/// Takes the installed DAG that is named, with the JSON schemas it refers to. Gives what deserves a look about its file.
fn take_installed(
    context: &Context,
    catalog: &Catalog,
    origin: &mut Origin,
    submit: &mut Submit,
) -> Result<Vec<Problem>, Box<Response>> {
    let name = submit.name.take().unwrap_or_default();
    let name = DagName::new(name).map_err(|error| invalid(&error.to_string()))?;
    let starter = origin.starter();
    let found = installed::find(context, catalog, starter, &name, submit.base.take())?;
    submit.source = found.source;
    submit.name = found.name;
    submit.file = found.file;
    submit.stem = found.stem;
    submit.base = found.base;
    submit.base_dir = found.base_dir;
    submit.schemas = found.schemas;
    origin.system = found.system;
    origin.readable = found.readable;
    Ok(found.warnings)
}

fn source_of(submit: &Submit) -> Source<'_> {
    Source {
        text: submit.source.as_bytes(),
        file: &submit.file,
        stem: &submit.stem,
    }
}

fn base_of(submit: &Submit) -> Option<BaseConfig<'_>> {
    submit.base.as_ref().map(|text| BaseConfig {
        text: text.as_bytes(),
        file: "base configuration",
    })
}

impl Origin {
    /// What is known of a submission before its DAG is looked for.
    fn of(peer: Peer, admin: bool, submit: &Submit) -> Self {
        let settings = if submit.base.is_some() {
            Some("a base configuration")
        } else {
            submit
                .default_working_dir
                .is_some()
                .then_some("a default working directory")
        };
        Self {
            peer,
            admin,
            settings,
            system: false,
            readable: true,
        }
    }

    const fn starter(&self) -> Starter {
        Starter {
            uid: self.peer.uid,
            admin: self.admin,
        }
    }

    /// Whose the run is. Who starts a DAG of the system that names somebody else gets what that DAG says and nothing of
    /// their own, or they could have that user do anything.
    fn owner(&self, dag: &Dag, file: &str, context: &Context) -> Result<u32, Not> {
        let execution = &dag.execution;
        let usual = owner_of(self.peer.uid);
        if execution.run_as.is_none() {
            if self.readable {
                return Ok(usual);
            }
            // It named the user who asks when it was looked at last, and that is over.
            return Err(installed::none(context, self.peer.uid, &dag.name).into());
        }
        let may_choose = self.system || self.peer.uid == 0;
        let owner = run_as::owner(execution, usual, may_choose).map_err(|unfit| {
            Box::new(Response::Error {
                kind: ErrorKind::Invalid,
                message: String::from("the DAG cannot run as the user that it names; nothing was started"),
                hint: None,
                problems: vec![of_file(unfit.message, Some(unfit.hint), file)],
            })
        })?;
        if owner == usual {
            return Ok(owner);
        }
        if !self.starter().may_start(owner) {
            return Err(Not::Denied(format!(
                " of DAG {}: it runs as user id {owner} (run_as), and only that user, root and the admin group may start \
                 it",
                dag.name
            )));
        }
        match self.settings.filter(|_| self.peer.uid != 0) {
            Some(settings) => Err(Not::Denied(format!(
                " of DAG {} with {settings}: it runs as user id {owner} (run_as), by what the system says alone",
                dag.name
            ))),
            None => Ok(owner),
        }
    }

    /// Whether what the DAG says is said by the system, or by root.
    fn is_of_system(&self) -> bool {
        self.peer.uid == 0 || (self.system && self.settings.is_none())
    }
}

/// Loads the DAG and makes a run of it.
fn admit(
    context: &Context,
    origin: &Origin,
    goes_first: bool,
    submit: &Submit,
    at: Time,
) -> Result<Admitted, Not> {
    let config = &context.config;
    if !submit.base_dir.starts_with('/') {
        return Err(invalid("the directory of the DAG file must be an absolute path").into());
    }
    let options = LoadOptions {
        name: submit.name.as_deref(),
        base: base_of(submit),
        default_working_dir: submit.default_working_dir.as_deref(),
        sub_dag: false,
        schemas: &submit.schemas,
        skip_schemas: false,
    };
    let mut loaded = load(&source_of(submit), &options)
        .map_err(|errors| problems("the DAG has errors; nothing was started", errors))?;
    let mut warnings: Vec<Problem> = loaded.warnings.into_iter().map(problem).collect();
    loaded.dag.execution.of_system = origin.is_of_system();
    let owner = origin.owner(&loaded.dag, &submit.file, context)?;
    warnings.extend(limits::lowered(
        &loaded.dag.execution,
        owner,
        config,
        &submit.file,
    ));
    if !goes_first {
        warnings.extend(lower(&mut loaded.dag, &submit.file));
    }
    let queue = submit.queue.as_ref().or(loaded.dag.queue.as_ref());
    warnings.extend(queue.and_then(|queue| not_configured(config, queue)));
    let dag = Snapshot::of(loaded.dag)?;
    let input = ParamInput {
        text: submit.params.clone(),
        args: submit.args.clone(),
        pairs: Vec::new(),
    };
    let id = run_id(submit.run_id.as_ref())?;
    let about = About {
        id,
        group: group_of(config, &dag.dag, submit.queue.as_ref()),
        owner,
        trigger: submit.trigger,
        at,
        base_dir: submit.base_dir.clone(),
        parent: None,
        priority: submit.priority.unwrap_or(dag.dag.scheduling.priority),
        now: submit.now,
    };
    let new = new_run(&dag, &input, about)?;
    Ok((new, warnings))
}
