//! The shims: what they say, how their journals are read, how their deaths are seen and what is done then.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedSender;

use super::dispatcher::{Attempt, Dispatcher, Msg, now};
use super::launch::Launched;
use super::tree;
use crate::engine::scheduler::Event;
use crate::engine::scheduler::api::AttemptEnd;
use crate::model::change::{AttemptIdentity, Change};
use crate::model::limits::FRAME_MAX;
use crate::model::{AttemptId, Fact, Record};
use crate::sys::identity::ProcessIdentity;
use crate::sys::pidfd::{PidFd, WaitStatus};
use crate::sys::{fdpass, reactor, reap, socket};
use crate::telemetry::events;
use crate::wire::codec::{self, FrameBuffer};
use crate::wire::hello::{self, Hello, STATUS_MAGIC};
use crate::wire::shim::{FromShim, StatusRequest, StatusResponse};

/// Bytes read from a journal at a time.
const JOURNAL_PIECE: usize = 1024 * 1024;
/// How long another parent may take to reap a shim before its death is told without a status.
const STRANGER_REAPED: std::time::Duration = std::time::Duration::from_millis(200);

/// What is known of an attempt's processes.
pub(super) fn identity(attempt: &Attempt, boot_id: &str) -> AttemptIdentity {
    let read = attempt
        .pidfd
        .as_ref()
        .and_then(|pidfd| ProcessIdentity::read(pidfd, attempt.pid).ok());
    AttemptIdentity {
        pid: attempt.pid,
        pidfs_inode: read.as_ref().and_then(|read| read.pidfs_inode),
        start_ticks: read.as_ref().and_then(|read| read.start_ticks),
        boot_id: boot_id.to_owned(),
        cgroup_id: attempt.cgroup.as_ref().map(crate::sys::cgroup::Cgroup::id),
    }
}

/// Ends a channel for both sides, whoever holds copies of it.
pub(super) fn shut_down(channel: &OwnedFd) {
    use nix::sys::socket::{Shutdown, shutdown};
    use std::os::fd::AsRawFd;
    // A channel whose other end is gone already is as shut as can be.
    shutdown(channel.as_raw_fd(), Shutdown::Both).unwrap_or_default();
}

impl Dispatcher {
    /// A launch was tried.
    pub(super) fn launched(&mut self, attempt: &AttemptId, result: Result<Box<Launched>, String>) {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        let launched = match result {
            Ok(launched) => *launched,
            Err(why) => {
                events::launch_failed(&held.run, attempt, &why);
                self.close_gate(attempt);
                self.tell(Event::LaunchFailed(attempt.clone(), why));
                return;
            }
        };
        held.pid = launched.pid;
        held.cgroup = launched.cgroup;
        self.by_pid.insert(launched.pid, attempt.clone());
        match Self::open_journal(launched.journal, attempt) {
            Ok(journal) => held.journal = Some(journal),
            Err(why) => held.damaged = Some(why),
        }
        let watched = launched.pidfd.try_clone();
        held.pidfd = Some(launched.pidfd);
        match watched {
            Ok(pidfd) => watch_child(attempt.clone(), pidfd, self.to_self.clone()),
            Err(error) => tracing::error!(attempt = %attempt, %error, "the shim cannot be watched"),
        }
        self.take_channel(attempt, launched.channel);
    }

    /// Keeps a channel to a shim and listens to it.
    fn take_channel(&mut self, attempt: &AttemptId, channel: OwnedFd) {
        let listened = socket::set_nonblocking(channel.as_fd(), true).and_then(|()| channel.try_clone());
        match listened {
            Ok(copy) => {
                tokio::spawn(listen(attempt.clone(), copy, self.to_self.clone()));
                if let Some(held) = self.attempts.get_mut(attempt) {
                    held.channel = Some(channel);
                }
            }
            Err(error) => tracing::error!(attempt = %attempt, %error, "the shim cannot be listened to"),
        }
    }

    pub(super) fn shim_says(&mut self, attempt: &AttemptId, message: FromShim) {
        match message {
            FromShim::Ready => {
                let Some(held) = self.attempts.get(attempt) else {
                    return;
                };
                let identity = identity(held, &self.boot_id);
                self.tell(Event::Ready(attempt.clone(), identity));
            }
            FromShim::Failed(why) => {
                // It exits now; what it said is the reason, its exit status is not.
                tracing::error!(attempt = %attempt, why, "a supervisor could not get ready");
                if let Some(held) = self.attempts.get_mut(attempt) {
                    held.damaged = None;
                }
                self.failed_to_start(attempt, why);
            }
            FromShim::Poke => self.read_journal(attempt),
            FromShim::EntryReplaced => self.publish_healed(attempt),
        }
    }

    /// The shim said why it cannot run: its process and objects are taken away, then the engine is told.
    fn failed_to_start(&mut self, attempt: &AttemptId, why: String) {
        self.close_gate(attempt);
        if let Some(held) = self.attempts.get_mut(attempt) {
            held.refusal = Some(why);
        }
    }

    /// Reads what the journal has that was not read yet, and passes it on.
    pub(super) fn read_journal(&mut self, attempt: &AttemptId) {
        loop {
            let Some(held) = self.attempts.get_mut(attempt) else {
                return;
            };
            let Some(journal) = &mut held.journal else { return };
            let records = match journal.read_new(JOURNAL_PIECE) {
                Ok(records) => records,
                Err(error) => {
                    tracing::error!(attempt = %attempt, %error, "the journal cannot be read on");
                    held.damaged = Some(error.to_string());
                    held.journal = None;
                    return;
                }
            };
            if records.is_empty() {
                return;
            }
            self.apply_records(attempt, &records);
        }
    }

    /// Applies records to the run's view, and tells store, engine and followers.
    fn apply_records(&mut self, attempt: &AttemptId, records: &[Record]) {
        let Some(run) = self.attempts.get(attempt).map(|held| held.run.clone()) else {
            return;
        };
        let mut events = Vec::new();
        let mut started_params = None;
        if let Some(live) = self.runs.get_mut(&run) {
            let mut changed = std::collections::BTreeSet::new();
            for record in records {
                changed.extend(live.view.apply(record));
                match &record.fact {
                    Fact::Started { .. } => {
                        events.push(Event::Started(attempt.clone(), record.at, None));
                    }
                    Fact::Params { params } if *params != live.new.params => {
                        started_params = live.view.started_at.map(|at| (at, params.clone()));
                    }
                    Fact::Ended {
                        status,
                        error,
                        outputs,
                    } => {
                        let end = AttemptEnd {
                            status: *status,
                            error: error.clone(),
                            outputs: outputs.clone(),
                            timed_out: live.view.timed_out,
                            kill_escalated: live.view.kill_escalated,
                            at: record.at,
                        };
                        events.push(Event::Ended(attempt.clone(), end));
                    }
                    _ => {}
                }
            }
            live.unsaved.extend(changed.iter().copied());
            self.followers.update(&run, &live.view, changed);
        }
        for event in events {
            self.tell(event);
        }
        if let Some((at, params)) = started_params {
            let number = self.own_batch();
            let params = Some(params);
            self.submit(
                number,
                vec![Change::Start {
                    attempt: attempt.clone(),
                    at,
                    params,
                }],
            );
        }
    }

    /// A shim's process has exited. Its journal is read to the end, the rest of its tree is killed and seen empty.
    pub(super) fn exited(&mut self, attempt: &AttemptId, status: Option<WaitStatus>) {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        if held.ending {
            return;
        }
        held.ending = true;
        held.exit = Some(status);
        self.by_pid.remove(&held.pid);
        self.read_journal(attempt);
        let Some(held) = self.attempts.get(attempt) else {
            return;
        };
        let cgroup = held.cgroup.clone();
        if let Some(cgroup) = &cgroup
            && matches!(cgroup.is_populated(), Ok(false))
        {
            self.tree_empty(attempt);
            return;
        }
        let (attempt, to_self) = (attempt.clone(), self.to_self.clone());
        tokio::spawn(async move {
            while let Err(error) = tree::end(cgroup.as_ref(), &attempt).await {
                tracing::error!(attempt = %attempt, %error, "what an attempt left cannot be ended; trying again");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            drop(to_self.send(Msg::TreeEmpty(attempt)));
        });
    }

    /// Nothing of the attempt lives any more.
    pub(super) fn tree_empty(&mut self, attempt: &AttemptId) {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        if let Some(why) = held.refusal.take() {
            self.close_gate(attempt);
            self.tell(Event::LaunchFailed(attempt.clone(), why));
            return;
        }
        let cause = Self::cause_of(held);
        let known_end = self
            .runs
            .get(&held.run)
            .is_some_and(|live| live.view.status.is_terminal());
        if !known_end {
            self.counters.lost += 1;
            tracing::warn!(attempt = %attempt, run = %held.run, %cause, "an attempt died without a final record");
        }
        self.tell(Event::Gone(attempt.clone(), cause));
    }

    /// Collects every child that has exited: shims with their status, orphans without.
    pub(super) fn reap(&mut self) {
        while let Ok(Some(pid)) = reap::next_zombie() {
            let status = match reap::reap_pid(pid) {
                Ok(status) => status,
                Err(error) => {
                    tracing::error!(pid, %error, "a child cannot be reaped");
                    return;
                }
            };
            if let Some(attempt) = self.by_pid.remove(&pid) {
                self.exited(&attempt, status);
            }
        }
    }

    /// Takes up a shim that outlived the last daemon: recovery has verified it and holds its pidfd.
    pub(super) fn adopt(&mut self, attempt: &AttemptId) {
        let Some(held) = self.attempts.get(attempt) else {
            return;
        };
        self.counters.adopted += 1;
        tracing::info!(attempt = %attempt, run = %held.run, pid = held.pid, "adopting a live attempt");
        if let Some(Ok(pidfd)) = held.pidfd.as_ref().map(PidFd::try_clone) {
            watch_adopted(attempt.clone(), pidfd, self.to_self.clone());
        }
        let path = self.config.paths.socket(attempt);
        let (attempt, to_self) = (attempt.clone(), self.to_self.clone());
        tokio::task::spawn_blocking(move || match attach(&path) {
            Ok(channel) => drop(to_self.send(Msg::Attached(attempt, channel))),
            // It is watched by its pidfd all the same, and its journal is read when it ends.
            Err(error) => {
                tracing::warn!(attempt = %attempt, %error, "an adopted attempt does not answer on its socket");
            }
        });
    }

    pub(super) fn attached(&mut self, attempt: &AttemptId, channel: OwnedFd) {
        self.take_channel(attempt, channel);
        self.read_journal(attempt);
        let run = self.attempts.get(attempt).map(|held| held.run.clone());
        let stop = run
            .and_then(|run| self.runs.get(&run))
            .and_then(|live| live.view.stop.clone());
        if let Some(reason) = stop {
            self.send_stop(attempt, reason);
        }
        self.heal_if_missing(attempt);
    }

    /// A new entry for an attempt whose entry was deleted by somebody: made, locked, handed to the shim.
    pub(super) fn heal(&mut self, attempt: &AttemptId) {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        let Some(entry) = &held.entry else { return };
        match self.proc.prepare_again(entry, now().wall) {
            Ok(prepared) => {
                let descriptor = prepared.descriptor();
                held.prepared = Some(prepared);
                let replace = crate::wire::shim::ToShim::ReplaceEntry;
                if let Ok(fd) = descriptor
                    && !self.send_with_fd(attempt, &replace, fd.as_fd())
                {
                    tracing::warn!(attempt = %attempt, "a shim cannot be given its new entry");
                }
            }
            Err(error) => tracing::error!(attempt = %attempt, %error, "a deleted entry cannot be made again"),
        }
    }

    fn publish_healed(&mut self, attempt: &AttemptId) {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        let Some(prepared) = held.prepared.take() else {
            return;
        };
        let Some(owner) = held.entry.as_ref().and_then(|entry| entry.owner.clone()) else {
            return;
        };
        match prepared.publish(&owner, now().wall) {
            Ok(entry) => {
                self.counters.healed += 1;
                tracing::warn!(attempt = %attempt, path = %entry.path.display(), "a deleted proc entry was made again");
                held.entry = Some(entry);
            }
            Err(error) => {
                tracing::error!(attempt = %attempt, %error, "a deleted entry cannot be published again")
            }
        }
    }
}

/// Tells when a child's process has exited; the dispatcher reaps it.
fn watch_child(attempt: AttemptId, pidfd: PidFd, to_self: UnboundedSender<Msg>) {
    tokio::spawn(async move {
        match reactor::readable(OwnedFd::from(pidfd)) {
            Ok(watched) => drop(watched.readable().await),
            Err(error) => {
                // SIGCHLD tells as well.
                tracing::warn!(attempt = %attempt, %error, "a shim's pidfd cannot be watched");
                return;
            }
        }
        drop(to_self.send(Msg::Reap));
    });
}

/// Tells when an adopted shim, which is somebody else's child, has exited, and how if the kernel says it.
fn watch_adopted(attempt: AttemptId, pidfd: PidFd, to_self: UnboundedSender<Msg>) {
    tokio::spawn(async move {
        let copy = pidfd.try_clone().map(OwnedFd::from);
        let watched = match copy.and_then(|copy| reactor::readable(copy)) {
            Ok(watched) => watched,
            Err(error) => {
                tracing::error!(attempt = %attempt, %error, "an adopted shim cannot be watched");
                return;
            }
        };
        drop(watched.readable().await);
        // The kernel tells the status once the parent has reaped it (Linux 6.15), which shows as a hang-up. A
        // parent that never reaps does not hold up the news of the death.
        drop(tokio::time::timeout(STRANGER_REAPED, hung_up(&watched)).await);
        let status = pidfd.info().ok().and_then(|info| info.exit);
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
async fn listen(attempt: AttemptId, channel: OwnedFd, to_self: UnboundedSender<Msg>) {
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
        loop {
            let frame = match buffer.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => return,
            };
            let Ok(message) = codec::decode(&frame) else {
                return;
            };
            if to_self.send(Msg::Shim(attempt.clone(), message)).is_err() {
                return;
            }
        }
    }
}

/// Connects to a shim's status socket and makes the connection its channel.
fn attach(path: &std::path::Path) -> io::Result<OwnedFd> {
    use std::io::{Read, Write};
    let broken =
        |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let mut stream = socket::connect(path)?;
    let patience = Some(std::time::Duration::from_secs(10));
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(patience)?;
    let ours = Hello::new(STATUS_MAGIC);
    stream.write_all(&ours.to_bytes())?;
    let request = codec::encode(&StatusRequest::Attach, FRAME_MAX).map_err(|error| broken(&error))?;
    stream.write_all(&request)?;
    let mut buffer = FrameBuffer::new(FRAME_MAX);
    // Nothing is read beyond the answer: what follows it belongs to the channel.
    let mut pull = |buffer: &mut FrameBuffer, len: u64| {
        let mut bytes = Vec::new();
        let got = Read::by_ref(&mut stream).take(len).read_to_end(&mut bytes)?;
        buffer.push(&bytes);
        if u64::try_from(got).is_ok_and(|got| got == len) {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::UnexpectedEof))
        }
    };
    let greeting = pull(&mut buffer, hello::HELLO_LEN as u64);
    // A peer of another kind may say less and close; what it said tells more than that it closed.
    let greeted = hello::receive(&mut buffer, ours).map_err(|error| broken(&error))?;
    greeting?;
    if !greeted {
        return Err(broken(&"no greeting"));
    }
    pull(&mut buffer, codec::HEADER as u64)?;
    // The limit is checked before anything is made as long as the header says.
    let mut frame = buffer.next_frame().map_err(|error| broken(&error))?;
    if frame.is_none()
        && let Some(len) = buffer
            .pending()
            .first_chunk()
            .map(|header| u32::from_le_bytes(*header))
    {
        pull(&mut buffer, len.into())?;
        frame = buffer.next_frame().map_err(|error| broken(&error))?;
    }
    let frame = frame.ok_or_else(|| broken(&"no answer"))?;
    match codec::decode(&frame).map_err(|error| broken(&error))? {
        StatusResponse::Ok => {
            stream.set_read_timeout(None)?;
            stream.set_write_timeout(None)?;
            Ok(stream.into())
        }
        StatusResponse::Error { message, .. } => Err(broken(&message)),
        StatusResponse::Status(_) => Err(broken(&"an answer to another question")),
    }
}

/// Opens the journal of an attempt that recovery found.
pub(super) fn journal_file(dir: &std::path::Path) -> io::Result<File> {
    crate::sys::files::Dir::open(dir)?.open_regular("journal")
}
