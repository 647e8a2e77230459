//! A sub-run and its slot among those of the step that called it: one that only waits for a retry gives it back, and
//! takes no further try before it has one again.
//!
//! Without a daemon nobody can grant a slot, and the attempt goes on: it never waits for the daemon.

use super::Supervisor;
use crate::engine::attempt::{Event, Timer};
use crate::wire::shim::{FromShim, SlotUse};

/// The slot, and what waits for it.
#[derive(Debug)]
pub(super) struct Rest {
    slot: SlotUse,
    /// Retries that are due.
    due: Vec<Timer>,
}

impl Rest {
    pub(super) const fn new() -> Self {
        Self {
            slot: SlotUse::Working,
            due: Vec::new(),
        }
    }
}

impl Supervisor {
    /// Tells whether the run rests, if that changed. Only the daemon of a sub-run cares.
    pub(super) fn tell_rest(&mut self) {
        if self.boot.spec.view.parent.is_none() {
            return;
        }
        let resting = self.engine.is_resting();
        match (self.rest.slot, resting) {
            (SlotUse::Working, true) => self.use_slot(SlotUse::Resting),
            // A stop or a time limit ended the waiting, or a step began whose start was delayed. Retries that are due go
            // on with it; the engine knows which of them still count.
            (SlotUse::Resting | SlotUse::Wanted, false) => {
                let due = std::mem::take(&mut self.rest.due);
                self.events.extend(due.into_iter().map(Event::Timer));
                self.use_slot(SlotUse::Working);
            }
            _ => {}
        }
    }

    fn use_slot(&mut self, slot: SlotUse) {
        self.rest.slot = slot;
        self.tell_daemon(&FromShim::Slot(slot));
    }

    /// A timer of the engine is due. The retry of a run that has given its slot back waits for another one.
    pub(super) fn engine_timer(&mut self, timer: Timer) {
        let rests = self.rest.slot != SlotUse::Working && self.channel.is_some();
        if matches!(timer, Timer::NextTry(_)) && rests {
            self.rest.due.push(timer);
            if self.rest.slot == SlotUse::Resting {
                self.use_slot(SlotUse::Wanted);
            }
        } else {
            self.events.push_back(Event::Timer(timer));
        }
    }

    /// The run has a slot again, or nobody is there to grant one.
    pub(super) fn take_slot(&mut self) {
        if self.rest.slot == SlotUse::Wanted {
            self.rest.slot = SlotUse::Working;
            let due = std::mem::take(&mut self.rest.due);
            self.events.extend(due.into_iter().map(Event::Timer));
        }
    }

    /// The daemon is back, or was here all the time and may have granted a slot meanwhile: it is told once more.
    pub(super) fn tell_rest_again(&mut self) {
        if self.boot.spec.view.parent.is_some() {
            self.tell_daemon(&FromShim::Slot(self.rest.slot));
        }
    }
}
