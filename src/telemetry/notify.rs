//! What the service manager is told (sd_notify(3)). Without `NOTIFY_SOCKET` every call does nothing.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;

use super::escape::escape_cut;

/// Longest status text, in bytes.
const STATUS_MAX: usize = 512;

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
    sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&sanitize(status))])
}

/// A line about how the daemon is, for `systemctl status`.
///
/// # Errors
/// As [`ready`].
pub fn status(text: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Status(&sanitize(text))])
}

/// The daemon is leaving.
///
/// # Errors
/// As [`ready`].
pub fn stopping(status: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status(&sanitize(status))])
}

/// The daemon reads its configuration again; [`ready`] says that it has. The message carries the time, as
/// `Type=notify-reload` (systemd 253) demands.
///
/// # Errors
/// As [`ready`].
pub fn reloading() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?])
}

/// Starting or stopping takes longer: the manager waits that long from now on, 71 minutes at most.
///
/// # Errors
/// As [`ready`].
pub fn extend_timeout(by: Duration) -> io::Result<()> {
    let micros = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
    sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(micros)])
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
    sd_notify::notify(&[NotifyState::Watchdog])
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
