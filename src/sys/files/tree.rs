//! Removing a tree without leaving it.

use super::{Dir, common};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::fstat;
use std::ffi::OsStr;
use std::io;

/// Deeper trees are refused: each level holds a descriptor and a stack frame.
const DEEPEST: usize = 128;

/// Removes `name` in `parent` and all below it.
pub(super) fn remove(parent: &Dir, name: &OsStr) -> io::Result<()> {
    if remove_plain(parent, name)? {
        return Ok(());
    }
    descend(parent, name, DEEPEST)
}

/// Removes anything but a directory; false if it is one.
fn remove_plain(parent: &Dir, name: &OsStr) -> io::Result<bool> {
    match parent.remove_file(name) {
        Ok(()) => Ok(true),
        // Linux says EISDIR for a directory, POSIX and some file systems EPERM.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EISDIR | libc::EPERM)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn descend(parent: &Dir, name: &OsStr, depth: usize) -> io::Result<()> {
    if depth == 0 {
        return Err(io::Error::from_raw_os_error(libc::ELOOP));
    }
    let dir = enter(parent, name)?;
    for entry in dir.list()? {
        // The kind in the listing may be out of date; what the kernel refuses to unlink is a directory.
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        match remove_plain(&dir, &entry.name) {
            Ok(true) => {}
            Ok(false) => descend(&dir, &entry.name, depth - 1)?,
            Err(error) if gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    drop(dir);
    parent.remove_dir(name)
}

/// Opens a directory inside `parent`, and only a real one on the same mount.
fn enter(parent: &Dir, name: &OsStr) -> io::Result<Dir> {
    let resolve =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    let flags = common() | OFlag::O_DIRECTORY | OFlag::O_RDONLY;
    match openat2(parent, name, OpenHow::new().flags(flags).resolve(resolve)) {
        Ok(fd) => Dir::from_owned(fd),
        // A filter that does not know the call; a single name and O_NOFOLLOW confine as well.
        Err(Errno::ENOSYS | Errno::EPERM) => {
            let dir = parent.open_child_dir(name)?;
            if fstat(&dir)?.st_dev != fstat(parent)?.st_dev {
                return Err(io::Error::from_raw_os_error(libc::EXDEV));
            }
            Ok(dir)
        }
        Err(errno) => Err(errno.into()),
    }
}
