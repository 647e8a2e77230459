//! Tests of identities: the same process, another one with its number, an uncertain one.

use super::*;
use crate::sys::testing::{Shell, await_exit};

fn evidence(inode: Option<u64>, ticks: Option<u64>, cgroup_id: Option<u64>) -> Evidence {
    Evidence {
        inode,
        pid: Some(10),
        ticks,
        cgroup_id,
    }
}

fn recorded(inode: Option<u64>, cgroup_id: Option<u64>) -> ProcessIdentity {
    ProcessIdentity {
        pid: 10,
        pidfs_inode: inode,
        start_ticks: Some(5),
        boot_id: "b".into(),
        cgroup_id,
    }
}

#[test]
fn t11_number_and_start_time_alone_never_prove_anything() {
    assert_eq!(
        recorded(None, None).judge(&evidence(Some(1), Some(5), Some(2))),
        SameProcess::Uncertain
    );
    assert_eq!(
        recorded(None, None).judge(&evidence(None, Some(5), None)),
        SameProcess::Uncertain
    );
}

#[test]
fn judges_by_the_strongest_evidence() {
    let full = recorded(Some(1), Some(2));
    assert_eq!(
        full.judge(&evidence(Some(1), Some(5), Some(2))),
        SameProcess::Same
    );
    // Reaped: only the inode is left.
    assert_eq!(full.judge(&evidence(Some(1), None, None)), SameProcess::Same);
    // The same start time forged by another process (T11).
    assert_eq!(
        full.judge(&evidence(Some(9), Some(5), Some(2))),
        SameProcess::Different
    );
    assert_eq!(
        full.judge(&evidence(Some(1), Some(6), Some(2))),
        SameProcess::Uncertain
    );
    let old = recorded(None, Some(2));
    assert_eq!(old.judge(&evidence(None, Some(5), Some(2))), SameProcess::Same);
    assert_eq!(
        old.judge(&evidence(None, Some(5), Some(3))),
        SameProcess::Uncertain
    );
    assert_eq!(
        old.judge(&evidence(None, Some(6), Some(2))),
        SameProcess::Different
    );
    assert_eq!(old.judge(&evidence(None, None, Some(2))), SameProcess::Uncertain);
}

#[test]
fn recognises_a_live_process_its_remains_and_a_foreign_one() {
    let mut first = Shell::run("read x");
    let mut second = Shell::run("read x");
    let identity = ProcessIdentity::read(&first.child.pidfd, first.child.pid).unwrap();
    assert!(identity.start_ticks.is_some());
    if identity.pidfs_inode.is_some() || identity.cgroup_id.is_some() {
        assert_eq!(identity.compare(&first.child.pidfd), SameProcess::Same);
    }
    assert_ne!(identity.compare(&second.child.pidfd), SameProcess::Same);
    assert!(ProcessIdentity::read(&first.child.pidfd, second.child.pid).is_err());
    let other_boot = ProcessIdentity {
        boot_id: "another".into(),
        ..identity.clone()
    };
    assert_eq!(other_boot.compare(&first.child.pidfd), SameProcess::Different);
    first.close_input();
    second.close_input();
    await_exit(&first.child.pidfd);
    first.child.pidfd.wait().unwrap();
    second.child.pidfd.wait().unwrap();
    if identity.pidfs_inode.is_some() {
        assert_eq!(identity.compare(&first.child.pidfd), SameProcess::Same);
        assert_eq!(identity.compare(&second.child.pidfd), SameProcess::Different);
    }
    assert!(ProcessIdentity::read(&first.child.pidfd, first.child.pid).is_err());
}

#[test]
fn the_boot_id_is_a_uuid() {
    assert_eq!(boot_id().unwrap().len(), 36);
}
