//! Following a run to its end: progress, Ctrl-C, a daemon that is restarted meanwhile.
//!
//! One thread waits for the daemon, for signals and, while a question stands, for the user; it never polls.

use std::io;
use std::os::fd::AsFd;

use super::again::{RECONNECT_MS, find_again};
use super::client::ClientError;
use super::exit::Exit;
use super::failure::Failure;
use super::family::Family;
use super::interrupts::{Action, Interrupts};
use super::out::Out;
use super::render::{self, json, progress::Progress};
use super::session::Session;
use super::signals::{self, Signals};
use crate::model::view::RunView;
use crate::model::{PendingRetry, RunRef, Time};
use crate::sys::clock;
use crate::wire::control::{ErrorKind, Problem, Request, Response, Selector};

/// How the following ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The run is at its end.
    Over {
        /// How it ended.
        view: Box<RunView>,
        /// Whether a signal or an answer asked for its stop meanwhile.
        stopped: bool,
    },
    /// The user left it running.
    Detached,
}

/// The present, for elapsed times.
pub(super) fn now() -> Time {
    Time(clock::wall_micros())
}

/// A selector for exactly this run.
pub(super) fn exactly(run: &RunRef) -> Selector {
    Selector {
        dag: run.dag.clone(),
        run: Some(run.id.clone()),
    }
}

/// Follows a run until it ends or is left. Without `signals` it cannot be left but by ending the process.
pub(super) fn follow(
    session: &mut Session,
    selector: &Selector,
    signals: Option<&Signals>,
    progress: &mut Progress,
    out: &mut Out,
) -> Result<Ended, Failure> {
    let mut interrupts = Interrupts::default();
    let view = match session.follow(selector) {
        Err(error) if error.is_gone() => {
            match find_again(session, selector, error, (signals, &mut interrupts), out)? {
                Some(view) => view,
                None => return Ok(Ended::Detached),
            }
        }
        other => other?,
    };
    let selector = exactly(&view.run);
    Following {
        session,
        selector,
        signals,
        progress,
        out,
        view,
        interrupts,
        stopped: false,
        told: None,
    }
    .run()
}

struct Following<'a> {
    session: &'a mut Session,
    selector: Selector,
    signals: Option<&'a Signals>,
    progress: &'a mut Progress,
    out: &'a mut Out,
    view: Box<RunView>,
    interrupts: Interrupts,
    /// Whether the daemon has answered to a stop.
    stopped: bool,
    /// The pending retry that was told, and whether it was held back.
    told: Option<(PendingRetry, bool)>,
}

impl Following<'_> {
    fn run(mut self) -> Result<Ended, Failure> {
        loop {
            match self.step() {
                Ok(Some(over)) => {
                    let picture = self.progress.finish(&self.view, now(), self.out.terminal);
                    self.out.draw(&picture);
                    return Ok(if over {
                        Ended::Over {
                            view: self.view,
                            stopped: self.interrupts.is_stopping(),
                        }
                    } else {
                        Ended::Detached
                    });
                }
                Ok(None) => {}
                Err(error) if error.is_gone() => {
                    self.progress.let_go();
                    let heed = (self.signals, &mut self.interrupts);
                    match find_again(self.session, &self.selector, error, heed, self.out)? {
                        Some(view) => self.view = view,
                        None => return Ok(Ended::Detached),
                    }
                    // The answer to a stop may have got lost with the daemon. It is not sent again: a further one would
                    // cut the grace period short.
                    if self.view.stop.is_some() && !self.stopped {
                        self.stopped = self.interrupts.take_owed().is_some();
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes what has come, draws, waits for more. Some(true) when the run is over, Some(false) when it is left.
    fn step(&mut self) -> Result<Option<bool>, ClientError> {
        if self.progress.tells_each_change() {
            self.draw();
        }
        while let Some(response) = self.session.client.buffered()? {
            match response {
                Response::Update(update) => update.apply_to(&mut self.view),
                Response::Run(view) => self.view = view,
                Response::Done => return Ok(Some(true)),
                _ => return Err(ClientError::Unexpected),
            }
            // Changes that come together are each told on their line, but drawn once.
            if self.progress.tells_each_change() {
                self.draw();
            }
        }
        self.draw();
        self.tell_retry();
        self.send_owed();
        let stdin = io::stdin();
        let mut descriptors = vec![self.session.client.as_fd()];
        if self.interrupts.is_asking() {
            descriptors.push(stdin.as_fd());
        }
        descriptors.extend(self.signals.iter().flat_map(|signals| signals.descriptors()));
        let redraw = self
            .progress
            .redraw_after()
            .filter(|_| !self.interrupts.is_asking());
        let again = self.interrupts.owes_stop().then_some(RECONNECT_MS);
        let ready = signals::wait(&descriptors, again.or(redraw))?;
        let answered = self.interrupts.is_asking() && ready.get(1) == Some(&true);
        if ready.first() == Some(&true) {
            self.session.client.fill()?;
        }
        for caught in self.signals.map(Signals::take).unwrap_or_default() {
            let action = self.interrupts.signal(caught, self.out.can_ask);
            if self.act(action) {
                return Ok(Some(false));
            }
        }
        if answered && self.interrupts.is_asking() {
            let mut text = String::new();
            stdin.read_line(&mut text)?;
            let action = self.interrupts.answer(&text);
            if self.act(action) {
                return Ok(Some(false));
            }
        }
        Ok(None)
    }

    fn draw(&mut self) {
        // A drawing would overwrite the question.
        if !self.interrupts.is_asking() {
            let picture = self.progress.update(&self.view, now(), self.out.terminal);
            self.out.draw(&picture);
        }
    }

    /// Says once of each pending retry why this goes on.
    fn tell_retry(&mut self) {
        let held = self.view.held;
        let pending = self.view.retry.map(|retry| (retry, held));
        if pending == self.told {
            return;
        }
        self.told = pending;
        if let Some((retry, _)) = pending {
            self.progress.let_go();
            let (run, status) = (&self.view.run, self.view.status);
            let when = render::pending(&retry, held, now());
            let at = if held {
                String::new()
            } else {
                format!(" (at {} UTC)", render::time(retry.at))
            };
            self.out
                .note(&format!("{run} {status}; {when}{at}; waiting for that"));
        }
    }

    /// Does it. True if the run is to be left.
    fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Nothing => {}
            Action::Ask => {
                self.progress.let_go();
                self.out
                    .raw(b"\nStop the run (s), detach and let it go on (d), or continue (Enter)? ");
            }
            Action::Stop { interrupted } => {
                if interrupted && self.out.can_ask {
                    // The cursor stands behind the question, or behind the terminal's `^C`.
                    self.progress.let_go();
                    self.out.raw(b"\n");
                }
                self.interrupts.owe_stop(interrupted);
                self.send_owed();
            }
            Action::Patience => {
                self.progress.let_go();
                self.out
                    .note("the run is being stopped; press Ctrl-C once more to leave it to itself");
            }
            Action::Leave => return true,
        }
        false
    }

    /// Sends the stop that is owed. If the daemon is away it stays owed.
    fn send_owed(&mut self) {
        let Some(interrupted) = self.interrupts.take_owed() else {
            return;
        };
        let request = Request::Stop {
            run: self.selector.clone(),
            interrupted,
        };
        match self.session.call_beside(&request) {
            Ok(_) => self.stopped = true,
            // A run that ended meanwhile needs no stop.
            Err(ClientError::Refused {
                kind: ErrorKind::WrongState,
                ..
            }) => {}
            Err(error) if error.is_gone() => self.interrupts.owe_stop(interrupted),
            Err(error) => self.out.note(&format!("cannot stop the run: {error}")),
        }
    }
}

/// Follows a run that this call started and answers with its outcome; with `detach`, answers at once. Leaves the
/// session.
pub(super) fn answer(
    mut session: Session,
    (run, warnings): (&RunRef, &[Problem]),
    detach: bool,
    signals: &Signals,
    out: &mut Out,
) -> Result<Exit, Failure> {
    for warning in warnings {
        out.warning(warning);
    }
    if detach {
        tell_started(run, warnings, out);
        return Ok(Exit::Ok);
    }
    let mut progress = Progress::new(out.json, out.can_draw);
    match follow(&mut session, &exactly(run), Some(signals), &mut progress, out) {
        Ok(Ended::Over { view, .. }) => {
            if out.json {
                let family = Family::of(&mut session, &view)?;
                out.object(&json::result(&view, &family));
            }
            session.finish(Some(run), Some(signals), out);
            Ok(Exit::of_run(&view))
        }
        Ok(Ended::Detached) => {
            tell_started(run, warnings, out);
            Ok(Exit::Ok)
        }
        Err(failure) => Err(failure),
    }
}

fn tell_started(run: &RunRef, warnings: &[Problem], out: &mut Out) {
    if out.json {
        out.object(&json::accepted(run, warnings));
    } else {
        out.line(&run.to_string());
    }
}
