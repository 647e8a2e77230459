//! Tests of users, groups and what a process takes on.

use super::*;
use crate::sys::pidfd::WaitStatus;
use crate::sys::spawn::Spawn;
use crate::sys::testing::is_root;

#[test]
fn looks_up_by_name_and_by_nothing_else() {
    let root = User::by_name("root").unwrap();
    assert_eq!((root.uid, root.gid), (0, 0));
    assert_eq!(User::by_uid(0).unwrap(), root);
    assert!(root.groups.contains(&0));
    for name in ["0x0", "0", "00", "4294967296", "no-such-user-here"] {
        assert!(
            matches!(User::by_name(name), Err(CredsError::NoSuchName(_))),
            "{name}"
        );
    }
    for name in [
        "", "+0", "-1", " root", "root ", "root:x", "ro/ot", "ro\0ot", "~root",
    ] {
        assert!(
            matches!(User::by_name(name), Err(CredsError::BadName(_))),
            "{name}"
        );
    }
    assert!(matches!(User::by_uid(u32::MAX), Err(CredsError::NoSuchUid(_))));
    assert_eq!(group_gid("root").unwrap(), 0);
    assert!(group_gid("no-such-group-here").is_err());
}

/// The body that runs in a child of the tests below, where it can give up its identity.
#[test]
fn child_becomes_the_user_it_is_told() {
    let Ok(spec) = std::env::var("PROCTOR_TEST_BECOME") else {
        return;
    };
    let ids: Vec<u32> = spec.split(',').map(|id| id.parse().unwrap()).collect();
    let user = User {
        name: "someone".into(),
        uid: ids[0],
        gid: ids[1],
        groups: ids[1..].to_vec(),
        home: "/".into(),
        shell: "/bin/sh".into(),
    };
    apply(&user).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = |key: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap()
            .to_owned()
    };
    let uid = user.uid;
    assert_eq!(line("Uid:\t"), format!("{uid}\t{uid}\t{uid}\t{uid}"));
    let groups: Vec<u32> = line("Groups:")
        .split_whitespace()
        .map(|gid| gid.parse().unwrap())
        .collect();
    assert_eq!(groups, normal(ids[1..].iter().copied()));
    assert_eq!(line("CapEff:\t"), "0000000000000000");
    // There is no way back, and none to anybody else.
    assert!(
        apply(&User {
            uid: 0,
            gid: 0,
            groups: vec![0],
            ..user.clone()
        })
        .is_err()
    );
    apply(&user).unwrap();
    set_no_new_privs().unwrap();
    set_nice(5).unwrap();
    assert!(set_nice(0).is_err());
    set_rlimit(Limit::OpenFiles, 50, 60).unwrap();
    assert_eq!(get_rlimit(Limit::OpenFiles).unwrap(), (50, 60));
    assert!(set_rlimit(Limit::OpenFiles, 70, 60).is_err());
}

#[test]
fn becomes_exactly_the_user_with_all_its_groups_and_no_others() {
    if !is_root() {
        return;
    }
    let many: Vec<String> = (70_000..70_200u32).map(|gid| gid.to_string()).collect();
    // The test binary must be readable by the user, so it is handed over as an open file.
    let program = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    for spec in ["65534,65534".to_owned(), format!("60001,{}", many.join(","))] {
        let spawn = Spawn {
            program_fd: Some(std::os::fd::AsFd::as_fd(&program)),
            argv: [
                "proctor",
                "--exact",
                "sys::creds::tests::child_becomes_the_user_it_is_told",
            ]
            .map(Into::into)
            .to_vec(),
            env: vec![
                ("PROCTOR_TEST_BECOME".into(), spec.into()),
                ("RUST_TEST_THREADS".into(), "1".into()),
            ],
            ..Spawn::new("test")
        };
        assert_eq!(spawn.spawn().unwrap().pidfd.wait().unwrap(), WaitStatus::Code(0));
    }
}

#[test]
fn staying_who_one_is_needs_no_privilege() {
    let own = User::current().unwrap();
    assert_eq!(own.uid, effective_uid());
    assert!(own.groups.contains(&own.gid));
    if own.uid != 0 {
        apply(&own).unwrap();
        let other = User {
            uid: own.uid + 1,
            ..own
        };
        assert!(matches!(
            apply(&other),
            Err(CredsError::Change {
                call: "setgroups",
                ..
            })
        ));
    }
    let nobody = User {
        uid: u32::MAX,
        ..User::current().unwrap()
    };
    assert!(matches!(apply(&nobody), Err(CredsError::Mismatch { .. })));
}
