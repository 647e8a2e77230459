//! Messages between the daemon and a shim, and of an attempt's status socket.
//!
//! A shim outlives daemons of newer versions, so these messages are the ones that must stay readable: enums only
//! grow at their end, and the launch specification is JSON with defaults (P24).

use serde::{Deserialize, Serialize};

use crate::model::access::Peer;
use crate::model::view::{RunView, StepView};
use crate::model::{
    AttemptId, DagName, Rlimit, RunId, RunRef, RunStatus, SchemaFile, StepOutput, StopReason,
};

/// Everything a shim must know to run one attempt. It travels sealed over the socket pair, never in argv, the
/// environment or a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShimSpec {
    /// Protocol version of the daemon that wrote it.
    pub protocol: u32,
    /// Which run.
    pub run: RunRef,
    /// Which attempt.
    pub attempt: AttemptId,
    /// Its number, from 1.
    pub number: u32,
    /// How the run stands: names of steps and handlers, group, owner, trigger, times, log directory.
    pub view: RunView,
    /// The DAG as it was, in JSON.
    pub dag: String,
    /// Parameters given, in order.
    pub params: Vec<(String, String)>,
    /// The same as one JSON text.
    pub params_json: String,
    /// Absolute directory of the DAG file.
    pub base_dir: String,
    /// Scratch directory of the run, kept over retries (`DAG_RUN_WORK_DIR`).
    pub work_dir: String,
    /// Path of the attempt's status socket, for the entry and for people.
    pub socket: String,
    /// User the job runs as.
    pub user: SpecUser,
    /// Whether the shim is root and must become that user.
    pub become_user: bool,
    /// User id of the daemon; only a peer with it may attach.
    pub daemon_uid: u32,
    /// Environment the job starts from, complete: nothing else is inherited.
    pub env: Vec<(String, String)>,
    /// Shell of steps that name none and whose DAG names none.
    pub default_shell: String,
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u64,
    /// Most clients of the status socket at a time.
    pub max_clients: u32,
    /// Steps of the attempt before, if this one is a retry.
    #[serde(default)]
    pub resume: Option<Vec<StepView>>,
    /// Which optional descriptors follow the four that always do.
    #[serde(default)]
    pub descriptors: SpecDescriptors,
    /// Soft limit of open descriptors that jobs get; none leaves it. The daemon raises its own, and programs that use
    /// select(2) cannot do with more than 1024.
    #[serde(default)]
    pub open_files: Option<u64>,
    /// Whether `no_new_privs` is set before the first step.
    #[serde(default)]
    pub no_new_privs: bool,
    /// File mode creation mask of the job.
    pub umask: u32,
    /// Limits that the shim sets itself.
    #[serde(default)]
    pub limits: SpecLimits,
    /// The exit codes of failed steps after which the whole run is tried again; empty is any failure, none is never.
    #[serde(default)]
    pub retried_on: Option<Vec<i32>>,
    /// Where what steps write goes.
    #[serde(default)]
    pub output: StepOutput,
    /// Socket of the journal that gets it, if it goes to one.
    #[serde(default)]
    pub journal: Option<String>,
}

/// The user a job runs as, looked up by the daemon before the spawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecUser {
    /// Name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups, complete.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// Limits that the shim sets, for itself or for what it starts. Those of the attempt's cgroup the daemon has set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SpecLimits {
    /// Nice value; none is the daemon's own.
    pub nice: Option<i32>,
    /// Limits of the job's processes that are not inherited: soft and hard value.
    pub rlimits: Vec<(Rlimit, u64, u64)>,
    /// Most processes of the attempt, for messages.
    pub pids_max: Option<u64>,
}

/// Optional descriptors behind entry, journal, listener and log directory, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SpecDescriptors {
    /// Directory of the cgroup the steps are started in.
    pub steps_cgroup: bool,
    /// Directory of the attempt's own cgroup, whose counters tell what the attempt uses and which limits it hits.
    #[serde(default)]
    pub attempt_cgroup: bool,
}

impl SpecDescriptors {
    /// Which of them are given, in their order.
    #[must_use]
    pub const fn of(steps_cgroup: bool, attempt_cgroup: bool) -> Self {
        Self {
            steps_cgroup,
            attempt_cgroup,
        }
    }
}

/// Daemon to shim, on the socket pair or on an attached connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToShim {
    /// The specification, as JSON; its descriptors come with it. First message.
    Spec(Vec<u8>),
    /// The gate is open: record `started` and begin. End-of-file instead means: exit, run nothing.
    Go,
    /// Somebody asks to stop the attempt. Each request counts: a further one cuts the grace period short.
    Stop(StopReason),
    /// Somebody deleted the entry: here is a new locked one to beat on (one descriptor).
    ReplaceEntry,
    /// News of a sub-run that the shim asked for.
    Called {
        /// The shim's number for it.
        call: u64,
        /// What is new.
        news: CallNews,
    },
    /// The calling step has a free slot: go on with the retry that waits for one.
    Slot,
    /// The attempt is to stop. It may have been told before, by this daemon or the one before it, and then nothing more
    /// happens.
    EnsureStop(StopReason),
    /// The run will not be tried again as a whole, whatever the specification says: its failure is for good.
    NoRetry,
}

/// A sub-run that a step asks for. Asking again for the same run, after a restart of the daemon or in a further try,
/// starts nothing twice: a live one is followed, one that succeeded is told, one that did not gets a further attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRequest {
    /// The shim's number for it, unique in the attempt.
    pub call: u64,
    /// Name of the calling step.
    pub step: String,
    /// Number of the last attempt of the run whose end the shim was told: a further one is wanted. None if it was told
    /// of none.
    pub after: Option<u32>,
    /// Id of the sub-run; it follows from the calling run, the step, the target and the parameters.
    pub run: RunId,
    /// What is called.
    pub target: CallTarget,
    /// Parameters in order, with their names if they have any.
    pub params: Vec<(Option<String>, String)>,
}

/// Where a called DAG comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallTarget {
    /// A further document of the calling DAG's file.
    Local(DagName),
    /// A file that the shim has read, with the rights of the job's user.
    File {
        /// Its text.
        source: String,
        /// How it is called in messages.
        file: String,
        /// Its name without extension: the DAG's name if it does not give one.
        stem: String,
        /// Its directory, absolute.
        base_dir: String,
        /// The JSON schemas that it refers to, as the shim found them.
        schemas: Vec<SchemaFile>,
    },
    /// An installed DAG.
    Installed(DagName),
}

/// What the daemon tells of a sub-run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CallNews {
    /// It cannot be: the reason in words. Nothing was started.
    Refused(String),
    /// It is recorded and will run, or runs already.
    Accepted,
    /// It has ended, and the store has its end.
    Ended(Box<CallEnd>),
    /// How it uses its slot of `max_concurrent` now.
    Slot(SlotUse),
}

/// How a sub-run uses its slot among those of the calling step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SlotUse {
    /// Something of it is executed.
    Working,
    /// All it does is wait for a retry: somebody else may have the slot.
    Resting,
    /// The time of the retry has come: it wants a slot again.
    Wanted,
}

/// The end of a sub-run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallEnd {
    /// Final status, or `waiting`.
    pub status: RunStatus,
    /// Number of the attempt that ended; 0 if there was none.
    pub number: u32,
    /// The error in words.
    pub error: Option<String>,
    /// Its effective parameters, in order.
    pub params: Vec<(String, String)>,
    /// The captured outputs of its steps: variable and value, a later one of the same name wins.
    pub outputs: Vec<(String, String)>,
}

/// Shim to daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromShim {
    /// The shim is the job's user, in its cgroup, and waits at the gate.
    Ready,
    /// It cannot get ready, and exits.
    Failed(String),
    /// The journal has grown. Several may be one.
    Poke,
    /// The new entry is in use; the old descriptor is closed.
    EntryReplaced,
    /// A step wants a sub-run. Answered with [`ToShim::Called`], first whether it is accepted, then its end.
    Call(Box<CallRequest>),
    /// The sub-run of this number is to stop. It may be told again.
    StopCall(u64),
    /// The sub-run of this number has a slot again.
    GrantSlot(u64),
    /// How this run, which is a sub-run, uses its slot.
    Slot(SlotUse),
    /// The sub-run of this number is to stop at once.
    KillCall(u64),
    /// The system's journal has not taken so many bytes of what steps wrote; they are in the log files only.
    OutputLost(u64),
    /// Somebody may not do on the status socket what they asked for. At most [`DENIALS_MAX`] are told of an attempt.
    Denied(Peer, StatusVerb),
}

/// Most denials of an attempt's status socket that are logged: whoever can connect can ask as often as they like.
pub const DENIALS_MAX: u32 = 32;

/// What is asked for on the status socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StatusVerb {
    /// [`StatusRequest::Status`].
    Status,
    /// [`StatusRequest::Stop`].
    Stop,
    /// [`StatusRequest::Signal`].
    Signal,
    /// [`StatusRequest::Attach`].
    Attach,
}

impl StatusVerb {
    /// Its name, for the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Stop => "stop",
            Self::Signal => "signal",
            Self::Attach => "attach",
        }
    }
}

impl StatusRequest {
    /// What is asked for.
    #[must_use]
    pub const fn verb(&self) -> StatusVerb {
        match self {
            Self::Status => StatusVerb::Status,
            Self::Stop { .. } => StatusVerb::Stop,
            Self::Signal(_) => StatusVerb::Signal,
            Self::Attach => StatusVerb::Attach,
        }
    }
}

/// A request on the status socket. The shim answers it itself, also when the daemon is down (P23).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusRequest {
    /// How the attempt stands.
    Status,
    /// Stop it.
    Stop {
        /// Whether it is a client's own interruption, to which `signal_on_stop` does not apply.
        interrupted: bool,
    },
    /// Send a signal to every running step.
    Signal(i32),
    /// The daemon takes this connection for [`ToShim`] and [`FromShim`] messages. Only for the daemon's user id.
    Attach,
}

/// An answer on the status socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StatusResponse {
    /// How the attempt stands.
    Status(Box<RunView>),
    /// Done.
    Ok,
    /// Refused.
    Error {
        /// Kind.
        kind: super::control::ErrorKind,
        /// What is wrong.
        message: String,
    },
}

/// What a shim that is started as `proctor-shim --hook` reads on descriptor 0, as JSON up to the end: a hook for operators.
/// It becomes the user and then the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSpec {
    /// The user to become; none if it stays who it is.
    pub user: Option<SpecUser>,
    /// Absolute path of the program, and its arguments.
    pub command: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Soft limit of open files, if the daemon changed its own.
    pub open_files: Option<u64>,
}
