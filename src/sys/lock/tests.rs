//! Tests of locks: who holds them, who inherits them, when they go.

use super::*;
use crate::sys::fdpass;
use crate::sys::testing::eventually;
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn a_lock_passes_with_its_descriptor_and_ends_with_the_last_copy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("entry");
    let open = || {
        File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .unwrap()
    };
    let (holder, observer) = (open(), open());
    assert!(try_lock_exclusive(holder.as_fd()).unwrap());
    assert!(
        try_lock_exclusive(holder.as_fd()).unwrap(),
        "taking it twice is no conflict"
    );
    assert!(is_locked(observer.as_fd()).unwrap());
    assert!(
        !is_locked(holder.as_fd()).unwrap(),
        "the holder does not see its own lock"
    );
    assert!(!try_lock_exclusive(observer.as_fd()).unwrap());

    let (ours, theirs) = fdpass::socketpair().unwrap();
    fdpass::send_with_fds(ours.as_fd(), b"x", &[holder.as_fd()]).unwrap();
    drop(holder);
    assert!(
        is_locked(observer.as_fd()).unwrap(),
        "held while the descriptor is on its way"
    );
    let (_, fds) = fdpass::recv_with_fds(theirs.as_fd(), &mut [0; 1], 1).unwrap();
    // Opening and closing the file anew drops no lock, unlike with locks of the process.
    drop(open());
    assert!(is_locked(observer.as_fd()).unwrap());
    drop(fds);
    assert!(eventually(|| !is_locked(observer.as_fd()).unwrap()));
    assert!(try_lock_exclusive(observer.as_fd()).unwrap());
    unlock(observer.as_fd()).unwrap();
    assert!(!is_locked(open().as_fd()).unwrap());
}

#[test]
fn one_daemon_at_a_time_and_the_second_learns_who() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proctord.lock");
    let first = DaemonLock::acquire(&path).unwrap();
    let own = std::process::id();
    match DaemonLock::acquire(&path).unwrap_err() {
        LockError::Held { pid, .. } => assert_eq!(pid, Some(own)),
        other => panic!("{other}"),
    }
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    drop(first);
    assert!(path.exists(), "a lock file is never removed");
    drop(DaemonLock::acquire(&path).unwrap());
}

#[test]
fn a_link_in_the_place_of_the_lock_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    std::fs::write(&target, "precious").unwrap();
    let soft = dir.path().join("soft");
    symlink(&target, &soft).unwrap();
    assert!(matches!(
        DaemonLock::acquire(&soft),
        Err(LockError::Io {
            operation: "open",
            ..
        })
    ));
    let hard = dir.path().join("hard");
    std::fs::hard_link(&target, &hard).unwrap();
    assert!(matches!(
        DaemonLock::acquire(&hard),
        Err(LockError::NotRegular { .. })
    ));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    // But a lock file of ours to which somebody linked from elsewhere is still one.
    let (lock, other) = (dir.path().join("lock"), dir.path().join("other"));
    drop(DaemonLock::acquire(&lock).unwrap());
    std::fs::hard_link(&lock, &other).unwrap();
    drop(DaemonLock::acquire(&lock).unwrap());
    let others = PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(dir.path(), others).unwrap();
    assert!(matches!(
        DaemonLock::acquire(&lock),
        Err(LockError::NotRegular { .. })
    ));
}

#[test]
fn a_lock_that_a_dead_daemon_left_to_a_starting_child_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    std::fs::write(&path, format!("{}\n", dead.id())).unwrap();
    let left = File::options().read(true).write(true).open(&path).unwrap();
    assert!(try_lock_exclusive(left.as_fd()).unwrap());
    let (waiting, begun) = std::sync::mpsc::channel::<()>();
    let exec = std::thread::spawn(move || {
        // Nothing is sent: this is a pause in which the lock is held.
        begun.recv_timeout(Duration::from_millis(50)).unwrap_err();
        drop(left);
    });
    let lock = DaemonLock::acquire(&path).unwrap();
    drop(waiting);
    exec.join().unwrap();
    drop(lock);
}
