//! The top of a DAG document: one value per key (seed-spec 9.2).

use super::basics::{dotenv, env, log_output, shell, tags};
use super::conditions::conditions;
use super::execution::execution;
use super::fields::{get, integer, natural, natural32, text, wrong};
use super::handlers::handlers;
use super::scheduling::{scheduling, warn_without_plan};
use super::secrets::secrets;
use super::steps::{Context, defaults, steps};
use super::{LoadOptions, keys, names, param_defs};
use crate::dag::diag::{Pos, Report};
use crate::dag::types::{Action, Dag, DagKind};
use crate::dag::yaml::{Entry, Node};
use crate::model::limits::OUTPUTS_MAX;
use crate::model::{DagName, GroupName};

/// Where the name of a DAG comes from.
pub(super) enum Naming<'a> {
    /// The first document: from the caller, the text, or the file's name.
    Main {
        options: &'a LoadOptions<'a>,
        stem: &'a str,
    },
    /// A further document: it has to say.
    Local { options: &'a LoadOptions<'a> },
}

impl Naming<'_> {
    const fn options(&self) -> &LoadOptions<'_> {
        match self {
            Self::Main { options, .. } | Self::Local { options } => options,
        }
    }
}

/// Reports a document that is no map, and its unknown keys.
pub(super) fn check_document(document: &Node, report: &mut Report) -> bool {
    let Some(entries) = document.as_map() else {
        let message = format!("the document is {}: it is not a DAG", document.describe());
        report.error_hint(document.at, message, "a DAG is a map with the key `steps`");
        return false;
    };
    keys::check(report, entries, &keys::TOP);
    true
}

/// The name that a document has. None only if something is wrong with it, which the report tells.
pub(super) fn name_of(document: &Node, naming: &Naming<'_>, report: &mut Report) -> Option<DagName> {
    let Some(entries) = document.as_map() else {
        check_document(document, report);
        return None;
    };
    name(report, entries, naming, document.at)
}

/// Reads one document. None only if something is wrong that the report tells.
pub(super) fn dag(document: &Node, naming: &Naming<'_>, report: &mut Report) -> Option<Dag> {
    let Some(entries) = document.as_map() else {
        check_document(document, report);
        return None;
    };
    // Keys of the base configuration were checked with it.
    let own = entries
        .iter()
        .filter(|entry| entry.key_at.file == document.at.file);
    keys::check(report, own.clone(), &keys::TOP);
    if matches!(naming, Naming::Local { .. }) {
        warn_without_plan(report, own);
    }

    let value = |key| get(entries, key).map(|entry| &entry.value);
    let name = name(report, entries, naming, document.at);
    let label = |report: &mut Report, key: &'static str| {
        value(key)
            .and_then(|node| text(report, key, node))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let group = label(report, "group");
    let description = label(report, "description");
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    let working_dir = filled(label(report, "working_dir"))
        .or_else(|| naming.options().default_working_dir.map(str::to_owned));
    let log_dir = filled(label(report, "log_dir"));
    let number =
        |report: &mut Report, key: &'static str| value(key).and_then(|node| natural(report, key, node));

    let context = Context {
        defaults: value("defaults")
            .map(|node| defaults(report, node))
            .unwrap_or_default(),
        log_output: value("log_output")
            .and_then(|node| log_output(report, node))
            .unwrap_or_default(),
    };
    let kind = value("type")
        .and_then(|node| kind(report, node))
        .unwrap_or_default();
    let steps = built_steps(report, entries, &context, kind, document.at);
    let handlers = value("handler_on")
        .map(|node| handlers(report, node, &context))
        .unwrap_or_default();
    let (schedule, scheduling) = scheduling(report, entries);
    let queue = value("queue").and_then(|node| queue(report, node));
    let max_active_runs = max_active_runs(report, entries, queue.is_some());
    worker_selector(report, entries);
    let (dotenv, dotenv_implied) = dotenv_files(report, entries);

    Some(Dag {
        group,
        description,
        kind,
        tags: value("tags").map(|node| tags(report, node)).unwrap_or_default(),
        params: value("params")
            .map(|node| param_defs::params(report, entries, node, naming.options()))
            .unwrap_or_default(),
        env: value("env").map(|node| env(report, node)).unwrap_or_default(),
        dotenv,
        dotenv_implied,
        working_dir,
        shell: value("shell").and_then(|node| shell(report, node)),
        log_dir,
        log_output: context.log_output,
        steps,
        handlers,
        preconditions: value("preconditions")
            .map(|node| conditions(report, node))
            .unwrap_or_default(),
        timeout_sec: number(report, "timeout_sec").unwrap_or(0),
        delay_sec: number(report, "delay_sec").unwrap_or(0),
        restart_wait_sec: number(report, "restart_wait_sec").unwrap_or(0),
        max_active_steps: value("max_active_steps")
            .and_then(|node| natural32(report, "max_active_steps", node))
            .unwrap_or(0),
        max_clean_up_time_sec: number(report, "max_clean_up_time_sec").unwrap_or(5),
        max_output_size: value("max_output_size")
            .and_then(|node| output_size(report, node))
            .unwrap_or(1024 * 1024),
        queue,
        max_active_runs,
        schedule,
        scheduling,
        // 0 is the default (seed-spec 9.2).
        hist_retention_days: value("hist_retention_days")
            .and_then(|node| integer(report, "hist_retention_days", node))
            .filter(|days| *days != 0),
        secrets: value("secrets")
            .map(|node| secrets(report, node))
            .unwrap_or_default(),
        local_dags: Vec::new(),
        base_config: None,
        execution: execution(report, entries, matches!(naming, Naming::Main { .. })),
        name: name?,
    })
}

fn built_steps(
    report: &mut Report,
    entries: &[Entry],
    context: &Context,
    kind: DagKind,
    at: Pos,
) -> Vec<crate::dag::Step> {
    let Some(entry) = get(entries, "steps") else {
        report.warn(at, "the DAG has no steps: a run of it does nothing");
        return Vec::new();
    };
    let errors = report.error_count();
    let mut drafts = steps(report, &entry.value, context);
    if kind == DagKind::Chain {
        for draft in &drafts.steps {
            if let Some((_, at)) = draft.depends.as_ref().and_then(|names| names.first()) {
                let message = "depends field is not allowed for DAGs with type 'chain'";
                report.error_hint(*at, message, "write `type: graph` at the top of the DAG");
            }
            if matches!(draft.step.action, Action::Route(_)) {
                let message = "router steps require type 'graph'";
                report.error_hint(draft.at, message, "write `type: graph` at the top of the DAG");
            }
        }
    }
    names::assign(report, &mut drafts.steps);
    // A dependency on a step that could not be read would be reported as an unknown one.
    if report.error_count() == errors || kind == DagKind::Graph {
        names::link(report, &mut drafts.steps, &drafts.groups, kind);
    }
    drafts.steps.into_iter().map(|draft| draft.step).collect()
}

fn name(report: &mut Report, entries: &[Entry], naming: &Naming<'_>, at: Pos) -> Option<DagName> {
    let written = get(entries, "name").and_then(|entry| {
        let name = text(report, "name", &entry.value)?.trim();
        Some((name, entry.value.at))
    });
    if get(entries, "name").is_some() && written.is_none() {
        return None;
    }
    let Naming::Main { options, stem } = naming else {
        let Some((name, at)) = written.filter(|(name, _)| !name.is_empty()) else {
            report.error(at, "a further document needs a `name` of its own");
            return None;
        };
        return checked_name(report, name, at);
    };
    if let Some(name) = options.name {
        return match DagName::new(name.trim()) {
            Ok(name) => Some(name),
            Err(error) => {
                report.error_nowhere(error.to_string());
                None
            }
        };
    }
    if let Some((name, at)) = written.filter(|(name, _)| !name.is_empty()) {
        return checked_name(report, name, at);
    }
    match DagName::new(*stem) {
        Ok(name) => Some(name),
        Err(error) => {
            let message = format!("the DAG has no `name`, and the file's name cannot serve as one: {error}");
            report.error_hint(at, message, "add `name:` at the top of the DAG");
            None
        }
    }
}

fn checked_name(report: &mut Report, name: &str, at: Pos) -> Option<DagName> {
    match DagName::new(name) {
        Ok(name) => Some(name),
        Err(error) => {
            report.error(at, error.to_string());
            None
        }
    }
}

/// Captured output of no bytes at all is of no use; 0 is the default, as it is without the key.
fn output_size(report: &mut Report, node: &Node) -> Option<u64> {
    let size = natural(report, "max_output_size", node).filter(|size| *size > 0)?;
    if usize::try_from(size).is_ok_and(|size| size > OUTPUTS_MAX) {
        let message = format!("all captured outputs of a run together have room for {OUTPUTS_MAX} bytes");
        report.warn(node.at, message);
    }
    Some(size)
}

fn kind(report: &mut Report, node: &Node) -> Option<DagKind> {
    match text(report, "type", node)?.trim() {
        "" | "chain" => Some(DagKind::Chain),
        "graph" => Some(DagKind::Graph),
        _ => {
            wrong(report, "type", "`chain` or `graph`", node);
            None
        }
    }
}

fn queue(report: &mut Report, node: &Node) -> Option<GroupName> {
    let name = text(report, "queue", node)?.trim();
    if name.is_empty() {
        return None;
    }
    match GroupName::new(name) {
        Ok(name) => Some(name),
        Err(error) => {
            report.error(node.at, error.to_string());
            None
        }
    }
}

fn max_active_runs(report: &mut Report, entries: &[Entry], has_queue: bool) -> Option<u32> {
    let entry = get(entries, "max_active_runs")?;
    let value = natural32(report, "max_active_runs", &entry.value)?;
    if !has_queue && value > 1 {
        let message = format!(
            "max_active_runs={value} is deprecated; name a global queue with `queue` to bound how many runs are live"
        );
        report.warn(entry.key_at, message);
    }
    Some(value)
}

fn worker_selector(report: &mut Report, entries: &[Entry]) {
    let Some(entry) = get(entries, "worker_selector") else {
        return;
    };
    match (entry.value.as_str().map(str::trim), entry.value.as_map()) {
        (Some("local"), _) | (None, Some([])) => {}
        (None, Some(_)) => report.error_hint(
            entry.key_at,
            "`worker_selector` is not supported by this version",
            "all steps run on this machine; leave it out",
        ),
        _ => report.error(
            entry.value.at,
            "`worker_selector`: the only allowed string value is \"local\"",
        ),
    }
}

/// `.env` comes first unless the list is there and empty, which turns dotenv files off (seed-spec 7.9).
fn dotenv_files(report: &mut Report, entries: &[Entry]) -> (Vec<String>, bool) {
    const FIRST: &str = ".env";
    let Some(entry) = get(entries, "dotenv") else {
        return (vec![FIRST.to_owned()], true);
    };
    let mut files: Vec<String> = Vec::new();
    if entry.value.as_list().is_some_and(<[Node]>::is_empty) {
        return (files, false);
    }
    let written = dotenv(report, &entry.value);
    let implied = !written.iter().any(|file| file == FIRST);
    let mut seen = std::collections::HashSet::new();
    for file in std::iter::once(FIRST.to_owned()).chain(written) {
        if seen.insert(file.clone()) {
            files.push(file);
        }
    }
    (files, implied)
}
