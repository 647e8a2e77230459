//! Begin and end of the attempt: initialisation, handlers, the final record (seed-spec 7.5, 7.10, 2.5).

use std::collections::HashMap;

use crate::dag::eval::camel_case;
use crate::model::{Fact, Handler, RetryPolicy, RunStatus, StepStatus};

use super::node::{clip, join};
use super::status::handlers_after;
use super::steps::seconds;
use super::{Attempt, Cx, Effect, Node, Phase, Timer};

impl Attempt {
    /// The same attempt of a run that is tried again as a whole if it fails and a failed step ended with one of these exit
    /// codes; an empty list is any failure. With none it is not, as without this call.
    #[must_use]
    pub fn retried_on(mut self, codes: Option<Vec<i32>>) -> Self {
        self.retried_on = codes;
        self
    }

    pub(super) fn begin(&mut self, cx: &mut Cx) {
        let Phase::New(early) = &mut self.phase else {
            return;
        };
        let early = early.take();
        self.phase = Phase::Initialising(None);
        if self.plan.timeout_sec > 0 {
            let deadline = cx.now.boot.after_secs(seconds(self.plan.timeout_sec));
            cx.push(Effect::Arm(Timer::RunTimeout, deadline));
        }
        cx.push(Effect::Initialise);
        if let Some(reason) = early {
            self.stop(reason, cx);
        }
    }

    pub(super) fn initialised(&mut self, answer: Result<Result<(), String>, String>, cx: &mut Cx) {
        if self.cancelled || self.timed_out {
            return self.enter_handlers(cx);
        }
        if self.rejected && answer.is_ok() {
            // Preconditions and init handler are about steps that start, and none does.
            return self.enter_steps(cx);
        }
        match answer {
            Err(error) => {
                self.fail(clip(error));
                self.enter_handlers(cx);
            }
            Ok(Err(reason)) => {
                let reason = clip(reason);
                cx.record(Fact::PreconditionsUnmet {
                    reason: reason.clone(),
                });
                self.unmet = Some(reason);
                self.cancelled = true;
                self.enter_handlers(cx);
            }
            Ok(Ok(())) => {
                self.handler = self.slot(Node::Handler(Handler::Init));
                match self.handler {
                    Some(slot) => {
                        self.phase = Phase::InitHandler;
                        self.start(slot, cx);
                    }
                    None => self.enter_steps(cx),
                }
            }
        }
    }

    pub(super) fn init_handler_ended(&mut self, cx: &mut Cx) {
        let end = self
            .handler
            .and_then(|slot| self.nodes.get(slot))
            .and_then(|node| node.ended);
        let well = matches!(end, Some(StepStatus::Succeeded | StepStatus::Skipped));
        // Its failure counts as a cancellation (seed-spec 3.4), but not one that the run's time limit caused.
        self.cancelled |= !well && !self.timed_out;
        if self.cancelled || self.timed_out {
            self.enter_handlers(cx);
        } else {
            self.enter_steps(cx);
        }
    }

    /// No further step starts: the status is known, and its handlers follow. That of a failure waits for the last retry of
    /// the whole run.
    pub(super) fn enter_handlers(&mut self, cx: &mut Cx) {
        if std::mem::take(&mut self.delaying) {
            cx.push(Effect::Disarm(Timer::StartDelay));
        }
        self.phase = Phase::Handlers(&[]);
        let status = self.status();
        self.again = status == RunStatus::Failed && self.stop.is_none() && self.is_retried();
        self.phase = Phase::Handlers(if self.again {
            &[Handler::Exit]
        } else {
            handlers_after(status)
        });
    }

    /// Whether the whole run is tried again after the failures there are.
    fn is_retried(&self) -> bool {
        let failed = self.nodes.iter().take(self.plan.steps);
        let failed = failed.filter(|node| node.ended == Some(StepStatus::Failed) && !node.tolerated);
        self.retried_on.as_ref().is_some_and(|codes| {
            let policy = RetryPolicy {
                exit_codes: codes.clone(),
                ..RetryPolicy::default()
            };
            policy.wants(failed.filter_map(|node| node.code))
        })
    }

    pub(super) fn next_handler(&mut self, rest: &'static [Handler], cx: &mut Cx) {
        self.end_ladder(cx);
        self.handler = None;
        if let Some((next, rest)) = rest.split_first() {
            self.phase = Phase::Handlers(rest);
            self.handler = self.slot(Node::Handler(*next));
            if let Some(slot) = self.handler {
                self.start(slot, cx);
            }
            return;
        }
        self.phase = Phase::Finishing;
        if self.plan.timeout_sec > 0 && !self.timed_out {
            cx.push(Effect::Disarm(Timer::RunTimeout));
        }
        self.kill_tree(cx);
    }

    pub(super) fn end(&mut self, cx: &mut Cx) {
        let status = self.status();
        self.phase = Phase::Ended;
        cx.record(Fact::Ended {
            status,
            error: self.final_error(status),
            outputs: self.outputs(),
            // Who stops a handler does not want the run to be tried again.
            retry: self.again && status == RunStatus::Failed && self.stop.is_none(),
        });
        cx.push(Effect::Leave);
    }

    /// Makes the run a failure, whatever its steps say. The first error stays.
    pub(super) fn fail(&mut self, error: String) {
        self.broken = true;
        self.last_error.get_or_insert(error);
    }

    /// The last error; before it, what aborted the run.
    fn final_error(&self, status: RunStatus) -> Option<String> {
        let last = self.last_error.as_deref();
        let cause = self.unmet.as_deref().or(self.stop.as_deref());
        match cause.filter(|_| status == RunStatus::Aborted) {
            Some(cause) if !last.is_some_and(|last| last.starts_with(cause)) => Some(join(cause, last)),
            Some(_) | None => last.map(str::to_owned),
        }
    }

    /// The collected outputs in order of the steps. Of two steps with the same key the later one's value counts.
    fn outputs(&self) -> Vec<(String, String)> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut outputs: Vec<(String, String)> = Vec::new();
        let steps = self.nodes.iter().zip(&self.plan.policies).take(self.plan.steps);
        for (node, policy) in steps {
            let (Some(value), Some(output)) = (&node.output, &policy.output) else {
                continue;
            };
            if output.omit {
                continue;
            }
            let key = output.key.clone().unwrap_or_else(|| camel_case(&output.name));
            let place = *places.entry(key.clone()).or_insert(outputs.len());
            match outputs.get_mut(place) {
                Some((_, old)) => old.clone_from(value),
                None => outputs.push((key, value.clone())),
            }
        }
        outputs
    }
}
