//! The stop ladder and the time limit of the run (seed-spec 7.11, W7, W8, W29).

use crate::model::{Fact, Handler, RunStatus, StopReason};

use super::node::{Cut, Stage};
use super::policy::SIGTERM;
use super::status::handlers_after;
use super::steps::seconds;
use super::{Attempt, Cx, Effect, Phase, Timer};

impl Attempt {
    /// Somebody asks to stop. The first time what runs is asked to end, the second time it is killed. A handler at
    /// the end has a ladder of its own.
    pub(super) fn stop(&mut self, reason: StopReason, cx: &mut Cx) {
        if self.phase_is_last() && self.status() == RunStatus::Waiting {
            // It was about to wait: it is aborted instead, with the handlers of that as far as there is time.
            self.cancelled = true;
            if matches!(self.phase, Phase::Handlers(_)) {
                self.phase = Phase::Handlers(handlers_after(RunStatus::Aborted));
            } else if self.stop.is_none() {
                self.stop = Some(reason.to_string());
                cx.record(Fact::StopRequested { reason });
                return;
            }
        }
        match &mut self.phase {
            Phase::New(early) => {
                early.get_or_insert(reason);
                return;
            }
            Phase::Finishing | Phase::Ended => return,
            Phase::Initialising(_) | Phase::InitHandler | Phase::Steps => self.cancelled = true,
            Phase::Handlers(_) => self.fail_for_good(),
        }
        if self.stopping {
            return self.escalate(cx);
        }
        self.stopping = true;
        let own_signal = matches!(
            reason,
            StopReason::User { .. } | StopReason::Shutdown | StopReason::Caller
        );
        if self.stop.is_none() {
            self.stop = Some(reason.to_string());
            cx.record(Fact::StopRequested { reason });
        }
        if matches!(self.phase, Phase::Initialising(_)) {
            // No step runs yet, so nobody needs a grace period.
            return self.kill_tree(cx);
        }
        for slot in 0..self.nodes.len() {
            self.stop_node(slot, own_signal, cx);
        }
        if self.is_busy() {
            let grace = seconds(self.plan.clean_up_sec);
            cx.push(Effect::Arm(Timer::Grace, cx.now.boot.after_secs(grace)));
        }
    }

    /// No retry of the whole run follows. If its failure handler was left out for one, it comes now.
    pub(super) fn fail_for_good(&mut self) {
        self.retried_on = None;
        if let Phase::Handlers(rest) = &mut self.phase
            && std::mem::take(&mut self.again)
        {
            *rest = if rest.is_empty() {
                &[Handler::Failure]
            } else {
                handlers_after(RunStatus::Failed)
            };
        }
    }

    fn phase_is_last(&self) -> bool {
        matches!(self.phase, Phase::Handlers(_) | Phase::Finishing)
    }

    fn stop_node(&mut self, slot: usize, own_signal: bool, cx: &mut Cx) {
        let Some((key, node, policy)) = self.node(slot) else {
            return;
        };
        let signal = policy.signal_on_stop.filter(|_| own_signal).unwrap_or(SIGTERM);
        let repeats = policy.repeats();
        // What was sent SIGKILL needs no other signal.
        let killed = node.overdue || node.cut.is_some();
        match node.stage {
            Stage::Idle | Stage::Ready | Stage::Done => {}
            Stage::Executing => {
                node.cut.get_or_insert(Cut::Stop);
                if !repeats && !killed {
                    cx.push(Effect::Signal(key, signal));
                }
            }
            Stage::Preparing | Stage::Checking => {
                node.cut.get_or_insert(Cut::Stop);
                if !killed {
                    cx.push(Effect::Signal(key, SIGTERM));
                }
            }
            Stage::RetryWait | Stage::RepeatWait => {
                node.cut.get_or_insert(Cut::Stop);
                cx.push(Effect::Disarm(Timer::NextTry(key)));
                self.finish_cut(slot, cx);
            }
        }
    }

    /// The grace period is over, or a second stop cut it short.
    pub(super) fn escalate(&mut self, cx: &mut Cx) {
        if self.stopping && !self.killing && self.is_busy() {
            cx.push(Effect::Disarm(Timer::Grace));
            cx.record(Fact::KillEscalated {});
            self.kill_tree(cx);
        }
    }

    /// Asks for the tree's end once; nothing starts before the answer.
    pub(super) fn kill_tree(&mut self, cx: &mut Cx) {
        if !self.killing {
            self.killing = true;
            cx.push(Effect::KillTree);
        }
    }

    /// The stop of what ran is over: a later one begins anew.
    pub(super) fn end_ladder(&mut self, cx: &mut Cx) {
        if std::mem::take(&mut self.stopping) {
            cx.push(Effect::Disarm(Timer::Grace));
        }
    }

    /// The time limit of the run is over. What runs is killed at once, as at a step's time limit; a handler at the
    /// end gets its own time instead.
    pub(super) fn run_timeout(&mut self, cx: &mut Cx) {
        let in_handlers = matches!(self.phase, Phase::Handlers(_));
        let over = matches!(self.phase, Phase::New(_) | Phase::Finishing | Phase::Ended);
        if over || self.timed_out {
            return;
        }
        self.timed_out = true;
        cx.record(Fact::TimedOut {});
        self.fail(self.time_limit_text());
        if in_handlers {
            if let Some(slot) = self.handler {
                self.limit_clean_up(slot, cx);
            }
        } else if matches!(self.phase, Phase::Initialising(_)) {
            self.kill_tree(cx);
        } else {
            for slot in 0..self.nodes.len() {
                self.cut_node(slot, cx);
            }
        }
    }

    fn cut_node(&mut self, slot: usize, cx: &mut Cx) {
        let Some((key, node, _)) = self.node(slot) else {
            return;
        };
        match node.stage {
            Stage::Idle | Stage::Ready | Stage::Done => {}
            Stage::Preparing | Stage::Executing | Stage::Checking => {
                node.cut.get_or_insert(Cut::RunTimeout);
                cx.push(Effect::Kill(key));
            }
            Stage::RetryWait | Stage::RepeatWait => {
                node.cut.get_or_insert(Cut::RunTimeout);
                cx.push(Effect::Disarm(Timer::NextTry(key)));
                self.finish_cut(slot, cx);
            }
        }
    }

    pub(super) fn time_limit_text(&self) -> String {
        format!("run timed out after {} s", self.plan.timeout_sec)
    }
}
