//! The lines to the shims: their pidfds are watched, their channels listened to, their status sockets attached.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedSender;

use super::dispatcher::{Dispatcher, Msg};
use crate::model::limits::FRAME_MAX;
use crate::model::{AttemptId, StopReason};
use crate::sys::pidfd::PidFd;
use crate::sys::{fdpass, reactor, socket};
use crate::wire::codec::{self, FrameBuffer};
use crate::wire::hello::{self, Hello, STATUS_MAGIC};
use crate::wire::shim::{FromShim, StatusRequest, StatusResponse, ToShim};

/// How long another parent may take to reap a shim before its death is told without a status.
const STRANGER_REAPED: Duration = Duration::from_millis(200);

/// Ends a channel for both sides, whoever holds copies of it.
pub(super) fn shut_down(channel: &OwnedFd) {
    use nix::sys::socket::{Shutdown, shutdown};
    use std::os::fd::AsRawFd;
    // A channel whose other end is gone already is as shut as can be.
    shutdown(channel.as_raw_fd(), Shutdown::Both).unwrap_or_default();
}

/// How long a shim may take to answer. One that is stopped longer is tried again by the next daemon.
const ATTACH_PATIENCE: Duration = Duration::from_secs(600);
/// Pauses before further tries to reach a shim whose socket refused. No event tells when it has room again.
const ATTACH_PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
];

impl Dispatcher {
    /// Connects to a live shim that has no channel: one that outlived the last daemon, or whose channel broke.
    pub(super) fn reach(&mut self, attempt: &AttemptId) {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        held.reaching = true;
        let path = self.config.paths.socket(attempt);
        let (attempt, to_self) = (attempt.clone(), self.to_self.clone());
        tokio::spawn(async move {
            let mut pauses = ATTACH_PAUSES.into_iter();
            loop {
                let failure = match tokio::time::timeout(ATTACH_PATIENCE, attach(&path)).await {
                    Ok(Ok(channel)) => return drop(to_self.send(Msg::Attached(attempt, channel))),
                    // Nobody listens any more: most likely it has just died, and its pidfd tells.
                    Ok(Err(error)) if is_gone(&error) => break,
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => String::from("no answer in time"),
                };
                let Some(pause) = pauses.next() else {
                    // It is watched by its pidfd all the same, and its journal is read when it ends.
                    tracing::warn!(ATTEMPT_ID = %attempt, failure, "a live attempt does not answer on its socket");
                    break;
                };
                tokio::time::sleep(pause).await;
            }
            let unreachable = move |dispatcher: &mut Dispatcher| dispatcher.unreachable(&attempt);
            drop(to_self.send(Msg::Then(Box::new(unreachable))));
        });
    }

    /// There will be no channel. A stop that was to be told on it goes by signal.
    fn unreachable(&mut self, attempt: &AttemptId) {
        if let Some(held) = self.attempts.get_mut(attempt) {
            held.reaching = false;
        }
        self.tell_stop_again(attempt);
    }

    /// Tells of the stop that was asked for, and of a kill that came while there was no channel.
    fn tell_stop_again(&mut self, attempt: &AttemptId) {
        if let Some(reason) = self.stop_of(attempt) {
            self.ensure_stop(attempt, reason);
        }
        let held = self.attempts.get_mut(attempt);
        if held.is_some_and(|held| std::mem::take(&mut held.kill_owed)) {
            self.send_stop(attempt, StopReason::Caller);
        }
    }

    /// Tells of a retry that will not come after all, if none does. One that was never to come is told so, too.
    fn tell_no_retry_again(&mut self, attempt: &AttemptId) {
        let run = self.attempts.get(attempt).map(|held| &held.run);
        if run.is_some_and(|run| self.engine.retried_on(run).is_none()) {
            self.send(attempt, &ToShim::NoRetry);
        }
    }

    /// The stop that was asked for, of the run of a live attempt.
    fn stop_of(&self, attempt: &AttemptId) -> Option<StopReason> {
        let held = self.attempts.get(attempt)?;
        self.runs.get(&held.run)?.view.stop.clone()
    }

    /// A shim has answered on its socket: what it missed is made up for.
    pub(super) fn attached(&mut self, attempt: &AttemptId, channel: OwnedFd) {
        if let Some(held) = self.attempts.get_mut(attempt) {
            held.reaching = false;
        }
        self.take_channel(attempt, channel);
        self.read_journal(attempt);
        self.tell_stop_again(attempt);
        self.tell_no_retry_again(attempt);
        self.heal_if_missing(attempt);
    }

    /// Keeps a channel to a shim and listens to it.
    pub(super) fn take_channel(&mut self, attempt: &AttemptId, channel: OwnedFd) {
        let listened = socket::set_nonblocking(channel.as_fd(), true).and_then(|()| channel.try_clone());
        match listened {
            Ok(copy) => {
                let channel = Arc::new(channel);
                let (heard, attempt_of, to_self) =
                    (Arc::downgrade(&channel), attempt.clone(), self.to_self.clone());
                tokio::spawn(async move {
                    listen(&attempt_of, copy, &to_self).await;
                    let ended =
                        move |dispatcher: &mut Dispatcher| dispatcher.channel_ended(&attempt_of, &heard);
                    drop(to_self.send(Msg::Then(Box::new(ended))));
                });
                if let Some(held) = self.attempts.get_mut(attempt) {
                    held.heard = Some(Arc::downgrade(&channel));
                    held.channel = Some(channel);
                }
            }
            Err(error) => tracing::error!(ATTEMPT_ID = %attempt, %error, "the shim cannot be listened to"),
        }
    }

    /// Nothing more comes from a channel. An attempt that goes on all the same gets another one.
    fn channel_ended(&mut self, attempt: &AttemptId, channel: &Weak<OwnedFd>) {
        if let Some(held) = self.attempts.get_mut(attempt)
            && held
                .heard
                .as_ref()
                .is_some_and(|heard| Weak::ptr_eq(heard, channel))
        {
            held.heard = None;
            if std::mem::take(&mut held.last_word) {
                return self.tree_empty(attempt);
            }
        }
        let held = self.attempts.get(attempt);
        let Some(held) = held.filter(|held| is_same(held.channel.as_ref(), channel)) else {
            return;
        };
        let live = self.runs.get(&held.run);
        if live.is_some_and(|live| !live.view.status.ends_attempt()) {
            self.lose_channel(attempt);
        }
    }
}

fn is_same(channel: Option<&Arc<OwnedFd>>, other: &Weak<OwnedFd>) -> bool {
    channel.is_some_and(|channel| std::ptr::eq(Arc::as_ptr(channel), other.as_ptr()))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// Tells when a child's process has exited; the dispatcher reaps it.
pub(super) fn watch_child(attempt: AttemptId, pidfd: PidFd, to_self: UnboundedSender<Msg>) {
    tokio::spawn(async move {
        match reactor::readable(OwnedFd::from(pidfd)) {
            Ok(watched) => drop(watched.readable().await),
            Err(error) => {
                // SIGCHLD tells as well.
                tracing::warn!(ATTEMPT_ID = %attempt, %error, "a shim's pidfd cannot be watched");
                return;
            }
        }
        drop(to_self.send(Msg::Reap));
    });
}

/// Tells when an adopted shim, which is somebody else's child, has exited, and how if the kernel says it.
pub(super) fn watch_adopted(attempt: AttemptId, pidfd: PidFd, to_self: UnboundedSender<Msg>) {
    tokio::spawn(async move {
        let copy = pidfd.try_clone().map(OwnedFd::from);
        let watched = match copy.and_then(reactor::readable) {
            Ok(watched) => watched,
            Err(error) => {
                tracing::error!(ATTEMPT_ID = %attempt, %error, "an adopted shim cannot be watched");
                return;
            }
        };
        drop(watched.readable().await);
        let mut status = pidfd.zombie_status();
        if status.is_none() {
            // Then the parent was quicker, and the kernel tells the status once it has reaped (Linux 6.15), which shows
            // as a hang-up. A parent that never reaps does not hold up the news of the death.
            drop(tokio::time::timeout(STRANGER_REAPED, hung_up(&watched)).await);
            status = pidfd.info().ok().and_then(|info| info.exit);
        }
        drop(to_self.send(Msg::Exited(attempt, status)));
    });
}

async fn hung_up(watched: &AsyncFd<OwnedFd>) -> io::Result<()> {
    loop {
        let mut guard = watched.ready(Interest::READABLE).await?;
        if guard.ready().is_read_closed() {
            return Ok(());
        }
        guard.clear_ready();
    }
}

/// Passes on what a shim says until its channel ends.
async fn listen(attempt: &AttemptId, channel: OwnedFd, to_self: &UnboundedSender<Msg>) {
    let Ok(watched) = reactor::readable(channel) else {
        return;
    };
    let mut buffer = FrameBuffer::new(FRAME_MAX);
    let mut bytes = vec![0; 4096];
    loop {
        let Ok(mut ready) = watched.readable().await else {
            return;
        };
        let read = ready.try_io(|fd| fdpass::recv_with_fds(fd.as_fd(), &mut bytes, 0));
        match read {
            Ok(Ok((0, _)) | Err(_)) => return,
            Ok(Ok((n, _))) => buffer.push(bytes.get(..n).unwrap_or_default()),
            Err(_would_block) => continue,
        }
        // What was poked for is in the journal already, so one reading serves all pokes that have come. A busy
        // attempt cannot fill the dispatcher's queue and so keep others waiting.
        let mut poked = false;
        loop {
            let frame = match buffer.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => return,
            };
            let Ok(message) = codec::decode(&frame) else {
                return;
            };
            if message == FromShim::Poke && std::mem::replace(&mut poked, true) {
                continue;
            }
            if to_self.send(Msg::Shim(attempt.clone(), message)).is_err() {
                return;
            }
        }
    }
}

/// Connects to a shim's status socket and makes the connection its channel. A stopped shim does not answer until
/// it goes on, so nobody else must wait for this.
async fn attach(path: &std::path::Path) -> io::Result<OwnedFd> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let broken =
        |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let connected = socket::connect(path)?;
    connected.set_nonblocking(true)?;
    let mut stream = tokio::net::UnixStream::from_std(connected)?;
    let ours = Hello::new(STATUS_MAGIC);
    let request = codec::encode(&StatusRequest::Attach, FRAME_MAX).map_err(|error| broken(&error))?;
    stream.write_all(&ours.to_bytes()).await?;
    stream.write_all(&request).await?;
    // Nothing is read beyond the answer: what follows it belongs to the channel.
    let mut greeting = [0; hello::HELLO_LEN];
    stream.read_exact(&mut greeting).await?;
    Hello::from_bytes(greeting)
        .accept(ours)
        .map_err(|error| broken(&error))?;
    let mut header = [0; codec::HEADER];
    stream.read_exact(&mut header).await?;
    let mut buffer = FrameBuffer::new(FRAME_MAX);
    buffer.push(&header);
    // This checks the length against the limit before anything is read by it.
    let mut frame = buffer.next_frame().map_err(|error| broken(&error))?;
    if frame.is_none() {
        let mut payload = Vec::new();
        let len = u32::from_le_bytes(header);
        (&mut stream).take(len.into()).read_to_end(&mut payload).await?;
        buffer.push(&payload);
        frame = buffer.next_frame().map_err(|error| broken(&error))?;
    }
    let frame = frame.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    match codec::decode(&frame).map_err(|error| broken(&error))? {
        StatusResponse::Ok => Ok(stream.into_std()?.into()),
        StatusResponse::Error { message, .. } => Err(broken(&message)),
        StatusResponse::Status(_) => Err(broken(&"an answer to another question")),
    }
}
