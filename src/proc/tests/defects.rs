//! Bad entries: each defect is told apart, and none stops a scan.

use std::os::unix::ffi::OsStrExt;

use super::*;

const PLACE: &str = "etl.daily/etl.daily";

/// What is said about a file with this name and content.
fn defect_of(name: &str, bytes: &[u8]) -> EntryError {
    let world = World::new();
    let path = world.put(PLACE, name, bytes, 0);
    // A good one beside it, and one in another group: neither is lost.
    world.put(PLACE, A1_LEGACY, &body(0, ""), 0);
    world.put("q/other", A1_LEGACY, &body(0, ""), 0);
    let mut scan = world.scan(0);
    assert_eq!(scan.entries.len(), 2);
    let bad = scan.bad.pop().unwrap();
    assert_eq!((&bad.path, scan.bad.len()), (&path, 0));
    assert!(!bad.to_string().contains(|c: char| c.is_control()), "{bad}");
    bad.error
}

fn defect(json: &str) -> EntryError {
    defect_of(A1_NAME, &body(0, json))
}

#[test]
fn each_defect_has_its_error() {
    for len in 0..8 {
        assert!(matches!(defect_of(A1_NAME, &vec![0; len]), EntryError::NoTimestamp { len: l } if l == len));
    }
    assert!(matches!(defect(""), EntryError::NoMetadata));
    for len in 1..A1_JSON.len() {
        let error = defect(A1_JSON.get(..len).unwrap());
        assert!(
            matches!(error, EntryError::MetadataTruncated { len: l } if l == len),
            "{len}: {error}"
        );
    }
    for json in [
        "nonsense",
        "[]",
        "1",
        "{\"version\":1}}",
        "{version:1}",
        "\0",
        "{\"a\":\"\u{1}\"}",
    ] {
        assert!(matches!(defect(json), EntryError::NotJson { .. }), "{json}");
    }
    assert!(matches!(
        defect_of(A1_NAME, &[&body(0, "{\"x\":\"")[..], b"\xff\"}"].concat()),
        EntryError::NotJson { .. }
    ));
    assert!(matches!(defect(&"[".repeat(1000)), EntryError::NotJson { .. }));
    for version in ["2", "0", "-1", "1.0", "\"1\"", "null"] {
        let error = defect(&A1_JSON.replace("\"version\":1", &format!("\"version\":{version}")));
        assert!(matches!(&error, EntryError::Version { .. }), "{error}");
    }
    let large = defect(&" ".repeat(64 * 1024));
    assert!(matches!(large, EntryError::TooLarge { size } if size == 64 * 1024 + 8));
    assert!(matches!(
        defect_of("x.proc", &body(0, A1_JSON)),
        EntryError::BadName(NameError::Pattern)
    ));
    let legacy = "proc_20250131_235959Z_run-002.proc";
    assert!(matches!(
        defect_of(legacy, &body(0, "{}")),
        EntryError::UnexpectedMetadata { len: 2 }
    ));
    assert!(matches!(
        defect_of(A1_NAME, &body(301, A1_JSON)),
        EntryError::FutureHeartbeat { ahead: 301, heartbeat } if heartbeat == A1_SECS.unsigned_abs() + 301
    ));
    assert!(matches!(
        defect_of(legacy, &body(301, "")),
        EntryError::FutureHeartbeat { .. }
    ));
}

#[test]
fn a_wrong_field_is_named() {
    let fields = [
        (r#""version":1,"#, "", "version"),
        (r#""dag_name":"etl.daily""#, r#""dag_name":"""#, "dag_name"),
        (r#""dag_name":"etl.daily""#, r#""dag_name":"a/b""#, "dag_name"),
        (r#""dag_name":"etl.daily""#, r#""dag_name":7"#, "dag_name"),
        (
            r#""dag_run_id":"run-001""#,
            r#""dag_run_id":"run 001""#,
            "dag_run_id",
        ),
        (r#""dag_run_id":"run-001","#, "", "dag_run_id"),
        (r#""attempt_id":"a1b2c3""#, r#""attempt_id":"\n""#, "attempt_id"),
        (r#""attempt_id":"a1b2c3","#, "", "attempt_id"),
        (r#""root_name":"etl.daily","#, "", "root_name"),
        (r#""root_dag_run_id":"run-001","#, "", "root_dag_run_id"),
        (
            r#""root_dag_run_id":"run-001""#,
            r#""root_dag_run_id":"a.b""#,
            "root_dag_run_id",
        ),
        (r#""started_at":1738367999"#, r#""started_at":0"#, "started_at"),
        (r#""started_at":1738367999"#, r#""started_at":-1"#, "started_at"),
        (r#""started_at":1738367999"#, r#""started_at":1.5"#, "started_at"),
        (r#","started_at":1738367999"#, "", "started_at"),
    ];
    for (from, to, name) in fields {
        let json = A1_JSON.replacen(from, to, 1);
        assert_ne!(json, A1_JSON);
        let error = defect(&json);
        assert!(
            matches!(&error, EntryError::Field { field, .. } if *field == name),
            "{json}: {error}"
        );
    }
}

#[test]
fn what_disagrees_with_name_or_place_is_named() {
    let fields = [
        (
            r#""dag_name":"etl.daily""#,
            r#""dag_name":"etl.weekly""#,
            "dag_name",
        ),
        (
            r#""dag_run_id":"run-001""#,
            r#""dag_run_id":"run-002""#,
            "dag_run_id",
        ),
        (
            r#""attempt_id":"a1b2c3""#,
            r#""attempt_id":"a1b2c4""#,
            "attempt_id",
        ),
    ];
    for (from, to, name) in fields {
        let error = defect(&A1_JSON.replacen(from, to, 1));
        assert!(
            matches!(&error, EntryError::Mismatch { field, .. } if *field == name),
            "{error}"
        );
    }
}

#[test]
fn odd_things_neither_block_nor_stop_the_scan() {
    let mut world = World::new();
    world.put_a1(0, 0);
    let place = world.path().join(PLACE);
    let name = |n: u32| place.join(format!("proc_20250131_235959Z_61_{:02x}.proc", 0x60 + n));
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    nix::unistd::mkfifo(&name(1), mode).unwrap();
    std::os::unix::fs::symlink(place.join(A1_NAME), name(2)).unwrap();
    std::fs::create_dir(name(3)).unwrap();
    drop(std::os::unix::net::UnixListener::bind(name(4)).unwrap());
    std::fs::hard_link(world.put("x", "file", b"", 0), name(5)).unwrap();
    // A second name is odd only where others may make names.
    std::fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    std::os::unix::fs::symlink("/dev/null", name(6)).unwrap();
    let device = nix::sys::stat::mknod(
        &name(7),
        nix::sys::stat::SFlag::S_IFCHR,
        mode,
        libc::makedev(1, 3),
    )
    .is_ok();
    std::os::unix::fs::symlink(world.path().join("etl.daily"), world.path().join("link")).unwrap();
    std::fs::write(world.path().join("etl.daily/stray"), "").unwrap();
    std::fs::create_dir(world.path().join("a b")).unwrap();
    std::fs::create_dir(world.path().join("etl.daily").join("\u{1b}[31m\n")).unwrap();
    std::fs::create_dir_all(world.path().join(".hidden/x")).unwrap();
    let raw = std::ffi::OsStr::from_bytes(b"bad\xff\n\x1b.proc");
    std::fs::write(place.join(raw), "").unwrap();

    let scan = world.scan(0);
    assert_eq!(scan.entries.len(), 1);
    let kinds: Vec<_> = scan
        .bad
        .iter()
        .filter_map(|bad| match bad.error {
            EntryError::NotRegular { kind } => Some(kind),
            _ => None,
        })
        .collect();
    let mut expected = vec![
        "FIFO",
        "symbolic link",
        "directory",
        "socket",
        "file with several names",
        "symbolic link",
    ];
    expected.extend(device.then_some("device"));
    assert_eq!(kinds, expected);
    let misplaced = |bad: &&BadEntry| matches!(bad.error, EntryError::Misplaced { .. });
    assert_eq!(scan.bad.iter().filter(misplaced).count(), 5);
    for bad in &scan.bad {
        assert!(!bad.to_string().contains(|c: char| c.is_control()), "{bad}");
    }

    // All can be put aside, and the good one is still there.
    assert_eq!(world.dir.news(&scan).len(), scan.bad.len());
    assert_eq!(world.dir.news(&scan).len(), 0);
    for bad in &scan.bad {
        assert!(world.dir.quarantine(bad, at(0)).unwrap().is_some(), "{bad}");
    }
    let after = world.scan(0);
    assert_eq!((after.entries, after.bad.len()), (scan.entries, 0));
    assert_eq!(
        std::fs::read_dir(world.path().join(".quarantine"))
            .unwrap()
            .count(),
        scan.bad.len()
    );
}

#[test]
fn quarantine_keeps_the_name_and_looks_twice() {
    let mut world = World::new();
    for number in 1..=3 {
        let path = world.put(PLACE, A1_NAME, b"short", 0);
        let scan = world.scan(0);
        let moved = world.dir.quarantine(&scan.bad[0], at(0)).unwrap().unwrap();
        assert_eq!(
            moved,
            world.path().join(format!(".quarantine/{A1_NAME}.{number}"))
        );
        assert_eq!(std::fs::read(&moved).unwrap(), b"short");
        assert!(!path.exists() && !world.path().join("etl.daily").exists());
        assert_eq!(
            world.dir.quarantine(&scan.bad[0], at(0)).unwrap(),
            None,
            "it is gone"
        );
    }
    let path = world.put(PLACE, A1_NAME, b"short", 0);
    let scan = world.scan(0);
    std::fs::write(&path, body(0, A1_JSON)).unwrap();
    assert_eq!(
        world.dir.quarantine(&scan.bad[0], at(0)).unwrap(),
        None,
        "it was put right"
    );
    assert_eq!(world.scan(0).entries.len(), 1);

    let path = world.put(PLACE, A1_NAME, b"short", 0);
    let scan = world.scan(0);
    for number in 0..dir::QUARANTINE_MAX - 3 {
        std::fs::write(world.path().join(format!(".quarantine/{number}")), "").unwrap();
    }
    let error = world.dir.quarantine(&scan.bad[0], at(0)).unwrap_err();
    assert!(
        matches!(error, ProcError::QuarantineFull { .. }) && path.exists(),
        "{error}"
    );
}
