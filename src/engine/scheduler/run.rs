//! One run as the engine holds it: from the request that makes it until its last attempt is cleaned up.

use std::collections::BTreeSet;

use super::again::Again;
use super::api::{Origin, Place, RetryFacts, Token};
use crate::model::change::Change;
use crate::model::{AttemptId, Boot, GroupName, LostCause, Priority, RunRef, RunStatus, StopReason};

/// The engine's own number of a run in memory; never used again.
pub(super) type Key = u64;

/// Where a run is on its way. The attempt's processes may live from `Launching` on, until [`Phase::Sweeping`],
/// `Ending { gone: true }` or [`Phase::Forgetting`].
#[derive(Debug)]
pub(super) enum Phase {
    /// Its `Accept` or `Requeue` is being committed; it exists only if that succeeds.
    Admitting {
        /// Who asked; nobody if a schedule made it.
        token: Option<Token>,
        /// Others who submitted the same run meanwhile.
        rivals: Vec<Token>,
        /// What the request says of the group's capacity.
        capacity: u32,
    },
    /// Its `Move` is being committed; it is out of the queue meanwhile.
    Moving {
        /// Who asked.
        token: Token,
        /// Where it goes.
        place: Place,
    },
    /// Waits in its group's queue.
    Queued,
    /// Queued, but passed over until its timer is due: its last start went wrong.
    Delayed,
    /// Stopped before an attempt: its `EndQueued` is being committed.
    Dropping,
    /// Its `Intend` is being committed.
    Intending,
    /// The shell makes directory, cgroup, entry and shim.
    Launching,
    /// The shim waits at the gate; its `Identify` is being committed.
    Identifying,
    /// The gate was told to open, or an adopted shim has not passed it yet; `started` was not seen.
    Opening,
    /// The shim passed the gate.
    Running,
    /// The gate was told to close; the shim exits.
    Closing,
    /// It never started and nothing of it lives; the shell removes what was made.
    Sweeping {
        /// Set if it is not to be tried again.
        give_up: Option<LostCause>,
    },
    /// Its `Unlaunch` is being committed.
    Unlaunching,
    /// It ended; its `End` is being committed, or the shim has not exited yet.
    Ending {
        /// Whether nothing of it lives any more.
        gone: bool,
    },
    /// Its end is committed and nothing of it lives; the shell removes what is left.
    Cleaning,
    /// Nothing of it is left; the batch that says so is being committed.
    Forgetting,
    /// Nothing of its attempt is left, and it waits for its retry as a whole.
    Pausing,
    /// Its `Requeue` is being committed: its retry is due, or a person wants it.
    Returning {
        /// Who asked, if somebody did.
        token: Option<Token>,
    },
}

/// A run in memory.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) name: RunRef,
    pub(super) group: GroupName,
    /// User id it belongs to: users of a queue take turns.
    pub(super) owner: u32,
    pub(super) priority: Priority,
    /// Whether it starts at once, beyond the limits of queue, DAG and daemon.
    pub(super) now: bool,
    /// Most live runs of its DAG, as it says; 0 is no limit.
    pub(super) dag_limit: u32,
    /// The run that called it. Such a run is a guest: it runs within the slot of the root of its tree, and takes none
    /// of any group (W36).
    pub(super) parent: Option<RunRef>,
    /// The runs it called that are in memory. It is not forgotten, and so not tried again, before they are (W5).
    pub(super) children: BTreeSet<Key>,
    /// Place in the queue; kept while it is out of it, so that a run that is taken back finds its place again.
    pub(super) seq: i64,
    /// Until when it is passed over, if it was when it left the queue for a moment.
    pub(super) delayed: Option<Boot>,
    /// Number of the newest attempt that is not taken back.
    pub(super) attempts: u32,
    /// The attempt that is not cleaned.
    pub(super) attempt: Option<AttemptId>,
    pub(super) phase: Phase,
    /// Whether it is a member of its group: from admission on.
    pub(super) member: bool,
    /// Whether it counts as live in its group.
    pub(super) slot: bool,
    /// Whether it is in the way of what waits of its DAG, until its slot is free: it was superseded.
    pub(super) blocks: bool,
    /// Where it comes from.
    pub(super) origin: Origin,
    /// Whether it waits for a person, in the store, and is here only to be stopped.
    pub(super) waits: bool,
    /// Whether its shim outlived an earlier daemon.
    pub(super) adopted: bool,
    /// A stop that was asked for; the first one counts.
    pub(super) stop: Option<StopReason>,
    /// Whether the run that called it wants it stopped, or is over, or a schedule does: such a stop is never withdrawn.
    pub(super) bound: bool,
    /// Whether the store holds that stop.
    pub(super) stop_saved: bool,
    /// Who waits for the answer to a stop.
    pub(super) stop_tokens: Vec<Token>,
    /// Who stopped it when its attempt had ended already and the store did not have that yet.
    pub(super) late_stops: Vec<(Token, StopReason)>,
    /// How the attempt ended, once it is known.
    pub(super) outcome: Option<RunStatus>,
    /// Whether the store holds the end.
    pub(super) end_saved: bool,
    /// Whether it was told that it is over.
    pub(super) over: bool,
    /// A retry that waits until nothing is left of the attempt before (W5).
    pub(super) retry: Option<(Token, RetryFacts)>,
    /// Its retries as a whole.
    pub(super) again: Again,
    /// The batch in flight. There is at most one, so batches of a run cannot overtake each other.
    pub(super) batch: Option<(u64, Vec<Change>)>,
    /// What is to be committed after it, in order.
    pub(super) unsaved: Vec<Change>,
    /// When to commit again, or to queue again.
    pub(super) timer: Option<Boot>,
    /// Batches that failed in a row.
    pub(super) failures: u32,
    /// Starts that went wrong in a row, through the store or through the shim.
    pub(super) setbacks: u32,
    /// Shims that died in a row before they passed an open gate.
    pub(super) false_starts: u32,
}

impl Run {
    pub(super) fn new(name: RunRef, group: GroupName, attempts: u32, phase: Phase) -> Self {
        Self {
            name,
            group,
            owner: 0,
            priority: Priority::default(),
            now: false,
            dag_limit: 0,
            parent: None,
            children: BTreeSet::new(),
            seq: 0,
            attempts,
            attempt: None,
            phase,
            member: false,
            delayed: None,
            slot: false,
            blocks: false,
            origin: Origin::default(),
            waits: false,
            adopted: false,
            stop: None,
            bound: false,
            stop_saved: false,
            stop_tokens: Vec::new(),
            late_stops: Vec::new(),
            outcome: None,
            end_saved: false,
            over: false,
            retry: None,
            again: Again::default(),
            batch: None,
            unsaved: Vec::new(),
            timer: None,
            failures: 0,
            setbacks: 0,
            false_starts: 0,
        }
    }

    /// Whether it was called by another run.
    pub(super) const fn is_guest(&self) -> bool {
        self.parent.is_some()
    }

    /// Whether steps of it may run, and so call others.
    pub(super) const fn is_under_way(&self) -> bool {
        matches!(self.phase, Phase::Opening | Phase::Running)
    }

    /// Whether its attempt has ended, and its processes or the runs that it called may live yet.
    pub(super) const fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. })
    }

    /// Whether it is queued or live, or on its way there, if only for a retry that comes by itself. What has ended, or
    /// is being ended in the queue, is not.
    pub(super) const fn occupies(&self) -> bool {
        if self.again.due.is_some() {
            return true;
        }
        match self.phase {
            Phase::Dropping | Phase::Cleaning | Phase::Forgetting => false,
            // Runs that it called may live.
            Phase::Ending { .. } => self.slot,
            _ => true,
        }
    }

    /// The status that those are told who ask for something that does not fit it.
    pub(super) const fn status(&self) -> RunStatus {
        match self.phase {
            Phase::Pausing => RunStatus::Failed,
            _ if self.end_saved => RunStatus::Queued,
            Phase::Admitting { .. }
            | Phase::Queued
            | Phase::Delayed
            | Phase::Moving { .. }
            | Phase::Dropping => RunStatus::Queued,
            _ => RunStatus::Running,
        }
    }

    /// Whether it rests in the queue: nothing of it is live or being written.
    pub(super) const fn rests(&self) -> bool {
        matches!(self.phase, Phase::Queued | Phase::Delayed)
    }

    /// Whether it is out of the queue only to get another place in it.
    pub(super) const fn is_being_moved(&self) -> bool {
        matches!(self.phase, Phase::Moving { .. })
    }
}
