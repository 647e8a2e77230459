//! Messages about installed DAGs, schedules, queues and old runs.

use serde::{Deserialize, Serialize};

use super::control::Problem;
use crate::model::{DagName, GroupName, RunRef, RunStatus, SchemaFile, Time};

/// A DAG to be installed. Contents travel, not paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// Text of the DAG file.
    pub source: String,
    /// How the file is called in error messages.
    pub file: String,
    /// File name without extension: the DAG's name if it does not give one.
    pub stem: String,
    /// Name for the DAG, before the one in the file.
    pub name: Option<String>,
    /// The JSON schemas that the text refers to, as the client found them.
    pub schemas: Vec<SchemaFile>,
    /// Whether a DAG of the caller that has that name already is replaced.
    pub replace: bool,
    /// Whether the file is for the caller's eyes only.
    pub private: bool,
    /// The text that is replaced must be this one (SHA-256 in hexadecimal), so that two editors do not overwrite each
    /// other.
    pub replaces: Option<String>,
}

/// The text of an installed DAG.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceText {
    /// Which DAG.
    pub dag: DagName,
    /// Absolute path of its file.
    pub file: String,
    /// The text as the file has it now.
    pub text: String,
    /// SHA-256 of it in hexadecimal.
    pub hash: String,
    /// Whether the caller may replace it with `install`.
    pub own: bool,
    /// Whether it is the file that has the name: not if another DAG has it.
    pub in_force: bool,
}

/// An installed DAG in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DagSummary {
    /// Its name.
    pub dag: DagName,
    /// Absolute path of its file; empty if that is gone.
    pub file: String,
    /// User id its runs belong to.
    pub owner: u32,
    /// Whether it lies in the system's directory.
    pub system: bool,
    /// Description from the file.
    pub description: Option<String>,
    /// Its schedules as written: `start`, `stop`, `restart` or `at`, and the expression.
    pub schedules: Vec<(String, String)>,
    /// Whether its schedules are held back (`disable`).
    pub suspended: bool,
    /// What is wrong with the file as it is now; then the last good version is in force, if there is one.
    pub problems: Vec<Problem>,
    /// Whether a version of it is in force.
    pub in_force: bool,
    /// What comes next.
    pub next: Option<Upcoming>,
    /// What became of its last scheduled time, in words.
    pub last: Option<String>,
    /// Its newest run and how that stands.
    pub newest: Option<(RunRef, RunStatus)>,
}

/// What a schedule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Starts a run.
    Start,
    /// Stops what is live.
    Stop,
    /// Stops what is live and starts a run.
    Restart,
}

/// A scheduled time to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upcoming {
    /// Which DAG.
    pub dag: DagName,
    /// What is done.
    pub action: Action,
    /// The scheduled time.
    pub at: Time,
    /// When it is due: the jitter added.
    pub due: Time,
    /// The scheduled time as the clock of its zone shows it, with the offset.
    pub local: String,
    /// Name of that zone.
    pub zone: String,
    /// What is unusual about it because the clock changes that day, in words.
    pub note: Option<String>,
    /// Whether it is held back.
    pub suspended: bool,
    /// Nothing happens up to this time, since the clock was ahead and the times until then are decided already.
    pub decided_ahead: Option<Time>,
    /// Whether nothing happens at all, since this daemon leaves when it is idle (`--embedded`).
    pub idle: bool,
    /// Why nothing is started, if the configuration does not allow its user to start anything.
    pub barred: Option<String>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// Its name.
    pub queue: GroupName,
    /// Most live runs; 0 is no limit. None if nothing has told it yet.
    pub capacity: Option<u32>,
    /// Live runs that count.
    pub live: u32,
    /// Runs that wait.
    pub queued: u32,
    /// Whether it starts nothing.
    pub paused: bool,
    /// The run that waits longest, and since when.
    pub oldest: Option<(RunRef, Time)>,
    /// The user whose runs alone these are: of a queue that is not configured, the runs of the DAG that has its name count
    /// for each user by themselves. None for those of all.
    pub owner: Option<u32>,
}

/// What a clean-up removed, or would remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanupReport {
    /// Runs that somebody asked for.
    pub runs: u64,
    /// Runs that they called.
    pub sub_runs: u64,
    /// Bytes of their logs and scratch directories; none if it was not counted.
    pub bytes: Option<u64>,
    /// The oldest of these runs, at most 100.
    pub first: Vec<RunRef>,
    /// What could not be removed, in words.
    pub failures: Vec<String>,
    /// Whether nothing was removed.
    pub dry_run: bool,
}
