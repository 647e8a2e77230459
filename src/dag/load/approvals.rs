//! `approval`: what a person is asked before the steps behind this one start (seed-spec 7.18).

use std::collections::HashSet;

use super::fields::{get, is_variable, map, text, texts};
use super::keys;
use crate::dag::diag::{Pos, Report, closest};
use crate::dag::types::Approval;
use crate::dag::yaml::{Entry, Node};

/// Reads `approval`. An empty map asks for nothing but the approval itself.
pub(super) fn approval(report: &mut Report, node: &Node) -> Option<Approval> {
    let entries = map(report, node, &keys::APPROVAL)?;
    let prompt = get(entries, "prompt").and_then(|entry| text(report, "approval.prompt", &entry.value));
    let input = names(report, entries, "input");
    let required = names(report, entries, "required");
    let known: HashSet<&str> = input.iter().map(|(name, _)| name.as_str()).collect();
    for (name, at) in &required {
        if !known.contains(name.as_str()) && !report.is_full() {
            let message = format!("the required input {name:?} is not in `input`");
            match closest(name, input.iter().map(|(known, _)| known.as_str())) {
                Some(guess) => report.error_hint(*at, message, format!("did you mean `{guess}`?")),
                None => report.error_hint(*at, message, "add it to `input`"),
            }
        }
    }
    let plain = |names: Vec<(String, _)>| names.into_iter().map(|(name, _)| name).collect();
    Some(Approval {
        prompt: prompt.unwrap_or_default().trim().to_owned(),
        input: plain(input),
        required: plain(required),
    })
}

/// Names of variables, each once.
fn names(report: &mut Report, entries: &[Entry], key: &str) -> Vec<(String, Pos)> {
    let Some(entry) = get(entries, key) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for (name, at) in texts(report, key, &entry.value) {
        let name = name.trim().to_owned();
        if !is_variable(&name) {
            report.error(at, format!("{name:?} cannot be the name of a variable"));
        } else if seen.insert(name.clone()) {
            found.push((name, at));
        }
    }
    found
}
