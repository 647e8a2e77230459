//! What this process uses of the machine.

use std::fs;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::creds::{self, Limit};

/// Use of resources by this process. A field is `None` where the kernel does not tell it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// CPU time of all its threads, in microseconds.
    pub cpu_usec: Option<u64>,
    /// Memory that is resident, in bytes.
    pub resident: Option<u64>,
    /// Size of its address space, in bytes.
    pub virtual_size: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Open descriptors.
    pub open_files: Option<u64>,
    /// Most descriptors that it may have open.
    pub open_files_max: Option<u64>,
}

impl ProcessUsage {
    /// As it is now.
    #[must_use]
    pub fn now() -> Self {
        let cpu = getrusage(UsageWho::RUSAGE_SELF).ok().map(|usage| {
            let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
            u64::try_from(micros).unwrap_or(0)
        });
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |key: &str| number_after(&status, key);
        let bytes = |key: &str| number(key).map(|kilobytes| kilobytes.saturating_mul(1024));
        // The descriptor of the directory itself is open while it is read.
        let open_files = fs::read_dir("/proc/self/fd")
            .ok()
            .map(|fds| u64::try_from(fds.count().saturating_sub(1)).unwrap_or(u64::MAX));
        Self {
            cpu_usec: cpu,
            resident: bytes("VmRSS:"),
            virtual_size: bytes("VmSize:"),
            threads: number("Threads:"),
            open_files,
            open_files_max: creds::get_rlimit(Limit::OpenFiles).ok().map(|(soft, _)| soft),
        }
    }
}

/// The number behind a key of `/proc/self/status`.
fn number_after(status: &str, key: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_uses() {
        let before = ProcessUsage::now();
        let file = fs::File::open("/proc/self/status").unwrap();
        let memory = vec![1_u8; 64 * 1024 * 1024];
        let after = ProcessUsage::now();
        assert!(before.cpu_usec.is_some() && after.cpu_usec >= before.cpu_usec);
        assert!(after.virtual_size >= before.virtual_size);
        assert!(after.resident.unwrap() >= 64 * 1024 * 1024, "{after:?}");
        assert!(after.threads.unwrap() >= 1);
        assert!(after.open_files.unwrap() >= 1 && after.open_files <= after.open_files_max);
        drop((file, memory));
    }

    #[test]
    fn a_key_is_found_as_a_whole() {
        let status = "VmPeak:\t  9 kB\nVmSize:\t   12 kB\nThreads:\t3\n";
        assert_eq!(number_after(status, "VmSize:"), Some(12));
        assert_eq!(number_after(status, "Threads:"), Some(3));
        assert_eq!(number_after(status, "VmRSS:"), None);
    }
}
