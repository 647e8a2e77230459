//! Calls of other DAGs: which items they have, and target and parameters for each (seed-spec 7.12).

use std::collections::BTreeMap;

use serde_json::Value;

use super::expand::Expander;
use super::{Cursor, EvalError, MAX_ENV_TOTAL, Mode, Outcome, Scope, Stop, settle};
use crate::dag::params::text as syntax;
use crate::dag::types::{Call, Item, Items, Parallel};
use crate::model::limits::PARALLEL_MAX;

/// Longest piece of a text that an error shows, in characters.
const SHOWN: usize = 200;
/// Characters that can separate items; of two that are equally frequent, the first.
const SEPARATORS: [char; 4] = [',', ';', '|', '\t'];

/// What a call comes to for one item.
#[derive(Debug, Clone, PartialEq)]
pub struct CallPlan {
    /// The target, without whitespace around it; never empty.
    pub target: String,
    /// Names and values in order. Values are final: nothing in them is evaluated or taken apart any more.
    pub params: Vec<(Option<String>, String)>,
}

/// The items of a parallel call, in order; from 1 to [`PARALLEL_MAX`].
///
/// Items that are written down are evaluated with the user's variables; a map becomes a JSON object of texts with its
/// keys sorted. The value of an expression is the first of these that it can be: a JSON array (objects and other
/// values of it as JSON text), one JSON object, lines, texts in double quotes, items behind the commonest of `,`,
/// `;`, `|` and tab, words. Of lines, separated items and words, empty ones do not count.
///
/// # Errors
/// Evaluation failed, there is no item or too many, or they are longer than [`MAX_ENV_TOTAL`] together.
pub fn items(
    parallel: &Parallel,
    scope: &Scope,
    cursor: &Cursor<'_>,
) -> Result<Outcome<Vec<String>>, EvalError> {
    settle(items_or_stop(parallel, scope, cursor))
}

fn items_or_stop(parallel: &Parallel, scope: &Scope, cursor: &Cursor<'_>) -> Result<Vec<String>, Stop> {
    let (found, written) = match &parallel.items {
        Items::List(list) => {
            // Before anything is evaluated: a thousand items may run commands, a million must not begin to.
            bounded(list.len(), "items")?;
            let mut expander = Expander::new(scope, Mode::USER, cursor);
            let mut found = Vec::with_capacity(list.len());
            let mut room = Room::new("items");
            for item in list {
                let text = item_text(item, &mut expander)?;
                room.take(text.len())?;
                found.push(text);
            }
            (found, "items")
        }
        // A variable that is defined nowhere is an empty list rather than an item that is called like it.
        Items::Expr(text) => (
            split(&Expander::new(scope, Mode::FULL, cursor).text(text)?),
            text.as_str(),
        ),
    };
    bounded(found.len(), written)?;
    Ok(found)
}

fn bounded(count: usize, written: &str) -> Result<(), EvalError> {
    match count {
        0 => Err(EvalError::NoItems(shown(written))),
        1..=PARALLEL_MAX => Ok(()),
        _ => Err(EvalError::TooManyItems(count)),
    }
}

fn item_text(item: &Item, expander: &mut Expander<'_>) -> Result<String, Stop> {
    match item {
        Item::Value(text) => expander.text(text),
        Item::Params(pairs) => {
            let mut sorted = BTreeMap::new();
            for (name, value) in pairs {
                sorted.insert(name.as_str(), expander.text(value)?);
            }
            let object = sorted
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Value::String(value)));
            Ok(Value::Object(object.collect()).to_string())
        }
    }
}

/// The items that a value stands for.
fn split(value: &str) -> Vec<String> {
    let value = value.trim();
    if value.starts_with(['[', '{']) {
        match serde_json::from_str(value) {
            Ok(Value::Array(list)) => return list.into_iter().map(syntax::plain).collect(),
            Ok(Value::Object(_)) => return vec![value.to_owned()],
            _ => {}
        }
    }
    if value.contains('\n') {
        return parts(value, |c| c == '\n');
    }
    if let Some(list) = quoted_list(value) {
        return list;
    }
    let mut separator = None;
    let mut most = 0;
    for candidate in SEPARATORS {
        let count = value.matches(candidate).count();
        if count > most {
            (separator, most) = (Some(candidate), count);
        }
    }
    match separator {
        Some(separator) => parts(value, |c| c == separator),
        None => parts(value, char::is_whitespace),
    }
}

fn parts(value: &str, separates: impl Fn(char) -> bool) -> Vec<String> {
    value
        .split(separates)
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Texts in double quotes, with whitespace and at most one separator between two; none if there is anything else.
fn quoted_list(value: &str) -> Option<Vec<String>> {
    let mut list = Vec::new();
    let mut rest = value;
    while let Some(inner) = rest.strip_prefix('"') {
        let (text, after) = syntax::unquote(inner).ok()?;
        list.push(text);
        let next = after.trim_start();
        let next = next.strip_prefix(SEPARATORS).unwrap_or(next).trim_start();
        if next.is_empty() {
            return Some(list);
        }
        // Two quoted texts without anything between them are no list.
        if next.len() == after.len() {
            return None;
        }
        rest = next;
    }
    None
}

/// What a call comes to for an item, or without one. `ITEM` is the item.
///
/// Target, names and values are evaluated with the user's variables; what is not defined stays as written. The value
/// of a parameter with a name is one value, whatever whitespace it has, and so is one without a name that is written in
/// double quotes. Another one without a name is taken apart once it is evaluated: `${EXTRA}` with the value `A=1 B=2`
/// is two parameters. If the call has no parameters, the item is taken apart like that. Nothing that an item or a
/// variable holds is evaluated again.
///
/// # Errors
/// Evaluation failed, the target is empty, parameters cannot be taken apart (a quote is not closed), or they are longer
/// than [`MAX_ENV_TOTAL`] together.
pub fn call_plan(
    call: &Call,
    item: Option<&str>,
    scope: &Scope,
    cursor: &Cursor<'_>,
) -> Result<Outcome<CallPlan>, EvalError> {
    settle(call_plan_or_stop(call, item, scope, cursor))
}

fn call_plan_or_stop(
    call: &Call,
    item: Option<&str>,
    scope: &Scope,
    cursor: &Cursor<'_>,
) -> Result<CallPlan, Stop> {
    let scope = scope.with(item.map(|item| ("ITEM", item)));
    let mut expander = Expander::new(&scope, Mode::USER, cursor);
    let target = expander.text(&call.target)?.trim().to_owned();
    if target.is_empty() {
        return Err(EvalError::NoTarget(shown(&call.target)).into());
    }
    let mut params = Vec::new();
    let mut room = Room::new("params");
    for arg in &call.params {
        match &arg.name {
            Some(name) => {
                let name = expander.text(name)?;
                let value = expander.text(&arg.value)?;
                room.take(name.len() + value.len())?;
                params.push((Some(name), value));
            }
            None => match syntax::quoted(&arg.value) {
                Some(one) => {
                    let value = expander.text(&one)?;
                    room.take(value.len())?;
                    params.push((None, value));
                }
                None => {
                    let text = expander.text(&arg.value)?;
                    room.take(text.len())?;
                    params.extend(taken_apart(&text)?);
                }
            },
        }
    }
    if let Some(item) = item.filter(|_| call.params.is_empty()) {
        params = taken_apart(item)?;
    }
    Ok(CallPlan { target, params })
}

fn taken_apart(text: &str) -> Result<Vec<syntax::Pair>, EvalError> {
    match syntax::parse(text) {
        Ok(parsed) => Ok(parsed.pairs),
        Err(reason) => Err(EvalError::CallParams {
            text: shown(text),
            reason,
        }),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// What is left of [`MAX_ENV_TOTAL`] for several values together.
struct Room {
    what: &'static str,
    left: usize,
}

impl Room {
    const fn new(what: &'static str) -> Self {
        Self {
            what,
            left: MAX_ENV_TOTAL,
        }
    }

    fn take(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or(EvalError::EnvTooLong(self.what))?;
        Ok(())
    }
}
