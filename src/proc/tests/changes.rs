//! Tests of what changes the proc directory: publish, remove, quarantine, repair.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::proc::dir::Removal;

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_entry_lives_from_prepare_to_remove() {
    let mut world = World::new();
    let prepared = world.dir.prepare(&group("q"), a1(), at(0)).unwrap();
    let place = world.path().join("q/etl.daily");
    assert_eq!(
        world.scan(0).entries.len(),
        0,
        "nothing is seen before it is published"
    );
    let leftovers = world.dir.leftovers().unwrap();
    assert_eq!((leftovers.len(), leftovers[0].lock), (1, LockState::Held));
    assert_eq!(leftovers[0].name.to_string(), A1_NAME);
    assert!(matches!(
        world.dir.remove_leftover(&leftovers[0]),
        Err(ProcError::Held { .. })
    ));

    let handle = ProcHandle::new(prepared.descriptor().unwrap());
    let entry = prepared.publish(&owner(), at(1)).unwrap();
    assert_eq!(names(&place), [A1_NAME]);
    for (path, mode) in [(world.path(), 0o755), (&place, 0o755), (&entry.path, 0o644)] {
        assert_eq!(
            std::fs::metadata(path).unwrap().permissions().mode() & 0o7777,
            mode,
            "{path:?}"
        );
    }
    let read = world.scan(1).entries.pop().unwrap();
    assert_eq!(
        Entry {
            mtime: read.mtime,
            ..entry.clone()
        },
        read
    );

    let before = std::fs::read(&entry.path).unwrap();
    handle.beat(at(6)).unwrap();
    handle.sync().unwrap();
    let after = std::fs::read(&entry.path).unwrap();
    assert_eq!(after[..8], (A1_SECS + 6).to_be_bytes());
    assert_eq!(before[8..], after[8..], "only the heartbeat changes");
    assert_eq!(
        world.dir.read_again(&entry, at(6)).unwrap().unwrap().lock,
        LockState::Held
    );

    drop(handle);
    assert_eq!(
        world.dir.read_again(&entry, at(6)).unwrap().unwrap().lock,
        LockState::Free
    );
    assert_eq!(world.dir.remove(&entry).unwrap(), Removal::Removed);
    assert_eq!(names(world.path()), [""; 0], "empty directories go, too");
    assert_eq!(world.dir.remove(&entry).unwrap(), Removal::Gone);
    assert_eq!(world.dir.read_again(&entry, at(6)).unwrap(), None);
}

#[test]
fn an_abandoned_entry_leaves_nothing() {
    let mut world = World::new();
    let kept = world.live("q", meta("other", "r", "a"), 0);
    world
        .dir
        .prepare(&group("q"), a1(), at(0))
        .unwrap()
        .abandon()
        .unwrap();
    drop(world.dir.prepare(&group("q2"), a1(), at(0)).unwrap());
    assert_eq!(names(world.path()), ["q"]);
    assert_eq!(names(&world.path().join("q")), ["other"]);
    drop(kept);
    let bad = Meta {
        started_at: 0,
        ..a1()
    };
    assert!(matches!(
        world.dir.prepare(&group("q3"), bad, at(0)),
        Err(ProcError::Meta(_))
    ));
    assert_eq!(names(world.path()), ["q"]);
}

#[test]
fn an_entry_is_never_overwritten() {
    let mut world = World::new();
    let (entry, handle) = world.live("q", a1(), 0);
    let again = world.dir.prepare(&group("q"), a1(), at(0)).unwrap();
    assert!(matches!(
        again.publish(&owner(), at(0)),
        Err(ProcError::Exists { .. })
    ));
    assert_eq!(names(entry.path.parent().unwrap()), [A1_NAME]);
    assert_eq!(world.scan(0).entries[0].inode, entry.inode);
    drop(handle);
}

#[test]
fn a_deleted_entry_is_healed_under_the_same_name() {
    let mut world = World::new();
    let (entry, mut handle) = world.live("q", a1(), 0);
    assert!(!handle.is_deleted().unwrap());
    // With everything around it, the outermost directory included.
    std::fs::remove_dir_all(world.path()).unwrap();
    assert!(handle.is_deleted().unwrap());
    assert_eq!(world.scan(0).entries.len(), 0);

    let prepared = world.dir.prepare_again(&entry, at(50)).unwrap();
    handle.replace(prepared.descriptor().unwrap(), at(50)).unwrap();
    let healed = prepared.publish(entry.owner.as_ref().unwrap(), at(51)).unwrap();
    assert_eq!(
        (&healed.path, &healed.name, &healed.meta),
        (&entry.path, &entry.name, &entry.meta)
    );
    let scan = world.scan(51);
    assert_eq!(
        (scan.entries[0].lock, scan.entries[0].heartbeat),
        (LockState::Held, healed.heartbeat)
    );
    assert!(!handle.is_deleted().unwrap());
    // What was read before the deletion leads to another file, so removing it does nothing.
    if entry.inode != healed.inode {
        assert_eq!(world.dir.remove(&entry).unwrap(), Removal::Kept);
    }
    assert!(healed.path.exists());
}

#[test]
fn only_foreign_entries_that_stay_stale_are_removed_for_it() {
    let mut world = World::new();
    let path = world.put_a1(-100, -100);
    let entry = world.scan(0).entries.pop().unwrap();
    assert_eq!(
        world.dir.remove_if_stale(&entry, at(-20)).unwrap(),
        Removal::Kept,
        "it was still fresh then"
    );
    // Refreshed in between, then stale again, but not the same any more.
    world.put_a1(-1, -1);
    assert_eq!(world.dir.remove_if_stale(&entry, at(0)).unwrap(), Removal::Kept);
    assert_eq!(
        world.dir.remove_if_stale(&entry, at(1000)).unwrap(),
        Removal::Kept
    );
    world.put_a1(-100, -1);
    assert_eq!(
        world.dir.remove_if_stale(&entry, at(0)).unwrap(),
        Removal::Kept,
        "its file was written to"
    );
    world.put_a1(-100, -100);
    assert_eq!(
        world.dir.remove_if_stale(&entry, at(0)).unwrap(),
        Removal::Removed
    );
    assert!(!path.exists() && !world.path().join("etl.daily").exists());
    assert_eq!(world.dir.remove_if_stale(&entry, at(0)).unwrap(), Removal::Gone);

    let (own, handle) = world.live("q", a1(), -1000);
    drop(handle);
    assert_eq!(
        world.dir.remove_if_stale(&own, at(1_000_000)).unwrap(),
        Removal::Kept
    );
}

#[test]
fn what_a_crash_left_over_is_found_and_removed() {
    let mut world = World::new();
    let prepared = world.dir.prepare(&group("q"), a1(), at(0)).unwrap();
    let shim = prepared.descriptor().unwrap();
    // A daemon that is killed closes its descriptors and removes nothing.
    let copy = world.path().join(format!("q/etl.daily/{A1_NAME}.dead-1.tmp"));
    std::fs::rename(&world.dir.leftovers().unwrap()[0].path, &copy).unwrap();
    drop(prepared);
    let leftover = world.dir.leftovers().unwrap().pop().unwrap();
    assert_eq!(
        (leftover.lock, &leftover.path),
        (LockState::Held, &copy),
        "its shim waits at the gate"
    );
    drop(shim);
    let leftover = world.dir.leftovers().unwrap().pop().unwrap();
    assert_eq!(leftover.lock, LockState::Free);
    assert_eq!(world.dir.remove_leftover(&leftover).unwrap(), Removal::Removed);
    assert_eq!(world.dir.remove_leftover(&leftover).unwrap(), Removal::Gone);
    assert_eq!(names(world.path()), [""; 0]);
    world.put("q/etl.daily", "something.else.tmp", b"", 0);
    assert_eq!(world.dir.leftovers().unwrap(), []);
}

#[test]
fn scans_are_right_while_entries_come_and_go() {
    let mut world = World::new();
    let (stays, handle) = world.live("q", meta("etl.daily", "stays", "a"), 0);
    let root = world.path().to_owned();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let scanner = scope.spawn(|| {
            let dir = ProcDir::open(root.clone(), STALE_AFTER).unwrap();
            let mut scans = 0u32;
            while !done.load(Ordering::Relaxed) || scans < 20 {
                let scan = dir.scan(at(0)).unwrap();
                assert_eq!(
                    scan.bad.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    [""; 0]
                );
                assert!(scan.entries.iter().any(|entry| entry.path == stays.path));
                assert!(
                    scan.entries.iter().all(|entry| entry.owner.is_some()),
                    "never half written"
                );
                dir.leftovers().unwrap();
                scans += 1;
            }
        });
        for round in 0..300 {
            let place = group(if round % 2 == 0 { "q" } else { "r" });
            let prepared = world.dir.prepare(&place, a1(), at(0)).unwrap();
            let entry = prepared.publish(&owner(), at(0)).unwrap();
            assert_eq!(world.dir.remove(&entry).unwrap(), Removal::Removed);
        }
        done.store(true, Ordering::Relaxed);
        scanner.join().unwrap();
    });
    drop(handle);
}

#[test]
fn two_preparers_do_not_tidy_each_others_directories_away() {
    let world = World::new();
    std::thread::scope(|scope| {
        for attempt in ["a", "b"] {
            let mut dir = ProcDir::open(world.path(), STALE_AFTER).unwrap();
            scope.spawn(move || {
                for _ in 0..200 {
                    dir.prepare(&group("q"), meta("d", "r", attempt), at(0))
                        .unwrap()
                        .abandon()
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(names(world.path()), [""; 0]);
}

#[test]
fn the_directory_must_be_one() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(ProcDir::open(&file, STALE_AFTER).is_err());
    let link = temp.path().join("link");
    std::os::unix::fs::symlink(temp.path(), &link).unwrap();
    assert!(ProcDir::open(&link, STALE_AFTER).is_err());
    assert!(ProcDir::open(temp.path().join("no/such"), STALE_AFTER).is_err());
    let made = ProcDir::open(temp.path().join("made"), STALE_AFTER).unwrap();
    assert_eq!(std::fs::metadata(made.path()).unwrap().mode() & 0o7777, 0o755);
    std::fs::remove_dir(made.path()).unwrap();
    assert_eq!(
        made.scan(at(0)).unwrap().entries,
        [],
        "a missing directory is an empty one"
    );
}
