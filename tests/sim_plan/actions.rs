//! What happens in the world: one thing at a time, at random.

use crate::dags::{OTHER, OWNER};
use crate::world::{Ask, Shim, World, end};
use proctor::engine::scheduler::api::{AttemptEnd, CommitError, Origin, RetryFacts};
use proctor::engine::scheduler::{Event, Token};
use proctor::model::change::AttemptIdentity;
use proctor::model::{AttemptId, Boot, DagName, LostCause, RunRef, RunStatus, StopReason, Time};

impl World {
    /// Trouble of all kinds.
    pub(crate) fn storm(&mut self) {
        let steps = 150 + self.rng.below(250);
        for _ in 0..steps {
            match self.rng.below(100) {
                0..=29 => self.store_works(),
                30..=49 => self.answer(),
                50..=69 => self.shim_goes_on(),
                70..=85 => self.time_passes(),
                86 => self.set_clock(),
                87..=90 => self.suspend_some(),
                91..=93 => self.person(),
                94 => self.disk_full = !self.disk_full,
                95 => self.remove(),
                98 => self.edit(),
                99 => self.pause(),
                96 if self.crash_budget > 0 => self.crash(),
                97 if self.rng.percent(10) => {
                    self.report.drains += 1;
                    self.draining = true;
                    self.tell(Event::Drain);
                }
                _ => {}
            }
        }
    }

    /// Everything works, until nothing is left to do but to wait for the next tick.
    pub(crate) fn calm(&mut self) {
        self.calm = true;
        self.disk_full = false;
        for number in self.away.clone() {
            self.come_back(number);
        }
        if self.draining {
            self.crash();
        }
        self.settle();
        // A further hour, minute by minute.
        for _ in 0..60 {
            self.pass(60);
            self.timer();
            self.settle();
            self.check_rest();
        }
        // No queue is paused and nobody starts anything any more. What a crash undoes or leaves unanswered is done once more.
        loop {
            let crashes = self.report.crashes;
            self.resume_queues();
            self.settle();
            for number in 0..self.dags.len() {
                self.tell(Event::Uninstall(self.dags[number].name.clone()));
            }
            self.settle();
            self.last_retries(crashes);
            if self.report.crashes == crashes {
                break;
            }
        }
        assert!(self.engine.is_empty(), "left in memory: {:?}", self.engine);
        assert!(self.asks.is_empty(), "not answered: {:?}", self.asks);
        for (run, row) in &self.store.rows {
            assert!(
                row.status.is_some() && row.live.is_none() && row.retry.due.is_none(),
                "{run} never ended: {row:?}"
            );
        }
    }

    /// Every pending retry comes, as soon as nobody holds it back, and its budget is spent some time. A daemon that has
    /// crashed since there were this many crashes has installed its DAGs anew: they are to go once more first.
    fn last_retries(&mut self, crashes: u64) {
        for dag in self.held.clone() {
            self.suspend(dag, false);
        }
        self.settle();
        // The daemon died before it answered.
        for dag in self.held.clone() {
            self.suspend(dag, false);
        }
        self.settle();
        for _ in 0..100 {
            let none = self.store.rows.values().all(|row| row.retry.due.is_none());
            if none || self.report.crashes != crashes {
                return;
            }
            self.pass(7_200);
            self.timer();
            self.settle();
        }
        let rows = self.store.rows.iter();
        let waiting: Vec<_> = rows
            .filter(|(_, row)| row.retry.due.is_some())
            .map(|(run, row)| (run, row, self.engine.holds_retries(&run.dag, row.owner)))
            .collect();
        panic!("waits for a retry for ever, and whether it is held: {waiting:?}");
    }

    fn settle(&mut self) {
        let mut steps = 0;
        loop {
            if !self.pending.is_empty() {
                self.store_works();
            } else if !self.answers.is_empty() {
                self.answer();
            } else if self.shims.values().any(Shim::can_go_on) {
                self.shim_goes_on();
            } else if self.armed.is_some_and(|at| at.0 < self.now.boot.0 + 40_000_000) {
                // Whatever failed is tried again soon.
                let at = self.armed.unwrap();
                let micros = i64::try_from(at.0.saturating_sub(self.now.boot.0)).unwrap();
                self.now.wall = Time(self.now.wall.0 + micros);
                self.now.boot = Boot(at.0.max(self.now.boot.0));
                self.timer();
            } else {
                return;
            }
            steps += 1;
            assert!(steps < 100_000, "it never comes to rest");
        }
    }

    fn timer(&mut self) {
        if self.armed.is_some_and(|at| at <= self.now.boot) {
            self.armed = None;
            self.tell(Event::Tick);
        }
    }

    fn time_passes(&mut self) {
        let ahead = self
            .armed
            .map(|at| at.0.saturating_sub(self.now.boot.0) / 1_000_000 + 1);
        match ahead.filter(|_| self.rng.percent(70)) {
            Some(secs) => self.pass(i64::try_from(secs).unwrap().min(86_400)),
            None => {
                let most = [2, 30, 600, 7_000][self.rng.below(4)];
                let secs = self.rng.below(most);
                self.pass(i64::try_from(secs).unwrap());
            }
        }
        // The machine may have slept, so that the timer is late.
        if self.rng.percent(5) {
            let secs = [50, 70, 4_000, 100_000][self.rng.below(4)];
            self.pass(secs);
        }
        self.timer();
    }

    fn set_clock(&mut self) {
        let secs = [30_i64, 3_000, 10_000, 40_000, 400_000][self.rng.below(5)];
        let ahead = self.rng.percent(50);
        self.report.forward += u64::from(ahead);
        self.report.back += u64::from(!ahead);
        if !ahead {
            self.anew.extend(self.delayed.iter().cloned());
        }
        let step = if ahead { secs } else { -secs };
        self.now.wall = Time(self.now.wall.0 + step * 1_000_000);
        self.note(|| format!("### the clock is set by {step} s"));
        for dag in &mut self.dags {
            dag.forget(self.store.watermarks.get(&dag.name).copied());
            dag.rewound(self.now.wall);
        }
        self.tell(Event::ClockSet);
    }

    pub(crate) fn ask(&mut self, ask: Ask) -> Token {
        self.last_token += 1;
        self.asks.insert(Token(self.last_token), ask);
        Token(self.last_token)
    }

    fn suspend_some(&mut self) {
        let dag = self.dags[self.rng.below(self.dags.len())].name.clone();
        let on = self.rng.percent(40);
        self.report.suspensions += u64::from(on);
        self.suspend(dag, on);
    }

    fn suspend(&mut self, dag: DagName, on: bool) {
        let token = self.ask(Ask::Suspend(dag.clone(), on));
        if on {
            self.held.insert(dag.clone());
        }
        let owner = self.dag(&dag).owner;
        self.tell(Event::Suspend {
            token,
            dag,
            owner,
            on,
        });
    }

    /// Somebody submits a run, or stops one.
    fn person(&mut self) {
        let runs: Vec<RunRef> = self.store.rows.keys().cloned().collect();
        let pausing = self
            .store
            .rows
            .iter()
            .find(|(_, row)| row.retry.due.is_some() && self.rng.percent(30));
        if let Some((run, row)) = pausing {
            let run = run.clone();
            let facts = RetryFacts {
                group: row.group.clone(),
                capacity: row.capacity,
                owner: row.owner,
                priority: row.priority,
                now: false,
                dag_limit: row.dag_limit,
                attempts: row.attempts,
                status: RunStatus::Failed,
                caller: None,
                retry: row.retry.policy.clone(),
                origin: Origin {
                    created_at: row.created_at,
                    scheduled_for: row.scheduled_for,
                },
            };
            let token = self.ask(Ask::Other);
            self.tell(Event::Retry(token, run, facts));
        } else if !runs.is_empty() && self.rng.percent(50) {
            let run = runs[self.rng.below(runs.len())].clone();
            let token = self.ask(Ask::Stop(run.clone()));
            self.tell(Event::Stop(token, run, StopReason::User { uid: 7 }));
        } else {
            let owner = if self.rng.percent(30) { OTHER } else { OWNER };
            let token = self.ask(Ask::Other);
            let dag = &self.dags[self.rng.below(self.dags.len())];
            let new = dag.new_run(&format!("manual{}", token.0), owner, self.now.wall);
            self.tell(Event::Submit(token, Box::new(new)));
        }
    }

    /// The store commits its first batch, or fails to. The answer comes later.
    fn store_works(&mut self) {
        let Some(pending) = self.pending.pop_front() else {
            return;
        };
        if pending.is_own() {
            // It is told again until it is there.
            return self.commit(&pending).unwrap();
        }
        let outcome = if self.disk_full && self.rng.percent(80) {
            Err(CommitError::DiskFull("no space".into()))
        } else if !self.calm && self.rng.percent(4) {
            Err(CommitError::Other("i/o error".into()))
        } else {
            self.commit(&pending)
        };
        self.note(|| format!("   commit {}: {outcome:?}", pending.number));
        self.answers.push_back(match outcome {
            Ok(()) => Event::Committed(pending.number),
            Err(error) => {
                self.report.failed += 1;
                self.store.not_stored(&pending.batch);
                Event::CommitFailed(pending.number, error)
            }
        });
    }

    fn answer(&mut self) {
        if let Some(event) = self.answers.pop_front() {
            self.tell(event);
        }
    }

    /// An attempt does the next thing, or the daemon does for it.
    fn shim_goes_on(&mut self) {
        let able = self.shims.iter().filter(|(_, shim)| shim.can_go_on());
        let ids: Vec<AttemptId> = able.map(|(id, _)| id.clone()).collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[self.rng.below(ids.len())].clone();
        let (calm, trouble) = (self.calm, !self.calm && self.rng.percent(5));
        let goes_on = self.rng.percent(if calm { 100 } else { 30 });
        let status = [RunStatus::Succeeded, RunStatus::Succeeded, RunStatus::Failed][self.rng.below(3)];
        let shim = self.shims.get_mut(&id).unwrap();
        let event = match shim {
            Shim { cleaning: true, .. } => {
                self.shims.remove(&id);
                Event::Cleaned(id)
            }
            Shim { gone: true, .. } => return,
            Shim { ready: false, .. } if trouble => {
                self.shims.remove(&id);
                Event::LaunchFailed(id, "no such user".into())
            }
            Shim { ready: false, .. } => {
                shim.ready = true;
                Event::Ready(id, AttemptIdentity::default())
            }
            Shim { closed: true, .. } => {
                shim.gone = true;
                Event::Gone(id, LostCause::SupervisorGone)
            }
            Shim {
                open: true,
                started: false,
                ..
            } => {
                shim.started = true;
                Event::Started(id, self.now.wall, None)
            }
            Shim {
                started: true,
                ended: false,
                stop,
                retried,
                ..
            } if *stop || goes_on || trouble => {
                if trouble {
                    shim.gone = true;
                    Event::Gone(id, LostCause::SupervisorSignal(9))
                } else {
                    shim.ended = true;
                    let status = if *stop { RunStatus::Aborted } else { status };
                    let end = AttemptEnd {
                        retry: *retried && status == RunStatus::Failed,
                        ..end(status, self.now.wall)
                    };
                    Event::Ended(id, end)
                }
            }
            Shim { ended: true, .. } => {
                shim.gone = true;
                Event::Gone(id, LostCause::SupervisorGone)
            }
            _ => return,
        };
        self.tell(event);
    }
}
