//! Opening what is in a directory without leaving it, whatever its owner puts there meanwhile.

use super::{Dir, common};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fstat};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;

/// Opens a directory inside `parent`, and only a real one on the same mount.
pub(super) fn enter(parent: &Dir, name: &OsStr, access: OFlag) -> io::Result<OwnedFd> {
    confined(parent, name, OFlag::O_DIRECTORY | access)
}

/// A place in `parent` on the same mount, whatever is there, without opening that.
pub(super) fn hold(parent: &Dir, name: &OsStr) -> io::Result<OwnedFd> {
    confined(parent, name, OFlag::O_PATH)
}

fn confined(parent: &Dir, name: &OsStr, flags: OFlag) -> io::Result<OwnedFd> {
    let resolve =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    // With what is only a place openat2(2) takes no flag that is about opening.
    let all = if flags.contains(OFlag::O_PATH) {
        flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW
    } else {
        flags | common()
    };
    match openat2(parent, name, OpenHow::new().flags(all).resolve(resolve)) {
        Ok(fd) => Ok(fd),
        // A filter that does not know the call; a single name and O_NOFOLLOW confine as well.
        Err(Errno::ENOSYS | Errno::EPERM) => {
            let fd = parent.open_at(name, flags, Mode::empty())?;
            if fstat(&fd)?.st_dev != fstat(parent)?.st_dev {
                return Err(io::Error::from_raw_os_error(libc::EXDEV));
            }
            Ok(fd)
        }
        Err(errno) => Err(errno.into()),
    }
}
