//! One node from its preparation to its end (seed-spec 7.8).

use crate::model::{Boot, Cause, Fact, StepStatus, Time};

use super::approval::undecided;
use super::node::{Cut, NodeState, Outcome, Stage, clip, join, judge};
use super::policy::{Policy, Repeat, TIMEOUT_CODE};
use super::steps::seconds;
use super::{Attempt, Cx, Effect, NodeKey, Prepared, Timer, TryEnd};

/// A handler has at least this many seconds after the run's time limit, so that a DAG without any grace period
/// for stops still gets cleaned up (W29).
const HANDLER_SEC_MIN: u64 = 5;

impl Attempt {
    /// The node's state and policy with the key of its newest question.
    pub(super) fn node(&mut self, slot: usize) -> Option<(NodeKey, &mut NodeState, &Policy)> {
        let id = self.node_of(slot);
        let policy = self.plan.policies.get(slot)?;
        let node = self.nodes.get_mut(slot)?;
        let key = NodeKey {
            node: id,
            serial: node.serial,
        };
        Some((key, node, policy))
    }

    /// Brings the node to a stage, under a new serial number.
    fn turn(&mut self, slot: usize, stage: Stage) -> Option<NodeKey> {
        let is_step = slot < self.plan.steps;
        let (key, node, _) = self.node(slot)?;
        node.serial = node.serial.wrapping_add(1);
        let before = std::mem::replace(&mut node.stage, stage);
        let key = NodeKey {
            serial: node.serial,
            ..key
        };
        if is_step {
            self.retrying -= usize::from(before == Stage::RetryWait);
            self.retrying += usize::from(stage == Stage::RetryWait);
        }
        Some(key)
    }

    /// Begins the node.
    pub(super) fn start(&mut self, slot: usize, cx: &mut Cx) {
        let Some(key) = self.turn(slot, Stage::Preparing) else {
            return;
        };
        if slot < self.plan.steps {
            self.active += 1;
        }
        cx.push(Effect::Prepare(key));
        if self.timed_out {
            self.limit_clean_up(slot, cx);
        }
    }

    /// Gives a handler its own time, from now, because the run's time limit is over (W29). A time limit that the
    /// handler has itself goes before.
    pub(super) fn limit_clean_up(&mut self, slot: usize, cx: &mut Cx) {
        let limit = self.plan.clean_up_sec.max(HANDLER_SEC_MIN);
        if let Some((key, node, policy)) = self.node(slot)
            && policy.timeout_sec == 0
            && node.stage.is_active()
        {
            let deadline = cx.now.boot.after_secs(seconds(limit));
            node.deadline = Some(deadline);
            node.limited = true;
            cx.push(Effect::Arm(Timer::TryTimeout(key), deadline));
        }
    }

    pub(super) fn prepared(&mut self, slot: usize, answer: Result<Prepared, String>, cx: &mut Cx) {
        self.disarm_limit(slot, cx);
        let text = self.limit_text(slot);
        let Some((_, node, policy)) = self.node(slot) else {
            return;
        };
        if node.cut.is_some() {
            return self.finish_cut(slot, cx);
        }
        match answer {
            Err(error) => {
                let (error, cause) = if node.overdue {
                    (text, Some(Cause::StepTimeout {}))
                } else {
                    (clip(error), None)
                };
                let tolerated = policy.tolerates(None, false);
                let outcome = Outcome {
                    tolerated,
                    cause,
                    ..Outcome::plain(StepStatus::Failed, error)
                };
                self.finish(slot, outcome, cx);
            }
            Ok(numbers) => match &numbers.unmet {
                Some(reason) => {
                    let outcome = Outcome::plain(StepStatus::Skipped, clip(reason.clone()));
                    self.finish(slot, outcome, cx);
                }
                None => {
                    node.numbers = numbers;
                    self.execute(slot, cx);
                }
            },
        }
    }

    /// Executes one try.
    pub(super) fn execute(&mut self, slot: usize, cx: &mut Cx) {
        let Some(key) = self.turn(slot, Stage::Executing) else {
            return;
        };
        cx.push(Effect::Execute(key));
        if let Some((_, node, policy)) = self.node(slot) {
            node.overdue = false;
            let own = (policy.timeout_sec > 0).then(|| cx.now.boot.after_secs(seconds(policy.timeout_sec)));
            if let Some(deadline) = own.or(node.deadline) {
                node.limited = true;
                cx.push(Effect::Arm(Timer::TryTimeout(key), deadline));
            }
        }
    }

    fn disarm_limit(&mut self, slot: usize, cx: &mut Cx) {
        if let Some((key, node, _)) = self.node(slot)
            && std::mem::take(&mut node.limited)
        {
            cx.push(Effect::Disarm(Timer::TryTimeout(key)));
        }
    }

    /// The time limit of a try is over: it is killed at once, and judged when its end is reported.
    pub(super) fn try_timeout(&mut self, key: NodeKey, cx: &mut Cx) {
        let slot = self.asked(key, Stage::Executing);
        if let Some(slot) = slot.or_else(|| self.asked(key, Stage::Preparing))
            && let Some((_, node, _)) = self.node(slot)
        {
            node.limited = false;
            node.overdue = true;
            cx.push(Effect::Kill(key));
        }
    }

    fn limit_text(&self, slot: usize) -> String {
        match self
            .plan
            .policies
            .get(slot)
            .map_or(0, |policy| policy.timeout_sec)
        {
            0 => format!(
                "step timed out after {} s, the time for handlers once the run's time limit is over",
                self.plan.clean_up_sec.max(HANDLER_SEC_MIN)
            ),
            limit => format!("step timed out after {limit} s"),
        }
    }

    pub(super) fn try_ended(&mut self, slot: usize, end: &TryEnd, cx: &mut Cx) {
        self.disarm_limit(slot, cx);
        let limit_text = self.limit_text(slot);
        let (mut code, mut error) = judge(end);
        let mut cause = end.cause;
        let Some((_, node, policy)) = self.node(slot) else {
            return;
        };
        if end.output.is_some() {
            node.output.clone_from(&end.output);
        }
        let failed = error.is_some();
        // A try that ended well in the last moment ended well.
        let overdue = failed && node.overdue;
        if overdue {
            code = Some(TIMEOUT_CODE);
            error = Some(limit_text);
            cause = Some(Cause::StepTimeout {});
        }
        if let Some(cut) = node.cut {
            let counts = cut == Cut::RunTimeout || policy.repeats();
            node.done += u32::from(counts && !failed && undecided(end).is_none());
            node.last = Some(Outcome {
                status: StepStatus::Aborted,
                exit_code: code,
                // What waits or was rejected did not end well.
                error: error.or_else(|| undecided(end)?.error),
                tolerated: false,
                cause,
            });
            return self.finish_cut(slot, cx);
        }
        if let Some(outcome) = undecided(end) {
            return self.finish(slot, outcome, cx);
        }
        // The exit code of a try whose process could not be started is not known and counts as 1.
        let known_code = code.unwrap_or(1);
        let may_retry = failed && !overdue && node.retries < node.numbers.retry_limit && policy.has_retry();
        if may_retry && policy.retries_code(known_code) {
            return self.retry(slot, code, error.unwrap_or_default(), cx);
        }
        let tolerated = failed && policy.tolerates(Some(known_code), end.output_matched);
        let forgiven = tolerated && policy.continue_on.mark_success && !overdue && !may_retry;
        node.done += 1;
        let outcome = Outcome {
            status: match end.verdict {
                _ if failed && !forgiven => StepStatus::Failed,
                Some(verdict) if !failed => verdict,
                _ => StepStatus::Succeeded,
            },
            exit_code: code,
            error,
            tolerated: tolerated && !forgiven,
            cause,
        };
        let next = policy.after_execution(node.done, node.numbers.repeat_limit, known_code, failed);
        node.last = Some(outcome.clone());
        match next {
            Repeat::Stop => self.finish(slot, outcome, cx),
            Repeat::Again => self.repeat(slot, cx),
            Repeat::Ask => {
                if let Some(key) = self.turn(slot, Stage::Checking) {
                    cx.push(Effect::CheckRepeat(key));
                }
            }
        }
    }

    pub(super) fn repeat_checked(&mut self, slot: usize, met: bool, cx: &mut Cx) {
        let Some((_, node, policy)) = self.node(slot) else {
            return;
        };
        if node.cut.is_some() {
            self.finish_cut(slot, cx);
        } else if policy.after_check(met) {
            self.repeat(slot, cx);
        } else if let Some(outcome) = node.last.clone() {
            self.finish(slot, outcome, cx);
        }
    }

    fn retry(&mut self, slot: usize, exit_code: Option<i32>, error: String, cx: &mut Cx) {
        let Some(key) = self.turn(slot, Stage::RetryWait) else {
            return;
        };
        let Some((_, node, policy)) = self.node(slot) else {
            return;
        };
        node.retries += 1;
        let wait = policy.retry_wait(node.numbers.retry_interval, node.retries);
        node.last = Some(Outcome {
            status: StepStatus::Failed,
            exit_code,
            error: Some(error.clone()),
            tolerated: false,
            cause: None,
        });
        cx.record(Fact::NodeRetrying {
            node: key.node,
            retry_count: node.retries,
            until: later(cx.now.wall, wait),
            error,
            exit_code,
        });
        cx.push(Effect::Arm(Timer::NextTry(key), cx.now.boot.after_secs(wait)));
    }

    fn repeat(&mut self, slot: usize, cx: &mut Cx) {
        let Some(key) = self.turn(slot, Stage::RepeatWait) else {
            return;
        };
        let Some((_, node, policy)) = self.node(slot) else {
            return;
        };
        let wait = policy.repeat_wait(node.numbers.repeat_interval, node.done);
        cx.record(Fact::NodeRepeating {
            node: key.node,
            done_count: node.done,
            until: later(cx.now.wall, wait),
        });
        cx.push(Effect::Arm(Timer::NextTry(key), cx.now.boot.after_secs(wait)));
    }

    /// Ends a node that a stop or the run's time limit cut short, now that nothing of it runs.
    ///
    /// What exited 0 before the run's time limit reached it succeeded. A repeating step that is stopped succeeded if
    /// its last execution did (seed-spec 7.11); everything else is aborted, also what exited 0 after the signal.
    pub(super) fn finish_cut(&mut self, slot: usize, cx: &mut Cx) {
        let (reason, cause) = match self.nodes.get(slot).and_then(|node| node.cut) {
            Some(Cut::RunTimeout) => (self.time_limit_text(), Cause::RunTimeout {}),
            Some(Cut::Stop) | None => (self.stop.clone().unwrap_or_default(), Cause::Stopped {}),
        };
        let Some((_, node, policy)) = self.node(slot) else {
            return;
        };
        let executed = node.stage == Stage::Executing;
        let finished = match node.cut {
            Some(Cut::RunTimeout) => executed && !policy.repeats(),
            Some(Cut::Stop) | None => policy.repeats(),
        };
        let last = node.last.as_ref();
        let outcome = if finished && node.last_was_well() {
            Outcome {
                status: StepStatus::Succeeded,
                exit_code: last.and_then(|last| last.exit_code),
                error: None,
                tolerated: false,
                cause: None,
            }
        } else {
            Outcome {
                status: StepStatus::Aborted,
                exit_code: last.and_then(|last| last.exit_code),
                error: Some(join(&reason, last.and_then(|last| last.error.as_deref()))),
                tolerated: false,
                cause: Some(cause),
            }
        };
        self.finish(slot, outcome, cx);
    }
}

/// The wall clock that many seconds later.
fn later(wall: Time, secs: f64) -> Time {
    let micros = i64::try_from(Boot(0).after_secs(secs).0).unwrap_or(i64::MAX);
    Time(wall.0.saturating_add(micros))
}
