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

/// Ticks of 10 ms in user and in kernel mode: fields 14 and 15 of `stat` (proc_pid_stat(5)), the third being the first
/// behind the name. Every kernel counts them; `schedstat`, which is finer, may be switched off and then stands still.
fn of_this_thread() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/stat").expect("a process has this file");
    let (_, fields) = text.rsplit_once(')').expect("the name is in parentheses");
    let ticks = |text: &str| text.parse::<u64>().expect("a number of ticks");
    let spent: u64 = fields.split_ascii_whitespace().skip(11).take(2).map(ticks).sum();
    Duration::from_millis(spent * 10)
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
