//! What a run of a DAG would do: the plan that `dry-run` shows, for people and as JSON, from one list of entries.
//!
//! Nothing is evaluated: commands, backticks and variables are shown as they are written, with the values of the
//! parameters they name beside them.

mod settings;
mod step;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use anstyle::Style;
use serde_json::{Map, Value, json};

use super::graph::Kind;
use super::words::count;
use super::{Line, coloured};
use crate::dag::graph::Graph;
use crate::dag::params::ResolvedParams;
use crate::dag::{Dag, Step};

/// Most lines of a script that are shown; JSON has them all.
const SCRIPT_LINES: usize = 10;

/// What is told behind a word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// One thing.
    One(String),
    /// A list, a line for each.
    Many(Vec<String>),
    /// A text of several lines.
    Text(String),
}

/// Words and what is told behind each, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Entries(Vec<(&'static str, Told)>);

impl Entries {
    fn one(&mut self, word: &'static str, told: impl Into<Option<String>>) {
        let told = told.into().filter(|told| !told.is_empty());
        self.0.extend(told.map(|told| (word, Told::One(told))));
    }

    fn many(&mut self, word: &'static str, told: Vec<String>) {
        if !told.is_empty() {
            self.0.push((word, Told::Many(told)));
        }
    }

    fn text(&mut self, word: &'static str, told: &str) {
        self.0.push((word, Told::Text(told.to_owned())));
    }

    fn json(&self) -> Map<String, Value> {
        let value = |told: &Told| match told {
            Told::One(text) | Told::Text(text) => json!(text),
            Told::Many(list) => json!(list),
        };
        let entries = self.0.iter();
        entries
            .map(|(word, told)| (word.replace(' ', "_"), value(told)))
            .collect()
    }

    fn lines(&self, indent: &str, width: Option<u16>) -> Vec<String> {
        let mut out = Vec::new();
        for (word, told) in &self.0 {
            let mut word = *word;
            let mut add = |text: &str| {
                let mut line = Line::default();
                line.plain(indent).padded(Style::new().dimmed(), word, 14);
                out.push(line.plain(text).fit(width));
                word = "";
            };
            match told {
                Told::One(text) => add(text),
                Told::Many(list) => list.iter().for_each(|text| add(text)),
                Told::Text(text) => {
                    text.lines().take(SCRIPT_LINES).for_each(&mut add);
                    let more = text.lines().count().saturating_sub(SCRIPT_LINES);
                    if more > 0 {
                        add(&format!("({} more)", count(more, "line")));
                    }
                }
            }
        }
        out
    }
}

/// A step or handler in the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Planned {
    name: String,
    kind: Kind,
    /// Layer, from 1; the moment of a handler instead.
    layer: usize,
    depends: Vec<String>,
    entries: Entries,
}

/// The plan of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    name: String,
    params: Vec<String>,
    settings: Entries,
    /// By layer.
    steps: Vec<Planned>,
    handlers: Vec<(&'static str, Planned)>,
}

/// Parameters, each with its value as it is shown.
struct Values {
    list: Vec<(String, String)>,
    by_name: HashMap<String, usize>,
}

impl Plan {
    /// The plan of a DAG with these parameters; `base_dir` is the directory of its file.
    pub(crate) fn new(dag: &Dag, params: &ResolvedParams, base_dir: &str) -> Self {
        let values = values(dag, params);
        let planned = |step: &Step, layer| Planned {
            name: step.name.clone(),
            kind: Kind::of(step),
            layer,
            depends: names_of(dag, &step.depends),
            entries: step::entries(step, dag, &values),
        };
        let levels = Graph::new(&dag.steps).levels();
        let steps = (1..).zip(levels).flat_map(|(layer, level)| {
            level
                .into_iter()
                .filter_map(|at| dag.steps.get(usize::try_from(at).ok()?))
                .map(move |step| (layer, step))
        });
        Self {
            name: dag.name.to_string(),
            params: values
                .list
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            settings: settings::entries(dag, base_dir),
            steps: steps.map(|(layer, step)| planned(step, layer)).collect(),
            handlers: dag
                .handlers
                .iter()
                .map(|(handler, step)| (handler.as_str(), planned(step, 0)))
                .collect(),
        }
    }

    /// The lines for people.
    pub(crate) fn lines(&self, width: Option<u16>) -> Vec<String> {
        let mut out = vec![format!("{} could be run:", super::escape::escape(&self.name))];
        let params = Entries(vec![("params", Told::Many(self.params.clone()))]);
        out.extend(params.lines("  ", width));
        out.extend(self.settings.lines("  ", width));
        for layer in self.steps.chunk_by(|one, next| one.layer == next.layer) {
            out.push(String::new());
            let number = layer.first().map_or(0, |step| step.layer);
            let at_once = if layer.len() > 1 { ", at the same time" } else { "" };
            out.push(format!("layer {number}: {}{at_once}", count(layer.len(), "step")));
            out.extend(layer.iter().flat_map(|step| step.lines(None, width)));
        }
        if !self.handlers.is_empty() {
            out.push(String::new());
            out.push("handlers".to_owned());
        }
        for (moment, step) in &self.handlers {
            out.extend(step.lines(Some(moment), width));
        }
        out
    }

    /// The JSON object, without warnings.
    pub(crate) fn json(&self) -> Value {
        let handlers: Vec<Value> = self
            .handlers
            .iter()
            .map(|(moment, step)| {
                let mut object = json!({ "on": moment, "name": step.name, "kind": step.kind.as_str() });
                extend(&mut object, &step.entries);
                object
            })
            .collect();
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| {
                let mut object = json!({
                    "name": step.name,
                    "depends": step.depends,
                    "layer": step.layer,
                    "kind": step.kind.as_str(),
                });
                extend(&mut object, &step.entries);
                object
            })
            .collect();
        json!({
            "dag": self.name,
            "params": self.params,
            "settings": self.settings.json(),
            "steps": steps,
            "handlers": handlers,
        })
    }
}

fn extend(object: &mut Value, entries: &Entries) {
    if let Value::Object(object) = object {
        object.extend(entries.json());
    }
}

impl Planned {
    fn lines(&self, moment: Option<&str>, width: Option<u16>) -> Vec<String> {
        let mut line = Line::default();
        line.plain("  ");
        if let Some(moment) = moment {
            line.plain(&format!("on {moment}: "));
        }
        line.text(Style::new().bold(), &self.name)
            .plain("  ")
            .text(coloured(anstyle::AnsiColor::Cyan), self.kind.as_str());
        if !self.depends.is_empty() {
            line.plain("  after ").plain(&self.depends.join(", "));
        }
        let mut out = vec![line.fit(width)];
        out.extend(self.entries.lines("    ", width));
        out
    }
}

/// The values of the parameters. One that is evaluated when the run begins has its expression in place of a value.
fn values(dag: &Dag, params: &ResolvedParams) -> Values {
    let mut list = params.list.clone();
    for position in &params.pending_eval {
        if let Some((name, value)) = list.get_mut(*position)
            && let Some(eval) = dag.params.defs.iter().find(|def| def.name == *name)
            && let Some(eval) = &eval.eval
        {
            value.clone_from(eval);
        }
    }
    let names = list.iter().enumerate();
    Values {
        by_name: names.map(|(at, (name, _))| (name.clone(), at)).collect(),
        list,
    }
}

fn names_of(dag: &Dag, positions: &[u32]) -> Vec<String> {
    let name = |at: &u32| Some(dag.steps.get(usize::try_from(*at).ok()?)?.name.clone());
    positions.iter().filter_map(name).collect()
}
