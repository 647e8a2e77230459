//! What the service manager is told (sd_notify(3)). Without `NOTIFY_SOCKET` every call does nothing.
//!
//! A manager that does not read never holds up the daemon: what it must know is waited with for a second, the rest is left out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

use super::escape::escape_cut;
use crate::sys::fdpass;

/// Longest status text, in bytes.
const STATUS_MAX: usize = 512;

/// How long the manager may take to read what it must know.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether there is a manager that listens.
#[must_use]
pub fn is_listening() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The daemon serves, and this is how it is. Also ends a reload.
///
/// # Errors
/// When the manager's socket cannot be reached; the daemon can go on.
pub fn ready(status: &str) -> io::Result<()> {
    tell(
        &[NotifyState::Ready, NotifyState::Status(&sanitize(status))],
        PATIENCE,
    )
}

/// A line about how the daemon is, for `systemctl status`.
///
/// # Errors
/// As [`ready`].
pub fn status(text: &str) -> io::Result<()> {
    tell(&[NotifyState::Status(&sanitize(text))], Duration::ZERO)
}

/// The daemon is leaving.
///
/// # Errors
/// As [`ready`].
pub fn stopping(status: &str) -> io::Result<()> {
    tell(
        &[NotifyState::Stopping, NotifyState::Status(&sanitize(status))],
        PATIENCE,
    )
}

/// The daemon reads its configuration again; [`ready`] says that it has. The message carries the time, as
/// `Type=notify-reload` (systemd 253) demands.
///
/// # Errors
/// As [`ready`].
pub fn reloading() -> io::Result<()> {
    tell(
        &[NotifyState::Reloading, NotifyState::monotonic_usec_now()?],
        PATIENCE,
    )
}

/// Starting or stopping takes longer: the manager waits that long from now on, 71 minutes at most.
///
/// # Errors
/// As [`ready`].
pub fn extend_timeout(by: Duration) -> io::Result<()> {
    let micros = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(micros)], PATIENCE)
}

/// How often to call [`watchdog`]: half the time after which the manager loses patience (`WATCHDOG_USEC`), as
/// sd_watchdog_enabled(3) recommends. `None` if it has no watchdog for this process.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
        .map(|patience| patience / 2)
        .filter(|interval| !interval.is_zero())
}

/// The daemon is alive: to be called by the loop that does the work, not by a helper that outlives it.
///
/// # Errors
/// As [`ready`].
pub fn watchdog() -> io::Result<()> {
    tell(&[NotifyState::Watchdog], Duration::ZERO)
}

/// How many descriptors the manager keeps for this service: `FDSTORE`, which systemd 254 sets, and the unit for earlier
/// ones. 0 without a manager.
#[must_use]
pub fn fd_room() -> usize {
    let room = std::env::var("FDSTORE").ok().and_then(|room| room.parse().ok());
    room.filter(|_| std::env::var_os("NOTIFY_SOCKET").is_some())
        .unwrap_or(0)
}

/// Leaves a descriptor with the manager, which passes it to the next process of this service; it does not watch it. Not
/// more of them than [`fd_room`] says, and none twice.
///
/// # Errors
/// When the manager's socket cannot be reached, or (`WouldBlock`) it has not read what was sent before.
pub fn store_fd(name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
    send_now(
        &format!("FDSTORE=1\nFDNAME={}\nFDPOLL=0\n", sanitize(name)),
        &[fd],
    )
}

/// Takes what was left under a name away from the manager.
///
/// # Errors
/// As [`store_fd`].
pub fn forget_fd(name: &str) -> io::Result<()> {
    send_now(&format!("FDSTOREREMOVE=1\nFDNAME={}\n", sanitize(name)), &[])
}

fn tell(states: &[NotifyState<'_>], patience: Duration) -> io::Result<()> {
    let lines: Vec<String> = states.iter().map(|state| format!("{state}\n")).collect();
    send(&lines.concat(), &[], patience)
}

/// Sends a message without waiting for room: what comes in thousands must not hold up the daemon when the manager is busy.
fn send_now(message: &str, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    send(message, fds, Duration::ZERO)
}

/// Sends a message, and waits so long for room.
fn send(message: &str, fds: &[BorrowedFd<'_>], patience: Duration) -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let socket = UnixDatagram::unbound()?;
    if patience.is_zero() {
        socket.set_nonblocking(true)?;
    } else {
        socket.set_write_timeout(Some(patience))?;
    }
    // A name that begins so is one in the abstract namespace (unix(7)).
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(path)?,
    }
    fdpass::send_with_fds(socket.as_fd(), message.as_bytes(), fds)
}

/// A message is lines of assignments, so a newline in a status could assign anything.
fn sanitize(status: &str) -> String {
    escape_cut(status, STATUS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_of_limited_length() {
        assert_eq!(sanitize("3 runs\nMAINPID=1\0"), "3 runs\\nMAINPID=1\\u{0}");
        assert!(sanitize(&"ä".repeat(STATUS_MAX)).len() <= STATUS_MAX + '…'.len_utf8());
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        // A test run by a service manager would speak to it.
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            ready("x").unwrap();
            reloading().unwrap();
            stopping("x").unwrap();
            watchdog().unwrap();
        }
    }
}
