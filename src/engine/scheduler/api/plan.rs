//! What the engine is told of schedules, and what it tells.

use std::sync::Arc;

use crate::dag::cron::{Schedule, Zone};
use crate::dag::types::OverlapPolicy;
use crate::model::change::NewRun;
use crate::model::{DagName, RunRef, Time};

/// A DAG whose schedules count.
#[derive(Debug, Clone, PartialEq)]
pub struct Installed {
    /// Its name.
    pub dag: DagName,
    /// When to start a run; one-off times are among them.
    pub starts: Vec<Schedule>,
    /// When to stop what is live, and what waits of schedules and retries.
    pub stops: Vec<Schedule>,
    /// When to stop what is live and start a run.
    pub restarts: Vec<Schedule>,
    /// Zone of those that name none.
    pub zone: Zone,
    /// Most seconds by which a start is put off, but never up to the next scheduled time; by how many is the same for a
    /// time, whenever it is asked.
    pub jitter_sec: u32,
    /// What becomes of a start while a run of the DAG is queued or live, or waits for a retry.
    pub overlap: OverlapPolicy,
    /// How far back missed starts are made up for, in seconds; 0 is never.
    pub catchup_sec: u64,
    /// Whether a start is left out if a run since the scheduled time before has succeeded.
    pub skip_if_successful: bool,
    /// A run of it, but for its id, trigger and times.
    pub template: Arc<NewRun>,
    /// Whether its schedules are held back. Of a new version the engine knows better.
    pub suspended: bool,
    /// The scheduled time up to which everything is decided; none if it was not installed until now, although it may
    /// have been long ago. Of a new version the engine knows better.
    pub watermark: Option<Time>,
    /// The newest time that a run with status `succeeded` counts for ([`Origin::counts_for`]).
    pub last_success: Option<Time>,
}

/// Most runs of a DAG that schedules made and that wait; a further start is left out. Each is held in memory.
pub const SCHEDULED_MAX: usize = 1000;
/// The same for all DAGs of a user together, whatever their overlap policies are. As many runs may a user submit.
pub const USER_SCHEDULED_MAX: usize = 10_000;

/// What happens at a scheduled time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TickKind {
    /// A run is started.
    Start,
    /// What is live is stopped, and what waits of schedules and retries.
    Stop,
    /// What is live is stopped, and a run is started.
    Restart,
}

/// What became of a scheduled time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TickOutcome {
    /// This run was queued for it; it was started late if `caught_up`.
    Started {
        /// The run.
        run: RunRef,
        /// Whether the time had passed while nothing could start.
        caught_up: bool,
    },
    /// Its run exists already: it was started before.
    StartedBefore,
    /// What was live, or waited in the queue or for a retry, was stopped: so many runs.
    Stopped(usize),
    /// The overlap policy has it dropped: a run of the DAG was queued or live.
    Overlapped,
    /// The overlap policy has it dropped: a later start that has passed as well takes its place.
    Replaced,
    /// As many runs that schedules made wait for the DAG as may ([`SCHEDULED_MAX`]).
    Crowded,
    /// As many runs that schedules made wait for the user as may ([`USER_SCHEDULED_MAX`]). What is live is left alone, too.
    UserCrowded,
    /// The overlap policy has it dropped: this run of the DAG has failed and waits for its retry, so it is not over.
    AwaitsRetry(RunRef),
    /// A run that counts for a later time than the scheduled start before succeeded (`skip_if_successful`).
    Successful,
    /// It had passed while nothing could start, and is not made up for: a start lies outside the catch-up window, and stops
    /// and restarts never are. If more than 1000 have passed only the newest are told.
    Missed,
    /// A start that had passed while nothing could start, and so had a stop after it: its run would have been ended by that.
    StopPassed,
    /// It passed while the DAG was held back. If more than 1000 have passed only the newest are told.
    HeldBack,
    /// The user of the DAG may start nothing.
    Barred,
    /// What it needs could not be stored; it is tried again until it can. Told once.
    Delayed(String),
}

/// Where a run comes from, as far as schedules are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// When it was accepted.
    pub created_at: Time,
    /// The scheduled time that it is for, if a schedule made it.
    pub scheduled_for: Option<Time>,
}

impl Origin {
    /// That of a run.
    #[must_use]
    pub const fn of(new: &NewRun) -> Self {
        Self {
            created_at: new.created_at,
            scheduled_for: new.scheduled_for,
        }
    }

    /// The time that its success counts for (`skip_if_successful`): the scheduled time of a run that a schedule made,
    /// else when it was accepted.
    #[must_use]
    pub const fn counts_for(&self) -> Time {
        match self.scheduled_for {
            Some(at) => at,
            None => self.created_at,
        }
    }
}
