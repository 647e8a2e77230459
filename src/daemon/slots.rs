//! Slots of parallel steps: a sub-run that only waits for a retry gives its slot back to the step that called it, and
//! asks for one before it goes on. The daemon only passes on what the two shims say.

use super::dispatcher::Dispatcher;
use crate::model::{AttemptId, RunRef};
use crate::wire::shim::{CallNews, SlotUse, ToShim};

impl Dispatcher {
    /// A sub-run tells how it uses its slot. That is kept: the calling shim may not hear it now, and asks again.
    pub(super) fn slot_used(&mut self, attempt: &AttemptId, slot: SlotUse) {
        let Some(run) = self.attempts.get(attempt).map(|held| held.run.clone()) else {
            return;
        };
        let live = self
            .runs
            .get(&run)
            .filter(|live| !live.view.status.ends_attempt());
        let Some(caller) = live.and_then(|live| live.new.parent.as_ref()) else {
            return;
        };
        let called_by = self.runs.get(&caller.run);
        if called_by.is_none_or(|live| live.view.status.ends_attempt()) {
            // Nobody is left to grant one.
            if slot == SlotUse::Wanted {
                self.send(attempt, &ToShim::Slot);
            }
            return;
        }
        self.calls.slots.insert(run.clone(), slot);
        self.tell_slot(&run);
    }

    /// Tells the calling shim what its sub-run has last said of its slot.
    pub(super) fn tell_slot(&mut self, run: &RunRef) {
        if let (Some(slot), Some((asking, call))) =
            (self.calls.slots.get(run).copied(), self.calls.asked_by(run))
        {
            let news = CallNews::Slot(slot);
            self.send(&asking, &ToShim::Called { call, news });
        }
    }

    /// The calling step has a slot for the sub-run of that number.
    pub(super) fn grant_slot(&mut self, attempt: &AttemptId, call: u64) {
        let Some(run) = self.calls.run_of(&(attempt.clone(), call)) else {
            return;
        };
        let live = self.runs.get(&run);
        if let Some(called) = live.and_then(|live| live.view.attempt.clone())
            && self.send(&called, &ToShim::Slot)
        {
            self.calls.slots.insert(run, SlotUse::Working);
        }
    }
}
