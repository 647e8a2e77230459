//! What a step runs: `command` and `script` (seed-spec 7.16).

use super::fields::{get, scalar, text, wrong};
use crate::dag::diag::Report;
use crate::dag::types::{Action, Command};
use crate::dag::yaml::{Entry, Node, Value};

/// Reads what a step runs.
pub(super) fn action(report: &mut Report, entries: &[Entry]) -> Action {
    let script = get(entries, "script").and_then(|entry| {
        let script = text(report, "script", &entry.value)?.trim();
        if script.is_empty() {
            report.error(entry.value.at, "`script` is empty");
            return None;
        }
        Some(script.to_owned())
    });
    let Some(entry) = get(entries, "command") else {
        return match script {
            Some(text) => Action::Script { text, command: None },
            None => Action::Nothing,
        };
    };
    let command = command(report, &entry.value);
    match (script, command) {
        (None, Some(action)) => action,
        (Some(text), Some(Action::Commands(mut commands))) if commands.len() == 1 => Action::Script {
            text,
            command: commands.pop(),
        },
        (Some(_), Some(_)) => {
            let message = "with `script`, `command` must be one line: the interpreter";
            report.error_hint(entry.key_at, message, "write everything into `script`");
            Action::Nothing
        }
        (_, None) => Action::Nothing,
    }
}

/// Reads `command`, or a step that is only a text: several lines are a script.
pub(super) fn command(report: &mut Report, node: &Node) -> Option<Action> {
    if let Value::List(items) = &node.value {
        let commands: Vec<Command> = items.iter().filter_map(|item| list_item(report, item)).collect();
        if commands.is_empty() {
            report.error(node.at, "`command` has no command in it");
            return None;
        }
        return Some(Action::Commands(commands));
    }
    let line = text(report, "command", node)?.trim();
    if line.is_empty() {
        report.error(node.at, "`command` is empty");
        return None;
    }
    Some(if line.contains('\n') {
        Action::Script {
            text: line.to_owned(),
            command: None,
        }
    } else {
        Action::Commands(vec![Command::new(line)])
    })
}

/// An item of a list of commands; an empty one is left out. `echo a: b` is a map to YAML and is put together again.
fn list_item(report: &mut Report, node: &Node) -> Option<Command> {
    let line = match &node.value {
        Value::Map(entries) => match entries.as_slice() {
            [entry] => {
                let value = scalar(report, "command", &entry.value)?;
                format!("{}: {value}", entry.key)
            }
            _ => {
                wrong(report, "command", "a text or a list of texts", node);
                return None;
            }
        },
        _ => scalar(report, "command", node)?.to_owned(),
    };
    let line = line.trim();
    (!line.is_empty()).then(|| Command::new(line))
}
