//! Opening what a file handle names (`open_by_handle_at(2)`).
#![expect(unsafe_code, reason = "a system call without a safe wrapper elsewhere")]

use super::check_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// The kernel's `struct file_handle`, with a handle of eight bytes.
#[repr(C)]
struct Handle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    id: [u8; 8],
}

/// Opens the directory that a handle of this kind with these eight bytes names, in the file system of `mount`; close-on-exec.
pub(crate) fn open_directory(mount: impl AsFd, kind: i32, id: [u8; 8]) -> io::Result<OwnedFd> {
    let mut handle = Handle { bytes: 8, kind, id };
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the kernel reads the structure, which has as many bytes of handle as it says, and keeps nothing.
    let fd = check_int(unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_fd().as_raw_fd(),
            &raw mut handle,
            flags,
        )
    })?;
    // SAFETY: the kernel has just made this descriptor and nothing else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
