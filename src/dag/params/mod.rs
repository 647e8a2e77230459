//! Parameters of a run: the declared ones, overridden by those that are given (seed-spec 9.4).
//!
//! Owns their syntax and their rules. Values are literal: no variable and no backtick is expanded here.

mod check;
mod known;
pub(in crate::dag) mod schema;
#[cfg(test)]
mod tests;
pub(in crate::dag) mod text;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

pub use check::check;
pub(in crate::dag) use check::{check_compiled, shown, typed};

use super::diag::{DIAGNOSTICS_MAX, Diagnostic, closest};
use super::types::{ParamDef, Params};

/// Parameters as they are given for a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ParamInput {
    /// One text (`--params`). Empty text is not the same as none only for the caller; both override nothing.
    pub text: Option<String>,
    /// Words (behind `--`); if there are any, the text is ignored.
    pub args: Vec<String>,
    /// Names and values of a call; if there are any, text and words are ignored. They are taken as they are: a value
    /// without a name stays without one, whatever is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<(Option<String>, String)>,
}

/// The parameters of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResolvedParams {
    /// Name and value, in order; a positional one is named by its number.
    pub list: Vec<(String, String)>,
    /// One JSON text: the original one if they were given as JSON, else an object of texts.
    pub json: String,
    /// Whether `json` is the original text.
    pub json_given: bool,
    /// Positions in `list` of parameters whose declaration has an `eval` that is to be evaluated now, in this
    /// ascending order: none of them was given. Until then they have their default, or an empty value.
    pub pending_eval: Vec<usize>,
}

impl ResolvedParams {
    /// Settles the next pending parameter: with the value its `eval` came to, or none if evaluation failed. Then
    /// the default counts. The JSON text follows.
    ///
    /// # Errors
    /// The value violates the declaration, or evaluation failed and there is no default.
    pub fn settle(&mut self, params: &Params, value: Option<&str>) -> Result<(), Diagnostic> {
        if self.pending_eval.is_empty() {
            return Ok(());
        }
        let position = self.pending_eval.remove(0);
        let Some((name, slot)) = self.list.get_mut(position) else {
            return Ok(());
        };
        let Some(def) = params.defs.iter().find(|def| def.name == *name) else {
            return Ok(());
        };
        *slot = match (value, &def.default) {
            (Some(value), _) => check(def, value).map_err(Diagnostic::nowhere)?,
            (None, Some(default)) => default.clone(),
            (None, None) => {
                let message = format!("`eval` of parameter {name:?} failed and it has no default");
                return Err(Diagnostic::nowhere(message));
            }
        };
        if !self.json_given {
            self.json = object(&self.list);
        }
        Ok(())
    }

    /// The parameters that are known without evaluating anything: those that are pending only if they have a default.
    #[must_use]
    pub fn known(&self, params: &Params) -> Vec<(String, String)> {
        let mut known = self.list.clone();
        for position in self.pending_eval.iter().rev() {
            let name = self.list.get(*position).map(|(name, _)| name);
            let def = params.defs.iter().find(|def| Some(&def.name) == name);
            if def.is_none_or(|def| def.default.is_none()) && *position < known.len() {
                known.remove(*position);
            }
        }
        known
    }
}

/// The declared parameters with their defaults, as a DAG is shown when nothing is given: what is required and has
/// no default is left out rather than an error. With `evaluate`, an `eval` that follows from other parameters counts.
#[must_use]
pub fn defaults(params: &Params, evaluate: bool) -> ResolvedParams {
    let mut resolved = ResolvedParams::default();
    for def in &params.defs {
        fall_back(def, &mut resolved);
    }
    let mut resolved = finish(resolved, params.json.clone());
    if evaluate {
        let written = resolved.clone();
        if resolved.settle_known(params).is_err() {
            // It is an error of a run, and this is none.
            return written;
        }
    }
    resolved
}

/// The parameters of a run: what is declared, overridden by what is given.
///
/// Without types, a positional value replaces the one at its place, a named one the one of its name or is added.
/// With types, values are coerced and checked, and undeclared names are refused. With an external JSON schema, it
/// says what is valid, also which names.
///
/// # Errors
/// Everything that is wrong with what is given; never empty.
pub fn resolve(params: &Params, input: &ParamInput) -> Result<ResolvedParams, Vec<Diagnostic>> {
    let (pairs, original) = given(input).map_err(|message| vec![Diagnostic::nowhere(message)])?;
    let declared = params.defs.len();
    let mut errors = Vec::new();
    let positional = pairs.iter().filter(|(name, _)| name.is_none()).count();
    let counted = declared > 0 || params.schema.is_some();
    if positional > declared && counted && (params.typed || original.is_none()) {
        let message = format!("too many positional parameters: {positional} given, {declared} declared");
        return Err(vec![Diagnostic::nowhere(message)]);
    }
    let mut by_name: HashMap<String, usize> = params
        .defs
        .iter()
        .enumerate()
        .map(|(index, def)| (def.name.clone(), index))
        .collect();
    let mut values: Vec<Option<String>> = vec![None; declared];
    let mut extra: Vec<(String, String)> = Vec::new();
    let nothing_given = pairs.is_empty();
    for (place, (name, value)) in pairs.into_iter().enumerate() {
        // Only JSON can say this; as a variable it could not be referred to.
        if name.as_deref() == Some("") {
            let message = "a parameter has an empty name; a value without a name is an item of a JSON array";
            return Err(vec![Diagnostic::nowhere(message)]);
        }
        let name = name.unwrap_or_else(|| {
            // A positional value replaces the parameter at its place, whatever that one is called.
            params
                .defs
                .get(place)
                .map_or_else(|| (place + 1).to_string(), |def| def.name.clone())
        });
        match by_name.get(&name).copied() {
            Some(index) => {
                if let Some(slot) = values.get_mut(index) {
                    *slot = Some(value);
                } else if let Some((_, slot)) = extra.get_mut(index - declared) {
                    *slot = value;
                }
            }
            None if params.typed && params.schema.is_none() => errors.push(unknown(params, &name)),
            None => {
                by_name.insert(name.clone(), declared + extra.len());
                extra.push((name, value));
            }
        }
        if errors.len() >= DIAGNOSTICS_MAX {
            return Err(errors);
        }
    }
    let mut resolved = ResolvedParams::default();
    for (def, value) in params.defs.iter().zip(values) {
        let value = match value {
            Some(value) if params.typed && params.schema.is_none() => check(def, &value),
            Some(value) => Ok(value),
            None if fall_back(def, &mut resolved) || !def.required || params.schema.is_some() => continue,
            None => Err(format!("parameter {:?} is required", def.name)),
        };
        match value {
            Ok(value) => resolved.list.push((def.name.clone(), value)),
            Err(message) => errors.push(Diagnostic::nowhere(message)),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    resolved.list.extend(extra);
    if let Some(schema) = &params.schema {
        schema::apply(&schema.text, params, &mut resolved.list)?;
    }
    let declared_json = params.json.clone().filter(|_| nothing_given);
    Ok(finish(resolved, original.or(declared_json)))
}

/// Adds a parameter that is not given; false if there is nothing to add.
fn fall_back(def: &ParamDef, resolved: &mut ResolvedParams) -> bool {
    if def.eval.is_some() {
        resolved.pending_eval.push(resolved.list.len());
    } else if def.default.is_none() {
        return false;
    }
    resolved
        .list
        .push((def.name.clone(), def.default.clone().unwrap_or_default()));
    true
}

fn finish(mut resolved: ResolvedParams, original: Option<String>) -> ResolvedParams {
    resolved.json_given = original.is_some();
    resolved.json = original.unwrap_or_else(|| object(&resolved.list));
    resolved
}

/// What is given as pairs, and the text if it is JSON.
fn given(input: &ParamInput) -> Result<(Vec<text::Pair>, Option<String>), String> {
    if !input.pairs.is_empty() {
        return Ok((input.pairs.clone(), None));
    }
    match input.args.as_slice() {
        [] => {
            let written = input.text.as_deref().unwrap_or_default().trim();
            let parsed = text::parse(without_quotes(written))?;
            Ok((parsed.pairs, parsed.json.then(|| written.to_owned())))
        }
        [only] => match text::parse_json(only) {
            Some(pairs) => Ok((pairs, Some(only.clone()))),
            None => Ok((vec![text::argument(only)], None)),
        },
        words => Ok((words.iter().map(|word| text::argument(word)).collect(), None)),
    }
}

/// The inside of a text that is one quoted whole: the quotes are left over from a shell (seed-spec 6.1).
fn without_quotes(written: &str) -> &str {
    let inner = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).unwrap_or(written)
}

fn unknown(params: &Params, name: &str) -> Diagnostic {
    let diagnostic = Diagnostic::nowhere(format!("there is no parameter {name:?}"));
    match closest(name, params.defs.iter().map(|def| def.name.as_str())) {
        Some(guess) => diagnostic.with_hint(format!("did you mean `{guess}`?")),
        None => diagnostic,
    }
}

fn object(list: &[(String, String)]) -> String {
    let map: serde_json::Map<String, serde_json::Value> = list
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    serde_json::Value::Object(map).to_string()
}

/// Defaults as one text that can be parsed again: values in quotes. A parameter with an `eval` that is settled has the
/// value it came to.
#[must_use]
pub fn default_text(params: &Params, resolved: &ResolvedParams) -> String {
    let settled: HashMap<&str, &String> = resolved
        .list
        .iter()
        .enumerate()
        .filter(|(at, _)| resolved.pending_eval.binary_search(at).is_err())
        .map(|(_, (name, value))| (name.as_str(), value))
        .collect();
    let given = params.defs.iter().filter_map(|def| {
        let settled = || settled.get(def.name.as_str()).copied();
        let value = def
            .eval
            .as_ref()
            .and_then(|_| settled())
            .or(def.default.as_ref())?;
        Some((def, value))
    });
    let mut words = Vec::new();
    let mut alone = None;
    for (def, value) in given {
        alone = (words.is_empty() && def.positional).then_some((def, value));
        words.push(match def.positional {
            true => text::quote(value),
            false => format!("{}={}", def.name, text::quote(value)),
        });
    }
    let written = words.join(" ");
    match alone {
        Some((def, value)) if !reads_back(&written, value) => format!("{}={written}", def.name),
        _ => written,
    }
}

/// Whether a text of one value without a name is that value when it is given: alone it loses its quotes then.
fn reads_back(written: &str, value: &str) -> bool {
    text::parse(without_quotes(written)).is_ok_and(|parsed| {
        let same = |(name, read): &text::Pair| name.is_none() && read == value;
        !parsed.json && parsed.pairs.len() == 1 && parsed.pairs.iter().all(same)
    })
}

/// Parameters as one text for people: values in quotes.
#[must_use]
pub fn pairs_text(pairs: &[(Option<String>, String)]) -> String {
    let words = pairs.iter().map(|(name, value)| match name {
        Some(name) => format!("{name}={}", text::quote(value)),
        None => text::quote(value),
    });
    words.collect::<Vec<_>>().join(" ")
}
