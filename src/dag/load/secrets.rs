//! `secrets`: variables whose values are looked up when the run begins (seed-spec 7.9).

use std::collections::HashMap;

use super::fields::{get, is_variable, map, scalar, text, wrong};
use super::keys;
use crate::dag::diag::{Pos, Report};
use crate::dag::types::Secret;
use crate::dag::yaml::{Entry, Node};

/// Where this version can look a secret up.
const PROVIDERS: [&str; 3] = ["env", "file", "credential"];

/// Reads `secrets`. A provider that is not known loads: only a run needs it.
pub(super) fn secrets(report: &mut Report, node: &Node) -> Vec<Secret> {
    let Some(items) = node.as_list() else {
        wrong(report, "secrets", "a list of maps", node);
        return Vec::new();
    };
    let mut names: HashMap<String, Pos> = HashMap::new();
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        let Some(secret) = secret(report, item) else {
            continue;
        };
        if let Some(first) = names.get(&secret.name) {
            let message = format!(
                "duplicate secret name {:?}; the first is on line {}",
                secret.name, first.line
            );
            report.error(item.at, message);
            continue;
        }
        names.insert(secret.name.clone(), item.at);
        found.push(secret);
    }
    found
}

fn secret(report: &mut Report, node: &Node) -> Option<Secret> {
    let entries = map(report, node, &keys::SECRET)?;
    // All three are read before giving up, so that all that lack are reported.
    let name = required(report, node, entries, "name");
    let provider = required(report, node, entries, "provider");
    let key = required(report, node, entries, "key");
    let options = get(entries, "options").map(|entry| options(report, &entry.value));
    let (name, at) = name?;
    if !is_variable(&name) {
        report.error(at, format!("{name:?} cannot be the name of a variable"));
        return None;
    }
    let (provider, at) = provider?;
    if !PROVIDERS.contains(&provider.as_str()) {
        let message = format!(
            "the provider {provider:?} of the secret {name:?} is not supported by this version: a run would fail; \
             known are `env`, `file` and `credential`"
        );
        report.warn(at, message);
    }
    Some(Secret {
        name,
        provider,
        key: key?.0,
        options: options.unwrap_or_default(),
    })
}

fn required(report: &mut Report, node: &Node, entries: &[Entry], key: &str) -> Option<(String, Pos)> {
    let Some(entry) = get(entries, key) else {
        report.error(
            node.at,
            format!("a secret needs a `{key}`: the '{key}' field is required"),
        );
        return None;
    };
    let value = text(report, key, &entry.value)?.trim();
    if value.is_empty() {
        report.error(entry.value.at, format!("`{key}` of a secret is empty"));
        return None;
    }
    Some((value.to_owned(), entry.value.at))
}

fn options(report: &mut Report, node: &Node) -> Vec<(String, String)> {
    let Some(entries) = node.as_map() else {
        wrong(report, "secrets.options", "a map", node);
        return Vec::new();
    };
    entries
        .iter()
        .filter_map(|entry| {
            let value = scalar(report, &entry.key, &entry.value)?;
            Some((entry.key.clone(), value.to_owned()))
        })
        .collect()
}
