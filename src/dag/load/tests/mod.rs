//! Tests of the loader, by part of the document; here is what they share.

mod calls;
mod documents;
mod execution;
mod hostile;
mod params;
mod policies;
mod routers;
mod scheduling;
mod schema;
mod schemas;
mod secrets;
mod steps;
mod top;

use super::*;
use crate::dag::types::*;

fn source(text: &str) -> Source<'_> {
    Source {
        text: text.as_bytes(),
        file: "d.yaml",
        stem: "d",
    }
}

fn try_load(text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    load(&source(text), &LoadOptions::default())
}

fn dag(text: &str) -> Dag {
    try_load(text)
        .unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"))
        .dag
}

fn warnings(text: &str) -> Vec<String> {
    let loaded = try_load(text).unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"));
    loaded
        .warnings
        .into_iter()
        .map(|warning| warning.message)
        .collect()
}

fn errors(text: &str) -> Vec<Diagnostic> {
    match try_load(text) {
        Ok(loaded) => panic!("accepted, must be refused:\n{text}\n{:#?}", loaded.dag),
        Err(errors) => errors,
    }
}

/// The one error of a text: its place, and that its message has these words in it.
fn error(text: &str, line: u32, column: u32, words: &str) {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{text}\n{errors:#?}");
    let place = (errors[0].line, errors[0].column);
    assert_eq!(place, (Some(line), Some(column)), "{text}\n{errors:#?}");
    assert!(
        errors[0].message.contains(words),
        "{words:?} is not in {:?}",
        errors[0].message
    );
    assert_eq!(errors[0].file.as_deref(), Some("d.yaml"));
}

/// The one error of a text is where these words begin in it.
fn error_at(text: &str, place: &str, words: &str) {
    let (before, _) = text
        .split_once(place)
        .unwrap_or_else(|| panic!("{place:?} is not in {text}"));
    let line = before.matches('\n').count() + 1;
    let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1) + 1;
    let number = |n: usize| u32::try_from(n).expect("a small text");
    error(text, number(line), number(column), words);
}

/// The hint of the one error of a text.
fn hint(text: &str) -> String {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{text}\n{errors:#?}");
    errors[0].hint.clone().unwrap_or_default()
}

/// The first step of a DAG whose step `s` has these lines beside its command.
fn step(lines: &str) -> Step {
    dag(&with(lines)).steps.remove(0)
}

/// A DAG with one step; the lines begin on line 4, in column 5.
fn with(lines: &str) -> String {
    let mut text = "steps:\n  - name: s\n    command: echo hi\n".to_owned();
    for line in lines.lines() {
        text += &format!("    {line}\n");
    }
    text
}

fn names(dag: &Dag) -> Vec<&str> {
    dag.steps.iter().map(|step| step.name.as_str()).collect()
}

fn depends(dag: &Dag) -> Vec<Vec<u32>> {
    dag.steps.iter().map(|step| step.depends.clone()).collect()
}
