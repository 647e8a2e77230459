//! Parameters with an external JSON schema (seed-spec 9.4, form 5): the schema's text in, checked values out.
//!
//! Owns the crate that validates. Nothing is fetched or opened: a schema is one text, and references stay within it.

mod guard;
mod properties;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value as Json};

use super::check::shown;
use super::unknown;
use crate::dag::diag::{DIAGNOSTICS_MAX, Diagnostic};
use crate::dag::pattern;
use crate::dag::types::Params;
use crate::model::limits::SCHEMA_MAX;
use guard::Weight;
pub(in crate::dag) use properties::Properties;

/// Largest compiled pattern, in bytes.
const PATTERN_MAX: usize = 1024 * 1024;
/// Most work of one validation: rules of the schema times values and their bytes.
const WORK_MAX: u64 = 10_000_000;
/// Bytes of a value that count as one more value.
const BYTES_OF_A_VALUE: usize = 64;
/// Longest text of what a value violates, in characters; it quotes the value.
const MESSAGE_MAX: usize = 300;

/// A schema whose cost is known and bounded.
pub(in crate::dag) struct Schema {
    root: Json,
    weight: Weight,
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// Why it cannot be one, in words that follow "the schema".
    pub(in crate::dag) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > SCHEMA_MAX {
            return Err(format!("is over the limit of {SCHEMA_MAX} bytes"));
        }
        let root: Json = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| format!("is not JSON: {error}"))?;
        if !root.is_object() {
            return Err("is not a JSON object".to_owned());
        }
        let weight = guard::weigh(&root)?;
        Ok(Self { root, weight })
    }

    /// How many regular expressions it has.
    pub(in crate::dag) const fn patterns(&self) -> u32 {
        self.weight.patterns
    }

    /// What it says of each parameter.
    pub(in crate::dag) fn properties(&self) -> Properties<'_> {
        Properties::of(&self.root)
    }

    /// Compiles it.
    ///
    /// # Errors
    /// Why it is not a valid schema, in words that follow "the schema".
    pub(in crate::dag) fn rules(&self) -> Result<Rules, String> {
        // This engine of regular expressions takes linear time, whatever the pattern.
        let patterns = PatternOptions::regex().size_limit(PATTERN_MAX);
        let validator = jsonschema::options()
            .with_pattern_options(patterns)
            .build(&self.root)
            .map_err(|error| invalid(&error))?;
        Ok(Rules {
            validator,
            weight: self.weight,
        })
    }
}

/// A compiled schema.
pub(in crate::dag) struct Rules {
    validator: Validator,
    weight: Weight,
}

impl Rules {
    /// What values violate on their own, whatever the others are: names and words, one for each name. What depends on
    /// values that may still come is left to the check of all.
    ///
    /// # Errors
    /// There are too many values for so many rules.
    pub(in crate::dag) fn violations(
        &self,
        values: Vec<(String, Json)>,
    ) -> Result<HashMap<String, String>, String> {
        let object = object(values);
        self.affordable(size(&object))?;
        let mut found = HashMap::new();
        for error in self.validator.iter_errors(&object) {
            let first = error.evaluation_path().as_str().split('/').nth(1);
            if !matches!(
                first,
                Some("properties" | "patternProperties" | "additionalProperties")
            ) {
                continue;
            }
            if let (ValidationErrorKind::AdditionalProperties { unexpected }, None) =
                (error.kind(), place(&error))
            {
                let unknown = |name: &String| (name.clone(), "the schema has no such parameter".to_owned());
                found.extend(unexpected.iter().map(unknown));
            } else if let Some((name, _)) = place(&error) {
                found.entry(name).or_insert_with(|| worded(&error));
            }
            if found.len() >= DIAGNOSTICS_MAX {
                break;
            }
        }
        Ok(found)
    }

    /// Whether so many values can be checked; 64 bytes of a text count as one more.
    ///
    /// # Errors
    /// There are too many for so many rules.
    pub(in crate::dag) fn affordable(&self, values: u64) -> Result<(), String> {
        if self.weight.rules.saturating_mul(values) > WORK_MAX {
            return Err(format!(
                "the parameters are too large for their JSON schema: {} rules times the number of values (and 64 bytes \
                 of each) may be {WORK_MAX}",
                self.weight.rules
            ));
        }
        Ok(())
    }
}

/// Checks the parameters of a run, and brings them to their plain form.
///
/// # Errors
/// Everything that violates the schema; never empty.
pub(super) fn apply(
    text: &str,
    params: &Params,
    list: &mut [(String, String)],
) -> Result<(), Vec<Diagnostic>> {
    let failed = |reason: String| {
        vec![Diagnostic::nowhere(format!(
            "the JSON schema of the parameters {reason}"
        ))]
    };
    let schema = Schema::parse(text).map_err(failed)?;
    let rules = schema.rules().map_err(failed)?;
    let too_large = |message| vec![Diagnostic::nowhere(message)];
    // Coercion looks at the listed values, too; and what a text stands for may be more than one value.
    let texts = list.iter().map(|(name, text)| 1 + long(name) + long(text));
    rules.affordable(texts.sum()).map_err(too_large)?;
    let properties = schema.properties();
    let values: Vec<(String, Json)> = list
        .iter()
        .map(|(name, text)| (name.clone(), properties.coerce(name, text)))
        .collect();
    for ((_, text), (_, value)) in list.iter_mut().zip(&values) {
        if !value.is_null() {
            *text = shown(value);
        }
    }
    let object = object(values);
    rules.affordable(size(&object)).map_err(too_large)?;
    let mut errors = Vec::new();
    for error in rules.validator.iter_errors(&object) {
        diagnose(&error, params, &mut errors);
        if errors.len() >= DIAGNOSTICS_MAX {
            break;
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn diagnose(error: &ValidationError<'_>, params: &Params, errors: &mut Vec<Diagnostic>) {
    let failed = |what: &str| Diagnostic::nowhere(format!("parameter validation failed: {what}"));
    let place = place(error);
    match (error.kind(), &place) {
        (ValidationErrorKind::AdditionalProperties { unexpected }, None) => {
            let room = DIAGNOSTICS_MAX.saturating_sub(errors.len());
            errors.extend(unexpected.iter().take(room).map(|name| unknown(params, name)));
        }
        (
            ValidationErrorKind::Required {
                property: Json::String(name),
            },
            None,
        ) => errors.push(failed(&format!("parameter {name:?} is required"))),
        // The whole object is the parameters; quoting it would hide what is said of it.
        (kind, None) => errors.push(failed(&format!(
            "the parameters together violate `{}`",
            kind.keyword()
        ))),
        (_, Some((name, inside))) => {
            let inside = if inside.is_empty() {
                String::new()
            } else {
                format!(" at {inside}")
            };
            errors.push(failed(&format!("parameter {name:?}{inside}: {}", worded(error))));
        }
    }
}

/// The parameter that an error is about, and the place in its value; none if it is about all of them.
fn place(error: &ValidationError<'_>) -> Option<(String, String)> {
    let pointer = error.instance_path().as_str().strip_prefix('/')?;
    let (name, inside) = pointer.split_once('/').unwrap_or((pointer, ""));
    Some((name.replace("~1", "/").replace("~0", "~"), inside.to_owned()))
}

/// What a value violates, no longer than a line.
fn worded(error: &ValidationError<'_>) -> String {
    let text = error.to_string();
    let mut short: String = text.chars().take(MESSAGE_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn invalid(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().as_str();
    let place = if place.is_empty() { "its top" } else { place };
    match (error.kind(), error.instance().as_str()) {
        (ValidationErrorKind::Format { format }, Some(text)) if format == "regex" => {
            let reason = pattern::compile(text).err();
            let reason = reason.unwrap_or_else(|| format!("it needs more than {PATTERN_MAX} bytes"));
            format!("is invalid at {place}: {text:?} is not a regular expression that is supported: {reason}")
        }
        _ => format!("is invalid at {place}: {}", worded(error)),
    }
}

fn object(values: impl IntoIterator<Item = (String, Json)>) -> Json {
    Json::Object(values.into_iter().collect::<Map<_, _>>())
}

/// How many values there are in one, long texts counted by their length.
fn size(value: &Json) -> u64 {
    match value {
        Json::String(text) => 1 + long(text),
        Json::Array(items) => items.iter().map(size).fold(1, u64::saturating_add),
        Json::Object(entries) => entries
            .iter()
            .map(|(name, value)| size(value).saturating_add(long(name)))
            .fold(1, u64::saturating_add),
        _ => 1,
    }
}

fn long(text: &str) -> u64 {
    u64::try_from(text.len() / BYTES_OF_A_VALUE).unwrap_or(u64::MAX)
}
