//! What the tests of this module share: shell children with pipes, waiting with a limit, a place for cgroups.

use super::cgroup::CgroupRoot;
use super::pidfd::PidFd;
use super::spawn::{Spawn, Spawned};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, pipe};
use std::os::fd::AsFd;

/// A shell that runs a script, with its input and output.
pub(super) struct Shell {
    pub(super) child: Spawned,
    pub(super) input: Option<PipeWriter>,
    pub(super) output: BufReader<PipeReader>,
}

impl Shell {
    pub(super) fn run(script: &str) -> Self {
        Self::run_with(script, |_| {})
    }

    pub(super) fn run_with<'a>(script: &str, change: impl FnOnce(&mut Spawn<'a>)) -> Self {
        let (their_input, input) = pipe().unwrap();
        let (output, their_output) = pipe().unwrap();
        let child = {
            let mut spawn = Spawn::new("/bin/sh");
            change(&mut spawn);
            let spawn = Spawn {
                argv: ["sh", "-c", script].map(Into::into).to_vec(),
                env: vec![("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into())],
                stdin: Some(their_input.as_fd()),
                stdout: Some(their_output.as_fd()),
                stderr: Some(their_output.as_fd()),
                ..spawn
            };
            spawn.spawn().unwrap()
        };
        Self {
            child,
            input: Some(input),
            output: BufReader::new(output),
        }
    }

    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(super) fn close_input(&mut self) {
        self.input = None;
    }
}

/// Waits until the process has ended, ten seconds at most.
pub(super) fn await_exit(process: &PidFd) {
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    let ready = nix::poll::poll(&mut fds, PollTimeout::from(10_000u16)).unwrap();
    assert_eq!(ready, 1, "the process did not end in time");
}

/// A place for cgroups, or nothing and a printed reason.
pub(crate) fn cgroups() -> Option<CgroupRoot> {
    CgroupRoot::detect(None)
        .map_err(|error| println!("skipped: {error}"))
        .ok()
}

/// Whether the test runs as root; prints that it is skipped otherwise.
pub(super) fn is_root() -> bool {
    let root = super::creds::effective_uid() == 0;
    if !root {
        println!("skipped: needs root");
    }
    root
}

/// Waits, ten seconds at most, for something that another test's child can delay: between clone and exec it
/// has a copy of every descriptor of this process.
pub(super) fn eventually(condition: impl Fn() -> bool) -> bool {
    let limit = super::clock::boot_micros() + 10_000_000;
    while super::clock::boot_micros() < limit {
        if condition() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}
