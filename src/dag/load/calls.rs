//! Calls of other DAGs: `call`, `params`, `parallel` (seed-spec 7.12).

use super::fields::{get, integer, map, scalar, text, wrong};
use super::keys;
use crate::dag::diag::{Pos, Report};
use crate::dag::params::text as syntax;
use crate::dag::types::{Action, Call, CallArg, Item, Items, Parallel};
use crate::dag::yaml::{Entry, Kind, Node, Value};
use crate::model::limits::PARALLEL_MAX;

/// Most sub-runs of a step at a time if it does not say.
const CONCURRENT: u32 = 10;

/// Reads a step that calls: it has `call`, or a type that needs it.
pub(super) fn call(report: &mut Report, at: Pos, entries: &[Entry], type_name: &str) -> Action {
    for key in ["command", "script", "shell"] {
        if let Some(entry) = get(entries, key) {
            let message = format!("a step that calls a DAG has no `{key}`");
            report.error_hint(entry.key_at, message, "make two steps of it");
        }
    }
    selector(report, entries);
    let value = |key| get(entries, key).map(|entry| &entry.value);
    let target = match value("call") {
        Some(node) => text(report, "call", node).map(str::trim).unwrap_or_default(),
        None => {
            let message = format!("a step of type `{type_name}` needs `call`");
            report.error_hint(at, message, "name the DAG: `call: NAME`");
            ""
        }
    };
    if let Some(node) = value("call").filter(|node| node.as_str().is_some() && target.is_empty()) {
        report.error(node.at, "`call` does not name a DAG");
    }
    let params = value("params").map(|node| params(report, node));
    let parallel = value("parallel").and_then(|node| parallel(report, node));
    if type_name == "parallel" && value("parallel").is_none() {
        report.error_hint(
            at,
            "a step of type `parallel` needs `parallel`",
            "list the items: `parallel: [a, b]`",
        );
    }
    Action::Call(Box::new(Call {
        target: target.to_owned(),
        params: params.unwrap_or_default(),
        parallel,
    }))
}

/// There are no other machines: the one thing that can be said is that the step runs here.
fn selector(report: &mut Report, entries: &[Entry]) {
    let Some(entry) = get(entries, "worker_selector") else {
        return;
    };
    let node = &entry.value;
    if node.as_str().map(str::trim) != Some("local") && node.as_map() != Some(&[]) {
        report.error_hint(
            entry.key_at,
            "`worker_selector` in a step can only be `local`",
            keys::LOCAL,
        );
    }
}

/// Reads `params` of a call: a text, a map, or a list of texts and maps.
fn params(report: &mut Report, node: &Node) -> Vec<CallArg> {
    let mut found = Vec::new();
    match &node.value {
        Value::Scalar(_) => {
            if let Some(written) = text(report, "params", node) {
                split(report, node.at, written, &mut found);
            }
        }
        Value::Map(entries) => named(report, entries, &mut found),
        Value::List(items) => {
            for item in items {
                match &item.value {
                    Value::Map(entries) => named(report, entries, &mut found),
                    Value::Scalar(written) if written.kind == Kind::Str => {
                        split(report, item.at, &written.text, &mut found);
                    }
                    Value::Scalar(written) if written.kind != Kind::Null => found.push(CallArg {
                        name: None,
                        value: written.text.clone(),
                    }),
                    _ => wrong(report, "params", "a text or `name: value`", item),
                }
            }
        }
    }
    found
}

fn split(report: &mut Report, at: Pos, written: &str, found: &mut Vec<CallArg>) {
    match syntax::parse_call(written) {
        Ok(pairs) => found.extend(pairs.into_iter().map(|(name, value)| CallArg { name, value })),
        Err(message) => report.error(at, format!("`params`: {message}")),
    }
}

fn named(report: &mut Report, entries: &[Entry], found: &mut Vec<CallArg>) {
    for entry in entries {
        if !syntax::is_name(&entry.key) {
            let message = format!("{:?} cannot be the name of a parameter", entry.key);
            report.error(entry.key_at, message);
        } else if let Some(value) = scalar(report, &entry.key, &entry.value) {
            found.push(CallArg {
                name: Some(entry.key.clone()),
                value: value.to_owned(),
            });
        }
    }
}

/// Reads `parallel`: items, or a map with `items` and `max_concurrent`. How many items there may be is checked by the
/// run, since an expression can say it only then.
fn parallel(report: &mut Report, node: &Node) -> Option<Parallel> {
    if node.as_map().is_none() {
        return Some(Parallel {
            items: items(report, node)?,
            max_concurrent: CONCURRENT,
        });
    }
    let entries = map(report, node, &keys::PARALLEL)?;
    let max_concurrent = match get(entries, "max_concurrent") {
        Some(entry) => max_concurrent(report, &entry.value),
        None => Some(CONCURRENT),
    };
    let items = match get(entries, "items") {
        Some(entry) => items(report, &entry.value),
        None => {
            report.error_hint(
                node.at,
                "`parallel` needs `items`",
                "a list, or a text such as `${LIST}`",
            );
            None
        }
    };
    Some(Parallel {
        items: items?,
        max_concurrent: max_concurrent?,
    })
}

fn max_concurrent(report: &mut Report, node: &Node) -> Option<u32> {
    let value = integer(report, "parallel.max_concurrent", node)?;
    let bounded = u32::try_from(value)
        .ok()
        .filter(|n| *n >= 1 && usize::try_from(*n).is_ok_and(|n| n <= PARALLEL_MAX));
    if bounded.is_none() {
        let wanted = if value < 1 {
            "must be greater than 0".to_owned()
        } else {
            format!("can be at most {PARALLEL_MAX}")
        };
        report.error(node.at, format!("max_concurrent {wanted}, not {value}"));
    }
    bounded
}

fn items(report: &mut Report, node: &Node) -> Option<Items> {
    let list = match &node.value {
        Value::List(list) if !list.is_empty() => list,
        Value::Scalar(written) if written.kind == Kind::Str && !written.text.trim().is_empty() => {
            return Some(Items::Expr(written.text.trim().to_owned()));
        }
        Value::List(_) | Value::Scalar(_) if node.as_list().is_some() || node.as_str().is_some() => {
            report.error_hint(
                node.at,
                "`parallel` has no items",
                "a list, or a text such as `${LIST}`",
            );
            return None;
        }
        _ => {
            wrong(report, "parallel", "a list of items or a text", node);
            return None;
        }
    };
    let read: Vec<Item> = list.iter().filter_map(|item| self::item(report, item)).collect();
    (read.len() == list.len()).then_some(Items::List(read))
}

fn item(report: &mut Report, node: &Node) -> Option<Item> {
    match &node.value {
        Value::Scalar(written) if written.kind != Kind::Null => Some(Item::Value(written.text.clone())),
        Value::Map(entries) => {
            let mut pairs = Vec::with_capacity(entries.len());
            for entry in entries {
                let value = scalar(report, &entry.key, &entry.value)?;
                pairs.push((entry.key.clone(), value.to_owned()));
            }
            Some(Item::Params(pairs))
        }
        _ => {
            wrong(report, "parallel", "a list of texts and of maps of texts", node);
            None
        }
    }
}
