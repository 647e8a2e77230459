//! What a step's definition says about the end of a try: retry, repeat, continue-on, time limit, signal. Pure
//! rules, no state (seed-spec 7.6 and 7.8).

use super::approval::waiting_text;
use crate::dag::Step;
use crate::dag::types::{ContinueOn, Output, RepeatMode, RepeatPolicy, RetryPolicy};

/// SIGTERM, which has this number on every Linux.
pub(super) const SIGTERM: i32 = 15;

/// Exit code of a try whose time limit was over (seed-spec 7.8).
pub(super) const TIMEOUT_CODE: i32 = 124;

/// Longest wait, in seconds: about 30,000 years, so that a growing interval stays a finite number.
const WAIT_MAX: f64 = 1e12;

/// A growing interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Backoff {
    factor: f64,
    max_sec: f64,
}

impl Backoff {
    /// Seconds to wait: `interval * factor^power`, at most `max_sec`. Without a factor the interval is constant and
    /// has no cap (seed-spec A.8).
    pub(super) fn wait(self, interval: f64, power: u32) -> f64 {
        // Also false for what is not a number.
        if interval > 0.0 {
            let grown = if self.factor > 0.0 {
                let grown = interval * self.factor.powf(f64::from(power));
                if self.max_sec > 0.0 {
                    grown.min(self.max_sec)
                } else {
                    grown
                }
            } else {
                interval
            };
            grown.min(WAIT_MAX)
        } else {
            0.0
        }
    }
}

/// What to do after an execution of a repeating step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It is finished.
    Stop,
    /// It runs again.
    Again,
    /// The condition decides.
    Ask,
}

#[derive(Debug, Clone)]
struct RepeatRule {
    mode: RepeatMode,
    has_condition: bool,
    codes: Vec<i32>,
    backoff: Backoff,
}

#[derive(Debug, Clone)]
struct RetryRule {
    codes: Vec<i32>,
    backoff: Backoff,
}

/// The policies of a node.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) timeout_sec: u64,
    pub(super) signal_on_stop: Option<i32>,
    pub(super) continue_on: ContinueOn,
    pub(super) output: Option<Output>,
    /// What it says while it waits for approval, if it needs one.
    pub(super) approval: Option<String>,
    retry: Option<RetryRule>,
    repeat: Option<RepeatRule>,
}

impl Policy {
    /// The policies of a step.
    pub(super) fn of_step(step: &Step) -> Self {
        Self {
            timeout_sec: step.timeout_sec,
            signal_on_stop: step.signal_on_stop,
            continue_on: step.continue_on.clone(),
            output: step.output.clone(),
            approval: step.approval.as_ref().map(waiting_text),
            retry: step.retry.as_ref().map(RetryRule::new),
            repeat: step.repeat.as_ref().map(RepeatRule::new),
        }
    }

    /// The policies of a handler: it is executed once, and its outputs are not collected (seed-spec 7.10).
    pub(super) fn of_handler(step: &Step) -> Self {
        Self {
            retry: None,
            repeat: None,
            output: None,
            approval: None,
            ..Self::of_step(step)
        }
    }

    pub(super) fn repeats(&self) -> bool {
        self.repeat.is_some()
    }

    pub(super) fn has_retry(&self) -> bool {
        self.retry.is_some()
    }

    /// Whether a failure with this exit code is one that is retried.
    pub(super) fn retries_code(&self, code: i32) -> bool {
        self.retry.as_ref().is_some_and(|rule| {
            if rule.codes.is_empty() {
                code != 0
            } else {
                rule.codes.contains(&code)
            }
        })
    }

    /// Seconds before retry number `count`, from 1.
    pub(super) fn retry_wait(&self, interval: f64, count: u32) -> f64 {
        let power = count.saturating_sub(1);
        self.retry
            .as_ref()
            .map_or(0.0, |rule| rule.backoff.wait(interval, power))
    }

    /// Seconds before the next execution after `done` executions.
    pub(super) fn repeat_wait(&self, interval: f64, done: u32) -> f64 {
        self.repeat
            .as_ref()
            .map_or(0.0, |rule| rule.backoff.wait(interval, done))
    }

    /// What follows an execution that ended with `code`, `done` executions in all, at most `limit` (0 is no limit).
    pub(super) fn after_execution(&self, done: u32, limit: u32, code: i32, failed: bool) -> Repeat {
        let Some(rule) = &self.repeat else {
            return Repeat::Stop;
        };
        if limit > 0 && done >= limit {
            return Repeat::Stop;
        }
        let listed = rule.codes.contains(&code);
        match (rule.mode, rule.has_condition) {
            (RepeatMode::While, _) if listed => Repeat::Again,
            (RepeatMode::Until, _) if listed => Repeat::Stop,
            (_, true) => Repeat::Ask,
            (RepeatMode::While, false) if rule.codes.is_empty() && !failed => Repeat::Again,
            (RepeatMode::Until, false) if !rule.codes.is_empty() || failed => Repeat::Again,
            (RepeatMode::While | RepeatMode::Until, false) => Repeat::Stop,
        }
    }

    /// Whether it runs again now that the condition was evaluated.
    pub(super) fn after_check(&self, met: bool) -> bool {
        self.repeat.as_ref().is_some_and(|rule| match rule.mode {
            RepeatMode::While => met,
            RepeatMode::Until => !met,
        })
    }

    /// Whether a failure is one that the dependants tolerate (seed-spec 7.6).
    pub(super) fn tolerates(&self, code: Option<i32>, output_matched: bool) -> bool {
        self.continue_on.failure
            || code.is_some_and(|code| self.continue_on.exit_code.contains(&code))
            || output_matched
    }
}

impl RetryRule {
    fn new(policy: &RetryPolicy) -> Self {
        Self {
            codes: policy.exit_code.clone(),
            backoff: Backoff {
                factor: policy.backoff,
                max_sec: policy.max_interval_sec,
            },
        }
    }
}

impl RepeatRule {
    fn new(policy: &RepeatPolicy) -> Self {
        Self {
            mode: policy.mode,
            has_condition: policy.condition.is_some(),
            codes: policy.exit_code.clone(),
            backoff: Backoff {
                factor: policy.backoff,
                max_sec: policy.max_interval_sec,
            },
        }
    }
}
