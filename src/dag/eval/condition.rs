//! Conditions (seed-spec 7.7) and the lines that `continue_on.output` looks for (7.6).

use regex::RegexSet;

use super::EvalError;
use crate::dag::pattern::{compile, compile_all};

/// Longest piece of a value that a reason shows, in characters.
const SHOWN: usize = 200;
/// Longest line that is matched, in bytes; what is beyond it is not looked at.
const MAX_LINE: usize = 64 * 1024;

/// The reason recorded for a condition that is met while another of its list is not.
pub const OTHER_UNMET: &str = "other condition was not met";

/// What a condition came to, after `negate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is met.
    Met,
    /// It is not met, and why.
    Unmet(String),
}

/// Judges a condition with an expected value: met if a line of the value equals it, or matches it behind `re:`.
/// An empty value is one empty line. `limit` is the DAG's `max_output_size` in bytes.
///
/// # Errors
/// The pattern is not a regular expression, or the value is longer than the limit; `negate` does not change that.
pub fn value_met(value: &str, expected: &str, negate: bool, limit: u64) -> Result<Verdict, EvalError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if value.len() > limit {
        return Err(EvalError::ValueTooLong {
            size: value.len(),
            limit,
        });
    }
    let pattern = match expected.strip_prefix("re:") {
        Some(pattern) => Some(compile(pattern).map_err(|reason| refused(pattern, reason))?),
        None => None,
    };
    let fits = |line: &str| match &pattern {
        Some(regex) => regex.is_match(line),
        None => line == expected,
    };
    let met = if value.is_empty() {
        fits("")
    } else {
        value.lines().any(fits)
    };
    Ok(verdict(met, negate, || {
        let not = if negate { "anything but " } else { "" };
        format!(
            "condition was not met: expected {not}`{}`, got `{}`",
            shown(expected),
            shown(value)
        )
    }))
}

/// Judges a condition that is a command: met if it exits with 0. `code` is none if it was killed.
#[must_use]
pub fn command_met(command: &str, code: Option<i32>, negate: bool) -> Verdict {
    verdict(code == Some(0), negate, || {
        let end = code.map_or_else(
            || "was killed by a signal".to_owned(),
            |c| format!("exited with {c}"),
        );
        format!("condition was not met: `{}` {end}", shown(command))
    })
}

fn verdict(met: bool, negate: bool, reason: impl FnOnce() -> String) -> Verdict {
    if met == negate {
        Verdict::Unmet(reason())
    } else {
        Verdict::Met
    }
}

fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

fn refused(pattern: &str, reason: String) -> EvalError {
    EvalError::Pattern {
        pattern: shown(pattern),
        reason,
    }
}

/// Looks for lines in output that comes in pieces. It holds one line at most, cut at 64 KiB.
#[derive(Debug)]
pub struct OutputMatcher {
    texts: Vec<String>,
    regexes: RegexSet,
    line: Vec<u8>,
    matched: bool,
}

impl OutputMatcher {
    /// One for these patterns: a plain text is looked for within a line, behind `re:` stands a regular expression.
    ///
    /// # Errors
    /// A pattern is not a regular expression, or all of them together are too large.
    pub fn new(patterns: &[String]) -> Result<Self, EvalError> {
        let texts = patterns.iter().filter(|pattern| !pattern.starts_with("re:"));
        let regexes: Vec<&str> = patterns
            .iter()
            .filter_map(|pattern| pattern.strip_prefix("re:"))
            .collect();
        Ok(Self {
            texts: texts.cloned().collect(),
            regexes: compile_all(&regexes).map_err(|reason| refused(&regexes.join("`, `"), reason))?,
            line: Vec::new(),
            matched: false,
        })
    }

    /// Takes the next piece. Nothing more needs to be fed once it returns true.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            if self.matched {
                break;
            }
            let (text, ended) = piece.strip_suffix(b"\n").map_or((piece, false), |t| (t, true));
            let room = MAX_LINE.saturating_sub(self.line.len()).min(text.len());
            self.line.extend_from_slice(text.get(..room).unwrap_or_default());
            if ended {
                self.judge();
            }
        }
        self.matched
    }

    /// Whether a line matched, the last one included if it has no newline.
    #[must_use]
    pub fn finish(mut self) -> bool {
        if !self.matched && !self.line.is_empty() {
            self.judge();
        }
        self.matched
    }

    fn judge(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        self.matched = self.texts.iter().any(|text| line.contains(text)) || self.regexes.is_match(line);
        self.line.clear();
    }
}
