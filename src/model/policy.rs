//! Policies that go with a run: its priority, and when it is tried again as a whole.

use serde::{Deserialize, Serialize};

use super::Time;

/// Which of the runs that wait in one queue goes first: the one with the higher number, from -100 to 100. 0 is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "i16", into = "i16")]
pub struct Priority(i16);

/// A priority out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a priority is a whole number from -100 to 100, or low, normal or high; {0} is none")]
pub struct PriorityError(i16);

impl Priority {
    /// The lowest one.
    pub const MIN: Self = Self(-100);
    /// The highest one.
    pub const MAX: Self = Self(100);

    /// The priority with this number.
    ///
    /// # Errors
    /// When it is out of range.
    pub const fn new(number: i16) -> Result<Self, PriorityError> {
        if number < Self::MIN.0 || number > Self::MAX.0 {
            Err(PriorityError(number))
        } else {
            Ok(Self(number))
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i16 {
        self.0
    }

    /// The priority that a word or a number means: `low` is -10, `normal` 0, `high` 10.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        match text {
            "low" => Some(Self(-10)),
            "normal" => Some(Self(0)),
            "high" => Some(Self(10)),
            number => Self::new(number.parse().ok()?).ok(),
        }
    }
}

impl TryFrom<i16> for Priority {
    type Error = PriorityError;
    fn try_from(number: i16) -> Result<Self, PriorityError> {
        Self::new(number)
    }
}

impl From<Priority> for i16 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

impl std::fmt::Display for Priority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How often and how soon a run is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RetryRule {
    /// Most retries, from 1; [`u32::MAX`] is no limit.
    pub limit: u32,
    /// Seconds between the end of an attempt and the first retry.
    pub interval_sec: u64,
    /// Factor by which the interval grows with each retry; 0 is none.
    pub backoff: f64,
    /// Longest interval in seconds, if `backoff` is set.
    pub max_interval_sec: u64,
}

/// When a run is tried again as a whole (seed-spec 5.5).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// After a failure; none is never.
    pub failed: Option<RetryRule>,
    /// Exit codes of a failed step that are worth a retry; empty is any failure.
    pub exit_codes: Vec<i32>,
    /// After the attempt was lost; none is never.
    pub lost: Option<RetryRule>,
    /// Whether retries after both causes count together.
    pub shared: bool,
}

/// How many automatic retries a run has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Retries {
    /// After failures.
    pub failed: u32,
    /// After losses.
    pub lost: u32,
}

/// A retry that follows by itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NextRetry {
    /// Which one it is, from 1.
    pub number: u32,
    /// How many there may be; [`u32::MAX`] is no limit.
    pub limit: u32,
    /// Seconds from the end of the attempt.
    pub delay_sec: f64,
}

/// A retry that is waited for, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PendingRetry {
    /// Which one it is, from 1.
    pub number: u32,
    /// How many there may be; [`u32::MAX`] is no limit.
    pub limit: u32,
    /// When it is due by the wall clock.
    pub at: Time,
}

/// Which of how many it is, as people read it: `retry 2 of 5`.
impl std::fmt::Display for PendingRetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.limit {
            u32::MAX => write!(f, "retry {}", self.number),
            limit => write!(f, "retry {} of {limit}", self.number),
        }
    }
}

impl RetryRule {
    /// Seconds before the retry with this number, from 1.
    #[must_use]
    pub fn delay_sec(&self, number: u32) -> f64 {
        let interval = seconds(self.interval_sec);
        if self.backoff <= 0.0 {
            return interval;
        }
        let power = i32::try_from(number.saturating_sub(1)).unwrap_or(i32::MAX);
        let delay = interval * self.backoff.powi(power);
        let most = seconds(self.max_interval_sec);
        // Infinity times zero is not a number.
        if delay.is_nan() { interval } else { delay.min(most) }
    }
}

impl RetryPolicy {
    /// The retry that follows an attempt, if one does: `lost` says whether the attempt was lost, else it failed.
    /// Whether the exit codes allow it is not asked here.
    #[must_use]
    pub fn next(&self, so_far: Retries, lost: bool) -> Option<NextRetry> {
        let rule = if lost { self.lost } else { self.failed }?;
        let done = match (self.shared, lost) {
            (true, _) => so_far.failed.saturating_add(so_far.lost),
            (false, true) => so_far.lost,
            (false, false) => so_far.failed,
        };
        if done >= rule.limit {
            return None;
        }
        let number = done.saturating_add(1);
        Some(NextRetry {
            number,
            limit: rule.limit,
            delay_sec: rule.delay_sec(number),
        })
    }

    /// Whether failures that ended with these exit codes are worth a retry: one of them is enough.
    #[must_use]
    pub fn wants(&self, mut codes: impl Iterator<Item = i32>) -> bool {
        self.exit_codes.is_empty() || codes.any(|code| self.exit_codes.contains(&code))
    }
}

impl Retries {
    /// One more.
    #[must_use]
    pub const fn with(self, lost: bool) -> Self {
        if lost {
            Self {
                lost: self.lost.saturating_add(1),
                ..self
            }
        } else {
            Self {
                failed: self.failed.saturating_add(1),
                ..self
            }
        }
    }
}

/// Up to some centuries, which is what a delay may be.
fn seconds(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: RetryRule = RetryRule {
        limit: 3,
        interval_sec: 10,
        backoff: 2.0,
        max_interval_sec: 35,
    };

    #[test]
    fn the_interval_grows_up_to_its_cap() {
        let delays: Vec<f64> = (1..=4).map(|number| RULE.delay_sec(number)).collect();
        assert_eq!(delays, [10.0, 20.0, 35.0, 35.0]);
        let even = RetryRule { backoff: 0.0, ..RULE };
        assert_eq!(even.delay_sec(9), 10.0);
        assert_eq!(RULE.delay_sec(u32::MAX), 35.0);
    }

    #[test]
    fn budgets_are_shared_or_apart() {
        let mut policy = RetryPolicy {
            failed: Some(RULE),
            lost: Some(RetryRule { limit: 1, ..RULE }),
            ..RetryPolicy::default()
        };
        let so_far = Retries { failed: 2, lost: 1 };
        assert_eq!(policy.next(so_far, false).map(|next| next.number), Some(3));
        assert_eq!(policy.next(so_far, true), None);
        policy.shared = true;
        assert_eq!(policy.next(so_far, false), None);
        policy.failed = None;
        assert_eq!(policy.next(Retries::default(), false), None);
    }

    #[test]
    fn a_priority_has_a_range_and_words() {
        assert_eq!(Priority::from_text("high").map(Priority::number), Some(10));
        assert_eq!(Priority::from_text("-100"), Some(Priority::MIN));
        assert_eq!(Priority::from_text("101"), None);
        assert!(serde_json::from_str::<Priority>("-101").is_err());
    }
}
