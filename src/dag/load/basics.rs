//! Values that DAGs and steps have in common: environment, shell, log output, and the DAG's labels.

use super::fields::{is_variable, scalar, text, texts, wrong};
use crate::dag::diag::{Pos, Report};
use crate::dag::types::{EnvVar, LogOutput, Shell};
use crate::dag::words;
use crate::dag::yaml::{Entry, Node, Value};

/// Reads `env`: a map, or a list of maps and of `KEY=value` texts. The order is that of the text.
pub(super) fn env(report: &mut Report, node: &Node) -> Vec<EnvVar> {
    let mut found = Vec::new();
    match &node.value {
        Value::Map(entries) => env_map(report, entries, &mut found),
        Value::List(items) => {
            for item in items {
                match &item.value {
                    Value::Map(entries) => env_map(report, entries, &mut found),
                    Value::Scalar(_) if item.is_null() => {}
                    _ => env_pair(report, item, &mut found),
                }
            }
        }
        Value::Scalar(_) => wrong(report, "env", "a map, or a list of `KEY=value`", node),
    }
    found
}

fn env_map(report: &mut Report, entries: &[Entry], found: &mut Vec<EnvVar>) {
    for entry in entries {
        if variable(report, &entry.key, entry.key_at)
            && let Some(value) = scalar(report, &entry.key, &entry.value)
        {
            found.push(EnvVar {
                name: entry.key.clone(),
                value: value.to_owned(),
            });
        }
    }
}

fn env_pair(report: &mut Report, item: &Node, found: &mut Vec<EnvVar>) {
    match item.as_str().map(|text| text.split_once('=')) {
        Some(Some((name, value))) => {
            let name = name.trim();
            if variable(report, name, item.at) {
                found.push(EnvVar {
                    name: name.to_owned(),
                    value: value.to_owned(),
                });
            }
        }
        Some(None) => {
            let message = format!("an entry of `env` must be `KEY=value`, not {}", item.describe());
            report.error(item.at, message);
        }
        None => wrong(report, "env", "a map, or a list of `KEY=value`", item),
    }
}

fn variable(report: &mut Report, name: &str, at: Pos) -> bool {
    let fits = is_variable(name);
    if !fits {
        report.error(at, format!("{name:?} cannot be the name of a variable"));
    }
    fits
}

/// Reads `shell`: a command line, or its words. Empty is the same as none.
pub(super) fn shell(report: &mut Report, node: &Node) -> Option<Shell> {
    let words = match &node.value {
        Value::List(items) => items
            .iter()
            .filter_map(|item| scalar(report, "shell", item).map(str::to_owned))
            .collect(),
        Value::Scalar(_) => words::split(text(report, "shell", node)?),
        Value::Map(_) => {
            wrong(report, "shell", "a text or a list", node);
            return None;
        }
    };
    let mut words = words.into_iter();
    let program = words.next()?;
    if program.trim().is_empty() {
        report.error(node.at, "`shell` does not name a program");
        return None;
    }
    Some(Shell {
        program,
        args: words.collect(),
    })
}

/// Reads `log_output`.
pub(super) fn log_output(report: &mut Report, node: &Node) -> Option<LogOutput> {
    match text(report, "log_output", node)? {
        "separate" => Some(LogOutput::Separate),
        "merged" => Some(LogOutput::Merged),
        _ => {
            wrong(report, "log_output", "`separate` or `merged`", node);
            None
        }
    }
}

/// Reads `tags`: texts with commas, a list of texts and maps, or a map. In lower case; empty ones are left out.
pub(super) fn tags(report: &mut Report, node: &Node) -> Vec<String> {
    let mut found = Vec::new();
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    for item in items {
        match &item.value {
            Value::Map(entries) => {
                for entry in entries {
                    if let Some(value) = scalar(report, &entry.key, &entry.value) {
                        push_tag(&mut found, &format!("{}={}", entry.key.trim(), value.trim()));
                    }
                }
            }
            Value::Scalar(_) if item.as_str().is_some() => {
                for tag in item.as_str().unwrap_or_default().split(',') {
                    push_tag(&mut found, tag);
                }
            }
            _ => wrong(report, "tags", "a text, a map or a list of these", item),
        }
    }
    found
}

fn push_tag(found: &mut Vec<String>, tag: &str) {
    let tag = tag.trim().trim_end_matches('=').to_lowercase();
    if !tag.is_empty() {
        found.push(tag);
    }
}

/// Reads `dotenv`: the files that are written. An empty list means none at all, not even `.env`.
pub(super) fn dotenv(report: &mut Report, node: &Node) -> Vec<String> {
    let files = texts(report, "dotenv", node)
        .into_iter()
        .map(|(file, _)| file.trim().to_owned());
    files.filter(|file| !file.is_empty()).collect()
}
