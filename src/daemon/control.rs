//! The control socket: accepts clients, reads their requests, writes the answers.
//!
//! A connection task knows nothing of runs: it hands each request to the dispatcher together with a bounded
//! channel for the answers. A client that asks and never reads fills its own channel and is cut off; one that
//! sends garbage gets an error and is closed. Memory for a client grows only with what it really sent.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use interprocess::os::unix::uds_local_socket::tokio::{Listener, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::clients::{Clients, Limits, Place};
use super::dispatcher::Msg;
use super::requests::Requester;
use crate::model::access::Peer;
use crate::model::limits::FRAME_MAX;
use crate::sys::creds;
use crate::sys::pidfd::PidFd;
use crate::sys::socket::{PeerCred, peer_cred, peer_groups, peer_pidfd};
use crate::telemetry::events;
use crate::wire::codec::{self, FrameBuffer};
use crate::wire::control::{ErrorKind, Request, Response};
use crate::wire::hello::{self, CONTROL_MAGIC, Hello, Opening};
use crate::wire::json;

/// Answers that wait for a client to read them.
const ANSWERS: usize = 64;
/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts clients until the daemon ends.
pub(super) async fn serve(
    listener: OwnedFd,
    dispatcher: mpsc::UnboundedSender<Msg>,
    limits: watch::Receiver<Limits>,
) {
    let listener = match Listener::try_from(listener) {
        Ok(listener) => listener,
        Err(error) => {
            let text = format!("the control socket cannot be used: {error}");
            drop(dispatcher.send(Msg::Fatal(text)));
            return;
        }
    };
    let clients = Clients::new(limits, creds::effective_uid());
    loop {
        use interprocess::local_socket::traits::tokio::Listener as _;
        match listener.accept().await {
            Ok(stream) => {
                let Ok(cred) = peer_cred(stream.inner().as_fd()) else {
                    continue;
                };
                if let Some(place) = clients.enter(cred.uid) {
                    tokio::spawn(client(stream, cred, place, dispatcher.clone(), clients.limits()));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How a client's answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Frames,
    Json,
}

/// A client's connection from the first byte to the last.
async fn client(
    stream: Stream,
    cred: PeerCred,
    place: Place,
    dispatcher: mpsc::UnboundedSender<Msg>,
    limits: Limits,
) {
    let peer = Peer {
        pid: cred.pid,
        uid: cred.uid,
        gid: cred.gid,
    };
    let groups = peer_groups(stream.inner().as_fd()).unwrap_or_default();
    let admin = limits
        .admin_gid
        .is_some_and(|gid| cred.gid == gid || groups.contains(&gid));
    // Held so that the process that is told of is this one, also when its number is another one's by then.
    let process = peer_pidfd(stream.inner().as_fd())
        .or_else(|| PidFd::open(cred.pid).ok())
        .map(Arc::new);
    let mut connection = Connection {
        stream,
        buffer: FrameBuffer::new(FRAME_MAX),
        form: Form::Frames,
        patience: limits.patience,
        from: Requester { peer, admin, process },
    };
    let opened = timeout(limits.patience, connection.open()).await;
    if !matches!(opened, Ok(Ok(true))) {
        return;
    }
    if !place.admitted {
        let busy = refusal(ErrorKind::Unavailable, "too many clients; try again");
        if connection.greet().await.is_ok() {
            drop(connection.write(&busy).await);
        }
        return;
    }
    // A private daemon leaves when nobody is connected. Who has its hello counts, so that none is left without an answer.
    let (came, counted) = oneshot::channel();
    if dispatcher.send(Msg::ClientCame(came)).is_err() || counted.await.is_err() {
        return;
    }
    let served = match connection.greet().await {
        Ok(()) => connection.converse(&dispatcher).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        // That one leaves in the middle of what it follows is nothing; that it is cut off is.
        if error.kind() != io::ErrorKind::UnexpectedEof {
            events::client_dropped(peer, &error);
        }
    }
    drop(dispatcher.send(Msg::ClientWent));
}

/// An error answer without a hint.
pub(super) fn refusal(kind: ErrorKind, message: &str) -> Response {
    Response::Error {
        kind,
        message: message.to_owned(),
        hint: None,
        problems: Vec::new(),
    }
}

struct Connection {
    stream: Stream,
    buffer: FrameBuffer,
    form: Form,
    patience: Duration,
    from: Requester,
}

impl Connection {
    /// Reads more. False at end-of-file.
    async fn read(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 16 * 1024];
        let n = self.stream.read(&mut bytes).await?;
        self.buffer.push(bytes.get(..n).unwrap_or_default());
        if self.buffer.pending().len() > FRAME_MAX + bytes.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the client sends ahead without limit",
            ));
        }
        Ok(n > 0)
    }

    /// Answers a hello with ours.
    async fn greet(&mut self) -> io::Result<()> {
        let ours = Hello::new(CONTROL_MAGIC).to_bytes();
        if self.form == Form::Frames {
            self.stream.write_all(&ours).await?;
        }
        Ok(())
    }

    /// The opening: a hello of this protocol's version, which is still to be answered, or a `{`.
    async fn open(&mut self) -> io::Result<bool> {
        let ours = Hello::new(CONTROL_MAGIC);
        loop {
            match hello::open(&mut self.buffer, ours) {
                Ok(Some(Opening::Json)) => {
                    self.form = Form::Json;
                    return Ok(true);
                }
                Ok(Some(Opening::Frames)) => return Ok(true),
                Ok(None) => {
                    if !self.read().await? {
                        return Ok(false);
                    }
                }
                Err(error) => {
                    self.stream.write_all(&ours.to_bytes()).await?;
                    let answer = refusal(ErrorKind::Protocol, &error.to_string());
                    self.write(&answer).await?;
                    return Ok(false);
                }
            }
        }
    }

    /// The next request; `Ok(None)` when the client is done.
    async fn next(&mut self) -> io::Result<Option<Result<Request, String>>> {
        loop {
            let taken = match self.form {
                Form::Frames => self.buffer.next_frame(),
                Form::Json => self.buffer.next_line(),
            };
            match taken {
                Ok(Some(bytes)) => {
                    let request = match self.form {
                        Form::Frames => codec::decode(&bytes).map_err(|error| error.to_string()),
                        Form::Json => json::parse_request(&bytes).map_err(|error| error.to_string()),
                    };
                    return Ok(Some(request));
                }
                Ok(None) => {
                    if !self.read().await? {
                        return Ok(None);
                    }
                }
                Err(error) => return Ok(Some(Err(error.to_string()))),
            }
        }
    }

    async fn write(&mut self, answer: &Response) -> io::Result<()> {
        let broken = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let bytes = match self.form {
            Form::Frames => match codec::encode(answer, FRAME_MAX) {
                Ok(bytes) => bytes,
                Err(error) => {
                    let text = format!("the answer cannot be sent: {error}");
                    codec::encode(&refusal(ErrorKind::Internal, &text), FRAME_MAX)
                        .map_err(|error| broken(error.to_string()))?
                }
            },
            Form::Json => json::write_response(answer).map_err(broken)?.into_bytes(),
        };
        timeout(self.patience, self.stream.write_all(&bytes))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the client does not read"))?
    }

    /// Requests and answers, one after the other.
    async fn converse(&mut self, dispatcher: &mpsc::UnboundedSender<Msg>) -> io::Result<()> {
        while let Some(request) = self.next().await? {
            let request = match request {
                Ok(request) => request,
                Err(message) => {
                    return self.write(&refusal(ErrorKind::Protocol, &message)).await;
                }
            };
            let (answers, mut receiver) = mpsc::channel(ANSWERS);
            if dispatcher
                .send(Msg::Request {
                    from: self.from.clone(),
                    request,
                    answers,
                })
                .is_err()
            {
                let gone = refusal(ErrorKind::Unavailable, "the daemon is leaving");
                return self.write(&gone).await;
            }
            self.stream_answers(&mut receiver).await?;
        }
        Ok(())
    }

    /// Writes answers as they come. A client that leaves in the middle of a stream ends it. One that speaks JSON may
    /// close its own side after its question, as scripts do: it gets its answer.
    async fn stream_answers(&mut self, receiver: &mut mpsc::Receiver<Response>) -> io::Result<()> {
        let mut asking = true;
        loop {
            tokio::select! {
                biased;
                answer = receiver.recv() => match answer {
                    Some(answer) => self.write(&answer).await?,
                    None => return Ok(()),
                },
                read = self.read(), if asking => if !read? {
                    if self.form == Form::Frames {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    asking = false;
                },
            }
        }
    }
}
