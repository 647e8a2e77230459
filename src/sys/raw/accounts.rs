//! The supplementary groups of a socket's peer.
#![expect(unsafe_code, reason = "SO_PEERGROUPS has no safe wrapper elsewhere")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The kernel's own limit on supplementary groups (`NGROUPS_MAX`).
const MOST_GROUPS: usize = 65_536;

/// `SO_PEERGROUPS` (Linux 4.13): the supplementary groups the peer had when it connected.
pub(crate) fn peer_groups(fd: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0u32; 64];
    loop {
        let room = groups.len() * size_of::<u32>();
        let mut length =
            libc::socklen_t::try_from(room).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        // SAFETY: `groups` has `length` bytes of room, and both outlive the call.
        let result = unsafe {
            libc::getsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = usize::try_from(length).unwrap_or(usize::MAX) / size_of::<u32>();
        match super::check(libc::c_long::from(result)) {
            Ok(_) => {
                groups.truncate(count);
                return Ok(groups);
            }
            // The kernel puts the needed length into `length` when there is not enough room.
            Err(error)
                if error.raw_os_error() == Some(libc::ERANGE)
                    && count > groups.len()
                    && count <= MOST_GROUPS =>
            {
                groups.resize(count, 0);
            }
            Err(error) => return Err(error),
        }
    }
}
