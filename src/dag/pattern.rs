//! Regular expressions of a DAG: patterns of parameters, and texts behind `re:`.
//!
//! Loading a DAG and running it compile by the same limits, so that what is accepted works.

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// Largest compiled pattern in bytes: enough for `\w{1,100}`, a bound for what nests repetitions.
const SIZE_MAX: usize = 5 * 1024 * 1024;
/// Longest text of a pattern in bytes. Before it is compiled, each `\w` of it takes 7 KiB.
pub(super) const TEXT_MAX: usize = 16 * 1024;
/// Longest pattern that a message shows whole, in characters.
const SHOWN: usize = 200;

/// Compiles a regular expression.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    short_enough(&[pattern])?;
    RegexBuilder::new(pattern)
        .size_limit(SIZE_MAX)
        .build()
        .map_err(|error| cause(&error))
}

/// Compiles regular expressions of which any may match. Together they may be as large as one.
///
/// # Errors
/// What is wrong with them, in one line.
pub fn compile_all(patterns: &[&str]) -> Result<RegexSet, String> {
    short_enough(patterns)?;
    RegexSetBuilder::new(patterns)
        .size_limit(SIZE_MAX)
        .build()
        .map_err(|error| cause(&error))
}

/// What to say of a pattern that [`compile`] refused.
pub(in crate::dag) fn refusal(pattern: &str, cause: &str) -> String {
    let mut short: String = pattern.chars().take(SHOWN).collect();
    if short.len() < pattern.len() {
        short.push('…');
    }
    format!("{short:?} is not a regular expression: {cause}")
}

fn short_enough(patterns: &[&str]) -> Result<(), String> {
    let length: usize = patterns.iter().map(|pattern| pattern.len()).sum();
    if length > TEXT_MAX {
        return Err(format!("it has {length} bytes; at most {TEXT_MAX} are allowed"));
    }
    Ok(())
}

fn cause(error: &regex::Error) -> String {
    // The last line of the error is the cause; those before show the pattern.
    let text = error.to_string();
    let cause = text.lines().last().unwrap_or_default();
    cause.trim().trim_start_matches("error: ").to_owned()
}
