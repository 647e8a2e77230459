//! Children of this process, whoever started them: being the reaper of orphans, and collecting zombies.
//!
//! One reaper per process: a wait for any child next to waits for certain children steals their status.

use super::pidfd::{WaitStatus, is_not_child};
use super::raw::pidfd as raw;
use crate::model::Usage;
use std::io;

/// Makes this process the parent of orphaned descendants (`PR_SET_CHILD_SUBREAPER`). Kept over `execve`,
/// not inherited by children.
///
/// # Errors
/// Never on Linux 3.4 and later.
pub fn become_subreaper() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// The number of one child that has ended and waits to be reaped; `None` when there is none, or no child.
/// It stays a zombie, so its number cannot be taken by another process before [`reap_pid`].
///
/// # Errors
/// Not in practice: `waitid(2)` without a limit on the child fails only for the lack of children.
pub fn next_zombie() -> io::Result<Option<u32>> {
    match raw::wait_any(libc::WNOHANG | libc::WNOWAIT) {
        Ok(found) => Ok(found.and_then(|found| u32::try_from(found.pid).ok())),
        Err(error) if is_not_child(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there is any child, running or ended.
///
/// # Errors
/// Not in practice, as for [`next_zombie`].
pub fn has_children() -> io::Result<bool> {
    match raw::wait_any(libc::WNOHANG | libc::WNOWAIT) {
        Ok(_) => Ok(true),
        Err(error) if is_not_child(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reaps the child `pid` if it has ended; `None` when it runs.
///
/// # Errors
/// `ECHILD` if it is not a child.
pub fn reap_pid(pid: u32) -> io::Result<Option<WaitStatus>> {
    Ok(raw::wait_pid(pid, libc::WNOHANG)?.map(WaitStatus::from_wait))
}

/// How the child `pid` ended, leaving it to be reaped; `None` when it runs.
///
/// # Errors
/// `ECHILD` if it is not a child.
pub fn peek_pid(pid: u32) -> io::Result<Option<WaitStatus>> {
    Ok(raw::wait_pid(pid, libc::WNOHANG | libc::WNOWAIT)?.map(WaitStatus::from_wait))
}

/// The numbers of all children, zombies included, of all threads of this process. Complete only when none
/// of them starts or ends a child meanwhile (`proc_pid_children(5)`).
///
/// # Errors
/// `NotFound` where the kernel is built without `CONFIG_PROC_CHILDREN`.
pub fn children() -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        let text = match std::fs::read_to_string(task.join("children")) {
            Ok(text) => text,
            // The thread has ended since the directory was read; its children went to another one.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) || !task.exists() => continue,
            Err(error) => return Err(error),
        };
        found.extend(
            text.split_ascii_whitespace()
                .filter_map(|word| word.parse::<u32>().ok()),
        );
    }
    Ok(found)
}

/// What the children that were reaped used, with those that they reaped themselves: CPU time, IO, and the memory of the largest
/// one. A field is `None` where the kernel does not count so.
#[must_use]
pub fn children_usage() -> Usage {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let Ok(used) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return Usage::UNKNOWN;
    };
    let usec = |time: nix::sys::time::TimeVal| u64::try_from(time.num_microseconds()).ok();
    // Blocks are pieces of 512 bytes, and memory is told in KiB (getrusage(2)).
    let bytes = |blocks: libc::c_long| u64::try_from(blocks).ok()?.checked_mul(512);
    let rss = u64::try_from(used.max_rss()).ok().filter(|kib| *kib > 0);
    Usage {
        cpu_user_usec: usec(used.user_time()),
        cpu_system_usec: usec(used.system_time()),
        rss_max: rss.and_then(|kib| kib.checked_mul(1024)),
        io_read: bytes(used.block_reads()),
        io_written: bytes(used.block_writes()),
        ..Usage::UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::{Shell, await_exit};

    #[test]
    fn a_zombie_is_seen_before_it_is_reaped() {
        let mut shell = Shell::run("read x; exit 4");
        let pid = shell.child.pid;
        assert!(children().unwrap().contains(&pid));
        assert_eq!(reap_pid(pid).unwrap(), None);
        shell.close_input();
        await_exit(&shell.child.pidfd);
        // Other tests may have zombies of their own at this moment.
        assert!(next_zombie().unwrap().is_some());
        assert_eq!(peek_pid(pid).unwrap(), Some(WaitStatus::Code(4)));
        assert_eq!(reap_pid(pid).unwrap(), Some(WaitStatus::Code(4)));
        assert!(is_not_child(&reap_pid(pid).unwrap_err()));
        assert!(!children().unwrap().contains(&pid));
    }

    #[test]
    fn what_children_used_is_known_once_they_are_reaped() {
        let shell = Shell::run("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done");
        shell.child.pidfd.wait().unwrap();
        let used = children_usage();
        // Other tests have children, too.
        assert!(used.cpu_usec().is_some_and(|usec| usec > 0), "{used:?}");
        assert!(used.rss_max.is_some_and(|bytes| bytes >= 64 * 1024), "{used:?}");
        assert!(used.io_read.is_some() && used.io_written.is_some());
        assert_eq!((used.mem_peak, used.oom_kills), (None, None));
    }
}
