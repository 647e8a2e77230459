//! The simulated world: what outlives the daemon (store, shims), what dies with it (engine, tasks, unanswered
//! requests), and what must hold at the end.

use crate::report::Report;
use crate::rng::Rng;
use crate::store::{Store, Truth};
use proctor::engine::scheduler::api::{AttemptEnd, CommitError};
use proctor::engine::scheduler::{Config, Effect, Event, Scheduler, Token};
use proctor::model::change::Change;
use proctor::model::{AttemptId, Boot, DagName, GroupName, Now, RunRef, RunStatus, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Names that every history uses.
pub(crate) struct Names {
    pub(crate) runs: Vec<RunRef>,
    /// Runs that are only ever called.
    pub(crate) called: Vec<RunRef>,
    pub(crate) groups: Vec<GroupName>,
}

impl Names {
    pub(crate) fn new() -> Self {
        let run = |n: u32| RunRef {
            dag: "dag".parse().unwrap(),
            id: format!("run{n}").parse().unwrap(),
        };
        Self {
            // Two DAGs share the two queues.
            runs: (0..8)
                .map(|n| RunRef {
                    dag: ["dag", "other"][(n / 4) as usize].parse().unwrap(),
                    ..run(n)
                })
                .collect(),
            called: (20..26).map(run).collect(),
            groups: ["alpha", "beta"].map(|name| name.parse().unwrap()).to_vec(),
        }
    }
}

/// When the daemon crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Now and then.
    Random,
    /// Before the effects with these numbers, counted from 0 over all daemons of the history.
    CrashAt(u64, u64),
}

/// What becomes of the trace. It costs time, so most histories have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trace {
    Off,
    Hash,
    Print,
}

/// Whether a shim may pass its gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Shut,
    Open,
    /// The other end is closed: exit, run nothing.
    Eof,
}

/// What the daemon is doing for an attempt; forgotten in a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    None,
    Launch,
    Clean,
}

/// An attempt's entry, cgroup, journal and processes.
#[derive(Debug, Clone)]
pub(crate) struct Shim {
    pub(crate) run: RunRef,
    pub(crate) alive: bool,
    /// Whether processes of its tree outlive the shim.
    pub(crate) orphans: bool,
    pub(crate) gate: Gate,
    pub(crate) started: bool,
    pub(crate) ended: Option<RunStatus>,
    /// Exit codes after which the whole run is tried again.
    pub(crate) retried_on: Option<Vec<i32>>,
    /// Whether its final record says that the failure handler was left out for that.
    pub(crate) retry: bool,
    pub(crate) stop: bool,
    pub(crate) stalled: bool,
    pub(crate) task: Task,
    pub(crate) watched: bool,
    pub(crate) ready_told: bool,
    pub(crate) started_told: bool,
    pub(crate) ended_told: bool,
    pub(crate) gone_told: bool,
    /// Events told by this daemon, to be told again.
    pub(crate) told: Vec<Event>,
}

impl Shim {
    pub(crate) const fn new(run: RunRef, task: Task) -> Self {
        Self {
            run,
            alive: false,
            orphans: false,
            gate: Gate::Shut,
            started: false,
            ended: None,
            retried_on: None,
            retry: false,
            stop: false,
            stalled: false,
            task,
            watched: false,
            ready_told: false,
            started_told: false,
            ended_told: false,
            gone_told: false,
            told: Vec::new(),
        }
    }

    /// Whether it counts against capacity.
    pub(crate) fn live(&self) -> bool {
        self.alive || self.orphans || self.task == Task::Launch
    }
}

/// A request that waits for its answer.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Submit(RunRef),
    Retry(RunRef),
    Stop(RunRef),
    /// A queue is paused, or goes on.
    Pause(GroupName, bool),
    Move(RunRef),
    Dequeue(RunRef),
    /// A step of a run that waits is approved or rejected.
    Decide(RunRef),
    /// A run that waits is stopped.
    EndWaiting(RunRef),
}

/// The world of one history.
pub(crate) struct World<'a> {
    pub(crate) names: &'a Names,
    pub(crate) rng: Rng,
    pub(crate) plan: Plan,
    pub(crate) calm: bool,
    pub(crate) now: Now,
    pub(crate) engine: Scheduler,
    pub(crate) config: Config,
    /// Capacity of each group; `None` if it changes with every submission.
    pub(crate) capacity: Vec<Option<u32>>,
    /// Most live runs of each user's DAG.
    pub(crate) dag_limits: BTreeMap<(DagName, u32), u32>,
    pub(crate) store: Store,
    pub(crate) pending: VecDeque<(u64, Vec<Change>)>,
    pub(crate) answers: VecDeque<Event>,
    pub(crate) disk_full: bool,
    pub(crate) shims: BTreeMap<AttemptId, Shim>,
    /// How often user code of an attempt began; never forgotten.
    pub(crate) starts: BTreeMap<AttemptId, u32>,
    pub(crate) launched: BTreeSet<AttemptId>,
    /// Runs whose submission was accepted; never forgotten.
    pub(crate) admitted: BTreeSet<RunRef>,
    pub(crate) asks: BTreeMap<Token, Ask>,
    /// Queues of which the engine said that they are paused, or that were when it started.
    pub(crate) paused: BTreeSet<GroupName>,
    pub(crate) last_token: u64,
    /// Runs that have ended, and that are to be told to be over as soon as what they called is gone.
    pub(crate) ending: BTreeSet<RunRef>,
    pub(crate) armed: Option<Boot>,
    pub(crate) boot_id: String,
    pub(crate) draining: bool,
    pub(crate) idle: bool,
    pub(crate) crash_budget: u32,
    pub(crate) report: Report,
    trace: Trace,
    hash: DefaultHasher,
}

impl<'a> World<'a> {
    pub(crate) fn new(names: &'a Names, seed: u64, plan: Plan, trace: Trace) -> Self {
        let mut rng = Rng::new(seed);
        let mut config = Config {
            max_live: [0, 0, 1, 2, 3][rng.below(5)],
            queues: BTreeMap::new(),
            unbounded: None,
        };
        let capacity: Vec<Option<u32>> = (0..names.groups.len())
            .map(|_| Some(u32::try_from(rng.below(4)).unwrap()).filter(|_| rng.percent(85)))
            .collect();
        // Some are configured: then it does not count what submissions say.
        let configured = names.groups.iter().zip(&capacity);
        config.queues = configured
            .filter_map(|(name, capacity)| Some((name.clone(), (*capacity)?)))
            .filter(|_| rng.percent(40))
            .collect();
        let dag_limits = ["dag", "other"]
            .into_iter()
            .flat_map(|dag| [1000, 1001].map(|owner| (dag.parse().unwrap(), owner)))
            .map(|job| (job, [0, 0, 1, 2][rng.below(4)]))
            .collect();
        let crash_budget = match plan {
            Plan::Random => u32::try_from(rng.below(5)).unwrap(),
            Plan::CrashAt(..) => 0,
        };
        let mut world = Self {
            names,
            rng,
            plan,
            calm: false,
            now: Now {
                wall: Time::from_secs(1_000_000),
                boot: Boot(1),
            },
            engine: Scheduler::new(config.clone()).in_boot(String::from("boot 0")),
            config,
            capacity,
            dag_limits,
            store: Store::default(),
            pending: VecDeque::new(),
            answers: VecDeque::new(),
            disk_full: false,
            shims: BTreeMap::new(),
            starts: BTreeMap::new(),
            launched: BTreeSet::new(),
            admitted: BTreeSet::new(),
            asks: BTreeMap::new(),
            paused: BTreeSet::new(),
            last_token: 0,
            ending: BTreeSet::new(),
            armed: None,
            boot_id: String::from("boot 0"),
            draining: false,
            idle: false,
            crash_budget,
            report: Report::default(),
            trace,
            hash: DefaultHasher::new(),
        };
        world.recover();
        world
    }

    /// Writes one line of the trace.
    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace != Trace::Off {
            let line = format!("{:>10} {}", self.now.boot.0, what());
            line.hash(&mut self.hash);
            if self.trace == Trace::Print {
                println!("{line}");
            }
        }
    }

    /// Gives an event to the engine and performs what it wants; the daemon may crash before any effect.
    pub(crate) fn tell(&mut self, event: Event) {
        self.note(|| format!("-> {event:?}"));
        let mut out = Vec::new();
        self.engine.handle(self.now, event, &mut out);
        let counts = self.engine.counts();
        if counts.queued > 0 {
            self.count_waits();
        }
        self.report.waits_at_capacity += u64::from(counts.queued > 0 && counts.live > 0);
        self.perform_all(out);
    }

    pub(crate) fn perform_all(&mut self, out: Vec<Effect>) {
        for effect in out {
            if self.crash_now() {
                self.crash();
                return;
            }
            self.report.effects += 1;
            self.note(|| format!("   {effect:?}"));
            self.perform(effect);
        }
    }

    fn crash_now(&mut self) -> bool {
        match self.plan {
            Plan::CrashAt(first, second) => {
                let hit = self.report.effects == first || self.report.effects == second;
                // The effect is not performed, so its number comes again: step over it.
                self.report.effects += u64::from(hit);
                hit
            }
            Plan::Random => !self.calm && self.crash_budget > 0 && self.rng.percent(4),
        }
    }

    /// Commits a batch, with the journals as witnesses.
    pub(crate) fn commit(&mut self, batch: &[Change]) -> Result<(), CommitError> {
        let shims = &self.shims;
        self.store.commit(batch, |id| {
            shims.get(id).map_or(Truth::default(), |shim| Truth {
                began: shim.started,
                ended: shim.ended,
                retry: shim.retry,
            })
        })
    }

    /// What must hold when the world has come to rest.
    pub(crate) fn check_end(&self) {
        assert!(self.engine.is_empty(), "left in memory: {:?}", self.engine);
        assert!(self.idle, "idle was not told");
        assert!(self.asks.is_empty(), "not answered: {:?}", self.asks);
        assert!(self.shims.is_empty(), "left in the world: {:?}", self.shims);
        for (run, row) in &self.store.rows {
            assert!(row.status.is_some(), "{run} never ended: {row:?}");
            assert!(row.queued.is_none() && row.live().is_none(), "{run}: {row:?}");
            assert!(row.retry.due.is_none(), "{run} was never tried again: {row:?}");
            for attempt in &row.attempts {
                assert!(attempt.end.is_some(), "{run}: {row:?}");
                assert_eq!(
                    self.starts.contains_key(&attempt.id),
                    attempt.started,
                    "{run}: {row:?}"
                );
            }
        }
        for id in self.starts.keys() {
            assert!(self.store.attempt(id).is_some(), "{id} ran and has no record");
        }
    }

    pub(crate) fn report(mut self) -> Report {
        let waits = |row: &&crate::store::Row| row.status == Some(RunStatus::Waiting);
        self.report.waits = self.store.rows.values().filter(waits).count() as u64;
        self.report.lost = self
            .store
            .rows
            .values()
            .flat_map(|row| &row.attempts)
            .filter(|attempt| matches!(attempt.end, Some((_, Some(_)))))
            .count() as u64;
        self.report.again = self.store.rows.values().map(|row| row.automatic).sum();
        self.report.trace_hash = self.hash.finish();
        self.report
    }
}

/// A final record.
pub(crate) fn end(status: RunStatus, retry: bool, at: Time) -> AttemptEnd {
    AttemptEnd {
        status,
        error: None,
        outputs: Vec::new(),
        timed_out: false,
        kill_escalated: false,
        retry,
        at,
    }
}
