//! Messages with descriptors, and accepting connections.
#![expect(unsafe_code, reason = "control messages carry raw descriptors")]

use super::{check, check_int};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The most descriptors one message may carry (`SCM_MAX_FD` of the kernel).
pub(crate) const MOST_FDS: usize = 253;

/// Room for one control message with `MOST_FDS` descriptors and, as the kernel may add one, credentials.
/// `u64` so that it is aligned like a `cmsghdr`.
type Control = [u64; 160];

fn message(iov: &mut libc::iovec, control: &mut Control, length: usize) -> libc::msghdr {
    // SAFETY: msghdr is plain data for which all zeroes is a valid value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = iov;
    header.msg_iovlen = 1;
    if length > 0 {
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = length;
    }
    header
}

const fn space_for(fds: usize) -> usize {
    let bytes = fds * size_of::<RawFd>();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most MOST_FDS descriptors of four bytes"
    )]
    let bytes = bytes as u32;
    // SAFETY: CMSG_SPACE is arithmetic only.
    unsafe { libc::CMSG_SPACE(bytes) as usize }
}

/// `sendmsg(2)` of `bytes` with `fds` attached; gives the number of bytes taken.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    const _: () = assert!(
        space_for(MOST_FDS) <= size_of::<Control>(),
        "room for a full message"
    );
    if fds.len() > MOST_FDS {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut control: Control = [0; 160];
    // sendmsg does not write through the iovec; the pointer is mutable only by its C type.
    let mut iov = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let length = if fds.is_empty() { 0 } else { space_for(fds.len()) };
    let header = message(&mut iov, &mut control, length);
    if !fds.is_empty() {
        // SAFETY: the header's control buffer is live and long enough for one cmsghdr.
        let first = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
        let payload = u32::try_from(size_of_val(fds)).unwrap_or(0);
        // SAFETY: arithmetic only.
        let filled = unsafe { libc::CMSG_LEN(payload) };
        let head = libc::cmsghdr {
            cmsg_len: filled as _,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        };
        // SAFETY: `first` is not null, as the buffer has room, and points into the aligned control buffer.
        unsafe { first.write(head) };
        // SAFETY: the data part of a control message lies inside the control buffer.
        let mut slot = unsafe { libc::CMSG_DATA(first) }.cast::<RawFd>();
        for fd in fds {
            // SAFETY: `space_for` counted this slot.
            unsafe { slot.write_unaligned(fd.as_raw_fd()) };
            // SAFETY: one past the last slot at most, still inside the buffer or at its end.
            slot = unsafe { slot.add(1) };
        }
    }
    // SAFETY: every pointer in `header` outlives the call.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) };
    let sent = check(sent as libc::c_long)?;
    usize::try_from(sent).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// What `recvmsg(2)` gave: bytes, descriptors (all close-on-exec), and whether the kernel had to drop some.
pub(crate) struct Received {
    pub(crate) bytes: usize,
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) truncated: bool,
}

/// `recvmsg(2)` with room for `most_fds` descriptors. Every descriptor the kernel installed is owned by the
/// result, so that none can leak when the caller refuses the message.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], most_fds: usize) -> io::Result<Received> {
    let mut control: Control = [0; 160];
    let mut iov = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut header = message(&mut iov, &mut control, space_for(most_fds.min(MOST_FDS)));
    // SAFETY: every pointer in `header` outlives the call and describes memory that may be written.
    let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
    let got = check(got as libc::c_long)?;
    let mut fds = Vec::new();
    // SAFETY: recvmsg left a consistent control buffer in `header`.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    while !next.is_null() {
        // SAFETY: a non-null result of CMSG_FIRSTHDR or CMSG_NXTHDR points to a whole header.
        let head = unsafe { next.read() };
        if head.cmsg_level == libc::SOL_SOCKET && head.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: arithmetic only.
            let empty = unsafe { libc::CMSG_LEN(0) } as usize;
            let count = head.cmsg_len.saturating_sub(empty) / size_of::<RawFd>();
            // SAFETY: the data part of this message lies inside the control buffer.
            let data = unsafe { libc::CMSG_DATA(next) }.cast::<RawFd>();
            for index in 0..count {
                // SAFETY: the kernel wrote `count` descriptors here.
                let slot = unsafe { data.add(index) };
                // SAFETY: as above; the data need not be aligned for an int on every layout.
                let fd = unsafe { slot.read_unaligned() };
                // SAFETY: the kernel has just installed this descriptor for this process.
                fds.push(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
        // SAFETY: `next` is a header of this very message.
        next = unsafe { libc::CMSG_NXTHDR(&raw const header, next) };
    }
    let bytes = usize::try_from(got).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Received {
        bytes,
        fds,
        truncated: header.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

/// `accept4(2)` with close-on-exec and non-blocking set from the first moment.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let address = std::ptr::null_mut();
    let length = std::ptr::null_mut();
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: null address pointers are allowed: the peer's address is not asked for.
    let result = unsafe { libc::accept4(listener.as_raw_fd(), address, length, flags) };
    let fd = check_int(libc::c_long::from(result))?;
    // SAFETY: the kernel has just made this descriptor and nothing else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
