//! What everything below a cgroup uses together, what is gone included.

use super::CgroupRoot;
use super::stats::field;
use crate::sys::files;

/// Use of resources by all cgroups below one. A field is `None` where the kernel or the controllers do not offer it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubtreeUsage {
    /// CPU time in microseconds, of what has ended too (`cpu.stat`; there also without the controller).
    pub cpu_usec: Option<u64>,
    /// Memory in use now, in bytes (`memory.current`).
    pub memory: Option<u64>,
    /// Processes and threads now (`pids.current`).
    pub pids: Option<u64>,
    /// Processes killed by the OOM killer (`memory.events`).
    pub oom_kills: Option<u64>,
}

impl CgroupRoot {
    /// What everything below it uses. It costs as much for a thousand cgroups as for one: the kernel adds up.
    #[must_use]
    pub fn usage(&self) -> SubtreeUsage {
        let text = |name: &str| {
            let bytes = files::read_at_most(&mut self.dir.open_for_reading(name).ok()?, 64 * 1024).ok()?;
            String::from_utf8(bytes).ok()
        };
        let of = |name: &str, key: &str| field(&text(name)?, key);
        let number = |name: &str| text(name)?.trim().parse().ok();
        SubtreeUsage {
            cpu_usec: of("cpu.stat", "usage_usec"),
            memory: number("memory.current"),
            pids: number("pids.current"),
            oom_kills: of("memory.events", "oom_kill"),
        }
    }
}
