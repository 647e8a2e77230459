//! What goes into the scheduler engine and what comes out.

mod plan;

use std::collections::BTreeSet;

pub use plan::{Installed, Origin, SCHEDULED_MAX, TickKind, TickOutcome, USER_SCHEDULED_MAX};

use crate::model::change::{AttemptIdentity, Change, NewRun};
use crate::model::view::RunView;
use crate::model::{AttemptId, Boot, DagName, GroupName, LostCause, PendingRetry, Priority, Retries};
use crate::model::{RetryPolicy, RunRef, RunStatus, StopReason, Time};

/// Names a request that waits for its answer. The shell makes them; the engine gives them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What is known of an attempt that the store holds as intended or live, gathered by recovery from the kernel
/// objects before the engine decides (DESIGN §4). The whole journal counts here.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// No shim passed the gate: no `started` record, and nothing of it lives any more. Start it again, free of charge.
    NeverStarted,
    /// The shim lives, and its identity is verified; its journal says whether it passed the gate. If the journal
    /// holds the final record already, [`Event::Ended`] follows the adoption.
    Alive {
        /// Its processes.
        identity: AttemptIdentity,
        /// Whether it passed the gate.
        started: bool,
    },
    /// The journal holds the final record, and nothing of it lives any more.
    Ended(AttemptEnd),
    /// The store holds its end already; only the clean-up is missing.
    Recorded {
        /// Its final status in the store.
        status: RunStatus,
        /// Its processes, if the shim has not exited yet.
        alive: Option<AttemptIdentity>,
    },
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
    /// Whether the supervisor has left the run's failure handler out, because a retry follows.
    pub retry: bool,
    /// When it ended.
    pub at: Time,
}

/// What the store holds of a run's retries as a whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Retrying {
    /// When it is tried again; none is never.
    pub policy: Option<RetryPolicy>,
    /// The retries it has had by itself, the coming one included.
    pub so_far: Retries,
    /// The coming one, if one comes.
    pub due: Option<DueRetry>,
}

/// A pending retry as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct DueRetry {
    /// Which one it is, and when it is due by the wall clock.
    pub retry: PendingRetry,
    /// When it is due by the boot clock.
    pub boot: Boot,
    /// The boot in which that clock counts.
    pub boot_id: String,
}

/// What a journal's `started` record says.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRecord {
    /// When the shim passed the gate.
    pub at: Time,
    /// Effective parameters, if the shim has told them.
    pub params: Option<Vec<(String, String)>>,
}

/// A run as the store gives it to the engine when the daemon starts: each run that is queued, has an attempt that is
/// not marked clean, or will be tried again by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    /// The run.
    pub run: RunRef,
    /// Its group and the group's capacity (0 is no limit).
    pub group: GroupName,
    /// Capacity of the group.
    pub capacity: u32,
    /// User id it belongs to.
    pub owner: u32,
    /// Which of the runs that wait in its queue goes first.
    pub priority: Priority,
    /// Whether it starts at once, beyond the limits.
    pub now: bool,
    /// Most live runs of its DAG; 0 is no limit.
    pub dag_limit: u32,
    /// Attempts so far: the live one counts, those that were taken back do not.
    pub attempts: u32,
    /// Position in the queue if it is queued; smaller is earlier.
    pub queued: Option<u64>,
    /// The attempt that is not marked clean, with what is known of it: its id and number.
    pub live: Option<(AttemptId, u32, Evidence)>,
    /// The `started` record of that attempt's journal, if the store does not hold it yet. The record is not told
    /// again as an event.
    pub unstored_start: Option<StartRecord>,
    /// A stop that was asked for and has not ended the run yet.
    pub stop: Option<StopReason>,
    /// The run that called it, if one did.
    pub parent: Option<RunRef>,
    /// Its retries as a whole.
    pub retry: Retrying,
    /// Where it comes from.
    pub origin: Origin,
}

/// Something the engine is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// What the store and the kernel hold, before anything else. The runs come in the order in which they were
    /// accepted, so that the last of a group tells its capacity. Runs the engine knows already are passed over.
    Recover(Vec<Recovered>),
    /// Somebody submits a run.
    Submit(Token, Box<NewRun>),
    /// Somebody asks for a new attempt of an ended run. One that would be tried again by itself is tried at once, and
    /// those retries count anew. The facts are what the store holds after every batch the engine has asked for so far; the store refuses to requeue a run that is not ended ([`CommitError::Exists`]).
    Retry(Token, RunRef, RetryFacts),
    /// Somebody decides about a run that waits. The facts are what the store holds; the store refuses a decision that
    /// comes too late ([`CommitError::Exists`]).
    Decide(Token, RunRef, RetryFacts, Decision),
    /// Somebody asks a run to stop.
    Stop(Token, RunRef, StopReason),
    /// The step that called the run wants it stopped, or killed. It says so again when the daemon is back.
    CallerStops {
        /// The run.
        run: RunRef,
        /// Whether its grace period is over.
        kill: bool,
    },
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
    /// Entry, socket, cgroup, journal and empty files are removed. No event of the attempt follows, unless it is
    /// launched again.
    Cleaned(AttemptId),
    /// The armed timer is due.
    Tick,
    /// The wall clock was set.
    ClockSet,
    /// A DAG is installed, or a new version of it. Runs of it that are queued or live are told before, so when the daemon
    /// starts it follows [`Event::Recover`].
    Install(Box<Installed>),
    /// A DAG is not installed any more. Its runs stay, and if it is held back so are their retries: it may come back.
    Uninstall(DagName),
    /// Nothing counts any more that was decided of a DAG that is not installed: its name goes to another DAG, or to nobody.
    /// Neither what gets the name is held back by it, nor are retries of the runs that it left. Requests to hold it back,
    /// or to go on, come to nothing, also one that is being stored: who gives the store what follows makes it forget them.
    Forget(DagName),
    /// Somebody holds back the schedules of a DAG, or not any more. What passes while they are held back is not made up
    /// for, whatever the catch-up window is.
    Suspend {
        /// Who waits for the answer.
        token: Token,
        /// Which DAG; it need not have a plan.
        dag: DagName,
        /// Whose it is.
        owner: u32,
        /// Whether it is held back.
        on: bool,
    },
    /// Somebody pauses a queue, or has it go on.
    Pause(Token, GroupName, bool),
    /// DAGs that are held back, installed or not, and whose they are, before [`Event::Recover`].
    Suspended(Vec<(DagName, u32)>),
    /// All DAGs whose users are gone now, and the user ids those had, also before [`Event::Recover`]. Retries of their runs
    /// wait: somebody else may have the number.
    Ownerless(BTreeSet<(DagName, u32)>),
    /// All DAGs whose users may start nothing now. Their schedules start nothing; what waits already goes on, and they stop
    /// what they would stop. Before [`Event::Install`], and whenever it changes.
    Barred {
        /// The DAGs.
        dags: BTreeSet<DagName>,
        /// Others of which nobody knows whether their users may. Their starts wait until that is known; what is more than a
        /// minute late by then was missed.
        unsure: BTreeSet<DagName>,
    },
    /// Queues that are paused, before [`Event::Recover`].
    Paused(Vec<GroupName>),
    /// Somebody gives a queued run another place.
    Move(Token, RunRef, Place),
    /// Somebody takes a run out of the queue. One that is not queued is left alone.
    Dequeue(Token, RunRef, StopReason),
    /// The daemon is shutting down: launch nothing more.
    Drain,
}

/// What the shell knows of an ended run that is to be retried.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryFacts {
    /// Group.
    pub group: GroupName,
    /// Capacity of the group.
    pub capacity: u32,
    /// User id it belongs to.
    pub owner: u32,
    /// Which of the runs that wait in its queue goes first.
    pub priority: Priority,
    /// Whether it starts at once, beyond the limits.
    pub now: bool,
    /// Most live runs of its DAG; 0 is no limit.
    pub dag_limit: u32,
    /// Attempts so far: how many the run has had.
    pub attempts: u32,
    /// Status of the run in the store.
    pub status: RunStatus,
    /// The run that calls it, and the number of its attempt that does. It must be live.
    pub caller: Option<(RunRef, u32)>,
    /// When it is tried again as a whole.
    pub retry: Option<RetryPolicy>,
    /// Where the run comes from.
    pub origin: Origin,
}

impl RetryFacts {
    /// What the store holds of a run and its last attempt. Nobody calls it.
    #[must_use]
    pub fn of(new: &NewRun, last: &RunView) -> Self {
        Self {
            group: new.group.clone(),
            capacity: new.capacity,
            owner: new.owner,
            priority: new.priority,
            now: new.now,
            dag_limit: new.dag_limit,
            attempts: last.number,
            status: last.status,
            caller: None,
            retry: new.retry.clone(),
            origin: Origin::of(new),
        }
    }
}

/// Another place for a queued run. What is none stays, and one that only gets another priority keeps its place among
/// those of that priority: older ones go first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Its new queue, and that queue's capacity (0 is no limit).
    pub queue: Option<(GroupName, u32)>,
    /// Its new priority.
    pub priority: Option<Priority>,
    /// Whether it goes before the others of its DAG and priority; else one that changes its queue goes behind them.
    pub first: bool,
}

/// What somebody decides about a run that waits.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Steps of it, or of a run that it called, are approved or rejected. These changes are committed together with
    /// the run's return into the queue, so that either all of it happened or nothing.
    Resume(Vec<Change>),
    /// It is stopped: it ends without a further attempt.
    Stop(StopReason),
}

/// Why a batch was not committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitError {
    /// The run exists already, the attempt exists already, the run is not ended and cannot be requeued, or what was to
    /// be decided does not wait any more.
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
    /// The engine holds no such run: it ended and is cleaned, or it never was. The store knows which.
    NotFound,
    /// The run is not in a state for it.
    WrongState(RunStatus),
    /// The run is just being accepted, moved, or ended in its queue; a moment later it can be told which.
    Changing,
    /// The run that calls it has no live attempt any more.
    CallerGone,
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
    /// [`Event::LaunchFailed`]. The intent is committed, and nothing of an earlier try of this attempt is left.
    Launch(RunRef, AttemptId, u32),
    /// The identity is committed: publish the entry and open the gate.
    OpenGate(AttemptId),
    /// Close the gate without opening it; the shim exits and runs nothing. Told by [`Event::Gone`].
    CloseGate(AttemptId),
    /// Watch a shim that outlived the last daemon, and talk to it.
    Adopt(RunRef, AttemptId, AttemptIdentity),
    /// Pass a stop request to the shim. Each one counts: a further one cuts the grace period short.
    SendStop(AttemptId, StopReason),
    /// See to it that the shim knows of a stop. It may have been told before, and then nothing more happens.
    EnsureStop(AttemptId, StopReason),
    /// Tell the shim that the run is not tried again as a whole, whatever it was told before. Nothing depends on it but
    /// whether the failure handler runs, so it is told again whenever the shim is reached anew ([`super::Scheduler::retried_on`]).
    NoRetry(AttemptId),
    /// The end is committed, or the attempt never started; and nothing of it lives. Remove entry, socket, cgroup,
    /// journal and empty files, as far as they exist, then tell [`Event::Cleaned`]. The journal of one that never started
    /// is the witness for that, and stays until the store does not hold the attempt any more.
    Clean(AttemptId),
    /// Answer a request: it is accepted.
    Accepted(Token),
    /// Answer a request: it is refused.
    Refused(Token, Refusal),
    /// The run changed in a way that watchers want to know (queued, launching, lost, ended).
    Changed(RunRef),
    /// The run is over: the store has its end, no retry comes by itself, and nothing lives any more of the runs that it
    /// called. Who waits for it, a person or the step that called it, is told. Comes once for each end, after
    /// [`Effect::Changed`].
    Over(RunRef),
    /// The engine makes a run: take it into memory. The batch with its acceptance follows.
    Make(Box<NewRun>),
    /// The run that was made came to nothing.
    Unmake(RunRef),
    /// What became of a scheduled time of a DAG, at which that was to happen.
    Tick(DagName, Time, TickKind, TickOutcome),
    /// Tell [`Event::Tick`] at this time of the boot clock; replaces an armed one.
    Arm(Boot),
    /// Nothing is queued or live any more, and everything is recorded. After [`Event::Drain`] runs may still be
    /// queued.
    Idle,
}
