//! Regular expressions of a DAG: patterns of parameters, and texts behind `re:`.

use regex::{Regex, RegexBuilder};

/// Largest compiled pattern in bytes: enough for `\w{1,100}`, a bound for what nests repetitions.
const SIZE_MAX: usize = 10 * 1024 * 1024;

/// Compiles a regular expression.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(SIZE_MAX)
        .build()
        .map_err(|error| {
            // The last line of the error is the cause; those before show the pattern.
            let text = error.to_string();
            let cause = text.lines().last().unwrap_or_default();
            cause.trim().trim_start_matches("error: ").to_owned()
        })
}
