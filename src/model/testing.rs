//! For tests that bound a cost: time of the CPU, which does not depend on what else the machine does.

use std::time::Duration;

/// Since when the CPU time of this thread is counted.
#[derive(Debug)]
pub(crate) struct CpuTime(Duration);

impl CpuTime {
    pub(crate) fn start() -> Self {
        Self(of_this_thread())
    }

    /// What this thread has had of the CPU since then.
    pub(crate) fn spent(&self) -> Duration {
        of_this_thread().saturating_sub(self.0)
    }
}

/// The first number of `schedstat` is the time on the CPU in nanoseconds (Documentation/scheduler/sched-stats.rst).
fn of_this_thread() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel keeps this file");
    let first = text.split_ascii_whitespace().next();
    Duration::from_nanos(first.and_then(|text| text.parse().ok()).expect("a number"))
}

#[test]
fn only_work_counts() {
    let begun = CpuTime::start();
    let mut sum = 0_u64;
    while begun.spent() < Duration::from_millis(20) {
        sum = std::hint::black_box(sum.wrapping_add(1));
    }
    assert!(sum > 0);
}
