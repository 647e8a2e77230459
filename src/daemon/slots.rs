//! Slots of parallel steps: a sub-run that only waits for a retry gives its slot back to the step that called it, and
//! asks for one before it goes on. The daemon only passes on what the two shims say.

use super::dispatcher::Dispatcher;
use crate::model::{AttemptId, RunRef};
use crate::wire::shim::{CallNews, SlotUse, ToShim};

impl Dispatcher {
    /// A sub-run tells how it uses its slot.
    pub(super) fn slot_used(&mut self, attempt: &AttemptId, slot: SlotUse) {
        let Some(run) = self.attempts.get(attempt).map(|held| held.run.clone()) else {
            return;
        };
        if let Some((asking, call)) = self.calls.asked_by(&run) {
            let news = CallNews::Slot(slot);
            self.send(&asking, &ToShim::Called { call, news });
            return;
        }
        let parent = self.runs.get(&run).and_then(|live| live.new.parent.clone());
        let coming = parent.is_some_and(|caller| {
            let live = self.runs.get(&caller.run);
            live.is_some_and(|live| !super::follow::is_over(&live.view))
        });
        if coming {
            // The step that called it asks again as soon as its shim is attached; then it is told.
            self.calls.keep_slot(&run, slot);
        } else if slot == SlotUse::Wanted {
            self.send(attempt, &ToShim::Slot);
        }
    }

    /// The question is known (again): what its sub-run has said of its slot meanwhile is told now.
    pub(super) fn tell_slot(&mut self, run: &RunRef) {
        if let (Some(slot), Some((asking, call))) = (self.calls.take_slot(run), self.calls.asked_by(run)) {
            let news = CallNews::Slot(slot);
            self.send(&asking, &ToShim::Called { call, news });
        }
    }

    /// The calling step has a slot for the sub-run of that number.
    pub(super) fn grant_slot(&mut self, attempt: &AttemptId, call: u64) {
        let run = self.calls.run_of(&(attempt.clone(), call));
        let live = run.and_then(|run| self.runs.get(&run));
        if let Some(called) = live.and_then(|live| live.view.attempt.clone()) {
            self.send(&called, &ToShim::Slot);
        }
    }
}
