//! What live attempts asked for: which run answers which question, and who is to be told of which run.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::callee::Callees;
use crate::model::{AttemptId, RunRef};
use crate::wire::shim::SlotUse;

/// Who asks: the attempt, and its number for the sub-run.
pub(super) type Question = (AttemptId, u64);

/// How far a question is.
#[derive(Debug)]
pub(super) enum Progress {
    /// The DAG is being loaded, or the run recorded. If a stop came meanwhile: whether it is to be killed.
    Preparing { stop: Option<bool> },
    /// This is the run.
    Run(RunRef),
}

/// What live attempts asked for.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) questions: BTreeMap<Question, Progress>,
    pub(super) by_run: HashMap<RunRef, Question>,
    /// What sub-runs that are not over have last said of their slots, if anything.
    pub(super) slots: HashMap<RunRef, SlotUse>,
    pub(super) callees: Arc<Callees>,
}

impl Calls {
    /// The attempt is over: nobody is to be told any more.
    pub(super) fn forget(&mut self, attempt: &AttemptId) {
        let asked: Vec<Question> = self.of(attempt).map(|(question, _)| question.clone()).collect();
        for question in asked {
            self.answered(&question);
        }
    }

    /// The question has its answer. If it is asked again all the same, the store answers it.
    pub(super) fn answered(&mut self, question: &Question) {
        if let Some(Progress::Run(run)) = self.questions.remove(question)
            && self.by_run.get(&run) == Some(question)
        {
            self.by_run.remove(&run);
        }
    }

    /// How many questions of the attempt have no answer yet.
    pub(super) fn preparing(&self, attempt: &AttemptId) -> usize {
        self.of(attempt)
            .filter(|(_, progress)| matches!(progress, Progress::Preparing { .. }))
            .count()
    }

    fn of(&self, attempt: &AttemptId) -> impl Iterator<Item = (&Question, &Progress)> {
        let from = (attempt.clone(), 0);
        let asking = attempt.clone();
        let all = self.questions.range(from..);
        all.take_while(move |((attempt, _), _)| *attempt == asking)
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DagName, RunId};

    fn run(id: &str) -> RunRef {
        RunRef {
            dag: DagName::new("child").unwrap(),
            id: RunId::new(id).unwrap(),
        }
    }

    #[test]
    fn nothing_is_kept_of_what_was_answered_or_whose_asker_is_over() {
        let attempt = |number| AttemptId::derive(&run("caller"), number);
        let mut calls = Calls::default();
        for (attempt, call, id) in [(attempt(1), 1, "a"), (attempt(1), 2, "b"), (attempt(2), 1, "c")] {
            let question = (attempt, call);
            calls.by_run.insert(run(id), question.clone());
            calls.questions.insert(question, Progress::Run(run(id)));
        }
        // Asked for once more by a later attempt: the older question's answer leaves that alone.
        calls.by_run.insert(run("a"), (attempt(2), 2));
        calls.questions.insert((attempt(2), 2), Progress::Run(run("a")));
        calls.answered(&(attempt(1), 1));
        assert_eq!(calls.asked_by(&run("a")), Some((attempt(2), 2)));
        assert_eq!(calls.run_of(&(attempt(1), 1)), None);
        calls.forget(&attempt(2));
        assert_eq!(calls.asked_by(&run("a")), None);
        assert_eq!(calls.run_of(&(attempt(1), 2)), Some(run("b")));
        calls.forget(&attempt(1));
        assert!(calls.questions.is_empty() && calls.by_run.is_empty());
    }
}
