//! What is wrong with a configuration: all of it at once, each with its place and its cure.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// Longest part of a line of the file that a report shows, in characters.
const SHOWN: usize = 160;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read configuration {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A root daemon must not take orders from a file that somebody else can write.
    #[error("configuration {path:?} {why}; {cure}")]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Who could have written it.
        why: String,
        /// What to do.
        cure: String,
    },
    /// There is no such time zone. What zones there are, only the daemon knows.
    #[error("{0}")]
    Zone(String),
    /// The file was read and is wrong.
    #[error("{}", list(path, problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it, in the order of the file; never empty.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// The error for a terminal: every problem with the line it is in and a caret below it. Several lines, each
    /// ended by a newline.
    #[must_use]
    pub fn report(&self) -> String {
        let Self::Invalid { path, problems } = self else {
            return format!("{self}\n");
        };
        let mut out = String::new();
        for problem in problems {
            let (line, column, message) = (problem.line, problem.column, &problem.message);
            out += &format!("{}:{line}:{column}: {message}\n", path.display());
            out += &problem.excerpt();
            out += &format!("  = {}\n", problem.cure);
        }
        out
    }
}

fn list(path: &std::path::Path, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}:{problem}", path.display()))
        .collect();
    lines.join("\n")
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// How many characters of the line are meant, at least 1.
    pub width: usize,
    /// What is wrong, with the key's name.
    pub message: String,
    /// What to do about it.
    pub cure: String,
    /// The line, without its end.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}; {}",
            self.line, self.column, self.message, self.cure
        )
    }
}

impl Problem {
    /// Places a problem at `span`, given in bytes of `source`.
    pub(super) fn at(source: &str, span: &Range<usize>, message: String, cure: String) -> Self {
        let mut start = span.start.min(source.len());
        while !source.is_char_boundary(start) {
            start -= 1;
        }
        let (before, after) = source.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let head = before.get(line_start..).unwrap_or_default();
        let tail = after
            .split('\n')
            .next()
            .unwrap_or_default()
            .trim_end_matches('\r');
        let meant = span.end.saturating_sub(start).min(tail.len());
        let width = tail.char_indices().take_while(|(at, _)| *at < meant).count();
        Self {
            line: before.matches('\n').count() + 1,
            column: head.chars().count() + 1,
            width: width.max(1),
            message,
            cure,
            text: format!("{head}{tail}"),
        }
    }

    /// The line with a caret below, three lines.
    fn excerpt(&self) -> String {
        // The file may hold anything; a terminal must not get it as it is.
        let safe = |c: char| if c.is_control() { ' ' } else { c };
        let skip = if self.column > SHOWN {
            self.column - SHOWN / 2
        } else {
            0
        };
        let shown: String = self.text.chars().skip(skip).take(SHOWN).map(safe).collect();
        let indent = self.column - 1 - skip;
        let width = self.width.min(SHOWN.saturating_sub(indent)).max(1);
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        format!(
            "{gutter} |\n{number} | {shown}\n{gutter} | {}{}\n",
            " ".repeat(indent),
            "^".repeat(width)
        )
    }
}
