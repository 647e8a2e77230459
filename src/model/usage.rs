//! What an attempt used: CPU time, memory, IO, processes.

use serde::{Deserialize, Serialize};

/// Use of resources by an attempt, its supervisor included where the numbers are those of its cgroup.
///
/// A field is `None` where nobody could tell: the controller is off for attempts, the kernel is too old, or the numbers went
/// with the machine. That is never shown as 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in user mode, in microseconds.
    pub cpu_user_usec: Option<u64>,
    /// CPU time in the kernel, in microseconds.
    pub cpu_system_usec: Option<u64>,
    /// Most memory used at once, in bytes (`memory.peak`, Linux 5.19 and later).
    pub mem_peak: Option<u64>,
    /// Largest resident set of one process, in bytes (`ru_maxrss`). Known without a controller; no sum.
    pub rss_max: Option<u64>,
    /// Bytes read from block devices.
    pub io_read: Option<u64>,
    /// Bytes written to block devices.
    pub io_written: Option<u64>,
    /// Most processes and threads at once (`pids.peak`, Linux 6.1 and later).
    pub pids_peak: Option<u64>,
    /// Processes killed by the kernel's out-of-memory killer.
    pub oom_kills: Option<u64>,
    /// Forks refused by the limit of processes.
    pub pids_refused: Option<u64>,
}

impl Usage {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        cpu_user_usec: None,
        cpu_system_usec: None,
        mem_peak: None,
        rss_max: None,
        io_read: None,
        io_written: None,
        pids_peak: None,
        oom_kills: None,
        pids_refused: None,
    };

    /// Whether anything is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        *self != Self::UNKNOWN
    }

    /// Both kinds of CPU time together, in microseconds.
    #[must_use]
    pub fn cpu_usec(&self) -> Option<u64> {
        Some(self.cpu_user_usec?.saturating_add(self.cpu_system_usec?))
    }

    /// What is known here, and of the rest what `other` knows. The two kinds of a pair come from the same source: a sum of
    /// numbers that were counted in different ways would be wrong.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let cpu = if self.cpu_usec().is_some() { self } else { other };
        let io = if self.io_read.is_some() && self.io_written.is_some() {
            self
        } else {
            other
        };
        Self {
            cpu_user_usec: cpu.cpu_user_usec,
            cpu_system_usec: cpu.cpu_system_usec,
            mem_peak: self.mem_peak.or(other.mem_peak),
            rss_max: self.rss_max.or(other.rss_max),
            io_read: io.io_read,
            io_written: io.io_written,
            pids_peak: self.pids_peak.or(other.pids_peak),
            oom_kills: self.oom_kills.or(other.oom_kills),
            pids_refused: self.pids_refused.or(other.pids_refused),
        }
    }

    /// Adds what another attempt used: sums of what adds up, the larger one of what was a highest value. What is not known of
    /// one counts nothing.
    pub fn add(&mut self, other: &Self) {
        let sum = |into: &mut Option<u64>, value: Option<u64>| {
            *into = match (*into, value) {
                (Some(a), Some(b)) => Some(a.saturating_add(b)),
                (a, b) => a.or(b),
            };
        };
        sum(&mut self.cpu_user_usec, other.cpu_user_usec);
        sum(&mut self.cpu_system_usec, other.cpu_system_usec);
        sum(&mut self.io_read, other.io_read);
        sum(&mut self.io_written, other.io_written);
        sum(&mut self.oom_kills, other.oom_kills);
        sum(&mut self.pids_refused, other.pids_refused);
        // A value that is there is more than none.
        self.mem_peak = self.mem_peak.max(other.mem_peak);
        self.rss_max = self.rss_max.max(other.rss_max);
        self.pids_peak = self.pids_peak.max(other.pids_peak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_source_does_not_know_the_other_tells_and_pairs_stay_together() {
        let cgroup = Usage {
            cpu_user_usec: Some(5),
            mem_peak: Some(100),
            io_read: Some(1),
            io_written: Some(2),
            ..Usage::UNKNOWN
        };
        let children = Usage {
            cpu_user_usec: Some(3),
            cpu_system_usec: Some(4),
            rss_max: Some(50),
            io_read: Some(10),
            io_written: Some(20),
            ..Usage::UNKNOWN
        };
        let both = cgroup.or(children);
        assert_eq!(
            both,
            Usage {
                cpu_user_usec: Some(3),
                cpu_system_usec: Some(4),
                mem_peak: Some(100),
                rss_max: Some(50),
                io_read: Some(1),
                io_written: Some(2),
                ..Usage::UNKNOWN
            }
        );
        assert_eq!(both.cpu_usec(), Some(7));
        assert_eq!(cgroup.cpu_usec(), None);
        assert!(!Usage::default().is_known() && both.is_known());
    }

    #[test]
    fn sums_leave_out_what_is_not_known() {
        let mut sum = Usage::UNKNOWN;
        sum.add(&Usage::UNKNOWN);
        assert!(!sum.is_known());
        for (cpu, peak) in [(Some(1), None), (None, Some(9)), (Some(2), Some(7))] {
            sum.add(&Usage {
                cpu_user_usec: cpu,
                mem_peak: peak,
                ..Usage::UNKNOWN
            });
        }
        assert_eq!((sum.cpu_user_usec, sum.mem_peak), (Some(3), Some(9)));
    }
}
