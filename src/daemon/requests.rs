//! Requests: who may ask, what is asked of the engine, what is answered from memory and what from the store.

use std::sync::Arc;

use tokio::sync::mpsc::Sender;

use super::allowed;
use super::control::refusal;
use super::dispatcher::Dispatcher;
use super::privileges::owner_goes_first;
use super::verdicts::{Refused, Wish, Word};
use crate::model::RunRef;
use crate::model::access::Peer;
use crate::model::view::RunView;
use crate::store::Reader;
use crate::sys::creds;
use crate::sys::pidfd::PidFd;
use crate::telemetry::events;
use crate::wire::access::{self, Grant, Role, Verb};
use crate::wire::control::{ErrorKind, Request, Response, Selector};

/// Whom a request comes from.
#[derive(Debug, Clone)]
pub(super) struct Requester {
    pub(super) peer: Peer,
    /// Whether it is in the admin group.
    pub(super) admin: bool,
    /// Its process, where the kernel tells it (Linux 6.5).
    pub(super) process: Option<Arc<PidFd>>,
}

/// Who asks, for what, and where the answer goes.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) peer: Peer,
    pub(super) admin: bool,
    pub(super) verb: Verb,
    pub(super) answers: Sender<Response>,
    /// Its process, where the kernel tells it (Linux 6.5).
    pub(super) process: Option<Arc<PidFd>>,
}

impl Asker {
    /// Whether its runs may go before those of others: root, the admin group, and the daemon's own user.
    pub(super) fn goes_first(&self) -> bool {
        self.admin || owner_goes_first(self.peer.uid)
    }

    /// The role of the peer towards something that belongs to `owner`.
    fn role(&self, owner: u32) -> Role {
        if self.peer.uid == 0 {
            Role::Root
        } else if self.admin {
            Role::Admin
        } else if self.peer.uid == owner {
            Role::Owner
        } else {
            Role::Other
        }
    }
}

/// The program that asks, for the log. By its own descriptor: the number may be another process' by now, which is not to be
/// accused.
pub(super) fn program_of(process: Option<&PidFd>) -> String {
    process.and_then(PidFd::program).map_or_else(
        || String::from("unknown program"),
        |path| path.display().to_string(),
    )
}

impl Dispatcher {
    /// A client asks.
    pub(super) fn request(&mut self, from: Requester, request: Request, answers: Sender<Response>) {
        let Requester { peer, admin, process } = from;
        let asker = Asker {
            peer,
            admin,
            verb: Verb::of(&request),
            answers,
            process,
        };
        if is_stranger(peer.uid, creds::effective_uid()) {
            self.deny(&asker, ": the jobs of this daemon run as somebody else");
            return;
        }
        let lists = &self.config.access;
        if !access::brings_work(&request) || lists.is_open() || allowed::is_exempt(peer.uid) {
            return self.serve(asker, request);
        }
        let config = Arc::clone(&self.config);
        let any = if asker.verb.is_about_a_run() {
            " any run"
        } else {
            ""
        };
        self.elsewhere(
            move || allowed::judge(&config.access, peer.uid),
            move |dispatcher, judged| match judged {
                Ok(()) => dispatcher.serve(asker, request),
                Err(barred) => dispatcher.deny(&asker, &format!("{any}: {barred}")),
            },
        );
    }

    /// Does what a client asks for, if it may.
    fn serve(&mut self, asker: Asker, request: Request) {
        let peer = asker.peer;
        let mut grant = Grant::Yes;
        if !asker.verb.is_about_a_run() {
            grant = access::grant(asker.role(creds::effective_uid()), asker.verb);
            if grant == Grant::No {
                self.deny(&asker, "");
                return;
            }
        }
        let owner = (grant == Grant::OwnOnly).then_some(peer.uid);
        match request {
            Request::Ping => {
                let pong = Response::Pong {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    pid: std::process::id(),
                    embedded: self.embedded,
                };
                self.answer(&asker.answers, pong);
            }
            Request::Submit(submit) => self.submit_request(&asker, *submit),
            Request::Ps => self.list_live(owner, asker),
            Request::History(filter) => self.history(filter, owner, asker),
            Request::Doctor { repair } => self.doctor(repair, asker),
            Request::Metrics => self.metrics_request(asker),
            Request::Reload => {
                let answer = self.reload_request();
                self.answer(&asker.answers, answer);
            }
            Request::Status(run) => self.find(run, asker, |dispatcher, asker, mut view| {
                view.stalled = view
                    .attempt
                    .as_ref()
                    .is_some_and(|attempt| dispatcher.is_stalled(attempt));
                dispatcher.answer(&asker.answers, Response::Run(Box::new(view)));
            }),
            Request::Follow(run) => self.find(run, asker, |dispatcher, asker, view| {
                let over = dispatcher.is_over(&view.run);
                dispatcher.followers.add(&view, over, asker.answers);
            }),
            Request::Why(run) => self.find(run, asker, Self::explain),
            Request::Attempts(run) => self.find(run, asker, Self::attempts_of),
            Request::Stop { run, interrupted } => self.find(run, asker, move |dispatcher, asker, view| {
                dispatcher.stop(asker, &view, interrupted);
            }),
            Request::Retry(run) => self.find(run, asker, Self::retry),
            Request::Rerun(run) => self.find(run, asker, |dispatcher, asker, view| {
                dispatcher.rerun(asker, view.run);
            }),
            Request::Approve { run, step, inputs } => {
                let word = Word::Approve(inputs);
                self.find(run, asker, |dispatcher, asker, view| {
                    dispatcher.decide(asker, &view, Wish { step, word });
                });
            }
            Request::Dags => self.dags(owner, &asker),
            Request::Install(install) => self.install(*install, asker),
            Request::Remove(dag) => self.remove_dag(dag, owner, asker),
            Request::Source(dag) => self.source(dag, owner, asker),
            Request::Enable { dag, on } => self.enable(dag, on, owner, asker),
            Request::Next { dag, count } => self.next(dag.as_ref(), count, owner, &asker),
            Request::Queues => self.queues(owner, &asker),
            Request::Queue(queue) => self.queue(&queue, owner, &asker),
            Request::PauseQueue { queue, on } => self.pause_queue(queue, on, asker),
            Request::Move {
                run,
                queue,
                priority,
                first,
            } => self.find(run, asker, move |dispatcher, asker, view| {
                dispatcher.move_run(asker, view.run, queue, priority, first);
            }),
            Request::Dequeue(run) => self.find(run, asker, |dispatcher, asker, view| {
                dispatcher.dequeue(asker, view.run);
            }),
            Request::Cleanup {
                dag,
                keep_days,
                keep_runs,
                dry_run,
            } => self.cleanup(dag, keep_days, keep_runs, dry_run, owner, asker),
            Request::Reject { run, step, reason } => {
                let word = Word::Reject(reason);
                self.find(run, asker, |dispatcher, asker, view| {
                    dispatcher.decide(asker, &view, Wish { step, word });
                });
            }
        }
    }

    /// Refuses what a client may not do. `what` follows the words of the verb: the run, or in which way, or why.
    pub(super) fn deny(&mut self, asker: &Asker, what: &str) {
        let what = self.note_denial(asker, what);
        let text = format!("user id {} may not {what}", asker.peer.uid);
        self.answer(&asker.answers, refusal(ErrorKind::Denied, &text));
    }

    /// Counts and logs that something is refused to a client. Returns what, in words.
    pub(super) fn note_denial(&mut self, asker: &Asker, what: &str) -> String {
        self.counters.denied += 1;
        let what = format!("{}{what}", asker.verb.words());
        let program = program_of(asker.process.as_deref());
        events::request_denied(asker.peer, &program, asker.verb.as_str(), &what);
        what
    }

    /// Finds the run, checks that the peer may, and goes on. Runs that are queued or live are in memory.
    fn find(
        &mut self,
        selector: Selector,
        asker: Asker,
        go_on: impl FnOnce(&mut Self, Asker, RunView) + Send + 'static,
    ) {
        if let Some(id) = &selector.run {
            let run = RunRef {
                dag: selector.dag.clone(),
                id: id.clone(),
            };
            if let Some(view) = self.runs.get(&run).map(|live| live.view.clone()) {
                self.allowed(asker, view, go_on);
                return;
            }
        }
        let reader = self.reader.clone();
        // Without a run id somebody means a run that they may see.
        let sees_all = asker.role(creds::effective_uid()) != Role::Other;
        let owner = (!sees_all).then_some(asker.peer.uid);
        self.elsewhere(
            move || {
                let view = look_up(&reader, &selector, owner);
                (selector, view)
            },
            move |dispatcher, (selector, view)| {
                let named = |run: &RunRef| dispatcher.runs.get(run).map(|live| live.view.clone());
                match view {
                    // What is in memory is newer than what is in the store.
                    Ok(Found::Run(view)) => {
                        let view = named(&view.run).unwrap_or(*view);
                        dispatcher.allowed(asker, view, go_on);
                    }
                    Ok(none) => dispatcher.refuse(&asker.answers, no_run(&selector, &none)),
                    Err(error) => {
                        let text = format!("the store cannot be read: {error}");
                        dispatcher.answer(&asker.answers, refusal(ErrorKind::Unavailable, &text));
                    }
                }
            },
        );
    }

    fn allowed(
        &mut self,
        asker: Asker,
        view: RunView,
        go_on: impl FnOnce(&mut Self, Asker, RunView) + Send + 'static,
    ) {
        let owner = if asker.verb.is_about_a_run() {
            view.owner
        } else {
            creds::effective_uid()
        };
        if access::grant(asker.role(owner), asker.verb) == Grant::Yes {
            go_on(self, asker, view);
        } else {
            self.deny(&asker, &format!(" run {}", view.run));
        }
    }

    /// A run changed in a way that its followers want to know.
    pub(super) fn changed(&mut self, run: &RunRef) {
        let Some(live) = self.runs.get(run) else { return };
        let mut lost = None;
        if live.view.status.ends_attempt() {
            self.counters.ended += 1;
            let attempt = live.view.attempt.as_ref();
            // Of a run that ended in its queue, the last attempt had ended before.
            let held = attempt.and_then(|attempt| Some((attempt, self.attempts.get_mut(attempt)?)));
            if let Some((attempt, held)) = held
                && !std::mem::replace(&mut held.end_told, true)
            {
                self.metrics.attempt_ended(live.view.status);
                if let Some(cause) = &live.view.lost {
                    self.counters.lost += 1;
                    self.metrics.attempt_lost(cause);
                    events::attempt_lost(run, attempt, cause);
                    lost = Some(format!("attempt {attempt} of {run}: {cause}"));
                } else {
                    events::attempt_ended(run, attempt, live.view.status);
                }
            }
        }
        let none = std::collections::BTreeSet::new();
        self.followers
            .update(run, &live.view, &none, &std::collections::BTreeSet::new());
        if let Some(named) = lost {
            self.acted("attempt lost", named);
        }
    }

    /// A run is over: who waits for that is told.
    pub(super) fn over(&mut self, run: &RunRef) {
        let Some(live) = self.runs.get_mut(run) else {
            return;
        };
        live.over = true;
        self.metrics.over(live.view.status, live.new.parent.is_some());
        events::run_over(run, live.view.status, live.view.number);
        self.followers.end(run, &live.view);
        // A run that ended in the queue has no attempt to clean up after.
        let in_queue = live
            .view
            .attempt
            .as_ref()
            .is_none_or(|attempt| !self.attempts.contains_key(attempt));
        self.call_over(run);
        if in_queue {
            self.drop_run(run);
        }
    }

    /// Whether nothing more will happen to a run without somebody's asking. What is not in memory is over.
    pub(super) fn is_over(&self, run: &RunRef) -> bool {
        self.runs.get(run).is_none_or(|live| live.over)
    }
}

/// What the store has of what a selector names.
#[derive(Debug)]
enum Found {
    /// The run.
    Run(Box<RunView>),
    /// Nothing.
    Nothing,
    /// A DAG of which there are only runs that others called: its name alone means none of them.
    OnlyCalled,
}

/// Finds what is meant; if only runs of `owner` can be meant by a DAG's name alone, one of these.
fn look_up(reader: &Reader, selector: &Selector, owner: Option<u32>) -> Result<Found, crate::store::Error> {
    let dag = &selector.dag;
    let run = match (&selector.run, owner) {
        (Some(id), _) => Some(RunRef {
            dag: dag.clone(),
            id: id.clone(),
        }),
        (None, Some(owner)) => reader.latest_run_of(dag, owner)?,
        (None, None) => reader.latest_run(dag)?,
    };
    let called = || match owner {
        Some(owner) => reader.has_runs_of(dag, owner),
        None => reader.has_runs(dag),
    };
    let view = match &run {
        Some(run) => reader.run_view(run)?,
        None if called()? => return Ok(Found::OnlyCalled),
        None => None,
    };
    Ok(view.map_or(Found::Nothing, |view| Found::Run(Box::new(view))))
}

fn no_run(selector: &Selector, found: &Found) -> Refused {
    let text = match &selector.run {
        Some(id) => format!("there is no run {}:{id}", selector.dag),
        None => format!("there is no run of {}", selector.dag),
    };
    let refused = Refused::new(ErrorKind::NotFound, text);
    match found {
        Found::OnlyCalled => refused.with_hint(format!(
            "runs that others called are named {}:RUN-ID; see `proctorctl ps`",
            selector.dag
        )),
        _ => refused,
    }
}

/// Whether a peer has nothing to do with a daemon that runs as `own`. One without root cannot become another user:
/// whatever a stranger submitted would run with its rights.
const fn is_stranger(peer: u32, own: u32) -> bool {
    own != 0 && peer != own && peer != 0
}

#[cfg(test)]
mod tests {
    use super::is_stranger;

    #[test]
    fn a_daemon_without_root_serves_its_own_user_and_root_only() {
        assert!(is_stranger(65_534, 1_000));
        assert!(!is_stranger(1_000, 1_000));
        assert!(!is_stranger(0, 1_000));
        assert!(!is_stranger(65_534, 0), "the table decides");
    }
}
