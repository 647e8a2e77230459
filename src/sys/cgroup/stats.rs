//! What a cgroup used in its life.

use crate::sys::files::{self, Dir};

/// Use of resources. A field is `None` where the kernel or the controllers do not offer it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CgroupStats {
    /// CPU time in microseconds (`cpu.stat`; there also without the controller).
    pub cpu_usec: Option<u64>,
    /// Most memory used at once, in bytes (`memory.peak`, Linux 5.19).
    pub mem_peak: Option<u64>,
    /// Processes killed by the OOM killer (`memory.events`).
    pub mem_oom_kill: Option<u64>,
    /// Most processes and threads at once (`pids.peak`, Linux 6.12).
    pub pids_peak: Option<u64>,
    /// Times a fork was refused by the limit (`pids.events`).
    pub pids_max_events: Option<u64>,
}

impl CgroupStats {
    pub(super) fn read(dir: &Dir) -> Self {
        let text = |name: &str| {
            let bytes = files::read_at_most(&mut dir.open_for_reading(name).ok()?, 64 * 1024).ok()?;
            String::from_utf8(bytes).ok()
        };
        let of = |name: &str, key: &str| field(&text(name)?, key);
        let number = |name: &str| text(name)?.trim().parse().ok();
        Self {
            cpu_usec: of("cpu.stat", "usage_usec"),
            mem_peak: number("memory.peak"),
            mem_oom_kill: of("memory.events", "oom_kill"),
            pids_peak: number("pids.peak"),
            pids_max_events: of("pids.events", "max"),
        }
    }
}

/// The number after `key` in a file of `key number` lines.
pub(super) fn field(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn finds_the_whole_key_only() {
        let text = "oom 1\noom_kill 2\noom_group_kill 0\n";
        assert_eq!(field(text, "oom_kill"), Some(2));
        assert_eq!(field(text, "oom"), Some(1));
        assert_eq!(field(text, "kill"), None);
    }
}
