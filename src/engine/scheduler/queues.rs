//! What people do to queues: pause them, move runs in them, take runs out.

use super::Scheduler;
use super::api::{CommitError, Effect, Place, Token};
use super::run::Key;
use crate::model::{GroupName, Now, RunRef, StopReason};

impl Scheduler {
    pub(super) fn pause(&mut self, _token: Token, _queue: GroupName, _on: bool, _out: &mut Vec<Effect>) {}

    pub(super) fn paused(&mut self, _queues: Vec<GroupName>) {}

    pub(super) fn place(&mut self, _token: Token, _run: &RunRef, _place: Place, _out: &mut Vec<Effect>) {}

    pub(super) fn moved(&mut self, _key: Key, _out: &mut Vec<Effect>) {}

    pub(super) fn take_out(
        &mut self,
        _now: Now,
        _token: Token,
        _run: &RunRef,
        _reason: StopReason,
        _out: &mut Vec<Effect>,
    ) {
    }

    pub(super) fn queue_committed(&mut self, _queue: &GroupName, _out: &mut Vec<Effect>) {}

    pub(super) fn queue_not_committed(
        &mut self,
        _queue: &GroupName,
        _error: CommitError,
        _out: &mut Vec<Effect>,
    ) {
    }
}
