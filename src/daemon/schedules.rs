//! What the engine makes of schedules, and what people ask about them.

use super::control::refusal;
use super::dispatcher::Dispatcher;
use super::live::LiveRun;
use super::requests::Asker;
use crate::engine::scheduler::TickOutcome;
use crate::model::change::NewRun;
use crate::model::{DagName, Time};
use crate::wire::control::ErrorKind;

impl Dispatcher {
    /// The engine has made a run.
    pub(super) fn make(&mut self, mut new: NewRun) {
        self.runs.share(&mut new);
        self.runs.insert(new.run.clone(), LiveRun::first(new));
    }

    /// What became of a scheduled time.
    pub(super) fn ticked(&mut self, _dag: &DagName, _at: Time, _outcome: &TickOutcome) {}

    /// What the schedules will do.
    pub(super) fn next(&mut self, _dag: Option<&DagName>, _count: u32, _owner: Option<u32>, asker: &Asker) {
        self.answer(&asker.answers, refusal(ErrorKind::Unavailable, "not built"));
    }
}
