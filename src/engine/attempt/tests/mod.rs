//! Tests of the engine: a bench that performs effects by a script, and tables for each rule.

mod again;
mod approval;
mod calls;
mod causes;
mod ends;
mod handlers;
mod ready;
mod resume;
mod rules;
mod stops;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::*;
use crate::dag::types::{
    Action, ContinueOn, DagKind, Number, Output, RepeatMode, RepeatPolicy, RetryPolicy, Step,
};
use crate::model::{Boot, DagName, Exit, Time};

/// A step that depends on those.
fn step(name: &str, depends: &[u32]) -> Step {
    Step {
        depends: depends.to_vec(),
        ..Step::new(name, Action::Nothing)
    }
}

fn retrying(name: &str, codes: &[i32]) -> Step {
    Step {
        retry: Some(RetryPolicy {
            limit: Number::Known(0.0),
            interval_sec: Number::Known(0.0),
            exit_code: codes.to_vec(),
            backoff: 2.0,
            max_interval_sec: 8.0,
        }),
        ..step(name, &[])
    }
}

fn repeating(name: &str, mode: RepeatMode, codes: &[i32], condition: bool) -> Step {
    Step {
        repeat: Some(RepeatPolicy {
            mode,
            interval_sec: Number::Known(0.0),
            limit: Number::Known(0.0),
            condition: condition.then(|| crate::dag::types::Condition {
                condition: "test -f flag".to_owned(),
                expected: None,
                negate: false,
            }),
            exit_code: codes.to_vec(),
            backoff: 0.0,
            max_interval_sec: 0.0,
        }),
        ..step(name, &[])
    }
}

fn dag(steps: Vec<Step>) -> Dag {
    Dag {
        kind: DagKind::Graph,
        steps,
        ..Dag::new(DagName::new("d").unwrap())
    }
}

/// The same with every handler that the end may call.
fn with_handlers(dag: Dag, handlers: &[Handler]) -> Dag {
    Dag {
        handlers: handlers
            .iter()
            .map(|handler| (*handler, step(handler.as_str(), &[])))
            .collect(),
        ..dag
    }
}

/// A try that ended with that exit code.
fn exit(code: i32) -> TryEnd {
    TryEnd {
        exit: Some(Exit::Code(code)),
        error: (code != 0).then(|| format!("exit code {code}")),
        ..TryEnd::default()
    }
}

fn killed(signal: i32) -> TryEnd {
    TryEnd {
        exit: Some(Exit::Signal { signal, core: false }),
        error: Some("it was killed".to_owned()),
        ..TryEnd::default()
    }
}

/// Status, exit code, error, executions, whether a failure is tolerated.
type End<'a> = (StepStatus, Option<i32>, Option<&'a str>, u32, bool);

/// Performs effects by a script: what is not in it ends well at once.
struct Bench {
    engine: Attempt,
    now: Now,
    /// Ends of the tries of a node, in order.
    ends: HashMap<Node, VecDeque<TryEnd>>,
    prepared: HashMap<Node, Result<Prepared, String>>,
    /// Answers to `CheckRepeat`, in order; then an error.
    checks: VecDeque<Result<bool, String>>,
    /// Nodes whose tries do not end by themselves.
    hold: BTreeSet<Node>,
    held: BTreeMap<Node, NodeKey>,
    initialised: Result<Result<(), String>, String>,
    /// Whether `KillTree` is not answered at once.
    hold_tree: bool,
    timers: BTreeMap<Timer, Boot>,
    effects: Vec<Effect>,
}

impl Bench {
    fn new(dag: &Dag) -> Self {
        Self::of(Attempt::new(dag, None))
    }

    fn of(engine: Attempt) -> Self {
        Self {
            engine,
            now: Now::default(),
            ends: HashMap::new(),
            prepared: HashMap::new(),
            checks: VecDeque::new(),
            hold: BTreeSet::new(),
            held: BTreeMap::new(),
            initialised: Ok(Ok(())),
            hold_tree: false,
            timers: BTreeMap::new(),
            effects: Vec::new(),
        }
    }

    fn ends(mut self, node: Node, ends: &[TryEnd]) -> Self {
        self.ends.insert(node, ends.iter().cloned().collect());
        self
    }

    fn prepared(mut self, node: Node, answer: Result<Prepared, String>) -> Self {
        self.prepared.insert(node, answer);
        self
    }

    fn hold(mut self, nodes: &[Node]) -> Self {
        self.hold.extend(nodes);
        self
    }

    /// Tells the engine and performs what it wants, until it waits for a timer or for what is held.
    fn tell(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.engine.handle(self.now, event) {
                events.extend(self.perform(&effect));
                self.effects.push(effect);
            }
        }
    }

    fn perform(&mut self, effect: &Effect) -> Option<Event> {
        match effect {
            Effect::Initialise => Some(Event::Initialised(self.initialised.clone())),
            Effect::Prepare(key) => {
                let answer = self.prepared.get(&key.node).cloned();
                Some(Event::Prepared(*key, answer.unwrap_or(Ok(Prepared::default()))))
            }
            Effect::Execute(key) if self.hold.contains(&key.node) => {
                self.held.insert(key.node, *key);
                None
            }
            Effect::Execute(key) => {
                let end = self.ends.get_mut(&key.node).and_then(VecDeque::pop_front);
                Some(Event::TryEnded(*key, end.unwrap_or(exit(0))))
            }
            Effect::CheckRepeat(key) => {
                let answer = self.checks.pop_front().unwrap_or(Err("no such file".to_owned()));
                Some(Event::RepeatChecked(*key, answer))
            }
            Effect::KillTree if self.hold_tree => None,
            Effect::KillTree => Some(Event::TreeEmpty),
            Effect::Arm(timer, at) => {
                self.timers.insert(*timer, *at);
                None
            }
            Effect::Disarm(timer) => {
                self.timers.remove(timer);
                None
            }
            Effect::Record(_) | Effect::Signal(..) | Effect::Kill(_) | Effect::Leave => None,
        }
    }

    /// Lets a held try end.
    fn release(&mut self, node: Node, end: TryEnd) {
        let key = self.held.remove(&node).expect("the try is held");
        self.tell(Event::TryEnded(key, end));
    }

    /// Lets time pass to the next timer and says which it was.
    fn tick(&mut self) -> Option<Timer> {
        let (timer, at) = self
            .timers
            .iter()
            .map(|(t, at)| (*t, *at))
            .min_by_key(|(t, at)| (*at, *t))?;
        self.timers.remove(&timer);
        let passed = i64::try_from(at.micros_since(self.now.boot)).unwrap();
        self.now.wall = Time(self.now.wall.0 + passed);
        self.now.boot = self.now.boot.max(at);
        self.tell(Event::Timer(timer));
        Some(timer)
    }

    /// Begins, and goes on to the end.
    fn run(mut self) -> Self {
        self.tell(Event::Begin);
        while !self.engine.is_finished() {
            self.tick().expect("it neither ended nor waits for a timer");
        }
        self
    }

    fn facts(&self) -> Vec<&Fact> {
        let mut facts = Vec::new();
        for effect in &self.effects {
            if let Effect::Record(fact) = effect {
                facts.push(fact);
            }
        }
        facts
    }

    fn end_of(&self, wanted: Node) -> Option<End<'_>> {
        self.facts().into_iter().find_map(|fact| match fact {
            Fact::NodeEnded {
                node,
                status,
                exit_code,
                error,
                done_count,
                tolerated,
                ..
            } if *node == wanted => Some((*status, *exit_code, error.as_deref(), *done_count, *tolerated)),
            _ => None,
        })
    }

    fn end(&self) -> (RunStatus, Option<&str>, &[(String, String)]) {
        match self.facts().last() {
            Some(Fact::Ended {
                status,
                error,
                outputs,
                ..
            }) => (*status, error.as_deref(), outputs),
            other => panic!("the last record is {other:?}"),
        }
    }

    /// Statuses of the steps, one letter each.
    fn letters(&self) -> String {
        let letter = |slot| match self.engine.node_status(Node::Step(slot)) {
            Some(StepStatus::NotStarted) => '-',
            Some(StepStatus::Running) => 'r',
            Some(StepStatus::Failed) => 'F',
            Some(StepStatus::Aborted) => 'A',
            Some(StepStatus::Succeeded) => 'S',
            Some(StepStatus::Skipped) => 'K',
            Some(StepStatus::Retrying) => 't',
            Some(StepStatus::Waiting) => 'w',
            Some(StepStatus::Rejected) => 'R',
            Some(StepStatus::PartiallySucceeded) => 'P',
            other => panic!("status {other:?}"),
        };
        (0..u32::try_from(self.engine.plan.steps).unwrap())
            .map(letter)
            .collect()
    }

    /// Waits that retries and repeats asked for, in whole seconds.
    fn waits(&self) -> Vec<u64> {
        let mut now = 0;
        let wait = |effect: &Effect| match effect {
            Effect::Arm(Timer::NextTry(_), at) => {
                let wait = at.0 / 1_000_000 - now;
                now = at.0 / 1_000_000;
                Some(wait)
            }
            _ => None,
        };
        self.effects.iter().filter_map(wait).collect()
    }

    fn count(&self, wanted: impl Fn(&Effect) -> bool) -> usize {
        self.effects.iter().filter(|effect| wanted(effect)).count()
    }

    /// The order in which the handlers ended.
    fn handlers(&self) -> Vec<(Handler, StepStatus)> {
        let ended = |fact: &Fact| match fact {
            Fact::NodeEnded {
                node: Node::Handler(handler),
                status,
                ..
            } => Some((*handler, *status)),
            _ => None,
        };
        self.facts().into_iter().filter_map(ended).collect()
    }
}

fn limits(retries: u32, interval: f64) -> Result<Prepared, String> {
    Ok(Prepared {
        retry_limit: retries,
        retry_interval: interval,
        repeat_interval: interval,
        ..Prepared::default()
    })
}

fn unmet() -> Result<Prepared, String> {
    Ok(Prepared {
        unmet: Some("condition was not met".to_owned()),
        ..Prepared::default()
    })
}

fn captured(end: TryEnd, text: &str) -> TryEnd {
    TryEnd {
        output: Some(text.to_owned()),
        ..end
    }
}

fn output(name: &str, key: Option<&str>, omit: bool) -> Option<Output> {
    Some(Output {
        name: name.to_owned(),
        key: key.map(str::to_owned),
        omit,
    })
}
