//! Values of typed parameters: coercion and the rules of their declaration (seed-spec 9.4).

use regex::Regex;
use serde_json::{Number, Value};

use crate::dag::pattern::compile;
use crate::dag::types::{ParamDef, ParamKind};

/// The value of a typed parameter in its plain form, if it satisfies the declaration.
///
/// # Errors
/// What the value violates, in words that name the parameter.
pub fn check(def: &ParamDef, value: &str) -> Result<String, String> {
    let typed = fitting(def, value)?;
    if let (Some(pattern), Value::String(text)) = (&def.pattern, &typed) {
        let regex = compile(pattern);
        matching(def, text, regex.is_ok_and(|regex| regex.is_match(text)))?;
    }
    Ok(shown(&typed))
}

/// The same where the pattern of the declaration is compiled already; without it the value may be any by the pattern.
///
/// # Errors
/// What the value violates, in words that name the parameter.
pub(in crate::dag) fn check_compiled(
    def: &ParamDef,
    value: &str,
    pattern: Option<&Regex>,
) -> Result<String, String> {
    let typed = fitting(def, value)?;
    if let (Some(regex), Value::String(text)) = (pattern, &typed) {
        matching(def, text, regex.is_match(text))?;
    }
    Ok(shown(&typed))
}

fn matching(def: &ParamDef, text: &str, matches: bool) -> Result<(), String> {
    let (name, pattern) = (&def.name, def.pattern.as_deref().unwrap_or_default());
    if matches {
        return Ok(());
    }
    Err(format!(
        "parameter {name:?} must match the pattern {pattern:?}, and {text:?} does not"
    ))
}

/// The typed value, if it satisfies all of the declaration but its pattern.
fn fitting(def: &ParamDef, value: &str) -> Result<Value, String> {
    let name = &def.name;
    let typed = typed(def.kind, value).ok_or_else(|| {
        let wanted = match def.kind {
            ParamKind::String => "a text",
            ParamKind::Integer => "a whole number",
            ParamKind::Number => "a number",
            ParamKind::Boolean => "`true` or `false`",
            ParamKind::Json => "a JSON value",
        };
        format!("parameter {name:?} must be {wanted}, not {value:?}")
    })?;
    if !def.choices.is_empty() && !def.choices.iter().any(|choice| same(choice, &typed)) {
        let choices: Vec<String> = def.choices.iter().take(20).map(shown).collect();
        return Err(format!(
            "parameter {name:?} must be one of {}, not {value:?}",
            choices.join(", ")
        ));
    }
    if let Some(number) = typed.as_f64() {
        if let Some(minimum) = def.minimum.filter(|minimum| number < *minimum) {
            return Err(format!(
                "parameter {name:?} must be at least {minimum}, not {value}"
            ));
        }
        if let Some(maximum) = def.maximum.filter(|maximum| number > *maximum) {
            return Err(format!(
                "parameter {name:?} must be at most {maximum}, not {value}"
            ));
        }
    }
    if let Value::String(text) = &typed {
        let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        if let Some(least) = def.min_length.filter(|least| length < *least) {
            return Err(format!(
                "parameter {name:?} must have at least {least} characters, not {length}"
            ));
        }
        if let Some(most) = def.max_length.filter(|most| length > *most) {
            return Err(format!(
                "parameter {name:?} must have at most {most} characters, not {length}"
            ));
        }
    }
    Ok(typed)
}

/// The value a text stands for in a type; none if it stands for none.
pub(in crate::dag) fn typed(kind: ParamKind, text: &str) -> Option<Value> {
    let trimmed = text.trim();
    match kind {
        ParamKind::String => Some(Value::from(text)),
        ParamKind::Integer => {
            let digits = trimmed.strip_prefix('+').unwrap_or(trimmed);
            digits.parse::<i64>().ok().map(Value::from)
        }
        ParamKind::Number => {
            if let Ok(whole) = trimmed.parse::<i64>() {
                return Some(Value::from(whole));
            }
            // `inf` and `nan` are no numbers here: JSON has none.
            trimmed
                .parse::<f64>()
                .ok()
                .and_then(Number::from_f64)
                .map(Value::Number)
        }
        ParamKind::Boolean => match trimmed.to_ascii_lowercase().as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        ParamKind::Json => Some(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// A value as the text of a parameter.
pub(in crate::dag) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
