//! What a step runs: its type, `command` and `script` (seed-spec 7.16), and which keys go with which type.

use super::fields::{get, scalar, text, wrong};
use super::keys::{LOCAL, STEP_TYPES, STEP_TYPES_REFUSED};
use super::{calls, routers};
use crate::dag::diag::{Pos, Report, closest};
use crate::dag::types::{Action, Command};
use crate::dag::yaml::{Entry, Node, Value};

/// Keys of calls and routers, which a command cannot have: key, message and cure.
const NOT_OF_COMMANDS: [(&str, &str, &str); 5] = [
    (
        "parallel",
        "`parallel` needs `call`: parallel execution is only supported for child-DAGs",
        "make the step a DAG and call it; a nested list of steps runs several steps at the same time",
    ),
    (
        "params",
        "`params` in a step needs `call`",
        "give values to a command through `env`",
    ),
    (
        "worker_selector",
        "`worker_selector` in a step needs `call`",
        LOCAL,
    ),
    (
        "value",
        "`value` in a step needs `type: router`",
        "to run the step only for a value, write a condition under `preconditions`",
    ),
    (
        "routes",
        "`routes` in a step needs `type: router`",
        "write `type: router` and a `value`",
    ),
];

/// Reads the type of a step as it is written, and what the step runs.
pub(super) fn action(report: &mut Report, at: Pos, entries: &[Entry]) -> (String, Action) {
    let name = type_name(report, entries);
    let action = match name.as_str() {
        "router" => routers::router(report, at, entries),
        "dag" | "subworkflow" | "parallel" => {
            not_routed(report, entries);
            calls::call(report, at, entries, &name)
        }
        "" if get(entries, "call").is_some() => {
            not_routed(report, entries);
            calls::call(report, at, entries, "")
        }
        _ => {
            if let Some(entry) = get(entries, "call") {
                let message = format!("a step of type `{name}` cannot `call`");
                report.error_hint(entry.key_at, message, "leave `type` out");
                return (name, Action::Nothing);
            }
            for (key, message, cure) in NOT_OF_COMMANDS {
                if let Some(entry) = get(entries, key) {
                    report.error_hint(entry.key_at, message, cure);
                }
            }
            run(report, entries)
        }
    };
    (name, action)
}

/// `value` and `routes` are for routers only.
fn not_routed(report: &mut Report, entries: &[Entry]) {
    for (key, message, cure) in NOT_OF_COMMANDS {
        if let Some(entry) = get(entries, key).filter(|_| matches!(key, "value" | "routes")) {
            report.error_hint(entry.key_at, message, cure);
        }
    }
}

fn type_name(report: &mut Report, entries: &[Entry]) -> String {
    let Some(entry) = get(entries, "type") else {
        return String::new();
    };
    let name = text(report, "type", &entry.value).unwrap_or_default().trim();
    if name.is_empty() || STEP_TYPES.contains(&name) {
        return name.to_owned();
    }
    let at = entry.value.at;
    if let Some((_, cure)) = STEP_TYPES_REFUSED.iter().find(|(known, _)| *known == name) {
        report.error_hint(
            at,
            format!("steps of type `{name}` are not supported by this version"),
            *cure,
        );
        return String::new();
    }
    let message = format!("unknown step type {name:?}");
    let known = STEP_TYPES
        .into_iter()
        .chain(STEP_TYPES_REFUSED.iter().map(|(known, _)| *known));
    match closest(name, known) {
        Some(guess) => report.error_hint(at, message, format!("did you mean `{guess}`?")),
        None => report.error_hint(at, message, "leave `type` out to run a command"),
    }
    String::new()
}

/// Reads `command` and `script`.
fn run(report: &mut Report, entries: &[Entry]) -> Action {
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
