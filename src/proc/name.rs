//! The name of an entry's file (seed-spec 1.3): strict in both formats, and byte for byte.

use std::ffi::OsStr;
use std::fmt;

use chrono::NaiveDateTime;

use crate::model::hash::hex;
use crate::model::{AttemptId, IdError, RunId, Time};

/// What an entry's name ends with.
pub const SUFFIX: &str = ".proc";

/// What the name of an unpublished entry ends with.
pub const TEMP_SUFFIX: &str = ".tmp";

/// Longest name the temporary file may still be made from: `NAME_MAX` less what is appended.
const NAME_LIMIT: usize = 255 - 32;

/// Why a file name is not that of an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name is not UTF-8.
    #[error("the file name is not UTF-8")]
    NotUtf8,
    /// The name fits neither the current nor the legacy pattern.
    #[error("the file name fits neither proc_<time>Z_<hex run id>_<hex attempt id>.proc nor the legacy form")]
    Pattern,
    /// The time in the name is not a time.
    #[error("the file name has time {stamp}, which does not exist")]
    Stamp {
        /// As written; digits, `_` and `Z` only.
        stamp: String,
    },
    /// An id in the name does not decode.
    #[error("the {what} in the file name is not the hexadecimal form of a text")]
    Hex {
        /// Which id.
        what: &'static str,
    },
    /// An id in the name decodes to something that is no id.
    #[error("in the file name, {0}")]
    Id(#[from] IdError),
    /// The ids are too long to make a file name of.
    #[error("the ids make a file name of {len} bytes; at most {NAME_LIMIT} are possible")]
    TooLong {
        /// Length of the name in bytes.
        len: usize,
    },
}

/// Whom a name is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NameIds {
    /// Current format.
    Current {
        /// The run.
        run: RunId,
        /// The attempt.
        attempt: AttemptId,
    },
    /// Legacy format, which has no attempt.
    Legacy {
        /// The run.
        run: RunId,
    },
}

/// A checked name. Displayed, it is the file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryName {
    /// `YYYYMMDD_HHMMSSZ`.
    stamp: String,
    ids: NameIds,
}

fn time_of(stamp: &str) -> Option<Time> {
    let time = NaiveDateTime::parse_from_str(stamp, "%Y%m%d_%H%M%SZ").ok()?;
    Some(Time::from_secs(time.and_utc().timestamp()))
}

fn unhex(what: &'static str, digits: &str) -> Result<String, NameError> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(value(*high)? << 4 | value(*low)?),
            _ => None,
        })
        .collect();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or(NameError::Hex { what })
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The attempt id that a legacy entry gets (seed-spec 1.4).
///
/// # Errors
/// Not for a valid run id; its length is bounded.
pub fn legacy_attempt(run: &RunId) -> Result<AttemptId, IdError> {
    AttemptId::new(format!("legacy_{}", hex(run.as_str().as_bytes())))
}

impl EntryName {
    /// The name of a new entry, acquired at this time.
    ///
    /// # Errors
    /// [`NameError::TooLong`] if the ids are; [`NameError::Pattern`] for a year of more than four digits.
    pub fn new(acquired: Time, run: &RunId, attempt: &AttemptId) -> Result<Self, NameError> {
        let ids = NameIds::Current {
            run: run.clone(),
            attempt: attempt.clone(),
        };
        let name = Self {
            stamp: acquired.compact(),
            ids,
        }
        .to_string();
        if name.len() > NAME_LIMIT {
            return Err(NameError::TooLong { len: name.len() });
        }
        Self::parse(OsStr::new(&name))
    }

    /// Reads a file name. The legacy pattern is tried only if the current one does not match.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong.
    pub fn parse(name: &OsStr) -> Result<Self, NameError> {
        let name = name.to_str().ok_or(NameError::NotUtf8)?;
        let body = name
            .strip_prefix("proc_")
            .and_then(|rest| rest.strip_suffix(SUFFIX));
        // 16 bytes of time and an underscore; a cut inside a character is no match either.
        let (stamp, rest) = body
            .and_then(|body| body.split_at_checked(16))
            .ok_or(NameError::Pattern)?;
        let ids = rest.strip_prefix('_').ok_or(NameError::Pattern)?;
        let stamp_fits = stamp.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'_',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
        if !stamp_fits {
            return Err(NameError::Pattern);
        }
        let stamp = stamp.to_owned();
        match ids.split_once('_') {
            Some((run, attempt)) if is_hex(run) && is_hex(attempt) => {
                if time_of(&stamp).is_none() {
                    return Err(NameError::Stamp { stamp });
                }
                let run = RunId::new(unhex("run id", run)?)?;
                let attempt = AttemptId::new(unhex("attempt id", attempt)?)?;
                Ok(Self {
                    stamp,
                    ids: NameIds::Current { run, attempt },
                })
            }
            _ if !ids.is_empty()
                && ids
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') =>
            {
                Ok(Self {
                    stamp,
                    ids: NameIds::Legacy {
                        run: RunId::new(ids)?,
                    },
                })
            }
            _ => Err(NameError::Pattern),
        }
    }

    /// Reads the name of an unpublished entry, `<name>.<random>.tmp`.
    #[must_use]
    pub fn parse_temp(name: &OsStr) -> Option<Self> {
        let (name, random) = name.to_str()?.strip_suffix(TEMP_SUFFIX)?.rsplit_once('.')?;
        Self::parse(OsStr::new(name)).ok().filter(|_| !random.is_empty())
    }

    /// Whom it is of.
    #[must_use]
    pub const fn ids(&self) -> &NameIds {
        &self.ids
    }

    /// The run's id.
    #[must_use]
    pub const fn run(&self) -> &RunId {
        match &self.ids {
            NameIds::Current { run, .. } | NameIds::Legacy { run } => run,
        }
    }

    /// The time in the name. A legacy name may have one that does not exist.
    #[must_use]
    pub fn time(&self) -> Option<Time> {
        time_of(&self.stamp)
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = &self.stamp;
        match &self.ids {
            NameIds::Current { run, attempt } => {
                write!(
                    f,
                    "proc_{stamp}_{}_{}{SUFFIX}",
                    hex(run.as_str().as_bytes()),
                    hex(attempt.as_str().as_bytes())
                )
            }
            NameIds::Legacy { run } => write!(f, "proc_{stamp}_{run}{SUFFIX}"),
        }
    }
}
