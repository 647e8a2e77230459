//! What is wrong with files of DAGs, for those who ask and for the log.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::dispatcher::Dispatcher;
use super::answers::shown_name;
use super::names::FileState;
use super::place::{FileId, Place};
use crate::telemetry::events;
use crate::wire::control::Problem;

/// How who is told of a file whose name is not to be had can remove it.
#[derive(Debug)]
pub(super) enum Cure {
    /// The name means the file to its owner.
    Own,
    /// To an administrator the name means the DAG that has it, so they remove the file.
    File(PathBuf),
}

/// The problem of a file whose name another one has.
pub(super) fn taken(id: &FileId, state: &FileState, first: &str, cure: &Cure) -> Problem {
    let name = name(id, state);
    let hint = match id.place {
        Place::System => "give one of the two another `name:`".to_owned(),
        Place::User(_) => removed(&name, cure),
    };
    problem(state, format!("the name {name} is taken: {first} has it"), hint)
}

/// The problem of a user's file whose name the system keeps for a DAG that is disabled and not there.
pub(super) fn reserved(id: &FileId, state: &FileState, cure: &Cure) -> Problem {
    let name = name(id, state);
    let hint = match cure {
        Cure::Own => removed(&name, cure),
        Cure::File(_) => format!("`proctorctl enable {name}` gives the name up, and lets its retries go"),
    };
    problem(
        state,
        format!("the name {name} is the system's: its DAG is disabled"),
        hint,
    )
}

fn name(id: &FileId, state: &FileState) -> String {
    shown_name(id, state).map_or_else(String::new, |name| name.to_string())
}

/// It is named as its file is.
fn removed(name: &str, cure: &Cure) -> String {
    match cure {
        Cure::Own => format!("`proctorctl remove {name}`, and install it with --name under another name"),
        Cure::File(path) => {
            format!(
                "its owner can `proctorctl remove {name}` and install it with --name under another name; \
                 or remove it with `rm {}`",
                path.display()
            )
        }
    }
}

fn problem(state: &FileState, message: String, hint: String) -> Problem {
    Problem {
        message,
        file: state.now.as_ref().map(|version| version.record.file.clone()),
        line: None,
        column: None,
        hint: Some(hint),
    }
}

impl Dispatcher {
    /// Tells the log what is wrong with files, once for each change.
    pub(super) fn tell_problems(&mut self) {
        let config = &self.config;
        // What is wrong with the base configuration is wrong for every DAG, and told once.
        let base_file = config.paths.base.display().to_string();
        let of_base = |problem: &Problem| problem.file.as_ref() == Some(&base_file);
        let of_files = self.registry.files.values().flat_map(|state| &state.problems);
        let mut base: Vec<Problem> = Vec::new();
        let mut dags = 0;
        for state in self.registry.files.values() {
            dags += usize::from(state.problems.iter().any(of_base));
        }
        for problem in of_files.filter(|problem| of_base(problem)) {
            if !base.contains(problem) {
                base.push(problem.clone());
            }
        }
        if base != self.registry.base_told {
            if !base.is_empty() {
                events::base_rejected(&config.paths.base, &words(&base, &base_file), dags);
            }
            self.registry.base_told = base;
        }
        let in_force = self.registry.in_force.values();
        let in_force: BTreeSet<FileId> = in_force.map(|force| force.file.clone()).collect();
        let files = &mut self.registry.files;
        for (id, state) in files {
            let mut problems = state.problems.clone();
            if let Some(first) = &state.clash {
                let path = first.path(config).display().to_string();
                problems.push(taken(id, state, &path, &Cure::Own));
            }
            problems.extend(state.reserved.then(|| reserved(id, state, &Cure::Own)));
            if problems == state.told {
                continue;
            }
            let own: Vec<Problem> = problems
                .iter()
                .filter(|problem| !of_base(problem))
                .cloned()
                .collect();
            if !own.is_empty() {
                let (kept, path) = (in_force.contains(id), id.path(config));
                let taken = (state.clash.is_some() || state.reserved) && !kept;
                let words = words(&own, &path.display().to_string());
                events::dag_rejected(&path, &words, taken, kept);
            }
            state.told = problems;
        }
    }
}

/// Problems for the log, in one line; those of another file than the one that is named beside them with their file.
fn words(problems: &[Problem], named: &str) -> String {
    const MOST: usize = 5;
    let mut words: Vec<String> = problems
        .iter()
        .take(MOST)
        .map(|problem| {
            let other = problem.file.as_ref().filter(|file| *file != named);
            let place = other.map(|file| format!("{file}:")).unwrap_or_default();
            match (problem.line, problem.column) {
                (Some(line), Some(column)) => format!("{place}{line}:{column}: {}", problem.message),
                _ if place.is_empty() => problem.message.clone(),
                _ => format!("{place} {}", problem.message),
            }
        })
        .collect();
    if problems.len() > MOST {
        words.push(format!("{} more", problems.len() - MOST));
    }
    words.join("; ")
}
