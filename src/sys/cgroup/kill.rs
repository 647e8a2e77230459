//! Killing all that is in a cgroup.

use std::collections::HashMap;
use std::io;

use super::super::pidfd::PidFd;
use super::Cgroup;

/// Rounds of the kill loop that stands in for `cgroup.kill`; each must see every process that was forked
/// before it.
const KILL_ROUNDS: usize = 200;

impl Cgroup {
    /// Kills everything inside and below with SIGKILL, at once and also what is just being forked
    /// (`cgroup.kill`, Linux 5.14). Without that file every process is killed by its descriptor, in rounds.
    /// That the cgroup is empty afterwards is to be awaited with [`Cgroup::is_populated`].
    ///
    /// # Errors
    /// When neither way is open. A removed cgroup is no error: nothing is left in it.
    pub fn kill(&self) -> io::Result<()> {
        match self.write("cgroup.kill", "1") {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ENOENT | libc::EOPNOTSUPP | libc::EACCES)
                ) =>
            {
                if super::is_removed(&self.dir) {
                    Ok(())
                } else {
                    self.kill_each()
                }
            }
            other => other,
        }
    }

    pub(in crate::sys) fn has_kill_file(&self) -> bool {
        self.dir
            .inode_of("cgroup.kill")
            .is_ok_and(|found| found.is_some())
    }

    pub(super) fn kill_each(&self) -> io::Result<()> {
        // Held until the end, so that a number seen again can be told from its former owner.
        let mut signalled: HashMap<u32, PidFd> = HashMap::new();
        for _ in 0..KILL_ROUNDS {
            let mut fresh = false;
            for pid in self.procs_all()? {
                if signalled
                    .get(&pid)
                    .is_some_and(|known| !known.is_reaped().unwrap_or(true))
                {
                    continue;
                }
                let Ok(process) = PidFd::open(pid) else { continue };
                // The number may have been used again since the list was read: look once more, now that
                // the process is held.
                if process.is_exited()? || !self.procs_all()?.contains(&pid) {
                    continue;
                }
                fresh = true;
                match process.send_signal(libc::SIGKILL) {
                    Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(error),
                    _ => drop(signalled.insert(pid, process)),
                }
            }
            if !fresh {
                return Ok(());
            }
        }
        Err(io::Error::other(
            "the processes of the cgroup fork faster than they can be killed one by one",
        ))
    }
}
