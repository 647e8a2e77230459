//! The engine of the daemon: admission, queue order, group capacity, launch, adoption, loss, stop and retry.
//!
//! It owns every run that is queued or has an attempt that is not cleaned up; an ended run leaves it. It decides
//! and nothing more: it does no I/O, reads no clock, and every effect that must not be undone follows the commit
//! that allows it. It is total: an event that does not fit the state, a duplicate for example, changes nothing.
//!
//! ```text
//!   Submit ─ Admitting ─ Queued ─ Intending ─ Launching ─ Identifying ─ Opening ─ Running ─ Ending ─ Cleaning ─ Forgetting
//!                          │ ▲  ▲                 └───────────┴── Closing ──┤
//!                  Dropping┘ │  └──────────── Unlaunching ─────── Sweeping ─┘
//!                   Delayed, Moving
//! ```
//!
//! A run that is to be tried again as a whole does not leave after `Forgetting`: see the file again.rs.
//!
//! What the journal says of steps does not pass through here: the shell gives it to the store.

mod admit;
mod again;
pub mod api;
mod family;
mod finish;
pub mod foreign;
mod groups;
mod launch;
mod plan;
mod queues;
mod recover;
mod resting;
mod run;
mod save;
pub mod stalled;
mod stop;
#[cfg(test)]
mod tests;
mod timers;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};

pub use api::{Effect, Event, Installed, Origin, Place, Refusal, TickKind, TickOutcome, Token};
pub use plan::Upcoming;
pub use queues::{Hold, QueueState};

use crate::model::{AttemptId, DagName, GroupName, Now, RunRef};
use groups::Groups;
use plan::Plans;
use queues::Pausing;
use resting::Resting;
use run::{Key, Run};
use save::Owner;
use timers::Timers;
use waiting::Waiting;

/// What an administrator decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Most live attempts over all groups; 0 is no limit.
    pub max_live: u32,
    /// Capacity of each queue that is configured; 0 is no limit. What runs say of these does not count.
    pub queues: BTreeMap<GroupName, u32>,
    /// User id that may have any number of scheduled runs wait, if there is one ([`api::USER_SCHEDULED_MAX`]).
    pub unbounded: Option<u32>,
}

/// How much the engine holds, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Runs in memory, whatever their state.
    pub runs: usize,
    /// Those that wait in a queue.
    pub queued: usize,
    /// Attempts that count against capacity.
    pub live: u32,
    /// Those that wait for a retry as a whole.
    pub retrying: usize,
}

/// The state machine. See the module's documentation.
#[derive(Debug)]
pub struct Scheduler {
    max_live: u32,
    unbounded: Option<u32>,
    draining: bool,
    /// Whether [`Effect::Idle`] was told and still holds.
    idle: bool,
    runs: BTreeMap<Key, Run>,
    names: BTreeMap<RunRef, Key>,
    /// The runs of each user's DAG that nobody called.
    by_dag: BTreeMap<(DagName, u32), BTreeSet<Key>>,
    attempts: BTreeMap<AttemptId, Key>,
    /// Whose batch each one is that is in flight.
    commits: BTreeMap<u64, Owner>,
    groups: Groups,
    /// Queues whose pause, or its end, is being committed.
    pausing: BTreeMap<GroupName, Pausing>,
    timers: Timers,
    plans: Plans,
    /// Of `runs`, those that schedules made and that are not live.
    waiting: Waiting,
    /// How many of `runs` rest in a queue.
    resting: Resting,
    /// Those that wait for a retry as a whole, by DAG.
    retrying: BTreeSet<(DagName, Key)>,
    /// DAGs, and whose they are, of which runs are not tried again for now.
    on_hold: BTreeSet<(DagName, u32)>,
    /// DAGs whose users are gone, and the user ids those had: their runs are not tried again either.
    ownerless: BTreeSet<(DagName, u32)>,
    /// Which boot it is.
    boot_id: String,
    last_key: Key,
    last_commit: u64,
    /// Failures in a row for which launches were held up.
    hold_failures: u32,
    /// Whether launches are held up because the disk is full.
    held: bool,
}

impl Scheduler {
    /// An engine that holds nothing. Give it [`Event::Recover`] first.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut groups = Groups::default();
        groups.configure(config.queues);
        Self {
            max_live: config.max_live,
            unbounded: config.unbounded,
            draining: false,
            idle: false,
            runs: BTreeMap::new(),
            names: BTreeMap::new(),
            by_dag: BTreeMap::new(),
            attempts: BTreeMap::new(),
            commits: BTreeMap::new(),
            groups,
            pausing: BTreeMap::new(),
            timers: Timers::default(),
            plans: Plans::default(),
            waiting: Waiting::default(),
            resting: Resting::default(),
            retrying: BTreeSet::new(),
            on_hold: BTreeSet::new(),
            ownerless: BTreeSet::new(),
            boot_id: String::new(),
            last_key: 0,
            last_commit: 0,
            hold_failures: 0,
            held: false,
        }
    }

    /// The administrator has decided anew. It counts from the next event on; tell [`Event::Tick`] to have it count now.
    /// What is live over a limit that was lowered stays live.
    pub fn configure(&mut self, config: Config) {
        self.max_live = config.max_live;
        self.unbounded = config.unbounded;
        self.groups.configure(config.queues);
    }

    /// Takes one event and appends what is to be done to `out`, in order.
    pub fn handle(&mut self, now: Now, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Recover(runs) => self.recover(now, runs, out),
            Event::Submit(token, new) => self.submit(token, new, out),
            Event::Retry(token, run, facts) => self.retry(now, token, &run, facts, out),
            Event::Decide(token, run, facts, decision) => {
                self.decide(now, token, &run, facts, decision, out);
            }
            Event::Stop(token, run, reason) => self.stop(now, token, &run, reason, out),
            Event::CallerStops { run, kill } => self.caller_stops(now, &run, kill, out),
            Event::Committed(number) => self.committed(now, number, out),
            Event::CommitFailed(number, error) => self.commit_failed(now, number, error, out),
            Event::Ready(attempt, identity) => self.ready(&attempt, identity, out),
            Event::LaunchFailed(attempt, why) => self.launch_failed(now, &attempt, &why, out),
            Event::Started(attempt, at, params) => self.started(&attempt, at, params, out),
            Event::Ended(attempt, end) => self.ended(now, &attempt, end, out),
            Event::Gone(attempt, cause) => self.gone(now, &attempt, cause, out),
            Event::Cleaned(attempt) => self.cleaned(now, &attempt, out),
            Event::Tick => self.tick(now, out),
            Event::ClockSet => self.clock_set(now, out),
            Event::Install(installed) => self.install(now, *installed, out),
            Event::Uninstall(dag) => self.uninstall(now, &dag, out),
            Event::Forget(dag) => self.forget_dag(now, &dag, out),
            Event::Suspend {
                token,
                dag,
                owner,
                on,
            } => self.suspend(now, (token, on), &dag, owner, out),
            Event::Pause(token, queue, on) => self.pause(token, queue, on, out),
            Event::Suspended(dags) => self.on_hold.extend(dags),
            Event::Ownerless(dags) => self.ownerless(now, dags, out),
            Event::Barred { dags, unsure } => self.bar(now, dags, unsure, out),
            // What follows from it, recovery decides.
            Event::Paused(queues) => return self.paused(queues),
            Event::Move(token, run, place) => self.place(token, &run, place, out),
            Event::Dequeue(token, run, reason) => self.take_out(now, token, &run, reason, out),
            Event::Drain => {
                self.draining = true;
                self.idle = false;
            }
        }
        self.launch_next(now, out);
        self.arm_plans(now);
        if let Some(at) = self.timers.arm() {
            out.push(Effect::Arm(at));
        }
        let rest = if self.draining {
            self.resting.all() + self.waiting_retries()
        } else {
            0
        };
        let busy = self.pausing.len() + self.runs.len() - rest + self.plans.flights();
        if busy > 0 {
            self.idle = false;
        } else if !self.idle {
            self.idle = true;
            out.push(Effect::Idle);
        }
    }

    /// How much it holds.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            runs: self.runs.len(),
            queued: self.resting.all(),
            retrying: self.retrying.len(),
            live: self.groups.live(),
        }
    }

    /// Whether it holds nothing at all: no run, no group, no batch in flight, no index entry. Installed DAGs do not
    /// count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
            && self.names.is_empty()
            && self.by_dag.is_empty()
            && self.attempts.is_empty()
            && self.commits.is_empty()
            && self.groups.is_empty()
            && self.pausing.is_empty()
            && self.timers.runs() == 0
            && self.waiting.is_empty()
            && self.resting.is_empty()
            && self.retrying.is_empty()
            && self.groups.live() == 0
    }

    fn insert(&mut self, run: Run) -> Key {
        self.last_key += 1;
        self.names.insert(run.name.clone(), self.last_key);
        if !run.is_guest() {
            let of_dag = self.by_dag.entry((run.name.dag.clone(), run.owner)).or_default();
            of_dag.insert(self.last_key);
        }
        if let Some(attempt) = &run.attempt {
            self.attempts.insert(attempt.clone(), self.last_key);
        }
        self.waiting.add(&run);
        self.runs.insert(self.last_key, run);
        self.last_key
    }

    /// Takes a run out of memory.
    fn remove(&mut self, key: Key) -> Option<Run> {
        let run = self.runs.remove(&key)?;
        self.waiting.take(&run);
        self.names.remove(&run.name);
        let place = (run.name.dag.clone(), run.owner);
        if let Some(of_dag) = self.by_dag.get_mut(&place)
            && of_dag.remove(&key)
            && of_dag.is_empty()
        {
            self.by_dag.remove(&place);
        }
        Some(run)
    }

    /// The run with that live attempt.
    fn by_attempt(&mut self, attempt: &AttemptId) -> Option<(Key, &mut Run)> {
        let key = *self.attempts.get(attempt)?;
        self.runs.get_mut(&key).map(|run| (key, run))
    }
}
