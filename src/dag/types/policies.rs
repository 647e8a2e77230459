//! What decides whether and when a step runs, runs again, or is forgiven its failure.

use serde::{Deserialize, Serialize};

/// Which failures of a step its dependants tolerate (seed-spec 7.6).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContinueOn {
    /// Any failure.
    pub failure: bool,
    /// That it was skipped.
    pub skipped: bool,
    /// These exit codes.
    pub exit_code: Vec<i32>,
    /// Standard output with a line that holds one of these texts, or matches behind `re:`.
    pub output: Vec<String>,
    /// Whether a tolerated failure counts as a success of the step.
    pub mark_success: bool,
}

/// A number that may be known only when the step is prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Number {
    /// Known.
    Known(f64),
    /// An expression that must evaluate to a whole number.
    Expr(String),
}

/// Retry policy of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Most retries.
    pub limit: Number,
    /// Seconds before a retry.
    pub interval_sec: Number,
    /// Exit codes that are retried; empty is any but 0.
    pub exit_code: Vec<i32>,
    /// Factor by which the interval grows; 0 is none.
    pub backoff: f64,
    /// Longest interval in seconds, if `backoff` is set; 0 is none.
    pub max_interval_sec: f64,
}

/// When a step that ended well runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepeatMode {
    /// While the condition is met, or the exit code is listed, or it succeeds.
    While,
    /// Until the condition is met, or the exit code is listed, or it succeeds.
    Until,
}

/// Repeat policy of a step (seed-spec 7.8 and 9.7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepeatPolicy {
    /// While or until.
    pub mode: RepeatMode,
    /// Seconds before it runs again.
    pub interval_sec: Number,
    /// Most executions in all; 0 is no limit.
    pub limit: Number,
    /// Condition, if there is one.
    pub condition: Option<Condition>,
    /// Exit codes.
    pub exit_code: Vec<i32>,
    /// Factor by which the interval grows; 0 is none.
    pub backoff: f64,
    /// Longest interval in seconds, if `backoff` is set; 0 is none.
    pub max_interval_sec: f64,
}

/// A condition (seed-spec 7.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// A value if `expected` is there, else a command.
    pub condition: String,
    /// What a line of the value must equal, or match behind `re:`.
    pub expected: Option<String>,
    /// Whether the outcome is turned round.
    pub negate: bool,
}
