//! Schedules: what is due, what was missed, and what becomes of it (seed-spec §8; W21, W26, W34; P12).

use super::Scheduler;
use super::api::{CommitError, Effect, Installed, Refusal, Token, Upcoming};
use super::save::Owner;
use crate::model::change::Change;
use crate::model::{DagName, Now, Time};

impl Scheduler {
    /// What the schedules will do after an instant, the earliest first.
    #[must_use]
    pub fn upcoming(&self, _dag: Option<&DagName>, _after: Time, _count: usize) -> Vec<Upcoming> {
        Vec::new()
    }

    pub(super) fn clock_set(&mut self, _now: Now, _out: &mut Vec<Effect>) {}

    pub(super) fn install(&mut self, _now: Now, _installed: Installed, _out: &mut Vec<Effect>) {}

    pub(super) fn uninstall(&mut self, _now: Now, _dag: &DagName, _out: &mut Vec<Effect>) {}

    pub(super) fn suspend(&mut self, _now: Now, token: Token, dag: DagName, on: bool, out: &mut Vec<Effect>) {
        let batch = self.batch_of(Owner::Dag(dag.clone()));
        self.suspending.insert(dag.clone(), token);
        out.push(Effect::Commit(batch, vec![Change::Suspend { dag, on }]));
    }

    pub(super) fn plan_committed(&mut self, _now: Now, dag: &DagName, out: &mut Vec<Effect>) {
        out.extend(self.suspending.remove(dag).map(Effect::Accepted));
    }

    pub(super) fn plan_not_committed(
        &mut self,
        _now: Now,
        dag: &DagName,
        error: CommitError,
        out: &mut Vec<Effect>,
    ) {
        let refusal = Refusal::Store(format!("{error:?}"));
        out.extend(
            self.suspending
                .remove(dag)
                .map(|token| Effect::Refused(token, refusal)),
        );
    }
}
