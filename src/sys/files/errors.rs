//! What an error of a file means.

use std::io;

/// Whether an error means that there is no room (disk, quota or inodes).
#[must_use]
pub fn disk_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
}

/// Whether a file was not opened because its name is a symbolic link.
#[must_use]
pub fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}
