//! Those who talk to the shim: the daemon on its channel, and clients of the status socket.

use std::os::fd::AsFd;

use super::super::children::Purpose;
use super::super::conn::{Conn, Peer};
use super::super::status::{Client, Permit, Wish};
use super::super::task::TaskKey;
use super::super::tree;
use super::{CHANNEL, Supervisor, now};
use crate::engine::attempt::{Event, NodeKey};
use crate::model::Node;
use crate::model::access;
use crate::model::limits::FRAME_MAX;
use crate::sys::epoll::Ready;
use crate::sys::socket;
use crate::wire::codec;
use crate::wire::shim::{DENIALS_MAX, FromShim, StatusVerb, ToShim};

impl Supervisor {
    /// Tells the daemon that the journal has grown. With no daemon there is nobody to tell: the next one reads on.
    pub(super) fn poke(&mut self) {
        let Some(channel) = &mut self.channel else { return };
        if channel.nudge(&FromShim::Poke).is_err() {
            self.lose_channel();
        }
    }

    /// Tells the daemon something that must arrive. What its socket does not take now goes on when there is room.
    pub(super) fn tell_daemon(&mut self, message: &FromShim) {
        let Some(channel) = &mut self.channel else { return };
        if channel.send(message).is_err() {
            self.lose_channel();
        }
        self.watch_channel();
    }

    /// Waits for room in the channel only while something is to be written.
    fn watch_channel(&mut self) {
        let Some(channel) = &self.channel else { return };
        let ready = if channel.wants_write() {
            Ready::BOTH
        } else {
            Ready::READ
        };
        if ready.writable != self.channel_waits {
            self.channel_waits = ready.writable;
            drop(self.epoll.modify(channel.fd(), CHANNEL, ready));
        }
    }

    pub(super) fn lose_channel(&mut self) {
        self.channel_waits = false;
        if let Some(channel) = self.channel.take() {
            drop(self.epoll.delete(channel.fd()));
            if self.killing_tree {
                self.kill_calls();
            }
            self.take_slot();
        }
    }

    pub(super) fn serve_channel(&mut self) {
        let Some(channel) = &mut self.channel else { return };
        let read = channel.flush().and_then(|()| channel.read_once());
        let mut messages = Vec::new();
        let mut broken = !matches!(read, Ok(Peer::Open));
        while let Ok(Some(frame)) = channel.next_frame() {
            match codec::decode::<ToShim>(&frame) {
                Ok(message) => messages.push(message),
                Err(_) => broken = true,
            }
        }
        for message in messages {
            match message {
                ToShim::Stop(reason) => self.events.push_back(Event::Stop(reason)),
                ToShim::EnsureStop(reason) => self.events.push_back(Event::EnsureStop(reason)),
                ToShim::NoRetry => self.events.push_back(Event::NoRetry),
                ToShim::ReplaceEntry => self.replace_entry(),
                // Both come once, during boot.
                ToShim::Spec(_) | ToShim::Go => {}
                ToShim::Called { call, news } => self.called(call, news),
                ToShim::Slot => self.take_slot(),
            }
        }
        if broken {
            self.lose_channel();
        }
        self.watch_channel();
    }

    /// Somebody deleted the entry; the daemon has made and locked a new one.
    pub(super) fn replace_entry(&mut self) {
        let Some(channel) = &mut self.channel else { return };
        let Some(fd) = channel.take_fds().pop() else {
            return;
        };
        // The new entry is taken over even if this beat fails: the old one is deleted.
        drop(self.entry.replace(fd, now().wall));
        if channel.send(&FromShim::EntryReplaced).is_err() {
            self.lose_channel();
        }
    }

    pub(super) fn accept(&mut self) {
        while let Ok(Some(fd)) = socket::accept(self.listener.as_fd()) {
            let Ok(cred) = socket::peer_cred(&fd) else {
                continue;
            };
            if self.clients.len() >= self.max_clients && !self.make_room(cred.uid) {
                // The peer sees end-of-file and tries again; waiting clients cost nothing here.
                continue;
            }
            let token = self.new_token();
            if let Ok(conn) = Conn::new(fd, FRAME_MAX)
                && self.epoll.add(conn.fd(), token, Ready::READ).is_ok()
            {
                self.clients.insert(token, Client::new(conn, cred));
            }
        }
    }

    fn permit(&self) -> Permit {
        Permit {
            daemon_uid: self.boot.spec.daemon_uid,
            job_uid: self.boot.spec.user.uid,
        }
    }

    /// Cuts a client off for one of user `uid`: a stranger before others, then the one that is here longest. So
    /// clients that connect and say nothing cannot keep out the daemon, which must attach, nor the owner.
    fn make_room(&mut self, uid: u32) -> bool {
        let permit = self.permit();
        if !permit.allows(uid) {
            return false;
        }
        let stranger = self
            .clients
            .iter()
            .find(|(_, client)| !permit.allows(client.uid()));
        let Some(token) = stranger.or(self.clients.iter().next()).map(|(token, _)| *token) else {
            return false;
        };
        if let Some(client) = self.clients.remove(&token) {
            drop(self.epoll.delete(client.conn.fd()));
        }
        true
    }

    pub(super) fn serve_client(&mut self, token: u64) {
        let Some(mut client) = self.clients.remove(&token) else {
            return;
        };
        let permit = self.permit();
        let served = client
            .conn
            .flush()
            .and_then(|()| client.serve(self.truth.view(), permit));
        let Ok(wishes) = served else {
            drop(self.epoll.delete(client.conn.fd()));
            return;
        };
        for wish in wishes {
            match wish {
                Wish::Stop(reason) => self.events.push_back(Event::Stop(reason)),
                Wish::Signal(signal) => self.signal_steps(signal),
                Wish::Denied(peer, verb) => self.denied(peer, verb),
                Wish::Attach => {
                    self.attach(client);
                    return;
                }
            }
        }
        let write = client.conn.wants_write();
        if client.leaving && !write {
            drop(self.epoll.delete(client.conn.fd()));
            return;
        }
        let ready = if write { Ready::WRITE } else { Ready::READ };
        if self.epoll.modify(client.conn.fd(), token, ready).is_ok() {
            self.clients.insert(token, client);
        }
    }

    /// Somebody asked for what they may not do: the daemon logs it, the next one if there is none now.
    fn denied(&mut self, peer: access::Peer, verb: StatusVerb) {
        if self.denials < DENIALS_MAX {
            self.denials += 1;
            self.untold.push((peer, verb));
            self.tell_denials();
        }
    }

    fn tell_denials(&mut self) {
        if self.channel.is_some() {
            for (peer, verb) in std::mem::take(&mut self.untold) {
                self.tell_daemon(&FromShim::Denied(peer, verb));
            }
        }
    }

    /// The daemon is back: this connection is its channel from now on.
    pub(super) fn attach(&mut self, client: Client) {
        self.lose_channel();
        if self.epoll.modify(client.conn.fd(), CHANNEL, Ready::READ).is_ok() {
            self.channel = Some(client.conn);
            self.poke();
            self.ask_again();
            self.tell_rest_again();
            self.tell_denials();
            // What came together with its wish to attach was read with that.
            self.serve_channel();
        }
    }

    pub(super) fn signal_steps(&mut self, signal: i32) {
        for child in self.children.values() {
            if matches!(
                (child.task, child.purpose),
                (
                    TaskKey::Node(NodeKey {
                        node: Node::Step(_),
                        ..
                    }),
                    Purpose::Main
                )
            ) {
                tree::ignore_gone(child.pidfd.signal_group(child.pid, signal));
            }
        }
    }
}
