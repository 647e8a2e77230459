//! When what changed is looked at: each place when nothing of it has changed for a moment. Who installs or removes
//! something waits for no moment, and has no place looked at but their own: an editor that makes a file anew leaves a gap,
//! which nobody is to see.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::super::dispatcher::{Dispatcher, GoOn, Msg, now};
use super::place::Place;
use super::scan::{Look, Scope, Seen};
use crate::model::Boot;

/// How long nothing may change before changes are read.
const SETTLE: Duration = Duration::from_millis(250);
/// How long changes may go on without being read.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// What changed and is not read yet, each with when it changed first and last; without a place, everything.
#[derive(Debug, Default)]
pub(super) struct Dirty(BTreeMap<Option<Place>, (Boot, Boot)>);

impl Dirty {
    /// Something changed. True if nothing had: then somebody must see to it that it is read.
    fn note(&mut self, scope: Scope, at: Boot) -> bool {
        let first = self.0.is_empty();
        let places: Vec<Option<Place>> = match scope {
            Scope::All => vec![None],
            Scope::Places(places) => places.into_iter().map(Some).collect(),
        };
        for place in places {
            self.0.entry(place).or_insert((at, at)).1 = at;
        }
        // Who reads everything reads that, too.
        if let Some(all) = self.0.get_mut(&None) {
            all.1 = at;
        }
        first && !self.0.is_empty()
    }

    /// Takes what has settled, or has gone on changing for too long; and says after which pause to ask again, if more is
    /// left.
    fn due(&mut self, at: Boot) -> (Option<Scope>, Option<Duration>) {
        let since = |then: Boot| Duration::from_micros(at.0.saturating_sub(then.0));
        let rest = |(first, last): (Boot, Boot)| {
            let quiet = SETTLE.saturating_sub(since(last));
            quiet.min(SETTLE_MAX.saturating_sub(since(first)))
        };
        let (mut due, mut pause) = (None::<Scope>, None::<Duration>);
        self.0.retain(|place, times| {
            let left = rest(*times);
            if !left.is_zero() {
                pause = Some(pause.map_or(left, |pause| pause.min(left)));
                return true;
            }
            let scope = match place {
                None => Scope::All,
                Some(place) => Scope::Places(BTreeSet::from([place.clone()])),
            };
            due = Some(match due.take() {
                Some(more) => scope.and(more),
                None => scope,
            });
            false
        });
        (due, pause)
    }
}

/// Held by the look that is being taken. Dropped, also by a thread that panics, the next one may be.
struct Looking {
    to_self: UnboundedSender<Msg>,
    seen: Option<Seen>,
}

impl Looking {
    fn take(&mut self, look: Look) {
        self.seen = Some(look.take());
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        let seen = self.seen.take();
        let over = move |dispatcher: &mut Dispatcher| dispatcher.looked(seen);
        // With the dispatcher gone there is nobody left to care.
        drop(self.to_self.send(Msg::Then(Box::new(over))));
    }
}

impl Dispatcher {
    /// Something changed: it is looked at when nothing of it has changed for a moment.
    pub(super) fn look_later(&mut self, scope: Scope) {
        if self.registry.dirty.note(scope, now().boot) {
            self.arm_settling(SETTLE);
        }
    }

    fn arm_settling(&self, pause: Duration) {
        let to_self = self.to_self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            drop(to_self.send(Msg::Then(Box::new(Self::settled))));
        });
    }

    /// The timer that was armed at the first change went off.
    fn settled(&mut self) {
        let (due, pause) = self.registry.dirty.due(now().boot);
        if let Some(pause) = pause {
            self.arm_settling(pause);
        }
        if let Some(scope) = due {
            self.look_now(scope);
        }
    }

    /// Looks at once, unless a look is being taken: then it comes after that. What else has changed settles first.
    pub(super) fn look_now(&mut self, scope: Scope) {
        let next = match self.registry.next.take() {
            Some(more) => scope.and(more),
            None => scope,
        };
        self.registry.next = Some(next);
        self.look_next();
    }

    fn look_next(&mut self) {
        if self.registry.looking {
            return;
        }
        let Some(scope) = self.registry.next.take() else {
            return;
        };
        self.registry.looking = true;
        self.registry.answered = std::mem::take(&mut self.registry.waiting);
        let look = self.next_look(scope);
        let mut looking = Looking {
            to_self: self.to_self.clone(),
            seen: None,
        };
        tokio::task::spawn_blocking(move || looking.take(look));
    }

    /// A look was taken, or came to nothing by a defect: then whoever waits for it is let go without an answer, and all
    /// is looked at with the next one.
    fn looked(&mut self, seen: Option<Seen>) {
        self.registry.looking = false;
        let answered = std::mem::take(&mut self.registry.answered);
        match seen {
            Some(seen) => {
                self.seen(seen);
                for go_on in answered {
                    go_on(self);
                }
            }
            None => {
                tracing::error!(
                    "installed DAGs could not be looked at: this is a defect; what is in force stays so"
                );
                self.registry.anew = true;
                // Whoever removed a DAG on purpose does not hear of it any more: it counts as moved away.
                self.registry.removed.clear();
                self.look_again_later();
            }
        }
        self.look_next();
    }

    /// Looks at a place at once, and goes on when what was seen counts.
    pub(super) fn look_then(&mut self, place: Place, go_on: GoOn) {
        self.registry.waiting.push(go_on);
        self.look_now(Scope::Places(BTreeSet::from([place])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Boot {
        Boot(1_000_000 + millis * 1_000)
    }

    fn of(users: &[&str]) -> Scope {
        let places = users.iter().map(|user| Place::User((*user).to_owned()));
        Scope::Places(places.collect())
    }

    #[test]
    fn each_place_is_read_when_it_has_settled() {
        let mut dirty = Dirty::default();
        assert!(dirty.note(of(&["a"]), at(0)));
        assert!(!dirty.note(of(&["b"]), at(200)));
        assert_eq!(dirty.due(at(249)), (None, Some(Duration::from_millis(1))));
        let pause = Some(Duration::from_millis(200));
        assert_eq!(dirty.due(at(250)), (Some(of(&["a"])), pause), "b goes on");
        assert_eq!(dirty.due(at(450)), (Some(of(&["b"])), None));
        assert_eq!(dirty.due(at(451)), (None, None));
        assert!(dirty.note(Scope::All, at(500)) && !dirty.note(of(&["a"]), at(500)));
        assert!(!dirty.note(of(&["b"]), at(600)));
        assert_eq!(
            dirty.due(at(800)),
            (Some(of(&["a"])), Some(Duration::from_millis(50)))
        );
        assert_eq!(dirty.due(at(850)), (Some(Scope::All), None));
    }

    #[test]
    fn what_one_user_changes_all_the_time_has_no_other_place_read_before_it_has_settled() {
        let mut dirty = Dirty::default();
        for time in (0..=4_900).step_by(100) {
            dirty.note(of(&["a"]), at(time));
            assert_eq!(dirty.due(at(time)).0, None, "{time}");
        }
        dirty.note(Scope::Places(BTreeSet::from([Place::System])), at(4_950));
        assert_eq!(
            dirty.due(at(5_000)).0,
            Some(of(&["a"])),
            "five seconds are enough"
        );
        let system = Scope::Places(BTreeSet::from([Place::System]));
        assert_eq!(dirty.due(at(5_199)).0, None);
        assert_eq!(dirty.due(at(5_200)), (Some(system), None));
    }

    #[test]
    fn a_look_that_panics_is_over_all_the_same() {
        let (to_self, mut messages) = tokio::sync::mpsc::unbounded_channel();
        let looking = Looking { to_self, seen: None };
        let thread = std::thread::spawn(move || {
            let _looking = looking;
            panic!("as a defect would");
        });
        assert!(thread.join().is_err());
        assert!(messages.try_recv().is_ok());
    }
}
