//! Diagnostics: what is wrong with a DAG file, where, and what cures it.
//!
//! Owns the type that answers carry, the collector the loader reports to, and the renderer for people.

mod render;
mod suggest;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::model::limits::SCHEMAS_MAX;

use render::printable;
pub use render::render;
pub(in crate::dag) use suggest::closest;

/// Most diagnostics of one load; a file that is wrong everywhere need not say so a million times.
pub const DIAGNOSTICS_MAX: usize = 100;

/// Most regular expressions in the JSON schemas of one load: compiling is their one costly part.
const SCHEMA_PATTERNS_MAX: u32 = 100;

/// Most bytes that may be copied in one load from where they are written to each step they hold for.
const COPIES_MAX: usize = 64 * 1024 * 1024;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The DAG cannot be used.
    Error,
    /// The DAG can be used, but perhaps not as its author thinks.
    Warning,
}

/// One thing that is wrong, or worth saying, about a DAG.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in a lower-case sentence.
    pub message: String,
    /// File it is in, as the caller named it; none for what is in no file (a parameter on the command line).
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column, from 1, in characters.
    pub column: Option<u32>,
    /// What cures it, if that can be said.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error that is in no file.
    #[must_use]
    pub fn nowhere(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            file: None,
            line: None,
            column: None,
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    /// `file:line:column: message; hint`, on one line: a character that can do more than be shown is replaced by a sign,
    /// as [`render()`] does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", printable(file))?;
            if let (Some(line), Some(column)) = (self.line, self.column) {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&printable(&self.message))?;
        match &self.hint {
            Some(hint) => write!(f, "; {}", printable(hint)),
            None => Ok(()),
        }
    }
}

/// A place in one of the texts of a load: the DAG file or the base configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::dag) struct Pos {
    /// Which text: its position in [`Report::files`].
    pub(in crate::dag) file: u8,
    /// Line, from 1.
    pub(in crate::dag) line: u32,
    /// Column, from 1, in characters.
    pub(in crate::dag) column: u32,
}

/// Collects the diagnostics of one load.
#[derive(Debug, Default)]
pub(in crate::dag) struct Report {
    files: Vec<String>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    dropped: bool,
    patterns: u32,
    schema_bytes: usize,
    schema_patterns: u32,
    copied: usize,
}

impl Report {
    /// A report on texts with these names.
    pub(in crate::dag) fn new(files: Vec<String>) -> Self {
        Self {
            files,
            ..Self::default()
        }
    }

    fn push(&mut self, severity: Severity, at: Option<Pos>, message: String, hint: Option<String>) {
        let file = at.and_then(|at| self.files.get(usize::from(at.file)).cloned());
        let list = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if list.len() >= DIAGNOSTICS_MAX {
            self.dropped |= severity == Severity::Error;
            return;
        }
        list.push(Diagnostic {
            severity,
            message,
            file,
            line: at.map(|at| at.line),
            column: at.map(|at| at.column),
            hint,
        });
    }

    /// Reports an error.
    pub(in crate::dag) fn error(&mut self, at: Pos, message: impl Into<String>) {
        self.push(Severity::Error, Some(at), message.into(), None);
    }

    /// Reports an error and its cure.
    pub(in crate::dag) fn error_hint(
        &mut self,
        at: Pos,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(Severity::Error, Some(at), message.into(), Some(hint.into()));
    }

    /// Reports an error that is in no text.
    pub(in crate::dag) fn error_nowhere(&mut self, message: impl Into<String>) {
        self.push(Severity::Error, None, message.into(), None);
    }

    /// Reports something that does not prevent the DAG from being used.
    pub(in crate::dag) fn warn(&mut self, at: Pos, message: impl Into<String>) {
        self.push(Severity::Warning, Some(at), message.into(), None);
    }

    /// Whether there is no room for one more error, which then need not be worded. The end will say that there was one.
    pub(in crate::dag) fn is_full(&mut self) -> bool {
        let full = self.errors.len() >= DIAGNOSTICS_MAX;
        self.dropped |= full;
        full
    }

    /// Whether one more regular expression may be compiled to check it. Compiling is the one costly check, so only
    /// so many are checked at load; the others are when they are used.
    pub(in crate::dag) fn may_compile(&mut self) -> bool {
        self.patterns += 1;
        self.patterns <= 50
    }

    /// Takes into account that so many bytes are copied to so many steps; whether that may be, on top of what all
    /// documents have copied before.
    pub(in crate::dag) fn may_copy(&mut self, bytes: usize, times: usize) -> bool {
        self.copied = self.copied.saturating_add(bytes.saturating_mul(times));
        self.copied <= COPIES_MAX
    }

    /// Takes a JSON schema into account. Each document keeps the text of its own, and all of their patterns are
    /// compiled, so there is a limit on all schemas of one file together.
    ///
    /// # Errors
    /// It is one too many; the words follow "the schema".
    pub(in crate::dag) fn may_keep_schema(&mut self, bytes: usize, patterns: u32) -> Result<(), String> {
        self.schema_bytes = self.schema_bytes.saturating_add(bytes);
        if self.schema_bytes > SCHEMAS_MAX {
            return Err(format!(
                "is too much: the schemas of all documents may have {SCHEMAS_MAX} bytes together"
            ));
        }
        self.schema_patterns = self.schema_patterns.saturating_add(patterns);
        if self.schema_patterns > SCHEMA_PATTERNS_MAX {
            return Err(format!(
                "is too much: the schemas of all documents may have {SCHEMA_PATTERNS_MAX} patterns together"
            ));
        }
        Ok(())
    }

    /// How many errors there are.
    pub(in crate::dag) fn error_count(&self) -> usize {
        self.errors.len()
    }

    /// The warnings if there is no error, else the errors; in the order of the text.
    pub(in crate::dag) fn finish(mut self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let place = |d: &Diagnostic| (d.file != self.files.first().cloned(), d.line, d.column);
        if self.errors.is_empty() {
            self.warnings.sort_by_key(place);
            return Ok(self.warnings);
        }
        self.errors.sort_by_key(place);
        if self.dropped {
            self.errors.push(Diagnostic::nowhere(format!(
                "there are more errors; the first {DIAGNOSTICS_MAX} are shown"
            )));
        }
        Err(self.errors)
    }
}
