//! What a node is doing right now: initialising, preparing, executing, checking whether to repeat.
//!
//! A task is a deterministic function of what is known, run again from its beginning whenever a child it asked
//! for has ended: the ends of its children so far are replayed to it, so it comes to the same point and goes on.
//! Thus nothing here waits, and a task can be given up at any moment.

use std::cell::{Cell, OnceCell};
use std::collections::HashSet;
use std::rc::Rc;

use super::calls;
use super::children::{ChildEnd, Purpose, Request, Streams};
use super::context;
use super::copies;
use super::evaluate;
use super::files::{self, LogNames};
use super::mask::Masker;
use super::outputs::Outputs;
use super::references::References;
use super::secrets::{Cover, Secrets};
use super::taps::Taps;
use crate::dag::eval::{Memo, Scope};
use crate::dag::types::{Dag, LogOutput, Shell, Step as DagStep};
use crate::engine::attempt::{Event, NodeKey, TryEnd};
use crate::model::view::RunView;
use crate::model::{Exit, Fact, Handler, Node, RunStatus};
use crate::wire::shim::ShimSpec;

/// Names a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TaskKey {
    /// Parameters, environment and preconditions of the run.
    Initialise,
    /// Something asked for a node.
    Node(NodeKey),
}

/// What does not change during the attempt, and the run's secrets and scope once they are known.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) spec: ShimSpec,
    pub(super) dag: Dag,
    pub(super) default_shell: Shell,
    pub(super) references: References,
    pub(super) secrets: OnceCell<Secrets>,
    pub(super) base: OnceCell<Base>,
    pub(super) outputs: Outputs,
    log_files: OnceCell<HashSet<String>>,
}

/// What `Initialise` came to.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) scope: Scope,
    pub(super) params: Vec<(String, String)>,
}

impl Facts {
    pub(super) fn new(spec: ShimSpec, dag: Dag) -> Self {
        let default_shell = Shell {
            program: spec.default_shell.clone(),
            args: Vec::new(),
        };
        Self {
            references: References::of(&dag),
            spec,
            dag,
            default_shell,
            secrets: OnceCell::new(),
            base: OnceCell::new(),
            outputs: Outputs::default(),
            log_files: OnceCell::new(),
        }
    }

    /// What hides the secrets; none if there are none.
    pub(super) fn masker(&self) -> Option<&Rc<Masker>> {
        self.secrets.get().and_then(Secrets::masker)
    }

    /// How secrets are hidden now in what a command wrote.
    pub(super) fn cover(&self) -> Cover<'_> {
        match self.masker() {
            Some(masker) => Cover::Mask(masker),
            None if self.is_blind() => Cover::Everything,
            None => Cover::Nothing,
        }
    }

    /// Whether the DAG has secrets that are not known yet. No value may be told then: one may be in it.
    pub(super) fn is_blind(&self) -> bool {
        !self.dag.secrets.is_empty() && self.secrets.get().is_none()
    }

    /// The definition of a node.
    pub(super) fn step(&self, node: Node) -> Option<&DagStep> {
        match node {
            Node::Step(index) => self.dag.steps.get(usize::try_from(index).ok()?),
            Node::Handler(handler) => self.handler(handler),
        }
    }

    fn handler(&self, handler: Handler) -> Option<&DagStep> {
        self.dag
            .handlers
            .iter()
            .find(|(known, _)| *known == handler)
            .map(|(_, step)| step)
    }

    /// Every node of the DAG.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node> {
        let steps = (0..).zip(&self.dag.steps).map(|(index, _)| Node::Step(index));
        let handlers = self
            .dag
            .handlers
            .iter()
            .map(|(handler, _)| Node::Handler(*handler));
        steps.chain(handlers)
    }

    pub(super) fn log_names(&self, node: Node) -> LogNames {
        let (name, output) = self.step(node).map_or(("unknown", LogOutput::Separate), |step| {
            (&*step.name, step.log_output)
        });
        LogNames::of(node, name, output)
    }

    /// The names of all logs of steps and handlers.
    pub(super) fn log_files(&self) -> &HashSet<String> {
        self.log_files.get_or_init(|| {
            let names = self.nodes().map(|node| self.log_names(node));
            names.flat_map(|names| [names.stdout, names.stderr]).collect()
        })
    }
}

/// What a task does.
#[derive(Debug)]
pub(super) enum Work {
    Initialise,
    Prepare,
    Execute(Box<Try>),
    CheckRepeat,
}

/// One try of a node.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) streams: Streams,
    /// Pipes in front of the two files, see [`super::taps`].
    pub(super) taps: Option<Taps>,
    /// Lengths of the two logs when the try began.
    pub(super) from: (u64, u64),
    /// Files of the DAG's choice that get a copy, once their paths are evaluated.
    pub(super) copies: OnceCell<Vec<copies::Copy>>,
    /// How many of its commands have succeeded, and how many results of substitutions were used then.
    pub(super) ended: Cell<(usize, usize)>,
    /// Its sub-runs, if it calls any.
    pub(super) called: calls::Called,
}

impl Work {
    pub(super) fn execute(streams: Streams, taps: Option<Taps>) -> Self {
        let from = (files::length(&streams.stdout), files::length(&streams.stderr));
        Self::Execute(Box::new(Try {
            streams,
            taps,
            from,
            copies: OnceCell::new(),
            ended: Cell::default(),
            called: calls::Called::default(),
        }))
    }
}

impl Try {
    /// Writes a line of the shim's own to the step's standard output.
    pub(super) fn say(&self, line: &str) -> std::io::Result<()> {
        match &self.taps {
            Some(taps) => {
                taps.say(line);
                Ok(())
            }
            None => std::io::Write::write_all(&mut &self.streams.stdout, format!("{line}\n").as_bytes()),
        }
    }
}

/// A task with what its children came to so far.
#[derive(Debug)]
pub(super) struct Task {
    work: Work,
    memo: Memo,
    ends: Vec<ChildEnd>,
    asked: Option<Purpose>,
    refused: Option<String>,
    /// The child that runs for it.
    pub(super) running: Option<u32>,
}

/// How a task stands after it was run.
#[derive(Debug)]
pub(super) enum Step {
    /// It waits for this child.
    Need(Box<Request>),
    /// It waits for these sub-runs.
    Calls(Rc<calls::Planned>),
    /// It is finished: the facts to record, then the engine's answer.
    Done { event: Event, facts: Vec<Fact> },
}

impl Task {
    pub(super) fn new(work: Work) -> Self {
        Self {
            work,
            memo: Memo::new(),
            ends: Vec::new(),
            asked: None,
            refused: None,
            running: None,
        }
    }

    /// Files for the output of the step's commands.
    pub(super) fn streams(&self) -> Option<&Streams> {
        match &self.work {
            Work::Execute(tried) => Some(&tried.streams),
            Work::Initialise | Work::Prepare | Work::CheckRepeat => None,
        }
    }

    /// Pipes in front of those files.
    pub(super) fn taps(&self) -> Option<&Taps> {
        match &self.work {
            Work::Execute(tried) => tried.taps.as_ref(),
            Work::Initialise | Work::Prepare | Work::CheckRepeat => None,
        }
    }

    /// Files that get a copy of its logs.
    pub(super) fn copies(&self) -> &[copies::Copy] {
        match &self.work {
            Work::Execute(tried) => tried.copies.get().map(Vec::as_slice).unwrap_or_default(),
            Work::Initialise | Work::Prepare | Work::CheckRepeat => &[],
        }
    }

    /// No further child is started for it; the first reason stays.
    pub(super) fn refuse(&mut self, why: &str) {
        self.refused.get_or_insert_with(|| why.to_owned());
    }

    /// Whether no further child is started for it, because what runs is to end.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// The child it asked for has ended.
    pub(super) fn answer(&mut self, end: ChildEnd) {
        if self.asked == Some(Purpose::Substitution) {
            self.memo.push(match end.exit {
                Some(Exit::Code(0)) => Ok(end.output),
                Some(exit) => Err(evaluate::describe_exit(exit, &end.error, end.cause)),
                None => Err(end.error),
            });
        } else {
            self.ends.push(end);
        }
    }

    /// The sub-runs it wanted have ended.
    pub(super) fn answer_calls(&mut self, ends: Vec<calls::Ended>) {
        if let Work::Execute(tried) = &self.work {
            tried.called.ends.get_or_init(|| ends);
        }
    }

    /// Runs the task as far as it comes.
    pub(super) fn step(&mut self, key: TaskKey, facts: &Facts, view: &RunView, status: RunStatus) -> Step {
        let cx = context::Cx::new(facts, view, status, &self.memo, &self.ends);
        let halted = match (key, &self.work) {
            (TaskKey::Initialise, _) => evaluate::initialise(&cx).map(|(met, params)| {
                let facts = vec![Fact::Params { params }];
                (Event::Initialised(Ok(met)), facts)
            }),
            (TaskKey::Node(key), Work::Prepare | Work::Initialise) => {
                evaluate::prepare(&cx, key.node).map(|ready| (Event::Prepared(key, Ok(ready)), Vec::new()))
            }
            (TaskKey::Node(key), Work::CheckRepeat) => evaluate::check_repeat(&cx, key.node)
                .map(|met| (Event::RepeatChecked(key, Ok(met)), Vec::new())),
            (TaskKey::Node(key), Work::Execute(tried)) => {
                evaluate::execute(&cx, key.node, tried).map(|end| try_ended(key, facts, end))
            }
        };
        match halted {
            Ok((event, facts)) => Step::Done { event, facts },
            Err(context::Halt::Need(request)) => match &self.refused {
                None => {
                    self.asked = Some(request.purpose);
                    Step::Need(request)
                }
                Some(why) => self.give_up(key, facts, view, why.clone()),
            },
            Err(context::Halt::Calls) => self.calls(key, facts, view),
            Err(context::Halt::Fail(error)) => self.give_up(key, facts, view, error),
        }
    }

    /// The sub-runs that the try has planned.
    fn calls(&self, key: TaskKey, facts: &Facts, view: &RunView) -> Step {
        let planned = match &self.work {
            Work::Execute(tried) => tried.called.planned.get(),
            Work::Initialise | Work::Prepare | Work::CheckRepeat => None,
        };
        match (&self.refused, planned) {
            (None, Some(planned)) => Step::Calls(Rc::clone(planned)),
            (Some(why), _) => self.give_up(key, facts, view, why.clone()),
            (None, None) => self.give_up(key, facts, view, String::from("only a step can call")),
        }
    }

    /// The answer of a task that cannot go on.
    fn give_up(&self, key: TaskKey, facts: &Facts, view: &RunView, error: String) -> Step {
        let error = match &self.refused {
            Some(why) if *why != error => format!("{error} ({why})"),
            _ => error,
        };
        let (event, facts) = match (key, &self.work) {
            (TaskKey::Initialise, _) => (Event::Initialised(Err(error)), Vec::new()),
            (TaskKey::Node(key), Work::Prepare | Work::Initialise) => {
                (Event::Prepared(key, Err(error)), Vec::new())
            }
            (TaskKey::Node(key), Work::CheckRepeat) => (Event::RepeatChecked(key, Err(error)), Vec::new()),
            (TaskKey::Node(key), Work::Execute(tried)) => {
                let exit = self.ends.iter().rev().find_map(|end| end.exit);
                let mut end = TryEnd {
                    exit,
                    error: Some(error),
                    ..TryEnd::default()
                };
                evaluate::finish(facts, view, key.node, tried, &mut end);
                try_ended(key, facts, end)
            }
        };
        Step::Done { event, facts }
    }
}

/// The end of a try, with its captured output as a fact before it.
fn try_ended(key: NodeKey, facts: &Facts, end: TryEnd) -> (Event, Vec<Fact>) {
    let name = facts
        .step(key.node)
        .and_then(|step| step.output.as_ref())
        .map(|output| &output.name);
    let output = name
        .zip(end.output.as_ref())
        .map(|(name, value)| Fact::NodeOutput {
            node: key.node,
            name: name.clone(),
            value: value.clone(),
        });
    (Event::TryEnded(key, end), output.into_iter().collect())
}
