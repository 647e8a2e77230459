//! Which step may start, and when (seed-spec 7.5 and 7.6).

use std::cmp::Reverse;
use std::sync::Arc;

use crate::model::{Cause, StepStatus};

use super::node::{Outcome, Stage};
use super::{Attempt, Cx, Effect, Phase, Timer};

/// What the dependencies of a step say.
enum Verdict {
    Wait,
    Ready,
    End(StepStatus, &'static str),
}

impl Attempt {
    /// Enters the phase of the steps: looks at every step once.
    pub(super) fn enter_steps(&mut self, cx: &mut Cx) {
        self.phase = Phase::Steps;
        for slot in 0..self.plan.steps {
            self.look_at(slot, cx);
        }
        self.look_at_dependants(cx);
    }

    /// Looks at what depends on the steps that ended, and on those that this ends. After a cancellation nothing
    /// more starts and the steps keep `not_started`.
    pub(super) fn look_at_dependants(&mut self, cx: &mut Cx) {
        let plan = Arc::clone(&self.plan);
        while let Some(ended) = self.settled.pop_front() {
            if self.cancelled {
                continue;
            }
            for dependant in plan.graph.dependants(ended) {
                self.look_at(*dependant, cx);
            }
        }
    }

    fn look_at(&mut self, slot: usize, cx: &mut Cx) {
        if self.nodes.get(slot).is_none_or(|node| node.stage != Stage::Idle) {
            return;
        }
        match self.verdict(slot) {
            Verdict::Wait => {}
            Verdict::Ready if self.rejected => {}
            Verdict::Ready => {
                if let Some(node) = self.nodes.get_mut(slot) {
                    node.stage = Stage::Ready;
                }
                self.ready.push(Reverse(slot));
            }
            Verdict::End(status, error) => {
                let outcome = Outcome::plain(status, error);
                self.finish(slot, outcome.because(Cause::Upstream {}), cx);
            }
        }
    }

    /// The first dependency, in order, that does not satisfy decides. Each is passed once in an attempt.
    fn verdict(&mut self, slot: usize) -> Verdict {
        let dependencies = self.plan.graph.depends(slot);
        let known = self.nodes.get(slot).map_or(0, |node| node.satisfied);
        let mut verdict = Verdict::Ready;
        let mut satisfied = known;
        let mut waits = false;
        for dependency in dependencies.iter().skip(known) {
            let end = match self
                .nodes
                .get(*dependency)
                .filter(|_| *dependency < self.plan.steps)
            {
                Some(node) => node.status(),
                None => StepStatus::NotStarted,
            };
            let tolerated = self.nodes.get(*dependency).is_some_and(|node| node.tolerated);
            let policy = self.plan.policies.get(*dependency);
            let over_skip = policy.is_some_and(|policy| policy.continue_on.skipped);
            verdict = match end {
                StepStatus::Succeeded | StepStatus::PartiallySucceeded => Verdict::Ready,
                StepStatus::Failed if tolerated => Verdict::Ready,
                StepStatus::Failed => Verdict::End(StepStatus::Aborted, "upstream failed"),
                StepStatus::Skipped if over_skip => Verdict::Ready,
                StepStatus::Skipped => Verdict::End(StepStatus::Skipped, "upstream skipped"),
                StepStatus::Aborted => Verdict::End(StepStatus::Aborted, "upstream aborted"),
                StepStatus::Rejected => Verdict::End(StepStatus::Aborted, "upstream rejected"),
                StepStatus::NotStarted | StepStatus::Running | StepStatus::Retrying | StepStatus::Waiting => {
                    Verdict::Wait
                }
            };
            match verdict {
                Verdict::Ready => satisfied += usize::from(!waits),
                // Nothing waits for what another person may decide once one has rejected.
                Verdict::Wait if self.rejected => waits = true,
                Verdict::Wait | Verdict::End(..) => break,
            }
        }
        if waits && matches!(verdict, Verdict::Ready) {
            verdict = Verdict::Wait;
        }
        if let Some(node) = self.nodes.get_mut(slot) {
            node.satisfied = satisfied;
        }
        verdict
    }

    /// Starts what may start. After the run's time limit it ends them instead: they would be cut at once.
    pub(super) fn start_ready(&mut self, cx: &mut Cx) {
        while !self.cancelled {
            let free = !self.delaying && self.active < self.plan.max_active;
            if !(free || self.timed_out) {
                return;
            }
            let Some(Reverse(slot)) = self.ready.pop() else {
                return;
            };
            if self.timed_out {
                let outcome = Outcome::plain(StepStatus::Aborted, self.time_limit_text());
                self.finish(slot, outcome.because(Cause::RunTimeout {}), cx);
                self.look_at_dependants(cx);
                continue;
            }
            self.start(slot, cx);
            if self.plan.delay_sec > 0 {
                self.delaying = true;
                cx.push(Effect::Arm(
                    Timer::StartDelay,
                    cx.now.boot.after_secs(seconds(self.plan.delay_sec)),
                ));
            }
        }
    }
}

/// Whole seconds as the number that the boot clock adds.
#[expect(
    clippy::cast_precision_loss,
    reason = "a time limit that f64 cannot tell exactly is over 200 million years"
)]
pub(super) fn seconds(whole: u64) -> f64 {
    whole as f64
}
