//! Names and ids of steps, and the dependencies that refer to them (seed-spec 9.3).

use std::collections::HashMap;

use super::routers;
use super::steps::Draft;
use crate::dag::diag::{Pos, Report, closest};
use crate::dag::graph;
use crate::dag::types::DagKind;
use crate::model::limits::{STEP_ID_MAX, STEP_NAME_MAX};

/// Most dependencies of one DAG in all: two parallel groups after each other need the product of their sizes.
pub(super) const EDGES_MAX: usize = 1_000_000;

/// Ids that mean something else in a reference.
const RESERVED: [&str; 7] = ["env", "params", "args", "stdout", "stderr", "output", "outputs"];

/// Reads a name: trimmed, not empty, not too long, without control characters.
pub(super) fn check_name(report: &mut Report, name: &str, at: Pos) -> Option<String> {
    let name = name.trim();
    if name.is_empty() {
        report.error(at, "the step's name is empty");
    } else if name.len() > STEP_NAME_MAX {
        let message = format!(
            "the step's name is {} bytes long; at most {STEP_NAME_MAX} are allowed",
            name.len()
        );
        report.error(at, message);
    } else if name.chars().any(char::is_control) {
        report.error(at, "the step's name has control characters in it");
    } else {
        return Some(name.to_owned());
    }
    None
}

/// Reads an id: a letter, then letters, digits and `_`; not too long, not reserved.
pub(super) fn check_id(report: &mut Report, id: &str, at: Pos) -> Option<String> {
    let id = id.trim();
    let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !plain || !id.starts_with(|c: char| c.is_ascii_alphabetic()) {
        let message = format!("invalid step ID format {id:?}");
        report.error_hint(at, message, "an id is a letter, then letters, digits and `_`");
    } else if id.len() > STEP_ID_MAX {
        let message = format!(
            "the step's id is {} bytes long; at most {STEP_ID_MAX} are allowed",
            id.len()
        );
        report.error(at, message);
    } else if RESERVED.iter().any(|word| word.eq_ignore_ascii_case(id)) {
        report.error(at, format!("{id:?} is a reserved word and cannot be a step's id"));
    } else {
        return Some(id.to_owned());
    }
    None
}

/// Gives every step its name and finds names and ids that are there twice.
pub(super) fn assign(report: &mut Report, drafts: &mut [Draft]) {
    let mut by_name: HashMap<String, (usize, Pos)> = HashMap::with_capacity(drafts.len());
    let mut by_id: HashMap<String, Pos> = HashMap::new();
    for (index, draft) in drafts.iter_mut().enumerate() {
        let mut repeated = false;
        if let Some((id, at)) = &draft.id {
            if let Some(first) = by_id.get(id) {
                repeated = true;
                report.error(
                    *at,
                    format!("duplicate step ID {id:?}; the first is on line {}", first.line),
                );
            } else {
                by_id.insert(id.clone(), *at);
            }
            draft.step.id = Some(id.clone());
        }
        // A step without a name is called by its id.
        let Some((name, at)) = draft.name.as_ref().or(draft.id.as_ref()) else {
            continue;
        };
        draft.step.name.clone_from(name);
        if let Some((_, first)) = by_name.get(name) {
            if draft.name.is_some() || !repeated {
                report.error(
                    *at,
                    format!(
                        "duplicate step name {name:?}; the first is on line {}",
                        first.line
                    ),
                );
            }
        } else {
            by_name.insert(name.clone(), (index, *at));
        }
    }
    for (index, draft) in drafts.iter().enumerate() {
        if let Some((id, at)) = &draft.id
            && let Some((other, first)) = by_name.get(id)
            && *other != index
            && draft.step.name != *id
        {
            report.error(
                *at,
                format!(
                    "the step ID {id:?} is the name of the step on line {}",
                    first.line
                ),
            );
        }
    }
    generate(drafts, |name| {
        by_name.contains_key(name) || by_id.contains_key(name)
    });
}

/// Names the rest `<kind>_<n>`, where n begins at the step's position from 1 and is raised until no name and no id is
/// the same: who depends on the id means the step that has it. The numbers that are taken are skipped in one go, so the whole is linear.
fn generate(drafts: &mut [Draft], given: impl Fn(&str) -> bool) {
    let mut next: HashMap<(String, usize), usize> = HashMap::new();
    for (index, draft) in drafts
        .iter_mut()
        .enumerate()
        .filter(|(_, draft)| draft.step.name.is_empty())
    {
        let kind = draft.kind.clone();
        let mut number = index + 1;
        let mut passed = Vec::new();
        let name = loop {
            if let Some(after) = next.get(&(kind.clone(), number)) {
                passed.push(number);
                number = *after;
                continue;
            }
            let name = format!("{kind}_{number}");
            passed.push(number);
            number += 1;
            if !given(&name) {
                break name;
            }
        };
        for taken in passed {
            next.insert((kind.clone(), taken), number);
        }
        draft.step.name = name;
    }
}

/// Turns `depends` and the order of a chain into positions. `groups` are the parallel groups of a chain, in order.
pub(super) fn link(report: &mut Report, drafts: &mut [Draft], groups: &[Vec<u32>], kind: DagKind) {
    let mut edges: usize = 0;
    if kind == DagKind::Chain {
        for pair in groups.windows(2) {
            let [before, group] = pair else { continue };
            for index in group {
                let Some(draft) = usize::try_from(*index).ok().and_then(|i| drafts.get_mut(i)) else {
                    continue;
                };
                if let Some(written) = &draft.depends {
                    // An empty list is the one thing that can be said in a chain: this step waits for nothing.
                    if written.is_empty() {
                        continue;
                    }
                }
                edges += before.len();
                if edges > EDGES_MAX {
                    let message = format!("the parallel groups need more than {EDGES_MAX} dependencies");
                    report.error_hint(draft.at, message, "put one step between two large groups");
                    return;
                }
                draft.step.depends.clone_from(before);
            }
        }
        return;
    }
    resolve(report, drafts);
}

fn resolve(report: &mut Report, drafts: &mut [Draft]) {
    let mut lookup: HashMap<String, u32> = HashMap::with_capacity(drafts.len());
    let positions = || (0u32..).zip(drafts.iter());
    for (position, draft) in positions() {
        if let Some(id) = &draft.step.id {
            lookup.entry(id.clone()).or_insert(position);
        }
    }
    for (position, draft) in positions() {
        lookup.insert(draft.step.name.clone(), position);
    }
    let routed = routers::connect(report, drafts, &lookup);
    let positions = || (0u32..).zip(drafts.iter());
    let mut all_depends = Vec::with_capacity(drafts.len());
    for (position, draft) in positions() {
        let mut depends: Vec<u32> = Vec::new();
        for (name, at) in draft.depends.iter().flatten() {
            match lookup.get(name.trim()) {
                Some(other) if *other == position => {
                    report.error(*at, format!("the step {:?} depends on itself", draft.step.name));
                }
                Some(other) => depends.push(*other),
                None => {
                    let message = format!(
                        "the step {:?} depends on non-existent step {name:?}",
                        draft.step.name
                    );
                    unknown_step(report, *at, message, name, drafts);
                }
            }
        }
        depends.extend(routed.get(&position).into_iter().flatten());
        let mut seen = std::collections::HashSet::with_capacity(depends.len());
        depends.retain(|other| seen.insert(*other));
        all_depends.push(depends);
    }
    for (draft, depends) in drafts.iter_mut().zip(all_depends) {
        draft.step.depends = depends;
    }
    let adjacency: Vec<&[u32]> = drafts.iter().map(|draft| draft.step.depends.as_slice()).collect();
    if let Some(cycle) = graph::find_cycle(&adjacency) {
        report_cycle(report, drafts, &cycle);
    }
}

/// Reports a name that no step has, with the one that is nearest.
pub(super) fn unknown_step(report: &mut Report, at: Pos, message: String, name: &str, drafts: &[Draft]) {
    if report.is_full() {
        return;
    }
    match closest(name, drafts.iter().map(|draft| draft.step.name.as_str())) {
        Some(guess) => report.error_hint(at, message, format!("did you mean `{guess}`?")),
        None => report.error(at, message),
    }
}

/// The cycle in the order of execution: each step is needed by the one after it.
fn report_cycle(report: &mut Report, drafts: &[Draft], cycle: &[u32]) {
    const SHOWN: usize = 12;
    let drafts: Vec<&Draft> = cycle
        .iter()
        .filter_map(|i| drafts.get(usize::try_from(*i).ok()?))
        .collect();
    let Some(first) = drafts.first() else { return };
    let mut names: Vec<&str> = drafts
        .iter()
        .take(SHOWN)
        .map(|draft| draft.step.name.as_str())
        .collect();
    if drafts.len() > SHOWN {
        names.push("...");
    }
    names.push(first.step.name.as_str());
    // The first waits for the last: because it says so, or because that one routes to it.
    let means = |name: &str, step: &Draft| step.step.name == name || step.step.id.as_deref() == Some(name);
    let mut written = first.depends.iter().flatten();
    let at = written
        .find(|(name, _)| drafts.last().is_some_and(|last| means(name.trim(), last)))
        .map_or(first.at, |(_, at)| *at);
    report.error(
        at,
        format!("the steps wait for each other in a cycle: {}", names.join(" -> ")),
    );
}
