//! From a TOML value to the type of a key, or what is wrong with it and what to write instead.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::keys::nearest;
use crate::model::DagName;

/// What is wrong with a value; the key's name is put in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    /// A predicate: `is 0`.
    pub(super) fault: String,
    /// What to write.
    pub(super) cure: String,
}

fn complain<T>(fault: impl Into<String>, cure: impl Into<String>) -> Result<T, Complaint> {
    Err(Complaint {
        fault: fault.into(),
        cure: cure.into(),
    })
}

fn wrong_type<T>(value: &DeValue<'_>, cure: &str) -> Result<T, Complaint> {
    let quoted = value
        .as_str()
        .is_some_and(|text| text.parse::<f64>().is_ok() || matches!(text, "true" | "false"));
    let quotes = if quoted { ", without quotes" } else { "" };
    complain(format!("is {}", describe(value)), format!("{cure}{quotes}"))
}

/// What a value is, with its article.
pub(super) fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// A whole number in a range.
pub(super) fn whole(min: u32, max: u32) -> impl Fn(&DeValue<'_>) -> Result<u32, Complaint> {
    move |value| {
        let cure = format!("write a whole number from {min} to {max}");
        let Some(number) = value.as_integer() else {
            return wrong_type(value, &cure);
        };
        match u32::from_str_radix(number.as_str(), number.radix()) {
            Ok(found) if (min..=max).contains(&found) => Ok(found),
            _ => complain(format!("is {number}"), cure),
        }
    }
}

/// Seconds, with or without a fraction, in a range.
pub(super) fn seconds(min: f64, max: f64) -> impl Fn(&DeValue<'_>) -> Result<f64, Complaint> {
    move |value| {
        let cure = format!("write seconds from {min} to {max}");
        let text = match value {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => return wrong_type(value, &cure),
        };
        match text.parse::<f64>() {
            Ok(found) if (min..=max).contains(&found) => Ok(found),
            _ => complain(format!("is {text}"), cure),
        }
    }
}

/// `true` or `false`.
pub(super) fn truth(value: &DeValue<'_>) -> Result<bool, Complaint> {
    value
        .as_bool()
        .map_or_else(|| wrong_type(value, "write true or false"), Ok)
}

/// `true`, `false` or `"auto"`, which is no decision.
pub(super) fn truth_or_auto(value: &DeValue<'_>) -> Result<Option<bool>, Complaint> {
    match value {
        DeValue::Boolean(found) => Ok(Some(*found)),
        DeValue::String(text) if text == "auto" => Ok(None),
        _ => wrong_type(value, "write true, false or \"auto\""),
    }
}

/// Text without NUL and other control characters, at most 4096 bytes.
pub(super) fn text(value: &DeValue<'_>) -> Result<String, Complaint> {
    let Some(found) = value.as_str() else {
        return wrong_type(value, "write a string in double quotes");
    };
    if found.len() > 4096 {
        return complain(
            format!("is {} bytes long", found.len()),
            "write at most 4096 bytes",
        );
    }
    if found.chars().any(char::is_control) {
        return complain("holds a control character", "leave it out");
    }
    Ok(found.to_owned())
}

/// The value of an environment variable: text that may hold anything but NUL, at most 128 KiB less one byte
/// (`MAX_ARG_STRLEN`, execve(2)).
pub(super) fn environment_value(value: &DeValue<'_>) -> Result<String, Complaint> {
    let Some(found) = value.as_str() else {
        return wrong_type(value, "write a string in double quotes");
    };
    if found.contains('\0') {
        return complain("holds a NUL character", "leave it out");
    }
    if found.len() > 128 * 1024 - 512 {
        return complain(
            format!("is {} bytes long", found.len()),
            "no program can be started with more than 128 KiB in a variable",
        );
    }
    Ok(found.to_owned())
}

/// Whether a shell can use it as a variable's name.
pub(super) fn is_environment_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// An absolute path.
pub(super) fn path(value: &DeValue<'_>) -> Result<PathBuf, Complaint> {
    let found = text(value)?;
    if !Path::new(&found).is_absolute() {
        return complain(format!("is {found:?}"), "write an absolute path");
    }
    Ok(PathBuf::from(found))
}

/// An absolute path, or nothing.
pub(super) fn path_or_empty(value: &DeValue<'_>) -> Result<Option<PathBuf>, Complaint> {
    if value.as_str() == Some("") {
        return Ok(None);
    }
    path(value).map(Some)
}

/// A file mode up to 0777: octal digits in a string, or TOML's octal `0o022`. A decimal number is refused,
/// since nobody means 22 by `22`.
pub(super) fn mode(value: &DeValue<'_>) -> Result<u32, Complaint> {
    let cure = "write octal digits in a string, such as \"022\"";
    let digits = match value {
        DeValue::String(text) => text.as_ref(),
        DeValue::Integer(number) if number.radix() == 8 => number.as_str(),
        DeValue::Integer(number) => return complain(format!("is the decimal number {number}"), cure),
        _ => return wrong_type(value, cure),
    };
    let octal = (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    match u32::from_str_radix(digits, 8) {
        Ok(found) if octal && found <= 0o777 => Ok(found),
        _ => complain(format!("is {digits:?}"), format!("{cure}, up to \"777\"")),
    }
}

/// The name of a group of the system, or nothing. Whether it exists is for the daemon to find out.
pub(super) fn group(value: &DeValue<'_>) -> Result<String, Complaint> {
    account(value, "write a group's name, or \"\" for nobody")
}

/// The name of a user of the system, or nothing. Whether it exists is for the daemon to find out.
pub(super) fn user(value: &DeValue<'_>) -> Result<String, Complaint> {
    account(value, "write a user's name, or \"\" for the daemon's own user")
}

fn account(value: &DeValue<'_>, cure: &str) -> Result<String, Complaint> {
    let found = text(value)?;
    if !is_account(&found) {
        return complain(format!("is {found:?}"), cure);
    }
    Ok(found)
}

/// Whether a user or a group can have this name; the empty one stands for none.
fn is_account(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@' | b'\\' | b'$');
    name.len() <= 256 && name.bytes().all(word) && !name.starts_with('-')
}

/// Names of users of the system.
pub(super) fn users(value: &DeValue<'_>) -> Result<BTreeSet<String>, Complaint> {
    accounts(value, "write names of users, as in [\"ann\", \"bob\"]")
}

/// Names of groups of the system.
pub(super) fn groups(value: &DeValue<'_>) -> Result<BTreeSet<String>, Complaint> {
    accounts(value, "write names of groups, as in [\"staff\", \"operators\"]")
}

fn accounts(value: &DeValue<'_>, cure: &str) -> Result<BTreeSet<String>, Complaint> {
    let one = |name: String| {
        if name.is_empty() || !is_account(&name) {
            return complain(format!("names {name:?}"), cure);
        }
        Ok(name)
    };
    Ok(list(value, cure, one)?.into_iter().collect())
}

/// One of some words.
pub(super) fn choice<T: Copy>(
    words: &'static [(&'static str, T)],
) -> impl Fn(&DeValue<'_>) -> Result<T, Complaint> {
    move |value| {
        let all: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let cure = format!("write one of {}", all.join(", "));
        let Some(found) = value.as_str() else {
            return wrong_type(value, &cure);
        };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == found) {
            return Ok(*meaning);
        }
        match nearest(found, words.iter().map(|(word, _)| *word)) {
            Some(word) => complain(format!("is {found:?}"), format!("did you mean {word:?}?")),
            None => complain(format!("is {found:?}"), cure),
        }
    }
}

/// A log filter: `LEVEL` and `module=LEVEL`, comma-separated.
pub(super) fn filter(value: &DeValue<'_>) -> Result<String, Complaint> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let found = text(value)?;
    let cure = "write error, warn, info, debug, trace or off, or module=level after a comma";
    if found.len() > 1024 {
        return complain("is longer than 1024 bytes", cure);
    }
    for part in found.split(',').map(str::trim) {
        let (module, level) = match part.split_once('=') {
            Some((module, level)) => (Some(module), level),
            None => (None, part),
        };
        if !LEVELS.contains(&level) {
            return match nearest(level, LEVELS.iter().copied()) {
                Some(word) => complain(
                    format!("has the level {level:?}"),
                    format!("did you mean {word:?}?"),
                ),
                None => complain(format!("has the level {level:?}"), cure),
            };
        }
        let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':');
        if module.is_some_and(|module| module.is_empty() || !module.bytes().all(name)) {
            return complain(
                format!("has the module {:?}", module.unwrap_or_default()),
                "write a module as in proctor::engine=debug",
            );
        }
    }
    Ok(found)
}

/// Elements of an array, each converted.
fn list<T>(
    value: &DeValue<'_>,
    cure: &str,
    convert: impl Fn(String) -> Result<T, Complaint>,
) -> Result<Vec<T>, Complaint> {
    let Some(array) = value.as_array() else {
        return wrong_type(value, cure);
    };
    if array.len() > 1000 {
        return complain(format!("has {} elements", array.len()), "write at most 1000");
    }
    let one = |element: &toml::Spanned<DeValue<'_>>| match text(element.get_ref()) {
        Ok(text) => convert(text),
        Err(Complaint { fault, cure }) => complain(format!("has an element that {fault}"), cure),
    };
    array.iter().map(one).collect()
}

/// A program by its absolute path, and its arguments; or nothing.
pub(super) fn command(value: &DeValue<'_>) -> Result<Vec<String>, Complaint> {
    let cure =
        "write the program's absolute path and its arguments, as in [\"/usr/local/bin/notify\", \"-v\"]";
    let found = list(value, cure, Ok)?;
    match found.first() {
        Some(program) if !program.starts_with('/') => complain(format!("starts with {program:?}"), cure),
        Some(program) if program.ends_with('/') => complain(format!("names the directory {program:?}"), cure),
        _ => Ok(found),
    }
}

/// Names of DAGs.
pub(super) fn dags(value: &DeValue<'_>) -> Result<BTreeSet<DagName>, Complaint> {
    let one = |name: String| {
        let shown = format!("{name:?}");
        DagName::new(name).map_err(|error| Complaint {
            fault: format!("names {shown}: {error}"),
            cure: String::from("write names of DAGs"),
        })
    };
    let found = list(value, "write names of DAGs, as in [\"backup\", \"report\"]", one)?;
    Ok(found.into_iter().collect())
}
