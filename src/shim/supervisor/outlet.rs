//! What steps write goes to the journal, too: the journal's socket is waited for while something waits for it, and before
//! the shim leaves it has a last chance.

use super::super::files::LogNames;
use super::super::outlet::Lines;
use super::super::timers::Alarm;
use super::{OUTLET, Supervisor, now};
use crate::model::{Node, StepOutput};
use crate::sys::epoll::Ready;

/// Seconds that the journal has, after the end of the attempt, to take what still waits.
const LAST_CHANCE_SECS: f64 = 2.0;

impl Supervisor {
    /// The streams of a node on their way to the journal, if that is wanted: standard output, and standard error.
    pub(super) fn lines_of(&self, node: Node, names: &LogNames) -> Option<(Lines, Lines)> {
        let outlet = self.outlet.as_ref()?;
        let step = self.boot.step(node).map_or("", |step| &*step.name);
        Some((
            Lines::new(outlet, step, &names.stdout, false),
            Lines::new(outlet, step, &names.stderr, true),
        ))
    }

    /// The journal has room, or something new waits for it.
    pub(super) fn serve_outlet(&mut self) {
        let Some(outlet) = &self.outlet else { return };
        let mut held = outlet.borrow_mut();
        held.flush();
        let waits = !held.is_empty();
        if waits == self.outlet_waits {
            return;
        }
        // A socket with room is ready all the time, so it is only waited for while something waits.
        let done = if waits {
            self.epoll.add(&*held, OUTLET, Ready::WRITE)
        } else {
            self.epoll.delete(&*held)
        };
        // If it cannot be waited for, the next line tries again.
        self.outlet_waits = waits && done.is_ok();
    }

    /// The journal takes more. If the attempt has ended, that may be all.
    pub(super) fn room_in_outlet(&mut self) {
        self.serve_outlet();
        self.leave_if_finished();
    }

    /// Nothing is left to do but to leave, once everything has arrived.
    pub(super) fn leave_if_finished(&mut self) {
        if self.engine.is_finished() {
            self.leave();
        }
    }

    /// Whether the shim can leave as far as the journal is concerned. If the journal is too slow, it is given some time.
    pub(super) fn outlet_is_done(&mut self) -> bool {
        self.finish_taps();
        self.serve_outlet();
        let Some(outlet) = &self.outlet else { return true };
        if !outlet.borrow().is_empty() {
            if !self.timers.is_armed(Alarm::Outlet) {
                self.timers
                    .arm(Alarm::Outlet, now().boot.after_secs(LAST_CHANCE_SECS));
            }
            return false;
        }
        self.remove_what_the_journal_has();
        true
    }

    /// The journal has had its chance.
    pub(super) fn give_up_outlet(&mut self) {
        if let Some(outlet) = &self.outlet {
            outlet.borrow_mut().give_up();
        }
    }

    /// Removes the log files of which the journal has everything, if they are wanted there only.
    fn remove_what_the_journal_has(&self) {
        let Some(outlet) = self
            .outlet
            .as_ref()
            .filter(|_| self.boot.spec.output == StepOutput::Journal)
        else {
            return;
        };
        let outlet = outlet.borrow();
        for name in self.boot.log_files() {
            if outlet.has_all_of(name) {
                // Most steps have written to one of their files at most; one that stays is no harm.
                drop(self.log_dir.remove_file(name));
            }
        }
    }
}
