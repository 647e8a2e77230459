//! Tests of the store, and what they share.

mod account;
mod again;
mod calls;
mod changes;
mod installed;
mod lists;
mod notices;
mod opening;
mod retire;
mod retries;
mod scale;
mod scheduling;
mod waiting;
mod writing;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use tempfile::TempDir;

use crate::model::change::{AttemptIdentity, Change, NewRun};
use crate::model::view::StepView;
use crate::model::{
    AttemptId, DagName, GroupName, Handler, Node, RunId, RunRef, RunStatus, StepStatus, Time, Trigger,
};

use super::{Done, Error, LogDir, OpenError, Options, Reader, Store};

pub(super) fn log_dir() -> LogDir {
    Arc::new(|at, attempt| format!("/state/attempts/{}/{attempt}", at.day()))
}

pub(super) fn options() -> Options {
    Options {
        log_dir: log_dir(),
        wait: Duration::ZERO,
    }
}

pub(super) fn ignore() -> Done {
    Box::new(|_, _| {})
}

/// A store in a directory of its own.
pub(super) struct Bench {
    pub(super) store: Option<Store>,
    answers: Answers,
    next: u64,
    pub(super) dir: TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, answers) = open(&dir.path().join("proctor.db")).unwrap();
        Self {
            store: Some(store),
            answers,
            next: 0,
            dir,
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("proctor.db")
    }

    pub(super) fn reopen(&mut self) {
        self.store = None;
        let (store, answers) = open(&self.path()).unwrap();
        self.store = Some(store);
        self.answers = answers;
    }

    pub(super) fn commit(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        self.next += 1;
        self.store.as_ref().unwrap().submit(self.next, changes).unwrap();
        let (number, result) = self.answers.recv().unwrap();
        assert_eq!(number, self.next);
        result
    }

    pub(super) fn ok(&mut self, changes: Vec<Change>) {
        self.commit(changes).unwrap();
    }

    pub(super) fn refused(&mut self, change: Change) -> String {
        match self.commit(vec![change]) {
            Err(Error::Other(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn reader(&self) -> Reader {
        self.store.as_ref().unwrap().reader()
    }
}

type Answers = Receiver<(u64, Result<(), Error>)>;
type Opened = (Store, Answers);

pub(super) fn open(path: &std::path::Path) -> Result<Opened, OpenError> {
    let (sender, answers) = mpsc::channel();
    let done: Done = Box::new(move |number, result| drop(sender.send((number, result))));
    Ok((Store::open(path, options(), done)?, answers))
}

pub(super) fn run_ref(dag: &str, id: &str) -> RunRef {
    RunRef {
        dag: DagName::new(dag).unwrap(),
        id: RunId::new(id).unwrap(),
    }
}

pub(super) fn new_run(dag: &str, id: &str, at: i64) -> NewRun {
    NewRun {
        run: run_ref(dag, id),
        group: GroupName::new("main").unwrap(),
        capacity: 2,
        owner: 1000,
        trigger: Trigger::Manual,
        created_at: Time(at),
        dag_hash: format!("{dag:0>64}"),
        dag: format!("{{\"name\":\"{dag}\"}}").into(),
        steps: vec!["build".to_owned(), "test".to_owned()],
        handlers: vec![(Handler::Exit, "onExit".to_owned())],
        params: vec![("1".to_owned(), "fast".to_owned())],
        params_json: "{\"1\":\"fast\"}".to_owned(),
        base_dir: "/home/ann/jobs".to_owned(),
        parent: None,
        priority: crate::model::Priority::default(),
        now: false,
        dag_limit: 0,
        scheduled_for: None,
        retry: None,
    }
}

pub(super) fn attempt(run: &RunRef, number: u32) -> AttemptId {
    AttemptId::derive(run, number)
}

pub(super) fn accept(dag: &str, id: &str, at: i64) -> Change {
    Change::Accept(Box::new(new_run(dag, id, at)))
}

pub(super) fn intend(run: &RunRef, number: u32, at: i64) -> Change {
    Change::Intend {
        run: run.clone(),
        attempt: attempt(run, number),
        number,
        at: Time(at),
    }
}

pub(super) fn identity(pid: u32) -> AttemptIdentity {
    AttemptIdentity {
        pid,
        pidfs_inode: Some(u64::MAX),
        start_ticks: Some(77),
        boot_id: "5fd6b8e4-8a9c-4b7a-9a38-0f5b8f9d1c11".to_owned(),
        cgroup_id: Some(4242),
    }
}

pub(super) fn identify(run: &RunRef, number: u32, pid: u32) -> Change {
    Change::Identify {
        attempt: attempt(run, number),
        identity: identity(pid),
    }
}

pub(super) fn start(run: &RunRef, number: u32, at: i64) -> Change {
    Change::Start {
        attempt: attempt(run, number),
        at: Time(at),
        params: None,
    }
}

pub(super) fn step(run: &RunRef, number: u32, node: Node, view: StepView) -> Change {
    Change::Step {
        attempt: attempt(run, number),
        node,
        view: Box::new(view),
    }
}

pub(super) fn end(run: &RunRef, number: u32, status: RunStatus, at: i64) -> Change {
    Change::End {
        attempt: attempt(run, number),
        status,
        error: None,
        lost: None,
        outputs: Vec::new(),
        timed_out: false,
        kill_escalated: false,
        at: Time(at),
    }
}

pub(super) fn clean(run: &RunRef, number: u32) -> Change {
    Change::Clean {
        attempt: attempt(run, number),
    }
}

/// A step that ended well, with logs in the attempt's directory.
pub(super) fn succeeded(name: &str, dir: &str, at: i64) -> StepView {
    let mut view = StepView::new(name);
    view.status = StepStatus::Succeeded;
    view.exit_code = Some(0);
    view.exit = Some(crate::model::Exit::Code(0));
    view.done_count = 1;
    view.stdout = Some(format!("{dir}/{name}.out"));
    view.stderr = Some(format!("{dir}/{name}.err"));
    view.started_at = Some(Time(at));
    view.finished_at = Some(Time(at + 5));
    view
}

/// Every change in the life of a run that ends well.
pub(super) fn life(dag: &str, id: &str, at: i64) -> Vec<Change> {
    let run = run_ref(dag, id);
    let dir = log_dir()(Time(at), &attempt(&run, 1));
    vec![
        accept(dag, id, at),
        intend(&run, 1, at),
        identify(&run, 1, 321),
        start(&run, 1, at + 10),
        step(&run, 1, Node::Step(0), succeeded("build", &dir, at + 20)),
        end(&run, 1, RunStatus::Succeeded, at + 30),
        clean(&run, 1),
    ]
}
