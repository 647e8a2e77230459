//! Deadlines of the shell, beside the engine's: one ordered set, and the one armed timer serves the earliest of both.

use std::collections::{BTreeSet, HashMap};

use super::dispatcher::{Dispatcher, now};
use crate::engine::scheduler::Event;
use crate::model::{AttemptId, Boot};

/// Whose deadline it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Alarm {
    /// The heartbeat of a live attempt is to be looked at.
    Heartbeat(AttemptId),
    /// An entry of another writer is to be looked at.
    Foreign(std::path::PathBuf),
    /// The time of a hook is over.
    Hook(i64),
    /// Places of installed DAGs that could not be looked at are to be tried again.
    Registry,
    /// Shims have lived long enough for their descriptors to be left with the service manager.
    Young,
    /// The service manager is to be asked for more time.
    Patience,
    /// The file of metrics is to be written.
    Textfile,
    /// The service manager may be told again how the daemon stands.
    Status,
}

/// Every deadline; each owner has at most one.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    set: BTreeSet<(Boot, Alarm)>,
    when: HashMap<Alarm, Boot>,
    /// The engine's.
    engine: Option<Boot>,
}

impl Alarms {
    /// Sets a deadline, in place of an earlier one of that owner.
    pub(super) fn set(&mut self, at: Boot, alarm: Alarm) {
        if let Some(before) = self.when.insert(alarm.clone(), at) {
            self.set.remove(&(before, alarm.clone()));
        }
        self.set.insert((at, alarm));
    }

    /// Sets a deadline unless the owner has an earlier one.
    pub(super) fn set_by(&mut self, at: Boot, alarm: Alarm) {
        if self.when.get(&alarm).is_none_or(|set| *set > at) {
            self.set(at, alarm);
        }
    }

    /// Whether an owner has a deadline.
    pub(super) fn is_set(&self, alarm: &Alarm) -> bool {
        self.when.contains_key(alarm)
    }

    /// Takes a deadline away.
    pub(super) fn cancel(&mut self, alarm: &Alarm) {
        if let Some(at) = self.when.remove(alarm) {
            self.set.remove(&(at, alarm.clone()));
        }
    }

    /// Takes the earliest deadline if it is due, with the time for which it was set.
    fn due(&mut self, now: Boot) -> Option<(Boot, Alarm)> {
        if self.set.first()?.0 > now {
            return None;
        }
        let (at, alarm) = self.set.pop_first()?;
        self.when.remove(&alarm);
        Some((at, alarm))
    }

    /// The earliest of all.
    fn first(&self) -> Option<Boot> {
        let own = self.set.first().map(|(at, _)| *at);
        own.into_iter().chain(self.engine).min()
    }
}

impl Dispatcher {
    /// The engine wants to be told of this time.
    pub(super) fn arm_engine(&mut self, at: Boot) {
        self.alarms.engine = Some(at);
        self.arm();
    }

    /// Arms the timer for the earliest deadline.
    pub(super) fn arm(&mut self) {
        if let Some(at) = self.alarms.first()
            && let Err(error) = self.timer.arm(at.0)
        {
            self.leaving = Some(Err(format!("the timer cannot be armed: {error}")));
        }
    }

    /// The armed timer went off.
    pub(super) fn tick(&mut self) {
        let at = now().boot;
        if self.alarms.engine.is_some_and(|due| due <= at) {
            self.alarms.engine = None;
            self.tell(Event::Tick);
        }
        while let Some((due, alarm)) = self.alarms.due(at) {
            match alarm {
                Alarm::Heartbeat(attempt) => self.look_at_heartbeat(&attempt, due),
                Alarm::Foreign(path) => self.look_at_foreign(&path),
                Alarm::Hook(id) => self.hook_late(id),
                Alarm::Registry => self.look_again(),
                Alarm::Young => self.keep_due(),
                Alarm::Patience => self.ask_for_time(),
                Alarm::Textfile => self.write_textfile(),
                Alarm::Status => self.status_due(),
            }
        }
        self.arm();
        self.tell_status();
        self.leave_if_idle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_owner_has_one_deadline_and_the_earliest_comes_first() {
        let mut alarms = Alarms::default();
        assert_eq!(alarms.first(), None);
        alarms.set(Boot(30), Alarm::Hook(1));
        alarms.set(Boot(20), Alarm::Hook(2));
        alarms.engine = Some(Boot(25));
        assert_eq!(alarms.first(), Some(Boot(20)));
        // A later one replaces the earlier one of its owner.
        alarms.set(Boot(40), Alarm::Hook(2));
        assert_eq!(alarms.first(), Some(Boot(25)));
        assert_eq!(alarms.due(Boot(29)), None);
        assert_eq!(alarms.due(Boot(50)), Some((Boot(30), Alarm::Hook(1))));
        alarms.cancel(&Alarm::Hook(2));
        alarms.cancel(&Alarm::Hook(2));
        assert_eq!(alarms.due(Boot(50)), None);
        assert!(alarms.set.is_empty() && alarms.when.is_empty());
    }
}
