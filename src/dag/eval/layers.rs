//! The order of the layers of a scope: the one place that knows it (seed-spec 7.9).
//!
//! From the bottom; a later one wins:
//!
//! | | layer | built by |
//! |---|---|---|
//! | 1 | environment of the operating system | [`run_scope`] |
//! | 2 | `DAG_NAME`, `DAG_RUN_ID`, `DAG_RUN_LOG_FILE` (a DAG may override these) | |
//! | 3 | parameters, by name and by position | |
//! | 4 | `env` of the DAG, in order, each seeing those before it | |
//! | 5 | dotenv files, in order | |
//! | 6 | further variables of the run | |
//! | 7 | `DAG_RUN_WORK_DIR`, `DAG_PARAMS_JSON`, `DAGU_PARAMS_JSON` | |
//! | 8 | secrets | |
//! | 9 | `PWD`, `DAG_RUN_STEP_NAME`; for handlers `DAG_RUN_STATUS`, `DAG_WAITING_STEPS` | [`step_scope`] |
//! | 10 | outputs of the steps before it | |
//! | 11 | `env` of the step: each sees layers 1 to 10, not its neighbours | |
//! | 12 | `DAG_RUN_STEP_STDOUT_FILE`, `DAG_RUN_STEP_STDERR_FILE` | |
//!
//! The variables of layer 7 are already there, overridable, while layers 4 and 5 are evaluated, so that `env` may use them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::expand::expand_or_stop;
use super::{Cursor, EvalError, MAX_ENV_TOTAL, Mode, Origin, Outcome, Scope, StepRef, Stop, dotenv, settle};
use crate::dag::types::EnvVar;

/// What names a run to its steps.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// `DAG_NAME`.
    pub dag_name: &'a str,
    /// `DAG_RUN_ID`.
    pub run_id: &'a str,
    /// `DAG_RUN_LOG_FILE`.
    pub log_file: &'a str,
    /// `DAG_RUN_WORK_DIR`.
    pub work_dir: &'a str,
}

/// What the scope of a run is made of.
#[derive(Debug, Clone, Copy)]
pub struct RunPieces<'a> {
    /// Environment of the process, as the job may see it.
    pub os: &'a [(String, String)],
    /// Names of the run.
    pub identity: Identity<'a>,
    /// Effective parameters in order; a positional one is named by its number.
    pub params: &'a [(String, String)],
    /// See [`params_json`].
    pub params_json: &'a str,
    /// The DAG's `env`.
    pub env: &'a [EnvVar],
    /// Entries of the dotenv files in order. Their paths are evaluated in a scope made without them, with the same memo.
    pub dotenv: &'a [dotenv::Entry],
    /// Further variables.
    pub extra: &'a [(String, String)],
    /// Secrets that were resolved.
    pub secrets: &'a [(String, String)],
}

/// What a step adds to the scope of its run.
#[derive(Debug, Clone)]
pub struct StepPieces<'a> {
    /// `DAG_RUN_STEP_NAME`.
    pub name: &'a str,
    /// `PWD`: its working directory.
    pub working_dir: &'a str,
    /// Handlers only: `DAG_RUN_STATUS`, the run's status word at that moment.
    pub status: Option<&'a str>,
    /// The wait handler only: `DAG_WAITING_STEPS`, separated by commas.
    pub waiting_steps: Option<&'a str>,
    /// Captured outputs of all steps before it; a later one of the same name wins.
    pub outputs: &'a [(Arc<str>, Arc<str>)],
    /// The step's `env`.
    pub env: &'a [EnvVar],
    /// Paths of its logs, stdout and stderr; none for handlers.
    pub logs: Option<(&'a str, &'a str)>,
    /// Steps that can be referred to by their ids.
    pub steps: &'a Arc<BTreeMap<String, StepRef>>,
}

/// Layers 1 to 8.
///
/// # Errors
/// An `env` or dotenv value cannot be evaluated.
pub fn run_scope(pieces: &RunPieces<'_>, cursor: &Cursor<'_>) -> Result<Outcome<Scope>, EvalError> {
    settle(run_layers(pieces, cursor))
}

fn run_layers(pieces: &RunPieces<'_>, cursor: &Cursor<'_>) -> Result<Scope, Stop> {
    let id = &pieces.identity;
    let fixed = [
        ("DAG_RUN_WORK_DIR", id.work_dir),
        ("DAG_PARAMS_JSON", pieces.params_json),
        ("DAGU_PARAMS_JSON", pieces.params_json),
    ];
    let mut scope = Scope::new();
    scope.push(Origin::Os);
    set_all(&mut scope, pieces.os);
    scope.push(Origin::User);
    let named = [
        ("DAG_NAME", id.dag_name),
        ("DAG_RUN_ID", id.run_id),
        ("DAG_RUN_LOG_FILE", id.log_file),
    ];
    for (name, value) in named.into_iter().chain(fixed) {
        scope.set(name, value);
    }
    scope.push(Origin::User);
    // A named parameter is also there by its place among all; one that is named by a number takes precedence.
    for (at, (_, value)) in pieces.params.iter().enumerate() {
        scope.set((at + 1).to_string(), value.as_str());
    }
    set_all(&mut scope, pieces.params);
    scope.push(Origin::User);
    let mut total = Total::of("env");
    for entry in pieces.env {
        let value = total.add(expand_or_stop(&entry.value, &scope, Mode::FULL, cursor)?)?;
        scope.set(entry.name.as_str(), value);
    }
    scope.push(Origin::User);
    let mut total = Total::of("dotenv");
    for entry in pieces.dotenv {
        let value = if entry.literal {
            entry.value.clone()
        } else {
            expand_or_stop(&entry.value, &scope, Mode::DOTENV, cursor)?
        };
        scope.set(entry.name.as_str(), total.add(value)?);
    }
    scope.push(Origin::User);
    set_all(&mut scope, pieces.extra);
    Ok(scope
        .with(fixed)
        .with(pieces.secrets.iter().map(|(n, v)| (n.as_str(), v.as_str()))))
}

/// Counts the bytes of values up to [`MAX_ENV_TOTAL`].
struct Total {
    of: &'static str,
    bytes: usize,
}

impl Total {
    const fn of(what: &'static str) -> Self {
        Self { of: what, bytes: 0 }
    }

    fn add(&mut self, value: String) -> Result<String, EvalError> {
        self.bytes += value.len();
        if self.bytes > MAX_ENV_TOTAL {
            Err(EvalError::EnvTooLong(self.of))
        } else {
            Ok(value)
        }
    }
}

fn set_all(scope: &mut Scope, vars: &[(String, String)]) {
    for (name, value) in vars {
        scope.set(name.as_str(), value.as_str());
    }
}

/// Layers 9 to 12 on top of the run's scope.
///
/// # Errors
/// An `env` value cannot be evaluated.
pub fn step_scope(
    run: &Scope,
    pieces: &StepPieces<'_>,
    cursor: &Cursor<'_>,
) -> Result<Outcome<Scope>, EvalError> {
    settle(step_layers(run, pieces, cursor))
}

fn step_layers(run: &Scope, pieces: &StepPieces<'_>, cursor: &Cursor<'_>) -> Result<Scope, Stop> {
    let mut own = vec![("PWD", pieces.working_dir), ("DAG_RUN_STEP_NAME", pieces.name)];
    own.extend(pieces.status.map(|s| ("DAG_RUN_STATUS", s)));
    own.extend(pieces.waiting_steps.map(|s| ("DAG_WAITING_STEPS", s)));
    let mut scope = run.with(own).with_outputs(pieces.outputs.iter().cloned());
    scope.set_steps(Arc::clone(pieces.steps));
    let mut env = Vec::with_capacity(pieces.env.len());
    let mut total = Total::of("env");
    for entry in pieces.env {
        let value = expand_or_stop(&entry.value, &scope, Mode::FULL, cursor)?;
        env.push((entry.name.as_str(), total.add(value)?));
    }
    let logs = pieces.logs.map(|(out, err)| {
        [
            ("DAG_RUN_STEP_STDOUT_FILE", out),
            ("DAG_RUN_STEP_STDERR_FILE", err),
        ]
    });
    Ok(scope.with(env).with(logs.into_iter().flatten()))
}

/// The parameters as a JSON object of strings, or the text they were given as if they were given as JSON.
#[must_use]
pub fn params_json(params: &[(String, String)], original: Option<&str>) -> String {
    if let Some(text) = original {
        return text.to_owned();
    }
    let object = params
        .iter()
        .map(|(n, v)| (n.clone(), serde_json::Value::String(v.clone())))
        .collect();
    serde_json::Value::Object(object).to_string()
}
