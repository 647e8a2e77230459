//! The append-only journal of an attempt: the one way in which facts leave a shim (DESIGN §5).
//!
//! A journal is lines of text. Each line is eight lower-case hexadecimal digits (the CRC-32 of what follows),
//! a space, one JSON object and a line feed. The first line is the [`Header`]; every other one is a
//! [`crate::model::Record`], numbered densely from 0. A line without its line feed was torn by a crash and
//! counts as not written.
//!
//! This module owns that format and nothing else: what a fact means is the engine's business. A journal is
//! written with the rights of the job's user, so the reader takes nothing on trust: lines, texts and memory
//! are bounded, and damage is reported with its place and never repaired by guessing.

mod format;
mod reader;
mod writer;

use std::io;

use crate::model::AttemptId;

pub use format::{Header, LINE_MAX, VERSION};
pub use reader::Reader;
pub use writer::{AppendError, Sink, Writer};

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The line does not begin with eight hexadecimal digits and a space.
    #[error("it does not begin with a checksum")]
    NoChecksum,
    /// The checksum is not that of the text.
    #[error("its checksum is {found:08x} and should be {computed:08x}")]
    Checksum {
        /// As written.
        found: u32,
        /// As computed.
        computed: u32,
    },
    /// The checksum fits but the text is not what belongs there.
    #[error("its content is not valid: {0}")]
    Content(String),
    /// The line's number is not the one that comes next.
    #[error("its record has number {found} and should have {expected}")]
    Sequence {
        /// As written.
        found: u64,
        /// The number that comes next.
        expected: u64,
    },
    /// The line is longer than [`LINE_MAX`].
    #[error("it is longer than {LINE_MAX} bytes")]
    TooLong,
    /// The offset to go on from is not the beginning of a line.
    #[error("it does not begin where the last one ended")]
    NotALineStart,
}

/// Why a journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system refused.
    #[error("cannot {operation} the journal: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// There is no complete first line: the journal's making was interrupted, so the attempt never started.
    #[error("the journal has no header ({len} bytes)")]
    NoHeader {
        /// Bytes that are there.
        len: u64,
    },
    /// The journal was written by a newer release.
    #[error(
        "the journal has format {found} and this program knows up to {VERSION}: upgrade proctord to read it"
    )]
    Newer {
        /// The format's number.
        found: u64,
    },
    /// The journal belongs to another attempt.
    #[error("the journal is of attempt {found} and should be of attempt {expected}")]
    OtherAttempt {
        /// The attempt in the header.
        found: AttemptId,
        /// The attempt it should be.
        expected: AttemptId,
    },
    /// A complete line is not what was written.
    #[error("the journal is damaged at byte {offset}{}: {damage}", line.map(|n| format!(", line {n}")).unwrap_or_default())]
    Damaged {
        /// Line, from 1 (the header); not known if reading was resumed without a number.
        line: Option<u64>,
        /// Where the line begins.
        offset: u64,
        /// What is wrong.
        damage: Damage,
    },
    /// The journal has lost lines that had been read.
    #[error("the journal is {len} bytes long, but {offset} have been read: it was cut by somebody")]
    Shrunk {
        /// Bytes that had been read.
        offset: u64,
        /// Bytes that are there.
        len: u64,
    },
    /// One fact makes a line longer than [`LINE_MAX`], even with its texts cut.
    #[error("a record of {len} bytes is too long for the journal (at most {LINE_MAX})")]
    TooLarge {
        /// Length of the line in bytes.
        len: usize,
    },
    /// The system took only a part of the line, as a full disk does.
    #[error("only {written} of {len} bytes could be written to the journal: free some space")]
    Short {
        /// Bytes written.
        written: usize,
        /// Bytes to write.
        len: usize,
    },
}

impl JournalError {
    pub(crate) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, source }
    }

    /// Whether the content is at fault and no later try can help.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. } | Self::Shrunk { .. } | Self::OtherAttempt { .. }
        )
    }
}

#[cfg(test)]
mod tests;
