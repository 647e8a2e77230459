//! What outlives the daemon (store, shims), and what dies with it.

use crate::dags::{Dag, SHARED};
use crate::rng::Rng;
use crate::store::Store;
use proctor::engine::scheduler::api::{AttemptEnd, Evidence, Origin, Recovered};
use proctor::engine::scheduler::{Config, Effect, Event, Scheduler, Token};
use proctor::model::change::{AttemptIdentity, Change};
use proctor::model::{AttemptId, Boot, DagName, LostCause, Now, RunRef, RunStatus, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

macro_rules! report {
    ($($name:ident: $words:literal,)+) => {
        /// What happened, to see that something did.
        #[derive(Debug, Default)]
        pub(crate) struct Report {
            $(pub(crate) $name: u64,)+
        }

        impl Report {
            pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$(($words, self.$name)),+]
            }

            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }
        }
    };
}

report! {
    effects: "effects",
    crashes: "crashes",
    failed: "failed commits",
    started: "starts",
    caught_up: "starts that were made up for",
    restarts: "restarts",
    stopped: "stops by a schedule",
    before: "starts that were made before",
    overlapped: "dropped starts",
    successful: "starts that were left out",
    missed: "missed starts",
    stop_passed: "missed starts whose stop has passed",
    delayed: "delayed starts",
    superseded: "superseded runs",
    suspensions: "suspensions",
    back: "clocks put back",
    forward: "clocks put forward",
    drains: "daemons that leave",
    awaits_retry: "starts dropped for a pending retry",
    retries: "retries",
    given_up: "retries that schedules gave up",
    edits: "edits",
    removals: "DAGs that go and come back later",
    owners: "names that go to somebody else",
    forgotten: "DAGs of which everything is forgotten",
    orphans: "people who are told that the DAG is not there any more",
    in_time: "stops that have something to stop",
    put_off: "starts that are put off",
    pauses: "pauses of queues",
    full: "runs that take the last place",
}

/// An attempt's processes.
#[derive(Debug, Clone)]
pub(crate) struct Shim {
    pub(crate) run: RunRef,
    pub(crate) open: bool,
    pub(crate) closed: bool,
    pub(crate) ready: bool,
    pub(crate) started: bool,
    pub(crate) ended: bool,
    pub(crate) stop: bool,
    /// Nothing of it lives.
    pub(crate) gone: bool,
    pub(crate) cleaning: bool,
    /// Whether it was told that a failure is tried again.
    pub(crate) retried: bool,
}

impl Shim {
    /// Whether it does not wait for the daemon.
    pub(crate) const fn can_go_on(&self) -> bool {
        self.cleaning || (!self.gone && (!self.ready || self.open || self.closed))
    }
}

/// A batch on its way to the store.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) number: u64,
    pub(crate) batch: Vec<Change>,
    /// The wall clock when it was decided.
    pub(crate) decided: Time,
    /// Whether nothing of the plan's DAG was queued or live then, as far as anybody could know.
    pub(crate) idle: bool,
    /// The DAG, if it is about its schedules, as it was then.
    pub(crate) dag: Option<Dag>,
    /// Runs that a stop would have ended then.
    pub(crate) subject: BTreeSet<RunRef>,
}

impl Pending {
    /// Whether it is not the engine's, but the daemon's own.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.batch[..], [Change::Uninstall { .. }])
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Suspend(DagName, bool),
    /// The same of a DAG that has gone since.
    Gone,
    Stop(RunRef),
    Other,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) calm: bool,
    pub(crate) now: Now,
    pub(crate) engine: Scheduler,
    pub(crate) config: Config,
    pub(crate) dags: Vec<Dag>,
    /// DAGs that are not installed.
    pub(crate) away: BTreeSet<usize>,
    pub(crate) store: Store,
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) answers: VecDeque<Event>,
    pub(crate) disk_full: bool,
    pub(crate) shims: BTreeMap<AttemptId, Shim>,
    pub(crate) asks: BTreeMap<Token, Ask>,
    pub(crate) last_token: u64,
    /// Those of the ticks that were told to be delayed which may come once more, as new ones: the clock was put back.
    pub(crate) anew: BTreeSet<(DagName, Time)>,
    /// DAGs that a person wants held back, and nobody has let go again.
    pub(crate) held: BTreeSet<DagName>,
    /// Ticks that were told to be delayed by this daemon: they are never late.
    pub(crate) delayed: BTreeSet<(DagName, Time)>,
    /// DAGs that were not installed for a while, until the store has a watermark of them.
    pub(crate) removed: BTreeSet<DagName>,
    /// DAGs of which the store is to forget what is decided, and has not yet.
    pub(crate) forgets: BTreeSet<DagName>,
    /// DAGs whose watermark has been too far ahead of the clock: it may go back.
    pub(crate) far: BTreeSet<DagName>,
    /// The newest watermarks that this daemon wanted to have stored.
    pub(crate) wanted: BTreeMap<DagName, Time>,
    /// Runs that the engine has made, and that are not stored.
    pub(crate) made: BTreeSet<RunRef>,
    pub(crate) armed: Option<Boot>,
    pub(crate) draining: bool,
    crash_at: Option<u64>,
    pub(crate) crash_budget: u32,
    pub(crate) report: Report,
    print: bool,
}

impl World {
    pub(crate) fn new(seed: u64, crash_at: Option<u64>, print: bool) -> Self {
        let mut rng = Rng::new(seed);
        let dags = (0..1 + rng.below(6))
            .map(|number| Dag::random(number, &mut rng))
            .collect();
        let crash_budget = if crash_at.is_some() {
            0
        } else {
            u32::try_from(rng.below(6)).unwrap()
        };
        let config = Config {
            max_live: [0, 0, 2, 4][rng.below(4)],
            queues: [(SHARED.parse().unwrap(), u32::try_from(1 + rng.below(3)).unwrap())].into(),
            unbounded: None,
        };
        let mut world = Self {
            rng,
            calm: false,
            now: Now {
                // Some time in 2026.
                wall: Time::from_secs(1_770_000_030),
                boot: Boot(1),
            },
            engine: Scheduler::new(config.clone()),
            config,
            dags,
            away: BTreeSet::new(),
            store: Store::default(),
            pending: VecDeque::new(),
            answers: VecDeque::new(),
            disk_full: false,
            shims: BTreeMap::new(),
            asks: BTreeMap::new(),
            last_token: 0,
            anew: BTreeSet::new(),
            held: BTreeSet::new(),
            delayed: BTreeSet::new(),
            removed: BTreeSet::new(),
            forgets: BTreeSet::new(),
            far: BTreeSet::new(),
            wanted: BTreeMap::new(),
            made: BTreeSet::new(),
            armed: None,
            draining: false,
            crash_at,
            crash_budget,
            report: Report::default(),
            print,
        };
        world.boot();
        world
    }

    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        if self.print {
            println!("{} {}", self.now.wall.rfc3339(), what());
        }
    }

    /// Gives an event to the engine and performs what it wants; the daemon may crash before any effect.
    pub(crate) fn tell(&mut self, event: Event) {
        self.note(|| format!("-> {event:?}"));
        self.note_far();
        let mut out = Vec::new();
        self.engine.handle(self.now, event, &mut out);
        self.perform_all(out);
    }

    fn perform_all(&mut self, out: Vec<Effect>) {
        for effect in out {
            let random = !self.calm && self.crash_budget > 0 && self.rng.percent(1);
            let here = self.crash_at == Some(self.report.effects);
            if random || here {
                self.report.effects += 1;
                return self.crash();
            }
            self.report.effects += 1;
            self.note(|| format!("   {effect:?}"));
            self.perform(effect);
        }
    }

    /// The daemon dies. Of what it had handed to the store, a first part is committed.
    pub(crate) fn crash(&mut self) {
        self.crash_budget = self.crash_budget.saturating_sub(1);
        self.report.crashes += 1;
        self.note(|| "### crash".into());
        for _ in 0..self.rng.below(self.pending.len() + 1) {
            let pending = self.pending.pop_front().unwrap();
            let _outcome = self.commit(&pending);
        }
        self.pending.clear();
        for dag in &mut self.dags {
            dag.forget(self.store.watermarks.get(&dag.name).copied());
        }
        self.answers.clear();
        self.asks.clear();
        self.delayed.clear();
        self.wanted.clear();
        self.made.clear();
        self.armed = None;
        self.draining = false;
        if !self.calm && self.rng.percent(50) {
            // It is down for a while.
            let secs = [30, 90, 3_000, 20_000, 260_000][self.rng.below(5)];
            self.pass(secs);
        }
        self.engine = Scheduler::new(self.config.clone());
        self.boot();
    }

    pub(crate) fn pass(&mut self, secs: i64) {
        self.now.wall = Time(self.now.wall.0 + secs * 1_000_000);
        self.now.boot = Boot(self.now.boot.0 + secs.unsigned_abs() * 1_000_000);
    }

    /// A daemon starts: what it finds first, then the installed DAGs.
    fn boot(&mut self) {
        // Those before their gate find it closed.
        self.shims
            .retain(|_, shim| (shim.open && !shim.gone) || shim.started);
        let suspended = self.store.suspended.iter().filter(|(_, on)| **on);
        self.held = suspended.map(|(dag, _)| dag.clone()).collect();
        let mut list: Vec<(u64, Recovered)> = Vec::new();
        for (run, row) in &self.store.rows {
            let live = row.live.as_ref().map(|(id, ended)| {
                let shim = self.shims.get(id);
                let alive = shim.filter(|shim| !shim.gone).map(|_| AttemptIdentity::default());
                let evidence = match (ended, &alive) {
                    (true, _) => Evidence::Recorded {
                        status: row.status.unwrap(),
                        alive,
                    },
                    (false, Some(identity)) => Evidence::Alive {
                        identity: identity.clone(),
                        started: shim.is_some_and(|shim| shim.started),
                    },
                    (false, None) if shim.is_some_and(|shim| shim.ended) => {
                        Evidence::Ended(end(RunStatus::Succeeded, self.now.wall))
                    }
                    (false, None) if shim.is_some_and(|shim| shim.started) => Evidence::Lost {
                        cause: LostCause::SupervisorGone,
                        at: self.now.wall,
                    },
                    (false, None) => Evidence::NeverStarted,
                };
                (id.clone(), row.attempts, evidence)
            });
            if row.queued.is_some() || live.is_some() || row.retry.due.is_some() {
                let item = Recovered {
                    run: run.clone(),
                    group: row.group.clone(),
                    capacity: row.capacity,
                    attempts: row.attempts,
                    queued: row.queued,
                    live,
                    unstored_start: None,
                    stop: row.stop.clone(),
                    parent: None,
                    retry: row.retry.clone(),
                    owner: row.owner,
                    priority: row.priority,
                    now: false,
                    dag_limit: row.dag_limit,
                    origin: Origin {
                        created_at: row.created_at,
                        scheduled_for: row.scheduled_for,
                    },
                };
                list.push((row.queued.unwrap_or(0), item));
            }
        }
        for shim in self.shims.values_mut() {
            shim.ready = true;
            shim.cleaning = false;
            // An end that was not stored is told again.
            shim.ended &= shim.gone;
        }
        list.sort_by_key(|(place, _)| *place);
        let crashes = self.report.crashes;
        let held = self.held.iter().map(|dag| (dag.clone(), self.dag(dag).owner));
        self.tell(Event::Suspended(held.collect()));
        let paused = self.store.paused.iter().cloned().collect();
        self.tell(Event::Paused(paused));
        self.tell(Event::Recover(list.into_iter().map(|(_, item)| item).collect()));
        for dag in self.forgets.clone() {
            if self.report.crashes == crashes {
                self.forget(&dag);
            }
        }
        for number in 0..self.dags.len() {
            // A crash on the way has installed the rest already.
            if self.report.crashes == crashes && !self.away.contains(&number) {
                self.install(number);
            }
        }
    }
}

/// A final record.
pub(crate) fn end(status: RunStatus, at: Time) -> AttemptEnd {
    AttemptEnd {
        status,
        error: None,
        outputs: Vec::new(),
        timed_out: false,
        kill_escalated: false,
        retry: false,
        at,
    }
}
