//! Facts: what has happened in an attempt, in the past tense. The journal holds nothing else, and everything
//! anybody knows of an attempt follows from them.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::{Cause, Exit, RunRef, RunStatus, StepStatus, Time, Usage};

/// A handler of a DAG (`handler_on`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handler {
    /// Before the first step.
    Init,
    /// After a success.
    Success,
    /// After a failure.
    Failure,
    /// After a stop.
    Abort,
    /// At the end, whatever it was.
    Exit,
    /// When the run waits for approval.
    Wait,
}

impl Handler {
    /// Every handler, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Init,
        Self::Success,
        Self::Failure,
        Self::Abort,
        Self::Exit,
        Self::Wait,
    ];

    /// The key under `handler_on`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Abort => "abort",
            Self::Exit => "exit",
            Self::Wait => "wait",
        }
    }
}

/// A node of an attempt: a step by its position in the DAG, or a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// The step at this position, from 0.
    Step(u32),
    /// A handler.
    Handler(Handler),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(index) => write!(f, "step {index}"),
            Self::Handler(handler) => write!(f, "{} handler", handler.as_str()),
        }
    }
}

/// Who or what asked an attempt to stop.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// A stop request on a socket by this user id; it honours `signal_on_stop`.
    User {
        /// The asking user's id.
        uid: u32,
    },
    /// A signal to the client that follows the run; `signal_on_stop` does not apply.
    Client {
        /// The asking user's id.
        uid: u32,
    },
    /// The daemon shuts down and is configured to stop attempts.
    Shutdown,
    /// A signal that the shim itself got.
    Signal(i32),
    /// The step that called the run is stopped, is over its time limit, or is gone.
    Caller,
    /// A stop that the DAG's schedule has.
    Schedule,
    /// A newer scheduled run of the DAG takes its place.
    Superseded,
    /// The supervisor has been silent for longer than the configuration allows.
    Stalled,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { uid } => write!(f, "stopped by user id {uid}"),
            Self::Client { uid } => write!(f, "interrupted by user id {uid}"),
            Self::Shutdown => f.write_str("stopped by the daemon's shutdown"),
            Self::Signal(signal) => {
                write!(
                    f,
                    "the supervisor was sent {}",
                    super::outcome::signal_name(*signal)
                )
            }
            Self::Caller => f.write_str("stopped with the run that called it"),
            Self::Schedule => f.write_str("stopped by the DAG's schedule"),
            Self::Superseded => f.write_str("superseded by a newer scheduled run"),
            Self::Stalled => f.write_str("stopped because its supervisor was silent for too long"),
        }
    }
}

/// A sub-run that a node plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Which run it is: its id follows from the calling run, the step and the parameters.
    pub run: RunRef,
    /// Its parameters as one text, for people.
    pub params: String,
}

/// Something that happened in an attempt. A change, never a snapshot (W17). New variants are only ever added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The shim passed the gate. Only after this record may a step start.
    Started {
        /// The shim's process id, for people.
        pid: u32,
    },
    /// The parameters as they took effect, in order; a positional one is named by its number.
    Params {
        /// Name and value.
        params: Vec<(String, String)>,
    },
    /// The DAG's preconditions were evaluated and are not met.
    PreconditionsUnmet {
        /// What was not met, in words.
        reason: String,
    },
    /// A node began a try.
    NodeStarted {
        /// Which.
        node: Node,
        /// Name of the file that holds its standard output, inside the attempt's log directory.
        stdout: String,
        /// Name of the file that holds its standard error; the same as `stdout` if they are merged.
        stderr: String,
    },
    /// A process of a node was started.
    NodeSpawned {
        /// Which.
        node: Node,
        /// Its process id, for people.
        pid: u32,
    },
    /// The main process of a node ended. Written before it is reaped.
    NodeExited {
        /// Which.
        node: Node,
        /// How.
        exit: Exit,
        /// What the kernel did to processes of the attempt while it ran, if it did something.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Cause>,
    },
    /// A try of a node failed and another one follows.
    NodeRetrying {
        /// Which.
        node: Node,
        /// How many retries there have been with the coming one.
        retry_count: u32,
        /// When the next try begins, at the earliest.
        until: Time,
        /// Why the try failed.
        error: String,
        /// Exit code of the failed try.
        exit_code: Option<i32>,
    },
    /// A node ended well and its repeat policy makes it run again.
    NodeRepeating {
        /// Which.
        node: Node,
        /// How often it has been executed to the end.
        done_count: u32,
        /// When it runs again, at the earliest.
        until: Time,
    },
    /// The output of a node was captured.
    NodeOutput {
        /// Which.
        node: Node,
        /// The variable.
        name: String,
        /// The value, trimmed; secrets in it read `*******`.
        value: String,
    },
    /// A node ended.
    NodeEnded {
        /// Which.
        node: Node,
        /// Its final status.
        status: StepStatus,
        /// Exit code, or none if no process ended.
        exit_code: Option<i32>,
        /// What went wrong, or why it was skipped or aborted.
        error: Option<String>,
        /// Times executed to the end, not counting tries that were retried or aborted.
        done_count: u32,
        /// Whether a failure is tolerated: its continue-on policy is satisfied (seed-spec 7.6).
        #[serde(default)]
        tolerated: bool,
        /// What brought it to a bad end, where its exit does not tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Cause>,
    },
    /// The sub-runs of a node's try are planned: none of them has been asked for yet. They replace those of an
    /// earlier try.
    NodeCalls {
        /// Which.
        node: Node,
        /// The sub-runs in the order of the items; equal ones are one.
        children: Vec<Call>,
    },
    /// A sub-run of a node is asked for, runs, or has ended. Recorded before it is asked for.
    ChildChanged {
        /// Which node.
        node: Node,
        /// Its position among the sub-runs of the node, from 0.
        child: u32,
        /// How it stands now.
        status: RunStatus,
    },
    /// Somebody asked the attempt to stop.
    StopRequested {
        /// Who.
        reason: StopReason,
    },
    /// The grace period is over and the whole tree was sent SIGKILL.
    KillEscalated {},
    /// The time limit of the whole run is over.
    TimedOut {},
    /// What the attempt has used, as far as its supervisor can tell; nothing of its steps lives any more.
    Used {
        /// How much.
        usage: Usage,
    },
    /// The attempt ended: the last record.
    Ended {
        /// Final status.
        status: RunStatus,
        /// The last error, if any.
        error: Option<String>,
        /// The collected outputs, in order of the steps: key and value.
        #[serde(default)]
        outputs: Vec<(String, String)>,
        /// Whether the failure handler was left out, because the whole run is tried again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        retry: bool,
    },
}

/// A fact with its place in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Position in the journal, from 0.
    pub seq: u64,
    /// When it happened.
    pub at: Time,
    /// What happened.
    pub fact: Fact,
}
