//! The daemon's crash, and how the next one gathers its evidence.

use crate::store::Row;
use crate::world::{Gate, Task, World, end};
use proctor::engine::scheduler::api::{Evidence, Origin, Recovered, StartRecord};
use proctor::engine::scheduler::{Event, Scheduler};
use proctor::model::change::AttemptIdentity;
use proctor::model::{LostCause, Time};

impl World<'_> {
    /// The daemon dies. Of what it had handed to the store, a first part is committed.
    pub(crate) fn crash(&mut self) {
        self.crash_budget = self.crash_budget.saturating_sub(1);
        self.report.crashes += 1;
        let reboot = !self.calm && self.rng.percent(12);
        self.report.reboots += u64::from(reboot);
        self.boot_id = self.boot_number();
        self.note(|| format!("### crash, reboot {reboot}"));
        let keep = self.rng.below(self.pending.len() + 1);
        for _ in 0..keep {
            let (_, batch) = self.pending.pop_front().unwrap();
            // A failure is not told: nobody is there.
            let _outcome = self.commit(&batch);
        }
        self.pending.clear();
        self.answers.clear();
        self.asks.clear();
        self.ending.clear();
        self.armed = None;
        self.draining = false;
        self.idle = false;
        for shim in self.shims.values_mut() {
            // The spawn may have come just before the crash; then the shim finds its gate closed.
            if shim.task == Task::Launch && self.rng.percent(30) && !shim.alive {
                shim.alive = true;
            }
            if shim.gate == Gate::Shut {
                shim.gate = Gate::Eof;
            }
            if reboot {
                shim.alive = false;
                shim.orphans = false;
            }
            // A stop may not have reached the shim.
            shim.stop &= self.rng.percent(50);
            shim.task = Task::None;
            shim.watched = false;
            shim.gone_told = false;
            shim.ended_told = false;
            shim.told.clear();
        }
        self.engine = Scheduler::new(self.config.clone()).in_boot(self.boot_id.clone());
        self.recover();
    }

    /// A daemon starts: evidence is gathered, and a new engine takes it up. Taking it up twice is taking it up once.
    pub(crate) fn recover(&mut self) {
        let list = self.evidence();
        let mut out = Vec::new();
        let paused: Vec<_> = self.store.paused.iter().cloned().collect();
        self.engine
            .handle(self.now, Event::Paused(paused.clone()), &mut out);
        self.paused.clone_from(&self.store.paused);
        self.note(|| format!("-> Recover {list:?}"));
        let recorded = list
            .iter()
            .filter(|item| matches!(item.live, Some((_, _, Evidence::Recorded { .. }))))
            .filter(|item| item.retry.due.is_none());
        self.ending.extend(recorded.map(|item| item.run.clone()));
        self.engine
            .handle(self.now, Event::Recover(list.clone()), &mut out);
        let mut again = Vec::new();
        self.engine
            .handle(self.now, Event::Recover(list.clone()), &mut again);
        assert!(again.is_empty(), "recovered twice: {again:?}");
        let mut twin = Scheduler::new(self.config.clone()).in_boot(self.boot_id.clone());
        twin.handle(self.now, Event::Paused(paused.clone()), &mut again);
        twin.handle(self.now, Event::Recover(list), &mut again);
        assert_eq!(out, again, "the same evidence, other decisions");
        let crashes = self.report.crashes;
        self.perform_all(out);
        for (id, shim) in &self.shims {
            let stop = self.store.row_of(id).is_some_and(|row| row.stop.is_some());
            if crashes == self.report.crashes && shim.watched && shim.ended.is_none() {
                assert!(shim.stop || !stop, "{id} was not told of its stop again");
                let row = self.store.row_of(id).unwrap();
                let over = row
                    .parent
                    .as_ref()
                    .is_some_and(|parent| self.store.rows[parent].status.is_some());
                assert!(
                    shim.stop || !over,
                    "{id} was not stopped with the run that called it"
                );
            }
        }
    }

    fn evidence(&mut self) -> Vec<Recovered> {
        // Recovery may find a shim at its closed gate, or find that it has exited already; the rest of a dead
        // shim's tree is killed.
        for shim in self.shims.values_mut() {
            if shim.gate == Gate::Eof && shim.alive && !shim.started && self.rng.percent(60) {
                shim.alive = false;
            }
            shim.orphans &= shim.alive;
        }
        let at = self.now.wall;
        let mut list: Vec<(u64, Recovered)> = Vec::new();
        for (run, row) in &self.store.rows {
            let live = row.live().map(|attempt| {
                let shim = self.shims.get(&attempt.id);
                let alive = shim.is_some_and(|shim| shim.alive);
                let identity = AttemptIdentity::default();
                let evidence = match (&attempt.end, shim) {
                    (Some((status, _)), _) => Evidence::Recorded {
                        status: *status,
                        alive: alive.then_some(identity),
                    },
                    (None, Some(shim)) if alive => Evidence::Alive {
                        identity,
                        started: shim.started,
                    },
                    (None, Some(shim)) if shim.started => match shim.ended {
                        Some(status) => Evidence::Ended(end(status, shim.retry, at)),
                        None => Evidence::Lost {
                            cause: LostCause::Reboot,
                            at,
                        },
                    },
                    (None, _) => Evidence::NeverStarted,
                };
                let number = u32::try_from(row.attempts.len()).unwrap();
                (attempt.id.clone(), number, evidence)
            });
            if live.is_some() || row.queued.is_some() || row.retry.due.is_some() {
                let item = Recovered {
                    run: run.clone(),
                    group: row.group.clone(),
                    capacity: row.capacity,
                    owner: row.owner,
                    priority: row.priority,
                    now: row.now,
                    dag_limit: row.dag_limit,
                    attempts: u32::try_from(row.attempts.len()).unwrap(),
                    queued: row.queued.map(|place| (place + (1 << 40)).unsigned_abs()),
                    live,
                    unstored_start: self.unstored_start(row, at),
                    stop: row.stop.clone(),
                    parent: row.parent.clone(),
                    retry: row.retry.clone(),
                    origin: Origin::default(),
                };
                list.push((row.order, item));
            }
        }
        list.sort_by_key(|(order, _)| *order);
        list.into_iter().map(|(_, item)| item).collect()
    }

    fn unstored_start(&self, row: &Row, at: Time) -> Option<StartRecord> {
        let attempt = row.live().filter(|attempt| !attempt.started)?;
        let shim = self.shims.get(&attempt.id)?;
        shim.started.then_some(StartRecord { at, params: None })
    }
}
