//! The judgement on an attempt, from all witnesses at once (DESIGN §3).

use super::entry::LockState;

/// What is known of the shim through a pidfd whose identity was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShimState {
    /// The pidfd says that it has not exited.
    Alive,
    /// The pidfd says that it has exited, or the identity that is now behind the number is another.
    Dead,
    /// There is no pidfd, or the identity could not be verified.
    Unknown,
}

/// What the heartbeat says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Heartbeat {
    /// Younger than the limit.
    Fresh,
    /// As old as the limit, or older.
    Stale,
    /// It cannot be read.
    Unreadable,
}

/// Who wrote the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Writer {
    /// Proctor: it took the lock before the shim existed.
    Own,
    /// A version-1 or legacy writer, which knows no lock.
    Foreign,
}

/// All that is known at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// The lock on the entry. [`LockState::Unknown`] also when there is no entry to ask.
    pub lock: LockState,
    /// The shim's process.
    pub shim: ShimState,
    /// The heartbeat.
    pub heartbeat: Heartbeat,
    /// Who wrote the entry.
    pub writer: Writer,
}

/// The judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It exists and beats.
    Alive,
    /// It exists, and no beat is heard of it.
    Stalled,
    /// It does not exist any more.
    Dead,
    /// The evidence does not decide: never kill and never start again on this.
    Unknown,
}

impl Verdict {
    /// Whether the attempt takes up a slot of its group: everything that is not certainly dead does.
    #[must_use]
    pub const fn occupies(self) -> bool {
        !matches!(self, Self::Dead)
    }
}

/// Judges. Total over all evidence; a test lists every combination.
///
/// Existence comes first: an exited shim is dead whatever else is said, and so is one whose lock is free while
/// its process is not known, for the lock was taken before it began and ends with it. A living process and a
/// free lock contradict each other, so nothing is decided. Only when existence is certain does the heartbeat
/// tell alive from stalled; silence alone is never dead (P14). A foreign entry has no other witness than its
/// heartbeat.
#[must_use]
pub const fn verdict(evidence: &Evidence) -> Verdict {
    match evidence.writer {
        Writer::Foreign => match evidence.heartbeat {
            Heartbeat::Fresh => Verdict::Alive,
            Heartbeat::Stale => Verdict::Dead,
            Heartbeat::Unreadable => Verdict::Unknown,
        },
        Writer::Own => match (evidence.shim, evidence.lock) {
            (ShimState::Dead, _) | (ShimState::Unknown, LockState::Free) => Verdict::Dead,
            (ShimState::Alive, LockState::Free) | (ShimState::Unknown, LockState::Unknown) => {
                Verdict::Unknown
            }
            (ShimState::Alive, LockState::Held | LockState::Unknown)
            | (ShimState::Unknown, LockState::Held) => match evidence.heartbeat {
                Heartbeat::Fresh => Verdict::Alive,
                Heartbeat::Stale | Heartbeat::Unreadable => Verdict::Stalled,
            },
        },
    }
}
