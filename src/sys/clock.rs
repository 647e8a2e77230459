//! The only reader of clocks in the program.

use nix::time::ClockId;

fn micros(clock: ClockId) -> i64 {
    // clock_gettime(2) fails only for a clock the kernel does not have; both of ours are older than any
    // kernel this program can start on.
    clock.now().map_or(0, |time| {
        time.tv_sec()
            .saturating_mul(1_000_000)
            .saturating_add(time.tv_nsec() / 1_000)
    })
}

/// Wall-clock time: microseconds since the Unix epoch (`CLOCK_REALTIME`). It can jump both ways.
#[must_use]
pub fn wall_micros() -> i64 {
    micros(ClockId::CLOCK_REALTIME)
}

/// Microseconds since boot, time in suspend included (`CLOCK_BOOTTIME`). It never goes backwards.
#[must_use]
pub fn boot_micros() -> u64 {
    u64::try_from(micros(ClockId::CLOCK_BOOTTIME)).unwrap_or(0)
}
