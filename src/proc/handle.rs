//! The shim's side of an entry: an open, locked descriptor that it beats on. It never needs the path.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use super::entry::encode_heartbeat;
use crate::model::Time;
use crate::sys::files::write_all_at;

/// The entry of this process' attempt. While it exists, the lock on the entry is held.
#[derive(Debug)]
pub struct ProcHandle {
    file: File,
}

impl AsFd for ProcHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl ProcHandle {
    /// Takes the descriptor over that the daemon opened, locked and sent. It must be close-on-exec, so that no
    /// step inherits the lock.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self { file: File::from(fd) }
    }

    /// Writes a beat: the first eight bytes, in one `pwrite(2)`, which readers see whole. Nothing else of the
    /// file changes, but for its modification time.
    ///
    /// # Errors
    /// As `pwrite(2)`. A failed beat is to be logged and is no reason to end.
    pub fn beat(&self, now: Time) -> io::Result<()> {
        write_all_at(&self.file, &encode_heartbeat(now), 0)
    }

    /// Whether the entry has been deleted. The shim can see it before it is told, but only the daemon may make
    /// a new one.
    ///
    /// # Errors
    /// As `fstat(2)`.
    pub fn is_deleted(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() == 0)
    }

    /// Goes over to a new entry, which the daemon prepared and locked because the old one was deleted, and
    /// beats on it. The lock on the old one ends.
    ///
    /// # Errors
    /// As [`Self::beat`]; the new entry is taken over nevertheless.
    pub fn replace(&mut self, fd: OwnedFd, now: Time) -> io::Result<()> {
        self.file = File::from(fd);
        self.beat(now)
    }

    /// Waits until the beats are on the disk. Only of use where the proc directory is not in memory.
    ///
    /// # Errors
    /// As `fdatasync(2)`.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
