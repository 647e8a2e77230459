//! What people ask about queues, and do to them.

use super::control::refusal;
use super::dispatcher::Dispatcher;
use super::requests::Asker;
use crate::model::{GroupName, Priority, RunRef};
use crate::wire::control::ErrorKind;

impl Dispatcher {
    pub(super) fn queues(&mut self, _owner: Option<u32>, asker: &Asker) {
        self.answer(&asker.answers, refusal(ErrorKind::Unavailable, "not built"));
    }

    pub(super) fn queue(&mut self, _queue: &GroupName, _owner: Option<u32>, asker: &Asker) {
        self.answer(&asker.answers, refusal(ErrorKind::Unavailable, "not built"));
    }

    pub(super) fn pause_queue(&mut self, _queue: GroupName, _on: bool, asker: Asker) {
        self.answer(&asker.answers, refusal(ErrorKind::Unavailable, "not built"));
    }

    pub(super) fn move_run(
        &mut self,
        asker: Asker,
        _run: RunRef,
        _queue: Option<GroupName>,
        _priority: Option<Priority>,
        _first: bool,
    ) {
        self.answer(&asker.answers, refusal(ErrorKind::Unavailable, "not built"));
    }

    pub(super) fn dequeue(&mut self, asker: Asker, _run: RunRef) {
        self.answer(&asker.answers, refusal(ErrorKind::Unavailable, "not built"));
    }
}
