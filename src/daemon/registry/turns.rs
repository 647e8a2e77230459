//! Installations and removals come one after the other, so that none sees half of another, and so that however many there
//! are, they occupy one thread of those that answer everybody. Users take turns.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::mpsc::UnboundedSender;

use super::super::control::refusal;
use super::super::dispatcher::{Dispatcher, Msg};
use super::super::requests::Asker;
use crate::wire::control::ErrorKind;

/// Most that wait of one user.
const OWN_MAX: usize = 16;

/// What is done when its turn has come. The next one comes when the turn is dropped.
type Job = Box<dyn FnOnce(&mut Dispatcher, Turn) + Send>;

/// What waits for its turn.
pub(super) type Jobs = Turns<Job>;

/// What waits, of each user in order.
#[derive(Debug)]
pub(super) struct Turns<T> {
    waiting: BTreeMap<u32, VecDeque<T>>,
    /// Whose turn is next.
    users: VecDeque<u32>,
    busy: bool,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            users: VecDeque::new(),
            busy: false,
        }
    }
}

impl<T> Turns<T> {
    /// Adds what a user wants. False if too much of that user waits.
    fn push(&mut self, uid: u32, what: T) -> bool {
        let own = self.waiting.entry(uid).or_default();
        if own.len() >= OWN_MAX {
            return false;
        }
        if own.is_empty() {
            self.users.push_back(uid);
        }
        own.push_back(what);
        true
    }

    /// Takes what is next, unless a turn is not over.
    fn next(&mut self) -> Option<T> {
        if self.busy {
            return None;
        }
        let uid = self.users.pop_front()?;
        let own = self.waiting.get_mut(&uid)?;
        let what = own.pop_front();
        if own.is_empty() {
            self.waiting.remove(&uid);
        } else {
            self.users.push_back(uid);
        }
        self.busy = what.is_some();
        what
    }

    /// The turn is over.
    const fn done(&mut self) {
        self.busy = false;
    }
}

/// Held by whose turn it is. Dropped, also by a thread that panics, it is the next one's.
#[derive(Debug)]
pub(super) struct Turn(UnboundedSender<Msg>);

impl Drop for Turn {
    fn drop(&mut self) {
        let over = |dispatcher: &mut Dispatcher| {
            dispatcher.registry.turns.done();
            dispatcher.begin_turn();
        };
        // With the dispatcher gone there is nobody left to care.
        drop(self.0.send(Msg::Then(Box::new(over))));
    }
}

impl Dispatcher {
    /// Does something when the turn of who asks for it has come.
    pub(super) fn in_turn(&mut self, asker: &Asker, what: impl FnOnce(&mut Self, Turn) + Send + 'static) {
        if self.registry.turns.push(asker.peer.uid, Box::new(what)) {
            return self.begin_turn();
        }
        let text =
            format!("{OWN_MAX} of your installations and removals wait already; try again when one is done");
        self.answer(&asker.answers, refusal(ErrorKind::Unavailable, &text));
    }

    fn begin_turn(&mut self) {
        if let Some(what) = self.registry.turns.next() {
            what(self, Turn(self.to_self.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_after_the_other_and_users_take_turns() {
        let mut turns = Turns::default();
        for (uid, what) in [(7, "a"), (7, "b"), (7, "c"), (8, "d"), (9, "e"), (8, "f")] {
            assert!(turns.push(uid, what));
        }
        let mut order = Vec::new();
        while let Some(what) = turns.next() {
            assert_eq!(turns.next(), None, "one at a time");
            order.push(what);
            turns.done();
        }
        assert_eq!(order, ["a", "d", "e", "b", "f", "c"]);
        assert!(turns.waiting.is_empty() && turns.users.is_empty());
        assert!(turns.push(7, "g"), "what came to an end begins again");
        assert_eq!(turns.next(), Some("g"));
    }

    #[test]
    fn nobody_has_more_than_so_many_waiting() {
        let mut turns = Turns::default();
        for what in 0..OWN_MAX {
            assert!(turns.push(7, what));
        }
        assert!(!turns.push(7, 99));
        assert!(turns.push(8, 99), "others have room");
        assert_eq!(turns.next(), Some(0));
        assert!(turns.push(7, 100));
    }

    #[test]
    fn a_turn_ends_also_if_its_thread_panics() {
        let (to_self, mut messages) = tokio::sync::mpsc::unbounded_channel();
        let turn = Turn(to_self);
        let thread = std::thread::spawn(move || {
            let _turn = turn;
            panic!("as a defect would");
        });
        assert!(thread.join().is_err());
        assert!(messages.try_recv().is_ok());
    }
}
