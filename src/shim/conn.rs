//! A connection that carries frames without blocking: the daemon's channel and the status socket's clients.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;

use crate::model::limits::FRAME_MAX;
use crate::sys::{fdpass, socket};
use crate::wire::codec::{self, FrameBuffer};
use crate::wire::hello::{self, Hello, HelloError, Opening};

/// Most bytes that wait for a reader. A client that asks and never reads is cut off when they are reached.
const OUTBOX_MAX: usize = 2 * FRAME_MAX;
/// Most descriptors that a peer may send ahead of the message that uses them.
const FDS_MAX: usize = 16;

/// One end of a stream socket, with what has been read and what is still to be written.
#[derive(Debug)]
pub(super) struct Conn {
    socket: OwnedFd,
    inbox: FrameBuffer,
    outbox: VecDeque<u8>,
    fds: VecDeque<OwnedFd>,
}

/// Whether the peer is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Open,
    Closed,
}

impl Conn {
    /// `max` bounds the frames that may come in, in bytes.
    pub(super) fn new(socket: OwnedFd, max: usize) -> io::Result<Self> {
        socket::set_nonblocking(socket.as_fd(), true)?;
        Ok(Self {
            socket,
            inbox: FrameBuffer::new(max),
            outbox: VecDeque::new(),
            fds: VecDeque::new(),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads once: a blocking socket waits for something to come. What is left over is read when the socket is
    /// ready again, so one busy peer cannot keep the others waiting.
    pub(super) fn read_once(&mut self) -> io::Result<Peer> {
        let mut buffer = [0u8; 16 * 1024];
        match fdpass::recv_with_fds(self.socket.as_fd(), &mut buffer, FDS_MAX) {
            Ok((0, _)) => Ok(Peer::Closed),
            Ok((n, fds)) => {
                self.inbox.push(buffer.get(..n).unwrap_or_default());
                self.fds.extend(fds);
                if self.fds.len() > FDS_MAX {
                    return Err(io::Error::new(ErrorKind::InvalidData, "too many descriptors"));
                }
                Ok(Peer::Open)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Ok(Peer::Open)
            }
            Err(error) => Err(error),
        }
    }

    /// The next whole frame that was read.
    pub(super) fn next_frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.inbox
            .next_frame()
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }

    /// How a client opens the connection, once enough has been read.
    pub(super) fn opening(&mut self, ours: Hello) -> Result<Option<Opening>, HelloError> {
        hello::open(&mut self.inbox, ours)
    }

    /// The descriptors that came so far.
    pub(super) fn take_fds(&mut self) -> Vec<OwnedFd> {
        self.fds.drain(..).collect()
    }

    /// Queues a message and writes what can be written.
    pub(super) fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        let frame = codec::encode(message, FRAME_MAX)
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        self.send_raw(&frame)
    }

    /// Sends a message of which one is as good as many: not if the socket is full of what the peer has yet to read.
    /// What was held back then is written first, so the peer never waits for news that rest here.
    pub(super) fn nudge<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        self.flush()?;
        if self.wants_write() {
            return Ok(());
        }
        self.send(message)
    }

    /// Queues bytes as they are and writes what can be written.
    pub(super) fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.outbox.len() + bytes.len() > OUTBOX_MAX {
            return Err(io::Error::new(ErrorKind::OutOfMemory, "the peer does not read"));
        }
        self.outbox.extend(bytes);
        self.flush()
    }

    /// Writes what can be written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            let (front, _) = self.outbox.as_slices();
            match socket::send(self.socket.as_fd(), front) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => drop(self.outbox.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether something waits to be written.
    pub(super) fn wants_write(&self) -> bool {
        !self.outbox.is_empty()
    }
}

/// Writes to the channel during boot, when blocking is right: the daemon waits for this message.
pub(super) fn send_blocking<T: Serialize>(socket: &OwnedFd, message: &T) -> io::Result<()> {
    let frame =
        codec::encode(message, FRAME_MAX).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let mut stream = std::os::unix::net::UnixStream::from(socket.try_clone()?);
    stream.write_all(&frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::limits::FRAME_MAX;
    use crate::wire::shim::FromShim;

    /// Reads everything that has come, and says how many whole messages it was.
    fn drain(peer: &mut Conn) -> usize {
        let mut messages = 0;
        loop {
            let before = messages;
            assert_eq!(peer.read_once().unwrap(), Peer::Open);
            while peer.next_frame().unwrap().is_some() {
                messages += 1;
            }
            if messages == before {
                return messages;
            }
        }
    }

    #[test]
    fn nudges_are_heard_again_after_the_peer_was_slow() {
        let (near, far) = fdpass::socketpair().unwrap();
        let (mut near, mut far) = (
            Conn::new(near, FRAME_MAX).unwrap(),
            Conn::new(far, FRAME_MAX).unwrap(),
        );
        for _ in 0..100_000 {
            near.nudge(&FromShim::Poke).unwrap();
        }
        assert!(near.wants_write(), "the socket is full");
        let heard = drain(&mut far);
        assert!(heard > 0 && heard < 100_000, "{heard}");
        near.nudge(&FromShim::Poke).unwrap();
        assert!(drain(&mut far) > 0);
    }
}
