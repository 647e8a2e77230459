//! The attempt's status socket: `status`, `stop`, `signal`, and `attach` for a daemon that was restarted.
//!
//! The shim answers by itself, also when the daemon is down and also in the grace period of a stop (P23).
//! Who may ask is decided from the credentials the kernel gives: root, the daemon's user and the job's user.

use std::io;

use super::conn::{Conn, Peer};
use crate::model::StopReason;
use crate::model::access;
use crate::model::view::RunView;
use crate::sys::socket::PeerCred;
use crate::wire::codec;
use crate::wire::control::ErrorKind;
use crate::wire::hello::{Hello, Opening, STATUS_MAGIC};
use crate::wire::shim::{StatusRequest, StatusResponse, StatusVerb};

/// A client of the status socket.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) conn: Conn,
    peer: access::Peer,
    greeted: bool,
    /// Set when the last answer is on its way and nothing more is read.
    pub(super) leaving: bool,
}

/// What a client wants the supervisor to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Stop(StopReason),
    Signal(i32),
    /// The connection becomes the daemon's channel.
    Attach,
    /// Nothing, but that the log has what was denied.
    Denied(access::Peer, StatusVerb),
}

/// Whose requests are served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Permit {
    pub(super) daemon_uid: u32,
    pub(super) job_uid: u32,
}

impl Permit {
    pub(super) fn allows(self, uid: u32) -> bool {
        uid == 0 || uid == self.daemon_uid || uid == self.job_uid
    }
}

impl Client {
    pub(super) fn new(conn: Conn, cred: PeerCred) -> Self {
        let peer = access::Peer {
            pid: cred.pid,
            uid: cred.uid,
            gid: cred.gid,
        };
        Self {
            conn,
            peer,
            greeted: false,
            leaving: false,
        }
    }

    /// The peer's user.
    pub(super) fn uid(&self) -> u32 {
        self.peer.uid
    }

    /// Reads and answers what is there. The wishes are for the supervisor; an error ends the connection.
    pub(super) fn serve(&mut self, view: &RunView, permit: Permit) -> io::Result<Vec<Wish>> {
        let mut wishes = Vec::new();
        if self.conn.read_once()? == Peer::Closed {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Descriptors have no meaning on this socket.
        drop(self.conn.take_fds());
        let ours = Hello::new(STATUS_MAGIC);
        if !self.greeted {
            match self.conn.opening(ours) {
                Ok(Some(Opening::Frames)) => {
                    self.conn.send_raw(&ours.to_bytes())?;
                    self.greeted = true;
                }
                Ok(None) => return Ok(wishes),
                Ok(Some(Opening::Json)) | Err(_) => {
                    self.leaving = true;
                    self.conn.send_raw(&ours.to_bytes())?;
                    return Ok(wishes);
                }
            }
        }
        while !self.leaving {
            let frame = match self.conn.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    self.refuse(ErrorKind::Protocol, &error.to_string())?;
                    self.leaving = true;
                    break;
                }
            };
            match codec::decode::<StatusRequest>(&frame) {
                Ok(request) => wishes.extend(self.answer(&request, view, permit)?),
                Err(error) => {
                    self.refuse(ErrorKind::Protocol, &format!("this is no request: {error}"))?;
                    self.leaving = true;
                }
            }
            if wishes.last() == Some(&Wish::Attach) {
                break;
            }
        }
        Ok(wishes)
    }

    fn refuse(&mut self, kind: ErrorKind, message: &str) -> io::Result<()> {
        self.conn.send(&StatusResponse::Error {
            kind,
            message: message.to_owned(),
        })
    }

    fn answer(
        &mut self,
        request: &StatusRequest,
        view: &RunView,
        permit: Permit,
    ) -> io::Result<Option<Wish>> {
        let uid = self.peer.uid;
        let attach = matches!(request, StatusRequest::Attach);
        if !permit.allows(uid) || (attach && uid != permit.daemon_uid) {
            self.refuse(
                ErrorKind::Denied,
                &format!("user id {uid} may not do this to this attempt"),
            )?;
            return Ok(Some(Wish::Denied(self.peer, request.verb())));
        }
        match request {
            StatusRequest::Status => {
                self.conn.send(&StatusResponse::Status(Box::new(view.clone())))?;
                Ok(None)
            }
            StatusRequest::Stop { interrupted } => {
                self.conn.send(&StatusResponse::Ok)?;
                let reason = if *interrupted {
                    StopReason::Client { uid }
                } else {
                    StopReason::User { uid }
                };
                Ok(Some(Wish::Stop(reason)))
            }
            StatusRequest::Signal(signal) if crate::sys::signals::is_valid(*signal) => {
                self.conn.send(&StatusResponse::Ok)?;
                Ok(Some(Wish::Signal(*signal)))
            }
            StatusRequest::Signal(signal) => {
                self.refuse(ErrorKind::Invalid, &format!("{signal} is not a signal"))?;
                Ok(None)
            }
            StatusRequest::Attach => {
                self.conn.send(&StatusResponse::Ok)?;
                Ok(Some(Wish::Attach))
            }
        }
    }
}
