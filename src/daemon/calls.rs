//! Sub-runs: a step of a live attempt asks for a run of another DAG, over its shim's own channel.
//!
//! The channel is the shim's identity: it was made with the shim, or by connecting to the socket that was made for
//! it, so no other process can ask in its name. What the job could do with it is what its user may do anyway.
//!
//! Asking is idempotent. The run's id follows from who asks for what, so a question that is asked again after a
//! restart finds the run it was answered with before: a live one is followed, one that has succeeded is told, and one
//! that has not gets a further attempt if the question is a further one.

use std::collections::HashMap;
use std::sync::Arc;

use super::admission::{About, Snapshot, new_run};
use super::callee;
use super::dispatcher::{Asked, Asking, Dispatcher, now};
use super::live::LiveRun;
use super::questions::{Progress, Question};
use crate::dag::ParamInput;
use crate::engine::scheduler::Event;
use crate::engine::scheduler::api::RetryFacts;
use crate::model::change::{Caller, NewRun};
use crate::model::limits::{CALL_DEPTH_MAX, FRAME_MAX};
use crate::model::view::RunView;
use crate::model::{AttemptId, RunRef, RunStatus};
use crate::wire::codec;
use crate::wire::control::Response;
use crate::wire::shim::{CallEnd, CallNews, CallRequest, ToShim};

/// Most questions of one attempt that are being prepared: twice what a shim sends before it has answers.
const PREPARING_MAX: usize = 2048;

/// A sub-run that could be started, and what the store holds of it.
#[derive(Debug)]
struct Prepared {
    new: Box<NewRun>,
    stored: Option<(RunView, NewRun)>,
}

impl Dispatcher {
    /// A step wants a sub-run.
    pub(super) fn call(&mut self, attempt: &AttemptId, request: CallRequest) {
        let question = (attempt.clone(), request.call);
        match self.calls.questions.get(&question) {
            Some(Progress::Preparing { .. }) => return,
            Some(Progress::Run(run)) => {
                let run = run.clone();
                self.tell_again(&question, &run);
                return;
            }
            None => {}
        }
        let Some((parent, number)) = self.caller(attempt) else {
            return;
        };
        if self.calls.preparing(attempt) >= PREPARING_MAX {
            tracing::warn!(ATTEMPT_ID = %attempt, "a supervisor asks for more sub-runs at a time than any does");
            self.lose_channel(attempt);
            return;
        }
        let depth = parent.parent.as_ref().map_or(0, |caller| caller.depth) + 1;
        if depth > CALL_DEPTH_MAX {
            let why = format!(
                "sub-runs are nested more than {CALL_DEPTH_MAX} deep; does a DAG call itself without an end?"
            );
            self.call_refused(attempt, request.call, why);
            return;
        }
        let progress = Progress::Preparing { stop: None };
        self.calls.questions.insert(question.clone(), progress);
        let (context, callees) = (self.context(), Arc::clone(&self.calls.callees));
        let catalog = Arc::clone(&self.registry.catalog);
        let (reader, at) = (self.reader.clone(), now().wall);
        let after = request.after;
        self.elsewhere(
            move || {
                let (snapshot, base_dir) = callees.find(&context, &catalog, &parent, &request.target)?;
                let caller = Caller {
                    run: parent.run.clone(),
                    attempt: number,
                    step: request.step.clone(),
                    root: parent
                        .parent
                        .as_ref()
                        .map_or(&parent.run, |caller| &caller.root)
                        .clone(),
                    depth,
                };
                let (about, input) = callee::make(&parent, request, caller, base_dir, at);
                prepare(&snapshot, &input, about, &reader)
            },
            move |dispatcher, prepared| match prepared {
                Ok(prepared) => dispatcher.call_prepared(&question, prepared, after),
                Err(why) => dispatcher.call_refused(&question.0, question.1, why),
            },
        );
    }

    /// The run of the attempt that asks, and the attempt's number.
    fn caller(&self, attempt: &AttemptId) -> Option<(Arc<NewRun>, u32)> {
        let held = self.attempts.get(attempt)?;
        let live = self.runs.get(&held.run)?;
        Some((Arc::clone(&live.new), held.number))
    }

    /// The sub-run is known: it is started, followed, or told.
    fn call_prepared(&mut self, question: &Question, prepared: Prepared, after: Option<u32>) {
        let stop = match self.calls.questions.get(question) {
            Some(Progress::Preparing { stop }) => *stop,
            // The attempt is over.
            Some(Progress::Run(_)) | None => return,
        };
        let run = prepared.new.run.clone();
        let Some(caller) = prepared.new.parent.clone() else {
            return;
        };
        let known = match self.runs.get(&run) {
            Some(live) => Some((live.view.clone(), (*live.new).clone(), live.over)),
            None => prepared.stored.clone().map(|(view, new)| (view, new, true)),
        };
        let Some((view, new, over)) = known else {
            if stop.is_some() {
                let (attempt, call) = question;
                self.call_refused(attempt, *call, String::from("stopped before it began"));
            } else {
                self.start_call(question, prepared.new);
            }
            return;
        };
        let asked_by = new.parent.as_ref();
        if asked_by.is_none_or(|before| before.run != caller.run) {
            let (attempt, call) = question;
            self.call_refused(attempt, *call, format!("another run is called {run}"));
        } else if !over {
            self.follow_call(question, &run, stop);
        } else if is_answer(&view, asked_by, &caller, after) {
            self.follow_call(question, &run, None);
            self.tell_end(question, &view);
            self.calls.answered(question);
        } else if stop.is_some() {
            let (attempt, call) = question;
            self.call_refused(attempt, *call, String::from("stopped before it began"));
        } else if self.runs.contains_key(&run) {
            // It has ended a moment ago and is being cleaned up: the next attempt waits for that.
            let (question, prepared) = (question.clone(), again(prepared, view, new));
            let waiting = self.waiting.entry(run).or_default();
            waiting.push(Box::new(move |dispatcher| {
                dispatcher.call_prepared(&question, prepared, after);
            }));
        } else {
            self.retry_call(question, view, new, caller);
        }
    }

    /// A new sub-run.
    fn start_call(&mut self, question: &Question, mut new: Box<NewRun>) {
        let (attempt, call) = question;
        if let Some(Response::Error { message, .. }) = self.over_quota(&new) {
            self.call_refused(attempt, *call, message);
            return;
        }
        self.runs.share(&mut new);
        let token = self.enter_call(question, LiveRun::first((*new).clone()));
        self.tell(Event::Submit(token, new));
    }

    /// A further attempt of a sub-run that did not succeed. It is the DAG that was recorded with the run.
    fn retry_call(&mut self, question: &Question, view: RunView, mut new: NewRun, caller: Caller) {
        let facts = RetryFacts {
            caller: Some((caller.run.clone(), caller.attempt)),
            // The step that calls it has retries of its own.
            retry: None,
            ..RetryFacts::of(&new, &view)
        };
        new.parent = Some(caller);
        self.runs.share(&mut new);
        let run = new.run.clone();
        let token = self.enter_call(question, LiveRun::further(new, view));
        self.tell(Event::Retry(token, run, facts));
    }

    fn enter_call(&mut self, question: &Question, live: LiveRun) -> crate::engine::scheduler::Token {
        let run = live.new.run.clone();
        self.runs.insert(run.clone(), live);
        self.ask(Asked {
            run,
            asking: Asking::Call(question.0.clone(), question.1),
            warnings: Vec::new(),
            created: true,
        })
    }

    /// The engine accepted the sub-run: it is recorded.
    pub(super) fn call_accepted(&mut self, attempt: &AttemptId, call: u64, run: &RunRef) {
        let question = (attempt.clone(), call);
        let stop = match self.calls.questions.get(&question) {
            Some(Progress::Preparing { stop }) => *stop,
            Some(Progress::Run(_)) | None => None,
        };
        self.follow_call(&question, run, stop);
    }

    /// From now on the attempt is told what becomes of the run.
    fn follow_call(&mut self, question: &Question, run: &RunRef, stop: Option<bool>) {
        if !self.attempts.contains_key(&question.0) {
            return;
        }
        let progress = Progress::Run(run.clone());
        self.calls.questions.insert(question.clone(), progress);
        self.calls.by_run.insert(run.clone(), question.clone());
        self.tell_call(question, CallNews::Accepted);
        self.tell_slot(run);
        if let Some(kill) = stop {
            self.stop_called(run.clone(), kill);
        }
    }

    /// There will be no such sub-run.
    pub(super) fn call_refused(&mut self, attempt: &AttemptId, call: u64, why: String) {
        let question = (attempt.clone(), call);
        self.calls.questions.remove(&question);
        self.tell_call(&question, CallNews::Refused(why));
    }

    /// The sub-run of that number is to stop, or to be killed.
    pub(super) fn stop_call(&mut self, attempt: &AttemptId, call: u64, kill: bool) {
        match self.calls.questions.get_mut(&(attempt.clone(), call)) {
            Some(Progress::Preparing { stop }) => *stop = Some(kill || *stop == Some(true)),
            Some(Progress::Run(run)) => {
                let run = run.clone();
                self.stop_called(run, kill);
            }
            None => {}
        }
    }

    fn stop_called(&mut self, run: RunRef, kill: bool) {
        if !self.is_over(&run) {
            self.tell(Event::CallerStops { run, kill });
        }
    }

    /// A run is over: if a step waits for it, it is told.
    pub(super) fn call_over(&mut self, run: &RunRef) {
        self.calls.slots.remove(run);
        let Some(question) = self.calls.by_run.get(run).cloned() else {
            return;
        };
        if let Some(view) = self.runs.get(run).map(|live| live.view.clone()) {
            self.tell_end(&question, &view);
        }
        self.calls.answered(&question);
    }

    /// The shim asks once more for what it was answered already.
    fn tell_again(&mut self, question: &Question, run: &RunRef) {
        self.tell_call(question, CallNews::Accepted);
        self.tell_slot(run);
        let over = self.runs.get(run).filter(|live| live.over);
        if let Some(view) = over.map(|live| live.view.clone()) {
            self.tell_end(question, &view);
        }
    }

    fn tell_end(&mut self, question: &Question, view: &RunView) {
        let mut end = CallEnd {
            status: view.status,
            number: view.number,
            error: view.error.clone(),
            params: view.params.clone(),
            outputs: outputs(view),
        };
        let called = |end: &CallEnd| ToShim::Called {
            call: question.1,
            news: CallNews::Ended(Box::new(end.clone())),
        };
        let frame = match codec::encode(&called(&end), FRAME_MAX) {
            Ok(frame) => frame,
            Err(error) => {
                end.status = RunStatus::Failed;
                end.error = Some(format!("its outputs cannot be passed on: {error}"));
                end.outputs.clear();
                end.params.clear();
                match codec::encode(&called(&end), FRAME_MAX) {
                    Ok(frame) => frame,
                    Err(_) => return,
                }
            }
        };
        self.send_frame(&question.0, &frame);
    }

    fn tell_call(&mut self, question: &Question, news: CallNews) {
        let (attempt, call) = question;
        // A shim that cannot be reached asks again when it is.
        self.send(attempt, &ToShim::Called { call: *call, news });
    }
}

/// Whether the run as it ended is the answer to the question: it has succeeded, or its last attempt is one that the
/// asking attempt has asked for and was not told of yet.
fn is_answer(view: &RunView, asked_by: Option<&Caller>, caller: &Caller, after: Option<u32>) -> bool {
    let asked_now = asked_by.is_some_and(|before| before.attempt == caller.attempt);
    view.status.is_success() || (asked_now && after.is_none_or(|after| view.number > after))
}

/// The same, with what is known of the run by now.
fn again(prepared: Prepared, view: RunView, new: NewRun) -> Prepared {
    Prepared {
        stored: Some((view, new)),
        ..prepared
    }
}

/// The captured outputs of the steps: of two with the same name the later one's value counts.
fn outputs(view: &RunView) -> Vec<(String, String)> {
    let mut outputs: Vec<(String, String)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (name, value) in view.steps.iter().flat_map(|step| &step.variables) {
        match places.get(name.as_str()).and_then(|at| outputs.get_mut(*at)) {
            Some((_, old)) => old.clone_from(value),
            None => {
                places.insert(name, outputs.len());
                outputs.push((name.clone(), value.clone()));
            }
        }
    }
    outputs
}

/// Makes the run, and looks whether it is there already.
fn prepare(
    snapshot: &Snapshot,
    input: &ParamInput,
    about: About,
    reader: &crate::store::Reader,
) -> Result<Prepared, String> {
    let new = new_run(snapshot, input, about).map_err(|refused| callee::words(*refused))?;
    let failed = |error: crate::store::Error| format!("the store cannot be read: {error}");
    let stored = match reader.run_view(&new.run).map_err(failed)? {
        Some(view) => reader
            .launch_data(&new.run)
            .map_err(failed)?
            .map(|recorded| (view, recorded)),
        None => None,
    };
    Ok(Prepared { new, stored })
}
