//! Waiting for a descriptor inside the daemon's event loop.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::raw;

/// Watches a descriptor until it can be read (for a pidfd: until its process has exited).
///
/// # Errors
/// When the event loop cannot take it. Panics outside of one, as all of tokio does.
pub fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    raw::reactor::watch(fd, Interest::READABLE)
}

/// Watches a descriptor until it can be written.
///
/// # Errors
/// As [`readable`].
pub fn writable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    raw::reactor::watch(fd, Interest::WRITABLE)
}

/// Watches a descriptor for exceptional events (`POLLPRI`), such as a change of `cgroup.events`.
///
/// # Errors
/// As [`readable`].
pub fn exceptional(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    raw::reactor::watch(fd, Interest::PRIORITY)
}
