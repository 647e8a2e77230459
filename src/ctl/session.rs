//! A verb's dealings with one daemon: finding it, starting a private one where that is wanted, leaving it.

use std::path::Path;

use super::client::{Client, ClientError};
use super::embedded::{self, Daemon, Turn};
use super::failure::Failure;
use super::out::Out;
use super::place::Place;
use super::signals::Signals;
use crate::model::RunRef;
use crate::model::view::RunView;
use crate::wire::control::{Request, Response, Selector};

/// How often a daemon that is just leaving is waited for before a new one is started.
const TRIES: usize = 5;

/// Connects. A daemon that is just leaving may have a socket that the next one serves, so that it is tried once more.
fn connect(socket: &Path) -> Result<Client, ClientError> {
    match Client::connect(socket) {
        Err(ClientError::Leaving { .. }) => Client::connect(socket),
        other => other,
    }
}

/// Whether a request changes nothing, so that it does no harm to send it twice.
fn only_asks(request: &Request) -> bool {
    matches!(
        request,
        Request::Ping
            | Request::Status(_)
            | Request::Ps
            | Request::History(_)
            | Request::Attempts(_)
            | Request::Why(_)
            | Request::Doctor { repair: false }
            | Request::Dags
            | Request::Source(_)
            | Request::Next { .. }
            | Request::Queues
            | Request::Queue(_)
    )
}

/// A connection, and the private daemon if this call started it.
#[derive(Debug)]
pub(super) struct Session {
    /// The connection.
    pub(super) client: Client,
    place: Place,
    daemon: Option<Daemon>,
}

impl Session {
    /// Connects. Only `--embedded` has a daemon started if none answers.
    pub(super) fn open(place: &Place) -> Result<Self, Failure> {
        let socket = place.socket();
        let error = match connect(&socket) {
            Ok(client) => return Ok(Self::of(client, place, None)),
            Err(error) => error,
        };
        let root = place.root.as_ref().filter(|_| error.is_nobody());
        let Some(root) = root.filter(|_| place.embedded) else {
            let failure = Failure::from(error);
            return Err(match root {
                Some(root) if !root.is_dir() => failure.with_hint(format!(
                    "there is no directory {}; see --root, or add --embedded to start a daemon there",
                    root.display()
                )),
                _ => failure,
            });
        };
        let turn = Turn::wait(root)?;
        let mut failure = Failure::from(error);
        let mut tried = false;
        for _ in 0..TRIES {
            match Client::connect(&socket) {
                Ok(client) => return Ok(Self::of(client, place, None)),
                Err(error) if error.is_nobody() => {}
                Err(error) => return Err(error.into()),
            }
            match Daemon::start(root) {
                Ok(daemon) => {
                    let client = Client::connect(&socket)?;
                    drop(turn);
                    return Ok(Self::of(client, place, Some(daemon)));
                }
                // A daemon that was leaving still held its lock: when it is gone there is room. It may be gone already, so
                // the first failure is not believed.
                Err(error) if embedded::wait_for_former(root)? || !tried => failure = error,
                Err(error) => return Err(error),
            }
            tried = true;
        }
        Err(failure)
    }

    /// Connects for a verb that asks about runs; as [`Self::open`], but with `--embedded` and a root that was never used
    /// there is nothing to ask about, and no daemon is started.
    pub(super) fn open_to_ask(place: &Place) -> Result<Option<Self>, Failure> {
        match connect(&place.socket()) {
            Err(error) if error.is_nobody() && place.embedded && place.is_unused() => Ok(None),
            Err(error) if error.is_nobody() => Self::open(place).map(Some),
            Err(error) => Err(error.into()),
            Ok(client) => Ok(Some(Self::of(client, place, None))),
        }
    }

    fn of(client: Client, place: &Place, daemon: Option<Daemon>) -> Self {
        Self {
            client,
            place: place.clone(),
            daemon,
        }
    }

    /// Sends a request and waits for its answer. What only asks is asked once more if the daemon went away instead of
    /// answering: where the service manager holds the socket, the next daemon answers.
    pub(super) fn call(&mut self, request: &Request) -> Result<Response, Failure> {
        let answer = self.client.call(request);
        let gone = matches!(&answer, Err(error) if error.is_gone());
        if gone && !self.owns_daemon() && only_asks(request) && self.reconnect().is_ok() {
            return Ok(self.client.call(request)?);
        }
        Ok(answer?)
    }

    /// Begins to follow a run: its present state, after which the connection carries its changes.
    pub(super) fn follow(&mut self, selector: &Selector) -> Result<Box<RunView>, ClientError> {
        match self.client.call(&Request::Follow(selector.clone()))? {
            Response::Run(view) => Ok(view),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Sends a request on a connection of its own, while this one carries a stream.
    pub(super) fn call_beside(&self, request: &Request) -> Result<Response, ClientError> {
        Client::connect(&self.place.socket())?.call(request)
    }

    /// Whether this call started the daemon.
    pub(super) fn owns_daemon(&self) -> bool {
        self.daemon.is_some()
    }

    /// What to tell when the private daemon of this call went away while a run was followed.
    pub(super) fn without_own_daemon(&self, error: ClientError, run: &Selector) -> Failure {
        let name = match &run.run {
            Some(id) => format!("{}:{id}", run.dag),
            None => run.dag.to_string(),
        };
        let root = self
            .place
            .root
            .as_ref()
            .map(|root| format!(" --root {}", root.display()));
        let options = format!("--embedded{}", root.unwrap_or_default());
        Failure::from(error).with_hint(format!(
            "the private daemon ended, the run goes on: `proctorctl {options} wait {name}` waits for its end"
        ))
    }

    /// Connects again after the connection broke.
    pub(super) fn reconnect(&mut self) -> Result<(), ClientError> {
        self.client = Client::connect(&self.place.socket())?;
        Ok(())
    }

    /// Whether this call may start a private daemon.
    pub(super) fn starts_one(&self) -> bool {
        self.place.embedded
    }

    /// Starts a private daemon, as there is none any more, or connects to the one that somebody else has started.
    pub(super) fn start_again(&mut self) -> Result<(), Failure> {
        *self = Self::open(&self.place)?;
        Ok(())
    }

    /// Leaves. A daemon that this call started is waited for, unless it has runs other than `ours` to look after.
    pub(super) fn finish(mut self, ours: Option<&RunRef>, signals: Option<&Signals>, out: &mut Out) {
        let Some(daemon) = self.daemon.take() else {
            return;
        };
        let others = match self.client.call(&Request::Ps) {
            Ok(Response::Runs(runs)) => runs
                .iter()
                .any(|run| !run.status.ends_attempt() && Some(&run.run) != ours),
            // It does not answer: it may be at its end already, and is waited for.
            _ => false,
        };
        drop(self.client);
        if others {
            out.note("other runs are live: the private daemon leaves when they have ended");
        } else if let Err(error) = daemon.wait(signals) {
            out.note(&format!("cannot wait for the private daemon: {error}"));
        }
    }
}
