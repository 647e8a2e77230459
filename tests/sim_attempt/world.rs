//! The simulated world: a shell without processes, on a clock that jumps from one thing to the next.

use std::collections::{BTreeMap, BTreeSet};

use proctor::dag::Dag;
use proctor::engine::attempt::{Attempt, Effect, Event, NodeKey, Resume, Timer, TryEnd};
use proctor::model::{Boot, Exit, Fact, Node, Now, Record, StopReason, Time};

use crate::fate::{Fate, Rng};
use crate::history::{History, Line, Plan, view};
use crate::reference::{Course, Fates};

/// Longest from a kill to the report of the end, in microseconds.
pub(crate) const KILL_LATENCY: u64 = 250_000;

/// More than any history needs; one that reaches it hangs.
const EVENTS_MAX: usize = 20_000;

#[derive(Debug)]
enum Happening {
    Tell(Event),
    /// A timer with the number of its arming.
    Due(Timer, u64),
    /// An answer with the number of its planning: a kill plans another one.
    Answer(NodeKey, u64, Event),
}

struct World<'a> {
    dag: &'a Dag,
    fate: &'a Fate,
    plan: &'a Plan,
    rng: Rng,
    now: u64,
    count: u64,
    queue: BTreeMap<(u64, u64, u64), Happening>,
    timers: BTreeMap<Timer, u64>,
    /// Questions without an answer and the answer that is planned for them.
    open: BTreeMap<NodeKey, u64>,
    running: BTreeSet<NodeKey>,
    /// Those that were killed: a signal changes nothing for them any more.
    killed: BTreeSet<NodeKey>,
    tries: BTreeMap<Node, u32>,
    initialising: bool,
    history: History,
}

impl History {
    /// One attempt from its begin to its end.
    pub(crate) fn run(dag: &Dag, resume: Option<&Resume>, fate: &Fate, plan: &Plan, seed: u64) -> Self {
        let mut engine = Attempt::new(dag, resume).retried_on(plan.retried_on.clone());
        let mut world = World {
            dag,
            fate,
            plan,
            rng: Rng::new(!seed),
            now: 1_000_000,
            count: 0,
            queue: BTreeMap::new(),
            timers: BTreeMap::new(),
            open: BTreeMap::new(),
            running: BTreeSet::new(),
            killed: BTreeSet::new(),
            tries: BTreeMap::new(),
            initialising: false,
            history: Self {
                effects: Vec::new(),
                records: Vec::new(),
                steps: Vec::new(),
            },
        };
        world.shell(Fact::Started { pid: 4242 });
        if let Some(reason) = &plan.early {
            world.plan(0, Happening::Tell(Event::Stop(reason.clone())));
        }
        world.plan(1, Happening::Tell(Event::Begin));
        for (after, reason) in &plan.stops {
            world.plan(1 + after, Happening::Tell(Event::Stop(reason.clone())));
        }
        for after in &plan.repeated {
            world.plan(1 + after, Happening::Tell(Event::EnsureStop(StopReason::Caller)));
        }
        let mut told = 0;
        while let Some(event) = world.next() {
            told += 1;
            assert!(told < EVENTS_MAX, "the attempt does not end");
            let finished = engine.is_finished();
            world.trace(Line::Told(event.clone()));
            let effects = engine.handle(world.instant(), event);
            assert!(
                !finished || effects.is_empty(),
                "after the end it wants {effects:?}"
            );
            for effect in effects {
                world.perform(effect);
            }
        }
        assert!(engine.is_finished(), "it waits for something that never comes");
        let steps = 0..u32::try_from(dag.steps.len()).unwrap();
        let mut view = view(dag, resume);
        for record in &world.history.records {
            view.apply(record);
        }
        for index in steps {
            let node = Node::Step(index);
            assert_eq!(engine.node_status(node), view.node(node).map(|view| view.status));
        }
        assert_eq!(engine.status(), view.status);
        world.history.steps = view.steps;
        world.history
    }
}

impl World<'_> {
    fn instant(&self) -> Now {
        Now {
            wall: Time(i64::try_from(self.now).unwrap()),
            boot: Boot(self.now),
        }
    }

    fn trace(&mut self, line: Line) {
        self.history.effects.push((Boot(self.now), line));
    }

    fn record(&mut self, fact: Fact) {
        self.history.records.push(Record {
            seq: u64::try_from(self.history.records.len()).unwrap(),
            at: self.instant().wall,
            fact,
        });
    }

    fn shell(&mut self, fact: Fact) {
        self.trace(Line::Shell(fact.clone()));
        self.record(fact);
    }

    /// Plans something. Among equals the order is chance.
    fn plan(&mut self, after: u64, happening: Happening) -> u64 {
        self.plan_at(self.now + after, happening)
    }

    fn plan_at(&mut self, at: u64, happening: Happening) -> u64 {
        self.count += 1;
        self.queue.insert((at, self.rng.next(), self.count), happening);
        self.count
    }

    fn soon(&mut self, micros: usize) -> u64 {
        u64::try_from(self.rng.below(micros)).unwrap()
    }

    /// The next event for the engine.
    fn next(&mut self) -> Option<Event> {
        while let Some(((at, _, _), happening)) = self.queue.pop_first() {
            self.now = self.now.max(at);
            let event = match happening {
                Happening::Tell(event) => event,
                Happening::Due(timer, number) => {
                    if self.timers.get(&timer) != Some(&number) {
                        continue;
                    }
                    self.timers.remove(&timer);
                    Event::Timer(timer)
                }
                Happening::Answer(key, number, event) => {
                    if self.open.get(&key) != Some(&number) {
                        continue;
                    }
                    self.open.remove(&key);
                    self.ended(key, &event);
                    event
                }
            };
            if matches!(event, Event::Initialised(_)) && !std::mem::take(&mut self.initialising) {
                continue;
            }
            self.echo(&event);
            return Some(event);
        }
        None
    }

    /// What is about one question of a node may come again, and has to be ignored.
    fn echo(&mut self, event: &Event) {
        let keyed = matches!(
            event,
            Event::Prepared(..)
                | Event::TryEnded(..)
                | Event::RepeatChecked(..)
                | Event::Timer(Timer::NextTry(_) | Timer::TryTimeout(_))
        );
        if keyed && self.plan.echoes && self.rng.percent(10) {
            let after = self.soon(4_000_000);
            self.plan(after, Happening::Tell(event.clone()));
        }
    }

    fn ended(&mut self, key: NodeKey, event: &Event) {
        if let Event::TryEnded(_, end) = event {
            self.running.remove(&key);
            let node = key.node;
            if let Some(exit) = end.exit {
                let cause = None;
                self.shell(Fact::NodeExited { node, exit, cause });
            }
            if let (Some(value), Some(output)) = (&end.output, self.step(node).and_then(|s| s.output.clone()))
            {
                let value = value.clone();
                let name = output.name;
                self.shell(Fact::NodeOutput { node, name, value });
            }
        }
    }

    fn step(&self, node: Node) -> Option<&proctor::dag::Step> {
        match node {
            Node::Step(index) => self.dag.steps.get(usize::try_from(index).unwrap()),
            Node::Handler(wanted) => {
                let found = self.dag.handlers.iter().find(|(handler, _)| *handler == wanted);
                found.map(|(_, step)| step)
            }
        }
    }

    fn answer(&mut self, key: NodeKey, after: u64, event: Event) {
        let number = self.count + 1;
        self.plan(after, Happening::Answer(key, number, event));
        self.open.insert(key, number);
    }

    fn perform(&mut self, effect: Effect) {
        self.trace(Line::Wants(effect.clone()));
        match effect {
            Effect::Record(fact) => self.record(fact),
            Effect::Initialise => {
                self.initialising = true;
                let after = self.soon(400_000);
                self.plan(after, Happening::Tell(Event::Initialised(self.fate.initialise())));
            }
            Effect::Prepare(key) => {
                let after = self.soon(30_000);
                let answer = self.fate.prepare(key.node);
                self.answer(key, after, Event::Prepared(key, answer));
            }
            Effect::Execute(key) => self.execute(key),
            Effect::CheckRepeat(key) => {
                let after = self.soon(30_000);
                let tries = self.tries[&key.node];
                let answer = self.fate.repeat_check(key.node, tries);
                self.answer(key, after, Event::RepeatChecked(key, answer));
            }
            Effect::Signal(key, signal) => self.signal(key, signal),
            Effect::Kill(key) => self.kill(key),
            Effect::KillTree => {
                let keys: Vec<NodeKey> = self.open.keys().copied().collect();
                for key in keys {
                    self.kill(key);
                }
                if self.initialising {
                    let after = self.soon(40_000);
                    self.plan(
                        after,
                        Happening::Tell(Event::Initialised(Err("killed".to_owned()))),
                    );
                }
                let after = self.soon(100_000);
                self.plan(after, Happening::Tell(Event::TreeEmpty));
            }
            Effect::Arm(timer, at) => {
                // A timer is never early, but it may be late.
                let late = if self.rng.percent(20) {
                    self.soon(20_000)
                } else {
                    0
                };
                let number = self.count + 1;
                self.plan_at(at.0.max(self.now) + late, Happening::Due(timer, number));
                self.timers.insert(timer, number);
            }
            Effect::Disarm(timer) => {
                self.timers.remove(&timer);
            }
            Effect::Leave => {
                assert!(self.running.is_empty(), "{:?} still run", self.running);
                self.queue
                    .retain(|_, happening| matches!(happening, Happening::Tell(_)));
            }
        }
    }

    fn execute(&mut self, key: NodeKey) {
        let node = key.node;
        let number = self.tries.entry(node).or_insert(0);
        let a_try = self.fate.a_try(node, *number);
        *number += 1;
        let output = format!("{node} {number}");
        let stdout = format!("{}.out", key.serial);
        let stderr = format!("{}.err", key.serial);
        self.shell(Fact::NodeStarted { node, stdout, stderr });
        if a_try.course != Course::NoStart {
            self.running.insert(key);
            self.shell(Fact::NodeSpawned { node, pid: 1 });
        }
        let exit = match a_try.course {
            Course::Exit(code) => Some(Exit::Code(code)),
            Course::Crash(signal) => Some(Exit::Signal { signal, core: true }),
            Course::NoStart | Course::Verdict(_) => None,
        };
        let mut end = self.end(node, exit, Some(output), a_try.output_matched);
        if let Course::Verdict(verdict) = a_try.course {
            end = TryEnd {
                verdict: Some(verdict),
                ..TryEnd::default()
            };
        }
        let late = self.soon(60_000);
        self.answer(key, a_try.millis * 1000 + late, Event::TryEnded(key, end));
    }

    fn end(&self, node: Node, exit: Option<Exit>, output: Option<String>, matched: bool) -> TryEnd {
        let failed = exit != Some(Exit::Code(0));
        let step = self.step(node);
        TryEnd {
            exit,
            error: failed.then(|| format!("ended with {exit:?}")),
            output: output.filter(|_| exit.is_some() && step.is_some_and(|step| step.output.is_some())),
            output_matched: matched && failed && step.is_some_and(|step| !step.continue_on.output.is_empty()),
            verdict: None,
            cause: None,
        }
    }

    /// A process does with a signal what it likes; a question that is signalled is given up.
    fn signal(&mut self, key: NodeKey, signal: i32) {
        if !self.running.contains(&key) {
            return self.give_up(key);
        }
        let number = self.tries[&key.node] - 1;
        let exit = match self.fate.a_try(key.node, number).on_signal {
            _ if self.killed.contains(&key) => return,
            Err(()) => return,
            Ok(Some(code)) => Exit::Code(code),
            Ok(None) => Exit::Signal { signal, core: false },
        };
        let after = self.soon(300_000);
        let end = self.end(key.node, Some(exit), None, false);
        self.answer(key, after, Event::TryEnded(key, end));
    }

    fn kill(&mut self, key: NodeKey) {
        if !self.running.contains(&key) {
            return self.give_up(key);
        }
        if !self.killed.insert(key) {
            return;
        }
        let exit = Exit::Signal {
            signal: 9,
            core: false,
        };
        let after = self.soon(100_000);
        let end = self.end(key.node, Some(exit), None, false);
        self.answer(key, after, Event::TryEnded(key, end));
    }

    /// Now and then the true answer was faster.
    fn give_up(&mut self, key: NodeKey) {
        let Some(number) = self.open.get(&key).copied() else {
            return;
        };
        let planned = self
            .queue
            .iter()
            .find(|(_, happening)| matches!(happening, Happening::Answer(_, known, _) if *known == number));
        let event = match planned {
            Some((_, Happening::Answer(_, _, Event::Prepared(..)))) => {
                Event::Prepared(key, Err("killed".to_owned()))
            }
            Some((_, Happening::Answer(_, _, Event::RepeatChecked(..)))) => {
                Event::RepeatChecked(key, Err("killed".to_owned()))
            }
            // A try without a process ends by itself in a moment.
            _ => return,
        };
        if self.rng.percent(80) {
            let after = self.soon(40_000);
            self.answer(key, after, event);
        }
    }
}
