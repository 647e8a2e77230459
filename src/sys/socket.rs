//! Unix stream sockets: listening, connecting, and who is at the other end.

use super::files::Dir;
use super::pidfd::PidFd;
use super::raw;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr, sockopt};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// The longest path that fits an address (`sun_path` less its NUL).
const LONGEST_PATH: usize = 107;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Calls `with` with an address of `path`. A path too long for one goes by its directory's descriptor.
fn address<T>(path: &Path, with: impl FnOnce(&UnixAddr) -> io::Result<T>) -> io::Result<T> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.first() == Some(&0) {
        // An empty path would bind an abstract name, reachable from other mount namespaces.
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    if bytes.len() <= LONGEST_PATH {
        return with(&UnixAddr::new(path)?);
    }
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (parent, name) = path.parent().zip(path.file_name()).ok_or_else(invalid)?;
    let dir = Dir::open(parent)?;
    let short = Path::new("/proc/self/fd")
        .join(dir.as_fd().as_raw_fd().to_string())
        .join(name);
    with(&UnixAddr::new(&short)?)
}

fn stream_socket(flags: SockFlag) -> io::Result<OwnedFd> {
    Ok(socket::socket(
        AddressFamily::Unix,
        SockType::Stream,
        flags | SockFlag::SOCK_CLOEXEC,
        None,
    )?)
}

/// Binds a non-blocking, close-on-exec listener, whose file has exactly the permissions `mode`, whatever the umask
/// says, and never wider ones; nothing that exists is replaced or followed. The directory must be one in which
/// nobody else can rename.
///
/// # Errors
/// `AddrInUse` if the name exists, be it a dead socket; `InvalidInput` for an empty path or a file name
/// longer than about 80 bytes.
pub fn listen(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    let fd = stream_socket(SockFlag::SOCK_NONBLOCK)?;
    // The file takes its mode from the socket's own inode less the umask, so there is no moment with a wider one.
    super::files::fchmod(&fd, mode)?;
    address(path, |address| Ok(socket::bind(fd.as_raw_fd(), address)?))?;
    widen(path, mode)?;
    socket::listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(fd)
}

/// Gives a socket's file the permissions that the umask took away. The file is held while that is done, so that it
/// is this one and no other, and it is checked to be a socket.
fn widen(path: &Path, mode: u32) -> io::Result<()> {
    use nix::fcntl::{OFlag, open};
    use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstat};
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let held = open(path, flags, Mode::empty())?;
    let stat = fstat(&held)?;
    if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFSOCK.bits() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the name was taken over by another file",
        ));
    }
    if stat.st_mode & 0o777 == mode & 0o777 {
        return Ok(());
    }
    let name = format!("/proc/self/fd/{}", held.as_raw_fd());
    Ok(fchmodat(
        nix::fcntl::AT_FDCWD,
        name.as_str(),
        Mode::from_bits_truncate(mode & 0o777),
        FchmodatFlags::FollowSymlink,
    )?)
}

/// Connects to the listener at `path`; the result blocks.
///
/// # Errors
/// `NotFound`, `ConnectionRefused` (nobody listens), `PermissionDenied`.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let fd = stream_socket(SockFlag::empty())?;
    address(path, |address| {
        loop {
            match socket::connect(fd.as_raw_fd(), address) {
                Err(nix::errno::Errno::EINTR) => {}
                other => break Ok(other?),
            }
        }
    })?;
    Ok(UnixStream::from(fd))
}

/// Takes one waiting connection, non-blocking and close-on-exec; `None` if none waits (any more).
///
/// # Errors
/// `EMFILE` and the like when resources are short.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    loop {
        match raw::message::accept(listener) {
            Ok(fd) => return Ok(Some(fd)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Takes over a descriptor that this process was started with, by number, close-on-exec. The number is free afterwards.
///
/// # Errors
/// `EBADF` if there is none.
pub fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    let fd = raw::process::duplicate(number)?;
    nix::unistd::close(number)?;
    Ok(fd)
}

/// Makes a descriptor a listener that does not block, if it is one (socket activation).
///
/// # Errors
/// `InvalidInput` if it is not a listening Unix stream socket.
pub fn as_listener(fd: OwnedFd) -> io::Result<OwnedFd> {
    let family = socket::getsockname::<socket::SockaddrStorage>(fd.as_raw_fd());
    let listens = socket::getsockopt(&fd, sockopt::AcceptConn).unwrap_or(false);
    let is_stream = socket::getsockopt(&fd, sockopt::SockType).is_ok_and(|kind| kind == SockType::Stream);
    let is_unix = family.is_ok_and(|family| family.as_unix_addr().is_some());
    if !is_unix || !listens || !is_stream {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a listening Unix stream socket",
        ));
    }
    let flags = nix::fcntl::OFlag::from_bits_truncate(nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_GETFL)?);
    nix::fcntl::fcntl(
        &fd,
        nix::fcntl::FcntlArg::F_SETFL(flags | nix::fcntl::OFlag::O_NONBLOCK),
    )?;
    Ok(fd)
}

/// Who connected, as the kernel recorded it at `connect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCred {
    /// Process number, for messages; 0 if it is in a foreign pid namespace.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// The peer's credentials (`SO_PEERCRED`).
///
/// # Errors
/// When it is not a connected Unix socket.
pub fn peer_cred(fd: impl AsFd) -> io::Result<PeerCred> {
    let found = socket::getsockopt(&fd, sockopt::PeerCredentials)?;
    if found.uid() == u32::MAX {
        return Err(io::Error::from(io::ErrorKind::NotConnected));
    }
    Ok(PeerCred {
        pid: u32::try_from(found.pid()).unwrap_or(0),
        uid: found.uid(),
        gid: found.gid(),
    })
}

/// The peer's process (`SO_PEERPIDFD`, Linux 6.5); `None` where the kernel cannot say.
#[must_use]
pub fn peer_pidfd(fd: impl AsFd) -> Option<PidFd> {
    socket::getsockopt(&fd, sockopt::PeerPidfd)
        .ok()
        .map(PidFd::from_owned)
}

/// The peer's supplementary groups (`SO_PEERGROUPS`).
///
/// # Errors
/// When it is not a connected Unix socket.
pub fn peer_groups(fd: impl AsFd) -> io::Result<Vec<u32>> {
    raw::accounts::peer_groups(fd.as_fd())
}

/// Removes the socket at `path` if it is still the one with this device and inode; false if it is not. The
/// caller holds the lock that keeps others from putting a new one there in between.
///
/// # Errors
/// When the directory cannot be opened or changed.
pub fn unlink_socket_if_same(path: &Path, device: u64, inode: u64) -> io::Result<bool> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (parent, name) = path.parent().zip(path.file_name()).ok_or_else(invalid)?;
    let dir = match Dir::open(if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    }) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    if dir.inode_of(name)? != Some((device, inode)) {
        return Ok(false);
    }
    dir.remove_file(name).map(|()| true)
}

/// Sends what fits, without ever raising `SIGPIPE`.
///
/// # Errors
/// `EPIPE` when the peer is gone, `WouldBlock` on a full non-blocking socket.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    Ok(socket::send(
        fd.as_raw_fd(),
        bytes,
        socket::MsgFlags::MSG_NOSIGNAL,
    )?)
}

/// Makes a descriptor non-blocking, or blocking.
///
/// # Errors
/// When the flags cannot be read or set.
pub fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let mut flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    flags.set(OFlag::O_NONBLOCK, on);
    fcntl(fd, FcntlArg::F_SETFL(flags))?;
    Ok(())
}

#[cfg(test)]
mod tests;
