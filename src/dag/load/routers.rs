//! Routers: steps that say by a value which of others run (seed-spec 7.17).
//!
//! A router is taken apart here: each target gets a condition of its own, so that nothing behind the loader needs to
//! know of routes.

use std::collections::{HashMap, HashSet};

use super::fields::{get, text, texts, wrong};
use super::names::unknown_step;
use super::policies::check_pattern;
use super::steps::Draft;
use crate::dag::diag::{Pos, Report};
use crate::dag::types::{Action, Condition, Route, Router};
use crate::dag::yaml::{Entry, Node};

/// A route whose targets are not looked up yet.
#[derive(Debug)]
pub(super) struct DraftRoute {
    pattern: String,
    targets: Vec<(String, Pos)>,
}

/// Reads a step of type `router`, but for its routes.
pub(super) fn router(report: &mut Report, at: Pos, entries: &[Entry]) -> Action {
    for key in [
        "command", "script", "shell", "call", "params", "parallel", "approval",
    ] {
        if let Some(entry) = get(entries, key) {
            let message = format!("a router has no `{key}`");
            report.error_hint(
                entry.key_at,
                message,
                "put it into a step before or behind the router",
            );
        }
    }
    let value = match get(entries, "value") {
        Some(entry) => text(report, "value", &entry.value).unwrap_or_default(),
        None => {
            report.error_hint(at, "a router needs a `value`", "for example `value: ${MODE}`");
            ""
        }
    };
    if let Some(entry) = get(entries, "value").filter(|entry| entry.value.as_str().is_some())
        && value.trim().is_empty()
    {
        report.error(entry.value.at, "`value` is empty");
    }
    Action::Route(Router {
        value: value.to_owned(),
        routes: Vec::new(),
    })
}

/// Reads `routes`, in the order in which they are looked at: exact patterns, regular expressions, what matches all.
pub(super) fn routes(report: &mut Report, at: Pos, entries: &[Entry]) -> Vec<DraftRoute> {
    const CURE: &str = "patterns and steps: `routes: {\"yes\": [deploy], \"re:.*\": [report]}`";
    let Some(entry) = get(entries, "routes") else {
        report.error_hint(at, "a router needs `routes`", CURE);
        return Vec::new();
    };
    let Some(written) = entry.value.as_map() else {
        wrong(report, "routes", "a map from patterns to steps", &entry.value);
        return Vec::new();
    };
    if written.is_empty() {
        report.error_hint(entry.value.at, "`routes` is empty", CURE);
    }
    let mut routes = Vec::with_capacity(written.len());
    for route in written {
        check_pattern(report, &route.key, route.key_at);
        let nothing = route.value.is_null() || route.value.as_list().is_some_and(<[Node]>::is_empty);
        let targets = if nothing {
            let message = format!("the route {:?} leads to no step", route.key);
            report.error(route.key_at, message);
            Vec::new()
        } else {
            texts(report, "routes", &route.value)
        };
        routes.push(DraftRoute {
            pattern: route.key.clone(),
            targets,
        });
    }
    routes.sort_by_key(|route| rank(&route.pattern));
    routes
}

fn rank(pattern: &str) -> u8 {
    match pattern.strip_prefix("re:") {
        None => 0,
        Some(".*" | "^.*" | ".*$" | "^.*$" | "" | "^" | "$") => 2,
        Some(_) => 1,
    }
}

/// What each step depends on because it is the target of routers, by its position. Every target gets the condition of
/// its route.
pub(super) fn connect(
    report: &mut Report,
    drafts: &mut [Draft],
    lookup: &HashMap<String, u32>,
) -> HashMap<u32, Vec<u32>> {
    let mut edges: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut conditions: Vec<(u32, Condition)> = Vec::new();
    let mut connected: Vec<(usize, Vec<Route>)> = Vec::new();
    for (index, (position, draft)) in (0u32..).zip(drafts.iter()).enumerate() {
        let Action::Route(router) = &draft.step.action else {
            continue;
        };
        let mut seen = HashSet::new();
        let mut routes = Vec::with_capacity(draft.routes.len());
        for route in &draft.routes {
            let mut targets = Vec::with_capacity(route.targets.len());
            for (name, at) in &route.targets {
                let Some(target) = lookup.get(name.trim()).copied() else {
                    let message = format!(
                        "the router {:?} routes to non-existent step {name:?}",
                        draft.step.name
                    );
                    unknown_step(report, *at, message, name, drafts);
                    continue;
                };
                if target == position {
                    report.error(*at, format!("the router {:?} routes to itself", draft.step.name));
                    continue;
                }
                if !seen.insert(target) {
                    let message = format!(
                        "the step {name:?} is a target of the router {:?} more than once",
                        draft.step.name
                    );
                    let cure = "one route can have a regular expression for several values: `\"re:a|b\"`";
                    report.error_hint(*at, message, cure);
                    continue;
                }
                // The value becomes part of each target's condition.
                if !report.may_copy(router.value.len() + route.pattern.len(), 1) {
                    let message = "the values of the routers are too long for so many targets";
                    report.error_hint(draft.at, message, "put the value into a variable and name that");
                    return HashMap::new();
                }
                edges.entry(target).or_default().push(position);
                conditions.push((
                    target,
                    Condition {
                        condition: router.value.clone(),
                        expected: Some(route.pattern.clone()),
                        negate: false,
                    },
                ));
                targets.extend(step(drafts, target).map(|target| target.step.name.clone()));
            }
            routes.push(Route {
                pattern: route.pattern.clone(),
                targets,
            });
        }
        connected.push((index, routes));
    }
    for (index, found) in connected {
        if let Some(Action::Route(router)) = drafts.get_mut(index).map(|draft| &mut draft.step.action) {
            router.routes = found;
        }
    }
    for (target, condition) in conditions {
        let target = usize::try_from(target)
            .ok()
            .and_then(|index| drafts.get_mut(index));
        if let Some(target) = target {
            target.step.preconditions.push(condition);
            // A branch that is not taken must not keep what joins the branches from running.
            target.step.continue_on.skipped = true;
        }
    }
    edges
}

fn step(drafts: &[Draft], position: u32) -> Option<&Draft> {
    drafts.get(usize::try_from(position).ok()?)
}
