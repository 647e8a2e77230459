//! The client's end of the control protocol, over a blocking stream.
//!
//! Only the hello has a time limit: whatever answers there is a daemon, and a daemon that is slow is waited for
//! (the user can always interrupt).

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::limits::FRAME_MAX;
use crate::sys::{clock, socket};
use crate::wire::codec;
use crate::wire::control::{ErrorKind, Problem, Request, Response};
use crate::wire::hello::{self, CONTROL_MAGIC, Hello, HelloError};
use crate::wire::{CodecError, FrameBuffer, FrameError};

/// How long the daemon may take to say hello.
pub(super) const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the daemon could not be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nobody listens, or the socket may not be used.
    #[error("cannot reach the daemon at {}: {}", path.display(), reason(source))]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Somebody listens and does not answer.
    #[error("the daemon at {} does not answer: no hello within {} seconds", path.display(), after.as_secs_f32())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// The time limit.
        after: Duration,
    },
    /// The connection ended before the hello: the daemon leaves, or refuses so many clients.
    #[error("the daemon at {} closed the connection before its hello", path.display())]
    Leaving {
        /// The socket.
        path: PathBuf,
    },
    /// It is not a daemon of this version.
    #[error("cannot talk to the daemon: {0}")]
    Hello(#[from] HelloError),
    /// The connection ended before the answer was complete.
    #[error("the daemon closed the connection before its answer was complete")]
    Closed,
    /// The connection broke.
    #[error("the connection to the daemon broke: {0}")]
    Io(#[from] io::Error),
    /// The daemon sent what cannot be an answer.
    #[error("the daemon's answer cannot be read: {0}")]
    Frame(#[from] FrameError),
    /// The daemon sent what cannot be an answer.
    #[error("the daemon's answer cannot be read: {0}")]
    Decode(CodecError),
    /// The request cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Encode(CodecError),
    /// The daemon answered something else than was asked.
    #[error("the daemon's answer does not belong to the request")]
    Unexpected,
    /// The daemon refused.
    #[error("{message}")]
    Refused {
        /// Kind of the refusal.
        kind: ErrorKind,
        /// What is wrong.
        message: String,
        /// What would cure it.
        hint: Option<String>,
        /// Places in the DAG file.
        problems: Vec<Problem>,
    },
}

/// Why nobody could be reached, in words: the system's own are about files.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody listens on it any more".to_owned(),
        io::ErrorKind::PermissionDenied => "you may not use this socket".to_owned(),
        _ => error.to_string(),
    }
}

impl ClientError {
    /// Whether no daemon serves this socket (any more), so that one may be started.
    pub(super) fn is_nobody(&self) -> bool {
        match self {
            Self::Connect { source, .. } => {
                matches!(
                    source.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                )
            }
            Self::Leaving { .. } => true,
            _ => false,
        }
    }

    /// Whether the connection went away while it was used, as when the daemon is restarted.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Closed | Self::Io(_) | Self::Leaving { .. }) || self.is_nobody()
    }
}

/// A connection to the daemon, hello done. One request at a time.
#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    buffer: FrameBuffer,
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Client {
    /// Connects and exchanges the hello, which may take [`HELLO_TIMEOUT`].
    pub(super) fn connect(path: &Path) -> Result<Self, ClientError> {
        Self::connect_within(path, HELLO_TIMEOUT)
    }

    pub(super) fn connect_within(path: &Path, limit: Duration) -> Result<Self, ClientError> {
        let stream = socket::connect(path).map_err(|source| ClientError::Connect {
            path: path.to_owned(),
            source,
        })?;
        let mut client = Self {
            stream,
            buffer: FrameBuffer::new(FRAME_MAX),
        };
        let ours = Hello::new(CONTROL_MAGIC);
        // A daemon that leaves may close before it reads: what it said, or that it said nothing, is the answer.
        let sent = client.stream.write_all(&ours.to_bytes());
        let silent = || ClientError::Silent {
            path: path.to_owned(),
            after: limit,
        };
        let limit_micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        let deadline = clock::boot_micros().saturating_add(limit_micros);
        while !hello::receive(&mut client.buffer, ours)? {
            let left = deadline.saturating_sub(clock::boot_micros());
            if left == 0 {
                return Err(silent());
            }
            client
                .stream
                .set_read_timeout(Some(Duration::from_micros(left)))?;
            match client.read() {
                Ok(0) => {
                    return Err(ClientError::Leaving {
                        path: path.to_owned(),
                    });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(silent()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(ClientError::Leaving {
                        path: path.to_owned(),
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
        sent?;
        client.stream.set_read_timeout(None)?;
        Ok(client)
    }

    /// Sends a request.
    pub(super) fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let frame = codec::encode(request, FRAME_MAX).map_err(ClientError::Encode)?;
        self.stream.write_all(&frame)?;
        Ok(())
    }

    /// The next answer, waited for. A refusal is an error.
    pub(super) fn receive(&mut self) -> Result<Response, ClientError> {
        loop {
            if let Some(response) = self.buffered()? {
                return Ok(response);
            }
            self.fill()?;
        }
    }

    /// Sends a request and waits for its answer.
    pub(super) fn call(&mut self, request: &Request) -> Result<Response, ClientError> {
        self.send(request)?;
        self.receive()
    }

    /// An answer that has come already. Ask before waiting for the descriptor: one read may bring several.
    pub(super) fn buffered(&mut self) -> Result<Option<Response>, ClientError> {
        let Some(payload) = self.buffer.next_frame()? else {
            return Ok(None);
        };
        match codec::decode(&payload).map_err(ClientError::Decode)? {
            Response::Error {
                kind,
                message,
                hint,
                problems,
            } => Err(ClientError::Refused {
                kind,
                message,
                hint,
                problems,
            }),
            response => Ok(Some(response)),
        }
    }

    /// Takes in what the daemon sent; waits if it sent nothing yet.
    pub(super) fn fill(&mut self) -> Result<(), ClientError> {
        match self.read() {
            Ok(0) => Err(ClientError::Closed),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(ClientError::Closed),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(len) => {
                    self.buffer.push(chunk.get(..len).unwrap_or_default());
                    return Ok(len);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests;
