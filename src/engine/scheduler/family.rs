//! Runs and the runs they called. The slot of the root of a tree is that of all runs in it; a run ends with the one
//! that called it, and is gone before that one can be tried again (W5, W36).

use super::Scheduler;
use super::api::Effect;
use super::run::{Key, Phase, Run};
use crate::model::{Now, RunRef, StopReason};

impl Scheduler {
    /// Whether a run may be called by that one: its steps must be running. Nobody calls a run that has no parent.
    pub(super) fn may_call(&self, parent: Option<&RunRef>) -> bool {
        parent.is_none_or(|parent| {
            let run = self.names.get(parent).and_then(|key| self.runs.get(key));
            run.is_some_and(Run::is_under_way)
        })
    }

    /// Makes a run known to the one that called it. False if that one is not in memory.
    pub(super) fn join_family(&mut self, key: Key) -> bool {
        let parent = self.runs.get(&key).and_then(|run| run.parent.as_ref());
        let parent = parent.and_then(|parent| self.names.get(parent)).copied();
        match parent.and_then(|parent| self.runs.get_mut(&parent)) {
            Some(parent) => parent.children.insert(key),
            None => false,
        }
    }

    /// Makes all runs that recovery found known to those that called them.
    pub(super) fn join_families(&mut self) {
        let guests: Vec<Key> = self.guests().collect();
        for key in guests {
            self.join_family(key);
        }
    }

    fn guests(&self) -> impl Iterator<Item = Key> {
        let guests = self.runs.iter().filter(|(_, run)| run.is_guest());
        guests.map(|(key, _)| *key)
    }

    /// The run leaves memory. The one that called it may have waited for that.
    pub(super) fn leave_family(&mut self, key: Key, run: &Run, out: &mut Vec<Effect>) {
        let parent = run
            .parent
            .as_ref()
            .and_then(|parent| self.names.get(parent))
            .copied();
        let Some(parent) = parent else { return };
        if let Some(run) = self.runs.get_mut(&parent) {
            run.children.remove(&key);
        }
        self.vacate(parent);
        self.over(parent, out);
        self.clean(parent, out);
    }

    /// The attempt is over: what it called is stopped. An attempt that ended in order has nothing left here.
    pub(super) fn end_family(&mut self, now: Now, key: Key, out: &mut Vec<Effect>) {
        let children = self.runs.get(&key).map(|run| run.children.clone());
        for child in children.unwrap_or_default() {
            self.stop_run(now, child, None, StopReason::Caller, out);
        }
    }

    /// After recovery: stops what was called by attempts that are over, or that are not there any more.
    pub(super) fn end_broken_families(&mut self, now: Now, out: &mut Vec<Effect>) {
        let over = |run: &&Run| {
            let parent = run.parent.as_ref().and_then(|parent| self.names.get(parent));
            let parent = parent.and_then(|key| self.runs.get(key));
            // One that is being stopped already was told so again when it was taken up.
            run.stop.is_none()
                && parent.is_none_or(|parent| {
                    // One that has not passed its gate, and is started again, calls them again.
                    matches!(
                        parent.phase,
                        Phase::Ending { .. } | Phase::Cleaning | Phase::Forgetting | Phase::Dropping
                    )
                })
        };
        let broken: Vec<Key> = self
            .guests()
            .filter(|key| self.runs.get(key).as_ref().is_some_and(over))
            .collect();
        for key in broken {
            self.stop_run(now, key, None, StopReason::Caller, out);
        }
    }
}
