//! What the scheduler acts on: schedules, catch-up, overlap, retries of whole runs, priority.

use serde::{Deserialize, Deserializer, Serialize};

use super::cron::{CronError, Schedule, Zone};
use crate::model::{Priority, RetryPolicy, RetryRule, Time};

/// The schedules of a DAG, as written. Those of a DAG that was loaded are valid.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schedules {
    /// When to start a run.
    pub start: Vec<String>,
    /// When to stop the live ones.
    pub stop: Vec<String>,
    /// When to stop the live ones and start a new one.
    pub restart: Vec<String>,
    /// Single times to start a run.
    #[serde(default)]
    pub at: Vec<String>,
    /// Most seconds, up to [`JITTER_MAX`], by which what is due is put off; 0 is not at all. Each scheduled time of a
    /// DAG has its own delay, always the same.
    #[serde(default)]
    pub jitter_sec: u32,
}

/// Most seconds of jitter.
pub const JITTER_MAX: u32 = 3_600;

/// What `delivery: at_least_once` means for an attempt that was lost, if the policy has no rule for that.
pub const AT_LEAST_ONCE: RetryRule = RetryRule {
    limit: u32::MAX,
    interval_sec: 1,
    backoff: 2.0,
    max_interval_sec: 300,
};

/// The schedules of a DAG, compiled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar {
    /// When to start a run: expressions and single times.
    pub starts: Vec<Schedule>,
    /// When to stop the live ones.
    pub stops: Vec<Schedule>,
    /// When to stop the live ones and start a new one.
    pub restarts: Vec<Schedule>,
}

impl Schedules {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start.is_empty() && self.stop.is_empty() && self.restart.is_empty() && self.at.is_empty()
    }

    /// The first one whose times depend on the zone of schedules that name none.
    #[must_use]
    pub fn without_zone(&self) -> Option<&str> {
        let mut expressions = self.start.iter().chain(&self.stop).chain(&self.restart);
        let expression =
            |text: &&String| Schedule::parse(text).is_ok_and(|schedule| schedule.zone().is_none());
        // Nowhere do clocks show the same time as there and in UTC.
        let elsewhere = Zone::named("Etc/GMT-14").unwrap_or(Zone::UTC);
        let instant = |text: &str, zone| {
            let schedule = Schedule::at(text, zone).ok()?;
            Some(schedule.next(Time(i64::MIN), zone)?.at)
        };
        let single = |text: &&String| instant(text, Zone::UTC) != instant(text, elsewhere);
        expressions
            .find(expression)
            .or_else(|| self.at.iter().find(single))
            .map(String::as_str)
    }

    /// Compiles them. The zone is for single times that name none themselves.
    ///
    /// # Errors
    /// All that is wrong with the first one that is not valid; never for a DAG that this version loaded.
    pub fn calendar(&self, zone: Zone) -> Result<Calendar, Vec<CronError>> {
        let compiled = |list: &[String]| -> Result<Vec<Schedule>, _> {
            list.iter().map(|text| Schedule::parse(text)).collect()
        };
        let mut starts = compiled(&self.start)?;
        for text in &self.at {
            starts.push(Schedule::at(text, zone).map_err(|error| vec![error])?);
        }
        Ok(Calendar {
            starts,
            stops: compiled(&self.stop)?,
            restarts: compiled(&self.restart)?,
        })
    }
}

/// What the scheduler acts on beside the schedules.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scheduling {
    /// Whether a start is left out if the last run since the previous start succeeded.
    pub skip_if_successful: bool,
    /// How far back missed starts are made up for, in seconds; 0 is never.
    pub catchup_window_sec: u64,
    /// What becomes of a start while the DAG is busy.
    pub overlap_policy: OverlapPolicy,
    /// Whether a run whose attempt was lost is started again without being asked (`delivery`). The rule for that is in
    /// `retry`.
    #[serde(default)]
    pub at_least_once: bool,
    /// Retries of a run as a whole.
    #[serde(default, deserialize_with = "retry")]
    pub retry: Option<RetryPolicy>,
    /// Priority of its runs in their queue.
    #[serde(default)]
    pub priority: Priority,
    /// How many ended runs are kept, 0 for no limit; none is as configured.
    #[serde(default)]
    pub hist_retention_runs: Option<u32>,
}

/// What becomes of a start while the DAG is busy (seed-spec 8.7): while a run of it waits or is live.
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
    /// What waits is ended and what is live is stopped, then it starts.
    CancelOther,
}

impl OverlapPolicy {
    /// Whether of several scheduled runs only the newest counts.
    #[must_use]
    pub const fn only_newest(self) -> bool {
        matches!(self, Self::Latest | Self::CancelOther)
    }

    /// As DAG files write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::All => "all",
            Self::Latest => "latest",
            Self::CancelOther => "cancel_other",
        }
    }
}

/// Reads also the policy that the first stored DAGs have, when it was kept without effect: one rule for failures.
fn retry<'de, D: Deserializer<'de>>(from: D) -> Result<Option<RetryPolicy>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Policy(RetryPolicy),
        Rule(RetryRule),
    }
    let stored = Option::<Stored>::deserialize(from)?;
    Ok(stored.map(|stored| match stored {
        Stored::Policy(policy) => policy,
        Stored::Rule(rule) => RetryPolicy {
            failed: Some(rule),
            ..RetryPolicy::default()
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_which_times_depend_on_the_zone() {
        let of = |start: &str, at: &str| {
            let list = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let schedules = Schedules {
                start: list(start).into_iter().collect(),
                at: list(at).into_iter().collect(),
                ..Schedules::default()
            };
            schedules.without_zone().map(str::to_owned)
        };
        for text in ["0 3 * * *", "@daily", "*/5 * * * *"] {
            assert_eq!(of(text, "").as_deref(), Some(text));
            assert_eq!(of(&format!("TZ=Europe/Berlin {text}"), ""), None);
        }
        for text in ["2030-11-23 08:30", "2030-03-31 02:30:15"] {
            assert_eq!(of("", text).as_deref(), Some(text));
            assert_eq!(of("", &format!("TZ=Europe/Berlin {text}")), None);
        }
        assert_eq!(of("", "2030-11-23T08:30:00+01:00"), None);
        assert_eq!(of("", ""), None);
    }
}
