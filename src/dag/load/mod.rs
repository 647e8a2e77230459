//! The loader: text in, DAG or diagnostics out. Pure: no I/O, no environment, nothing executed (W28).
//!
//! All errors of a text are found in one go. Each submodule reads one part of the document; this one puts the
//! documents together.

mod actions;
mod approvals;
mod basics;
mod calls;
mod conditions;
mod execution;
mod fields;
mod handlers;
mod keys;
mod merge;
mod names;
mod param_defs;
mod policies;
mod retries;
mod routers;
mod scheduling;
mod schema;
mod secrets;
mod steps;
#[cfg(test)]
mod tests;
mod top;

use std::collections::{HashMap, HashSet};

use super::diag::{Diagnostic, Pos, Report};
use super::types::{Action, Dag};
use super::yaml::{self, Node};
use crate::model::{DagName, SchemaFile};
pub use schema::{schema_files, schema_places};

/// Most bytes that copies of the base configuration under further documents may come to.
const BASE_COPIES_MAX: usize = 64 * 1024 * 1024;

/// A DAG's text and what it is called.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The text: YAML in UTF-8, at most [`crate::model::limits::DAG_SOURCE_MAX`] bytes.
    pub text: &'a [u8],
    /// What diagnostics call the file.
    pub file: &'a str,
    /// Name of the DAG if the text has none: the file's name without its extension.
    pub stem: &'a str,
}

/// A base configuration: a DAG document whose values hold where a DAG has none of its own (seed-spec 9.1).
#[derive(Debug, Clone, Copy)]
pub struct BaseConfig<'a> {
    /// The text, by the same rules as a DAG's.
    pub text: &'a [u8],
    /// What diagnostics call the file.
    pub file: &'a str,
}

/// How to load.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions<'a> {
    /// Name of the DAG, before that in the text.
    pub name: Option<&'a str>,
    /// Base configuration; none means that there is none at all.
    pub base: Option<BaseConfig<'a>>,
    /// Working directory of a DAG that names none, nor does the base configuration.
    pub default_working_dir: Option<&'a str>,
    /// Whether the DAG is loaded because another one calls it: handlers of the base configuration are for the run that
    /// somebody started, not for those it calls. Further documents never get them.
    pub sub_dag: bool,
    /// The JSON schemas that the text refers to, as [`schema_files`] finds them.
    pub schemas: &'a [SchemaFile],
    /// Whether JSON schemas are left alone: parameters are then what their `values` say, unchecked.
    pub skip_schemas: bool,
}

/// A DAG that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The DAG.
    pub dag: Dag,
    /// What is worth saying about it.
    pub warnings: Vec<Diagnostic>,
}

/// Loads a DAG. Linear in the size of the text, which is bounded.
///
/// # Errors
/// Everything that is wrong with the text, in its order; never empty.
pub fn load(source: &Source<'_>, options: &LoadOptions<'_>) -> Result<Loaded, Vec<Diagnostic>> {
    let mut report = reporting(source, options);
    let dag = build(source, options, &mut report);
    let warnings = report.finish()?;
    // Without an error there is always a DAG; should that ever fail, it must not be taken for a success.
    dag.map(|dag| Loaded { dag, warnings })
        .ok_or_else(|| vec![Diagnostic::nowhere("the DAG could not be loaded")])
}

/// The name that [`load`] gives a DAG. Nothing else of the text is looked at, so that who wants only the name needs nothing
/// of what the rest needs: no time zones, no JSON schemas.
///
/// # Errors
/// What is wrong with the name, or why the text cannot be read at all; never empty.
pub fn name_of(source: &Source<'_>, options: &LoadOptions<'_>) -> Result<DagName, Vec<Diagnostic>> {
    let mut report = reporting(source, options);
    let name = name(source, options, &mut report);
    report.finish()?;
    name.ok_or_else(|| vec![Diagnostic::nowhere("the DAG has no name")])
}

fn name(source: &Source<'_>, options: &LoadOptions<'_>, report: &mut Report) -> Option<DagName> {
    let (first, _, base) = documents(source, options, report)?;
    let first = merge::under(first, base.as_ref(), !options.sub_dag);
    top::name_of(&first, &main_naming(source, options), report)
}

fn reporting(source: &Source<'_>, options: &LoadOptions<'_>) -> Report {
    let mut files = vec![source.file.to_owned()];
    files.extend(options.base.map(|base| base.file.to_owned()));
    Report::new(files)
}

const fn main_naming<'a>(source: &Source<'a>, options: &'a LoadOptions<'a>) -> top::Naming<'a> {
    top::Naming::Main {
        options,
        stem: source.stem,
    }
}

/// The first document, the further ones, and the base configuration.
fn documents(
    source: &Source<'_>,
    options: &LoadOptions<'_>,
    report: &mut Report,
) -> Option<(Node, std::vec::IntoIter<Node>, Option<Node>)> {
    let base = options.base.and_then(|base| base_document(&base, report));
    let mut documents = yaml::read(source.text, 0, report)?.into_iter();
    let Some(first) = documents.next() else {
        let at = Pos {
            file: 0,
            line: 1,
            column: 1,
        };
        report.error_hint(
            at,
            "the file is empty: it is not a DAG",
            "a DAG begins with `steps:`",
        );
        return None;
    };
    Some((first, documents, base))
}

fn build(source: &Source<'_>, options: &LoadOptions<'_>, report: &mut Report) -> Option<Dag> {
    let (first, documents, base) = documents(source, options, report)?;
    // Each document gets a copy of what is in the base.
    let copies = options
        .base
        .map_or(0, |base| base.text.len().saturating_mul(documents.len()));
    if copies > BASE_COPIES_MAX {
        let message = format!(
            "the base configuration is too large for {} further documents",
            documents.len()
        );
        report.error_hint(
            first.at,
            message,
            "put the further documents into files of their own",
        );
        return None;
    }
    let first = merge::under(first, base.as_ref(), !options.sub_dag);
    let mut dag = top::dag(&first, &main_naming(source, options), report);
    let mut seen: HashMap<String, Pos> = HashMap::new();
    if let Some(dag) = &dag {
        seen.insert(dag.name.to_string(), first.at);
    }
    for document in documents {
        let at = document.at;
        let document = merge::under(document, base.as_ref(), false);
        let Some(local) = top::dag(&document, &top::Naming::Local { options }, report) else {
            continue;
        };
        if let Some(first) = seen.insert(local.name.to_string(), at) {
            let message = format!(
                "duplicate DAG name `{}`; the first is on line {}",
                local.name, first.line
            );
            report.error(at, message);
        }
        if let Some(dag) = &mut dag {
            dag.local_dags.push(local);
        }
    }
    if let (Some(dag), Some(base)) = (&mut dag, options.base)
        && calls_files(dag)
    {
        dag.base_config = std::str::from_utf8(base.text).ok().map(str::to_owned);
    }
    dag
}

/// Whether a step of any document calls a DAG that is not in the file, or may do so.
fn calls_files(dag: &Dag) -> bool {
    let local: HashSet<&str> = dag.local_dags.iter().map(|local| local.name.as_str()).collect();
    std::iter::once(dag)
        .chain(&dag.local_dags)
        .flat_map(|dag| &dag.steps)
        .any(|step| matches!(&step.action, Action::Call(call) if !local.contains(call.target.as_str())))
}

fn base_document(base: &BaseConfig<'_>, report: &mut Report) -> Option<Node> {
    let documents = yaml::read(base.text, 1, report)?;
    let mut documents = documents.into_iter();
    let first = documents.next()?;
    if let Some(second) = documents.next() {
        report.error(second.at, "the base configuration must be one document");
    }
    top::check_document(&first, report).then_some(first)
}
