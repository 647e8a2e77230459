//! Causes: what brought a step, and with it a run, to a bad end (P19).

use serde::{Deserialize, Serialize};
use std::fmt;

use super::Exit;
use super::outcome::signal_name;

/// Who was out of memory when the kernel's out-of-memory killer struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OomScope {
    /// The attempt: it had reached its own limit.
    Attempt {
        /// That limit (`memory_max`), in bytes, if it could be read.
        limit: Option<u64>,
    },
    /// Not the attempt: the machine, or a cgroup around the attempts.
    Around {},
}

/// Whose the processes were that the out-of-memory killer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OomVictim {
    /// One was the step's own process: SIGKILL ended that, and it ran alone, or as many were taken as processes of steps ran.
    /// That somebody else sent the signal in the same moment is not ruled out; the kernel does not tell whom it took.
    Own {},
    /// They were processes that the step had started: nothing else of the attempt's steps ran meanwhile.
    Below {},
    /// They may have been of this step, or of another one that ran at the same time; the kernel does not tell.
    Unclear {},
}

/// Whose limit of processes it was that a fork was refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PidsScope {
    /// The attempt's own.
    Attempt {
        /// That limit (`pids_max`), if it could be read.
        limit: Option<u64>,
    },
    /// One of a cgroup around the attempt; its own was not reached, or it has none.
    Around {},
    /// The attempt's own or one around it: before Linux 6.11 the kernel counts both as one.
    Unclear {
        /// The attempt's own limit, if it could be read.
        limit: Option<u64>,
    },
}

/// What brought a step to a bad end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its process ended by itself with a code that is no success.
    Exit {
        /// The exit code.
        code: i32,
    },
    /// A signal that Proctor did not send, or that a stop did, killed its process.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether it dumped core.
        core: bool,
    },
    /// The kernel's out-of-memory killer took processes of the attempt while the step's process ran.
    OutOfMemory {
        /// How many it took meanwhile.
        killed: u64,
        /// How many it had taken by then since the attempt began.
        total: u64,
        /// Who was out of memory.
        scope: OomScope,
        /// Whose they were.
        victim: OomVictim,
    },
    /// The kernel refused processes of the attempt a fork while the step's process ran or was being started.
    PidsLimit {
        /// How many forks it refused meanwhile.
        refused: u64,
        /// Whose limit it was.
        scope: PidsScope,
    },
    /// The time limit of the step was over.
    StepTimeout {},
    /// The time limit of the run was over.
    RunTimeout {},
    /// The run was stopped.
    Stopped {},
    /// A step that it depends on did not end well.
    Upstream {},
    /// The attempt was lost.
    Lost {},
}

impl Cause {
    /// One word for it, for scripts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exit { .. } => "exit",
            Self::Signal { .. } => "signal",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::PidsLimit { .. } => "pids_limit",
            Self::StepTimeout {} => "step_timeout",
            Self::RunTimeout {} => "run_timeout",
            Self::Stopped {} => "stopped",
            Self::Upstream {} => "upstream",
            Self::Lost {} => "lost",
        }
    }

    /// A bad end in words: how the process ended, and what the kernel did if that is the cause. Names a signal.
    #[must_use]
    pub fn describe(cause: Option<Self>, exit: Exit) -> String {
        match cause {
            Some(Self::OutOfMemory {
                scope,
                victim: OomVictim::Own {},
                ..
            }) => match scope {
                OomScope::Attempt { .. } => format!("killed by the out-of-memory killer (SIGKILL); {scope}"),
                OomScope::Around {} => format!("killed by the out-of-memory killer (SIGKILL): {scope}"),
            },
            Some(cause @ (Self::OutOfMemory { .. } | Self::PidsLimit { .. })) => format!("{exit}; {cause}"),
            _ => exit.to_string(),
        }
    }
}

impl From<Exit> for Cause {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Code(code) => Self::Exit { code },
            Exit::Signal { signal, core } => Self::Signal { signal, core },
        }
    }
}

/// A number of bytes in the largest binary unit that leaves at least one, with one decimal unless it is whole.
#[must_use]
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 1_u64;
    let mut name = "bytes";
    for next in UNITS {
        match unit.checked_mul(1024) {
            Some(larger) if number >= larger => (unit, name) = (larger, next),
            _ => break,
        }
    }
    let (whole, rest) = (number / unit, number % unit);
    let tenth = u128::from(rest) * 10 / u128::from(unit);
    if tenth == 0 {
        format!("{whole} {name}")
    } else {
        format!("{whole}.{tenth} {name}")
    }
}

impl fmt::Display for OomScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt { limit: Some(limit) } => write!(f, "memory_max is {}", bytes(*limit)),
            Self::Attempt { limit: None } => f.write_str("the attempt had reached its memory_max"),
            Self::Around {} => f.write_str("the machine, or a cgroup around the attempts, was out of memory"),
        }
    }
}

impl fmt::Display for PidsScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt { limit: Some(limit) } => write!(f, ": pids_max is {limit}"),
            Self::Attempt { limit: None } => f.write_str(" (pids_max)"),
            Self::Around {} => f.write_str(": a limit of processes around the attempt was reached"),
            Self::Unclear { limit: Some(limit) } => {
                write!(
                    f,
                    ": for its pids_max, which is {limit}, or for a limit around the attempt"
                )
            }
            Self::Unclear { limit: None } => {
                f.write_str(": for its pids_max or for a limit around the attempt")
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit { code } => write!(f, "exit status {code}"),
            Self::Signal { signal, core } => {
                let dumped = if *core { " (core dumped)" } else { "" };
                write!(f, "killed by {}{dumped}", signal_name(*signal))
            }
            Self::OutOfMemory {
                killed,
                scope,
                victim,
                ..
            } => {
                let what = if *killed == 1 {
                    "1 process".to_owned()
                } else {
                    format!("{killed} processes")
                };
                let whose = match victim {
                    OomVictim::Unclear {} => ", of this step or of another one that ran",
                    OomVictim::Own {} | OomVictim::Below {} => "",
                };
                write!(
                    f,
                    "the out-of-memory killer took {what} of the attempt meanwhile{whose}: {scope}"
                )
            }
            Self::PidsLimit { refused, scope } => {
                if *refused == 1 {
                    f.write_str("a fork of the attempt was refused meanwhile")?;
                } else {
                    write!(f, "{refused} forks of the attempt were refused meanwhile")?;
                }
                scope.fmt(f)
            }
            Self::StepTimeout {} => f.write_str("the time limit of the step was over"),
            Self::RunTimeout {} => f.write_str("the time limit of the run was over"),
            Self::Stopped {} => f.write_str("the run was stopped"),
            Self::Upstream {} => f.write_str("a step that it depends on did not end well"),
            Self::Lost {} => f.write_str("the attempt was lost"),
        }
    }
}

/// What brought a run to a bad end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCause {
    /// Name of the step or handler that failed first; none if it was no step.
    pub step: Option<String>,
    /// What it was.
    pub cause: Cause,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_the_largest_unit() {
        for (number, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (512 << 20, "512 MiB"),
            ((1 << 30) - 1, "1023.9 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn ends_in_words_name_what_the_kernel_did() {
        let kill = Exit::Signal {
            signal: 9,
            core: false,
        };
        let oom = |scope, victim| {
            Some(Cause::OutOfMemory {
                killed: 1,
                total: 3,
                scope,
                victim,
            })
        };
        let (taken, below) = (OomVictim::Own {}, OomVictim::Below {});
        let own = OomScope::Attempt {
            limit: Some(512 << 20),
        };
        assert_eq!(
            Cause::describe(oom(own, taken), kill),
            "killed by the out-of-memory killer (SIGKILL); memory_max is 512 MiB"
        );
        assert_eq!(
            Cause::describe(oom(OomScope::Around {}, taken), kill),
            "killed by the out-of-memory killer (SIGKILL): the machine, or a cgroup around the attempts, was out of memory"
        );
        assert_eq!(
            Cause::describe(oom(own, below), Exit::Code(137)),
            "exit status 137; the out-of-memory killer took 1 process of the attempt meanwhile: memory_max is 512 MiB"
        );
        assert_eq!(
            Cause::describe(oom(own, OomVictim::Unclear {}), kill),
            "killed by SIGKILL; the out-of-memory killer took 1 process of the attempt meanwhile, of this step or of another \
             one that ran: memory_max is 512 MiB"
        );
        let refused = |scope| Cause::describe(Some(Cause::PidsLimit { refused: 3, scope }), Exit::Code(2));
        assert_eq!(
            refused(PidsScope::Attempt { limit: Some(8) }),
            "exit status 2; 3 forks of the attempt were refused meanwhile: pids_max is 8"
        );
        assert_eq!(
            refused(PidsScope::Unclear { limit: Some(8) }),
            "exit status 2; 3 forks of the attempt were refused meanwhile: for its pids_max, which is 8, or for a limit around \
             the attempt"
        );
        assert_eq!(
            refused(PidsScope::Around {}),
            "exit status 2; 3 forks of the attempt were refused meanwhile: a limit of processes around the attempt was reached"
        );
        assert_eq!(Cause::describe(None, kill), "killed by SIGKILL");
        let segv = Exit::Signal {
            signal: 11,
            core: true,
        };
        assert_eq!(Cause::describe(None, segv), "killed by SIGSEGV (core dumped)");
        // What Proctor did itself is told elsewhere.
        assert_eq!(
            Cause::describe(Some(Cause::StepTimeout {}), kill),
            "killed by SIGKILL"
        );
    }
}
