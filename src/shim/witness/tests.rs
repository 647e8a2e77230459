//! A cgroup whose files the tests write, and what is made of its counts.

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
        Self::with(&["pids.events.local"])
    }

    fn of_old_kernel() -> Self {
        Self::with(&[])
    }

    fn with(files: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut played = Self {
            dir,
            witness: Witness::default(),
        };
        played.set(0, 0, 0);
        played.write("memory.max", "1048576\n");
        played.write("pids.max", "16\n");
        for file in files {
            played.write(file, "max 0\n");
        }
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

fn oom(killed: u64, total: u64, victim: OomVictim) -> Option<Cause> {
    Some(Cause::OutOfMemory {
        killed,
        total,
        scope: OomScope::Attempt { limit: Some(1 << 20) },
        victim,
    })
}

const OWN: OomVictim = OomVictim::Own {};
const BELOW: OomVictim = OomVictim::Below {};
const UNCLEAR: OomVictim = OomVictim::Unclear {};
/// How a shell ends whose child was killed.
const CHILD_KILLED: Exit = Exit::Code(137);

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
        Some(Cause::OutOfMemory {
            killed: 2,
            total: 2,
            scope: OomScope::Around {},
            victim: OWN,
        })
    );
}

#[test]
fn a_child_of_the_only_step_that_ran_was_its() {
    let mut played = Played::new();
    played.start(1);
    played.start(2);
    assert_eq!(played.witness.ended(2, Exit::Code(0), false), None);
    played.set(1, 1, 0);
    // It was taken before this one was started.
    played.start(3);
    assert_eq!(played.witness.ended(3, Exit::Code(1), false), None);
    assert_eq!(played.witness.ended(1, CHILD_KILLED, false), oom(1, 1, BELOW));
    assert_eq!(played.witness.kills, []);
}

#[test]
fn a_child_of_one_of_several_is_told_to_each_that_fails_as_one_that_may_be_its() {
    let mut played = Played::new();
    for pid in 1..=4 {
        played.start(pid);
    }
    played.set(1, 1, 0);
    assert_eq!(played.witness.ended(1, Exit::Code(0), false), None);
    assert_eq!(played.witness.ended(2, Exit::Code(1), false), oom(1, 1, UNCLEAR));
    // Somebody may have killed it, or the out-of-memory killer did.
    assert_eq!(played.witness.ended(3, KILLED, false), oom(1, 1, UNCLEAR));
    played.start(5);
    assert_eq!(played.witness.ended(4, CHILD_KILLED, false), oom(1, 1, UNCLEAR));
    assert_eq!(played.witness.ended(5, CHILD_KILLED, false), None);
    assert_eq!(played.witness.kills, []);
}

#[test]
fn where_as_many_were_taken_as_ran_each_that_was_killed_was_one_of_them() {
    let mut played = Played::new();
    played.start(1);
    played.start(2);
    played.set(2, 2, 0);
    played.start(3);
    assert_eq!(played.witness.ended(1, KILLED, false), oom(1, 2, OWN));
    assert_eq!(played.witness.ended(2, KILLED, false), oom(1, 2, OWN));
    assert_eq!(played.witness.ended(3, KILLED, false), None);
    assert_eq!(played.witness.kills, []);
}

#[test]
fn one_that_somebody_kills_does_not_take_the_cause_from_another_ones_exit() {
    let mut played = Played::new();
    played.start(1);
    played.start(2);
    // A child of the second one is taken.
    played.set(1, 1, 0);
    assert_eq!(played.witness.ended(1, KILLED, false), oom(1, 1, UNCLEAR));
    assert_eq!(played.witness.ended(2, CHILD_KILLED, false), oom(1, 1, UNCLEAR));
    // So it is if the one that it may have been of has ended well.
    played.start(3);
    played.start(4);
    played.set(2, 2, 0);
    assert_eq!(played.witness.ended(3, Exit::Code(0), false), None);
    assert_eq!(played.witness.ended(4, KILLED, false), oom(1, 2, UNCLEAR));
    assert_eq!(played.witness.kills, []);
}

#[test]
fn what_one_that_was_taken_leaves_may_have_been_its_as_well() {
    let mut played = Played::new();
    played.start(1);
    played.start(2);
    played.set(2, 2, 0);
    assert_eq!(played.witness.ended(1, KILLED, false), oom(1, 2, OWN));
    assert_eq!(played.witness.ended(2, CHILD_KILLED, false), oom(1, 2, UNCLEAR));
}

#[test]
fn what_is_a_steps_own_for_certain_is_told_without_what_may_be_anothers() {
    let mut played = Played::new();
    played.start(1);
    played.set(1, 1, 0);
    played.start(2);
    played.set(3, 3, 0);
    assert_eq!(played.witness.ended(1, CHILD_KILLED, false), oom(1, 3, BELOW));
    assert_eq!(played.witness.ended(2, Exit::Code(1), false), oom(2, 3, UNCLEAR));
}

#[test]
fn what_the_shim_kills_itself_was_not_taken() {
    let mut played = Played::new();
    played.start(1);
    played.start(2);
    played.set(1, 1, 0);
    assert_eq!(played.witness.ended(1, KILLED, true), oom(1, 1, UNCLEAR));
    assert_eq!(played.witness.ended(2, CHILD_KILLED, false), oom(1, 1, UNCLEAR));
}

#[test]
fn what_is_kept_does_not_grow_with_what_was_taken() {
    let mut played = Played::new();
    played.start(1);
    for round in 1..=50 {
        played.start(2);
        played.set(round, round, 0);
        played.witness.ended(2, Exit::Code(1), false);
    }
    assert_eq!(played.witness.kills.len(), 1);
    assert_eq!(
        played.witness.ended(1, Exit::Code(1), false),
        oom(50, 50, UNCLEAR)
    );
}

#[test]
fn the_journal_is_given_what_no_cause_has_told() {
    let mut played = Played::new();
    let kills = |number| {
        Some(Usage {
            oom_kills: Some(number),
            ..Usage::UNKNOWN
        })
    };
    played.start(1);
    assert_eq!(played.witness.untold(None), None);
    played.set(1, 1, 0);
    let cause = played.witness.ended(1, KILLED, false);
    assert_eq!(played.witness.untold(cause), None);
    played.start(2);
    played.set(2, 2, 0);
    assert_eq!(played.witness.ended(2, Exit::Code(0), false), None);
    assert_eq!(played.witness.untold(None), kills(2));
    assert_eq!(played.witness.untold(None), None);
    // What was taken while nothing of the shim's ran is nobody's, and told all the same.
    played.set(4, 4, 0);
    played.start(3);
    assert_eq!(played.witness.untold(None), kills(4));
    assert_eq!(played.witness.ended(3, KILLED, false), None);
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
    let refused = |scope| Some(Cause::PidsLimit { refused: 5, scope });
    let own = PidsScope::Attempt { limit: Some(16) };
    assert_eq!(played.witness.ended(2, Exit::Code(2), false), refused(own));
    assert_eq!(played.witness.refused_since(before), refused(own));
}

#[test]
fn where_the_kernel_counts_limits_around_as_well_the_attempts_own_is_not_blamed_for_them() {
    for (limit, most, scope) in [
        ("16\n", "16\n", PidsScope::Unclear { limit: Some(16) }),
        // It was never reached.
        ("16\n", "15\n", PidsScope::Around {}),
        ("max\n", "900\n", PidsScope::Around {}),
        // Before Linux 6.1 nobody knows.
        ("16\n", "", PidsScope::Unclear { limit: Some(16) }),
        ("max\n", "", PidsScope::Around {}),
    ] {
        let played = Played::of_old_kernel();
        let before = played.witness.look();
        played.set(0, 0, 1);
        played.write("pids.max", limit);
        played.write("pids.peak", most);
        assert_eq!(
            played.witness.refused_since(before),
            Some(Cause::PidsLimit { refused: 1, scope }),
            "{limit}{most}"
        );
    }
}

#[test]
fn without_controllers_nothing_is_claimed() {
    let mut witness = Witness::new(None);
    witness.started(1, witness.look());
    assert_eq!(witness.ended(1, KILLED, false), None);
    assert!(witness.usage().oom_kills.is_none());
}
