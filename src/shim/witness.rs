//! What the kernel does to the attempt beside what it does for everybody: processes that its out-of-memory killer takes, forks
//! that it refuses. Both are counted in the attempt's cgroup; here the counts are compared before and after a process of a step.
//!
//! A count is raised before the process that it is about dies, so what is read once that has ended is complete. Which of several
//! steps a process belonged to that is no step's own cannot be told, and so is not said.

use std::collections::BTreeMap;

use crate::model::{Cause, Exit, OomScope, Usage};
use crate::sys::cgroup::{Cgroup, Events, Hits};
use crate::sys::reap;

/// Number of SIGKILL, the one signal that the out-of-memory killer sends.
const KILL: i32 = 9;

/// What is known of the attempt's limits.
#[derive(Debug, Default)]
pub(super) struct Witness {
    cgroup: Option<Cgroup>,
    events: Events,
    /// How the counts stood when a process was started.
    before: BTreeMap<u32, Hits>,
    /// How many processes the out-of-memory killer had taken when that was told last.
    told: u64,
}

impl Witness {
    /// Without a cgroup nothing of it is known.
    pub(super) fn new(cgroup: Option<Cgroup>) -> Self {
        Self {
            events: cgroup.as_ref().map(Cgroup::events).unwrap_or_default(),
            cgroup,
            ..Self::default()
        }
    }

    /// How the counts stand.
    pub(super) fn look(&self) -> Hits {
        self.events.read()
    }

    /// A process was started after a look.
    pub(super) fn started(&mut self, pid: u32, before: Hits) {
        self.before.insert(pid, before);
    }

    /// A process has ended, `asked` to do so by a signal of the shim or not: what the kernel did meanwhile that may be why.
    pub(super) fn ended(&mut self, pid: u32, exit: Exit, asked: bool) -> Option<Cause> {
        let before = self.before.remove(&pid)?;
        let now = self.look();
        let taken = matches!(exit, Exit::Signal { signal: KILL, .. }) && !asked;
        if let Some(total) = now.oom_kills {
            let killed = total.saturating_sub(before.oom_kills.unwrap_or(0));
            // One that was taken itself is told in any case; that another one was, once.
            if killed > 0 && (taken || total > self.told) {
                self.told = total;
                let scope = self.scope(before, now);
                return Some(Cause::OutOfMemory { killed, total, scope });
            }
        }
        if exit.is_success() {
            return None;
        }
        self.refused(before, now)
    }

    /// A process could not be started after a look: whether that was for the attempt's limit of processes.
    pub(super) fn refused_since(&self, before: Hits) -> Option<Cause> {
        self.refused(before, self.look())
    }

    fn refused(&self, before: Hits, now: Hits) -> Option<Cause> {
        let refused = now.pids_refused?.saturating_sub(before.pids_refused.unwrap_or(0));
        (refused > 0).then(|| Cause::PidsLimit {
            refused,
            limit: self.cgroup.as_ref().and_then(Cgroup::pids_max),
        })
    }

    /// Who was out of memory: a limit of the attempt's own counts as such there, one of anybody else's does not.
    fn scope(&self, before: Hits, now: Hits) -> OomScope {
        if now.ooms > before.ooms {
            OomScope::Attempt {
                limit: self.cgroup.as_ref().and_then(Cgroup::memory_max),
            }
        } else {
            OomScope::Around {}
        }
    }

    /// What the attempt has used, now that nothing of its steps lives: as its cgroup counted it, else as its reaped processes
    /// did.
    pub(super) fn usage(&self) -> Usage {
        let counted = self.cgroup.as_ref().map_or(Usage::UNKNOWN, Cgroup::usage);
        counted.or(reap::children_usage())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: Exit = Exit::Signal {
        signal: KILL,
        core: false,
    };

    /// A cgroup whose files a test writes.
    struct Played {
        dir: tempfile::TempDir,
        witness: Witness,
    }

    impl Played {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let mut played = Self {
                dir,
                witness: Witness::default(),
            };
            played.set(0, 0, 0);
            played.write("memory.max", "1048576\n");
            played.write("pids.max", "16\n");
            let fd = std::fs::File::open(played.dir.path()).unwrap();
            played.witness = Witness::new(Some(Cgroup::from_owned(fd.into()).unwrap()));
            played
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.dir.path().join(name), text).unwrap();
        }

        fn set(&self, ooms: u32, kills: u32, refused: u32) {
            self.write("memory.events", &format!("max 9\noom {ooms}\noom_kill {kills}\n"));
            self.write("pids.events", &format!("max {refused}\n"));
        }

        fn start(&mut self, pid: u32) {
            let before = self.witness.look();
            self.witness.started(pid, before);
        }
    }

    fn oom(killed: u64, total: u64, scope: OomScope) -> Option<Cause> {
        Some(Cause::OutOfMemory { killed, total, scope })
    }

    const OWN: OomScope = OomScope::Attempt { limit: Some(1 << 20) };

    #[test]
    fn a_process_that_is_taken_is_told_with_the_limit_that_was_reached() {
        let mut played = Played::new();
        played.start(1);
        played.set(1, 1, 0);
        assert_eq!(played.witness.ended(1, KILLED, false), oom(1, 1, OWN));
        // The next one died of something else.
        played.start(2);
        assert_eq!(played.witness.ended(2, KILLED, false), None);
        // Nothing is known of a process that was not announced.
        assert_eq!(played.witness.ended(3, KILLED, false), None);
    }

    #[test]
    fn when_others_are_out_of_memory_the_attempts_limit_is_not_blamed() {
        let mut played = Played::new();
        played.start(1);
        played.set(0, 2, 0);
        assert_eq!(
            played.witness.ended(1, KILLED, false),
            oom(2, 2, OomScope::Around {})
        );
    }

    #[test]
    fn a_death_further_below_is_told_once_and_one_of_its_own_always() {
        let mut played = Played::new();
        for pid in 1..=3 {
            played.start(pid);
        }
        played.set(2, 2, 0);
        // Its child was taken: a shell ends with 128 + 9.
        assert_eq!(played.witness.ended(1, Exit::Code(137), false), oom(2, 2, OWN));
        assert_eq!(played.witness.ended(2, Exit::Code(1), false), None);
        assert_eq!(played.witness.ended(3, KILLED, false), oom(2, 2, OWN));
        played.start(4);
        played.set(3, 3, 0);
        // It ended well all the same, and the supervisor's death is not to be taken for that one.
        assert_eq!(played.witness.ended(4, Exit::Code(0), false), oom(1, 3, OWN));
    }

    #[test]
    fn what_the_shim_kills_itself_was_not_taken() {
        let mut played = Played::new();
        played.start(1);
        played.start(2);
        played.set(1, 1, 0);
        assert_eq!(played.witness.ended(1, Exit::Code(1), false), oom(1, 1, OWN));
        assert_eq!(played.witness.ended(2, KILLED, true), None);
    }

    #[test]
    fn refused_forks_are_told_of_a_failure_only() {
        let mut played = Played::new();
        let before = played.witness.look();
        assert_eq!(played.witness.refused_since(before), None);
        played.start(1);
        played.start(2);
        played.set(0, 0, 5);
        assert_eq!(played.witness.ended(1, Exit::Code(0), false), None);
        let refused = Some(Cause::PidsLimit {
            refused: 5,
            limit: Some(16),
        });
        assert_eq!(played.witness.ended(2, Exit::Code(2), false), refused);
        assert_eq!(played.witness.refused_since(before), refused);
    }

    #[test]
    fn without_controllers_nothing_is_claimed() {
        let mut witness = Witness::new(None);
        witness.started(1, witness.look());
        assert_eq!(witness.ended(1, KILLED, false), None);
        assert!(witness.usage().oom_kills.is_none());
    }
}
