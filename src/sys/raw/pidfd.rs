//! Calls on process descriptors that neither the standard library nor nix offers.
#![expect(unsafe_code, reason = "system calls without a safe wrapper elsewhere")]

use super::{check, check_int};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `struct pidfd_info` of `linux/pidfd.h` as of Linux 6.16. The kernel fills as much as it knows.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RawInfo {
    pub(crate) mask: u64,
    pub(crate) cgroup_id: u64,
    pub(crate) pid: u32,
    pub(crate) tgid: u32,
    pub(crate) ppid: u32,
    pub(crate) creds: [u32; 8],
    pub(crate) exit_code: i32,
    pub(crate) coredump_mask: u32,
    pub(crate) spare: u32,
}

/// What one `waitid` call found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawWait {
    pub(crate) pid: i32,
    pub(crate) code: i32,
    pub(crate) status: i32,
}

/// `pidfd_open(2)` without flags; the descriptor is close-on-exec by definition.
pub(crate) fn open(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: takes two integers and touches no memory.
    let fd = check_int(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel has just made this descriptor and nothing else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `pidfd_send_signal(2)` without a siginfo, which makes the kernel fill it like `kill(2)`.
pub(crate) fn send_signal(fd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let none: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: a null siginfo is allowed, and the descriptor is borrowed for the length of the call.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, none, 0) })?;
    Ok(())
}

/// The `PIDFD_GET_INFO` ioctl (Linux 6.13) for the fields in `mask`.
pub(crate) fn info(fd: BorrowedFd<'_>, mask: u64) -> io::Result<RawInfo> {
    const SIZE_SHIFT: u32 = 16;
    const SIZE_BITS: libc::Ioctl = 0x1fff << SIZE_SHIFT;
    const SIZE: libc::Ioctl = 72;
    const _: () = assert!(size_of::<RawInfo>() == 72, "the ioctl number carries this size");
    let request = (libc::PIDFD_GET_INFO & !SIZE_BITS) | (SIZE << SIZE_SHIFT);
    let mut info = RawInfo {
        mask,
        ..RawInfo::default()
    };
    // SAFETY: the request number carries the size of `info`, so the kernel writes at most that much.
    check(libc::c_long::from(unsafe {
        libc::ioctl(fd.as_raw_fd(), request, &raw mut info)
    }))?;
    Ok(info)
}

fn waitid(kind: libc::idtype_t, id: libc::id_t, options: i32) -> io::Result<Option<RawWait>> {
    // SAFETY: siginfo_t is plain data for which all zeroes is a valid value.
    let mut found: libc::siginfo_t = unsafe { mem::zeroed() };
    loop {
        // SAFETY: `found` is a live siginfo_t that the kernel may write to.
        let result = unsafe { libc::waitid(kind, id, &raw mut found, options) };
        match check(libc::c_long::from(result)) {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // SAFETY: waitid filled the SIGCHLD member of the union, or left the zeroes that are valid too.
    let pid = unsafe { found.si_pid() };
    if pid == 0 {
        return Ok(None);
    }
    // SAFETY: as for `si_pid`.
    let status = unsafe { found.si_status() };
    Ok(Some(RawWait {
        pid,
        code: found.si_code,
        status,
    }))
}

/// `waitid(P_PIDFD)` for an end of the process, with the extra `options` (`WNOHANG`, `WNOWAIT`).
pub(crate) fn wait_pidfd(fd: BorrowedFd<'_>, options: i32) -> io::Result<Option<RawWait>> {
    let id = libc::id_t::try_from(fd.as_raw_fd()).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    waitid(libc::P_PIDFD, id, libc::WEXITED | options)
}

/// `waitid(P_PID)` for an end of the child `pid`.
pub(crate) fn wait_pid(pid: u32, options: i32) -> io::Result<Option<RawWait>> {
    waitid(libc::P_PID, pid, libc::WEXITED | options)
}

/// `waitid(P_ALL)` for an end of any child.
pub(crate) fn wait_any(options: i32) -> io::Result<Option<RawWait>> {
    waitid(libc::P_ALL, 0, libc::WEXITED | options)
}
