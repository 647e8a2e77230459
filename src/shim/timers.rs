//! The shim's deadlines: one kernel timer, armed for the earliest.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::task::TaskKey;
use crate::engine::attempt::Timer;
use crate::model::Boot;
use crate::sys::epoll::TimerFd;

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// A timer of the engine.
    Engine(Timer),
    /// The next heartbeat.
    Beat,
    /// A command substitution of this task runs too long.
    Substitution(TaskKey),
    /// The journal could not be written; try again.
    Journal,
    /// The systemd journal has had its last chance to take what steps wrote.
    Outlet,
}

/// All armed deadlines.
#[derive(Debug)]
pub(super) struct Timers {
    by_alarm: BTreeMap<Alarm, Boot>,
    by_time: BTreeSet<(Boot, Alarm)>,
    timer: TimerFd,
    armed: Option<Boot>,
}

impl Timers {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            by_alarm: BTreeMap::new(),
            by_time: BTreeSet::new(),
            timer: TimerFd::new()?,
            armed: None,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    /// Arms an alarm, replacing the one of the same name.
    pub(super) fn arm(&mut self, alarm: Alarm, at: Boot) {
        self.disarm(alarm);
        self.by_alarm.insert(alarm, at);
        self.by_time.insert((at, alarm));
    }

    pub(super) fn disarm(&mut self, alarm: Alarm) {
        if let Some(at) = self.by_alarm.remove(&alarm) {
            self.by_time.remove(&(at, alarm));
        }
    }

    /// Takes the earliest alarm that is due.
    pub(super) fn pop_due(&mut self, now: Boot) -> Option<Alarm> {
        let (at, alarm) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.disarm(alarm);
        Some(alarm)
    }

    /// Arms the kernel's timer for the earliest deadline, if that changed.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        let next = self.by_time.first().map(|(at, _)| *at);
        if next != self.armed {
            match next {
                Some(at) => self.timer.arm(at.0)?,
                None => self.timer.disarm()?,
            }
            self.armed = next;
        }
        Ok(())
    }

    /// The kernel's timer went off.
    pub(super) fn fired(&mut self) {
        // Whether it was due is seen from the clock.
        drop(self.timer.take());
        self.armed = None;
    }
}
