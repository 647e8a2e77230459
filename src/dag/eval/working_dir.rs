//! Working directories (seed-spec 7.9).

use super::expand::expand_or_stop;
use super::{Cursor, EvalError, Mode, Outcome, Scope, Stop, settle};

/// The working directory of a step: an absolute path without `.` and `..` parts.
///
/// The step's own counts, else the DAG's, else `base`, the directory of the DAG file. Each is expanded in full, the
/// operating system's variables included. `~` and `~/x` are under `home`; a relative one of the step is joined to the
/// DAG's, a relative one of the DAG to `base`.
///
/// `..` is taken away by the letter, not through symbolic links, as in the seed.
///
/// # Errors
/// Evaluation failed, the result is empty, it names another user's home, or `~` has no home to stand for.
pub fn working_dir(
    step: Option<&str>,
    dag: Option<&str>,
    base: &str,
    home: Option<&str>,
    scope: &Scope,
    cursor: &Cursor<'_>,
) -> Result<Outcome<String>, EvalError> {
    let resolve = || {
        // A step with an absolute directory of its own must not fail over the DAG's.
        let own = step
            .map(|text| evaluated(text, home, scope, cursor))
            .transpose()?;
        if let Some(dir) = own.as_deref().filter(|d| d.starts_with('/')) {
            return Ok(clean(dir));
        }
        let of_dag = match dag {
            Some(text) => join(base, &evaluated(text, home, scope, cursor)?),
            None => base.to_owned(),
        };
        Ok(clean(
            &own.map_or_else(|| of_dag.clone(), |dir| join(&of_dag, &dir)),
        ))
    };
    settle(resolve())
}

fn evaluated(text: &str, home: Option<&str>, scope: &Scope, cursor: &Cursor<'_>) -> Result<String, Stop> {
    let value = expand_or_stop(text, scope, Mode::FULL, cursor)?;
    let value = value.trim();
    if value.is_empty() {
        return Err(EvalError::EmptyDir(text.to_owned()).into());
    }
    if value.contains('\0') {
        return Err(EvalError::NulInDir(text.to_owned()).into());
    }
    let Some(after) = value.strip_prefix('~') else {
        return Ok(value.to_owned());
    };
    if !after.is_empty() && !after.starts_with('/') {
        return Err(EvalError::OtherHome(text.to_owned()).into());
    }
    let home = home
        .filter(|h| h.starts_with('/'))
        .ok_or_else(|| EvalError::NoHome(text.to_owned()))?;
    Ok(format!("{home}{after}"))
}

fn join(base: &str, dir: &str) -> String {
    if dir.starts_with('/') {
        dir.to_owned()
    } else {
        format!("{base}/{dir}")
    }
}

/// The path without empty, `.` and `..` parts.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}
