//! The only unsafe code of the program: one file per group of system calls, each wrapping the call in a
//! function that is safe to call with any argument its types admit.
//!
//! It holds no policy. What a result means is decided by the safe modules beside it.

pub(super) mod accounts;
pub(super) mod handle;
pub(super) mod message;
pub(super) mod pidfd;
pub(super) mod process;
pub(super) mod reactor;
pub(super) mod signals;
pub(super) mod spawn;

use std::io;

/// Turns the -1 convention of the C library into an `io::Error` made from `errno`.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// As [`check`], for calls whose result fits `c_int` (descriptors, flags).
fn check_int(result: libc::c_long) -> io::Result<libc::c_int> {
    libc::c_int::try_from(check(result)?).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}
