//! Admission: how a run comes into the queue, by a submission or by a retry, and how it leaves it unstarted.

use super::Scheduler;
use super::api::{CommitError, Decision, Effect, Origin, Refusal, RetryFacts, Token};
use super::run::{Key, Phase, Run};
use super::save::{accept, refusal};
use crate::model::change::{Change, NewRun};
use crate::model::{Now, RunRef, RunStatus};

impl Scheduler {
    /// A run exists once: in memory the name index says so, and the store for those that ended.
    pub(super) fn submit(&mut self, token: Token, new: Box<NewRun>, out: &mut Vec<Effect>) {
        if self.draining {
            out.push(Effect::Refused(token, Refusal::Draining));
            return;
        }
        if let Some(run) = self.names.get(&new.run).and_then(|key| self.runs.get_mut(key)) {
            match &mut run.phase {
                // Whether it exists is not decided yet.
                Phase::Admitting { rivals, .. } => rivals.push(token),
                _ => out.push(Effect::Refused(token, Refusal::Exists)),
            }
            return;
        }
        let caller = new.parent.as_ref().map(|caller| &caller.run);
        if !self.may_call(caller) {
            out.push(Effect::Refused(token, Refusal::CallerGone));
            return;
        }
        let key = self.admit(Some(token), &new);
        self.join_family(key);
        self.save(key, vec![Change::Accept(new)], false, out);
    }

    /// Takes a run into memory whose acceptance is about to be committed. Without a token a schedule made it.
    pub(super) fn admit(&mut self, token: Option<Token>, new: &NewRun) -> Key {
        let phase = Phase::Admitting {
            token,
            rivals: Vec::new(),
            capacity: new.capacity,
        };
        let mut run = Run::new(new.run.clone(), new.group.clone(), 0, phase);
        run.parent = new.parent.as_ref().map(|caller| caller.run.clone());
        run.owner = new.owner;
        run.priority = new.priority;
        run.now = new.now;
        run.dag_limit = new.dag_limit;
        run.again.policy.clone_from(&new.retry);
        run.origin = Origin::of(new);
        self.insert(run)
    }

    /// A new attempt of an ended run. While the attempt before is being cleaned up the request waits: nothing of
    /// it may live when the next one starts (W5).
    pub(super) fn retry(
        &mut self,
        now: Now,
        token: Token,
        name: &RunRef,
        facts: RetryFacts,
        out: &mut Vec<Effect>,
    ) {
        if self.draining {
            out.push(Effect::Refused(token, Refusal::Draining));
            return;
        }
        if let Some(key) = self.names.get(name).copied() {
            return self.retry_known(now, key, token, facts, out);
        }
        // What waits goes on by a decision, or because the run that called it asks for it again after one.
        let asked_again = facts.caller.is_some() && facts.status == RunStatus::Waiting;
        if !facts.status.is_terminal() && !asked_again {
            out.push(Effect::Refused(token, Refusal::WrongState(facts.status)));
            return;
        }
        let (caller, asked) = facts.caller.clone().unzip();
        if !self.may_call(caller.as_ref()) {
            out.push(Effect::Refused(token, Refusal::CallerGone));
            return;
        }
        let phase = Phase::Admitting {
            token: Some(token),
            rivals: Vec::new(),
            capacity: facts.capacity,
        };
        let mut run = again(name, facts, phase);
        run.parent = caller;
        let key = self.insert(run);
        self.join_family(key);
        let requeue = Change::Requeue {
            run: name.clone(),
            caller: asked,
            automatic: false,
            at: now.wall,
        };
        self.save(key, vec![requeue], false, out);
    }

    /// A decision about a run that waits. Such a run is not in memory: one that is, is on its way into waiting or out
    /// of it.
    pub(super) fn decide(
        &mut self,
        now: Now,
        token: Token,
        name: &RunRef,
        facts: RetryFacts,
        decision: Decision,
        out: &mut Vec<Effect>,
    ) {
        let known = self.names.get(name).and_then(|key| self.runs.get(key));
        let status = known.map_or(facts.status, Run::status);
        if self.draining || known.is_some() || status != RunStatus::Waiting {
            let refusal = if self.draining {
                Refusal::Draining
            } else {
                Refusal::WrongState(status)
            };
            out.push(Effect::Refused(token, refusal));
            return;
        }
        let (run, at) = (name.clone(), now.wall);
        match decision {
            Decision::Resume(mut changes) => {
                let phase = Phase::Admitting {
                    token: Some(token),
                    rivals: Vec::new(),
                    capacity: facts.capacity,
                };
                let key = self.insert(again(name, facts, phase));
                let caller = None;
                changes.push(Change::Requeue {
                    run,
                    caller,
                    automatic: false,
                    at,
                });
                self.save(key, changes, false, out);
            }
            Decision::Stop(reason) => {
                let mut ending = again(name, facts, Phase::Dropping);
                ending.waits = true;
                ending.stop = Some(reason.clone());
                ending.stop_tokens.push(token);
                let key = self.insert(ending);
                let end = Change::EndQueued {
                    run: run.clone(),
                    status: RunStatus::Aborted,
                    error: Some(reason.to_string()),
                    at,
                };
                self.save(key, vec![Change::Stop { run, reason, at }, end], true, out);
            }
        }
    }

    /// The run is in the store and its queue entry with it. A retry (`requeued`) brings the capacity of an older
    /// snapshot, which counts only if nothing newer is known.
    pub(super) fn admitted(&mut self, now: Now, key: Key, requeued: bool, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let Phase::Admitting {
            token,
            rivals,
            capacity,
        } = &run.phase
        else {
            return;
        };
        out.extend(token.map(Effect::Accepted));
        out.extend(
            rivals
                .iter()
                .map(|rival| Effect::Refused(*rival, Refusal::Exists)),
        );
        out.push(Effect::Changed(run.name.clone()));
        let capacity = *capacity;
        if !run.is_guest() {
            self.groups.join(run, capacity, requeued);
            run.member = true;
        }
        run.seq = self.groups.back();
        if run.stop.is_some() {
            self.drop_queued(now, key, out);
        } else {
            self.enqueue(key);
        }
    }

    /// The run is not in the store. A stop that came meanwhile has nothing to stop.
    pub(super) fn not_admitted(
        &mut self,
        key: Key,
        error: CommitError,
        requeue: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(run) = self.remove(key) else {
            return;
        };
        self.leave_family(key, &run, out);
        let why = refusal(error, requeue);
        if let Phase::Admitting { token, rivals, .. } = run.phase {
            for token in token.into_iter().chain(rivals) {
                out.push(Effect::Refused(token, why.clone()));
            }
        }
        for token in run.stop_tokens {
            out.push(Effect::Refused(token, Refusal::NotFound));
        }
    }

    /// Puts the run at its place in the queue.
    pub(super) fn enqueue(&mut self, key: Key) {
        if let Some(run) = self.runs.get_mut(&key) {
            run.phase = Phase::Queued;
            self.resting.add(run);
            self.groups.push(run, key);
        }
    }

    /// Puts a run that left the queue for a moment back there, to be passed over as long as before.
    pub(super) fn put_back(&mut self, key: Key) {
        match self.runs.get_mut(&key).and_then(|run| run.delayed.take()) {
            Some(at) => self.delay_until(key, at),
            None => self.enqueue(key),
        }
    }

    /// Takes a resting run out of the queue.
    pub(super) fn dequeue(&mut self, key: Key) {
        if let Some(run) = self.runs.get_mut(&key) {
            run.delayed = run.timer.filter(|_| matches!(run.phase, Phase::Delayed));
        }
        self.clear_timer(key);
        if let Some(run) = self.runs.get(&key).filter(|run| run.rests()) {
            self.resting.take(run);
            // A delayed one is not in it.
            if matches!(run.phase, Phase::Queued) {
                self.groups.remove(run);
            }
        }
    }

    /// Ends a run that has no attempt to end: it was stopped.
    pub(super) fn drop_queued(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        run.phase = Phase::Dropping;
        let end = Change::EndQueued {
            run: run.name.clone(),
            status: RunStatus::Aborted,
            error: run.stop.as_ref().map(ToString::to_string),
            at: now.wall,
        };
        self.save(key, vec![end], true, out);
    }

    /// The run ended in the queue, and the store has it.
    pub(super) fn dropped(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        if let Some(run) = self.runs.get_mut(&key) {
            accept(&mut run.stop_tokens, out);
            out.push(Effect::Changed(run.name.clone()));
            out.push(Effect::Over(run.name.clone()));
        }
        self.forget(now, key, out);
    }
}

/// A run that the store holds already.
fn again(name: &RunRef, facts: RetryFacts, phase: Phase) -> Run {
    let mut run = Run::new(name.clone(), facts.group, facts.attempts, phase);
    run.owner = facts.owner;
    run.priority = facts.priority;
    run.now = facts.now;
    run.dag_limit = facts.dag_limit;
    run.again.policy = facts.retry;
    run.origin = facts.origin;
    run
}
