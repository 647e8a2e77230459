//! Attributes of the calling process without a safe wrapper elsewhere.
#![expect(unsafe_code, reason = "system calls without a safe wrapper elsewhere")]

use super::{check, check_int};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// `setpriority(2)` for the calling thread.
pub(crate) fn set_nice(value: i32) -> io::Result<()> {
    // SAFETY: takes three integers and touches no memory.
    check(libc::c_long::from(unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, value)
    }))?;
    Ok(())
}

/// A close-on-exec duplicate of descriptor number `fd`, whoever owns that one; `EBADF` if it is not open.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: duplicating an arbitrary number takes nothing from its owner; a closed one is EBADF.
    let copy = check_int(libc::c_long::from(unsafe {
        libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3)
    }))?;
    // SAFETY: the kernel has just made this descriptor and nothing else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
