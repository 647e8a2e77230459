//! Registering a descriptor with tokio's event loop.
#![expect(
    unsafe_code,
    reason = "tokio asks for a promise about the descriptor that only the type can give"
)]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor that is owned by the registration and closed with it.
pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` gives the same open descriptor for its whole life, and the registration owns it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest)? })
}
