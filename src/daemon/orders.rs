//! Orders to the engine about a run that is there: stop, retry, run again; and what the engine answers.

use super::admission::{again, exists};
use super::control::refusal;
use super::decisions;
use super::dispatcher::{Asked, Asking, Dispatcher, now};
use super::live::LiveRun;
use super::requests::Asker;
use crate::engine::scheduler::api::RetryFacts;
use crate::engine::scheduler::{Event, Refusal, Token};
use crate::model::view::RunView;
use crate::model::{RunRef, RunStatus, StopReason};
use crate::telemetry::events;
use crate::wire::control::{ErrorKind, Response};

impl Dispatcher {
    pub(super) fn stop(&mut self, asker: Asker, view: &RunView, interrupted: bool) {
        let uid = asker.peer.uid;
        let reason = if interrupted {
            StopReason::Client { uid }
        } else {
            StopReason::User { uid }
        };
        let run = view.run.clone();
        if view.status == RunStatus::Waiting {
            return self.stop_waiting(asker, run, reason);
        }
        // One that has ended and is not over has left what it called behind.
        if view.status.is_terminal() && self.is_over(&run) {
            let text = format!("run {run} has ended already: {}", view.status);
            self.answer(&asker.answers, refusal(ErrorKind::WrongState, &text));
            return;
        }
        let asked = Asked {
            run: run.clone(),
            asking: Asking::Client(asker.answers),
            warnings: Vec::new(),
            created: false,
        };
        let token = self.ask(asked);
        self.tell(Event::Stop(token, run, reason));
    }

    pub(super) fn retry(&mut self, asker: Asker, view: RunView) {
        if !view.status.is_terminal() {
            let hint = if view.status == RunStatus::Waiting {
                "; approve or reject the step that waits"
            } else {
                ""
            };
            let text = format!(
                "run {} is {}; only an ended run can be retried{hint}",
                view.run, view.status
            );
            self.answer(&asker.answers, refusal(ErrorKind::WrongState, &text));
            return;
        }
        if let Some(caller) = &view.parent {
            let text = format!(
                "run {} was called by step {} of {}",
                view.run, caller.step, caller.run
            );
            let answer = Response::Error {
                kind: ErrorKind::WrongState,
                message: text,
                hint: Some(format!(
                    "retry {}: it calls again what did not succeed",
                    caller.root
                )),
                problems: Vec::new(),
            };
            self.answer(&asker.answers, answer);
            return;
        }
        if view.retry.is_some() && self.runs.contains_key(&view.run) {
            return self.retry_at_once(asker, &view);
        }
        if self.runs.contains_key(&view.run) {
            // It has ended a moment ago and is being cleaned up: the retry waits for that.
            let waiting = self.waiting.entry(view.run.clone()).or_default();
            waiting.push(Box::new(move |dispatcher| {
                dispatcher.retry_stored(asker, view.run);
            }));
            return;
        }
        self.retry_stored(asker, view.run);
    }

    /// A retry of a run that is not in memory. Its last attempt is read anew: while the retry waited, somebody else's may
    /// have brought a further one.
    fn retry_stored(&mut self, asker: Asker, run: RunRef) {
        let reader = self.reader.clone();
        self.elsewhere(
            move || decisions::read(&reader, &run),
            move |dispatcher, read| {
                let (view, mut new) = match read {
                    Ok(stored) => stored,
                    Err(refused) => return dispatcher.refuse(&asker.answers, refused),
                };
                let run = view.run.clone();
                let live = dispatcher.runs.get(&run).map(|live| live.view.clone());
                if live.is_some() || !view.status.is_terminal() {
                    return dispatcher.retry(asker, live.unwrap_or(view));
                }
                if dispatcher.retention.is_retiring(&run) {
                    let text = format!("run {run} is old and is just being removed");
                    dispatcher.answer(&asker.answers, refusal(ErrorKind::WrongState, &text));
                    return;
                }
                if let Some(refused) = dispatcher.over_quota(&new) {
                    dispatcher.answer(&asker.answers, refused);
                    return;
                }
                let facts = RetryFacts::of(&new, &view);
                dispatcher.runs.share(&mut new);
                dispatcher.runs.insert(run.clone(), LiveRun::further(new, view));
                let asked = Asked {
                    run: run.clone(),
                    asking: Asking::Client(asker.answers),
                    warnings: Vec::new(),
                    created: true,
                };
                let token = dispatcher.ask(asked);
                dispatcher.tell(Event::Retry(token, run, facts));
            },
        );
    }

    pub(super) fn rerun(&mut self, asker: Asker, run: RunRef) {
        let reader = self.reader.clone();
        self.elsewhere(
            move || decisions::read(&reader, &run),
            move |dispatcher, read| {
                let mut new = match read {
                    Ok((_, new)) => new,
                    Err(refused) => return dispatcher.refuse(&asker.answers, refused),
                };
                if !asker.goes_first() {
                    new.priority = new.priority.min(crate::model::Priority::default());
                }
                match again(&dispatcher.config, new, now().wall) {
                    Ok(new) => dispatcher.submit_run(new, Vec::new(), asker.answers),
                    Err(refused) => dispatcher.answer(&asker.answers, *refused),
                }
            },
        );
    }

    /// The engine accepted a request.
    pub(super) fn accepted(&mut self, token: Token) {
        if self.suspended(token, None) || self.queue_accepted(token) {
            return;
        }
        if let Some(asked) = self.asked.remove(&token) {
            if asked.created
                && let Some(live) = self.runs.get(&asked.run)
            {
                if live.view.number == 0 {
                    self.metrics.accepted(live.new.trigger);
                    events::run_accepted(&asked.run, live.new.trigger);
                } else {
                    self.metrics.requeued(&asked.asking);
                    events::run_requeued(&asked.run, live.view.number);
                }
            }
            match asked.asking {
                Asking::Client(answers) => {
                    let (run, warnings) = (asked.run, asked.warnings);
                    self.answer(&answers, Response::Accepted { run, warnings });
                }
                Asking::Call(attempt, call) => self.call_accepted(&attempt, call, &asked.run),
                Asking::Decision(decided) => self.decision_stored(*decided),
                Asking::Nobody => {}
            }
        }
    }

    /// The engine refused a request.
    pub(super) fn refused(&mut self, token: Token, refused: Refusal) {
        if self.suspended(token, Some(&refused)) {
            return;
        }
        if let Some(answers) = self.queue_refused(token) {
            let answer = match refused {
                Refusal::Store(why) => format!("the store cannot be written: {why}"),
                _ => String::from("the daemon is shutting down"),
            };
            return self.answer(&answers, refusal(ErrorKind::Unavailable, &answer));
        }
        let Some(asked) = self.asked.remove(&token) else {
            return;
        };
        let run = &asked.run;
        let answer = match refused {
            Refusal::Exists => exists(run),
            Refusal::NotFound => refusal(
                ErrorKind::NotFound,
                &format!("run {run} is neither queued nor live"),
            ),
            Refusal::WrongState(status) => refusal(
                ErrorKind::WrongState,
                &format!("run {run} is {status}; that cannot be done now"),
            ),
            Refusal::Changing => refusal(
                ErrorKind::WrongState,
                &format!(
                    "run {run} is being accepted, moved or ended in its queue at this moment; ask again"
                ),
            ),
            Refusal::CallerGone => refusal(
                ErrorKind::WrongState,
                &format!("the run that calls {run} is not live any more"),
            ),
            Refusal::Draining => refusal(ErrorKind::Unavailable, "the daemon is shutting down"),
            Refusal::Store(why) => refusal(
                ErrorKind::Unavailable,
                &format!("nothing was changed or started: the store cannot be written: {why}"),
            ),
        };
        if asked.created {
            self.drop_run(&asked.run);
        }
        match (asked.asking, answer) {
            (Asking::Client(answers), answer) => self.answer(&answers, answer),
            (Asking::Decision(decided), answer) => self.decision_refused(&decided, answer),
            (Asking::Call(attempt, call), Response::Error { message, .. }) => {
                self.call_refused(&attempt, call, message);
            }
            (Asking::Call(..) | Asking::Nobody, _) => {}
        }
    }
}
