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

/// `sched_setscheduler(2)` for the calling thread: the usual policy, which children have, too.
pub(crate) fn reset_scheduling() -> io::Result<()> {
    // The kernel's `struct sched_param` is this alone; that policy has no other priority.
    let priority: libc::c_int = 0;
    // SAFETY: the kernel reads the one integer, and keeps nothing.
    check(unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0usize,
            libc::SCHED_OTHER,
            &raw const priority,
        )
    })?;
    Ok(())
}

/// `ioprio_set(2)` for the calling process: no class, so that the nice value decides.
pub(crate) fn reset_io_priority() -> io::Result<()> {
    const WHO_PROCESS: libc::c_long = 1;
    // SAFETY: takes three integers and touches no memory.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0usize, 0usize) })?;
    Ok(())
}

/// Clears the `SECBIT_*` flags of the calling thread, if any is set (capabilities(7)).
pub(crate) fn reset_secure_bits() -> io::Result<()> {
    if prctl(libc::PR_GET_SECUREBITS, 0)? != 0 {
        prctl(libc::PR_SET_SECUREBITS, 0)?;
    }
    Ok(())
}

/// Gives up every capability of the calling thread, those that programs would inherit and the ambient ones included.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    /// `struct __user_cap_header_struct` and twice `struct __user_cap_data_struct`, of version 3.
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header {
        version: 0x2008_0522,
        pid: 0,
    };
    let none = [[0u32; 3]; 2];
    // SAFETY: the kernel reads the header, and the two records that this version has, and keeps neither.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const none) })?;
    Ok(())
}

/// `prctl(2)` with at most one argument.
fn prctl(option: libc::c_int, argument: libc::c_ulong) -> io::Result<libc::c_int> {
    let none: libc::c_ulong = 0;
    // SAFETY: the options that are passed take numbers and touch no memory.
    check_int(libc::c_long::from(unsafe {
        libc::prctl(option, argument, none, none, none)
    }))
}

/// `KEYCTL_JOIN_SESSION_KEYRING` without a name: a new empty one (keyctl(2)).
pub(crate) fn join_session_keyring() -> io::Result<()> {
    keyctl(libc::KEYCTL_JOIN_SESSION_KEYRING, 0, 0)
}

/// Takes every right over the session keyring of the calling process from everybody.
pub(crate) fn close_session_keyring() -> io::Result<()> {
    keyctl(libc::KEYCTL_SETPERM, libc::KEY_SPEC_SESSION_KEYRING.into(), 0)
}

fn keyctl(operation: u32, first: libc::c_long, second: libc::c_long) -> io::Result<()> {
    // SAFETY: the operations that are passed take numbers; a null name is none.
    check(unsafe { libc::syscall(libc::SYS_keyctl, libc::c_long::from(operation), first, second) })?;
    Ok(())
}
