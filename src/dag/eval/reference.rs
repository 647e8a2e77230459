//! Dotted references: `${id.stdout}`, `${VAR.path[0].key}`, `$VAR.path`, with an optional slice.

use std::collections::HashMap;

use serde_json::Value;

use super::{EvalError, MAX_WORK, Scope};

/// Longest reference, in bytes; a longer one is plain text.
pub(super) const MAX_REFERENCE: usize = 1024;

/// A name and the path into its value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dotted<'a> {
    name: &'a str,
    path: Vec<Segment<'a>>,
    slice: Option<(usize, Option<usize>)>,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Segment<'a> {
    Key(&'a str),
    Index(i64),
}

/// Values of variables parsed as JSON, each at most once in an evaluation.
#[derive(Debug, Default)]
pub(super) struct JsonCache {
    parsed: HashMap<String, Option<Value>>,
    work: usize,
}

impl JsonCache {
    /// Accounts for a value that is taken apart.
    pub(super) fn charge(&mut self, bytes: usize) {
        self.work = self.work.saturating_add(bytes);
    }

    /// Fails once more than [`MAX_WORK`] bytes were taken apart.
    pub(super) fn check(&self) -> Result<(), EvalError> {
        if self.work > MAX_WORK {
            Err(EvalError::TooMuchWork)
        } else {
            Ok(())
        }
    }
}

/// Reads what stands between the braces of `${...}`.
pub(super) fn parse_braced(interior: &str) -> Option<Dotted<'_>> {
    if interior.len() > MAX_REFERENCE {
        return None;
    }
    let (name, rest) = interior.split_at(name_len(interior)?);
    let (path, used) = parse_path(rest, true)?;
    let slice = match rest.get(used..)? {
        "" => None,
        tail => Some(parse_slice(tail.strip_prefix(':')?)?),
    };
    Some(Dotted { name, path, slice })
}

/// Reads what follows a `$` without braces; also returns its length. At least one `.key` must follow the name.
pub(super) fn parse_bare(text: &str) -> Option<(Dotted<'_>, usize)> {
    let (name, rest) = text.split_at(name_len(text)?);
    if !rest.starts_with('.') {
        return None;
    }
    let (path, used) = parse_path(rest, false)?;
    Some((
        Dotted {
            name,
            path,
            slice: None,
        },
        name.len() + used,
    ))
}

/// Length of the variable name or the positional number at the start of a text.
pub(super) fn name_len(text: &str) -> Option<usize> {
    let first = text.bytes().next()?;
    let len = if first.is_ascii_digit() {
        text.bytes().take_while(u8::is_ascii_digit).count()
    } else if first.is_ascii_alphabetic() || first == b'_' {
        text.bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
            .count()
    } else {
        return None;
    };
    Some(len)
}

fn parse_path(text: &str, braced: bool) -> Option<(Vec<Segment<'_>>, usize)> {
    let mut path = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|_| at < MAX_REFERENCE) {
        if let Some(after) = rest.strip_prefix('.') {
            let len = after
                .find(|c: char| !is_key_char(c, braced))
                .unwrap_or(after.len());
            if len == 0 {
                break;
            }
            path.push(Segment::Key(after.get(..len)?));
            at += 1 + len;
        } else if let Some(after) = rest.strip_prefix('[') {
            let Some((segment, len)) = parse_bracket(after) else {
                break;
            };
            path.push(segment);
            at += 1 + len;
        } else {
            break;
        }
    }
    (!path.is_empty()).then_some((path, at))
}

fn is_key_char(c: char, braced: bool) -> bool {
    c.is_alphanumeric() || c == '_' || (braced && (c == '-' || c == '@'))
}

fn parse_bracket(after: &str) -> Option<(Segment<'_>, usize)> {
    let head = after.get(..after.len().min(MAX_REFERENCE)).unwrap_or(after);
    if let Some(quoted) = head.strip_prefix('"') {
        let end = quoted.find('"')?;
        quoted.get(end + 1..)?.strip_prefix(']')?;
        return Some((Segment::Key(quoted.get(..end)?), end + 3));
    }
    let end = head.find(|c: char| !c.is_ascii_digit() && c != '-')?;
    head.get(end..)?.strip_prefix(']')?;
    Some((Segment::Index(head.get(..end)?.parse().ok()?), end + 1))
}

fn parse_slice(text: &str) -> Option<(usize, Option<usize>)> {
    match text.split_once(':') {
        Some((start, len)) => Some((start.parse().ok()?, Some(len.parse().ok()?))),
        None => Some((text.parse().ok()?, None)),
    }
}

impl Dotted<'_> {
    /// The value, if there is one: a property of a step, else the place in a variable's JSON.
    pub(super) fn resolve(&self, scope: &Scope, os: bool, cache: &mut JsonCache) -> Option<String> {
        if cache.work > MAX_WORK {
            return None;
        }
        let whole = self
            .step_property(scope)
            .or_else(|| self.json_value(scope, os, cache))?;
        cache.charge(whole.len());
        Some(match self.slice {
            None => whole,
            Some((start, len)) => whole
                .chars()
                .skip(start)
                .take(len.unwrap_or(usize::MAX))
                .collect(),
        })
    }

    /// The property of a step that this refers to.
    pub(super) fn step_property(&self, scope: &Scope) -> Option<String> {
        let step = scope.step(self.name)?;
        match self.path.as_slice() {
            [Segment::Key("stdout")] => Some(step.stdout.clone()),
            [Segment::Key("stderr")] => Some(step.stderr.clone()),
            [Segment::Key("exit_code" | "exitCode")] => step.exit_code.map(|code| code.to_string()),
            _ => None,
        }
    }

    /// A step's property with its slice; nothing for a variable.
    pub(super) fn resolve_step(&self, scope: &Scope) -> Option<String> {
        self.step_property(scope)?;
        self.resolve(scope, false, &mut JsonCache::default())
    }

    fn json_value(&self, scope: &Scope, os: bool, cache: &mut JsonCache) -> Option<String> {
        let text = scope.get(self.name, os)?;
        let parsed = cache.parsed.entry(self.name.to_owned()).or_insert_with(|| {
            serde_json::from_str(text)
                .ok()
                .filter(|v: &Value| v.is_object() || v.is_array())
        });
        let mut at = parsed.as_ref()?;
        for segment in &self.path {
            at = match (*segment, at) {
                (Segment::Key(key), Value::Object(map)) => map.get(key)?,
                (Segment::Key(key), Value::Array(list)) => list.get(key.parse::<usize>().ok()?)?,
                (Segment::Index(n), Value::Array(list)) if n < 0 => {
                    list.get(list.len().checked_sub(usize::try_from(n.unsigned_abs()).ok()?)?)?
                }
                (Segment::Index(n), Value::Array(list)) => list.get(usize::try_from(n).ok()?)?,
                _ => return None,
            };
        }
        Some(match at {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}
