//! The base configuration under a DAG (seed-spec 9.1). It is merged before anything is read from it, so that what
//! the DAG writes always wins, also `false`, `0` and an empty list.

use crate::dag::yaml::{Entry, Node, Value};

/// Keys whose lists are put together, those of the base first.
const JOINED: [&str; 2] = ["env", "dotenv"];
/// Maps that are merged key by key.
const NESTED: [&str; 4] = ["handler_on", "defaults", "limits", "rlimits"];

/// The document with the base under it, with or without the base's handlers. A document that is no map stays as it is;
/// the loader refuses it.
pub(super) fn under(mut document: Node, base: Option<&Node>, handlers: bool) -> Node {
    let Some(base) = base.and_then(Node::as_map) else {
        return document;
    };
    if let Value::Map(entries) = &mut document.value {
        for entry in base
            .iter()
            .filter(|entry| entry.key != "name" && !entry.value.is_null())
            .filter(|entry| handlers || entry.key != "handler_on")
        {
            under_entry(entries, entry);
        }
    }
    document
}

fn under_entry(entries: &mut Vec<Entry>, base: &Entry) {
    let Some(own) = entries.iter_mut().find(|own| own.key == base.key) else {
        entries.push(base.clone());
        return;
    };
    if own.value.is_null() {
        own.clone_from(base);
    } else if JOINED.contains(&base.key.as_str()) {
        let emptied = match &own.value.value {
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            Value::Scalar(_) => false,
        };
        if !emptied {
            let mut items = items(&base.value);
            items.extend(self::items(&own.value));
            own.value.value = Value::List(items);
        }
    } else if NESTED.contains(&base.key.as_str())
        && let (Value::Map(own), Value::Map(base)) = (&mut own.value.value, &base.value.value)
    {
        for entry in base {
            if entry.key == "rlimits" {
                under_entry(own, entry);
            } else if !own.iter().any(|own| own.key == entry.key) {
                own.push(entry.clone());
            }
        }
    }
}

fn items(node: &Node) -> Vec<Node> {
    match &node.value {
        Value::List(items) => items.clone(),
        _ => vec![node.clone()],
    }
}
