//! Messages of the control socket, between a client and the daemon.

use serde::{Deserialize, Serialize};

mod update;

pub use update::{ChildUpdate, Update};

use super::manage::{CleanupReport, DagSummary, Install, QueueView, SourceText, Upcoming};
use crate::model::view::{RunSummary, RunView};
use crate::model::{AttemptId, DagName, GroupName, LostCause, Priority, RunId, RunRef, RunStatus};
use crate::model::{RunCause, SchemaFile, Time, Trigger, Usage};

/// Which run a request is about: the one named, or else the newest of the DAG.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// The DAG.
    pub dag: DagName,
    /// The run; none is the newest one.
    pub run: Option<RunId>,
}

/// A run to be started. Contents travel, not paths: the daemon never opens what a user named (DESIGN §9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submit {
    /// Text of the DAG file. Empty to take the installed DAG that `name` names.
    pub source: String,
    /// Name of the DAG: overrides `name:` when `source` is given.
    pub name: Option<String>,
    /// How the file is called in error messages.
    pub file: String,
    /// File name without extension: the DAG's name if it does not give one.
    pub stem: String,
    /// Text of the base configuration, merged under the DAG.
    pub base: Option<String>,
    /// The JSON schemas that the two texts refer to, as the client found them.
    pub schemas: Vec<SchemaFile>,
    /// Absolute directory of the DAG file; relative paths start there.
    pub base_dir: String,
    /// Working directory if the DAG names none.
    pub default_working_dir: Option<String>,
    /// Wanted run id; none makes one.
    pub run_id: Option<String>,
    /// `--params` as given.
    pub params: Option<String>,
    /// Arguments after `--`.
    pub args: Vec<String>,
    /// What made the run.
    pub trigger: Trigger,
    /// Queue to wait in instead of the DAG's.
    pub queue: Option<GroupName>,
    /// Priority instead of the DAG's.
    pub priority: Option<Priority>,
    /// Whether it starts at once, beyond the limits of queue, DAG and daemon.
    pub now: bool,
}

/// What history to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HistoryFilter {
    /// Only this DAG.
    pub dag: Option<DagName>,
    /// Only these statuses; empty is all.
    pub statuses: Vec<RunStatus>,
    /// Accepted at or after.
    pub from: Option<Time>,
    /// Accepted before.
    pub to: Option<Time>,
    /// At most so many; the daemon gives no more than 1000 at a time.
    pub limit: u32,
    /// Lost ones, and those with one of `statuses` if there are any.
    pub lost: bool,
}

/// A client's request. One connection carries one request at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Who is there?
    Ping,
    /// Start a run. Answer: [`Response::Accepted`].
    Submit(Box<Submit>),
    /// Tell how a run stands and every change until it ends or waits. Answers: [`Response::Run`], then
    /// [`Response::Update`] any number of times, then [`Response::Done`].
    Follow(Selector),
    /// How a run stands. Answer: [`Response::Run`].
    Status(Selector),
    /// Runs that are live, queued or wait for a person. Of those that wait the newest 1000. Answer: [`Response::Runs`].
    Ps,
    /// Stop a run. Answer: [`Response::Accepted`] as soon as the request is recorded.
    Stop {
        /// Which.
        run: Selector,
        /// Whether it is the client's own interruption, to which `signal_on_stop` does not apply.
        interrupted: bool,
    },
    /// A new attempt of an ended run. Answer: [`Response::Accepted`].
    Retry(Selector),
    /// A new run with the DAG snapshot and parameters of an earlier one. Answer: [`Response::Accepted`].
    Rerun(Selector),
    /// Ended and live runs. Answer: [`Response::Runs`].
    History(HistoryFilter),
    /// The attempts of a run. Answer: [`Response::Attempts`].
    Attempts(Selector),
    /// Why a run is in its state, from evidence. Answer: [`Response::Why`].
    Why(Selector),
    /// Check the invariants, and repair what can be repaired. Answer: [`Response::Doctor`].
    Doctor {
        /// Whether to repair.
        repair: bool,
    },
    /// Read the configuration again. Answer: [`Response::Reloaded`].
    Reload,
    /// Approve a step of a run that waits; the run goes on. Answer: [`Response::Accepted`].
    Approve {
        /// Which run.
        run: Selector,
        /// Name of the step; none if only one waits.
        step: Option<String>,
        /// Values that the step asks for, by name. They become variables of it.
        inputs: Vec<(String, String)>,
    },
    /// Reject a step of a run that waits; the run ends. Answer: [`Response::Accepted`].
    Reject {
        /// Which run.
        run: Selector,
        /// Name of the step; none if only one waits.
        step: Option<String>,
        /// Why.
        reason: Option<String>,
    },
    /// The installed DAGs of the caller; all of them for who may see all. Answer: [`Response::Dags`].
    Dags,
    /// Install a DAG of the caller's own, or a new version of it. Answer: [`Response::Dag`].
    Install(Box<Install>),
    /// Remove an installed DAG; its runs and their history stay. Answer: [`Response::Dag`], as it was.
    Remove(DagName),
    /// The text of an installed DAG. Answer: [`Response::Source`].
    Source(DagName),
    /// Hold back everything that the schedules of a DAG would do, or not any more. Answer: [`Response::Dag`].
    Enable {
        /// Which.
        dag: DagName,
        /// Whether its schedules are in force.
        on: bool,
    },
    /// What the schedules will do, the earliest first. Answer: [`Response::Next`].
    Next {
        /// Only of this DAG.
        dag: Option<DagName>,
        /// At most so many, 1 to 1000.
        count: u32,
    },
    /// The queues that are configured, hold runs or are paused. Answer: [`Response::Queues`].
    Queues,
    /// The runs that wait in a queue, in the order in which they would start if they all were of one user and DAG.
    /// Answer: [`Response::Runs`].
    Queue(GroupName),
    /// Start nothing more of a queue, or again. Answer: [`Response::Queues`], with this one.
    PauseQueue {
        /// Which.
        queue: GroupName,
        /// Whether it is paused.
        on: bool,
    },
    /// Give a queued run another place. Answer: [`Response::Accepted`].
    Move {
        /// Which run.
        run: Selector,
        /// The queue to put it into.
        queue: Option<GroupName>,
        /// Its new priority.
        priority: Option<Priority>,
        /// Whether it goes before the others of its priority instead of behind.
        first: bool,
    },
    /// Take a run out of the queue; it ends as aborted. One that is not queued is left alone. Answer:
    /// [`Response::Accepted`].
    Dequeue(Selector),
    /// Remove old runs with their logs. Answer: [`Response::Cleaned`].
    Cleanup {
        /// Only of this DAG.
        dag: Option<DagName>,
        /// Keep those that ended in the last so many days, instead of what DAG or configuration say.
        keep_days: Option<u32>,
        /// Keep the newest so many of each DAG, instead of what DAG or configuration say.
        keep_runs: Option<u32>,
        /// Only tell what would be removed.
        dry_run: bool,
    },
    /// Numbers about the daemon. Answer: [`Response::Metrics`].
    Metrics,
}

/// Kind of a refusal; each has an exit status of its own in the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The request itself is wrong (a DAG with errors, a bad id).
    Invalid,
    /// There is no such run or DAG.
    NotFound,
    /// It exists already.
    Exists,
    /// The run is not in a state for it.
    WrongState,
    /// The peer may not do this.
    Denied,
    /// The daemon cannot do it now (disk full, shutting down, too many clients).
    Unavailable,
    /// A fault of the daemon.
    Internal,
    /// The peer speaks another protocol or protocol version.
    Protocol,
}

/// A place and message of an error in a DAG file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// File, as the client called it.
    pub file: Option<String>,
    /// Line from 1.
    pub line: Option<u32>,
    /// Column from 1, in characters.
    pub column: Option<u32>,
    /// What would cure it.
    pub hint: Option<String>,
}

/// One attempt of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptSummary {
    /// Number from 1.
    pub number: u32,
    /// Id.
    pub attempt: AttemptId,
    /// Status.
    pub status: RunStatus,
    /// The error in words.
    pub error: Option<String>,
    /// Why it is lost, if it is.
    pub lost: Option<LostCause>,
    /// When it started.
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// What it has used.
    pub usage: Usage,
    /// What brought it to a bad end.
    pub cause: Option<RunCause>,
}

/// Why a run is in its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// Which run.
    pub run: RunRef,
    /// Its status.
    pub status: RunStatus,
    /// The answer in one sentence.
    pub answer: String,
    /// What the answer rests on, one finding a line.
    pub evidence: Vec<String>,
}

/// One finding of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which invariant or feature.
    pub check: String,
    /// Whether it holds.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// Whether this call repaired it.
    pub repaired: bool,
}

/// What the daemon found about itself and the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorReport {
    /// Invariants: entry, lock, cgroup, socket and record of each attempt agree; nothing is left over.
    pub findings: Vec<Finding>,
    /// Features of the machine and how they are used.
    pub features: Vec<(String, String)>,
    /// Counters: live, queued, stalled, lost and the like.
    pub counters: Vec<(String, u64)>,
    /// What the daemon did by itself, the last of each kind.
    pub actions: Vec<Action>,
}

/// Something that the daemon did by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What kind of thing.
    pub what: String,
    /// When.
    pub at: Time,
    /// What it was about.
    pub about: String,
}

/// The daemon's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Response {
    /// The daemon is here.
    Pong {
        /// Its version.
        version: String,
        /// Its process id.
        pid: u32,
        /// Whether it leaves when nothing is to be done.
        embedded: bool,
    },
    /// The request is accepted and durable; this is the run.
    Accepted {
        /// Which.
        run: RunRef,
        /// Things that deserve a look.
        warnings: Vec<Problem>,
    },
    /// Runs.
    Runs(Vec<RunSummary>),
    /// One run.
    Run(Box<RunView>),
    /// A change of the followed run.
    Update(Box<Update>),
    /// The stream is at its end.
    Done,
    /// Attempts.
    Attempts(Vec<AttemptSummary>),
    /// The reason.
    Why(Why),
    /// Findings.
    Doctor(DoctorReport),
    /// What was reloaded and what needs a restart, one line each.
    Reloaded(Vec<String>),
    /// Refused.
    Error {
        /// Kind.
        kind: ErrorKind,
        /// What is wrong.
        message: String,
        /// What would cure it.
        hint: Option<String>,
        /// Places in the DAG file.
        problems: Vec<Problem>,
    },
    /// Installed DAGs, by name.
    Dags(Vec<DagSummary>),
    /// An installed DAG, and things about it that deserve a look.
    Dag(Box<DagSummary>, Vec<Problem>),
    /// The text of an installed DAG.
    Source(Box<SourceText>),
    /// What the schedules will do.
    Next(Vec<Upcoming>),
    /// Queues, by name.
    Queues(Vec<QueueView>),
    /// What was removed, or would be.
    Cleaned(CleanupReport),
    /// Numbers about the daemon, in the text format 0.0.4 of Prometheus.
    Metrics(String),
}
