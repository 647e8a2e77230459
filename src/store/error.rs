//! What can go wrong, and what helps.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi;

/// Why a batch was not committed, or a question not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A run of that name and id exists already.
    #[error("the run exists already")]
    Exists,
    /// The file system is full. Batches succeed again once there is space.
    #[error("the disk is full: {0}; free some space")]
    DiskFull(String),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// The same inside the store, before it is known whether a full disk is behind an I/O error.
#[derive(Debug)]
pub(super) enum Fault {
    Exists,
    Text(String),
    Sqlite(rusqlite::Error),
}

impl Fault {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Whether the operating system refused something and SQLite does not say why: the code is the same for a
    /// broken disk and for a quota that is used up.
    pub(super) fn is_unclear(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure))
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Exists => Self::Exists,
            Fault::Text(text) => Self::Other(text),
            Fault::Sqlite(error) if is_full(&error) => Self::DiskFull(error.to_string()),
            Fault::Sqlite(error) => Self::Other(format!("store: {error}")),
        }
    }
}

/// A full file system shows as `SQLITE_FULL` when the database or its log cannot grow, and as
/// `SQLITE_IOERR_SHMSIZE` when the log's index cannot.
fn is_full(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|e| e.code == ErrorCode::DiskFull || e.extended_code == ffi::SQLITE_IOERR_SHMSIZE)
}

/// Why the store could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory the database lies in does not exist.
    #[error("directory {} does not exist; create it, owned by the daemon's user, mode 0750", .0.display())]
    DirectoryMissing(PathBuf),
    /// The database or its directory may not be written.
    #[error("{} cannot be written ({source}); check owner, mode and mount options", .path.display())]
    NotWritable {
        /// The database or its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is not a Proctor database ({what}); it was left as it is: move it away or correct the path", .path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// The file was a Proctor database and is damaged.
    #[error("database {} is damaged ({what}); it was left as it is: restore a backup, or save what is left with `sqlite3 FILE .recover`", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A newer Proctor wrote it.
    #[error("database {} has schema version {found}, this program knows up to {known}; install a version at least as new as the one that wrote it", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version of the file.
        found: u32,
        /// Newest version this program knows.
        known: u32,
    },
    /// Another process holds a lock on it.
    #[error("database {} is locked by another process; end it (`fuser -v FILE` names it)", .0.display())]
    Locked(PathBuf),
    /// There is no space for what opening has to write.
    #[error("no space left to open database {}; free some space", .0.display())]
    DiskFull(PathBuf),
    /// A step to a newer schema failed; it was rolled back.
    #[error("database {} could not be brought from schema version {from} to {to}: {source}", .path.display())]
    Migration {
        /// The file.
        path: PathBuf,
        /// Version before.
        from: u32,
        /// Version that was to come.
        to: u32,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Anything else.
    #[error("database {}: {what}", .path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What happened.
        what: String,
    },
}

impl OpenError {
    pub(super) fn corrupt(path: &Path, what: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(path),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path, source }
            }
            _ => Self::Other {
                path,
                what: source.to_string(),
            },
        }
    }

    pub(super) fn sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let owned = path.to_owned();
        if is_full(error) {
            return Self::DiskFull(owned);
        }
        let denied = |kind| Self::NotWritable {
            path: path.to_owned(),
            source: io::Error::new(kind, error.to_string()),
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked(owned),
            Some(ErrorCode::DatabaseCorrupt) => Self::corrupt(path, error.to_string()),
            Some(ErrorCode::NotADatabase) => Self::NotADatabase {
                path: owned,
                what: error.to_string(),
            },
            Some(ErrorCode::ReadOnly) => denied(io::ErrorKind::ReadOnlyFilesystem),
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                denied(io::ErrorKind::PermissionDenied)
            }
            _ => Self::Other {
                path: owned,
                what: error.to_string(),
            },
        }
    }
}
