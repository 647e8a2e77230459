//! An attempt in the daemon's memory.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use super::outbox::Outbox;
use crate::engine::scheduler::stalled::Stage;
use crate::journal::Reader as JournalReader;
use crate::model::{RunRef, Time, Usage};
use crate::proc::{Entry, Prepared};
use crate::sys::cgroup::Cgroup;
use crate::sys::pidfd::{PidFd, WaitStatus};

/// An attempt from its intent to its clean-up.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) run: RunRef,
    pub(super) number: u32,
    pub(super) intended_at: Time,
    /// The entry before its publication.
    pub(super) prepared: Option<Prepared>,
    /// The entry once it is published.
    pub(super) entry: Option<Entry>,
    pub(super) pid: u32,
    pub(super) pidfd: Option<PidFd>,
    /// Whether that is the shim's for certain. One that may be another process is watched, and never signalled.
    pub(super) proven: bool,
    /// The name under which the service manager has a copy of that.
    pub(super) kept: Option<String>,
    /// Whether the log has its end.
    pub(super) end_told: bool,
    pub(super) channel: Option<Arc<OwnedFd>>,
    /// What its channel has not taken yet.
    pub(super) outbox: Outbox,
    pub(super) journal: Option<JournalReader>,
    pub(super) cgroup: Option<Cgroup>,
    /// What it has used, once nothing of it lives and until the store has it.
    pub(super) used: Option<Usage>,
    /// Whether the store has what its supervisor has told of that.
    pub(super) use_told: bool,
    /// The shim is dead; how, if it is known.
    pub(super) exit: Option<Option<WaitStatus>>,
    /// Why the journal cannot be read on.
    pub(super) damaged: Option<String>,
    /// Why the shim says that it cannot run.
    pub(super) refusal: Option<String>,
    /// The channel that is listened to.
    pub(super) heard: Option<Weak<OwnedFd>>,
    /// Its tree has ended, and what is left in its channel is waited for.
    pub(super) last_word: bool,
    /// The end of its tree is being awaited.
    pub(super) ending: bool,
    /// Its shim was told to stop.
    pub(super) stop_sent: bool,
    /// Its shim is being connected to; then it is told of a stop.
    pub(super) reaching: bool,
    /// Its caller wants it killed, which its shim is to be told then.
    pub(super) kill_owed: bool,
    /// Its journal is read on as soon as others have had their turn.
    pub(super) reads_on: bool,
    /// It never started, and of what was made for it only its directory is left.
    pub(super) swept: bool,
    /// What is known of its silence.
    pub(super) stage: Stage,
    /// How many denials its supervisor has told.
    pub(super) denials: u32,
    /// Whether its supervisor has told how much of its steps' output the system's journal did not take.
    pub(super) loss_told: bool,
}

/// Most bytes of output, lost to the system's journal, that are counted of one attempt: 1 TiB. It is far more than a journal is
/// given, and the sum over all attempts stays a number that says something.
const LOSS_MAX: u64 = 1 << 40;

impl Attempt {
    pub(super) fn new(run: RunRef, number: u32, intended_at: Time) -> Self {
        Self {
            run,
            number,
            intended_at,
            prepared: None,
            entry: None,
            pid: 0,
            pidfd: None,
            proven: false,
            kept: None,
            end_told: false,
            channel: None,
            outbox: Outbox::default(),
            journal: None,
            cgroup: None,
            used: None,
            use_told: false,
            exit: None,
            damaged: None,
            refusal: None,
            heard: None,
            last_word: false,
            ending: false,
            stop_sent: false,
            reaching: false,
            kill_owed: false,
            reads_on: false,
            swept: false,
            stage: Stage::default(),
            denials: 0,
            loss_told: false,
        }
    }

    /// What counts of the bytes that its supervisor says the system's journal has not taken. That belongs to the job's user: it
    /// is heard once, and believed up to a limit.
    pub(super) fn output_lost(&mut self, bytes: u64) -> u64 {
        if std::mem::replace(&mut self.loss_told, true) {
            return 0;
        }
        bytes.min(LOSS_MAX)
    }

    /// Whether more may come from its channel.
    pub(super) const fn is_heard(&self) -> bool {
        self.heard.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DagName, RunId};

    #[test]
    fn what_a_supervisor_says_of_lost_output_counts_once_and_within_bounds() {
        let attempt = || {
            let run = RunRef {
                dag: DagName::new("d").unwrap(),
                id: RunId::new("r").unwrap(),
            };
            Attempt::new(run, 1, Time(0))
        };
        let mut honest = attempt();
        assert_eq!(honest.output_lost(4096), 4096);
        assert_eq!(honest.output_lost(4096), 0);
        let mut forged = attempt();
        assert_eq!(forged.output_lost(u64::MAX), 1 << 40);
        assert_eq!(forged.output_lost(u64::MAX), 0);
    }
}
