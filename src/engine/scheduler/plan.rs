//! Schedules: what is due, what was missed, and what becomes of it (seed-spec §8; W21, W26, W34; P12).

use super::Scheduler;
use super::api::{CommitError, Effect, Installed, Token};
use crate::model::{DagName, Now};

impl Scheduler {
    pub(super) fn clock_set(&mut self, _now: Now, _out: &mut Vec<Effect>) {}

    pub(super) fn install(&mut self, _now: Now, _installed: Installed, _out: &mut Vec<Effect>) {}

    pub(super) fn uninstall(&mut self, _now: Now, _dag: &DagName, _out: &mut Vec<Effect>) {}

    pub(super) fn suspend(
        &mut self,
        _now: Now,
        _token: Token,
        _dag: DagName,
        _on: bool,
        _out: &mut Vec<Effect>,
    ) {
    }

    pub(super) fn plan_committed(&mut self, _now: Now, _dag: &DagName, _out: &mut Vec<Effect>) {}

    pub(super) fn plan_not_committed(
        &mut self,
        _now: Now,
        _dag: &DagName,
        _error: CommitError,
        _out: &mut Vec<Effect>,
    ) {
    }
}
