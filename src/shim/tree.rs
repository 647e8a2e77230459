//! The processes of the steps as a whole: is there any, and the end of all of them.
//!
//! The shim is the subreaper of everything it starts, so a process that detached itself becomes its child when
//! its own parent ends. With a cgroup one write kills all at once; without one, children are killed as they
//! appear, until there are none.

use std::io;

use super::children::Child;
use crate::sys::cgroup::Cgroup;
use crate::sys::pidfd::PidFd;
use crate::sys::reap;

/// Whether this process has any child left, zombies included. When in doubt, yes.
pub(super) fn has_children() -> bool {
    reap::has_children().unwrap_or(true)
}

/// Sends SIGKILL to everything that the steps have left. To be repeated at every SIGCHLD until
/// [`has_children`] says no: killing a process may hand its children over.
pub(super) fn kill_all(steps: Option<&Cgroup>) {
    let by_cgroup = steps.map(Cgroup::kill);
    if matches!(by_cgroup, Some(Ok(()))) {
        return;
    }
    for pid in reap::children().unwrap_or_default() {
        // A child that is not reaped keeps its number, and nobody else here reaps.
        let killed = PidFd::open(pid).and_then(|child| child.send_signal(libc::SIGKILL));
        ignore_gone(killed);
    }
}

/// A process that is gone already needs no signal, and one that may not be signalled (a set-user-ID program) is
/// left to the daemon, which kills the attempt's whole cgroup.
pub(super) fn ignore_gone(result: io::Result<()>) {
    drop(result);
}

/// Kills a child and the processes of its group.
pub(super) fn kill_group(child: &Child) {
    ignore_gone(child.pidfd.signal_group(child.pid, libc::SIGKILL));
}
