//! Reading one file as an entry.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::entry::{ENTRY_MAX, Entry, EntryError, LockState, check_heartbeat, decode};
use super::name::EntryName;
use crate::model::{DagName, GroupName, Time};
use crate::sys::files::{Dir, read_at_most};
use crate::sys::lock;

/// How often a file that is replaced while it is opened is looked at again.
const TRIES: u32 = 4;

/// Where a file lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The directory of the DAG, open.
    pub(super) dir: &'a Dir,
    /// Its path.
    pub(super) path: &'a Path,
    pub(super) group: &'a GroupName,
    pub(super) dag: &'a DagName,
}

fn failed(operation: &'static str) -> impl Fn(io::Error) -> EntryError {
    move |source| EntryError::Io { operation, source }
}

/// What kind of thing it is, if it is not a regular file with one name. In a directory of ours a further name elsewhere does
/// not matter: an entry that somebody linked to must not vanish from the counts.
fn odd_kind(metadata: &std::fs::Metadata, dir: &Dir) -> Option<&'static str> {
    let kind = metadata.file_type();
    Some(match () {
        () if kind.is_dir() => "directory",
        () if kind.is_symlink() => "symbolic link",
        () if kind.is_fifo() => "FIFO",
        () if kind.is_socket() => "socket",
        () if kind.is_char_device() || kind.is_block_device() => "device",
        () if metadata.nlink() > 1 && !dir.is_ours().unwrap_or(false) => "file with several names",
        () => return None,
    })
}

/// Modification time to the microsecond.
fn mtime(metadata: &std::fs::Metadata) -> Time {
    Time(
        metadata
            .mtime()
            .saturating_mul(1_000_000)
            .saturating_add(metadata.mtime_nsec() / 1000),
    )
}

/// Whether somebody holds the exclusive lock, which takes a descriptor that is open for writing.
pub(super) fn lock_state(fd: BorrowedFd<'_>) -> LockState {
    match lock::is_locked(fd) {
        Ok(true) => LockState::Held,
        Ok(false) => LockState::Free,
        Err(_) => LockState::Unknown,
    }
}

/// Reads the file as an entry; `None` if it is gone.
///
/// A heartbeat in the future is an error only if nobody holds the lock. A writer that holds it lives, whatever
/// the clock says, and its next beat puts the value right: a clock that steps back must not make live attempts
/// vanish from the counts (W2).
pub(super) fn read_entry(place: Place<'_>, file: &OsStr, now: Time) -> Result<Option<Entry>, EntryError> {
    let name = EntryName::parse(file)?;
    let path = place.path.join(file);
    for _ in 0..TRIES {
        // Asked before it is opened: to open a device may have an effect.
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("inspect")(error)),
            Ok(metadata) => {
                if let Some(kind) = odd_kind(&metadata, place.dir) {
                    return Err(EntryError::NotRegular { kind });
                }
            }
        }
        let mut open = match place.dir.open_regular(file) {
            Ok(open) => open,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // It was removed or replaced since it was looked at.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => continue,
            Err(error) => return Err(failed("open")(error)),
        };
        let metadata = open.metadata().map_err(failed("inspect"))?;
        let bytes = match read_at_most(&mut open, ENTRY_MAX) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(EntryError::TooLarge { size: metadata.len() });
            }
            other => other.map_err(failed("read"))?,
        };
        let mtime = mtime(&metadata);
        let body = decode(place.dag, &name, mtime, &bytes)?;
        let lock = lock_state(open.as_fd());
        if lock != LockState::Held {
            check_heartbeat(body.heartbeat, now)?;
        }
        return Ok(Some(Entry {
            path,
            group: place.group.clone(),
            name,
            heartbeat: body.heartbeat,
            mtime,
            inode: (metadata.dev(), metadata.ino()),
            meta: body.meta,
            owner: body.owner,
            lock,
        }));
    }
    // Nothing stays under this name long enough to be looked at.
    Ok(None)
}
