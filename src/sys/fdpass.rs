//! Bytes with descriptors over a Unix socket (`SCM_RIGHTS`).

use super::raw::message;
use nix::sys::socket::{AddressFamily, SockFlag, SockType};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// The most descriptors one message may carry (a limit of the kernel).
pub const MOST_FDS: usize = message::MOST_FDS;

/// A connected pair of stream sockets, close-on-exec and blocking.
///
/// # Errors
/// When no descriptor is free.
pub fn socketpair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = nix::sys::socket::socketpair(
        AddressFamily::Unix,
        SockType::Stream,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    Ok(pair)
}

/// Sends all of `bytes`; the descriptors go with the first part. No SIGPIPE is raised.
///
/// # Errors
/// `InvalidInput` for empty `bytes` (descriptors need at least one byte) or too many descriptors; `EPIPE`
/// when the peer is gone; `WouldBlock` on a non-blocking socket, possibly after a part was sent.
pub fn send_with_fds(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if bytes.is_empty() || fds.len() > MOST_FDS {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut rest = bytes;
    let mut attached = fds;
    while !rest.is_empty() {
        match message::send(socket, rest, attached) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(sent) => {
                rest = rest.get(sent..).unwrap_or(&[]);
                attached = &[];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Receives bytes and at most `most_fds` descriptors, all close-on-exec. `(0, [])` is end-of-file.
///
/// # Errors
/// `InvalidData` when the peer sent more descriptors than that, or the descriptor table is full; then all
/// that came are closed again. `WouldBlock` on a non-blocking socket with nothing to read.
pub fn recv_with_fds(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    most_fds: usize,
) -> io::Result<(usize, Vec<OwnedFd>)> {
    loop {
        match message::receive(socket, buffer, most_fds) {
            Ok(received) if received.truncated || received.fds.len() > most_fds => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "more descriptors came than were expected, or no descriptor was free",
                ));
            }
            Ok(received) => return Ok((received.bytes, received.fds)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
