//! Tests of what counts of what a DAG wants, for users and for the system.

use super::*;

const INHERITED: (u64, u64) = (1024, 4096);

fn of(amount: u64) -> Option<Amount> {
    Some(Amount::Of(amount))
}

fn got(wanted: &Resources, given: &Resources, bounded: bool) -> Effective {
    effective(wanted, given, bounded, &|_| INHERITED, creds::UNLIMITED)
}

fn rlimits(pairs: &[(Rlimit, Option<Amount>, Option<Amount>)]) -> Resources {
    let all = pairs.iter();
    Resources {
        rlimits: all
            .map(|(limit, soft, hard)| {
                (
                    *limit,
                    RlimitPair {
                        soft: *soft,
                        hard: *hard,
                    },
                )
            })
            .collect(),
        ..Resources::default()
    }
}

/// One value for everything that has a number.
fn everything(amount: u64, weight: u32, nice: i32) -> Resources {
    Resources {
        memory_max: of(amount),
        memory_high: of(amount),
        swap_max: of(amount),
        cpu_weight: Some(weight),
        cpu_max: of(amount),
        io_weight: Some(weight),
        pids_max: of(amount),
        nice: Some(nice),
        ..Resources::default()
    }
}

#[test]
fn nothing_said_is_nothing_set() {
    for bounded in [false, true] {
        assert_eq!(
            got(&Resources::default(), &Resources::default(), bounded),
            Effective::default()
        );
    }
}

#[test]
fn where_a_dag_says_nothing_the_configuration_does() {
    let given = everything(500, 50, 5);
    for bounded in [false, true] {
        let found = got(&Resources::default(), &given, bounded);
        assert_eq!((found.resources, found.lowered), (given.clone(), Vec::new()));
    }
}

#[test]
fn who_wants_less_gets_less_and_who_wants_more_gets_it_only_from_the_system() {
    let (given, less, more) = (
        everything(500, 50, 5),
        everything(400, 40, 6),
        everything(600, 60, 4),
    );
    for bounded in [false, true] {
        let found = got(&less, &given, bounded);
        assert_eq!((found.resources, found.lowered), (less.clone(), Vec::new()));
    }
    let found = got(&more, &given, false);
    assert_eq!((found.resources, found.lowered), (more.clone(), Vec::new()));
    let found = got(&more, &given, true);
    assert_eq!(found.resources, given);
    assert_eq!(found.lowered.len(), 8, "{:#?}", found.lowered);
    assert!(
        found.lowered[4]
            .text
            .contains("`limits.cpu_max` is 600%, and the most for DAGs of users is 500%"),
        "{:#?}",
        found.lowered
    );
    assert!(
        found.lowered[7].text.contains("the least for DAGs of users is 5"),
        "{:#?}",
        found.lowered
    );
    let unlimited = Resources {
        memory_max: Some(Amount::Max),
        ..Resources::default()
    };
    assert_eq!(got(&unlimited, &given, true).resources.memory_max, of(500));
    assert_eq!(
        got(&unlimited, &given, false).resources.memory_max,
        Some(Amount::Max)
    );
}

#[test]
fn without_a_configuration_a_users_dag_goes_before_nobody() {
    let wanted = everything(600, 200, -1);
    let found = got(&wanted, &Resources::default(), true).resources;
    assert_eq!(
        (found.cpu_weight, found.io_weight, found.nice),
        (Some(100), Some(100), Some(0))
    );
    assert_eq!(found.memory_max, of(600), "nobody has said how much is too much");
    assert_eq!(got(&wanted, &Resources::default(), false).resources, wanted);
}

#[test]
fn limits_of_processes_are_within_what_the_daemon_has_unless_the_system_says_otherwise() {
    let nofile = Rlimit::OpenFiles;
    let none = Resources::default();
    // What the DAG has of both, what the configuration has, and what comes of it for a user and for the system.
    for (wanted, given, users, systems) in [
        ((of(10), of(20)), (None, None), (10, 20), (10, 20)),
        ((of(10), None), (None, None), (10, 4096), (10, 4096)),
        ((None, of(20)), (None, None), (20, 20), (20, 20)),
        ((None, of(2000)), (None, None), (1024, 2000), (1024, 2000)),
        ((of(9000), of(9000)), (None, None), (4096, 4096), (9000, 9000)),
        ((of(9000), None), (None, None), (4096, 4096), (4096, 4096)),
        (
            (None, Some(Amount::Max)),
            (None, None),
            (1024, 4096),
            (1024, u64::MAX),
        ),
        ((None, None), (of(50), of(60)), (50, 60), (50, 60)),
        ((None, None), (of(8000), of(9000)), (8000, 9000), (8000, 9000)),
        ((of(70), of(70)), (of(50), of(60)), (60, 60), (70, 70)),
        ((of(55), None), (of(50), of(60)), (55, 60), (55, 60)),
        (
            (of(10_000), of(10_000)),
            (None, of(9000)),
            (9000, 9000),
            (10_000, 10_000),
        ),
    ] {
        let dag = rlimits(&[(nofile, wanted.0, wanted.1)]);
        let config = match given {
            (None, None) => none.clone(),
            (soft, hard) => rlimits(&[(nofile, soft, hard)]),
        };
        for (bounded, expected) in [(true, users), (false, systems)] {
            let found = got(&dag, &config, bounded);
            let expected = vec![(nofile, expected.0, expected.1)];
            assert_eq!(found.rlimits, expected, "{wanted:?} {given:?} {bounded}");
        }
    }
    assert_eq!(got(&none, &none, true).rlimits, [], "the others are left alone");
    let found = got(&rlimits(&[(nofile, of(9000), of(9000))]), &none, true);
    assert_eq!(found.lowered.len(), 1, "{:#?}", found.lowered);
    assert!(
        found.lowered[0].text.contains("rlimits.nofile.hard` is 9000"),
        "{:#?}",
        found.lowered
    );
    let found = got(&rlimits(&[(nofile, of(9000), None)]), &none, false);
    assert!(
        found.lowered[0].text.contains("the hard limit is 4096"),
        "{:#?}",
        found.lowered
    );
}

#[test]
fn what_cannot_be_enforced_is_refused_or_told() {
    let none = Controllers::none("this machine has none");
    let limits = Resources {
        memory_max: of(1 << 30),
        pids_max: of(10),
        nice: Some(3),
        ..Resources::default()
    };
    let refused = enforce(None, &none, &limits, true).unwrap_err();
    assert_eq!(
        refused,
        "limits.memory_max needs the cgroup controller memory, and this machine has none; with require_limits = false in \
         [cgroup] of proctord.toml it starts without that limit"
    );
    assert_eq!(enforce(None, &none, &limits, false).unwrap().len(), 2);
    let harmless = Resources {
        memory_max: Some(Amount::Max),
        nice: Some(3),
        ..Resources::default()
    };
    assert_eq!(enforce(None, &none, &harmless, true), Ok(Vec::new()));
}

#[test]
fn nobody_has_more_open_files_than_the_kernel_gives() {
    const NR_OPEN: u64 = 50_000;
    let on_a_kernel =
        |wanted: &Resources, given: &Resources| effective(wanted, given, false, &|_| INHERITED, NR_OPEN);
    let none = Resources::default();
    let unlimited = rlimits(&[(Rlimit::OpenFiles, Some(Amount::Max), Some(Amount::Max))]);
    let found = on_a_kernel(&unlimited, &none);
    assert_eq!(found.rlimits, [(Rlimit::OpenFiles, NR_OPEN, NR_OPEN)]);
    let [told] = &found.lowered[..] else {
        panic!("{:#?}", found.lowered)
    };
    assert!(
        told.text
            .contains("is unlimited, and the most of this kernel (fs.nr_open) is 50000"),
        "{told:?}"
    );
    assert!(!told.configured, "no configuration cures it");
    // What a DAG does not say, it is not told of.
    let found = on_a_kernel(&none, &unlimited);
    assert_eq!(found.rlimits, [(Rlimit::OpenFiles, NR_OPEN, NR_OPEN)]);
    assert_eq!(found.lowered, []);
    let stack = rlimits(&[(Rlimit::Stack, Some(Amount::Max), Some(Amount::Max))]);
    let found = on_a_kernel(&stack, &none);
    assert_eq!(
        found.rlimits,
        [(Rlimit::Stack, creds::UNLIMITED, creds::UNLIMITED)]
    );
}
