//! What live attempts asked for: which run answers which question, and who is to be told of which run.

use std::collections::HashMap;
use std::sync::Arc;

use super::callee::Callees;
use crate::model::{AttemptId, RunRef};
use crate::wire::shim::SlotUse;

/// Who asks: the attempt, and its number for the sub-run.
pub(super) type Question = (AttemptId, u64);

/// How far a question is.
#[derive(Debug)]
pub(super) enum Progress {
    /// The DAG is being loaded, or the run recorded. Counts the stops that came meanwhile.
    Preparing { stops: u32 },
    /// This is the run.
    Run(RunRef),
}

/// What live attempts asked for.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) questions: HashMap<Question, Progress>,
    pub(super) by_run: HashMap<RunRef, Question>,
    /// What sub-runs have said of their slots before the step that called them has asked again.
    pub(super) slots: HashMap<RunRef, SlotUse>,
    pub(super) callees: Arc<Callees>,
}

impl Calls {
    /// The attempt is over: nobody is to be told any more.
    pub(super) fn forget(&mut self, attempt: &AttemptId) {
        self.questions.retain(|(asking, _), _| asking != attempt);
        self.by_run.retain(|_, (asking, _)| asking != attempt);
    }

    /// The question is answered for good: a step that repeats for ever asks for ever new runs.
    pub(super) fn close(&mut self, question: &Question) {
        if let Some(Progress::Run(run)) = self.questions.remove(question) {
            self.by_run.remove(&run);
        }
    }

    /// Who asked for that run.
    pub(super) fn asked_by(&self, run: &RunRef) -> Option<Question> {
        self.by_run.get(run).cloned()
    }

    /// The run that answers that question.
    pub(super) fn run_of(&self, question: &Question) -> Option<RunRef> {
        match self.questions.get(question) {
            Some(Progress::Run(run)) => Some(run.clone()),
            Some(Progress::Preparing { .. }) | None => None,
        }
    }

    /// Keeps what a sub-run says of its slot until somebody asks for it.
    pub(super) fn keep_slot(&mut self, run: &RunRef, slot: SlotUse) {
        self.slots.insert(run.clone(), slot);
    }

    pub(super) fn take_slot(&mut self, run: &RunRef) -> Option<SlotUse> {
        self.slots.remove(run)
    }
}
