//! How the world performs the engine's effects, and what must hold when it does.

use crate::world::{Ask, Gate, Shim, Task, World};
use proctor::engine::scheduler::Effect;
use proctor::engine::scheduler::api::Refusal;
use proctor::model::change::Change;
use proctor::model::{AttemptId, RunRef, RunStatus};

impl World<'_> {
    /// Performs one effect.
    pub(crate) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Commit(number, batch) => {
                self.check_decision(&batch);
                self.check_time(&batch);
                self.pending.push_back((number, batch));
            }
            Effect::Launch(run, attempt, number) => self.launch(&run, attempt, number),
            Effect::OpenGate(attempt) => {
                let stored = self.store.attempt(&attempt).expect("an open gate, no intent");
                assert!(
                    stored.identified,
                    "the gate opens before the identity is committed"
                );
                assert!(stored.end.is_none(), "the gate opens after the end");
                let row = self.store.row_of(&attempt).unwrap();
                assert!(row.stop.is_none(), "the gate opens after a stop");
                let shim = self.shims.get_mut(&attempt).expect("no shim at the gate");
                assert_eq!(shim.gate, Gate::Shut, "a gate opens once");
                shim.gate = Gate::Open;
            }
            Effect::CloseGate(attempt) => {
                let shim = self.shims.get_mut(&attempt).expect("no shim at the gate");
                assert_eq!(shim.gate, Gate::Shut, "only a shut gate can be closed");
                shim.gate = Gate::Eof;
            }
            Effect::Adopt(_, attempt, _) => {
                self.report.adoptions += 1;
                let shim = self.shims.get_mut(&attempt).expect("adopted, but not there");
                assert!(!shim.watched, "adopted twice");
                shim.watched = true;
                shim.ready_told = true;
                shim.started_told = shim.started;
            }
            Effect::SendStop(attempt, _) | Effect::EnsureStop(attempt, _) => {
                let shim = self.shims.get_mut(&attempt).expect("a stop for nobody");
                assert_ne!(shim.task, Task::Clean);
                shim.stop = true;
            }
            // Without schedules nothing gives way.
            Effect::NoRetry(attempt) => panic!("{attempt} is told that no retry comes"),
            Effect::Clean(attempt) => self.clean(attempt),
            Effect::Accepted(token) => {
                let ask = self.asks.remove(&token).expect("answered twice");
                self.accepted(&ask);
            }
            Effect::Refused(token, refusal) => {
                let ask = self.asks.remove(&token).expect("answered twice");
                self.report.refused += 1;
                if let Refusal::CallerGone = &refusal {
                    self.report.orphans += 1;
                }
                if let (Ask::Submit(run), Refusal::Exists) = (&ask, &refusal) {
                    assert!(self.store.rows.contains_key(run), "refused: {run} does not exist");
                }
            }
            Effect::Changed(run) => {
                let row = self.store.rows.get(&run);
                let row = row.unwrap_or_else(|| panic!("{run} is not stored"));
                if row.status.is_some() && row.retry.due.is_none() {
                    self.ending.insert(run);
                }
            }
            Effect::Over(run) => {
                assert!(self.ending.remove(&run), "{run} is over twice, or before its end");
                for shim in self.shims.values().filter(|shim| shim.live() && shim.run != run) {
                    assert!(
                        !self.store.line(&shim.run).contains(&&run),
                        "{run} is over, but {}, which it called, lives",
                        shim.run
                    );
                }
            }
            Effect::Make(_) | Effect::Unmake(_) | Effect::Tick(..) => panic!("nothing is scheduled"),
            Effect::Arm(at) => self.armed = Some(at),
            Effect::Idle => {
                self.idle = true;
                assert!(self.shims.is_empty(), "idle, but {:?}", self.shims);
                assert!(self.pending.is_empty(), "idle, but {:?}", self.pending);
                assert!(self.ending.is_empty(), "idle, but not over: {:?}", self.ending);
            }
        }
    }

    /// A drained daemon decides for nothing new, and without trouble the first in the queue goes first.
    fn check_decision(&self, batch: &[Change]) {
        let new = |change: &Change| {
            matches!(
                change,
                Change::Accept(_) | Change::Requeue { .. } | Change::Intend { .. }
            )
        };
        assert!(!self.draining || !batch.iter().any(new), "decided while draining");
        if let Change::Intend { run, .. } = &batch[0] {
            self.check_order(run);
        }
    }

    fn launch(&mut self, run: &RunRef, attempt: AttemptId, number: u32) {
        assert!(!self.draining, "launched while draining");
        self.report.launches += 1;
        let row = &self.store.rows[run];
        assert_eq!(row.attempts.len(), number as usize, "the intent is not committed");
        let stored = row.attempts.last().unwrap();
        assert_eq!(stored.id, attempt);
        assert!(stored.end.is_none() && row.stop.is_none(), "{row:?}");
        for (id, other) in &self.shims {
            assert_ne!(*id, attempt, "launched on top of what an earlier try left");
            assert_ne!(other.run, *run, "two attempts of {run}: {id} is not cleaned");
        }
        self.report.relaunches += u64::from(!self.launched.insert(attempt.clone()));
        let called = row.parent.is_some();
        for (other, child) in &self.store.rows {
            let gone = child.queued.is_none() && child.live().is_none();
            assert!(
                child.parent.as_ref() != Some(run) || gone,
                "{run} begins before {other}, which it called, is gone"
            );
        }
        let retried_on = self.engine.retried_on(run);
        let mut shim = Shim::new(run.clone(), Task::Launch);
        shim.retried_on = retried_on;
        self.shims.insert(attempt, shim);
        if called {
            // It runs within the slot of the one that called it.
            self.report.calls += 1;
            return;
        }
        if self.store.rows[run].now {
            self.report.at_once += 1;
            return;
        }
        self.check_limits(run);
    }

    fn clean(&mut self, attempt: AttemptId) {
        assert!(
            self.store.runs.contains_key(&attempt),
            "cleaned, but never intended"
        );
        let ended = self
            .store
            .attempt(&attempt)
            .is_some_and(|stored| stored.end.is_some());
        // Recovery may ask for it again after it was done.
        let run = self.store.runs[&attempt].clone();
        let fresh = Shim::new(run, Task::None);
        let shim = self.shims.entry(attempt).or_insert(fresh);
        assert!(!shim.alive && !shim.orphans, "cleaned while it lives");
        assert!(ended || !shim.started, "cleaned before its end is committed");
        assert_eq!(shim.task, Task::None, "cleaned twice");
        shim.task = Task::Clean;
    }

    fn accepted(&mut self, ask: &Ask) {
        self.report.accepted += 1;
        match ask {
            Ask::Submit(run) | Ask::Retry(run) | Ask::Decide(run) => {
                if matches!(ask, Ask::Submit(_)) {
                    assert!(self.admitted.insert(run.clone()), "{run} was accepted twice");
                }
                assert!(self.store.rows[run].queued.is_some(), "accepted, not stored");
                self.report.retries += u64::from(matches!(ask, Ask::Retry(_)));
                self.report.decisions += u64::from(matches!(ask, Ask::Decide(_)));
            }
            Ask::EndWaiting(run) => {
                self.report.ended_waiting += 1;
                let over = self.store.rows[run].status.is_some_and(RunStatus::is_terminal);
                assert!(over, "accepted, and {run} is not over");
            }
            Ask::Pause(queue, on) => {
                self.report.pauses += 1;
                if *on {
                    self.paused.insert(queue.clone());
                } else {
                    self.paused.remove(queue);
                }
            }
            Ask::Move(run) => {
                self.report.moves += 1;
                assert!(
                    self.store.rows[run].queued.is_some(),
                    "{run} is moved, not queued"
                );
            }
            Ask::Stop(run) | Ask::Dequeue(run) => {
                self.report.dequeued += u64::from(matches!(ask, Ask::Dequeue(_)));
                self.report.stops += 1;
                let row = &self.store.rows[run];
                let passed = self.shims.values().any(|shim| shim.run == *run && shim.stop);
                let stored = row.stop.is_some() || row.status.is_some();
                assert!(passed || stored, "accepted, but a crash would forget the stop");
            }
        }
    }
}
