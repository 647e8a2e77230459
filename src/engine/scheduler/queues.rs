//! What people do to queues: pause them, move runs in them, take runs out; and how queues stand.

use std::collections::VecDeque;

use super::Scheduler;
use super::api::{CommitError, Effect, Place, Refusal, Token};
use super::groups::Load;
use super::run::{Key, Phase, Run};
use super::save::{Owner, words};
use crate::model::change::Change;
use crate::model::{Boot, GroupName, Now, RunRef, StopReason};

/// A queue whose pause, or its end, is being committed.
#[derive(Debug)]
pub(super) struct Pausing {
    number: u64,
    on: bool,
    token: Token,
    /// What was asked for meanwhile, in order.
    later: VecDeque<(Token, bool)>,
}

/// How a queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueState {
    /// Most live runs; 0 is no limit. None if neither the configuration nor a run in memory tells it.
    pub capacity: Option<u32>,
    /// Live runs that count.
    pub live: u32,
    /// Whether it starts nothing.
    pub paused: bool,
}

impl From<Load> for QueueState {
    fn from(load: Load) -> Self {
        Self {
            capacity: load.capacity,
            live: load.live,
            paused: load.paused,
        }
    }
}

/// What keeps a queued run from starting. The first of several counts most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The daemon shuts down.
    Draining,
    /// The disk is full: nothing is started until there is room.
    DiskFull,
    /// Its last start went wrong; it is tried again then.
    Delayed(Boot),
    /// Its queue is paused.
    Paused,
    /// A live run of its DAG is being stopped for another one's sake, and nothing of the DAG starts before it is gone.
    Superseding,
    /// As many runs of its DAG are live as may be.
    DagFull {
        /// How many may be.
        limit: u32,
        /// How many are.
        live: u32,
    },
    /// As many runs of its queue are live as may be.
    QueueFull {
        /// How many may be.
        capacity: u32,
        /// How many are.
        live: u32,
    },
    /// As many attempts are live as the daemon may have.
    DaemonFull {
        /// How many may be.
        limit: u32,
        /// How many are.
        live: u32,
    },
}

impl Scheduler {
    /// Somebody pauses a queue or has it go on. It counts when it is stored, so that a restart cannot forget it.
    pub(super) fn pause(&mut self, token: Token, queue: GroupName, on: bool, out: &mut Vec<Effect>) {
        if self.draining {
            out.push(Effect::Refused(token, Refusal::Draining));
        } else if let Some(pausing) = self.pausing.get_mut(&queue) {
            pausing.later.push_back((token, on));
        } else {
            self.save_pause(queue, token, on, VecDeque::new(), out);
        }
    }

    fn save_pause(
        &mut self,
        queue: GroupName,
        token: Token,
        on: bool,
        later: VecDeque<(Token, bool)>,
        out: &mut Vec<Effect>,
    ) {
        let number = self.batch_of(Owner::Queue(queue.clone()));
        let change = Change::PauseQueue {
            queue: queue.clone(),
            on,
        };
        out.push(Effect::Commit(number, vec![change]));
        let pausing = Pausing {
            number,
            on,
            token,
            later,
        };
        self.pausing.insert(queue, pausing);
    }

    /// Queues that are paused, as the store holds it.
    pub(super) fn paused(&mut self, queues: Vec<GroupName>) {
        for queue in queues {
            self.groups.pause(&queue, true);
        }
    }

    pub(super) fn queue_committed(&mut self, number: u64, queue: &GroupName, out: &mut Vec<Effect>) {
        if let Some(pausing) = self.take_pausing(number, queue) {
            self.groups.pause(queue, pausing.on);
            out.push(Effect::Accepted(pausing.token));
            self.pause_on(queue, pausing.later, out);
        }
    }

    pub(super) fn queue_not_committed(
        &mut self,
        number: u64,
        queue: &GroupName,
        error: CommitError,
        out: &mut Vec<Effect>,
    ) {
        if let Some(pausing) = self.take_pausing(number, queue) {
            let why = Refusal::Store(words(error));
            out.push(Effect::Refused(pausing.token, why));
            self.pause_on(queue, pausing.later, out);
        }
    }

    fn take_pausing(&mut self, number: u64, queue: &GroupName) -> Option<Pausing> {
        let pausing = self.pausing.get(queue);
        pausing.filter(|pausing| pausing.number == number)?;
        self.pausing.remove(queue)
    }

    /// Goes on with what was asked for meanwhile.
    fn pause_on(&mut self, queue: &GroupName, mut later: VecDeque<(Token, bool)>, out: &mut Vec<Effect>) {
        if let Some((token, on)) = later.pop_front() {
            self.save_pause(queue.clone(), token, on, later, out);
        }
    }

    /// Somebody gives a queued run another place. It is out of the queue until the store has that: what is launched
    /// must be what the store holds.
    pub(super) fn place(&mut self, token: Token, name: &RunRef, place: Place, out: &mut Vec<Effect>) {
        let refusal = match self.waiting(name) {
            _ if self.draining => Refusal::Draining,
            Ok((key, run)) if run.rests() && !run.is_guest() => {
                let change = Change::Move {
                    run: name.clone(),
                    queue: place.queue.clone(),
                    priority: place.priority,
                    first: place.first,
                };
                self.dequeue(key);
                if let Some(run) = self.runs.get_mut(&key) {
                    run.phase = Phase::Moving { token, place };
                }
                self.save(key, vec![change], true, out);
                return;
            }
            // Whoever asks a moment later finds it at rest, or knows what became of it.
            Ok((_, run)) if !run.is_guest() => Refusal::Changing,
            Ok((_, run)) => Refusal::WrongState(run.status()),
            Err(refusal) => refusal,
        };
        out.push(Effect::Refused(token, refusal));
    }

    /// The new place is stored.
    pub(super) fn moved(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let Phase::Moving { token, place } = &run.phase else {
            return;
        };
        let (token, place) = (*token, place.clone());
        if place.first {
            run.seq = self.groups.front();
        } else if place.queue.is_some() {
            run.seq = self.groups.back();
        }
        if let Some(priority) = place.priority {
            run.priority = priority;
        }
        if let Some((queue, capacity)) = place.queue {
            // The run is a member of a queue all the time, so the old one is left under its old name.
            self.groups.leave(run);
            run.group = queue;
            self.groups.join(run, capacity, true);
        }
        out.push(Effect::Accepted(token));
        out.push(Effect::Changed(run.name.clone()));
        self.queue_again(now, key, out);
    }

    /// The new place is not stored: the run has its old one.
    pub(super) fn not_moved(&mut self, now: Now, key: Key, error: CommitError, out: &mut Vec<Effect>) {
        let phase = self.runs.get(&key).map(|run| &run.phase);
        if let Some(Phase::Moving { token, .. }) = phase {
            out.push(Effect::Refused(*token, Refusal::Store(words(error))));
            self.queue_again(now, key, out);
        }
    }

    /// Puts a run into the queue again that was out of it for a moment, unless it was stopped meanwhile.
    pub(super) fn queue_again(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        if self.runs.get(&key).is_some_and(|run| run.stop.is_some()) {
            self.drop_queued(now, key, out);
        } else {
            self.put_back(key);
        }
    }

    /// Somebody takes a run out of the queue: it is stopped if it has not begun.
    pub(super) fn take_out(
        &mut self,
        now: Now,
        token: Token,
        name: &RunRef,
        reason: StopReason,
        out: &mut Vec<Effect>,
    ) {
        match self.waiting(name) {
            Ok((key, _)) => self.stop_run(now, key, Some(token), reason, out),
            Err(refusal) => out.push(Effect::Refused(token, refusal)),
        }
    }

    /// A run that has not begun an attempt, or is about to wait for one.
    fn waiting(&self, name: &RunRef) -> Result<(Key, &Run), Refusal> {
        let key = *self.names.get(name).ok_or(Refusal::NotFound)?;
        let run = self.runs.get(&key).ok_or(Refusal::NotFound)?;
        match run.phase {
            Phase::Admitting { .. } | Phase::Queued | Phase::Delayed | Phase::Moving { .. } => Ok((key, run)),
            Phase::Dropping => Err(Refusal::Changing),
            _ => Err(Refusal::WrongState(run.status())),
        }
    }

    /// How a queue stands. One that is not known has nothing.
    #[must_use]
    pub fn queue(&self, queue: &GroupName) -> QueueState {
        self.groups.load(queue).into()
    }

    /// How a queue stands, in one row or several, at least one. Unless it is configured, the capacity holds for each user
    /// by itself as far as runs of the DAG with the queue's name are concerned: these have a row for each user, with the
    /// user's id.
    #[must_use]
    pub fn queue_rows(&self, queue: &GroupName) -> Vec<(Option<u32>, QueueState)> {
        let rows = self.groups.rows(queue).into_iter();
        rows.map(|(user, load)| (user, load.into())).collect()
    }

    /// How many runs wait in a queue. Those that others called wait in none.
    #[must_use]
    pub fn waiting_in(&self, queue: &GroupName) -> usize {
        self.resting.in_queue(queue)
    }

    /// The queues that are configured, hold runs or are paused, by name.
    pub fn queues(&self) -> impl Iterator<Item = &GroupName> {
        self.groups.names().into_iter()
    }

    /// Runs that wait in a queue: those of higher priority first, of the same priority the one that came first.
    /// Searches all runs in memory.
    #[must_use]
    pub fn queued_in(&self, queue: &GroupName) -> Vec<&RunRef> {
        let waits = |run: &&Run| run.group == *queue && run.member && (run.rests() || run.is_being_moved());
        let mut waiting: Vec<&Run> = self.runs.values().filter(waits).collect();
        waiting.sort_by_key(|run| (!run.now, std::cmp::Reverse(run.priority), run.seq));
        waiting.into_iter().map(|run| &run.name).collect()
    }

    /// What keeps a queued run from starting. If nothing does, others go first or it is being launched.
    #[must_use]
    pub fn holds(&self, name: &RunRef) -> Vec<Hold> {
        let run = self.names.get(name).and_then(|key| self.runs.get(key));
        let Some(run) = run.filter(|run| run.rests()) else {
            return Vec::new();
        };
        let mut holds = Vec::new();
        if self.draining {
            holds.push(Hold::Draining);
        }
        if self.held {
            holds.push(Hold::DiskFull);
        }
        if let (Phase::Delayed, Some(at)) = (&run.phase, run.timer) {
            holds.push(Hold::Delayed(at));
        }
        if run.is_guest() {
            return holds;
        }
        let queue = self.groups.load(&run.group);
        if queue.paused {
            holds.push(Hold::Paused);
        }
        if run.now {
            return holds;
        }
        if self.groups.is_blocked(run) {
            holds.push(Hold::Superseding);
        }
        let (limit, live) = self.groups.dag_load(run);
        if limit > 0 && live >= limit {
            holds.push(Hold::DagFull { limit, live });
        }
        let (capacity, live) = self.groups.queue_load(run);
        if capacity > 0 && live >= capacity {
            holds.push(Hold::QueueFull { capacity, live });
        }
        let (limit, live) = (self.max_live, self.groups.live());
        if limit > 0 && live >= limit {
            holds.push(Hold::DaemonFull { limit, live });
        }
        holds
    }
}
