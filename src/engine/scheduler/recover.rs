//! Recovery: the engine's state made anew from what the store and the kernel hold. It may be cut short and
//! repeated at any point: what it does first is what a running engine would do next.

use std::collections::BTreeMap;

use super::Scheduler;
use super::api::{Effect, Evidence, Recovered};
use super::run::{Key, Phase, Run};
use crate::model::change::Change;
use crate::model::{DagName, Now, Time};

impl Scheduler {
    /// Takes up every run of the list that is not known yet.
    pub(super) fn recover(&mut self, now: Now, list: Vec<Recovered>, out: &mut Vec<Effect>) {
        let mut queued: Vec<(u64, Key)> = Vec::new();
        let mut live: Vec<(Key, Evidence)> = Vec::new();
        let mut pausing: Vec<Key> = Vec::new();
        for item in list {
            if self.names.contains_key(&item.run) {
                continue;
            }
            let mut run = Run::new(item.run, item.group, item.attempts, Phase::Queued);
            run.owner = item.owner;
            run.priority = item.priority;
            run.now = item.now;
            run.dag_limit = item.dag_limit;
            run.stop_saved = item.stop.is_some();
            run.stop = item.stop;
            run.parent = item.parent;
            run.origin = item.origin;
            run.member = !run.is_guest();
            self.take_up_retries(now, &mut run, item.retry);
            let member = run.member;
            if let (Some((attempt, ..)), Some(start)) = (&item.live, item.unstored_start) {
                run.unsaved.push(Change::Start {
                    attempt: attempt.clone(),
                    at: start.at,
                    params: start.params,
                });
            }
            if member && (item.live.is_some() || item.queued.is_some() || run.again.due.is_some()) {
                self.groups.join(&run, item.capacity, false);
            }
            match (item.live, item.queued) {
                (Some((attempt, number, evidence)), _) => {
                    run.attempt = Some(attempt);
                    run.attempts = number;
                    live.push((self.insert(run), evidence));
                }
                (None, Some(position)) => queued.push((position, self.insert(run))),
                (None, None) if run.again.due.is_some() => pausing.push(self.insert(run)),
                (None, None) => {}
            }
        }
        self.join_families();
        // Those that are taken back stand before those that wait, in the order in which they were accepted.
        for (key, _) in live.iter().rev() {
            let seq = self.groups.front();
            if let Some(run) = self.runs.get_mut(key) {
                run.seq = seq;
            }
        }
        let mut taken_up = Vec::new();
        for (key, evidence) in live {
            self.take_up(now, key, evidence, out);
            self.flush(key, out);
            taken_up.push(key);
        }
        for key in pausing {
            self.take_up_pausing(now, key, out);
        }
        self.block_superseded(&taken_up, &queued);
        queued.sort_unstable();
        for (_, key) in queued {
            let seq = self.groups.back();
            let Some(run) = self.runs.get_mut(&key) else {
                continue;
            };
            run.seq = seq;
            if run.stop.is_some() {
                self.drop_queued(now, key, out);
            } else {
                self.enqueue(key);
            }
        }
        self.end_broken_families(now, out);
    }

    /// What was superseded when it was stopped already, or was ending, has no mark of it in the store: then the newer run
    /// that a schedule made and that waits is the sign. It starts when the other one is gone.
    fn block_superseded(&mut self, live: &[Key], queued: &[(u64, Key)]) {
        let mut newest: BTreeMap<(DagName, u32), Time> = BTreeMap::new();
        for run in queued.iter().filter_map(|(_, key)| self.runs.get(key)) {
            if run.origin.scheduled_for.is_some() {
                let at = newest.entry((run.name.dag.clone(), run.owner)).or_default();
                *at = run.origin.created_at.max(*at);
            }
        }
        for key in live {
            let Some(run) = self.runs.get(key) else { continue };
            let newest = newest.get(&(run.name.dag.clone(), run.owner));
            let leaves = run.stop.is_some() || run.is_ending();
            if leaves && !run.is_guest() && newest.is_some_and(|newest| *newest >= run.origin.created_at) {
                self.block(*key);
            }
        }
    }

    fn take_up(&mut self, now: Now, key: Key, evidence: Evidence, out: &mut Vec<Effect>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let Some(attempt) = run.attempt.clone() else {
            return;
        };
        match evidence {
            Evidence::NeverStarted => {
                self.occupy(key);
                self.sweep(key, None, out);
            }
            Evidence::Alive { identity, started } => {
                run.adopted = true;
                run.phase = if started { Phase::Running } else { Phase::Opening };
                out.push(Effect::Adopt(run.name.clone(), attempt.clone(), identity));
                // Whether the last daemon passed it on is not known.
                if let Some(reason) = run.stop.clone() {
                    out.push(Effect::EnsureStop(attempt, reason));
                }
                self.occupy(key);
            }
            Evidence::Ended(end) => {
                self.occupy(key);
                self.record_end(now, key, end, true, out);
                self.vacate(key);
            }
            Evidence::Lost { cause, at } => {
                self.occupy(key);
                self.record_loss(now, key, cause, at, out);
                self.vacate(key);
            }
            Evidence::Recorded { status, alive } => {
                run.end_saved = true;
                run.outcome = Some(status);
                let gone = alive.is_none();
                run.phase = Phase::Ending { gone };
                if let Some(identity) = alive {
                    out.push(Effect::Adopt(run.name.clone(), attempt, identity));
                }
                self.occupy(key);
                self.vacate(key);
                self.take_up_cancel(now, key, out);
                self.over(key, out);
                self.clean(key, out);
            }
        }
    }
}
