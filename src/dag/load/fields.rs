//! Typed values out of nodes. Each says what it wants, what it found, and where.

use super::keys::{self, Keys};
use crate::dag::diag::{Pos, Report};
use crate::dag::yaml::{Entry, Kind, Node, Value};

/// The entry of a key, unless its value is null: that is the same as not writing it.
pub(super) fn get<'n>(entries: &'n [Entry], key: &str) -> Option<&'n Entry> {
    entries
        .iter()
        .find(|entry| entry.key == key && !entry.value.is_null())
}

/// Reports that a value is of the wrong type.
pub(super) fn wrong(report: &mut Report, what: &str, wanted: &str, found: &Node) {
    report.error(
        found.at,
        format!("`{what}` must be {wanted}, not {}", found.describe()),
    );
}

/// A text. A number or truth value is refused with the advice to quote it: YAML may have changed what was meant.
pub(super) fn text<'n>(report: &mut Report, what: &str, node: &'n Node) -> Option<&'n str> {
    if let Some(text) = node.as_str() {
        return Some(text);
    }
    let message = format!("`{what}` must be a text, not {}", node.describe());
    match node.scalar_text() {
        Some(written) if !node.is_null() => {
            report.error_hint(node.at, message, format!("put it in quotes: \"{written}\""));
        }
        _ => report.error(node.at, message),
    }
    None
}

/// Any scalar as text.
pub(super) fn scalar<'n>(report: &mut Report, what: &str, node: &'n Node) -> Option<&'n str> {
    let text = node.scalar_text();
    if text.is_none() {
        wrong(report, what, "a single value", node);
    }
    text
}

/// `true` or `false`.
pub(super) fn boolean(report: &mut Report, what: &str, node: &Node) -> Option<bool> {
    if let Value::Scalar(scalar) = &node.value
        && let Kind::Bool(value) = scalar.kind
    {
        return Some(value);
    }
    let message = format!(
        "`{what}` must be a bool, `true` or `false`, not {}",
        node.describe()
    );
    report.error(node.at, message);
    None
}

/// A whole number, of any sign.
pub(super) fn integer(report: &mut Report, what: &str, node: &Node) -> Option<i64> {
    if let Value::Scalar(scalar) = &node.value
        && let Kind::Int(value) = scalar.kind
    {
        return Some(value);
    }
    let message = format!("`{what}` must be a whole number, not {}", node.describe());
    match node.as_str() {
        Some(text) if text.trim().parse::<i64>().is_ok() => {
            report.error_hint(node.at, message, format!("write {} without quotes", text.trim()));
        }
        _ => report.error(node.at, message),
    }
    None
}

/// A whole number from 0.
pub(super) fn natural(report: &mut Report, what: &str, node: &Node) -> Option<u64> {
    let value = integer(report, what, node)?;
    let natural = u64::try_from(value).ok();
    if natural.is_none() {
        report.error(node.at, format!("`{what}` must not be negative, but is {value}"));
    }
    natural
}

/// A whole number from 0 that fits 32 bits.
pub(super) fn natural32(report: &mut Report, what: &str, node: &Node) -> Option<u32> {
    let value = natural(report, what, node)?;
    let narrow = u32::try_from(value).ok();
    if narrow.is_none() {
        report.error(
            node.at,
            format!("`{what}` is {value}; at most {} are possible", u32::MAX),
        );
    }
    narrow
}

/// A list of texts, or one alone.
pub(super) fn texts(report: &mut Report, what: &str, node: &Node) -> Vec<(String, Pos)> {
    let mut found = Vec::new();
    match &node.value {
        Value::List(items) => {
            for item in items {
                if let Some(text) = text(report, what, item) {
                    found.push((text.to_owned(), item.at));
                }
            }
        }
        Value::Scalar(_) if node.as_str().is_some() => {
            found.extend(node.as_str().map(|text| (text.to_owned(), node.at)));
        }
        _ => wrong(report, what, "a text or a list of texts", node),
    }
    found
}

/// A list of whole numbers, or one alone; a number may be written as a text. Each fits 32 bits.
pub(super) fn integers(report: &mut Report, what: &str, node: &Node) -> Vec<i32> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        let value = match &item.value {
            Value::Scalar(scalar) => match scalar.kind {
                Kind::Int(value) => i32::try_from(value).ok(),
                Kind::Str => scalar.text.trim().parse().ok(),
                _ => None,
            },
            _ => None,
        };
        match value {
            Some(value) => found.push(value),
            None => wrong(report, what, "a whole number or a list of them", item),
        }
    }
    found
}

/// The entries of a map, each with a known key.
pub(super) fn map<'n>(report: &mut Report, node: &'n Node, keys: &Keys<'_>) -> Option<&'n [Entry]> {
    let Some(entries) = node.as_map() else {
        wrong(report, keys.what, "a map", node);
        return None;
    };
    keys::check(report, entries, keys);
    Some(entries)
}

/// Whether a text can be the name of a variable: not empty, without `=`, blanks and control characters.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|c| c == '=' || c.is_whitespace() || c.is_control())
}
