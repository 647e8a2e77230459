//! Retention: old runs go, with their logs, by age and by count.

use super::control::refusal;
use super::dispatcher::Dispatcher;
use super::requests::Asker;
use crate::model::DagName;
use crate::wire::control::ErrorKind;

impl Dispatcher {
    pub(super) fn cleanup(
        &mut self,
        _dag: Option<DagName>,
        _keep_days: Option<u32>,
        _keep_runs: Option<u32>,
        _dry_run: bool,
        _owner: Option<u32>,
        asker: Asker,
    ) {
        self.answer(&asker.answers, refusal(ErrorKind::Unavailable, "not built"));
    }
}
