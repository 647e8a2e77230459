//! A process, held by descriptor: it can be asked, signalled and waited for, and never be mistaken for
//! another one that got the same number later.

use super::raw::pidfd as raw;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// Type number of pidfs, where process descriptors live since Linux 6.9 (`linux/magic.h`).
const PIDFS_MAGIC: i64 = 0x5049_4446;
const INFO_PID: u64 = 1;
const INFO_CREDS: u64 = 1 << 1;
const INFO_CGROUP: u64 = 1 << 2;
const INFO_EXIT: u64 = 1 << 3;
const INFO_COREDUMP: u64 = 1 << 4;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WaitStatus {
    /// It called `exit` with this code, 0 to 255.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether a core dump was made.
        core: bool,
    },
}

impl WaitStatus {
    /// Reads the status word of `wait(2)`.
    #[must_use]
    pub fn from_raw(word: i32) -> Self {
        let signal = word & 0x7f;
        if signal == 0 {
            Self::Code((word >> 8) & 0xff)
        } else {
            Self::Signal {
                signal,
                core: word & 0x80 != 0,
            }
        }
    }

    /// True for exit code 0 and nothing else.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }

    pub(super) fn from_wait(found: raw::RawWait) -> Self {
        match found.code {
            libc::CLD_EXITED => Self::Code(found.status & 0xff),
            code => Self::Signal {
                signal: found.status,
                core: code == libc::CLD_DUMPED,
            },
        }
    }
}

/// What the kernel says about a process (`PIDFD_GET_INFO`, Linux 6.13; `pid` also before that).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PidInfo {
    /// The process number; `None` once the process is reaped, or if it is in a foreign pid namespace.
    pub pid: Option<u32>,
    /// Id of its cgroup in the v2 hierarchy: the inode number of the cgroup's directory.
    pub cgroup_id: Option<u64>,
    /// How it ended. Only there once it is reaped, by whomever (Linux 6.15).
    pub exit: Option<WaitStatus>,
    /// Whether it dumped core (Linux 6.16, or known from `exit`).
    pub coredump: bool,
}

/// An owned process descriptor.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<PidFd> for OwnedFd {
    fn from(fd: PidFd) -> Self {
        fd.0
    }
}

/// Whether a wait failed because the process is not (or no longer) a child of this one (`ECHILD`).
/// Then [`PidFd::info`] may still know how it ended.
#[must_use]
pub fn is_not_child(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ECHILD)
}

impl PidFd {
    /// Opens the process that has number `pid` at this moment (`pidfd_open(2)`, Linux 5.3). A zombie can be
    /// opened. The caller must verify that it is the process that is meant, as numbers are used again.
    ///
    /// # Errors
    /// `ESRCH` if there is no such process or it is reaped, `EINVAL` for 0 and numbers no process can have.
    pub fn open(pid: u32) -> io::Result<Self> {
        let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        raw::open(pid).map(Self)
    }

    /// Takes a descriptor that came from elsewhere (a clone, a peer, the systemd store).
    #[must_use]
    pub fn from_owned(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// A second descriptor of the same process.
    ///
    /// # Errors
    /// When no descriptor is free.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Sends a signal to exactly this process; 0 only checks that it could be sent.
    ///
    /// # Errors
    /// `ESRCH` if it is reaped, `EPERM` without the right, `EINVAL` for a number that is no signal.
    pub fn send_signal(&self, signal: i32) -> io::Result<()> {
        raw::send_signal(self.as_fd(), signal)
    }

    /// Sends a signal to the process group that this process leads. The process must be an unreaped child of the
    /// caller (Linux before 6.9 has no such flag for a pidfd, and only then the group's number cannot be in use
    /// for something else).
    ///
    /// # Errors
    /// `ESRCH` if no process of the group is left, `EPERM` without the right.
    pub fn signal_group(&self, leader: u32, signal: i32) -> io::Result<()> {
        raw::signal_group(self.as_fd(), leader, signal)
    }

    /// The inode of the process in pidfs: no other process of this boot has it (Linux 6.9).
    ///
    /// # Errors
    /// `Unsupported` on older kernels, where the inode is one for all.
    pub fn inode(&self) -> io::Result<u64> {
        let kind = nix::sys::statfs::fstatfs(&self.0)?.filesystem_type();
        #[expect(
            clippy::useless_conversion,
            reason = "the C type differs between architectures"
        )]
        if i64::from(kind.0) != PIDFS_MAGIC {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the kernel has no pidfs (Linux 6.9)",
            ));
        }
        Ok(nix::sys::stat::fstat(&self.0)?.st_ino)
    }

    /// What the kernel knows of the process. On kernels before 6.13 only `pid` is filled.
    ///
    /// # Errors
    /// When the descriptor is not a process descriptor.
    pub fn info(&self) -> io::Result<PidInfo> {
        let asked = INFO_PID | INFO_CREDS | INFO_CGROUP | INFO_EXIT | INFO_COREDUMP;
        let info = match raw::info(self.as_fd(), asked) {
            Ok(info) => info,
            // Reaped, on a kernel that keeps nothing after that.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(PidInfo::default()),
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ENOTTY | libc::EINVAL | libc::ENOSYS)
                ) =>
            {
                return Ok(PidInfo {
                    pid: self.pid_from_fdinfo()?,
                    ..PidInfo::default()
                });
            }
            Err(error) => return Err(error),
        };
        let has = |bit| info.mask & bit != 0;
        let exit = has(INFO_EXIT).then(|| WaitStatus::from_raw(info.exit_code));
        Ok(PidInfo {
            // `pid` is a thread's number; the process is the thread group.
            pid: (has(INFO_PID) && info.tgid != 0).then_some(info.tgid),
            cgroup_id: (has(INFO_CGROUP) && info.cgroup_id != 0).then_some(info.cgroup_id),
            exit,
            coredump: (has(INFO_COREDUMP) && info.coredump_mask & 1 != 0)
                || matches!(exit, Some(WaitStatus::Signal { core: true, .. })),
        })
    }

    /// The mask of fields that `PIDFD_GET_INFO` filled; `None` where the kernel has no such call.
    pub(super) fn info_mask(&self) -> Option<u64> {
        raw::info(self.as_fd(), INFO_PID | INFO_CGROUP | INFO_EXIT)
            .ok()
            .map(|info| info.mask)
    }

    /// The `Pid:` line of `/proc/self/fdinfo/<fd>` (Linux 5.3): -1 when reaped, 0 when not visible here.
    fn pid_from_fdinfo(&self) -> io::Result<Option<u32>> {
        use std::os::fd::AsRawFd;
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.0.as_raw_fd()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pid:"));
        let value = line.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOTTY))?;
        Ok(value.trim().parse::<u32>().ok().filter(|pid| *pid != 0))
    }

    fn poll(&self) -> io::Result<PollFlags> {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        loop {
            match nix::poll::poll(&mut fds, PollTimeout::ZERO) {
                Ok(_) => return Ok(fds[0].revents().unwrap_or(PollFlags::empty())),
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Whether the process has ended (all its threads), reaped or not.
    ///
    /// # Errors
    /// Only when the descriptor cannot be polled.
    pub fn is_exited(&self) -> io::Result<bool> {
        Ok(self.poll()?.intersects(PollFlags::POLLIN | PollFlags::POLLHUP))
    }

    /// Whether the process has ended and its parent has collected it. Kernels before 6.9 do not say so by
    /// poll; there the answer comes from sending signal 0.
    ///
    /// # Errors
    /// Only when the descriptor cannot be polled.
    pub fn is_reaped(&self) -> io::Result<bool> {
        let events = self.poll()?;
        if events.contains(PollFlags::POLLHUP) {
            return Ok(true);
        }
        let gone = || {
            self.send_signal(0)
                .is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH))
        };
        Ok(events.contains(PollFlags::POLLIN) && gone())
    }

    /// How a process that need not be a child ended, as long as nobody has reaped it: the last field of
    /// `/proc/<pid>/stat` (`proc_pid_stat(5)`). `None` if it runs, is reaped, or if this process may not know; and
    /// for exit code 0, which the kernel also shows to those who may not know.
    #[must_use]
    pub fn zombie_status(&self) -> Option<WaitStatus> {
        let stat = self.read_own(|pid| std::fs::read(format!("/proc/{pid}/stat")))?;
        let (_, fields) = std::str::from_utf8(stat.rsplit(|byte| *byte == b')').next()?)
            .ok()?
            .split_once(' ')?;
        let mut fields = fields.split_whitespace();
        if fields.next() != Some("Z") {
            return None;
        }
        let word: i32 = fields.last()?.parse().ok()?;
        (word != 0).then(|| WaitStatus::from_raw(word))
    }

    /// Reads something of `/proc/<pid>` that is this process' for certain: it is held, and looked at before and after, so
    /// that the number is no other's meanwhile. `None` once it is reaped, or if it may not be read.
    fn read_own<T>(&self, read: impl FnOnce(u32) -> io::Result<T>) -> Option<T> {
        let pid = self.info().ok()?.pid.or_else(|| self.pid_from_fdinfo().ok()?)?;
        let found = read(pid).ok()?;
        let still = !self.is_reaped().unwrap_or(true);
        still.then_some(found)
    }

    /// The program it runs, for people: a process can change that at any time. `None` if it is gone, or not to be seen.
    #[must_use]
    pub fn program(&self) -> Option<PathBuf> {
        self.read_own(|pid| std::fs::read_link(format!("/proc/{pid}/exe")))
    }

    /// Its real, effective and saved user ids. `None` if it is gone.
    #[must_use]
    pub fn users(&self) -> Option<[u32; 3]> {
        let status = self.read_own(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")))?;
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        let mut ids = line.split_whitespace().map_while(|id| id.parse().ok());
        Some([ids.next()?, ids.next()?, ids.next()?])
    }

    /// Whether it has all these variables, as `NAME=value`, in its environment. The process itself can change what is seen
    /// there.
    #[must_use]
    pub fn was_given(&self, variables: &[String]) -> bool {
        let environ = self.read_own(|pid| std::fs::read(format!("/proc/{pid}/environ")));
        environ.is_some_and(|environ| {
            let has = |wanted: &String| {
                environ
                    .split(|byte| *byte == 0)
                    .any(|one| one == wanted.as_bytes())
            };
            variables.iter().all(has)
        })
    }

    /// How a child ended, leaving it to be reaped: so the exit can be made durable first. `None`: it runs.
    ///
    /// # Errors
    /// `ECHILD` for a process that is not a child ([`is_not_child`]).
    pub fn wait_peek(&self) -> io::Result<Option<WaitStatus>> {
        let found = raw::wait_pidfd(self.as_fd(), libc::WNOHANG | libc::WNOWAIT)?;
        Ok(found.map(WaitStatus::from_wait))
    }

    /// Reaps a child that has ended. `None`: it runs.
    ///
    /// # Errors
    /// `ECHILD` for a process that is not a child, or reaped already ([`is_not_child`]).
    pub fn reap(&self) -> io::Result<Option<WaitStatus>> {
        Ok(raw::wait_pidfd(self.as_fd(), libc::WNOHANG)?.map(WaitStatus::from_wait))
    }

    /// Waits for a child's end and reaps it. Blocks without limit; for children known to be ending.
    ///
    /// # Errors
    /// `ECHILD` for a process that is not a child ([`is_not_child`]).
    pub fn wait(&self) -> io::Result<WaitStatus> {
        let found = raw::wait_pidfd(self.as_fd(), 0)?;
        found
            .map(WaitStatus::from_wait)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ECHILD))
    }
}

#[cfg(test)]
mod tests;
