//! Tests of what is asked of the proc directory: counts, freshness, verdicts.

use super::*;

#[test]
fn freshness_ends_at_exactly_ninety_seconds() {
    let judge = |beat, mtime| {
        let world = World::new();
        world.put_a1(beat, mtime);
        let entry = world.scan(0).entries.pop().unwrap();
        assert_eq!(entry.lock, LockState::Free);
        (
            entry.is_fresh(at(0), STALE_AFTER),
            entry.verdict(at(0), STALE_AFTER),
        )
    };
    let fresh = (true, Verdict::Alive);
    let stale = (false, Verdict::Dead);
    assert_eq!(judge(-89, -1000), fresh);
    assert_eq!(judge(-90, -90), stale);
    assert_eq!(judge(-1000, -89), fresh);
    assert_eq!(judge(-1000, -91), stale);
    assert_eq!(judge(300, -1000), fresh);
    assert_eq!(judge(-1000, 100_000), fresh);
    let world = World::new();
    world.put_a1(-90, -1000);
    let mut entry = world.scan(0).entries.pop().unwrap();
    assert!(
        entry.is_fresh(Time(at(0).0 - 1), STALE_AFTER),
        "a microsecond earlier it is"
    );
    for heartbeat in [0, u64::MAX] {
        entry.heartbeat = heartbeat;
        assert_eq!(entry.is_fresh(at(0), STALE_AFTER), heartbeat > 0);
    }
}

#[test]
fn the_questions_of_the_seed() {
    let world = World::new();
    let put = |place: &str, id: &str, attempt: &str, started: i64, beat: i64| {
        let dag_name = place.split('/').nth(1).unwrap();
        let meta = Meta {
            started_at: A1_SECS + started,
            ..meta(dag_name, id, attempt)
        };
        let name = EntryName::new(at(started), &meta.run.id, &meta.attempt).unwrap();
        let bytes = entry::encode(at(beat), &meta, None).unwrap();
        world.put(place, &name.to_string(), &bytes, beat);
    };
    put("q/b", "r1", "a1", 0, 0);
    put("q/b", "r1", "a2", 1, 0);
    put("q/b", "r0", "a1", 1, -3);
    put("q/b", "r9", "a1", 50, -90);
    put("q/a", "r1", "a1", 0, 0);
    put("z/a", "r1", "a1", 0, -90);
    let scan = world.scan(0);
    let q = group("q");
    assert_eq!(scan.entries.len(), 6);
    assert!(scan.entries.is_sorted_by(|a, b| a.path < b.path));
    assert_eq!(scan.count_alive(&q), 3, "two attempts of a run count once");
    assert_eq!(scan.count_alive_by_dag(&q, &dag("b")), 2);
    assert_eq!(scan.count_alive(&group("z")), 0);
    assert_eq!(scan.count_alive(&group("none")), 0);
    assert_eq!(
        scan.list_alive(&q),
        [run("a", "r1"), run("b", "r0"), run("b", "r1")]
    );
    assert_eq!(scan.list_all_alive().keys().collect::<Vec<_>>(), [&q]);
    assert!(scan.is_run_alive(&q, &run("b", "r1")) && !scan.is_run_alive(&q, &run("b", "r9")));
    let attempt = |id: &str| AttemptId::new(id).unwrap();
    assert!(scan.is_attempt_alive(&q, &run("b", "r1"), &attempt("a2")));
    assert!(!scan.is_attempt_alive(&q, &run("b", "r1"), &attempt("a3")));
    // The newest is stale; of those started at the same time, the one that beat last.
    let latest = scan.latest_fresh_by_dag(&q, &dag("b")).unwrap();
    assert_eq!(
        (latest.meta.run.id.as_str(), latest.meta.attempt.as_str()),
        ("r1", "a2")
    );
    assert!(scan.latest_fresh_by_dag(&group("z"), &dag("a")).is_none());

    let only = world.dir.scan_group(&q, at(0)).unwrap();
    assert_eq!(only.entries, scan.entries[..5]);
    let (first, second) = (&scan.entries[2], &scan.entries[3]);
    assert!(scan.entries.iter().all(|entry| entry.same_attempt(entry)));
    assert_eq!(first.same_scope(second), first.meta.run == second.meta.run);
    assert!(
        !scan.entries[0].same_scope(scan.entries.last().unwrap()),
        "another group"
    );
}

#[test]
fn an_own_entry_counts_while_its_lock_is_held() {
    let mut world = World::new();
    let (entry, handle) = world.live("q", a1(), 0);
    let q = group("q");
    // The file's time is that of this machine's clock; both times are put far into the past.
    let old = |world: &World| {
        let file = std::fs::File::options().write(true).open(&entry.path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(A1_SECS.unsigned_abs()))
            .unwrap();
        world.scan(1000)
    };
    let scan = old(&world);
    assert_eq!(
        scan.entries[0].verdict(scan.at, STALE_AFTER),
        Verdict::Stalled,
        "silence is not death"
    );
    assert_eq!(
        (scan.count_alive(&q), scan.latest_fresh_by_dag(&q, &a1().run.dag)),
        (1, None)
    );
    drop(handle);
    let scan = world.scan(0);
    assert!(scan.entries[0].is_fresh(at(0), STALE_AFTER));
    assert_eq!(
        scan.count_alive(&q),
        0,
        "death is known at once, not when the heartbeat is old"
    );
}

#[test]
fn a_readers_lock_makes_no_dead_attempt_look_alive() {
    let mut world = World::new();
    let (entry, handle) = world.live("q", a1(), 0);
    let reader = std::fs::File::open(&entry.path).unwrap();
    let shared = libc::flock {
        l_type: i16::try_from(libc::F_RDLCK).unwrap(),
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    let lock = || nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_OFD_SETLK(&shared));
    assert!(lock().is_err() && world.scan(0).entries[0].lock == LockState::Held);
    drop(handle);
    lock().unwrap();
    assert_eq!(world.scan(0).entries[0].lock, LockState::Free);
}

#[test]
fn a_clock_that_steps_back_hides_no_live_attempt() {
    let mut world = World::new();
    let (entry, handle) = world.live("q", a1(), 0);
    let scan = world.scan(-10_000);
    assert_eq!((scan.count_alive(&group("q")), scan.bad.len()), (1, 0));
    drop(handle);
    let scan = world.scan(-10_000);
    assert!(matches!(
        scan.bad[0].error,
        EntryError::FutureHeartbeat { ahead: 10_000, .. }
    ));
    assert_eq!(scan.bad[0].path, entry.path);
}

#[test]
fn ten_thousand_entries_are_read() {
    let world = World::new();
    for number in 0..10_000 {
        let meta = meta("big", &format!("run-{number:05}"), "a1");
        let name = EntryName::new(at(0), &meta.run.id, &meta.attempt).unwrap();
        let path = world.path().join(format!("g{}/big", number % 10));
        std::fs::create_dir_all(&path).unwrap();
        let bytes = entry::encode(at(0), &meta, Some(&owner())).unwrap();
        std::fs::write(path.join(name.to_string()), bytes).unwrap();
    }
    let begin = crate::sys::clock::boot_micros();
    let scan = world.scan(0);
    let took = crate::sys::clock::boot_micros() - begin;
    assert_eq!((scan.entries.len(), scan.bad.len()), (10_000, 0));
    assert!(
        took < 10_000_000,
        "{took} microseconds; a debug build on a busy machine takes a fraction of that"
    );
    assert_eq!(
        world.dir.scan_group(&group("g3"), at(0)).unwrap().entries.len(),
        1000
    );
}

#[test]
fn an_entry_is_read_by_its_path_and_tells_its_age() {
    let mut world = World::new();
    let (entry, _handle) = world.live("q", a1(), 100);
    let read = |path: &Path| world.dir.read_path(path, at(200)).unwrap();
    let found = read(&entry.path).unwrap();
    assert_eq!((&found.path, &found.meta), (&entry.path, &entry.meta));
    // Nothing else is an entry's path.
    for path in [
        "q",
        "q/d",
        "../x/y",
        "q/d/e/f",
        "no/d/proc_20260101_000001Z_7231_61.proc",
    ] {
        assert_eq!(read(&world.path().join(path)), None, "{path}");
    }
    assert_eq!(read(Path::new("/etc/passwd")), None);
    // The later one of the beat and of the file's last change counts, and the future is no age.
    let aged = |beat: i64, mtime| Entry {
        heartbeat: at(beat).secs().unsigned_abs(),
        mtime: at(mtime),
        ..entry.clone()
    };
    assert_eq!(aged(90, 80).age(at(100)), 10_000_000);
    assert_eq!(aged(80, 95).age(at(100)), 5_000_000);
    assert_eq!(aged(80, 120).age(at(100)), 0);
    let odd = Entry {
        heartbeat: u64::MAX,
        ..aged(0, 80)
    };
    assert_eq!(odd.age(at(100)), 0);
}
