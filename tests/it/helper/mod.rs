//! What the tests stand on: a private daemon in a directory of its own, its client, and the look at what is left.

mod daemon;
mod left;
mod program;
mod wire;

pub(crate) use daemon::{Daemon, text_of};
pub(crate) use left::{alive, break_lines, environ_has, processes_below};
pub(crate) use program::{Out, Running, proctord, program};
pub(crate) use wire::{Control, Status};

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proctor::sys::pidfd::PidFd;

/// How long anything may take before a test fails. Far more than anything needs on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer; fails at the deadline.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        pause(15);
    }
}

/// Lets time pass: between two looks at what cannot be waited for, or because the passing of time is the point.
#[expect(
    clippy::disallowed_methods,
    reason = "no event tells of what these tests wait for"
)]
pub(crate) fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Sends a signal to one process.
pub(crate) fn signal(pid: u32, number: i32) {
    PidFd::open(pid).unwrap().send_signal(number).unwrap();
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    proctor::sys::creds::effective_uid() == 0
}

/// Whether this process has a capability of this number (capabilities(7)) over the whole machine: root of a user namespace or
/// of a container may lack it.
pub(crate) fn has_capability(number: u32) -> bool {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap();
    let status = read("status");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = u64::from_str_radix(effective.unwrap().trim(), 16).unwrap();
    effective & (1 << number) != 0 && read("uid_map").split_whitespace().eq(["0", "0", "4294967295"])
}

/// Says why a test proves nothing here.
pub(crate) fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

/// The text of a file, empty if there is none.
pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The number of lines of a file.
pub(crate) fn lines(path: &Path) -> usize {
    read(path).lines().count()
}

/// Every file below a directory.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else {
        return found;
    };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            _ => found.push(entry.path()),
        }
    }
    found
}

/// Small random numbers; the seed is printed and `PROCTOR_IT_SEED` replays it.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new() -> Self {
        let given = std::env::var("PROCTOR_IT_SEED").ok();
        let seed = given
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(proctor::sys::clock::boot_micros);
        eprintln!("PROCTOR_IT_SEED={seed}");
        Self(seed | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
