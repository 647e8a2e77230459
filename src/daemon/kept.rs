//! Process descriptors of shims, left with the service manager while their attempts are live (`FDSTORE=1`,
//! sd_pid_notify_with_fds(3)).
//!
//! As long as somebody holds a descriptor of a process, the kernel tells how that process ended (Linux 6.15). So a daemon
//! learns how a shim died while there was no daemon: from the descriptor that its predecessor has left. Without it, and
//! without a service manager, the attempt is lost all the same, with a cause that is not known.
//!
//! The manager compares each new descriptor with all that it has, so it gets those of attempts that have lived for a while,
//! and the rest when the daemon leaves.

use std::collections::{HashMap, VecDeque};
use std::os::fd::AsFd;

use super::alarms::Alarm;
use super::dispatcher::{Dispatcher, now};
use crate::model::{AttemptId, Boot};
use crate::sys::pidfd::{PidFd, WaitStatus};
use crate::telemetry::notify;

/// How long an attempt has lived when its descriptor is left with the manager, in microseconds.
const YOUNG: u64 = 2_000_000;

/// What is left with the manager, and what it had.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// How many it takes.
    room: usize,
    /// How many it has.
    count: usize,
    /// What the last daemon has left, by the inode of the process.
    left: HashMap<u64, PidFd>,
    /// Attempts whose descriptors it has not got yet, and when it gets them; the earliest first.
    young: VecDeque<(Boot, AttemptId)>,
}

/// The name of a process in the manager's store. They all go into one environment variable of the next daemon, which the
/// kernel limits to 128 KiB, so it is short.
fn name(inode: u64) -> String {
    format!("{inode:x}")
}

impl Kept {
    /// Starts with what came from the last daemon.
    pub(super) fn new(processes: Vec<PidFd>) -> Self {
        let left: HashMap<u64, PidFd> = processes
            .into_iter()
            .filter_map(|process| Some((process.inode().ok()?, process)))
            .collect();
        Self {
            room: notify::fd_room(),
            count: left.len(),
            left,
            young: VecDeque::new(),
        }
    }

    /// The name under which the manager has a process, if it has.
    pub(super) fn name_of(&self, inode: Option<u64>) -> Option<String> {
        let inode = inode.filter(|inode| self.left.contains_key(inode))?;
        Some(name(inode))
    }

    /// How a process has ended, if the manager has its descriptor and the kernel still tells.
    pub(super) fn end_of(&self, inode: Option<u64>) -> Option<WaitStatus> {
        self.left.get(&inode?)?.info().ok()?.exit
    }

    /// Leaves a descriptor with the manager; its name there, if it can have it.
    fn leave(&mut self, pidfd: &PidFd) -> Option<String> {
        if self.count >= self.room {
            return None;
        }
        let name = name(pidfd.inode().ok()?);
        match notify::store_fd(&name, pidfd.as_fd()) {
            Ok(()) => {
                self.count += 1;
                Some(name)
            }
            Err(error) => {
                tracing::debug!(%error, "the service manager does not take a process descriptor");
                None
            }
        }
    }

    fn take_back(&mut self, name: &str) {
        self.count = self.count.saturating_sub(1);
        if let Err(error) = notify::forget_fd(name) {
            // The next daemon gets it, and finds that it belongs to nothing.
            tracing::debug!(%error, "the service manager keeps a process descriptor");
        }
    }
}

impl Dispatcher {
    /// A shim lives: its descriptor is left with the manager, if it still lives in a while.
    pub(super) fn keep_soon(&mut self, attempt: &AttemptId) {
        if self.kept.room == 0 {
            return;
        }
        let at = Boot(now().boot.0.saturating_add(YOUNG));
        if self.kept.young.is_empty() {
            self.alarms.set(at, Alarm::Young);
            self.arm();
        }
        self.kept.young.push_back((at, attempt.clone()));
    }

    /// Some attempts are not young any more.
    pub(super) fn keep_due(&mut self) {
        let at = now().boot;
        while let Some((due, _)) = self.kept.young.front() {
            if *due > at {
                self.alarms.set(*due, Alarm::Young);
                return;
            }
            if let Some((_, attempt)) = self.kept.young.pop_front() {
                self.keep(&attempt);
            }
        }
    }

    /// The daemon leaves.
    pub(super) fn keep_all(&mut self) {
        for (_, attempt) in std::mem::take(&mut self.kept.young) {
            self.keep(&attempt);
        }
    }

    fn keep(&mut self, attempt: &AttemptId) {
        if let Some(held) = self.attempts.get_mut(attempt)
            && let Some(pidfd) = held
                .pidfd
                .as_ref()
                .filter(|_| held.kept.is_none() && !held.ending)
        {
            held.kept = self.kept.leave(pidfd);
        }
    }

    /// The end of an attempt is stored: how its shim died is not asked any more.
    pub(super) fn let_go(&mut self, attempt: &AttemptId) {
        let kept = self.attempts.get_mut(attempt).and_then(|held| held.kept.take());
        if let Some(name) = kept {
            self.kept.take_back(&name);
        }
    }

    /// Recovery is done: what the last daemon left and belongs to no attempt goes.
    pub(super) fn let_go_of_the_rest(&mut self) {
        let claimed: std::collections::HashSet<&String> = self
            .attempts
            .values()
            .filter_map(|held| held.kept.as_ref())
            .collect();
        let rest: Vec<String> = self
            .kept
            .left
            .keys()
            .map(|inode| name(*inode))
            .filter(|name| !claimed.contains(name))
            .collect();
        for name in rest {
            self.kept.take_back(&name);
        }
        // The manager has them all the same.
        self.kept.left = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::features::Features;
    use crate::sys::spawn::Spawn;

    #[test]
    fn the_names_of_all_fit_into_one_variable() {
        // The largest store that the unit asks for, with inodes that no machine comes to.
        let unit = include_str!("../../systemd/proctord.service");
        let most = unit
            .lines()
            .find_map(|line| line.strip_prefix("FileDescriptorStoreMax="));
        let most: usize = most.unwrap().parse().unwrap();
        assert!(most * (name(1 << 44).len() + 1) < 128 * 1024);
        assert!(unit.contains(&format!("Environment=FDSTORE={most}\n")));
    }

    #[test]
    fn what_was_left_tells_how_it_ended() {
        let child = Spawn::new("/bin/sh").spawn().unwrap();
        let inode = child.pidfd.inode().ok();
        let kept = Kept::new(vec![child.pidfd.try_clone().unwrap()]);
        child.pidfd.wait().unwrap();
        if Features::detect().pidfd_exit_info {
            assert!(kept.end_of(inode).is_some());
            assert!(kept.name_of(inode).is_some());
        }
        assert_eq!(kept.end_of(Some(0)), None);
        assert_eq!(kept.end_of(None), None);
        assert_eq!(kept.name_of(Some(0)), None);
    }
}
