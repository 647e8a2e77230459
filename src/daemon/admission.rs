//! From a DAG to a run: parameters are resolved, group and capacity found, and there is room for it.
//!
//! What is refused here leaves no trace; what is accepted is in the store before the client hears of it.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc::Sender;

use super::control::refusal;
use super::dispatcher::{Asked, Asking, Dispatcher};
use super::live::LiveRun;
use crate::config::Config;
use crate::dag::params::resolve;
use crate::dag::{Dag, Diagnostic, ParamInput};
use crate::engine::scheduler::Event;
use crate::model::change::{Caller, NewRun};
use crate::model::hash::hex;
use crate::model::{GroupName, Priority, RetryPolicy, RunId, RunRef, Time, Trigger};
use crate::sys::creds::{self, User};
use crate::wire::control::{ErrorKind, Problem, Response};

/// Most runs of one user that are queued or live. All of them are in the daemon's memory.
const OWN_RUNS_MAX: usize = 10_000;
/// Most bytes that the DAGs of these runs may have together.
const OWN_BYTES_MAX: usize = 256 * 1024 * 1024;

impl Dispatcher {
    /// Takes a run into memory and asks the engine for it.
    pub(super) fn submit_run(
        &mut self,
        mut new: Box<NewRun>,
        warnings: Vec<Problem>,
        answers: Sender<Response>,
    ) {
        let run = new.run.clone();
        if self.runs.contains_key(&run) {
            self.answer(&answers, exists(&run));
            return;
        }
        if let Some(refused) = self.over_quota(&new) {
            self.answer(&answers, refused);
            return;
        }
        self.runs.share(&mut new);
        self.runs.insert(run.clone(), LiveRun::first((*new).clone()));
        let token = self.ask(Asked {
            run,
            asking: Asking::Client(answers),
            warnings,
            created: true,
        });
        self.tell(Event::Submit(token, new));
    }

    /// The refusal if this run would be too much of its owner's: nobody but root may fill the daemon's memory.
    pub(super) fn over_quota(&self, new: &NewRun) -> Option<Response> {
        if new.owner == creds::effective_uid() {
            return None;
        }
        let own = self.runs.of(new.owner);
        within_quota(own.runs + 1, own.bytes + new.dag.len())
            .err()
            .map(|text| {
                let text = format!("user id {}: {text}", new.owner);
                refusal(ErrorKind::Unavailable, &text)
            })
    }

    /// An answer to a request. A client that has left does not need it.
    pub(super) fn answer(&self, answers: &Sender<Response>, response: Response) {
        drop(answers.try_send(response));
    }
}

pub(super) fn exists(run: &RunRef) -> Response {
    refusal(
        ErrorKind::Exists,
        &format!("a run {run} exists already; choose another run id"),
    )
}

pub(super) fn invalid(message: &str) -> Box<Response> {
    Box::new(refusal(ErrorKind::Invalid, message))
}

pub(super) fn problem(diagnostic: Diagnostic) -> Problem {
    Problem {
        message: diagnostic.message,
        file: diagnostic.file,
        line: diagnostic.line,
        column: diagnostic.column,
        hint: diagnostic.hint,
    }
}

pub(super) fn problems(message: &str, diagnostics: Vec<Diagnostic>) -> Box<Response> {
    Box::new(Response::Error {
        kind: ErrorKind::Invalid,
        message: message.to_owned(),
        hint: None,
        problems: diagnostics.into_iter().map(problem).collect(),
    })
}

/// Whether a user may have so much queued or live at a time.
fn within_quota(runs: usize, bytes: usize) -> Result<(), String> {
    if runs > OWN_RUNS_MAX {
        return Err(format!(
            "{OWN_RUNS_MAX} runs are queued or live; wait until some have ended"
        ));
    }
    if bytes > OWN_BYTES_MAX {
        return Err(format!(
            "the DAGs that are queued or live would have more than {OWN_BYTES_MAX} bytes; wait until some have ended"
        ));
    }
    Ok(())
}

/// The user a run belongs to: the one who asks, if the daemon can become that user; else the daemon's own.
pub(super) fn owner_of(peer_uid: u32) -> u32 {
    match creds::effective_uid() {
        0 => peer_uid,
        own => own,
    }
}

/// A user that no database knows gets no run: it could never be launched.
pub(super) fn known_user(uid: u32) -> Result<(), Box<Response>> {
    if uid == creds::effective_uid() {
        return Ok(());
    }
    User::by_uid(uid)
        .map(drop)
        .map_err(|error| invalid(&error.to_string()))
}

/// The group of a run that somebody asks for, and its capacity as far as nobody has configured it: the queue that is
/// asked for, else that of the DAG, else the DAG itself.
pub(super) fn group_of(config: &Config, dag: &Dag, asked: Option<&GroupName>) -> (GroupName, u32) {
    match asked.or(dag.queue.as_ref()) {
        Some(queue) => (queue.clone(), config.queue.max_active_runs),
        None => (
            GroupName::from(&dag.name),
            dag.max_active_runs.unwrap_or(config.queue.max_active_runs),
        ),
    }
}

/// A DAG as it is recorded with its runs.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) dag: Dag,
    /// In JSON.
    pub(super) json: Arc<str>,
    /// SHA-256 of that, in hexadecimal.
    pub(super) hash: String,
}

impl Snapshot {
    pub(super) fn of(dag: Dag) -> Result<Self, Box<Response>> {
        let json = serde_json::to_string(&dag).map_err(|error| invalid(&error.to_string()))?;
        let hash = hex(&Sha256::digest(json.as_bytes()));
        let json = json.into();
        Ok(Self { dag, json, hash })
    }
}

/// What a run is, besides its DAG and parameters.
#[derive(Debug)]
pub(super) struct About {
    pub(super) id: RunId,
    pub(super) group: (GroupName, u32),
    pub(super) owner: u32,
    pub(super) trigger: Trigger,
    pub(super) at: Time,
    pub(super) base_dir: String,
    pub(super) parent: Option<Caller>,
    pub(super) priority: Priority,
    pub(super) now: bool,
}

/// A run of a DAG with these parameters.
pub(super) fn new_run(
    snapshot: &Snapshot,
    input: &ParamInput,
    about: About,
) -> Result<Box<NewRun>, Box<Response>> {
    let dag = &snapshot.dag;
    let params = resolve(&dag.params, input)
        .and_then(|mut params| params.settle_known(&dag.params).map(|()| params))
        .map_err(|errors| problems("the parameters are wrong; nothing was started", errors))?;
    let (group, capacity) = about.group;
    let is_root = about.parent.is_none();
    Ok(Box::new(NewRun {
        run: RunRef {
            dag: dag.name.clone(),
            id: about.id,
        },
        group,
        capacity,
        owner: about.owner,
        trigger: about.trigger,
        created_at: about.at,
        dag_hash: snapshot.hash.clone(),
        dag: Arc::clone(&snapshot.json),
        steps: dag.steps.iter().map(|step| step.name.clone()).collect(),
        handlers: dag
            .handlers
            .iter()
            .map(|(handler, step)| (*handler, step.name.clone()))
            .collect(),
        params_json: params.json.clone(),
        params: params.settled(),
        base_dir: about.base_dir,
        parent: about.parent,
        priority: about.priority,
        now: about.now,
        dag_limit: dag.max_active_runs.unwrap_or(0),
        scheduled_for: None,
        retry: retry_policy(dag, is_root),
    }))
}

/// When a run of the DAG is tried again as a whole. One that was called is not: the step that called it has retries of
/// its own, and the run at the root of the tree, too.
fn retry_policy(dag: &Dag, is_root: bool) -> Option<RetryPolicy> {
    dag.scheduling.retry.clone().filter(|_| is_root)
}

/// A text that no other run's id is.
pub(super) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// A new run from an earlier one's snapshot and parameters. Somebody asks for it, so it is nobody's sub-run: it waits for
/// a slot of its DAG's queue like any other, and no run of a tree answers for it.
pub(super) fn again(config: &Config, mut new: NewRun, at: Time) -> Result<Box<NewRun>, Box<Response>> {
    new.run.id = RunId::new(new_id()).map_err(|error| invalid(&error.to_string()))?;
    new.created_at = at;
    new.trigger = Trigger::Manual;
    if new.parent.take().is_some() {
        let dag: Dag = serde_json::from_str(&new.dag).map_err(|error| invalid(&error.to_string()))?;
        new.retry = retry_policy(&dag, true);
        (new.group, new.capacity) = group_of(config, &dag, None);
    }
    new.now = false;
    new.scheduled_for = None;
    Ok(Box::new(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_room_for_so_many_runs_and_so_many_bytes() {
        assert_eq!(within_quota(OWN_RUNS_MAX, OWN_BYTES_MAX), Ok(()));
        assert!(within_quota(OWN_RUNS_MAX + 1, 0).is_err());
        assert!(within_quota(1, OWN_BYTES_MAX + 1).is_err());
    }
}
