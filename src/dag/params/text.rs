//! The syntax of parameters as text (seed-spec 9.4): `value`, `name=value`, quotes, backticks, or JSON.

use serde_json::Value;

use crate::dag::eval::{Braces, matching_braces};

/// A parameter as it was written: name if it has one, and value.
pub(in crate::dag) type Pair = (Option<String>, String);

/// Parameters that were written as one text.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::dag) struct Parsed {
    pub pairs: Vec<Pair>,
    /// Whether the text was JSON.
    pub json: bool,
}

/// Parses a text: JSON if it is an object or array, else words.
pub(in crate::dag) fn parse(text: &str) -> Result<Parsed, String> {
    match parse_json(text) {
        Some(pairs) => Ok(Parsed { pairs, json: true }),
        None => Ok(Parsed {
            pairs: words(text, false)?
                .into_iter()
                .map(|word| (word.name, word.value))
                .collect(),
            json: false,
        }),
    }
}

/// Parses the parameters of a call, whose values are evaluated later: `${...}` is not taken apart, and a value without
/// a name keeps its double quotes, since it stays one value then ([`quoted`]). A text that only evaluation makes JSON
/// is kept whole.
pub(in crate::dag) fn parse_call(text: &str) -> Result<Vec<Pair>, String> {
    if let Some(pairs) = parse_json(text) {
        let kept = pairs.into_iter().map(|(name, value)| match name {
            None => (None, quote(&value)),
            name => (name, value),
        });
        return Ok(kept.collect());
    }
    let text = text.trim();
    if text.starts_with(['{', '[']) {
        return Ok(vec![(None, text.to_owned())]);
    }
    let pair = |word: Word| match word.name {
        None if word.quoted => (None, quote(&word.value)),
        name => (name, word.value),
    };
    Ok(words(text, true)?.into_iter().map(pair).collect())
}

/// The inside of a text that is one value in double quotes; none if it is not.
pub(in crate::dag) fn quoted(text: &str) -> Option<String> {
    let (value, rest) = unquote(text.strip_prefix('"')?).ok()?;
    rest.is_empty().then_some(value)
}

/// The pairs of a JSON object, or of an array of objects and values; none if the text is neither.
pub(in crate::dag) fn parse_json(text: &str) -> Option<Vec<Pair>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let object = |object: serde_json::Map<String, Value>| {
        object
            .into_iter()
            .map(|(name, value)| (Some(name), plain(value)))
            .collect::<Vec<_>>()
    };
    match serde_json::from_str(text).ok()? {
        Value::Object(map) => Some(object(map)),
        Value::Array(items) => Some(
            items
                .into_iter()
                .flat_map(|item| match item {
                    Value::Object(map) => object(map),
                    value => vec![(None, plain(value))],
                })
                .collect(),
        ),
        _ => None,
    }
}

/// The text of a JSON value: a text without its quotes, nothing for null, others as JSON.
pub(in crate::dag) fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

/// One word, which is taken as it is: `name=value` or a value.
pub(in crate::dag) fn argument(word: &str) -> Pair {
    match word.split_once('=') {
        Some((name, value)) if is_name(name) => (Some(name.to_owned()), value.to_owned()),
        _ => (None, word.to_owned()),
    }
}

/// Whether a text can be the name of a parameter.
pub(in crate::dag) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '=' | '"' | '`'))
}

/// A word of a text.
struct Word {
    name: Option<String>,
    value: String,
    /// Whether the value was in double quotes.
    quoted: bool,
}

/// Splits a text into words; `references` says whether `${...}` belongs to one word, whatever is in it.
fn words(text: &str, references: bool) -> Result<Vec<Word>, String> {
    let references = if references {
        matching_braces(text)
    } else {
        Braces::new()
    };
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '=' | '"' | '`'))
            .unwrap_or(rest.len());
        let (head, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let name = match tail.strip_prefix('=') {
            Some(after) if is_name(head) => {
                rest = after;
                Some(head.to_owned())
            }
            _ => None,
        };
        let quoted = rest.starts_with('"');
        let (value, after) = if let Some(inner) = rest.strip_prefix('"') {
            unquote(inner)?
        } else if let Some(inner) = rest.strip_prefix('`') {
            let close = inner.find('`').ok_or("a backtick is not closed")?;
            let (command, after) = inner.split_at_checked(close).unwrap_or((inner, ""));
            (format!("`{command}`"), after.get(1..).unwrap_or_default())
        } else {
            let from = text.len() - rest.len();
            let end = word_end(text, from, &references) - from;
            let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            (word.to_owned(), after)
        };
        pairs.push(Word { name, value, quoted });
        rest = after.trim_start();
    }
    Ok(pairs)
}

/// Position after the word that begins at `from`; the whitespace in a reference does not end it.
fn word_end(text: &str, from: usize, references: &Braces) -> usize {
    let mut at = from;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        match references.get(&at) {
            Some(close) => at = close + 1,
            None if c.is_whitespace() => break,
            None => at += c.len_utf8(),
        }
    }
    at
}

/// The text up to the closing quote with its escapes resolved, and what follows. An unknown escape stays as it is.
pub(in crate::dag) fn unquote(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                Some((_, c)) => value.extend(['\\', c]),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err("a double quote is not closed".to_owned())
}

/// A value in double quotes that [`parse`] reads back.
pub(in crate::dag) fn quote(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
