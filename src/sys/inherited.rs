//! What a process inherits beside identity and limits, and what of it a job must not have from the daemon.

use std::io;

use super::raw::process as raw;

/// The kernel's own timer slack, in nanoseconds (prctl(2)).
const TIMER_SLACK: u64 = 50_000;

/// Sets what only root can set, or what a job could not set back: scheduling policy, nice value, priority for disks, timer slack, the rules by which
/// capabilities outlive a change of user, and the user id that the audit trail names. Before the change of user.
///
/// # Errors
/// The step that failed, and why. That the audit trail cannot be told is none: not every kernel has one, and some let
/// nobody change what it says. Nor is it that a root without `CAP_SYS_NICE`, as in a container, has to leave the priority as
/// it is.
pub fn reset(uid: u32) -> Result<(), (&'static str, io::Error)> {
    for done in [raw::reset_scheduling(), raw::set_nice(0)] {
        match done {
            Err(error) if !is_harmless(&error) => return Err(("the priority", error)),
            _ => {}
        }
    }
    match raw::reset_io_priority() {
        // A kernel without disks has no priorities for them.
        Err(error) if error.raw_os_error() != Some(libc::ENOSYS) => {
            return Err(("the priority for disks", error));
        }
        _ => {}
    }
    nix::sys::prctl::set_timerslack(TIMER_SLACK).map_err(|errno| ("the timer slack", errno.into()))?;
    raw::reset_secure_bits().map_err(|error| ("the rules for capabilities", error))?;
    let _told = std::fs::write("/proc/self/loginuid", uid.to_string());
    Ok(())
}

/// Takes an empty session keyring of this user's own, so that keys of the daemon's session are out of reach. After the
/// change of user. Where there are no keyrings, or a filter refuses them, nothing happens; nor does it when the user has
/// as many as a user may have, and then the daemon's own is of no use to anybody, see [`close_session_keyring`].
///
/// # Errors
/// Anything else.
pub fn take_session_keyring() -> io::Result<()> {
    match raw::join_session_keyring() {
        Err(error) if is_harmless(&error) => Ok(()),
        other => other,
    }
}

/// Takes an empty session keyring that nobody may use, neither this process nor those that inherit it.
///
/// # Errors
/// As [`take_session_keyring`].
pub fn close_session_keyring() -> io::Result<()> {
    match raw::join_session_keyring().and_then(|()| raw::close_session_keyring()) {
        Err(error) if is_harmless(&error) => Ok(()),
        other => other,
    }
}

fn is_harmless(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOSYS | libc::EPERM | libc::EACCES | libc::EDQUOT)
    )
}
