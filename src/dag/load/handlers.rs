//! `handler_on`: steps that run at the turning points of a run.

use super::fields::wrong;
use super::steps::{Context, step_body};
use crate::dag::diag::{Report, closest};
use crate::dag::types::{Action, Step};
use crate::dag::yaml::Node;
use crate::model::Handler;

/// Reads `handler_on`. A handler without a name is called `onExit` and the like.
pub(super) fn handlers(report: &mut Report, node: &Node, context: &Context) -> Vec<(Handler, Step)> {
    let Some(entries) = node.as_map() else {
        wrong(report, "handler_on", "a map", node);
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries {
        let known = Handler::ALL.iter().find(|handler| handler.as_str() == entry.key);
        let Some(handler) = known else {
            let message = format!("unknown key `{}` in `handler_on`", entry.key);
            let guess = match entry.key.as_str() {
                "cancel" => Some("abort"),
                key => closest(key, Handler::ALL.map(Handler::as_str)),
            };
            match guess {
                Some(guess) => report.error_hint(entry.key_at, message, format!("did you mean `{guess}`?")),
                None => report.error(entry.key_at, message),
            }
            continue;
        };
        if entry.value.is_null() {
            continue;
        }
        let Some(draft) = step_body(report, &entry.value, context) else {
            continue;
        };
        if let Some((_, at)) = draft.depends.as_ref().and_then(|names| names.first()) {
            report.error(*at, "a handler cannot depend on steps");
        }
        let refused = match draft.step.action {
            Action::Call(_) => Some("cannot call another DAG"),
            Action::Route(_) => Some("cannot be a router"),
            _ if draft.step.approval.is_some() => Some("cannot need approval"),
            _ => None,
        };
        if let Some(refused) = refused {
            report.error_hint(
                draft.at,
                format!("a handler {refused}"),
                "make it a step of the DAG; a handler runs a command or a script",
            );
        }
        let mut step = draft.step;
        step.name = match draft.name {
            Some((name, _)) => name,
            None => default_name(*handler),
        };
        step.id = draft.id.map(|(id, _)| id);
        found.push((*handler, step));
    }
    found.sort_by_key(|(handler, _)| *handler);
    found
}

fn default_name(handler: Handler) -> String {
    let mut letters = handler.as_str().chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    "on".chars().chain(first).chain(letters).collect()
}
