//! What steps write goes to the journal, too: their logs are watched, the journal's socket is waited for while it takes no
//! more, and before the shim leaves it has a last chance.

use super::super::children::Streams;
use super::super::files::LogNames;
use super::super::outlet::{LogOf, Outlet};
use super::super::timers::Alarm;
use super::{OUTLET, Supervisor, now};
use crate::model::{Fact, Node, StepOutput};
use crate::sys::epoll::Ready;
use crate::wire::shim::FromShim;

/// Seconds that the journal has, after the end of the attempt, to take what is left.
const LAST_CHANCE_SECS: f64 = 5.0;

/// The way to the journal, and whether room there is waited for.
#[derive(Debug)]
pub(super) struct Outflow {
    outlet: Outlet,
    waits: bool,
    /// Whether logs may have grown since they were looked at.
    grown: bool,
    /// Whether the attempt has ended, and all logs with it.
    last: bool,
}

impl Outflow {
    pub(super) const fn new(outlet: Outlet) -> Self {
        Self {
            outlet,
            waits: false,
            grown: false,
            last: false,
        }
    }
}

impl Supervisor {
    /// The logs of a node grow from now on.
    pub(super) fn send_logs(&mut self, node: Node, names: &LogNames, streams: &Streams) {
        let Some(flow) = &mut self.outflow else { return };
        let step = self.boot.step(node).map_or("", |step| &*step.name);
        let logs = [
            (&names.stdout, &streams.stdout, false),
            (&names.stderr, &streams.stderr, true),
        ];
        let distinct = if names.stdout == names.stderr { 1 } else { 2 };
        for (name, file, is_error) in logs.into_iter().take(distinct) {
            let log = LogOf { name, step, is_error };
            flow.outlet.add(&log, file.try_clone());
        }
        flow.grown = true;
        for (_, file, _) in logs.into_iter().take(distinct) {
            self.watch_log(file);
        }
    }

    /// Somebody has written to a log.
    pub(super) fn logs_grew(&mut self) {
        if let Some(flow) = &mut self.outflow {
            flow.grown = true;
        }
    }

    /// A fact may say that a try of a node is over.
    pub(super) fn note_end_of_logs(&mut self, fact: &Fact) {
        let (Fact::NodeEnded { node, .. }
        | Fact::NodeRetrying { node, .. }
        | Fact::NodeRepeating { node, .. }) = fact
        else {
            return;
        };
        let Some(flow) = &mut self.outflow else { return };
        let names = self.boot.log_names(*node);
        flow.outlet.end(&names.stdout);
        flow.outlet.end(&names.stderr);
        flow.grown = true;
    }

    /// Sends what there is. At the end of every turn; without news it does nothing.
    pub(super) fn serve_outlet(&mut self) {
        let Some(flow) = &mut self.outflow else { return };
        if !std::mem::take(&mut flow.grown) {
            return;
        }
        let left = flow.outlet.pump();
        if left == flow.waits {
            return;
        }
        // A socket with room is ready all the time, so it is only waited for while something is left.
        let done = if left {
            self.epoll.add(&flow.outlet, OUTLET, Ready::WRITE)
        } else {
            self.epoll.delete(&flow.outlet)
        };
        // If it cannot be waited for, the next growth tries again.
        flow.waits = left && done.is_ok();
    }

    /// The journal takes more. If the attempt has ended, that may be all.
    pub(super) fn room_in_outlet(&mut self) {
        self.logs_grew();
        self.serve_outlet();
        self.leave_if_finished();
    }

    /// Nothing is left to do but to leave, once everything has arrived.
    pub(super) fn leave_if_finished(&mut self) {
        if self.engine.is_finished() {
            self.leave();
        }
    }

    /// Whether the shim can leave as far as the journal is concerned. If the journal is slow, it is given some time.
    pub(super) fn outlet_is_done(&mut self) -> bool {
        self.finish_taps();
        let Some(flow) = &mut self.outflow else {
            return true;
        };
        if !std::mem::replace(&mut flow.last, true) {
            for node in self.boot.nodes() {
                let names = self.boot.log_names(node);
                let step = self.boot.step(node).map_or("", |step| &*step.name);
                for (name, is_error) in [(&names.stdout, false), (&names.stderr, true)] {
                    let log = LogOf { name, step, is_error };
                    flow.outlet.end_for_good(&log, &self.log_dir);
                }
            }
            flow.grown = true;
            self.timers
                .arm(Alarm::Outlet, now().boot.after_secs(LAST_CHANCE_SECS));
        }
        self.serve_outlet();
        let waits = self.outflow.as_ref().is_some_and(|flow| flow.waits);
        if !waits {
            self.give_up_outlet();
        }
        !waits
    }

    /// The journal has had its chance. What it has not taken by now stays in files.
    pub(super) fn give_up_outlet(&mut self) {
        let Some(flow) = &mut self.outflow else { return };
        let lost = flow.outlet.give_up(&self.log_dir);
        flow.waits = false;
        if self.boot.spec.output == StepOutput::Journal {
            for name in self.boot.log_files() {
                if flow.outlet.has_all_of(name) {
                    // One that stays all the same is no harm.
                    drop(self.log_dir.remove_file(name));
                }
            }
        }
        self.outflow = None;
        if lost > 0 {
            self.tell_daemon(&FromShim::OutputLost(lost));
        }
    }
}
