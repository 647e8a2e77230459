//! What a step would run, and under which rules.

use std::collections::BTreeSet;

use super::settings::env;
use super::{Entries, Values};
use crate::ctl::render::words;
use crate::dag::types::{Action, Call, CallArg, Items, LogOutput, Output, Router};
use crate::dag::{Dag, Step};
use crate::model::outcome::signal_name;

/// Most items that are shown.
const ITEMS_MAX: usize = 20;

/// The entries of a step or handler.
pub(super) fn entries(step: &Step, dag: &Dag, values: &Values) -> Entries {
    let mut entries = Entries::default();
    entries.one("about", step.description.clone());
    match &step.action {
        Action::Commands(commands) => {
            entries.many(
                "runs",
                commands.iter().map(|command| command.raw.clone()).collect(),
            );
        }
        Action::Script { text, command } => {
            entries.one("interpreter", command.as_ref().map(|command| command.raw.clone()));
            entries.text("script", text);
        }
        Action::Nothing => {}
        Action::Call(call) => called(call, dag, &mut entries),
        Action::Route(router) => routed(router, &mut entries),
    }
    entries.many("with", named(step, values));
    entries.many("env", env(&step.env));
    entries.one("shell", step.shell.as_ref().map(words::shell));
    entries.one("directory", step.working_dir.clone());
    entries.many(
        "conditions",
        step.preconditions.iter().map(words::condition).collect(),
    );
    entries.one("retry", step.retry.as_ref().map(words::retry));
    entries.one("repeat", step.repeat.as_ref().map(words::repeat));
    entries.one("goes on if", words::continue_on(&step.continue_on));
    let limit = Some(step.timeout_sec).filter(|limit| *limit > 0);
    entries.one(
        "time limit",
        limit.map(|limit| format!("{} for each try", words::seconds(limit))),
    );
    entries.one("stop signal", step.signal_on_stop.map(signal_name));
    entries.one("waits until", step.approval.as_ref().map(words::approval));
    entries.one("output", step.output.as_ref().map(output));
    entries.one("stdout", step.stdout.clone());
    entries.one("stderr", step.stderr.clone());
    if step.log_output == LogOutput::Merged && dag.log_output != LogOutput::Merged {
        entries.one("logs", "standard output and error in one file".to_owned());
    }
    entries
}

fn output(output: &Output) -> String {
    let kept = match (&output.key, output.omit) {
        (_, true) => ", not among the run's outputs".to_owned(),
        (Some(key), false) => format!(", as {key} among the run's outputs"),
        (None, false) => String::new(),
    };
    format!("the variable {}{kept}", output.name)
}

fn arg(arg: &CallArg) -> String {
    match &arg.name {
        Some(name) => format!("{name}={}", arg.value),
        None => arg.value.clone(),
    }
}

fn called(call: &Call, dag: &Dag, entries: &mut Entries) {
    let local = dag
        .local_dags
        .iter()
        .any(|local| local.name.as_str() == call.target);
    let place = if local { " (a document of this file)" } else { "" };
    entries.one("calls", format!("{}{place}", call.target));
    entries.many("params", call.params.iter().map(arg).collect());
    entries.one("how often", words::items(call));
    if let Some(parallel) = &call.parallel
        && let Items::List(items) = &parallel.items
    {
        let mut told: Vec<String> = items.iter().take(ITEMS_MAX).map(words::item).collect();
        if items.len() > ITEMS_MAX {
            told.push(format!(
                "({} more)",
                words::count(items.len() - ITEMS_MAX, "item")
            ));
        }
        entries.many("items", told);
    }
}

fn routed(router: &Router, entries: &mut Entries) {
    entries.one("decides by", router.value.clone());
    let route =
        |route: &crate::dag::types::Route| format!("{} -> {}", route.pattern, route.targets.join(", "));
    entries.many("routes", router.routes.iter().map(route).collect());
}

/// The parameters that the texts of a step name, each with its value.
fn named(step: &Step, values: &Values) -> Vec<String> {
    let mut names = BTreeSet::new();
    for text in texts(step) {
        references(text, &mut names);
    }
    let value = |name: &str| {
        // A number is a place, from 1.
        let place = || name.parse::<usize>().ok()?.checked_sub(1);
        let at = values.by_name.get(name).copied().or_else(place)?;
        let (_, value) = values.list.get(at)?;
        Some(format!("{name}={value}"))
    };
    names.into_iter().filter_map(value).collect()
}

/// The texts of a step that are evaluated.
fn texts(step: &Step) -> Vec<&str> {
    let mut texts: Vec<&str> = match &step.action {
        Action::Commands(commands) => commands.iter().map(|command| command.raw.as_str()).collect(),
        Action::Script { text, command } => std::iter::once(text.as_str())
            .chain(command.iter().map(|command| command.raw.as_str()))
            .collect(),
        Action::Nothing => Vec::new(),
        Action::Call(call) => {
            let items = match call.parallel.as_ref().map(|parallel| &parallel.items) {
                Some(Items::Expr(text)) => Some(text.as_str()),
                _ => None,
            };
            let values = call.params.iter().map(|arg| arg.value.as_str());
            std::iter::once(call.target.as_str())
                .chain(items)
                .chain(values)
                .collect()
        }
        Action::Route(router) => vec![router.value.as_str()],
    };
    texts.extend(step.env.iter().map(|var| var.value.as_str()));
    texts.extend(
        step.preconditions
            .iter()
            .map(|condition| condition.condition.as_str()),
    );
    texts.extend(
        [&step.working_dir, &step.stdout, &step.stderr]
            .into_iter()
            .flatten()
            .map(String::as_str),
    );
    texts
}

/// Adds the names behind each `$` and `${` of a text.
fn references<'t>(text: &'t str, names: &mut BTreeSet<&'t str>) {
    for rest in text.split('$').skip(1) {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        names.extend(rest.get(..end).filter(|name| !name.is_empty()));
    }
}
