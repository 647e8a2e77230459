//! The engine of one attempt, in the shim: the step graph, preconditions, continue-on, retries and repeats,
//! time limits, handlers and the stop ladder (seed-spec 3.4, 7.5 to 7.11).
//!
//! It owns every decision about the attempt and nothing else: it starts no process, reads no clock and writes no
//! file. It is told events and answers with effects; the same events at the same times give the same effects.

pub mod api;
mod approval;
mod finish;
mod graph;
mod node;
mod policy;
mod status;
mod steps;
mod stop;
#[cfg(test)]
mod tests;
mod tries;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use crate::dag::Dag;
use crate::model::{Fact, Handler, Node, Now, RunStatus, StepStatus, StopReason};

pub use api::{Effect, Event, NodeKey, Prepared, Resume, Timer, TryEnd};
pub use graph::carry_over;

use graph::Graph;
use node::{NodeState, Outcome, Stage};
use policy::Policy;
use status::{Course, Tally, derive};

/// What does not change during the attempt.
#[derive(Debug)]
struct Plan {
    graph: Graph,
    /// Of the steps, then of the handlers.
    policies: Vec<Policy>,
    handlers: Vec<Handler>,
    steps: usize,
    timeout_sec: u64,
    delay_sec: u64,
    max_active: usize,
    clean_up_sec: u64,
}

/// Where the attempt is. It only ever goes on to a later phase.
#[derive(Debug)]
enum Phase {
    /// Nothing happened yet; a stop that came too early waits here.
    New(Option<StopReason>),
    /// The answer to `Initialise` is awaited; it is kept here while the tree is being killed.
    Initialising(Option<Result<Result<(), String>, String>>),
    /// The init handler runs.
    InitHandler,
    /// Steps run.
    Steps,
    /// The handlers at the end run: those that are still to come.
    Handlers(&'static [Handler]),
    /// The tree is killed for the last time.
    Finishing,
    /// `Ended` is recorded.
    Ended,
}

/// Time and the effects of one call.
struct Cx {
    now: Now,
    effects: Vec<Effect>,
}

impl Cx {
    fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn record(&mut self, fact: Fact) {
        self.effects.push(Effect::Record(fact));
    }
}

/// The state machine of one attempt.
///
/// Every `Prepare`, `Execute`, `CheckRepeat`, `Initialise` and `KillTree` is answered once; answers may come in any
/// order and at any time. What is no answer to the newest question of a node is ignored.
#[derive(Debug)]
pub struct Attempt {
    plan: Arc<Plan>,
    /// The steps, then the handlers.
    nodes: Vec<NodeState>,
    phase: Phase,
    /// Steps that may start; the first by definition comes first.
    ready: BinaryHeap<Reverse<usize>>,
    /// Steps that ended and whose dependants were not looked at yet.
    settled: VecDeque<usize>,
    /// Steps that began and have not ended.
    active: usize,
    /// Those of them that wait for their next try after a failure.
    retrying: usize,
    /// Steps that have not ended.
    open: usize,
    /// The handler that runs or ran last.
    handler: Option<usize>,
    /// Whether the pause after a start lasts.
    delaying: bool,
    /// The first stop's reason in words.
    stop: Option<String>,
    /// Whether a stop of what runs now is under way.
    stopping: bool,
    /// Whether the answer to `KillTree` is awaited.
    killing: bool,
    cancelled: bool,
    /// Whether a person rejected a step of the attempt before: no step starts, the run ends for that.
    rejected: bool,
    /// The exit codes of failed steps after which the whole run is tried again; none if it never is.
    retried_on: Option<Vec<i32>>,
    /// Whether the whole run is tried again after this attempt.
    again: bool,
    timed_out: bool,
    broken: bool,
    unmet: Option<String>,
    last_error: Option<String>,
}

impl Attempt {
    /// An attempt that has not begun. With `resume`, the steps that [`carry_over`] keeps are not executed again.
    #[must_use]
    pub fn new(dag: &Dag, resume: Option<&Resume>) -> Self {
        let steps = dag.steps.len();
        let policies = dag.steps.iter().map(Policy::of_step);
        let policies: Vec<Policy> = policies
            .chain(dag.handlers.iter().map(|(_, step)| Policy::of_handler(step)))
            .collect();
        let mut nodes = vec![NodeState::default(); policies.len()];
        let mut open = steps;
        let rejected = resume.is_some_and(|resume| approval::is_rejected(&resume.steps));
        let mut last_error = None;
        if resume.is_some() {
            for ((view, node), policy) in carry_over(dag, resume).iter().zip(&mut nodes).zip(&policies) {
                if view.status == StepStatus::NotStarted {
                    continue;
                }
                open -= 1;
                node.stage = Stage::Done;
                node.ended = Some(view.status);
                node.tolerated = view.tolerated;
                if view.status == StepStatus::Rejected && last_error.is_none() {
                    let error = view.error.as_deref().unwrap_or("rejected");
                    last_error = Some(node::clip(format!("step {}: {error}", view.name)));
                }
                let variable = policy.output.as_ref().map(|output| &output.name);
                let captured = view.variables.iter().find(|(name, _)| Some(name) == variable);
                node.output = captured.map(|(_, value)| value.clone());
            }
        }
        Self {
            plan: Arc::new(Plan {
                graph: Graph::new(dag),
                policies,
                handlers: dag.handlers.iter().map(|(handler, _)| *handler).collect(),
                steps,
                timeout_sec: dag.timeout_sec,
                delay_sec: dag.delay_sec,
                max_active: match usize::try_from(dag.max_active_steps) {
                    Ok(0) | Err(_) => usize::MAX,
                    Ok(limit) => limit,
                },
                clean_up_sec: dag.max_clean_up_time_sec,
            }),
            nodes,
            phase: Phase::New(None),
            ready: BinaryHeap::new(),
            settled: VecDeque::new(),
            active: 0,
            retrying: 0,
            open,
            handler: None,
            delaying: false,
            stop: None,
            stopping: false,
            killing: false,
            cancelled: false,
            rejected,
            retried_on: None,
            again: false,
            timed_out: false,
            broken: false,
            unmet: None,
            last_error,
        }
    }

    /// Takes an event in and says what is to be done, in order.
    #[must_use = "the effects have to be performed"]
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Effect> {
        let mut cx = Cx {
            now,
            effects: Vec::new(),
        };
        match event {
            Event::Begin => self.begin(&mut cx),
            Event::Initialised(answer) => {
                if let Phase::Initialising(kept) = &mut self.phase {
                    *kept = Some(answer);
                }
            }
            Event::Prepared(key, answer) => {
                if let Some(slot) = self.asked(key, Stage::Preparing) {
                    self.prepared(slot, answer, &mut cx);
                }
            }
            Event::TryEnded(key, end) => {
                if let Some(slot) = self.asked(key, Stage::Executing) {
                    self.try_ended(slot, &end, &mut cx);
                }
            }
            Event::RepeatChecked(key, answer) => {
                if let Some(slot) = self.asked(key, Stage::Checking) {
                    self.repeat_checked(slot, answer == Ok(true), &mut cx);
                }
            }
            Event::Timer(timer) => self.timer(timer, &mut cx),
            Event::Stop(reason) => self.stop(reason, &mut cx),
            Event::EnsureStop(reason) if self.stop.is_none() => self.stop(reason, &mut cx),
            Event::EnsureStop(_) => {}
            Event::NoRetry => self.fail_for_good(),
            Event::TreeEmpty => self.killing = false,
        }
        self.look_at_dependants(&mut cx);
        while self.advance(&mut cx) {}
        cx.effects
    }

    /// The status as seed-spec 3.4 derives it from what is known now; handlers see it as `DAG_RUN_STATUS`.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        let mut tally = Tally::default();
        for node in self.nodes.iter().take(self.plan.steps) {
            tally.add(node.status(), node.tolerated);
        }
        let course = Course {
            started: !matches!(self.phase, Phase::New(_)),
            finished: matches!(self.phase, Phase::Handlers(_) | Phase::Finishing | Phase::Ended),
            cancelled: self.cancelled,
            broken: self.broken,
            error: self.last_error.is_some(),
        };
        derive(course, &tally)
    }

    /// The node's status, as the facts recorded so far tell it; none if the DAG does not have it.
    #[must_use]
    pub fn node_status(&self, node: Node) -> Option<StepStatus> {
        let node = self.nodes.get(self.slot(node)?)?;
        Some(match node.stage {
            Stage::RetryWait => StepStatus::Retrying,
            _ => node.status(),
        })
    }

    /// Whether every step that began and has not ended waits for its next try: nothing is executed, and nothing will be
    /// before the first of them is due.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        matches!(self.phase, Phase::Steps) && self.active > 0 && self.active == self.retrying
    }

    /// Whether `Ended` is recorded: no event has an effect any more.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    fn slot(&self, node: Node) -> Option<usize> {
        match node {
            Node::Step(index) => usize::try_from(index).ok().filter(|slot| *slot < self.plan.steps),
            Node::Handler(handler) => {
                let place = self.plan.handlers.iter().position(|known| *known == handler)?;
                Some(self.plan.steps + place)
            }
        }
    }

    fn node_of(&self, slot: usize) -> Node {
        match self.plan.handlers.get(slot.wrapping_sub(self.plan.steps)) {
            Some(handler) => Node::Handler(*handler),
            None => Node::Step(u32::try_from(slot).unwrap_or(u32::MAX)),
        }
    }

    /// The node a key is about, if it is in that stage and the key is that of its newest question.
    fn asked(&self, key: NodeKey, stage: Stage) -> Option<usize> {
        let slot = self.slot(key.node)?;
        let node = self.nodes.get(slot)?;
        (node.serial == key.serial && node.stage == stage).then_some(slot)
    }

    fn timer(&mut self, timer: Timer, cx: &mut Cx) {
        match timer {
            Timer::RunTimeout => self.run_timeout(cx),
            Timer::TryTimeout(key) => self.try_timeout(key, cx),
            Timer::NextTry(key) => {
                let waiting = self.asked(key, Stage::RetryWait);
                if let Some(slot) = waiting.or_else(|| self.asked(key, Stage::RepeatWait)) {
                    self.execute(slot, cx);
                }
            }
            Timer::StartDelay => self.delaying = false,
            Timer::Grace => self.escalate(cx),
        }
    }

    /// Goes on to the next phase if there is nothing left to do in this one, and says whether it did.
    fn advance(&mut self, cx: &mut Cx) -> bool {
        if matches!(self.phase, Phase::Steps) {
            self.start_ready(cx);
        }
        if self.killing || self.is_busy() {
            return false;
        }
        match &mut self.phase {
            Phase::New(_) | Phase::Ended => return false,
            Phase::Initialising(answer) => {
                let Some(answer) = answer.take() else {
                    return false;
                };
                self.initialised(answer, cx);
            }
            Phase::InitHandler => self.init_handler_ended(cx),
            Phase::Steps => {
                if !self.cancelled && self.open > 0 {
                    if !self.ready.is_empty() {
                        return false;
                    }
                    if !self.waits() && !self.rejected {
                        self.fail(format!(
                            "deadlock: {} steps wait for steps that never end",
                            self.open
                        ));
                    }
                }
                self.enter_handlers(cx);
            }
            Phase::Handlers(rest) => {
                let rest = *rest;
                self.next_handler(rest, cx);
            }
            Phase::Finishing => self.end(cx),
        }
        true
    }

    /// Whether a node began and has not ended.
    fn is_busy(&self) -> bool {
        let handler = self.handler.and_then(|slot| self.nodes.get(slot));
        self.active > 0 || handler.is_some_and(|node| node.stage.is_active())
    }

    /// Ends a node for good.
    fn finish(&mut self, slot: usize, outcome: Outcome, cx: &mut Cx) {
        let outcome = self.gate(slot, outcome);
        let node_id = self.node_of(slot);
        let is_step = slot < self.plan.steps;
        let Some(node) = self.nodes.get_mut(slot) else {
            return;
        };
        if is_step {
            self.active -= usize::from(node.stage.is_active());
            self.retrying -= usize::from(node.stage == Stage::RetryWait);
            self.open -= 1;
            self.settled.push_back(slot);
        }
        node.stage = Stage::Done;
        node.ended = Some(outcome.status);
        node.code = outcome.exit_code;
        node.tolerated = outcome.tolerated;
        let counts = match outcome.status {
            // A run that waits does so whether its wait handler succeeds or not.
            _ if node_id == Node::Handler(Handler::Wait) => false,
            StepStatus::Failed | StepStatus::Rejected => true,
            StepStatus::Aborted => !is_step,
            _ => false,
        };
        if counts {
            self.last_error.clone_from(&outcome.error);
        }
        cx.record(Fact::NodeEnded {
            node: node_id,
            status: outcome.status,
            exit_code: outcome.exit_code,
            error: outcome.error,
            done_count: node.done,
            tolerated: outcome.tolerated,
            cause: outcome.cause,
        });
    }
}
