//! What has to hold in every history, checked after every line of its trace. Since every prefix of the journal
//! is looked at, a crash after any record leaves a view for which it holds.

use std::collections::{BTreeMap, BTreeSet};

use proctor::dag::Dag;
use proctor::dag::types::Action;
use proctor::engine::attempt::{Effect, Event, NodeKey, Resume, Timer};
use proctor::model::view::{RunView, StepView};
use proctor::model::{Boot, Exit, Fact, Handler, Node, Record, RunStatus, StepStatus, Time};

use crate::history::{History, Line, Plan, view};
use crate::world::KILL_LATENCY;

struct Check<'a> {
    dag: &'a Dag,
    plan: &'a Plan,
    view: RunView,
    at: Boot,
    begun: bool,
    ended: bool,
    left: bool,
    killing: bool,
    /// Questions without an answer.
    open: BTreeSet<NodeKey>,
    /// Nodes that were prepared and have not ended.
    active: BTreeSet<Node>,
    node_ended: BTreeSet<Node>,
    timers: BTreeMap<Timer, Boot>,
    /// When what is active has to be over because of a stop.
    ladder: Option<u64>,
    /// Whether a stop is known.
    stopped: bool,
    timeout_at: Option<u64>,
    handlers_begun: bool,
    /// Whether the attempt only carries out a rejection.
    rejecting: bool,
}

/// Checks a history.
pub(crate) fn check(dag: &Dag, resume: Option<&Resume>, plan: &Plan, history: &History) {
    let view = view(dag, resume);
    // A kept step has ended before the attempt.
    let kept = view
        .nodes()
        .filter(|(_, step)| step.status != StepStatus::NotStarted);
    let node_ended = kept.map(|(node, _)| node).collect();
    let mut check = Check {
        dag,
        plan,
        view,
        at: Boot(0),
        begun: false,
        ended: false,
        left: false,
        killing: false,
        open: BTreeSet::new(),
        active: BTreeSet::new(),
        node_ended,
        timers: BTreeMap::new(),
        ladder: None,
        stopped: false,
        timeout_at: None,
        handlers_begun: false,
        rejecting: resume.is_some_and(|resume| {
            let rejected = |step: &StepView| step.status == StepStatus::Rejected;
            resume.steps.iter().any(rejected)
        }),
    };
    for (at, line) in &history.effects {
        check.at = *at;
        match line {
            Line::Told(event) => check.told(event),
            Line::Wants(effect) => check.wants(effect),
            Line::Shell(fact) => check.fact(fact),
        }
    }
    assert!(check.left, "it never left");
}

impl Check<'_> {
    fn told(&mut self, event: &Event) {
        match event {
            Event::Begin => {
                self.begun = true;
                if self.plan.early.is_some() {
                    self.ladder = Some(self.at.0);
                }
            }
            Event::Prepared(key, _) | Event::TryEnded(key, _) | Event::RepeatChecked(key, _) => {
                self.open.remove(key);
            }
            Event::Timer(timer) => {
                if let Some(due) = self.timers.remove(timer) {
                    assert!(due <= self.at, "{timer:?} is early");
                }
            }
            // Told again by a daemon that came back: the first time it counts, later nothing is cut short.
            Event::EnsureStop(_) if std::mem::replace(&mut self.stopped, true) => {}
            Event::Stop(_) | Event::EnsureStop(_) if self.begun => {
                self.stopped = true;
                let grace = self.dag.max_clean_up_time_sec * 1_000_000;
                let due = if self.ladder.is_some() { 0 } else { grace };
                self.ladder = Some(self.ladder.unwrap_or(u64::MAX).min(self.at.0 + due));
            }
            Event::Stop(_) | Event::EnsureStop(_) => self.stopped = true,
            Event::Initialised(_) | Event::NoRetry => {}
            Event::TreeEmpty => self.killing = false,
        }
    }

    fn wants(&mut self, effect: &Effect) {
        assert!(!self.left, "{effect:?} after it left");
        match effect {
            Effect::Record(fact) => self.fact(fact),
            Effect::Initialise => assert!(self.begun),
            Effect::Prepare(key) => self.prepare(*key),
            Effect::Execute(key) | Effect::CheckRepeat(key) => self.ask(*key),
            Effect::Signal(key, _) | Effect::Kill(key) => {
                assert!(self.open.contains(key), "{effect:?} is about nothing that runs");
            }
            Effect::KillTree => {
                assert!(!self.killing, "a second KillTree before the answer to the first");
                self.killing = true;
            }
            Effect::Arm(timer, due) => {
                assert!(*due >= self.at);
                self.timers.insert(*timer, *due);
            }
            Effect::Disarm(timer) => {
                self.timers.remove(timer);
            }
            Effect::Leave => {
                self.left = true;
                assert!(self.ended && self.open.is_empty() && self.active.is_empty() && !self.killing);
                assert!(self.timers.is_empty(), "still armed: {:?}", self.timers);
            }
        }
    }

    fn ask(&mut self, key: NodeKey) {
        assert!(
            !self.killing,
            "{} starts something while the tree is being killed",
            key.node
        );
        assert!(self.active.contains(&key.node));
        let busy = self.open.iter().any(|open| open.node == key.node);
        assert!(!busy, "{} does two things at a time", key.node);
        if matches!(key.node, Node::Step(_)) {
            assert!(
                self.view.stop.is_none() && !self.view.timed_out,
                "{} goes on after a stop",
                key.node
            );
        }
        self.open.insert(key);
    }

    fn prepare(&mut self, key: NodeKey) {
        assert!(!self.node_ended.contains(&key.node), "{} begins twice", key.node);
        assert!(self.active.insert(key.node), "{} begins twice", key.node);
        self.ask(key);
        let Node::Step(index) = key.node else {
            assert_eq!(self.active.len(), 1, "a handler begins while others run");
            if key.node != Node::Handler(Handler::Init) {
                self.handlers_begun = true;
            }
            self.ladder = None;
            return;
        };
        assert!(!self.handlers_begun, "a step begins after a handler");
        assert!(
            !self.rejecting,
            "{} begins although the run is rejected",
            key.node
        );
        let limit = usize::try_from(self.dag.max_active_steps).unwrap();
        assert!(
            limit == 0 || self.active.len() <= limit,
            "more than {limit} steps at a time"
        );
        for dependency in &self.dag.steps[usize::try_from(index).unwrap()].depends {
            let place = usize::try_from(*dependency).unwrap();
            let before = &self.view.steps[place];
            let acceptable = match before.status {
                StepStatus::Succeeded | StepStatus::PartiallySucceeded => true,
                StepStatus::Failed => before.tolerated,
                StepStatus::Skipped => self.dag.steps[place].continue_on.skipped,
                _ => false,
            };
            assert!(
                acceptable,
                "{} begins after step {place} is {}",
                key.node, before.status
            );
        }
    }

    fn fact(&mut self, fact: &Fact) {
        assert!(!self.ended, "{fact:?} after the end");
        let record = Record {
            seq: 0,
            at: Time(0),
            fact: fact.clone(),
        };
        let before = match fact {
            Fact::NodeRetrying { node, .. }
            | Fact::NodeRepeating { node, .. }
            | Fact::NodeEnded { node, .. } => self.view.node(*node).cloned(),
            _ => None,
        };
        let (stopped, timed_out) = (self.view.stop.is_some(), self.view.timed_out);
        let changed = self.view.apply(&record);
        if let Some(node) = changed {
            assert!(!self.node_ended.contains(&node), "{fact:?} after the node ended");
        }
        match fact {
            Fact::NodeEnded { node, status, .. } => {
                self.node_end(*node, *status, &before.expect("the DAG has it"));
            }
            Fact::NodeRetrying {
                node, retry_count, ..
            } => {
                assert_eq!(Some(*retry_count), before.map(|view| view.retry_count + 1));
                assert!(!stopped && !timed_out, "{node} goes on after a stop");
            }
            Fact::NodeRepeating { node, done_count, .. } => {
                assert_eq!(Some(*done_count), before.map(|view| view.done_count + 1));
                assert!(!stopped && !timed_out, "{node} goes on after a stop");
            }
            Fact::TimedOut {} => {
                self.timeout_at = Some(self.at.0);
                assert!(!timed_out, "the time limit is over twice");
            }
            Fact::StopRequested { .. } => assert!(!stopped, "the first stop is the one"),
            Fact::KillEscalated {} => assert!(stopped),
            Fact::Ended { status, retry, .. } => {
                self.run_end(*status);
                self.retry_rule(*status, *retry);
            }
            Fact::Started { .. }
            | Fact::Params { .. }
            | Fact::PreconditionsUnmet { .. }
            | Fact::NodeStarted { .. }
            | Fact::NodeSpawned { .. }
            | Fact::NodeExited { .. }
            | Fact::NodeCalls { .. }
            | Fact::ChildChanged { .. }
            | Fact::NodeOutput { .. }
            | Fact::Used { .. } => {}
        }
    }

    fn node_end(&mut self, node: Node, status: StepStatus, view: &StepView) {
        self.node_ended.insert(node);
        let was_active = self.active.remove(&node);
        assert!(status.is_done() || status == StepStatus::Waiting);
        assert!(
            !self.open.iter().any(|open| open.node == node),
            "{node} ends while something of it runs"
        );
        if status == StepStatus::Succeeded {
            let marks = match node {
                Node::Step(index) => {
                    self.dag.steps[usize::try_from(index).unwrap()]
                        .continue_on
                        .mark_success
                }
                Node::Handler(handler) => {
                    let found = self.dag.handlers.iter().find(|(known, _)| *known == handler);
                    found.unwrap().1.continue_on.mark_success
                }
            };
            assert!(
                view.exit == Some(Exit::Code(0)) || marks,
                "{node} succeeded and nobody saw it"
            );
        }
        if let Node::Step(index) = node {
            let step = &self.dag.steps[usize::try_from(index).unwrap()];
            let calls = matches!(step.action, Action::Call(_));
            assert!(
                step.approval.is_none() || status != StepStatus::Succeeded,
                "{node} succeeded without approval"
            );
            assert!(step.approval.is_some() || calls || status != StepStatus::Waiting);
            assert!(calls || status != StepStatus::Rejected);
        }
        if status == StepStatus::Skipped {
            assert!(view.started_at.is_none(), "{node} was executed and skipped");
        }
        // The ladder is about what the stop found active.
        if let Some(due) = self.ladder.filter(|_| was_active) {
            assert!(self.at.0 <= due + KILL_LATENCY, "{node} outlives the stop");
        }
        if let (Some(due), Node::Step(_)) = (self.timeout_at, node) {
            assert!(self.at.0 <= due + KILL_LATENCY, "{node} outlives the time limit");
        }
        if let (Some(_), Node::Step(index)) = (&self.view.stop, node) {
            let repeats = self.dag.steps[usize::try_from(index).unwrap()].repeat.is_some();
            let well = matches!(status, StepStatus::Succeeded | StepStatus::Waiting);
            assert!(status == StepStatus::Aborted || (well && repeats));
        }
    }

    /// A failure has its handler, or a retry of the whole run that the policy wants; never both.
    fn retry_rule(&self, status: RunStatus, retry: bool) {
        let failed = |step: &&StepView| step.status == StepStatus::Failed && !step.tolerated;
        let mut codes = self
            .view
            .steps
            .iter()
            .filter(failed)
            .filter_map(|step| step.exit_code);
        let wanted = self.plan.retried_on.as_ref();
        let wanted = wanted.is_some_and(|list| list.is_empty() || codes.any(|code| list.contains(&code)));
        let ran = self.node_ended.contains(&Node::Handler(Handler::Failure));
        assert!(!retry || (status == RunStatus::Failed && wanted && self.view.stop.is_none()));
        assert!(!(retry && ran), "the failure handler ran, and a retry follows");
        let has = self
            .dag
            .handlers
            .iter()
            .any(|(handler, _)| *handler == Handler::Failure);
        let plain = status == RunStatus::Failed && self.view.stop.is_none();
        if plain && self.view.steps.iter().any(|step| failed(&step)) {
            assert_eq!(retry, wanted, "what the policy says");
            assert_eq!(ran, has && !wanted, "the failure handler");
        }
    }

    fn run_end(&mut self, status: RunStatus) {
        self.ended = true;
        assert!(status.ends_attempt(), "it ended as {status}");
        let all = |wanted: &[StepStatus]| self.view.steps.iter().all(|step| wanted.contains(&step.status));
        let well = all(&[StepStatus::Succeeded, StepStatus::Skipped]);
        assert!(self.active.is_empty() && self.open.is_empty());
        match status {
            RunStatus::Succeeded => assert!(well && !self.view.timed_out),
            RunStatus::PartiallySucceeded => {
                assert!(self.view.steps.iter().any(|step| step.tolerated) && !self.view.timed_out);
            }
            RunStatus::Aborted => assert!(!well),
            RunStatus::Waiting => assert!(self.view.stop.is_none(), "it waits after a stop"),
            _ => assert!(self.view.error.is_some(), "it failed and says not why"),
        }
        let busy = self
            .view
            .nodes()
            .find(|(_, step)| matches!(step.status, StepStatus::Running | StepStatus::Retrying));
        assert!(busy.is_none(), "{busy:?} at the end");
        let any = |wanted| self.view.steps.iter().any(|step| step.status == wanted);
        match status {
            RunStatus::Waiting => assert!(any(StepStatus::Waiting) && !any(StepStatus::Rejected)),
            RunStatus::Rejected => assert!(any(StepStatus::Rejected)),
            RunStatus::Aborted => {}
            _ => assert!(!any(StepStatus::Waiting) && !any(StepStatus::Rejected)),
        }
        if self.view.stop.is_none() && !self.view.timed_out && status == RunStatus::PartiallySucceeded {
            assert!(all(&[
                StepStatus::Succeeded,
                StepStatus::Skipped,
                StepStatus::Failed,
                StepStatus::PartiallySucceeded
            ]));
        }
    }
}
