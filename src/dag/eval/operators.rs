//! The operators of `${NAME...}` in texts that no shell sees (POSIX.1-2024, 2.6.2, and the slice of ksh and bash).

use regex::RegexBuilder;

use super::reference::name_len;
use super::{EvalError, Stop};

/// Largest compiled pattern, in bytes.
const PATTERN_SIZE: usize = 256 * 1024;
/// Longest pattern as text, in bytes.
const PATTERN_TEXT: usize = 8 * 1024;

/// `NAME`, an operator and its word.
#[derive(Debug)]
pub(super) struct Form<'a> {
    pub(super) name: &'a str,
    op: Op,
    word: &'a str,
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Length,
    Default { empty_too: bool },
    Require { empty_too: bool },
    Alternative { empty_too: bool },
    Slice(i64, Option<i64>),
    Remove { suffix: bool, longest: bool },
}

/// Reads what stands between the braces; nothing if it is none of the known forms.
pub(super) fn parse(inside: &str) -> Option<Form<'_>> {
    if let Some(name) = inside.strip_prefix('#') {
        return (name_len(name)? == name.len()).then_some(Form {
            name,
            op: Op::Length,
            word: "",
        });
    }
    let (name, rest) = inside.split_at(name_len(inside)?);
    let remove = |suffix, longest| Op::Remove { suffix, longest };
    let known = [
        (":-", Op::Default { empty_too: true }),
        (":=", Op::Default { empty_too: true }),
        (":?", Op::Require { empty_too: true }),
        (":+", Op::Alternative { empty_too: true }),
        ("-", Op::Default { empty_too: false }),
        ("=", Op::Default { empty_too: false }),
        ("?", Op::Require { empty_too: false }),
        ("+", Op::Alternative { empty_too: false }),
        ("%%", remove(true, true)),
        ("%", remove(true, false)),
        ("##", remove(false, true)),
        ("#", remove(false, false)),
    ];
    for (sign, op) in known {
        if let Some(word) = rest.strip_prefix(sign) {
            return Some(Form { name, op, word });
        }
    }
    let slice = rest.strip_prefix(':')?;
    let (start, len) = match slice.split_once(':') {
        Some((start, len)) => (start, Some(len.trim().parse().ok()?)),
        None => (slice, None),
    };
    Some(Form {
        name,
        op: Op::Slice(start.trim().parse().ok()?, len),
        word: "",
    })
}

/// Applies the operator; `expand` expands its word, and only if it is needed.
pub(super) fn apply(
    form: &Form<'_>,
    value: Option<&str>,
    mut expand: impl FnMut(&str) -> Result<String, Stop>,
) -> Result<String, Stop> {
    let present = |empty_too| value.filter(|v| !(empty_too && v.is_empty()));
    let mut word = || expand(unquoted(form.word));
    match form.op {
        Op::Length => Ok(value.map_or(0, |v| v.chars().count()).to_string()),
        Op::Default { empty_too } => present(empty_too).map_or_else(word, |v| Ok(v.to_owned())),
        Op::Alternative { empty_too } => present(empty_too).map_or_else(|| Ok(String::new()), |_| word()),
        Op::Require { empty_too } => match present(empty_too) {
            Some(v) => Ok(v.to_owned()),
            None => {
                let mut message = word()?;
                if message.is_empty() {
                    "has no value".clone_into(&mut message);
                }
                Err(EvalError::Unset {
                    name: form.name.to_owned(),
                    message,
                }
                .into())
            }
        },
        Op::Slice(start, len) => Ok(slice(value.unwrap_or_default(), start, len)),
        Op::Remove { suffix, longest } => {
            let pattern = word()?;
            Ok(remove(value.unwrap_or_default(), &pattern, suffix, longest)?)
        }
    }
}

fn unquoted(word: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|q| word.strip_prefix(*q)?.strip_suffix(*q))
        .unwrap_or(word)
}

/// Characters from `start` on; a negative number counts from the end.
fn slice(value: &str, start: i64, len: Option<i64>) -> String {
    let count = i64::try_from(value.chars().count()).unwrap_or(i64::MAX);
    let from = if start < 0 {
        (count.saturating_add(start)).max(0)
    } else {
        start.min(count)
    };
    let to = match len {
        None => count,
        Some(n) if n < 0 => count.saturating_add(n),
        Some(n) => from.saturating_add(n).min(count),
    };
    let skip = usize::try_from(from).unwrap_or(usize::MAX);
    let take = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
    value.chars().skip(skip).take(take).collect()
}

/// Removes what the pattern matches from an end. Through a regular expression, so that the time is linear.
fn remove(value: &str, pattern: &str, suffix: bool, longest: bool) -> Result<String, EvalError> {
    if pattern.len() > PATTERN_TEXT {
        return Err(EvalError::Pattern {
            pattern: "...".to_owned(),
            reason: "too long".to_owned(),
        });
    }
    let expression = if suffix {
        // What is kept takes as much as it can for the shortest suffix, as little as it can for the longest.
        format!(
            "\\A(.*{}){}\\z",
            if longest { "?" } else { "" },
            glob(pattern, true)
        )
    } else {
        format!("\\A{}(.*)\\z", glob(pattern, longest))
    };
    let regex = RegexBuilder::new(&expression)
        .dot_matches_new_line(true)
        .size_limit(PATTERN_SIZE)
        .build()
        .map_err(|e| EvalError::Pattern {
            pattern: pattern.to_owned(),
            reason: e.to_string(),
        })?;
    let kept = regex.captures(value).and_then(|c| c.get(1)).map(|m| m.as_str());
    Ok(kept.unwrap_or(value).to_owned())
}

/// A shell pattern as a regular expression; `greedy` says how much a `*` takes.
fn glob(pattern: &str, greedy: bool) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => out.push_str(if greedy { ".*" } else { ".*?" }),
            '?' => out.push('.'),
            '\\' => out.push_str(&regex::escape(&chars.next().unwrap_or('\\').to_string())),
            '[' => match bracket(chars.as_str()) {
                Some((class, used)) => {
                    out.push_str(&class);
                    chars = chars.as_str().get(used..).unwrap_or_default().chars();
                }
                None => out.push_str("\\["),
            },
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out
}

/// Longest bracket expression, in bytes; what is longer is plain text.
const MAX_BRACKET: usize = 256;

/// The class that follows a `[`, and the length of what was read.
fn bracket(text: &str) -> Option<(String, usize)> {
    let negated = text.starts_with(['!', '^']);
    let body = if negated { text.get(1..)? } else { text };
    let mut class = String::from(if negated { "[^" } else { "[" });
    let mut chars = body.char_indices().take(MAX_BRACKET).peekable();
    let mut first = true;
    while let Some((at, c)) = chars.next() {
        match c {
            ']' if !first => {
                class.push(']');
                return Some((class, usize::from(negated) + at + 1));
            }
            '[' if body.get(at..).is_some_and(|r| r.starts_with("[:")) => {
                let rest = body.get(at..)?;
                let end = rest.get(..rest.len().min(16)).unwrap_or_default().find(":]")?;
                class.push_str(rest.get(..end + 2)?);
                while chars.next_if(|(i, _)| *i < at + end + 2).is_some() {}
            }
            '-' => class.push('-'),
            other => class.push_str(&format!("\\x{{{:x}}}", u32::from(other))),
        }
        first = false;
    }
    None
}
