//! Installed DAGs: which there are, and what people do with them.

use super::control::refusal;
use super::dispatcher::Dispatcher;
use super::requests::Asker;
use crate::model::DagName;
use crate::wire::control::ErrorKind;
use crate::wire::manage::Install;

impl Dispatcher {
    pub(super) fn dags(&mut self, _owner: Option<u32>, asker: &Asker) {
        self.answer(&asker.answers, refusal(ErrorKind::Unavailable, "not built"));
    }

    pub(super) fn install(&mut self, _install: Install, asker: Asker) {
        self.answer(&asker.answers, refusal(ErrorKind::Unavailable, "not built"));
    }

    pub(super) fn remove_dag(&mut self, _dag: DagName, _owner: Option<u32>, asker: Asker) {
        self.answer(&asker.answers, refusal(ErrorKind::Unavailable, "not built"));
    }

    pub(super) fn source(&mut self, _dag: DagName, _owner: Option<u32>, asker: Asker) {
        self.answer(&asker.answers, refusal(ErrorKind::Unavailable, "not built"));
    }

    pub(super) fn enable(&mut self, _dag: DagName, _on: bool, _owner: Option<u32>, asker: Asker) {
        self.answer(&asker.answers, refusal(ErrorKind::Unavailable, "not built"));
    }
}
