//! What a cgroup used in its life, which of its limits were hit, and what these limits are.
//!
//! Each number is there only if its controller is on for the cgroup and the kernel has the file; else it is not known, which is
//! not the same as 0.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{Cgroup, find};
use crate::model::Usage;
use crate::sys::files::{self, Dir};

/// The longest statistics file that is read.
const MOST_TEXT: u64 = 64 * 1024;

impl Cgroup {
    /// What the cgroup and all below it used. Read it when it is empty and before it is removed.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let cpu = text(&self.dir, "cpu.stat");
        let cpu = |key| field(cpu.as_deref()?, key);
        let io = text(&self.dir, "io.stat");
        let io = |key| Some(sum(io.as_deref()?, key));
        let events = self.events().read();
        Usage {
            cpu_user_usec: cpu("user_usec"),
            cpu_system_usec: cpu("system_usec"),
            mem_peak: number(&self.dir, "memory.peak"),
            rss_max: None,
            io_read: io("rbytes"),
            io_written: io("wbytes"),
            pids_peak: self.pids_peak(),
            oom_kills: events.oom_kills,
            pids_refused: events.pids_refused,
        }
    }

    /// Opens the counters of its limits, to be read often.
    #[must_use]
    pub fn events(&self) -> Events {
        let open = |name: &str| self.dir.open_for_reading(name).ok();
        Events {
            memory: open("memory.events"),
            pids: open("pids.events"),
            // Linux 6.11 has this file, and counts limits where they are; older ones count a refused fork where it was tried.
            own_limit_only: self
                .dir
                .inode_of("pids.events.local")
                .is_ok_and(|found| found.is_some())
                && !find::counts_forks_locally(),
        }
    }

    /// The limit of memory, in bytes (`memory.max`); none if there is no limit, or no controller.
    #[must_use]
    pub fn memory_max(&self) -> Option<u64> {
        number(&self.dir, "memory.max")
    }

    /// The limit of processes and threads (`pids.max`); none if there is no limit, or no controller.
    #[must_use]
    pub fn pids_max(&self) -> Option<u64> {
        number(&self.dir, "pids.max")
    }

    /// Most processes and threads at once (`pids.peak`, Linux 6.1); none if it is not known. At a limit that is reached it is
    /// that limit.
    #[must_use]
    pub fn pids_peak(&self) -> Option<u64> {
        number(&self.dir, "pids.peak")
    }
}

/// How often limits of a cgroup were hit, those of cgroups below it included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hits {
    /// Times memory ran out at a limit of this cgroup or one below it (`oom` of `memory.events`).
    pub ooms: Option<u64>,
    /// Processes of it that an out-of-memory killer took, whoever was out of memory (`oom_kill`).
    pub oom_kills: Option<u64>,
    /// Forks refused by a limit of processes (`max` of `pids.events`): its own, or one above as well where
    /// [`Events::counts_own_limit_only`] is false.
    pub pids_refused: Option<u64>,
}

/// The open counters of a cgroup's limits.
#[derive(Debug, Default)]
pub struct Events {
    memory: Option<File>,
    pids: Option<File>,
    own_limit_only: bool,
}

impl Events {
    /// Whether the refused forks are those of the cgroup's own limit only (and of cgroups below). Before Linux 6.11, and where
    /// the file system is mounted with `pids_localevents`, those that a limit of a cgroup above refused count as well.
    #[must_use]
    pub fn counts_own_limit_only(&self) -> bool {
        self.own_limit_only
    }

    /// How they stand now. Nothing is known where the controllers are off.
    #[must_use]
    pub fn read(&self) -> Hits {
        let memory = self.memory.as_ref().and_then(from_start);
        let memory = |key| field(memory.as_deref()?, key);
        let pids = self.pids.as_ref().and_then(from_start);
        Hits {
            ooms: memory("oom"),
            oom_kills: memory("oom_kill"),
            pids_refused: pids.and_then(|text| field(&text, "max")),
        }
    }
}

/// The text of an open counter file, which is short.
fn from_start(file: &File) -> Option<String> {
    let mut buffer = [0; 1024];
    let length = file.read_at(&mut buffer, 0).ok()?;
    Some(String::from_utf8_lossy(buffer.get(..length)?).into_owned())
}

fn text(dir: &Dir, name: &str) -> Option<String> {
    let bytes = files::read_at_most(&mut dir.open_for_reading(name).ok()?, MOST_TEXT).ok()?;
    String::from_utf8(bytes).ok()
}

/// The one number in a file; `max` is none.
fn number(dir: &Dir, name: &str) -> Option<u64> {
    text(dir, name)?.trim().parse().ok()
}

/// The number after `key` in a file of `key number` lines.
pub(super) fn field(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The sum over all devices in a file of `major:minor key=number ...` lines. Without any line nothing was read or written.
fn sum(text: &str, key: &str) -> u64 {
    let values = text.split_ascii_whitespace().filter_map(|word| {
        let (name, value) = word.split_once('=')?;
        (name == key).then(|| value.parse::<u64>().ok())?
    });
    values.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_whole_key_only() {
        let text = "oom 1\noom_kill 2\noom_group_kill 0\n";
        assert_eq!(field(text, "oom_kill"), Some(2));
        assert_eq!(field(text, "oom"), Some(1));
        assert_eq!(field(text, "kill"), None);
    }

    #[test]
    fn adds_up_over_devices() {
        let text = "8:0 rbytes=10 wbytes=1 rios=2 dbytes=7\n8:16 rbytes=5 wbytes=2\n253:0 \n";
        assert_eq!((sum(text, "rbytes"), sum(text, "wbytes")), (15, 3));
        assert_eq!(sum("", "rbytes"), 0);
    }

    /// The files of a cgroup as a kernel with all controllers shows them, in a plain directory.
    fn shown(files: &[(&str, &str)]) -> (tempfile::TempDir, Cgroup) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let fd = File::open(dir.path()).unwrap();
        let cgroup = Cgroup::from_owned(fd.into()).unwrap();
        (dir, cgroup)
    }

    #[test]
    fn what_the_files_say_is_what_was_used() {
        let (_dir, cgroup) = shown(&[
            ("cpu.stat", "usage_usec 30\nuser_usec 20\nsystem_usec 10\n"),
            ("memory.peak", "4096\n"),
            ("memory.max", "8192\n"),
            (
                "memory.events",
                "low 0\nhigh 0\nmax 4\noom 2\noom_kill 1\noom_group_kill 0\n",
            ),
            ("io.stat", ""),
            ("pids.peak", "7\n"),
            ("pids.max", "max\n"),
            ("pids.events", "max 3\n"),
        ]);
        let usage = Usage {
            cpu_user_usec: Some(20),
            cpu_system_usec: Some(10),
            mem_peak: Some(4096),
            rss_max: None,
            io_read: Some(0),
            io_written: Some(0),
            pids_peak: Some(7),
            oom_kills: Some(1),
            pids_refused: Some(3),
        };
        assert_eq!(cgroup.usage(), usage);
        assert_eq!((cgroup.memory_max(), cgroup.pids_max()), (Some(8192), None));
        assert_eq!(cgroup.events().read().ooms, Some(2));
    }

    #[test]
    fn without_controllers_nothing_but_cpu_time_is_known() {
        let (_dir, cgroup) = shown(&[("cpu.stat", "usage_usec 3\nuser_usec 2\nsystem_usec 1\n")]);
        let usage = Usage {
            cpu_user_usec: Some(2),
            cpu_system_usec: Some(1),
            ..Usage::UNKNOWN
        };
        assert_eq!(cgroup.usage(), usage);
        assert_eq!(cgroup.events().read(), Hits::default());
        assert_eq!((cgroup.memory_max(), cgroup.pids_max()), (None, None));
    }
}
