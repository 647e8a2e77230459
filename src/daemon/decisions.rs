//! Decisions about runs that wait (seed-spec 7.18): a step is approved or rejected, or the run is stopped.
//!
//! What is decided is stored with the step, in one transaction with the run's return into the queue. A run that
//! another one called goes on through the root of its tree: that one's steps ask for their sub-runs again.

use tokio::sync::mpsc::Sender;

use super::below::Below;
use super::dispatcher::{Asked, Asking, Dispatcher, now};
use super::live::LiveRun;
use super::requests::Asker;
use super::verdicts::{Refused, Wish};
use crate::dag::Dag;
use crate::engine::scheduler::Event;
use crate::engine::scheduler::api::{self, RetryFacts};
use crate::model::change::{Change, NewRun};
use crate::model::view::{Decision, RunView, StepView};
use crate::model::{AttemptId, RunRef, RunStatus, StepStatus, StopReason};
use crate::store::Reader;
use crate::telemetry::events;
use crate::wire::control::{ErrorKind, Response};

/// A decision on its way into the store.
#[derive(Debug)]
pub(super) struct Decided {
    run: RunRef,
    attempt: AttemptId,
    step: String,
    decision: Decision,
    answers: Sender<Response>,
}

/// What the store holds of a run.
type Stored = (RunView, NewRun);

/// The run that goes on when something is decided in this one: the root of its tree.
pub(super) fn resumed_run(view: &RunView) -> &RunRef {
    view.parent.as_ref().map_or(&view.run, |caller| &caller.root)
}

/// The steps that the attempt after this one goes on from. The attempt after one that waited carries out a rejection;
/// after that a rejected step is like one that failed, and a retry runs it again.
pub(super) fn resume_steps(last: RunView) -> Vec<StepView> {
    let mut steps = last.steps;
    if last.status != RunStatus::Waiting {
        for step in &mut steps {
            if step.status == StepStatus::Rejected {
                *step = StepView::new(&step.name);
            }
        }
    }
    steps
}

pub(super) fn read(reader: &Reader, run: &RunRef) -> Result<Stored, Refused> {
    let view = reader.run_view(run).map_err(|error| unreadable(&error))?;
    let new = reader.launch_data(run).map_err(|error| unreadable(&error))?;
    view.zip(new)
        .ok_or_else(|| Refused::new(ErrorKind::NotFound, format!("there is no run {run}")))
}

fn unreadable(error: &crate::store::Error) -> Refused {
    Refused::new(
        ErrorKind::Unavailable,
        format!("the store cannot be read: {error}"),
    )
}

impl Dispatcher {
    /// Somebody approves or rejects a step.
    pub(super) fn decide(&mut self, asker: Asker, view: &RunView, wish: Wish) {
        if view.status != RunStatus::Waiting {
            return self.refuse(&asker.answers, Refused::not_waiting(view));
        }
        let (run, root) = (view.run.clone(), resumed_run(view).clone());
        if let Some(leaving) = self.is_leaving(&[&run, &root]) {
            let view = view.clone();
            let waiting = self.waiting.entry(leaving).or_default();
            waiting.push(Box::new(move |dispatcher| dispatcher.decide(asker, &view, wish)));
            return;
        }
        let reader = self.reader.clone();
        self.elsewhere(
            move || {
                let waiting = read(&reader, &run)?;
                let below = wish.below(&waiting.0, |run| reader.run_view(run));
                let below = below.map_err(|error| unreadable(&error))?;
                let root = if root == run {
                    None
                } else {
                    Some(read(&reader, &root)?)
                };
                Ok((waiting, root, below, wish))
            },
            move |dispatcher, read| match read {
                Ok((waiting, root, below, wish)) => {
                    dispatcher.decide_with(asker, waiting, root, &below, wish);
                }
                Err(refused) => dispatcher.refuse(&asker.answers, refused),
            },
        );
    }

    /// One of these whose attempt ended a moment ago and is being cleaned up.
    fn is_leaving(&self, runs: &[&RunRef]) -> Option<RunRef> {
        let leaves = |run: &&&RunRef| {
            let live = self.runs.get(**run);
            live.is_some_and(|live| live.view.status == RunStatus::Waiting)
        };
        runs.iter().find(leaves).map(|run| (*run).clone())
    }

    fn decide_with(
        &mut self,
        asker: Asker,
        waiting: Stored,
        root: Option<Stored>,
        below: &Below,
        wish: Wish,
    ) {
        let top = root.as_ref().map_or(&waiting.0.run, |(root, _)| &root.run);
        if self.is_leaving(&[&waiting.0.run, top]).is_some() {
            return self.decide(asker, &waiting.0, wish);
        }
        match self.resume(&asker, waiting, root, below, &wish) {
            Ok((event, live)) => {
                self.runs.insert(live.new.run.clone(), live);
                self.tell(event);
            }
            Err(refused) => self.refuse(&asker.answers, refused),
        }
    }

    /// Makes a decision of a wish, and the run that goes on.
    fn resume(
        &mut self,
        asker: &Asker,
        (view, new): Stored,
        root: Option<Stored>,
        below: &Below,
        wish: &Wish,
    ) -> Result<(Event, LiveRun), Refused> {
        let top = root.as_ref().map_or(&view, |(root, _)| root);
        for one in [&view, top] {
            let live = self.runs.get(&one.run).map(|live| live.view.status);
            let status = live.unwrap_or(one.status);
            if status != RunStatus::Waiting {
                return Err(Refused::not_waiting(&RunView {
                    status,
                    ..one.clone()
                }));
            }
        }
        let dag: Dag = serde_json::from_str(&new.dag).map_err(|error| {
            let text = format!("the recorded DAG of run {} cannot be read: {error}", view.run);
            Refused::new(ErrorKind::Internal, text)
        })?;
        let place = wish.pick(&dag, &view, below)?;
        let (node, step) = view
            .nodes()
            .nth(place)
            .ok_or_else(|| Refused::not_waiting(&view))?;
        let attempt = view.attempt.clone().ok_or_else(|| Refused::not_waiting(&view))?;
        let decision = Decision {
            approved: wish.is_approval(),
            uid: asker.peer.uid,
            at: now().wall,
            reason: wish.reason().map(str::to_owned),
        };
        let decided = step.decided(decision.clone(), wish.inputs());
        let change = Change::Decide {
            run: view.run.clone(),
            attempt: attempt.clone(),
            node,
            view: Box::new(decided.clone()),
        };
        let note = Decided {
            run: view.run.clone(),
            attempt,
            step: step.name.clone(),
            decision,
            answers: asker.answers.clone(),
        };
        let (top, new) = root.unwrap_or_else(|| {
            let mut view = view;
            if let Some(step) = view.steps.get_mut(place) {
                *step = decided;
            }
            (view, new)
        });
        if let Some(Response::Error { kind, message, .. }) = self.over_quota(&new) {
            return Err(Refused::new(kind, message));
        }
        let facts = RetryFacts::of(&new, &top);
        let run = top.run.clone();
        let live = LiveRun::further(new, top);
        let token = self.ask(Asked {
            run: run.clone(),
            asking: Asking::Decision(Box::new(note)),
            warnings: Vec::new(),
            created: true,
        });
        let event = Event::Decide(token, run, facts, api::Decision::Resume(vec![change]));
        Ok((event, live))
    }

    /// The decision is in the store, and the run goes on.
    pub(super) fn decision_stored(&self, decided: Decided) {
        let Decided {
            run,
            attempt,
            step,
            decision,
            answers,
        } = decided;
        if decision.approved {
            events::step_approved(&run, &attempt, &step, decision.uid);
        } else {
            let reason = decision.reason.as_deref().unwrap_or("no reason given");
            events::step_rejected(&run, &attempt, &step, decision.uid, reason);
        }
        let warnings = Vec::new();
        self.answer(&answers, Response::Accepted { run, warnings });
    }

    /// The decision is not in the store.
    pub(super) fn decision_refused(&self, decided: &Decided, answer: Response) {
        self.answer(&decided.answers, answer);
    }

    /// Somebody stops a run that waits: it ends without a further attempt.
    pub(super) fn stop_waiting(&mut self, asker: Asker, run: RunRef, reason: StopReason) {
        if let Some(leaving) = self.is_leaving(&[&run]) {
            let waiting = self.waiting.entry(leaving).or_default();
            waiting.push(Box::new(move |dispatcher| {
                dispatcher.stop_waiting(asker, run, reason);
            }));
            return;
        }
        let reader = self.reader.clone();
        self.elsewhere(
            move || read(&reader, &run),
            move |dispatcher, read| {
                let checked = read.and_then(|(view, new)| match (view.status, &view.parent) {
                    (RunStatus::Waiting, None) => Ok((view, new)),
                    (RunStatus::Waiting, Some(caller)) => {
                        let text = format!("run {} waits as a part of run {}", view.run, caller.root);
                        Err(Refused::new(ErrorKind::WrongState, text)
                            .with_hint(format!("stop {}, or reject the step that waits", caller.root)))
                    }
                    _ => Err(Refused::not_waiting(&view)),
                });
                let (view, new) = match checked {
                    Ok(stored) => stored,
                    Err(refused) => return dispatcher.refuse(&asker.answers, refused),
                };
                let token = dispatcher.ask(Asked {
                    run: view.run.clone(),
                    asking: Asking::Client(asker.answers),
                    warnings: Vec::new(),
                    created: false,
                });
                let facts = RetryFacts::of(&new, &view);
                dispatcher.tell(Event::Decide(token, view.run, facts, api::Decision::Stop(reason)));
            },
        );
    }

    pub(super) fn refuse(&self, answers: &Sender<Response>, refused: Refused) {
        self.answer(answers, refused.into());
    }
}
