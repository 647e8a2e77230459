//! A DAG as a drawing: what there is to draw, for every way of drawing it.
//!
//! [`Chart`] is what is drawn: steps with their kind and marks, edges with the labels of routes, layers. `layout`
//! decides where things stand on a terminal, `text` draws that, `dot` and `mermaid` leave the layout to others.

pub(crate) mod dot;
pub(crate) mod json;
mod layout;
pub(crate) mod mermaid;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod text;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::words;
use crate::dag::graph::Graph;
use crate::dag::types::{Action, Command, Number};
use crate::dag::{Dag, Step};

/// What a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Command lines.
    Command,
    /// A script.
    Script,
    /// A call of another DAG.
    Call,
    /// A router.
    Router,
    /// It does nothing.
    Nothing,
}

impl Kind {
    /// That of a step.
    pub(crate) const fn of(step: &Step) -> Self {
        match &step.action {
            Action::Commands(_) => Self::Command,
            Action::Script { .. } => Self::Script,
            Action::Nothing => Self::Nothing,
            Action::Call(_) => Self::Call,
            Action::Route(_) => Self::Router,
        }
    }

    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Script => "script",
            Self::Call => "call",
            Self::Router => "router",
            Self::Nothing => "nothing",
        }
    }
}

/// A step, as far as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vertex {
    /// Its name.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// What it runs, calls or decides on, on one line.
    pub(crate) detail: String,
    /// What else matters, a few words each.
    pub(crate) marks: Vec<String>,
}

/// That one step waits for another; both are positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    /// The step that comes first.
    pub(crate) from: usize,
    /// The step that waits.
    pub(crate) to: usize,
    /// The patterns with which a router leads here.
    pub(crate) label: Option<String>,
}

/// A DAG, as far as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chart {
    /// Its name.
    pub(crate) name: String,
    /// Steps in order of definition.
    pub(crate) steps: Vec<Vertex>,
    /// Each pair of steps at most once, in order of the step that waits.
    pub(crate) edges: Vec<Edge>,
    /// Positions of the steps that can run at the same time, from the first to the last.
    pub(crate) layers: Vec<Vec<usize>>,
    /// Handlers, each with the word for its moment.
    pub(crate) handlers: Vec<(&'static str, Vertex)>,
    /// Further DAGs of the file.
    pub(crate) locals: Vec<Self>,
}

/// Longest detail, in characters.
const DETAIL_MAX: usize = 60;

impl Chart {
    /// What is drawn of a DAG. Linear in steps and edges.
    pub(crate) fn new(dag: &Dag) -> Self {
        let layers = Graph::new(&dag.steps).levels();
        Self {
            name: dag.name.to_string(),
            steps: dag.steps.iter().map(Vertex::new).collect(),
            edges: edges(&dag.steps),
            layers: layers
                .into_iter()
                .map(|layer| layer.into_iter().map(index).collect())
                .collect(),
            handlers: dag
                .handlers
                .iter()
                .map(|(handler, step)| (handler.as_str(), Vertex::new(step)))
                .collect(),
            locals: dag.local_dags.iter().map(Self::new).collect(),
        }
    }

    /// The steps that call further DAGs of the file, with the position of what they call.
    pub(crate) fn calls(&self) -> Vec<(usize, usize)> {
        let locals: HashMap<&str, usize> = self
            .locals
            .iter()
            .enumerate()
            .map(|(at, local)| (local.name.as_str(), at))
            .collect();
        let calls = self.steps.iter().enumerate();
        calls
            .filter(|(_, step)| step.kind == Kind::Call)
            .filter_map(|(at, step)| Some((at, *locals.get(step.detail.as_str())?)))
            .collect()
    }
}

impl Vertex {
    fn new(step: &Step) -> Self {
        let detail = match &step.action {
            Action::Commands(commands) => several(commands),
            Action::Script { text, .. } => summary(text),
            Action::Call(call) => call.target.clone(),
            Action::Route(router) => router.value.clone(),
            Action::Nothing => String::new(),
        };
        let mut marks = Vec::new();
        if let Action::Call(call) = &step.action {
            marks.extend(words::items(call));
        }
        if !step.preconditions.is_empty() {
            marks.push(words::count(step.preconditions.len(), "condition"));
        }
        if let Some(policy) = &step.retry
            && policy.limit != Number::Known(0.0)
        {
            marks.push(format!("retry {}", words::number(&policy.limit)));
        }
        if step.repeat.is_some() {
            marks.push("repeat".to_owned());
        }
        if step.approval.is_some() {
            marks.push("approval".to_owned());
        }
        Self {
            name: step.name.clone(),
            kind: Kind::of(step),
            detail,
            marks,
        }
    }

    /// Kind and detail, the kind of a plain command left out.
    pub(crate) fn what(&self) -> String {
        let word = match self.kind {
            Kind::Command => "$",
            Kind::Script => "script:",
            Kind::Call => "call",
            Kind::Router => "route by",
            Kind::Nothing => return "nothing to do".to_owned(),
        };
        format!("{word} {}", self.detail)
    }
}

fn several(commands: &[Command]) -> String {
    let first = commands.first().map_or("", |command| command.raw.as_str());
    match commands.len() {
        0 | 1 => summary(first),
        more => format!("{} (and {} more)", summary(first), more - 1),
    }
}

/// The first line of a text that says something, cut if it is long.
fn summary(text: &str) -> String {
    let says = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let mut lines = text.lines().map(str::trim);
    let line = lines
        .clone()
        .find(says)
        .or_else(|| lines.next())
        .unwrap_or_default();
    let mut cut: String = line.chars().take(DETAIL_MAX).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    cut
}

fn edges(steps: &[Step]) -> Vec<Edge> {
    let labels = route_labels(steps);
    let mut found = Vec::new();
    for (to, step) in steps.iter().enumerate() {
        let mut seen = HashSet::new();
        for from in step.depends.iter().map(|at| index(*at)) {
            if from < steps.len() && seen.insert(from) {
                let label = labels
                    .get(&(from, step.name.as_str()))
                    .map(|list| list.join(" | "));
                found.push(Edge { from, to, label });
            }
        }
    }
    found
}

/// The patterns by router and name of the target.
fn route_labels(steps: &[Step]) -> BTreeMap<(usize, &str), Vec<&str>> {
    let mut labels: BTreeMap<(usize, &str), Vec<&str>> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        let Action::Route(router) = &step.action else {
            continue;
        };
        for route in &router.routes {
            for target in &route.targets {
                labels
                    .entry((at, target.as_str()))
                    .or_default()
                    .push(&route.pattern);
            }
        }
    }
    labels
}

fn index(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
