//! What is on its way to a shim. A message goes out at once if the channel takes it; what it does not take waits here,
//! in order, and goes on when there is room. Nobody waits for a shim that does not read.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::dispatcher::{Dispatcher, Msg};
use crate::model::AttemptId;
use crate::model::limits::{FRAME_MAX, SPEC_MAX};
use crate::sys::{reactor, socket};
use crate::wire::codec;
use crate::wire::shim::ToShim;

/// Most bytes that wait for a shim. One that reads nothing for so long loses its channel and gets another as soon as it
/// answers; then it asks again for what it has not heard.
const WAITING_MAX: usize = SPEC_MAX;

/// What a shim's channel has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<u8>,
}

impl Outbox {
    /// Whether everything is sent.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends a frame behind what waits.
    ///
    /// # Errors
    /// If the channel is broken, or too much waits already.
    fn push(&mut self, channel: &OwnedFd, frame: &[u8]) -> io::Result<()> {
        if self.waiting.len().saturating_add(frame.len()) > WAITING_MAX {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.waiting.extend(frame);
        self.flush(channel)
    }

    /// Sends what the channel takes.
    fn flush(&mut self, channel: &OwnedFd) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let (first, _) = self.waiting.as_slices();
            match socket::send(channel.as_fd(), first) {
                Ok(sent) => drop(self.waiting.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Dispatcher {
    /// Sends a message to a shim. False if there is no channel, or it is broken.
    pub(super) fn send(&mut self, attempt: &AttemptId, message: &ToShim) -> bool {
        match codec::encode(message, FRAME_MAX) {
            Ok(frame) => self.send_frame(attempt, &frame),
            Err(_) => false,
        }
    }

    /// Sends a message that is encoded already.
    pub(super) fn send_frame(&mut self, attempt: &AttemptId, frame: &[u8]) -> bool {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return false;
        };
        let Some(channel) = &held.channel else {
            return false;
        };
        let idle = held.outbox.is_empty();
        if let Err(error) = held.outbox.push(channel, frame) {
            tracing::debug!(ATTEMPT_ID = %attempt, %error, "a shim does not take a message");
            self.lose_channel(attempt);
            return false;
        }
        if idle && !held.outbox.is_empty() {
            self.go_on_sending(attempt);
        }
        true
    }

    /// Goes on as soon as the channel has room.
    fn go_on_sending(&self, attempt: &AttemptId) {
        let channel = self.attempts.get(attempt).and_then(|held| held.channel.as_ref());
        let Some(Ok(copy)) = channel.map(|channel| channel.try_clone()) else {
            return;
        };
        let (attempt, to_self) = (attempt.clone(), self.to_self.clone());
        tokio::spawn(async move {
            if let Ok(watched) = reactor::writable(copy) {
                drop(watched.writable().await);
            }
            drop(to_self.send(Msg::Then(Box::new(move |dispatcher| dispatcher.flush(&attempt)))));
        });
    }

    fn flush(&mut self, attempt: &AttemptId) {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        let Some(channel) = &held.channel else { return };
        match held.outbox.flush(channel) {
            Ok(()) if held.outbox.is_empty() => {}
            Ok(()) => self.go_on_sending(attempt),
            Err(_) => self.lose_channel(attempt),
        }
    }

    /// Gives a channel up. A shim that is still alive gets a new one.
    pub(super) fn lose_channel(&mut self, attempt: &AttemptId) {
        let Some(held) = self.attempts.get_mut(attempt) else {
            return;
        };
        held.outbox = Outbox::default();
        if let Some(channel) = held.channel.take() {
            super::channel::shut_down(&channel);
        }
        let alive = held
            .pidfd
            .as_ref()
            .is_some_and(|pidfd| matches!(pidfd.is_exited(), Ok(false)));
        // Before the gate is open there is no socket to be served; the shim leaves then.
        let open = held.prepared.is_none() && !held.ending;
        if alive && open {
            self.reach(attempt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_a_channel_does_not_take_goes_on_in_order() {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = OwnedFd::from(ours);
        let mut outbox = Outbox::default();
        let frame: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
        outbox.push(&ours, &frame).unwrap();
        outbox.push(&ours, b"end").unwrap();
        assert!(!outbox.is_empty(), "no socket takes that much at once");
        let mut got = vec![0; frame.len() + 3];
        let mut at = 0;
        while at < got.len() {
            at += theirs.read(&mut got[at..]).unwrap();
            outbox.flush(&ours).unwrap();
        }
        assert!(outbox.is_empty());
        assert_eq!(got[..frame.len()], frame);
        assert_eq!(&got[frame.len()..], b"end");
        drop(theirs);
        assert!(outbox.push(&ours, b"x").is_err());
    }

    #[test]
    fn nobody_waits_without_limit() {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = OwnedFd::from(ours);
        let mut outbox = Outbox::default();
        let frame = vec![0; WAITING_MAX / 4];
        let taken = (0..6).take_while(|_| outbox.push(&ours, &frame).is_ok()).count();
        assert_eq!(taken, 4, "what the socket took makes no difference at this size");
    }
}
