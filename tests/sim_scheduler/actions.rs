//! What happens in the world by itself: the store's work, the shims' lives, and faults.

use crate::again::leaves_handler_out;
use crate::world::{Ask, Gate, Task, World, end};
use proctor::engine::scheduler::Event;
use proctor::engine::scheduler::api::CommitError;
use proctor::model::change::AttemptIdentity;
use proctor::model::{AttemptId, Boot, LostCause, RunStatus, StopReason};

/// Something that can happen next.
#[derive(Debug, Clone)]
enum Action {
    Submit,
    Retry,
    Call,
    Stop,
    Decide,
    Pause,
    Move,
    Dequeue,
    Drain,
    Crash,
    DiskFull,
    ClockJump,
    Store,
    Answer,
    Tick,
    Launch(AttemptId),
    Shim(AttemptId),
    Tell(AttemptId),
    Clean(AttemptId),
    Again(AttemptId),
    Kill(AttemptId),
    Stall(AttemptId),
}

impl World<'_> {
    /// Requests and faults, for a while.
    pub(crate) fn storm(&mut self) {
        let steps = 20 + self.rng.below(60);
        for _ in 0..steps {
            self.disk_full &= !self.rng.percent(10);
            let mut actions = self.progress();
            let faults = self.faults();
            let requests = [
                Action::Submit,
                Action::Submit,
                Action::Stop,
                Action::Retry,
                Action::Call,
                Action::Call,
                Action::Decide,
                Action::Pause,
                Action::Move,
                Action::Dequeue,
            ];
            let list: &[Action] = match self.rng.below(20) {
                0 | 1 if !faults.is_empty() => &faults,
                2..=4 => &requests,
                _ if actions.is_empty() => &requests,
                _ => {
                    actions.truncate(40);
                    &actions
                }
            };
            let action = list[self.rng.below(list.len())].clone();
            self.act(action);
        }
    }

    /// No more requests and faults: everything must come to an end by itself.
    pub(crate) fn calm(&mut self) {
        self.calm = true;
        self.disk_full = false;
        for shim in self.shims.values_mut() {
            shim.stalled = false;
        }
        if self.draining {
            self.crash();
        }
        self.go_on();
        for _ in 0..5000 {
            let actions = self.progress();
            if actions.is_empty() && self.paused.is_empty() {
                return;
            }
            if actions.is_empty() {
                // The daemon crashed before it heard of it.
                self.go_on();
                continue;
            }
            let action = actions[self.rng.below(actions.len())].clone();
            self.act(action);
        }
        panic!("the world does not come to rest");
    }

    /// What can go on without anybody's doing.
    fn progress(&self) -> Vec<Action> {
        let mut list = Vec::new();
        if !self.pending.is_empty() {
            list.extend([Action::Store, Action::Store]);
        }
        if !self.answers.is_empty() {
            list.extend([Action::Answer, Action::Answer]);
        }
        if self.armed.is_some() {
            list.push(Action::Tick);
        }
        for (id, shim) in &self.shims {
            match shim.task {
                Task::Launch => list.push(Action::Launch(id.clone())),
                Task::Clean => list.push(Action::Clean(id.clone())),
                Task::None => {}
            }
            if shim.alive && shim.gate != Gate::Shut && !shim.stalled {
                list.push(Action::Shim(id.clone()));
            }
            let news = !shim.ready_told
                || (shim.started && !shim.started_told)
                || (shim.ended.is_some() && !shim.ended_told)
                || (!shim.alive && !shim.gone_told);
            if shim.watched && news {
                list.push(Action::Tell(id.clone()));
            }
        }
        list
    }

    fn faults(&self) -> Vec<Action> {
        let mut list = Vec::new();
        if self.plan == crate::world::Plan::Random {
            list.extend([Action::DiskFull, Action::Crash, Action::ClockJump]);
            if !self.draining && self.report.effects > 60 {
                list.push(Action::Drain);
            }
        }
        for (id, shim) in &self.shims {
            if shim.alive {
                list.extend([Action::Kill(id.clone()), Action::Stall(id.clone())]);
            }
            if !shim.told.is_empty() {
                list.push(Action::Again(id.clone()));
            }
        }
        list
    }

    fn act(&mut self, action: Action) {
        self.now.boot = Boot(self.now.boot.0 + 1000);
        self.now.wall.0 += 1000;
        self.note(|| format!("{action:?}"));
        match action {
            Action::Submit => self.submit(),
            Action::Retry => self.retry(),
            Action::Call => self.call(),
            Action::Stop => {
                let (roots, called) = (&self.names.runs, &self.names.called);
                let at = self.rng.below(roots.len() + called.len());
                let run = roots.get(at).unwrap_or_else(|| &called[at - roots.len()]).clone();
                if at >= roots.len() && self.rng.below(2) == 0 {
                    let kill = self.rng.below(2) == 0;
                    self.tell(Event::CallerStops { run, kill });
                } else {
                    let token = self.ask(Ask::Stop(run.clone()));
                    self.tell(Event::Stop(token, run, StopReason::User { uid: 1000 }));
                }
            }
            Action::Decide => self.decide(),
            Action::Pause => self.pause(),
            Action::Move => self.move_run(),
            Action::Dequeue => self.dequeue(),
            Action::Drain => {
                self.draining = true;
                self.tell(Event::Drain);
            }
            Action::Crash if self.crash_budget > 0 => self.crash(),
            Action::Crash => {}
            Action::DiskFull => self.disk_full = !self.disk_full,
            Action::ClockJump => {
                let day = 86_400_000_000;
                self.now.wall.0 += [-day, -1_500_000, 1_500_000, day][self.rng.below(4)];
            }
            Action::Store => self.store_works(),
            Action::Answer => {
                if let Some(event) = self.answers.pop_front() {
                    self.tell(event);
                }
            }
            Action::Tick => {
                if let Some(at) = self.armed.take() {
                    // A timer may fire early; then it is armed again.
                    if self.calm || self.rng.percent(80) {
                        self.now.boot = self.now.boot.max(at);
                    }
                    self.tell(Event::Tick);
                }
            }
            Action::Launch(id) => self.launch_goes_on(&id),
            Action::Shim(id) => self.shim_goes_on(&id),
            Action::Tell(id) => self.tell_news(&id),
            Action::Clean(id) => {
                self.shims.remove(&id);
                self.tell(Event::Cleaned(id));
            }
            Action::Again(id) => {
                let shim = &self.shims[&id];
                let event = shim.told[self.rng.below(shim.told.len())].clone();
                self.tell(event);
            }
            Action::Kill(id) => {
                self.report.kills += 1;
                let orphans = self.rng.percent(50);
                if let Some(shim) = self.shims.get_mut(&id) {
                    shim.alive = false;
                    shim.orphans = orphans && shim.started;
                }
            }
            Action::Stall(id) => {
                if let Some(shim) = self.shims.get_mut(&id) {
                    shim.stalled = true;
                }
            }
        }
    }

    /// The store commits its first batch, or fails to. The answer comes later.
    fn store_works(&mut self) {
        let Some((number, batch)) = self.pending.pop_front() else {
            return;
        };
        let outcome = if self.disk_full && self.rng.percent(80) {
            Err(CommitError::DiskFull("no space".into()))
        } else if !self.calm && self.rng.percent(3) {
            Err(CommitError::Other("i/o error".into()))
        } else {
            self.commit(&batch)
        };
        if outcome.is_ok() {
            self.note_cancelled(&batch);
        }
        self.note(|| format!("   commit {number}: {outcome:?}"));
        self.answers.push_back(match outcome {
            Ok(()) => Event::Committed(number),
            Err(error) => {
                self.report.failed_commits += 1;
                Event::CommitFailed(number, error)
            }
        });
    }

    fn launch_goes_on(&mut self, id: &AttemptId) {
        if !self.calm && self.rng.percent(5) {
            self.shims.remove(id);
            self.tell(Event::LaunchFailed(id.clone(), "no such user".into()));
            return;
        }
        let Some(shim) = self.shims.get_mut(id) else {
            return;
        };
        shim.task = Task::None;
        shim.alive = true;
        shim.watched = true;
    }

    fn shim_goes_on(&mut self, id: &AttemptId) {
        let done = [
            RunStatus::Succeeded,
            RunStatus::Failed,
            RunStatus::PartiallySucceeded,
            RunStatus::Waiting,
            RunStatus::Waiting,
        ];
        let status = done[self.rng.below(done.len())];
        let Some(shim) = self.shims.get_mut(id) else {
            return;
        };
        if shim.gate == Gate::Eof {
            shim.alive = false;
        } else if !shim.started {
            shim.started = true;
            let starts = self.starts.entry(id.clone()).or_default();
            *starts += 1;
            assert_eq!(*starts, 1, "user code of {id} began twice");
        } else if shim.ended.is_none() {
            let status = if shim.stop { RunStatus::Aborted } else { status };
            shim.retry =
                status == RunStatus::Failed && leaves_handler_out(shim.retried_on.as_ref(), &mut self.rng);
            shim.ended = Some(status);
        } else {
            shim.alive = false;
        }
    }

    /// The shell tells the next thing that a shim's journal or pidfd says.
    fn tell_news(&mut self, id: &AttemptId) {
        let at = self.now.wall;
        let Some(shim) = self.shims.get_mut(id) else {
            return;
        };
        let event = if shim.started && !shim.started_told {
            shim.started_told = true;
            Event::Started(id.clone(), at, None)
        } else if let Some(status) = shim.ended.filter(|_| !shim.ended_told) {
            shim.ended_told = true;
            Event::Ended(id.clone(), end(status, shim.retry, at))
        } else if !shim.alive && (shim.ready_told || shim.gate == Gate::Shut) {
            shim.orphans = false;
            shim.gone_told = true;
            shim.ready_told = true;
            Event::Gone(id.clone(), LostCause::SupervisorSignal(9))
        } else if shim.ready_told {
            return;
        } else {
            shim.ready_told = true;
            Event::Ready(id.clone(), AttemptIdentity::default())
        };
        shim.told.push(event.clone());
        self.tell(event);
    }
}
