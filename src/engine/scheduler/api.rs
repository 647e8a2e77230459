//! What goes into the scheduler engine and what comes out.

use crate::model::change::{AttemptIdentity, Change, NewRun};
use crate::model::{AttemptId, LostCause, RunRef, RunStatus, StopReason, Time};

/// Names a request that waits for its answer. The shell makes them; the engine gives them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What is known of an attempt that the store holds as intended or live, gathered by recovery from the kernel
/// objects before the engine decides (DESIGN §4).
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// No shim passed the gate: no `started` record, and nothing of it lives any more. Start it again, free of charge.
    NeverStarted,
    /// The shim lives, and its identity is verified; its journal says whether it passed the gate.
    Alive {
        /// Its processes.
        identity: AttemptIdentity,
        /// Whether it passed the gate.
        started: bool,
    },
    /// The journal holds the final record.
    Ended(AttemptEnd),
    /// It passed the gate, nothing lives any more (the rest of its tree is killed and seen empty), no final record.
    Lost {
        /// Why.
        cause: LostCause,
        /// When it was seen.
        at: Time,
    },
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptEnd {
    /// Final status.
    pub status: RunStatus,
    /// The error in words.
    pub error: Option<String>,
    /// Collected outputs.
    pub outputs: Vec<(String, String)>,
    /// Whether the time limit was over.
    pub timed_out: bool,
    /// Whether SIGKILL had to end the grace period of a stop.
    pub kill_escalated: bool,
    /// When it ended.
    pub at: Time,
}

/// A run as the store gives it to the engine when the daemon starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    /// The run.
    pub run: RunRef,
    /// Its group and the group's capacity (0 is no limit).
    pub group: crate::model::GroupName,
    /// Capacity of the group.
    pub capacity: u32,
    /// Attempts so far.
    pub attempts: u32,
    /// Position in the queue if it is queued; smaller is earlier.
    pub queued: Option<u64>,
    /// The attempt that is intended or live, with what is known of it.
    pub live: Option<(AttemptId, u32, Evidence)>,
    /// A stop that was asked for and has not ended the run yet.
    pub stop: Option<StopReason>,
}

/// Something the engine is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// What the store and the kernel hold, once, before anything else.
    Recover(Vec<Recovered>),
    /// Somebody submits a run.
    Submit(Token, Box<NewRun>),
    /// Somebody asks for a new attempt of an ended run. `attempts` is how many it has had.
    Retry(Token, RunRef, RetryFacts),
    /// Somebody asks a run to stop.
    Stop(Token, RunRef, StopReason),
    /// A batch is committed.
    Committed(u64),
    /// A batch could not be committed; nothing of it is in the store.
    CommitFailed(u64, CommitError),
    /// The shim is there and waits at the gate.
    Ready(AttemptId, AttemptIdentity),
    /// Directory, cgroup, entry or shim could not be made; nothing of it is left. `Err` holds why.
    LaunchFailed(AttemptId, String),
    /// The journal says that the shim passed the gate.
    Started(AttemptId, Time, Option<Vec<(String, String)>>),
    /// The journal holds the final record.
    Ended(AttemptId, AttemptEnd),
    /// The shim is dead, the rest of its tree is killed and seen empty, and its journal is read to the end.
    /// `cause` counts only if no final record was seen.
    Gone(AttemptId, LostCause),
    /// Entry, socket, cgroup, journal and empty files are removed.
    Cleaned(AttemptId),
    /// The armed timer is due.
    Tick,
    /// The daemon is shutting down: launch nothing more.
    Drain,
}

/// What the shell knows of an ended run that is to be retried.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryFacts {
    /// Group.
    pub group: crate::model::GroupName,
    /// Capacity of the group.
    pub capacity: u32,
    /// Attempts so far.
    pub attempts: u32,
    /// Status of the run in the store.
    pub status: RunStatus,
}

/// Why a batch was not committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitError {
    /// The run exists already.
    Exists,
    /// The disk is full: running attempts go on, new starts are refused (P21).
    DiskFull(String),
    /// Anything else.
    Other(String),
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A run of that name and id exists already.
    Exists,
    /// There is no such run that could be stopped or retried.
    NotFound,
    /// The run is not in a state for it.
    WrongState(RunStatus),
    /// The daemon shuts down.
    Draining,
    /// The store cannot be written; the text says why.
    Store(String),
}

/// Something the engine wants done. Effects of one call are performed in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Commit these changes as one transaction, then tell [`Event::Committed`] with this number.
    Commit(u64, Vec<Change>),
    /// Make directory, journal, socket, cgroup and locked entry, spawn the shim, tell [`Event::Ready`] or
    /// [`Event::LaunchFailed`]. The intent is committed. If a stop is known it comes as [`Effect::SendStop`] later.
    Launch(RunRef, AttemptId, u32),
    /// The identity is committed: publish the entry and open the gate.
    OpenGate(AttemptId),
    /// Close the gate without opening it; the shim exits and runs nothing. Told by [`Event::Gone`].
    CloseGate(AttemptId),
    /// Watch a shim that outlived the last daemon, and talk to it.
    Adopt(RunRef, AttemptId, AttemptIdentity),
    /// Pass a stop request to the shim.
    SendStop(AttemptId, StopReason),
    /// The end is committed: remove entry, socket, cgroup, journal and empty files, then tell [`Event::Cleaned`].
    Clean(AttemptId),
    /// Answer a request: it is accepted.
    Accepted(Token),
    /// Answer a request: it is refused.
    Refused(Token, Refusal),
    /// The run changed in a way that watchers want to know (queued, launching, lost, ended).
    Changed(RunRef),
    /// Tell [`Event::Tick`] at this time of the boot clock; replaces an armed one.
    Arm(crate::model::Boot),
    /// Nothing is queued or live any more.
    Idle,
}
