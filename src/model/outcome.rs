//! How processes and attempts end.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a process ended. Code and signal are kept apart; there is no 128+n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// A signal killed it.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether it dumped core.
        core: bool,
    },
}

impl Exit {
    /// Whether it is exit code 0.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Code(0))
    }

    /// The number that answers show as `exit_code`: the code, or -1 for death by a signal (seed-spec 7.8).
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal { .. } => -1,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::Cause::from(*self).fmt(f)
    }
}

/// What stands in the error of a step between how its process ended and the end of what that wrote to standard error.
pub const STDERR_MARK: &str = "\nstderr (end):\n";

/// Why an attempt is lost: it died without a final record. The texts are what people see behind `lost: `.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostCause {
    /// The supervisor (the shim) was killed by this signal.
    SupervisorSignal(i32),
    /// The supervisor exited with this code and left no final record.
    SupervisorExit(i32),
    /// The supervisor died and nobody could see how.
    SupervisorGone,
    /// The kernel's out-of-memory killer took the supervisor.
    OutOfMemory,
    /// The machine went down while the attempt was live: the boot id changed.
    Reboot,
    /// The journal cannot be read, so nothing is known of the end.
    JournalDamaged(String),
}

impl fmt::Display for LostCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SupervisorSignal(signal) => {
                write!(f, "supervisor killed by {}", signal_name(*signal))
            }
            Self::SupervisorExit(code) => {
                write!(f, "supervisor exited with code {code} and no final record")
            }
            Self::SupervisorGone => f.write_str("supervisor died and its exit status is not known"),
            Self::OutOfMemory => f.write_str("supervisor killed by the out-of-memory killer"),
            Self::Reboot => f.write_str("the machine was restarted while the attempt ran"),
            Self::JournalDamaged(why) => write!(f, "the journal is damaged: {why}"),
        }
    }
}

/// The name of a signal as `kill -l` has it, with `SIG` in front (Linux numbers of x86, Arm and RISC-V).
#[must_use]
pub fn signal_name(signal: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    match usize::try_from(signal)
        .ok()
        .and_then(|n| n.checked_sub(1))
        .and_then(|n| NAMES.get(n))
    {
        Some(name) => format!("SIG{name}"),
        None if (34..=64).contains(&signal) => format!("SIGRTMIN+{}", signal - 34),
        None => format!("signal {signal}"),
    }
}

/// The number of a signal from its name, with or without `SIG`, in any case; `None` if there is no such signal.
#[must_use]
pub fn signal_number(name: &str) -> Option<i32> {
    let upper = name.to_ascii_uppercase();
    let plain = upper.strip_prefix("SIG").unwrap_or(&upper);
    (1..=64).find(|n| signal_name(*n).strip_prefix("SIG") == Some(plain))
}
