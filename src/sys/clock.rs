//! The only reader of clocks in the program.

use nix::time::ClockId;

/// Seconds by which debug builds shift the wall clock of daemon, shims and client: a test cannot wait for days, nor
/// set the clock of the machine. Release builds do not know it.
#[cfg(debug_assertions)]
pub const SHIFT_VARIABLE: &str = "PROCTOR_TEST_CLOCK_SHIFT_SEC";

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
    micros(ClockId::CLOCK_REALTIME).saturating_add(shift_micros())
}

/// Microseconds since boot, time in suspend included (`CLOCK_BOOTTIME`). It never goes backwards.
#[must_use]
pub fn boot_micros() -> u64 {
    u64::try_from(micros(ClockId::CLOCK_BOOTTIME)).unwrap_or(0)
}

/// What a process that is started has to be given in its environment, so that it has the same time.
#[must_use]
pub fn variables() -> Vec<(&'static str, String)> {
    #[cfg(debug_assertions)]
    if let Ok(shift) = std::env::var(SHIFT_VARIABLE) {
        return vec![(SHIFT_VARIABLE, shift)];
    }
    Vec::new()
}

#[cfg(debug_assertions)]
fn shift_micros() -> i64 {
    static SHIFT: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    *SHIFT.get_or_init(|| {
        let shift = std::env::var(SHIFT_VARIABLE).ok();
        let seconds: i64 = shift.and_then(|text| text.parse().ok()).unwrap_or(0);
        seconds.saturating_mul(1_000_000)
    })
}

#[cfg(not(debug_assertions))]
const fn shift_micros() -> i64 {
    0
}
