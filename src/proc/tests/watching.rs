//! Tests of the watch: deletions and foreign changes are noticed.

use super::*;

fn vanished(path: &Path) -> ProcEvent {
    ProcEvent::EntryVanished {
        path: path.to_owned(),
    }
}

fn appeared(path: &Path) -> ProcEvent {
    ProcEvent::EntryAppeared {
        path: path.to_owned(),
    }
}

#[test]
fn entries_that_appear_are_told_wherever_their_directories_came_from() {
    let world = World::new();
    let (mut watch, _) = ProcWatch::new(world.path()).unwrap();
    // Another writer makes everything at once, before its directories are watched.
    let dir = world.path().join("q/d");
    std::fs::create_dir_all(&dir).unwrap();
    let first = dir.join("proc_20260101_000001Z_7231_61.proc");
    std::fs::write(&first, "x").unwrap();
    assert_eq!(watch.read_events().unwrap(), [appeared(&first)]);
    // Then it publishes as writers do, by a rename.
    let second = dir.join("proc_20260101_000002Z_7232_61.proc");
    let temp = dir.join("proc_20260101_000002Z_7232_61.proc.5.tmp");
    std::fs::write(&temp, "x").unwrap();
    std::fs::rename(&temp, &second).unwrap();
    std::fs::write(dir.join(".hidden.proc"), "x").unwrap();
    assert_eq!(watch.read_events().unwrap(), [appeared(&second)]);
    std::fs::remove_file(&first).unwrap();
    assert_eq!(watch.read_events().unwrap(), [vanished(&first)]);
}

#[test]
fn deletions_are_told_wherever_the_directories_came_from() {
    let mut world = World::new();
    let (old, _old_handle) = world.live("q", meta("d", "r1", "a"), 0);
    let (mut watch, events) = ProcWatch::new(world.path()).unwrap();
    assert_eq!(events, []);
    assert_eq!(watch.read_events().unwrap(), []);
    let (new, _new_handle) = world.live("q2", meta("d", "r2", "a"), 0);
    assert_eq!(watch.watch_dag(&new.group, &new.meta.run.dag), []);
    // Reads what made the new group known. What lies there already is told, and publishing is no deletion.
    assert_eq!(watch.read_events().unwrap(), [appeared(&new.path)]);

    std::fs::remove_file(&old.path).unwrap();
    std::fs::rename(&new.path, world.path().join("away")).unwrap();
    assert_eq!(
        watch.read_events().unwrap(),
        [vanished(&old.path), vanished(&new.path)]
    );
    assert_eq!(watch.read_events().unwrap(), []);
}

#[test]
fn a_whole_tree_that_goes_is_told() {
    let mut world = World::new();
    let (entry, _handle) = world.live("q", a1(), 0);
    let (mut watch, _) = ProcWatch::new(world.path()).unwrap();
    std::fs::rename(world.path().join("q"), world.path().join(".q")).unwrap();
    assert_eq!(watch.read_events().unwrap(), [ProcEvent::Rescan]);
    std::fs::rename(world.path().join(".q"), world.path().join("q")).unwrap();
    watch.watch_dag(&entry.group, &entry.meta.run.dag);
    watch.read_events().unwrap();
    // The shim's open file keeps the kernel from telling of the directories, but not of the entry.
    std::fs::remove_dir_all(world.path()).unwrap();
    assert!(watch.read_events().unwrap().contains(&vanished(&entry.path)));

    // Healed and watched again.
    let (entry, _handle) = world.live("q", a1(), 0);
    watch.watch_dag(&entry.group, &entry.meta.run.dag);
    watch.read_events().unwrap();
    std::fs::remove_file(&entry.path).unwrap();
    assert_eq!(watch.read_events().unwrap(), [vanished(&entry.path)]);
}

#[test]
fn an_empty_directory_that_goes_is_told() {
    let world = World::new();
    let (mut watch, _) = ProcWatch::new(world.path()).unwrap();
    std::fs::remove_dir(world.path()).unwrap();
    assert_eq!(watch.read_events().unwrap(), [ProcEvent::Rescan]);
    assert!(ProcWatch::new(world.path()).is_err());
}

#[test]
fn more_events_than_one_read_takes_are_all_told() {
    let mut world = World::new();
    let (mut watch, _) = ProcWatch::new(world.path()).unwrap();
    let entries: Vec<_> = (0..200)
        .map(|n| world.live("q", meta("d", &format!("r{n}"), "a"), 0))
        .collect();
    watch.watch_dag(&group("q"), &dag("d"));
    watch.read_events().unwrap();
    for (entry, _) in &entries {
        std::fs::remove_file(&entry.path).unwrap();
    }
    assert_eq!(watch.read_events().unwrap().len(), 200);
}
