//! The engine's effects: commits, launches, gates, stops, clean-ups.

use std::os::fd::AsFd;
use std::sync::Arc;

use super::attempt::Attempt;
use super::cleanup::{self, Remains};
use super::dispatcher::{Dispatcher, Msg, now};
use super::launch::Job;
use crate::engine::scheduler::Event;
use crate::model::limits::FRAME_MAX;
use crate::model::view::{RunView, StepView};
use crate::model::{AttemptId, RunRef, StopReason};
use crate::proc::Meta;
use crate::sys::fdpass;
use crate::wire::codec;
use crate::wire::shim::ToShim;

impl Dispatcher {
    /// A run leaves memory; what waited for that goes on.
    pub(super) fn drop_run(&mut self, run: &RunRef) {
        if let Some(live) = self.runs.remove(run) {
            self.retain(&live.new);
        }
        for go_on in self.waiting.remove(run).unwrap_or_default() {
            drop(self.to_self.send(Msg::Then(go_on)));
        }
    }

    /// The view of a run whose next attempt is intended.
    pub(super) fn begin_attempt(&mut self, run: &RunRef, attempt: &AttemptId, number: u32) {
        let Some(held) = self.attempts.get(attempt) else {
            return;
        };
        let log_dir = self
            .config
            .paths
            .attempt(&held.intended_at.day(), attempt)
            .join("logs");
        let Some(live) = self.runs.get_mut(run) else {
            return;
        };
        let fresh = fresh_view(&live.new);
        live.view = RunView {
            attempt: Some(attempt.clone()),
            number,
            log_dir: log_dir.display().to_string(),
            stop: live.view.stop.clone(),
            ..fresh
        };
        live.unsaved.clear();
        live.over = false;
        if let Some(steps) = carried_over(&live.new, live.resume.as_deref()) {
            live.view.steps = steps;
            let begun = |(node, step): (crate::model::Node, &StepView)| {
                (step.status != crate::model::StepStatus::NotStarted).then_some(node)
            };
            live.unsaved = live.view.nodes().filter_map(begun).collect();
        }
    }

    /// Makes and locks the entry, then has the rest made by the launcher.
    pub(super) fn launch(&mut self, run: &RunRef, attempt: &AttemptId, number: u32) {
        let Some(live) = self.runs.get(run) else {
            self.tell(Event::LaunchFailed(
                attempt.clone(),
                String::from("the run is not known any more"),
            ));
            return;
        };
        let at = now().wall;
        let meta = Meta {
            run: run.clone(),
            attempt: attempt.clone(),
            root: Some(root_of(&live.new).clone()),
            started_at: at.secs(),
        };
        let new = Arc::clone(&live.new);
        let (view, resume) = (live.view.clone(), live.resume.clone());
        let retried_on = self.engine.retried_on(run);
        let prepared = self.proc.prepare(&new.group, meta, at);
        let descriptor = prepared.and_then(|prepared| Ok((prepared.descriptor()?, prepared)));
        let (entry, prepared) = match descriptor {
            Ok(made) => made,
            Err(error) => {
                self.tell(Event::LaunchFailed(
                    attempt.clone(),
                    format!("the proc entry: {error}"),
                ));
                return;
            }
        };
        if let Some(watch) = &mut self.watch {
            let unwatched = watch.watch_dag(&new.group, &run.dag);
            self.proc_events(&unwatched);
        }
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        held.prepared = Some(prepared);
        let intended_at = held.intended_at;
        let config = Arc::clone(&self.config);
        self.counters.launched += 1;
        let job = Job {
            new,
            attempt: attempt.clone(),
            number,
            intended_at,
            view,
            resume,
            retried_on,
            entry,
            config,
        };
        self.launcher.submit(job);
    }

    /// Publishes the entry with the shim's identity, then lets the shim pass.
    pub(super) fn open_gate(&mut self, attempt: &AttemptId) {
        let Some(owner) = self.owner_of(attempt) else {
            return;
        };
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        if let Some(prepared) = held.prepared.take() {
            match prepared.publish(&owner, now().wall) {
                Ok(entry) => held.entry = Some(entry),
                Err(error) => {
                    tracing::error!(ATTEMPT_ID = %attempt, %error, "the proc entry cannot be published");
                    self.close_gate(attempt);
                    return;
                }
            }
        }
        if self.send(attempt, &ToShim::Go) {
            self.watch_heartbeat(attempt);
        } else {
            self.close_gate(attempt);
        }
    }

    /// The shim sees end-of-file at the gate and leaves.
    pub(super) fn close_gate(&mut self, attempt: &AttemptId) {
        if let Some(held) = self.attempts.get_mut(attempt) {
            if let Some(channel) = held.channel.take() {
                // The reading task holds a copy, so the end is told and not only left to the last close.
                super::channel::shut_down(&channel);
            }
            if let Some(prepared) = held.prepared.take()
                && let Err(error) = prepared.abandon()
            {
                tracing::warn!(ATTEMPT_ID = %attempt, %error, "a prepared proc entry is left over");
            }
        }
    }

    /// Passes a person's stop on; by signal if the shim's channel is not there. One that is stalled when a further stop
    /// comes is killed, so that a stop always ends something.
    pub(super) fn send_stop(&mut self, attempt: &AttemptId, reason: StopReason) {
        // By signal it could not tell whether that is another stop, and the first one is still to be told.
        if reason == StopReason::Caller
            && let Some(held) = self.attempts.get_mut(attempt).filter(|held| held.reaching)
        {
            held.kill_owed = true;
            return;
        }
        let told = self.send(attempt, &ToShim::Stop(reason));
        let further = self.attempts.get(attempt).is_some_and(|held| held.stop_sent);
        if further && self.is_stalled(attempt) {
            self.signal_shim(attempt, &[libc::SIGKILL]);
        } else {
            self.stop_told(attempt, told);
        }
    }

    /// Sees to it that the shim knows of a stop.
    pub(super) fn ensure_stop(&mut self, attempt: &AttemptId, reason: StopReason) {
        let reaching = self.attempts.get(attempt).is_some_and(|held| held.reaching);
        // One that is being reached is told then: by signal it could not tell whether that is another stop.
        let told = reaching || self.send(attempt, &ToShim::EnsureStop(reason));
        self.stop_told(attempt, told);
    }

    /// A shim that was told is woken to hear it; one that was not is told by signal.
    fn stop_told(&mut self, attempt: &AttemptId, told: bool) {
        if let Some(held) = self.attempts.get_mut(attempt) {
            held.stop_sent = true;
        }
        let signals: &[i32] = if told {
            &[libc::SIGCONT]
        } else {
            &[libc::SIGTERM, libc::SIGCONT]
        };
        self.signal_shim(attempt, signals);
    }

    pub(super) fn signal_shim(&self, attempt: &AttemptId, signals: &[i32]) {
        let held = self.attempts.get(attempt).filter(|held| held.proven);
        let Some(pidfd) = held.and_then(|held| held.pidfd.as_ref()) else {
            return;
        };
        for signal in signals {
            if let Err(error) = pidfd.send_signal(*signal) {
                tracing::debug!(ATTEMPT_ID = %attempt, %error, "the shim to be stopped is gone");
            }
        }
    }

    /// Removes what an ended attempt does not need any more, once the store has what it used.
    pub(super) fn clean(&mut self, attempt: &AttemptId) {
        self.close_gate(attempt);
        if !self.store_account(attempt) {
            self.remove_remains(attempt);
        }
    }

    pub(super) fn remove_remains(&mut self, attempt: &AttemptId) {
        self.let_go(attempt);
        let Some(held) = self.attempts.get_mut(attempt) else {
            self.to_self
                .send(Msg::Cleaned(attempt.clone()))
                .unwrap_or_default();
            return;
        };
        if let Some(entry) = held.entry.take()
            && let Err(error) = self.proc.remove(&entry)
        {
            tracing::warn!(ATTEMPT_ID = %attempt, %error, "the proc entry of an ended attempt is left over");
        }
        held.journal = None;
        held.pidfd = None;
        let cgroup = held.cgroup.take();
        let live = self.runs.get(&held.run);
        let remains = Remains {
            settled: live.is_some_and(|live| live.view.status.ends_attempt()),
            ..remains(attempt, held)
        };
        let (paths, workshop) = (self.config.paths.clone(), Arc::clone(&self.workshop));
        self.elsewhere(
            move || {
                cleanup::clean(&paths, workshop.cgroups().as_ref(), cgroup.as_ref(), &remains);
                (remains.attempt, remains.settled)
            },
            |dispatcher, (attempt, settled)| dispatcher.cleaned(&attempt, !settled),
        );
    }

    /// Removes what was made for an attempt whose supervisor could not get ready, and then tells that.
    pub(super) fn take_away(&mut self, attempt: &AttemptId, why: String) {
        self.close_gate(attempt);
        self.let_go(attempt);
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        held.journal = None;
        held.pidfd = None;
        let cgroup = held.cgroup.take();
        // Its journal is the witness until the store knows.
        let remains = Remains {
            settled: false,
            ..remains(attempt, held)
        };
        let (paths, workshop) = (self.config.paths.clone(), Arc::clone(&self.workshop));
        self.elsewhere(
            move || {
                cleanup::clean(&paths, workshop.cgroups().as_ref(), cgroup.as_ref(), &remains);
                (remains.attempt, why)
            },
            |dispatcher, (attempt, why)| {
                if let Some(held) = dispatcher.attempts.get_mut(&attempt) {
                    *held = Attempt::new(held.run.clone(), held.number, held.intended_at);
                    held.swept = true;
                }
                dispatcher.tell(Event::LaunchFailed(attempt, why));
            },
        );
    }

    pub(super) fn cleaned(&mut self, attempt: &AttemptId, swept: bool) {
        if let Some(held) = self.attempts.get_mut(attempt) {
            // It may be launched once more under the same id: nothing of the last time counts then.
            *held = Attempt {
                swept,
                used: held.used,
                ..Attempt::new(held.run.clone(), held.number, held.intended_at)
            };
        }
        self.tell(Event::Cleaned(attempt.clone()));
    }

    /// The store does not hold the attempt as one that may live any more: its journal is not needed as a witness.
    pub(super) fn remove_last(&self, attempt: &AttemptId) {
        if let Some(held) = self.attempts.get(attempt).filter(|held| held.swept)
            && let Err(error) = cleanup::remove_files(&self.config.paths, &remains(attempt, held))
        {
            tracing::warn!(ATTEMPT_ID = %attempt, %error, "the directory of an attempt that never started is left over");
        }
    }

    /// Sends a message with a descriptor; not while others wait, which it must not overtake.
    pub(super) fn send_with_fd(
        &self,
        attempt: &AttemptId,
        message: &ToShim,
        fd: std::os::fd::BorrowedFd<'_>,
    ) -> bool {
        let held = self.attempts.get(attempt).filter(|held| held.outbox.is_empty());
        let channel = held.and_then(|held| held.channel.as_ref());
        let frame = codec::encode(message, FRAME_MAX).ok();
        channel
            .zip(frame)
            .is_some_and(|(channel, frame)| fdpass::send_with_fds(channel.as_fd(), &frame, &[fd]).is_ok())
    }
}

fn remains(attempt: &AttemptId, held: &Attempt) -> Remains {
    Remains {
        run: held.run.clone(),
        attempt: attempt.clone(),
        intended_at: held.intended_at,
        settled: true,
    }
}

/// The root of the tree of calls that a run belongs to: itself if nobody called it.
pub(super) fn root_of(new: &crate::model::change::NewRun) -> &RunRef {
    new.parent.as_ref().map_or(&new.run, |caller| &caller.root)
}

/// A run's view before anything has happened.
pub(super) fn fresh_view(new: &crate::model::change::NewRun) -> RunView {
    let (run, group) = (new.run.clone(), new.group.clone());
    RunView {
        params: new.params.clone(),
        parent: new.parent.clone(),
        priority: new.priority,
        scheduled_for: new.scheduled_for,
        now: new.now,
        steps: new.steps.iter().map(|name| StepView::new(name)).collect(),
        handlers: new
            .handlers
            .iter()
            .map(|(handler, name)| (*handler, StepView::new(name)))
            .collect(),
        ..RunView::new(run, group, new.owner, new.trigger, new.created_at)
    }
}

/// The steps of a retry as they stand when it begins: what the attempt before has done and need not be done again.
pub(super) fn carried_over(
    new: &crate::model::change::NewRun,
    resume: Option<&[StepView]>,
) -> Option<Vec<StepView>> {
    let resume = crate::engine::attempt::Resume {
        steps: resume?.to_vec(),
    };
    let dag = serde_json::from_str(&new.dag).ok()?;
    Some(crate::engine::attempt::carry_over(&dag, Some(&resume)))
}
