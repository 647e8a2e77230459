//! Identifiers. Each is checked when it is made and when it is read, and is safe as a file name.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

use super::hash::{Hasher, hex};
use super::{Time, limits};

/// Why a text is not the identifier it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("{what} is empty")]
    Empty {
        /// Which identifier.
        what: &'static str,
    },
    /// The text is longer than the limit.
    #[error("{what} is {len} bytes long; at most {max} are allowed")]
    TooLong {
        /// Which identifier.
        what: &'static str,
        /// Length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The text has a character outside the allowed set.
    #[error("{what} {text:?} may hold only {allowed}")]
    BadCharacter {
        /// Which identifier.
        what: &'static str,
        /// The text, cut to a printable length.
        text: String,
        /// The allowed characters, in words.
        allowed: &'static str,
    },
}

const PLAIN: &str = "letters, digits, '-' and '_'";
const DOTTED: &str = "letters, digits, '-', '_' and '.' (and not be '.' or '..')";

fn check(what: &'static str, text: &str, max: usize, dots: bool) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { what });
    }
    if text.len() > max {
        return Err(IdError::TooLong {
            what,
            len: text.len(),
            max,
        });
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || (dots && b == b'.');
    if !text.bytes().all(allowed) || text == "." || text == ".." {
        let shown = text.chars().take(60).collect();
        let allowed = if dots { DOTTED } else { PLAIN };
        return Err(IdError::BadCharacter {
            what,
            text: shown,
            allowed,
        });
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr, $dots:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            /// [`IdError`] names what is wrong with it.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check($what, &text, $max, $dots)?;
                Ok(Self(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id!(
    /// The name of a DAG: 1 to 40 bytes of letters, digits, `-`, `_` and `.`, but not `.` or `..` (seed-spec 9.2).
    DagName, "the DAG name", limits::DAG_NAME_MAX, true
);
id!(
    /// The id of a run: 1 to 64 bytes of letters, digits, `-` and `_` (seed-spec 2.2).
    RunId, "the run id", limits::RUN_ID_MAX, false
);
id!(
    /// The id of an attempt: 1 to 140 bytes of letters, digits, `-` and `_`. Those of Proctor are 16 hexadecimal
    /// digits and serve as the attempt's key, too; entries of other writers may have any.
    AttemptId, "the attempt id", limits::ATTEMPT_ID_MAX, false
);
id!(
    /// The name of a group, the capacity domain of an entry: the DAG's queue or else the DAG. Same rule as for a
    /// DAG name, but up to 64 bytes.
    GroupName, "the queue name", limits::GROUP_NAME_MAX, true
);

impl AttemptId {
    /// The id of the `number`th attempt of a run, 1 being the first: 16 hexadecimal digits of a SHA-256.
    ///
    /// It is a function of what it names, so a launch that is decided twice (a crash came between) decides for
    /// the same id, the same cgroup and the same socket, and the kernel objects refuse the second one (P3).
    #[must_use]
    pub fn derive(run: &RunRef, number: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(run.dag.as_str());
        hash.update([0]);
        hash.update(run.id.as_str());
        hash.update([0]);
        hash.update(number.to_be_bytes());
        let hash = hash.finalize();
        Self(hex(hash.get(..8).unwrap_or(&hash)))
    }
}

impl RunId {
    /// The id of a sub-run: 32 hexadecimal digits of a SHA-256 of who asks for what, so that asking twice finds the same
    /// run. `round` counts the executions of a step that repeats, from 0: each asks for a new run.
    #[must_use]
    pub fn derive(
        parent: &RunRef,
        step: &str,
        target: &str,
        params: &[(Option<String>, String)],
        round: u32,
    ) -> Self {
        let mut hash = Hasher::default();
        for part in [parent.dag.as_str(), parent.id.as_str(), step, target] {
            hash.add(part);
        }
        for (name, value) in params {
            hash.add(if name.is_some() { "named" } else { "positional" });
            hash.add(name.as_deref().unwrap_or_default());
            hash.add(value);
        }
        hash.add(&round.to_string());
        Self(hash.finish(16))
    }

    /// The id of the run for a scheduled time of a user's DAG, so that no time is ever started twice:
    /// `sched-20261128T060000-` and 8 hexadecimal digits of a hash; `restart-` for a scheduled restart.
    #[must_use]
    pub fn scheduled(dag: &DagName, owner: u32, at: Time, restart: bool) -> Self {
        let kind = if restart { "restart" } else { "sched" };
        let mut hash = Hasher::default();
        for part in [kind, dag.as_str(), &owner.to_string(), &at.0.to_string()] {
            hash.add(part);
        }
        Self(format!(
            "{kind}-{}-{}",
            at.utc().format("%Y%m%dT%H%M%S"),
            hash.finish(4)
        ))
    }

    /// Whether the id looks as if a schedule had given it. Nobody else may: the time would count as started.
    #[must_use]
    pub fn is_scheduled(&self) -> bool {
        ["sched-", "restart-"].iter().any(|kind| self.0.starts_with(kind))
    }
}

impl From<&DagName> for GroupName {
    fn from(dag: &DagName) -> Self {
        Self(dag.0.clone())
    }
}

/// A run: the DAG's name and the run's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunRef {
    /// The DAG's name.
    pub dag: DagName,
    /// The run's id, unique among the runs of that DAG.
    pub id: RunId,
}

impl fmt::Display for RunRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.dag, self.id)
    }
}
