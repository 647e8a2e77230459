//! Lines: how a header or record becomes one and how it is read back. No I/O.

use serde::{Deserialize, Serialize};

use super::{Damage, JournalError};
use crate::model::{AttemptId, Fact, Record, RunRef, Time, limits};

/// The format this program writes, and the newest it reads.
pub const VERSION: u64 = 1;

/// Longest line in bytes, with checksum and line feed.
pub const LINE_MAX: usize = 4 * 1024 * 1024;

/// Longest first line in bytes; ids are short.
pub(super) const HEADER_MAX: usize = 4096;

/// Length of the checksum and the space behind it.
const PREFIX: usize = 9;

/// The shortest that values are cut to, in bytes, to make a line fit.
const VALUE_CUT_MIN: usize = 64;

/// How many pairs of that length fit for certain, whatever is escaped in them. The others are left out.
const PAIRS_MIN: usize = 4096;

/// Longest text of a sub-run's parameters, in bytes: they are there for people, and a thousand of them fit one line.
const CALL_TEXT_MAX: usize = 256;

/// What a cut text ends with.
const CUT: &str = "... [cut]";

/// The first line: whose journal it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Format version; [`VERSION`] when this program writes it.
    #[serde(rename = "proctor_journal")]
    pub version: u64,
    /// Which run.
    pub run: RunRef,
    /// Which attempt.
    pub attempt: AttemptId,
    /// The attempt's number within its run, from 1.
    pub number: u32,
    /// When the journal was made.
    pub created_at: Time,
}

impl Header {
    /// A header in the format this program writes.
    #[must_use]
    pub const fn new(run: RunRef, attempt: AttemptId, number: u32, created_at: Time) -> Self {
        Self {
            version: VERSION,
            run,
            attempt,
            number,
            created_at,
        }
    }
}

/// The part of a header that no format may change.
#[derive(Deserialize)]
struct Version {
    proctor_journal: u64,
}

fn seal(json: &str) -> Vec<u8> {
    let crc = crc32fast::hash(json.as_bytes());
    format!("{crc:08x} {json}\n").into_bytes()
}

fn json<T: Serialize>(value: &T) -> Result<String, JournalError> {
    serde_json::to_string(value).map_err(|e| JournalError::io("encode a line of")(e.into()))
}

/// The header as a line.
pub(super) fn encode_header(header: &Header) -> Result<Vec<u8>, JournalError> {
    json(header).map(|text| seal(&text))
}

/// The record as a line. Its texts are cut, in place, so far that the line is within [`LINE_MAX`].
pub(super) fn encode_record(record: &mut Record) -> Result<Vec<u8>, JournalError> {
    clamp(&mut record.fact);
    let mut values_max = LINE_MAX;
    loop {
        // Escapes only add to it, so what is too long already need not be encoded.
        let mut len = values_len(&record.fact);
        if len <= LINE_MAX {
            let text = json(record)?;
            len = text.len() + PREFIX + 1;
            if len <= LINE_MAX {
                return Ok(seal(&text));
            }
        }
        values_max /= 4;
        if values_max < VALUE_CUT_MIN {
            return Err(JournalError::TooLarge { len });
        }
        cut_values(&mut record.fact, values_max);
    }
}

/// The text of a line, whose line feed is already taken off, if its checksum fits.
fn unseal(line: &[u8]) -> Result<&[u8], Damage> {
    let (Some(digits), Some(b' '), Some(text)) =
        (line.get(..PREFIX - 1), line.get(PREFIX - 1), line.get(PREFIX..))
    else {
        return Err(Damage::NoChecksum);
    };
    // Exactly the digits that are written: an upper-case one means that a bit was flipped.
    let mut found = 0u32;
    for digit in digits {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err(Damage::NoChecksum),
        };
        found = found << 4 | u32::from(value);
    }
    let computed = crc32fast::hash(text);
    if found == computed {
        Ok(text)
    } else {
        Err(Damage::Checksum { found, computed })
    }
}

fn content(error: &serde_json::Error) -> Damage {
    let mut text = error.to_string().escape_debug().to_string();
    cut(&mut text, 200);
    Damage::Content(text)
}

/// Reads the header from a line without its line feed. A newer format is told before anything else of it is
/// looked at.
pub(super) fn decode_header(line: &[u8]) -> Result<Header, JournalError> {
    let damaged = |damage| JournalError::Damaged {
        line: Some(1),
        offset: 0,
        damage,
    };
    let text = unseal(line).map_err(damaged)?;
    let version: Version = serde_json::from_slice(text).map_err(|e| damaged(content(&e)))?;
    if version.proctor_journal > VERSION {
        return Err(JournalError::Newer {
            found: version.proctor_journal,
        });
    }
    if version.proctor_journal == 0 {
        return Err(damaged(Damage::Content("there is no format 0".to_owned())));
    }
    serde_json::from_slice(text).map_err(|e| damaged(content(&e)))
}

/// Reads a record from a line without its line feed. Texts that no conforming writer would write so long are
/// cut, because the store takes them over.
pub(super) fn decode_record(line: &[u8], expected: Option<u64>) -> Result<Record, Damage> {
    let mut record: Record = serde_json::from_slice(unseal(line)?).map_err(|e| content(&e))?;
    match expected {
        Some(expected) if record.seq != expected => Err(Damage::Sequence {
            found: record.seq,
            expected,
        }),
        _ => {
            clamp(&mut record.fact);
            Ok(record)
        }
    }
}

/// Cuts a text to at most `max` bytes between two characters, and shows that it was cut.
fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        let mut end = max.saturating_sub(CUT.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(CUT);
    }
}

/// Cuts the texts meant for people to [`limits::TEXT_MAX`].
fn clamp(fact: &mut Fact) {
    let max = limits::TEXT_MAX;
    match fact {
        Fact::PreconditionsUnmet { reason } => cut(reason, max),
        Fact::NodeRetrying { error, .. }
        | Fact::NodeEnded {
            error: Some(error), ..
        }
        | Fact::Ended {
            error: Some(error), ..
        } => cut(error, max),
        Fact::NodeStarted { stdout, stderr, .. } => {
            cut(stdout, max);
            cut(stderr, max);
        }
        Fact::NodeOutput { name, .. } => cut(name, max),
        Fact::NodeCalls { children, .. } => {
            children.truncate(limits::PARALLEL_MAX);
            for call in children {
                cut(&mut call.params, CALL_TEXT_MAX);
            }
        }
        Fact::ChildChanged { .. }
        | Fact::Started { .. }
        | Fact::Params { .. }
        | Fact::NodeSpawned { .. }
        | Fact::NodeExited { .. }
        | Fact::NodeRepeating { .. }
        | Fact::NodeEnded { error: None, .. }
        | Fact::StopRequested { .. }
        | Fact::KillEscalated {}
        | Fact::TimedOut {}
        | Fact::Used { .. }
        | Fact::Ended { error: None, .. } => {}
    }
}

/// Bytes of the values of a fact.
fn values_len(fact: &Fact) -> usize {
    match fact {
        Fact::NodeOutput { value, .. } => value.len(),
        Fact::Params { params: pairs } | Fact::Ended { outputs: pairs, .. } => {
            pairs.iter().map(|(name, value)| name.len() + value.len()).sum()
        }
        _ => 0,
    }
}

/// Cuts values, which may be long and are kept whole as long as the line allows it.
fn cut_values(fact: &mut Fact, max: usize) {
    match fact {
        Fact::NodeOutput { value, .. } => cut(value, max),
        Fact::Params { params: pairs } | Fact::Ended { outputs: pairs, .. } => {
            for (name, value) in pairs.iter_mut() {
                cut(name, max);
                cut(value, max);
            }
            if max == VALUE_CUT_MIN {
                pairs.truncate(PAIRS_MIN);
            }
        }
        _ => {}
    }
}
