//! What the scheduler acts on: schedules, catch-up, retries of whole runs. Read and kept with the DAG.

use serde::{Deserialize, Serialize};

/// The cron expressions of a DAG, as written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schedules {
    /// When to start a run.
    pub start: Vec<String>,
    /// When to stop it.
    pub stop: Vec<String>,
    /// When to restart it.
    pub restart: Vec<String>,
}

/// What the scheduler acts on beside the schedules. Read and kept; the scheduler's issue gives it its effect.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Scheduling {
    /// Whether a start is left out if the last run since the previous start succeeded.
    pub skip_if_successful: bool,
    /// How far back missed starts are made up for, in seconds; 0 is never.
    pub catchup_window_sec: u64,
    /// What becomes of a missed start while the DAG is busy.
    pub overlap_policy: OverlapPolicy,
    /// Retries of a failed run as a whole.
    pub retry: Option<DagRetry>,
}

/// What becomes of a missed start while the DAG is busy (seed-spec 8.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapPolicy {
    /// It is dropped.
    #[default]
    Skip,
    /// It waits.
    All,
    /// Only the newest one waits.
    Latest,
    /// Everything of the DAG that waits is ended, everything live is stopped, and it takes their place.
    CancelOther,
}

/// Retry policy of a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DagRetry {
    /// Most retries, from 1.
    pub limit: u64,
    /// Seconds before a retry.
    pub interval_sec: u64,
    /// Factor by which the interval grows; 0 is none.
    pub backoff: f64,
    /// Longest interval in seconds, if `backoff` is set.
    pub max_interval_sec: u64,
}
