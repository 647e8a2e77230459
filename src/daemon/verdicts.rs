//! What a person wishes about a step that waits, checked against what waits and what the step asks for.

use super::below::Below;
use crate::dag::Dag;
use crate::dag::types::Approval;
use crate::model::limits::TEXT_MAX;
use crate::model::view::{RunView, StepView};
use crate::model::{RunRef, RunStatus, StepStatus};
use crate::wire::control::{ErrorKind, Response};

/// Why a wish is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

impl Refused {
    pub(super) const fn new(kind: ErrorKind, message: String) -> Self {
        Self {
            kind,
            message,
            hint: None,
        }
    }

    #[must_use]
    pub(super) fn with_hint(mut self, hint: String) -> Self {
        self.hint = Some(hint);
        self
    }

    /// The run is not in a state for a decision.
    pub(super) fn not_waiting(view: &RunView) -> Self {
        let text = format!(
            "run {} is {}: it does not wait for a decision",
            view.run, view.status
        );
        let refused = Self::new(ErrorKind::WrongState, text);
        match view.status {
            RunStatus::Queued | RunStatus::Running => refused.with_hint(format!(
                "if a step of it waits, `proctorctl wait {}` tells when the rest has ended",
                view.run
            )),
            _ => refused,
        }
    }
}

impl From<Refused> for Response {
    fn from(refused: Refused) -> Self {
        Self::Error {
            kind: refused.kind,
            message: refused.message,
            hint: refused.hint,
            problems: Vec::new(),
        }
    }
}

/// What becomes of the step.
#[derive(Debug, Clone)]
pub(super) enum Word {
    /// It is approved, with these values.
    Approve(Vec<(String, String)>),
    /// It is rejected, for this reason.
    Reject(Option<String>),
}

/// What somebody wishes.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// Name of the step; none if only one waits.
    pub(super) step: Option<String>,
    pub(super) word: Word,
}

fn wrong(message: String) -> Refused {
    Refused::new(ErrorKind::Invalid, message)
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

impl Wish {
    pub(super) const fn is_approval(&self) -> bool {
        matches!(self.word, Word::Approve(_))
    }

    pub(super) fn inputs(&self) -> &[(String, String)] {
        match &self.word {
            Word::Approve(inputs) => inputs,
            Word::Reject(_) => &[],
        }
    }

    pub(super) fn reason(&self) -> Option<&str> {
        match &self.word {
            Word::Approve(_) => None,
            Word::Reject(reason) => reason.as_deref(),
        }
    }

    /// What waits for a decision below the steps that are meant. `look` gives the view of a sub-run.
    pub(super) fn below<E>(
        &self,
        view: &RunView,
        look: impl FnMut(&RunRef) -> Result<Option<RunView>, E>,
    ) -> Result<Below, E> {
        let mut meant = view.clone();
        if let Some(name) = &self.step {
            meant.steps.retain(|step| step.name == *name);
        }
        Below::find(&meant, look)
    }

    /// The place of the step that is meant, if what is wished fits it.
    pub(super) fn pick(&self, dag: &Dag, view: &RunView, below: &Below) -> Result<usize, Refused> {
        if let Some(reason) = self.reason().filter(|reason| reason.len() > TEXT_MAX) {
            let text = format!(
                "the reason has {} bytes; at most {TEXT_MAX} are allowed",
                reason.len()
            );
            return Err(wrong(text));
        }
        let (place, approval) = match &self.step {
            Some(name) => named(dag, view, below, name)?,
            None => only(dag, view, below)?,
        };
        if let Word::Approve(inputs) = &self.word {
            let step = view.steps.get(place).map_or("", |step| &step.name);
            check_inputs(step, approval, inputs)?;
        }
        Ok(place)
    }
}

/// The steps whose own approval is awaited. Others that wait do so for their sub-runs.
fn open<'a>(dag: &'a Dag, view: &'a RunView) -> impl Iterator<Item = (usize, &'a StepView, &'a Approval)> {
    let steps = dag.steps.iter().zip(&view.steps).enumerate();
    steps.filter_map(|(place, (step, view))| {
        let waits = view.status == StepStatus::Waiting && !view.waits_for_sub_runs();
        Some((place, view, step.approval.as_ref()?)).filter(|_| waits)
    })
}

fn named<'a>(
    dag: &'a Dag,
    view: &'a RunView,
    below: &Below,
    name: &str,
) -> Result<(usize, &'a Approval), Refused> {
    if let Some((place, _, approval)) = open(dag, view).find(|(_, step, _)| step.name == name) {
        return Ok((place, approval));
    }
    let run = &view.run;
    let names = list(open(dag, view).map(|(_, step, _)| step.name.as_str()));
    let refused = match view.steps.iter().find(|step| step.name == name) {
        None => Refused::new(ErrorKind::NotFound, format!("run {run} has no step {name}")),
        Some(step) if step.waits_for_sub_runs() => return Err(decided_below(view, &[step], below)),
        Some(step) => {
            let text = format!(
                "step {name} of run {run} is {}: it does not wait for approval",
                step.status
            );
            Refused::new(ErrorKind::WrongState, text)
        }
    };
    Err(if names.is_empty() {
        refused
    } else {
        refused.with_hint(format!("these steps of it wait: {names}"))
    })
}

fn only<'a>(dag: &'a Dag, view: &'a RunView, below: &Below) -> Result<(usize, &'a Approval), Refused> {
    let mut all = open(dag, view);
    match (all.next(), all.next()) {
        (Some((place, _, approval)), None) => Ok((place, approval)),
        (Some(_), Some(_)) => {
            let names = list(open(dag, view).map(|(_, step, _)| step.name.as_str()));
            let text = format!("several steps of run {} wait: {names}", view.run);
            Err(wrong(text).with_hint(String::from("name one of them with --step")))
        }
        (None, _) => {
            let steps: Vec<&StepView> = view
                .steps
                .iter()
                .filter(|step| step.waits_for_sub_runs())
                .collect();
            if steps.is_empty() {
                return Err(Refused::not_waiting(view));
            }
            Err(decided_below(view, &steps, below))
        }
    }
}

/// The decision is to be made in sub-runs.
fn decided_below(view: &RunView, steps: &[&StepView], below: &Below) -> Refused {
    let names = list(steps.iter().map(|step| step.name.as_str()));
    let text = format!("step {names} of run {} waits for its sub-runs", view.run);
    Refused::new(ErrorKind::WrongState, text).with_hint(format!("decide there: {}", below.runs()))
}

/// Only values that the step asks for may be given, and those it requires must be.
fn check_inputs(step: &str, approval: &Approval, inputs: &[(String, String)]) -> Result<(), Refused> {
    let mut known: Vec<&str> = approval.input.iter().map(String::as_str).collect();
    let further = approval.required.iter().map(String::as_str);
    let further: Vec<&str> = further.filter(|name| !known.contains(name)).collect();
    known.extend(further);
    for (at, (name, value)) in inputs.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            let text = format!("step {step} does not ask for an input {name}");
            return Err(wrong(text).with_hint(if known.is_empty() {
                String::from("it asks for none")
            } else {
                format!("it asks for {}", list(known))
            }));
        }
        if inputs.iter().take(at).any(|(before, _)| before == name) {
            return Err(wrong(format!("the input {name} is given twice")));
        }
        if value.len() > TEXT_MAX {
            let text = format!(
                "the input {name} has {} bytes; at most {TEXT_MAX} are allowed",
                value.len()
            );
            return Err(wrong(text));
        }
    }
    let given = |name: &&String| inputs.iter().any(|(known, _)| known == *name);
    let missing: Vec<&str> = approval
        .required
        .iter()
        .filter(|name| !given(name))
        .map(String::as_str)
        .collect();
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(wrong(format!(
            "step {step} requires the input {}",
            list(missing.iter().copied())
        ))
        .with_hint(format!("give it with --input {first}=VALUE"))),
    }
}

#[cfg(test)]
mod tests;
