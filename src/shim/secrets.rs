//! The secrets of an attempt: where their values come from, and what is told instead of them.
//!
//! The values stay in this process and in the environments of the children. Whatever leaves for the journal or the
//! engine goes through [`Secrets::cover_fact`] and [`Secrets::cover_event`]. Captured outputs are kept here as they were,
//! so that later steps of the attempt get them whole.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::context::{Cx, Flow, Halt};
use super::files;
use super::mask::Masker;
use crate::dag::eval::{self, Mode, Scope};
use crate::dag::types::Secret;
use crate::engine::attempt::{Event, Prepared, TryEnd};
use crate::model::{Fact, Node};

/// Largest value, in bytes. It has to fit into the environment of every step.
const VALUE_MAX: usize = 64 * 1024;
/// Most bytes of all values together.
const TOTAL_MAX: usize = 256 * 1024;
/// Longest name of a credential, in bytes: it is the name of a file.
const NAME_MAX: usize = 255;

/// Most bytes of standard error that go into an error's text (seed-spec 7.15).
const STDERR_TAIL: usize = 1024;

/// Stands for what is not told before the secrets are known.
pub(super) const NOT_TOLD: &str =
    "not shown: the secrets of the DAG are not known yet, and could not be hidden in it";

/// How secrets are hidden in what a command wrote.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cover<'a> {
    /// There are none.
    Nothing,
    /// They are masked.
    Mask(&'a Masker),
    /// They are not known yet, so nothing of it can be told.
    Everything,
}

impl Cover<'_> {
    /// How many of the last bytes [`Cover::tail`] looks at.
    pub(super) fn tail_needs(self) -> u64 {
        // A secret that begins before the cut must be found as well.
        let before = match self {
            Self::Mask(masker) => masker.longest(),
            Self::Nothing | Self::Everything => 0,
        };
        u64::try_from(STDERR_TAIL.saturating_add(before)).unwrap_or(u64::MAX)
    }

    /// The end of what was written, for people.
    pub(super) fn tail(self, bytes: &[u8]) -> String {
        let size = bytes.len().min(STDERR_TAIL);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        match self {
            Self::Nothing => text(bytes.get(bytes.len() - size..).unwrap_or_default()),
            Self::Mask(masker) => text(&masker.end_of(bytes, size)),
            Self::Everything if text(bytes).is_empty() => String::new(),
            Self::Everything => NOT_TOLD.to_owned(),
        }
    }
}

/// The secrets once they are known.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Variable and value, in order.
    values: Vec<(String, String)>,
    masker: Option<Rc<Masker>>,
    /// The last captured output of each node, where it is not told as it was.
    outputs: RefCell<BTreeMap<Node, Arc<str>>>,
}

impl Secrets {
    fn new(values: Vec<(String, String)>) -> Self {
        let masker = Masker::new(values.iter().map(|(_, value)| value.as_str()));
        Self {
            values,
            masker: masker.map(Rc::new),
            outputs: RefCell::default(),
        }
    }

    /// Variable and value, in order.
    pub(super) fn values(&self) -> &[(String, String)] {
        &self.values
    }

    /// What hides the values; none if there is nothing to hide.
    pub(super) const fn masker(&self) -> Option<&Rc<Masker>> {
        self.masker.as_ref()
    }

    /// The output of a node as it was captured, if that is told otherwise.
    pub(super) fn output(&self, node: Node) -> Option<Arc<str>> {
        self.outputs.borrow().get(&node).cloned()
    }

    /// A fact as it may be recorded. Captured output is remembered as it was.
    pub(super) fn cover_fact(&self, mut fact: Fact) -> Fact {
        let Some(masker) = &self.masker else { return fact };
        match &mut fact {
            Fact::Params { params } => {
                for (_, value) in params {
                    *value = masker.text(value);
                }
            }
            Fact::NodeOutput { node, value, .. } => {
                let covered = masker.text(value);
                let raw = std::mem::replace(value, covered);
                let mut outputs = self.outputs.borrow_mut();
                if raw == *value {
                    outputs.remove(node);
                } else {
                    outputs.insert(*node, Arc::from(raw));
                }
            }
            Fact::NodeCalls { children, .. } => {
                for child in children {
                    child.params = masker.text(&child.params);
                }
            }
            // The engine makes the others, from events that are covered, or they have no text of the job's.
            _ => {}
        }
        fact
    }

    /// An event as the engine may know it: it cuts texts, and records what it is told.
    pub(super) fn cover_event(&self, event: Event) -> Event {
        let Some(masker) = &self.masker else { return event };
        let text = |text: String| masker.text(&text);
        match event {
            Event::Initialised(met) => Event::Initialised(met.map(|met| met.map_err(text)).map_err(text)),
            Event::Prepared(key, ready) => {
                let ready = ready.map(|ready| Prepared {
                    unmet: ready.unmet.map(text),
                    ..ready
                });
                Event::Prepared(key, ready.map_err(text))
            }
            Event::TryEnded(key, end) => {
                let end = TryEnd {
                    error: end.error.map(text),
                    output: end.output.map(text),
                    ..end
                };
                Event::TryEnded(key, end)
            }
            Event::RepeatChecked(key, met) => Event::RepeatChecked(key, met.map_err(text)),
            other => other,
        }
    }
}

/// Looks the secrets up, once in an attempt, in the scope that the run has without them.
pub(super) fn resolve<'a>(cx: &Cx<'a>, scope: &Scope, cwd: &Path) -> Flow<&'a Secrets> {
    let facts = cx.facts;
    let mut keys = Vec::with_capacity(facts.dag.secrets.len());
    for secret in &facts.dag.secrets {
        keys.push(match secret.provider.as_str() {
            "file" => match cx.settle(
                eval::expand(&secret.key, scope, Mode::FULL, &cx.cursor),
                cx.base_dir(),
            ) {
                Err(Halt::Fail(reason)) => return Err(Halt::Fail(complaint(secret, &reason))),
                key => key?,
            },
            _ => secret.key.clone(),
        });
    }
    if let Some(known) = facts.secrets.get() {
        return Ok(known);
    }
    let mut values: Vec<(String, String)> = Vec::new();
    let mut refused = None;
    for (secret, key) in facts.dag.secrets.iter().zip(keys) {
        let value = match secret.provider.as_str() {
            "env" => from_environment(&key, scope),
            "file" => from_file(&key, &[cwd, cx.base_dir()], &facts.spec.user.name),
            "credential" => from_credential(&key, scope, &facts.spec.user.name),
            _ => Err(String::from(
                "there is no such provider; it is env, file or credential",
            )),
        };
        match value.and_then(|value| check(value, &values)) {
            Ok(value) => values.push((secret.name.clone(), value)),
            Err(reason) => {
                refused.get_or_insert_with(|| complaint(secret, &reason));
            }
        }
    }
    if let Some(reason) = refused {
        // A path may have a value in it that is a secret, too, be it one of those behind it.
        let known = Secrets::new(values);
        return Err(Halt::Fail(match known.masker() {
            Some(masker) => masker.text(&reason),
            None => reason,
        }));
    }
    Ok(facts.secrets.get_or_init(|| Secrets::new(values)))
}

fn complaint(secret: &Secret, reason: &str) -> String {
    format!("secret {} (provider {}): {reason}", secret.name, secret.provider)
}

/// Whether a value can travel in the environment.
fn check(value: String, before: &[(String, String)]) -> Result<String, String> {
    if value.contains('\0') {
        return Err(String::from(
            "its value has a NUL byte, which the environment cannot hold",
        ));
    }
    if value.len() > VALUE_MAX {
        return Err(format!(
            "its value has {} bytes; at most {VALUE_MAX} are allowed. Let the step read its file instead",
            value.len()
        ));
    }
    let total = before
        .iter()
        .fold(value.len(), |sum, (_, value)| sum + value.len());
    if total > TOTAL_MAX {
        return Err(format!(
            "all secrets together have more than {TOTAL_MAX} bytes. Let steps read their files instead"
        ));
    }
    Ok(value)
}

fn from_environment(key: &str, scope: &Scope) -> Result<String, String> {
    scope.get(key, true).map(ToString::to_string).ok_or_else(|| {
        format!(
            "the variable {key} is not set; set it in `env`, in a dotenv file or in the environment of the job"
        )
    })
}

/// The first regular file of that name in the directories.
fn from_file(key: &str, dirs: &[&Path], user: &str) -> Result<String, String> {
    let mut tried: Vec<String> = Vec::new();
    for dir in dirs {
        let path = dir.join(key);
        let name = path.display().to_string();
        match read(&path, user) {
            Ok(Some(value)) => return Ok(value),
            Ok(None) if !tried.contains(&name) => tried.push(name),
            Ok(None) => {}
            Err(reason) => return Err(reason),
        }
    }
    Err(format!(
        "there is no regular file {}; create it, readable for {user}, as whom the job runs",
        tried.join(" and no ")
    ))
}

/// The file of that name in the directory of credentials that the job is told of (systemd.exec(5), CREDENTIALS).
fn from_credential(key: &str, scope: &Scope, user: &str) -> Result<String, String> {
    if key.is_empty() || key.len() > NAME_MAX || key == "." || key == ".." || key.contains(['/', '\0']) {
        return Err(format!(
            "{key:?} is not the name of a credential: it is the name of a file, without directories"
        ));
    }
    let dir = scope
        .get("CREDENTIALS_DIRECTORY", true)
        .filter(|dir| !dir.is_empty());
    let Some(dir) = dir else {
        return Err(String::from(
            "CREDENTIALS_DIRECTORY is not set in the environment of the job; see SECRETS in proctor-dag(5) for how it is given \
             to jobs",
        ));
    };
    let dir = Path::new(dir.as_ref());
    if !dir.is_absolute() {
        return Err(format!(
            "CREDENTIALS_DIRECTORY is {}, which is not an absolute path",
            dir.display()
        ));
    }
    read(&dir.join(key), user)?.ok_or_else(|| {
        format!(
            "there is no credential {key} in {}; put it there, readable for {user}, as whom the job runs",
            dir.display()
        )
    })
}

/// The value in a file, without the line breaks at its end. None if there is no regular file.
fn read(path: &Path, user: &str) -> Result<Option<String>, String> {
    let limit = u64::try_from(VALUE_MAX).unwrap_or(u64::MAX);
    match files::read_small(path, limit) {
        Ok(Some(mut text)) => {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
            Ok(Some(text))
        }
        Ok(None) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(format!(
            "{} cannot be read: {error}; give it to {user}, as whom the job runs, with mode 0400",
            path.display()
        )),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests;
