//! What is in an entry: eight bytes of heartbeat and a JSON object (seed-spec 1.4 to 1.7). No I/O.

mod decode;

use serde::Serialize;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::name::{EntryName, NameError};
use super::verdict::{Evidence, Heartbeat, ShimState, Verdict, Writer, verdict};
use crate::model::change::AttemptIdentity;
use crate::model::{AttemptId, GroupName, RunRef, Time};

pub use decode::{Body, check_heartbeat, decode};

/// Largest entry that is read, in bytes.
pub const ENTRY_MAX: u64 = 64 * 1024;

/// Length of the heartbeat at the beginning, in bytes.
pub const HEARTBEAT_LEN: usize = 8;

/// How far a heartbeat may be after now, in seconds.
pub const FUTURE_MAX_SECS: u64 = 300;

/// Why a file is not a valid entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The file name is wrong.
    #[error(transparent)]
    BadName(#[from] NameError),
    /// What has the name is no regular file with one name.
    #[error("it is a {kind} and not a regular file")]
    NotRegular {
        /// What it is.
        kind: &'static str,
    },
    /// Something that is no directory lies where only directories may.
    #[error("it is no directory of a group or DAG: {reason}")]
    Misplaced {
        /// What is wrong.
        reason: String,
    },
    /// The file is larger than [`ENTRY_MAX`].
    #[error("it is {size} bytes long; at most {ENTRY_MAX} are read")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// The file has fewer than eight bytes.
    #[error("it has no timestamp: {len} of {HEARTBEAT_LEN} bytes are there")]
    NoTimestamp {
        /// Its size in bytes.
        len: usize,
    },
    /// The file has a timestamp and, though its name demands it, nothing else.
    #[error("it has a timestamp but no metadata")]
    NoMetadata,
    /// The JSON ends early.
    #[error("it has a timestamp but its metadata is cut off after {len} bytes")]
    MetadataTruncated {
        /// Bytes of JSON that are there.
        len: usize,
    },
    /// A legacy name, which must be of a file of exactly eight bytes.
    #[error("its name is of the legacy form, but {len} bytes of metadata follow the timestamp")]
    UnexpectedMetadata {
        /// Bytes behind the timestamp.
        len: usize,
    },
    /// The metadata is not a JSON object.
    #[error("its metadata cannot be decoded: {reason}")]
    NotJson {
        /// What is wrong.
        reason: String,
    },
    /// The metadata is of another version.
    #[error("its metadata has version {found}, and only version 1 is known")]
    Version {
        /// As written, cut to a printable length.
        found: String,
    },
    /// A field is missing or has a value it must not have.
    #[error("its field {field} is not valid: {reason}")]
    Field {
        /// The JSON member.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A field says something else than the file's name or place.
    #[error("its field {field} says {body:?}, but the file is named or placed for {place:?}")]
    Mismatch {
        /// The JSON member.
        field: &'static str,
        /// What the body says.
        body: String,
        /// What the path says.
        place: String,
    },
    /// The heartbeat is more than [`FUTURE_MAX_SECS`] after now.
    #[error(
        "its heartbeat {heartbeat} is {ahead} seconds in the future (at most {FUTURE_MAX_SECS}): check the clock"
    )]
    FutureHeartbeat {
        /// Seconds since the Unix epoch, as written.
        heartbeat: u64,
        /// How far it is after now, in seconds.
        ahead: u64,
    },
    /// The system refused. Says nothing about the content, so the file is never moved for this.
    #[error("cannot {operation} it: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The reason.
        source: io::Error,
    },
}

/// Whose entry it is: what version 1 of the format knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The run.
    pub run: RunRef,
    /// The attempt.
    pub attempt: AttemptId,
    /// The outermost ancestor; `None` if the writer left it out, which means the run itself.
    pub root: Option<RunRef>,
    /// When the entry was acquired: seconds since the Unix epoch, greater than 0.
    pub started_at: i64,
}

impl Meta {
    /// The root run: the outermost ancestor, or the run itself.
    #[must_use]
    pub fn root(&self) -> &RunRef {
        self.root.as_ref().unwrap_or(&self.run)
    }

    /// Whether the run has no parent.
    #[must_use]
    pub fn is_root(&self) -> bool {
        *self.root() == self.run
    }
}

/// What Proctor adds to the metadata; readers of version 1 ignore it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The shim's process.
    pub identity: AttemptIdentity,
    /// User id that the attempt runs as.
    pub uid: u32,
    /// Path of the attempt's status socket.
    pub socket: String,
}

/// Whether an open file description holds the lock on an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockState {
    /// Somebody holds it.
    Held,
    /// Nobody does.
    Free,
    /// It could not be asked for.
    Unknown,
}

/// An entry as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    /// Its group, from the path.
    pub group: GroupName,
    /// Its name.
    pub name: EntryName,
    /// Last beat: seconds since the Unix epoch.
    pub heartbeat: u64,
    /// Modification time of the file.
    pub mtime: Time,
    /// Device and inode: which file it is.
    pub inode: (u64, u64),
    /// Whose entry it is.
    pub meta: Meta,
    /// What Proctor added; `None` for an entry of another writer.
    pub owner: Option<Owner>,
    /// The lock at the time of reading.
    pub lock: LockState,
}

impl Entry {
    /// Whether it is fresh (seed-spec 1.7): the file's modification time or the heartbeat in it is less than
    /// `stale_after` before `now`. A time after `now` is fresh.
    #[must_use]
    pub fn is_fresh(&self, now: Time, stale_after: Duration) -> bool {
        let limit = i128::try_from(stale_after.as_micros()).unwrap_or(i128::MAX);
        let now = i128::from(now.0);
        now - i128::from(self.mtime.0) < limit || now - i128::from(self.heartbeat) * 1_000_000 < limit
    }

    /// How long ago the last sign of life was, in microseconds: a beat, or a change of the file. Zero for one after `now`.
    #[must_use]
    pub fn age(&self, now: Time) -> u64 {
        let beat = i64::try_from(self.heartbeat)
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000_000);
        let last = self.mtime.0.max(beat);
        u64::try_from(now.0.saturating_sub(last)).unwrap_or(0)
    }

    /// Who wrote it.
    #[must_use]
    pub const fn writer(&self) -> Writer {
        if self.owner.is_some() {
            Writer::Own
        } else {
            Writer::Foreign
        }
    }

    /// What this entry and the given news of the shim say together.
    #[must_use]
    pub fn evidence(&self, now: Time, stale_after: Duration, shim: ShimState) -> Evidence {
        let fresh = self.is_fresh(now, stale_after);
        Evidence {
            lock: self.lock,
            shim,
            heartbeat: if fresh { Heartbeat::Fresh } else { Heartbeat::Stale },
            writer: self.writer(),
        }
    }

    /// The verdict from the entry alone.
    #[must_use]
    pub fn verdict(&self, now: Time, stale_after: Duration) -> Verdict {
        verdict(&self.evidence(now, stale_after, ShimState::Unknown))
    }

    /// Whether both are attempts of the same run in the same group and tree (the run scope of seed-spec 1.8).
    #[must_use]
    pub fn same_scope(&self, other: &Self) -> bool {
        (&self.group, self.meta.root(), &self.meta.run) == (&other.group, other.meta.root(), &other.meta.run)
    }

    /// Whether both are of the same attempt (the attempt key of seed-spec 1.8).
    #[must_use]
    pub fn same_attempt(&self, other: &Self) -> bool {
        self.same_scope(other) && self.meta.attempt == other.meta.attempt
    }
}

/// The JSON members in the order in which they are written.
#[derive(Serialize)]
struct Members<'a> {
    version: u8,
    dag_name: &'a str,
    dag_run_id: &'a str,
    attempt_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_dag_run_id: Option<&'a str>,
    started_at: i64,
    #[serde(flatten)]
    owner: Option<OwnerMembers<'a>>,
}

#[derive(Serialize)]
struct OwnerMembers<'a> {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pidfs_inode: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_ticks: Option<u64>,
    boot_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_id: Option<u64>,
    uid: u32,
    socket: &'a str,
}

/// A beat as its eight bytes. A time before 1970 is 0.
#[must_use]
pub fn encode_heartbeat(at: Time) -> [u8; HEARTBEAT_LEN] {
    u64::try_from(at.secs()).unwrap_or(0).to_be_bytes()
}

/// The whole content of an entry.
///
/// # Errors
/// [`EntryError::Field`] if `started_at` is not greater than 0; [`EntryError::TooLarge`].
pub fn encode(heartbeat: Time, meta: &Meta, owner: Option<&Owner>) -> Result<Vec<u8>, EntryError> {
    if meta.started_at <= 0 {
        let reason = format!("{} is not greater than 0", meta.started_at);
        return Err(EntryError::Field {
            field: "started_at",
            reason,
        });
    }
    let members = Members {
        version: 1,
        dag_name: meta.run.dag.as_str(),
        dag_run_id: meta.run.id.as_str(),
        attempt_id: meta.attempt.as_str(),
        root_name: meta.root.as_ref().map(|root| root.dag.as_str()),
        root_dag_run_id: meta.root.as_ref().map(|root| root.id.as_str()),
        started_at: meta.started_at,
        owner: owner.map(|owner| OwnerMembers {
            pid: owner.identity.pid,
            pidfs_inode: owner.identity.pidfs_inode,
            start_ticks: owner.identity.start_ticks,
            boot_id: &owner.identity.boot_id,
            cgroup_id: owner.identity.cgroup_id,
            uid: owner.uid,
            socket: &owner.socket,
        }),
    };
    let mut bytes = encode_heartbeat(heartbeat).to_vec();
    serde_json::to_writer(&mut bytes, &members).map_err(|e| EntryError::Io {
        operation: "encode",
        source: e.into(),
    })?;
    match u64::try_from(bytes.len()) {
        Ok(size) if size > ENTRY_MAX => Err(EntryError::TooLarge { size }),
        _ => Ok(bytes),
    }
}
