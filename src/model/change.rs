//! Changes of the store. The engine decides them, the store commits them; one batch is one transaction, so a
//! run and its queue entry can never disagree (W14).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::view::StepView;
use super::{
    AttemptId, Boot, DagName, GroupName, LostCause, Node, RunRef, RunStatus, StopReason, Time, Trigger,
};
use super::{Notice, PendingRetry, Priority, Retries, RetryPolicy, RunCause, SchemaFile, Usage};

/// A run as it is accepted: everything that is needed to launch it, now or after a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewRun {
    /// Which run.
    pub run: RunRef,
    /// Capacity domain.
    pub group: GroupName,
    /// Most live attempts in that group at a time, as the DAG or its queue says; 0 is no limit.
    pub capacity: u32,
    /// User id the run belongs to and runs as.
    pub owner: u32,
    /// What made the run.
    pub trigger: Trigger,
    /// When it was accepted.
    pub created_at: Time,
    /// SHA-256 of `dag`, hexadecimal: equal snapshots are stored once.
    pub dag_hash: String,
    /// The DAG as it was, in JSON. Runs of the same snapshot share the text.
    pub dag: Arc<str>,
    /// Names of the steps, in order.
    pub steps: Vec<String>,
    /// The handlers the DAG has, with their names.
    pub handlers: Vec<(super::Handler, String)>,
    /// Parameters given, in order, checked against the DAG; a positional one is named by its number.
    pub params: Vec<(String, String)>,
    /// The parameters as one JSON text, the original text if they were given as JSON.
    pub params_json: String,
    /// Directory of the DAG file: relative paths start there. Absolute.
    pub base_dir: String,
    /// The step of another run that called it; none for a run that somebody asked for.
    pub parent: Option<Caller>,
    /// Which of the runs that wait in its queue goes first.
    pub priority: Priority,
    /// Whether it starts at once, beyond the limits of queue, DAG and daemon.
    pub now: bool,
    /// Most live runs of its DAG at a time, over all queues; 0 is no limit.
    pub dag_limit: u32,
    /// The time of its schedule that it is for.
    pub scheduled_for: Option<Time>,
    /// When it is tried again as a whole.
    pub retry: Option<RetryPolicy>,
}

impl NewRun {
    /// A run of the superuser without steps and without limits, as accepted by hand at the epoch: for whoever sets what is
    /// different.
    #[must_use]
    pub fn bare(run: RunRef, group: GroupName) -> Self {
        Self {
            run,
            group,
            capacity: 0,
            owner: 0,
            trigger: Trigger::Manual,
            created_at: Time::default(),
            dag_hash: String::new(),
            dag: "".into(),
            steps: Vec::new(),
            handlers: Vec::new(),
            params: Vec::new(),
            params_json: String::new(),
            base_dir: String::new(),
            parent: None,
            priority: Priority::default(),
            now: false,
            dag_limit: 0,
            scheduled_for: None,
            retry: None,
        }
    }
}

/// The step that called a run, and the root of the tree of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The calling run.
    pub run: RunRef,
    /// Number of its attempt that asked for this run last. A further one makes a new attempt of it, if it has not
    /// succeeded.
    pub attempt: u32,
    /// Name of the calling step.
    pub step: String,
    /// The run at the root of the tree, which nobody called. All runs of a tree belong to its group.
    pub root: RunRef,
    /// Calls between the root and this run: 1 for what the root itself calls, at most
    /// [`CALL_DEPTH_MAX`](super::limits::CALL_DEPTH_MAX).
    pub depth: u32,
}

/// What the store knows of a live attempt's processes, to find them again after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AttemptIdentity {
    /// Process id of the shim.
    pub pid: u32,
    /// Inode of its pidfd in pidfs; unique during one boot (Linux 6.9).
    pub pidfs_inode: Option<u64>,
    /// Start time in clock ticks since boot.
    pub start_ticks: Option<u64>,
    /// Id of the boot it lives in.
    pub boot_id: String,
    /// Id of the attempt's cgroup.
    pub cgroup_id: Option<u64>,
}

/// A version of an installed DAG that can be in force, with everything that it is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledDag {
    /// Its name.
    pub dag: DagName,
    /// Its file, below the directory of its kind: `NAME.yaml` of a DAG of the system, `USER/NAME.yaml` of a user's.
    pub file: String,
    /// User id its runs belong to; none is the system's.
    pub owner: Option<u32>,
    /// Permission bits of the file: who may see it.
    pub mode: u32,
    /// When this version was read.
    pub at: Time,
    /// Text of the file.
    pub source: String,
    /// Base configuration it was read with.
    pub base: Option<String>,
    /// The JSON schemas that the two refer to.
    pub schemas: Vec<SchemaFile>,
}

/// One change of the store.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A run is accepted and put at the end of its group's queue. Fails the batch if the run exists.
    Accept(Box<NewRun>),
    /// A run that has ended or waits is put into the queue again for a new attempt; its old attempts keep their
    /// history (W31).
    Requeue {
        /// Which run.
        run: RunRef,
        /// For a run that was called: number of the calling run's attempt that asks for it now.
        caller: Option<u32>,
        /// Whether nobody asks for it: its retry is due. Else its automatic retries count from the beginning.
        automatic: bool,
        /// When.
        at: Time,
    },
    /// Somebody decided about a step that waits: its row in the newest attempt is now like this. Fails the batch if
    /// the run or the step does not wait any more, so that nothing is decided twice.
    Decide {
        /// Which run.
        run: RunRef,
        /// Its newest attempt.
        attempt: AttemptId,
        /// The step.
        node: Node,
        /// As it stands after the decision.
        view: Box<StepView>,
    },
    /// A launch is decided: the attempt exists and its run has left the queue. Committed before anything is made.
    Intend {
        /// Which run.
        run: RunRef,
        /// The attempt.
        attempt: AttemptId,
        /// Its number, from 1.
        number: u32,
        /// When.
        at: Time,
    },
    /// The shim is there and waits at the gate. Committed before the gate opens.
    Identify {
        /// The attempt.
        attempt: AttemptId,
        /// Its processes.
        identity: AttemptIdentity,
    },
    /// The attempt was never started and is taken back; its run is at the head of the queue again.
    Unlaunch {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The attempt passed the gate.
    Start {
        /// The attempt.
        attempt: AttemptId,
        /// When.
        at: Time,
        /// Effective parameters, if the shim has told them.
        params: Option<Vec<(String, String)>>,
    },
    /// A node of an attempt is now like this.
    Step {
        /// The attempt.
        attempt: AttemptId,
        /// The node.
        node: Node,
        /// As it stands.
        view: Box<StepView>,
    },
    /// Somebody asked the run to stop.
    Stop {
        /// Which run.
        run: RunRef,
        /// Who.
        reason: StopReason,
        /// When.
        at: Time,
    },
    /// The attempt ended, and its run with it, unless it waits.
    End {
        /// The attempt.
        attempt: AttemptId,
        /// Final status, or `waiting`.
        status: RunStatus,
        /// The error in words.
        error: Option<String>,
        /// Why it is lost, if it is.
        lost: Option<LostCause>,
        /// Collected outputs.
        outputs: Vec<(String, String)>,
        /// Whether the run's time limit was over.
        timed_out: bool,
        /// Whether SIGKILL had to end the grace period of a stop.
        kill_escalated: bool,
        /// When.
        at: Time,
    },
    /// What an attempt has used, and what brought it to a bad end. What is none, or not known, stays as it is stored.
    Account {
        /// The attempt.
        attempt: AttemptId,
        /// What it has used.
        usage: Usage,
        /// What brought it to its end.
        cause: Option<RunCause>,
    },
    /// A run that has no live attempt ends without one: it is stopped in the queue, or while it waits. The last attempt
    /// of one that waits takes this end over and keeps its steps; the sub-runs in its tree that wait end with it.
    EndQueued {
        /// Which run.
        run: RunRef,
        /// Final status.
        status: RunStatus,
        /// The error in words.
        error: Option<String>,
        /// When.
        at: Time,
    },
    /// A run whose attempt ended badly is tried again by itself: it is ended, and not over.
    RetryLater {
        /// Which run.
        run: RunRef,
        /// Its automatic retries, the coming one included.
        retries: Retries,
        /// The coming one.
        retry: PendingRetry,
        /// When it is due by the boot clock.
        boot: Boot,
        /// The boot in which that clock counts.
        boot_id: String,
    },
    /// The retry of a run that would have come by itself does not come.
    CancelRetry {
        /// Which run.
        run: RunRef,
        /// Who cancelled it.
        reason: StopReason,
        /// When.
        at: Time,
    },
    /// Every scheduled time of the DAG up to this one is decided.
    Watermark {
        /// Which DAG.
        dag: DagName,
        /// The scheduled time.
        at: Time,
    },
    /// A version of an installed DAG is in force from now on.
    Install(Box<InstalledDag>),
    /// A DAG is not installed any more.
    Uninstall {
        /// Which.
        dag: DagName,
        /// Whether what is decided of its schedules is forgotten, too: somebody removed it on purpose.
        forget: bool,
    },
    /// The schedules of a DAG are held back, or not any more.
    Suspend {
        /// Which DAG.
        dag: DagName,
        /// Whether they are held back.
        on: bool,
    },
    /// Nothing of a queue is started, or it is again.
    PauseQueue {
        /// Which queue.
        queue: GroupName,
        /// Whether it is paused.
        on: bool,
    },
    /// A queued run gets another place. What is none stays.
    Move {
        /// Which run.
        run: RunRef,
        /// Its new queue, and that queue's capacity.
        queue: Option<(GroupName, u32)>,
        /// Its new priority.
        priority: Option<Priority>,
        /// Whether it is put before all others instead of behind.
        first: bool,
    },
    /// Operators are to be told that the run is over. In the batch of its end, so that neither is there without the other.
    Notify(Box<Notice>),
    /// The operators' command for a notice has run, or it is not run any more.
    Notified {
        /// The notice's number.
        id: i64,
    },
    /// Old runs go, with their attempts and all runs that they called; what directories they had is noted for
    /// [`Change::Removed`]. A run that is not over (queued, live, to be tried again, not cleaned up) stays, and so does the last
    /// one of a schedule. Goes so far that nothing else waits for long: give it again until all are gone.
    Retire {
        /// Runs that nobody called.
        roots: Vec<RunRef>,
    },
    /// Directories of such runs are gone.
    Removed {
        /// The attempts they were named after; that of number 0 is a run's scratch directory.
        directories: Vec<AttemptId>,
    },
    /// Entry, socket, cgroup, journal and empty files of an ended attempt are gone.
    Clean {
        /// The attempt.
        attempt: AttemptId,
    },
}
