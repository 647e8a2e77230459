//! Preconditions (seed-spec 9.5).

use super::fields::{boolean, text, wrong};
use super::keys::CONDITION;
use super::policies::check_pattern;
use crate::dag::diag::{Report, closest};
use crate::dag::types::Condition;
use crate::dag::yaml::{Node, Value};

/// Reads a condition or a list of them.
pub(super) fn conditions(report: &mut Report, node: &Node) -> Vec<Condition> {
    match &node.value {
        Value::List(items) => items.iter().filter_map(|item| condition(report, item)).collect(),
        _ => condition(report, node).into_iter().collect(),
    }
}

fn condition(report: &mut Report, node: &Node) -> Option<Condition> {
    let Value::Map(entries) = &node.value else {
        if node.as_str().is_none() {
            wrong(report, "preconditions", "a text, a map or a list of these", node);
            return None;
        }
        return Some(Condition {
            condition: nonblank(report, node)?,
            expected: None,
            negate: false,
        });
    };
    let mut found: Option<String> = None;
    let mut given = false;
    let mut expected = None;
    let mut negate = false;
    for entry in entries {
        let value = &entry.value;
        match entry.key.to_ascii_lowercase().as_str() {
            "condition" | "command" | "expected" | "negate" if value.is_null() => {}
            "condition" | "command" => {
                if given {
                    report.error(
                        entry.key_at,
                        "`condition` and `command` are the same; give one of them",
                    );
                }
                given = true;
                found = text(report, &entry.key, value).and_then(|_| nonblank(report, value));
            }
            "expected" => {
                expected = text(report, "expected", value).map(str::to_owned);
                if let Some(expected) = &expected {
                    check_pattern(report, expected, value.at);
                }
            }
            "negate" => negate = boolean(report, "negate", value).unwrap_or(false),
            key => {
                let message = format!("unknown key `{}` in a precondition", entry.key);
                match closest(key, CONDITION) {
                    Some(guess) => {
                        report.error_hint(entry.key_at, message, format!("did you mean `{guess}`?"));
                    }
                    None => report.error(entry.key_at, message),
                }
            }
        }
    }
    if !given {
        report.error(node.at, "a precondition needs a `condition`");
    }
    found.map(|condition| Condition {
        condition,
        expected,
        negate,
    })
}

fn nonblank(report: &mut Report, node: &Node) -> Option<String> {
    let text = node.as_str()?;
    if text.trim().is_empty() {
        report.error(node.at, "a condition must not be empty");
        return None;
    }
    Some(text.to_owned())
}
