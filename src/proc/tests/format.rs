//! Tests of names and bodies, byte for byte.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use proptest::prelude::*;

use super::*;
use crate::proc::entry::{check_heartbeat, decode, encode};
use crate::proc::name::NameIds;

fn parse(name: &str) -> Result<EntryName, NameError> {
    EntryName::parse(OsStr::new(name))
}

#[test]
fn the_worked_example_byte_for_byte() {
    let name = EntryName::new(at(0), &a1().run.id, &a1().attempt).unwrap();
    assert_eq!(name.to_string(), A1_NAME);
    let bytes = encode(at(0), &a1(), None).unwrap();
    assert_eq!(bytes[..8], [0, 0, 0, 0, 0x67, 0x9d, 0x63, 0xff]);
    assert_eq!(std::str::from_utf8(&bytes[8..]).unwrap(), A1_JSON);
    assert_eq!(
        encode(at(5), &a1(), None).unwrap()[..8],
        [0, 0, 0, 0, 0x67, 0x9d, 0x64, 0x04]
    );
    let read = decode(&a1().run.dag, &name, at(0), &bytes).unwrap();
    assert_eq!(
        (read.heartbeat, read.meta, read.owner),
        (A1_SECS.unsigned_abs(), a1(), None)
    );
}

#[test]
fn own_members_follow_those_of_version_1() {
    let bytes = encode(at(0), &a1(), Some(&owner())).unwrap();
    let own = r#","pid":4242,"pidfs_inode":77,"start_ticks":9,"boot_id":"6ee4","cgroup_id":5,"uid":1000,"socket":"/run/proctor/attempts/a1b2c3.sock"}"#;
    let expected = format!("{}{own}", A1_JSON.strip_suffix('}').unwrap());
    assert_eq!(std::str::from_utf8(&bytes[8..]).unwrap(), expected);
    let read = decode(&a1().run.dag, &parse(A1_NAME).unwrap(), at(0), &bytes).unwrap();
    assert_eq!(read.owner, Some(owner()));

    let mut without = owner();
    without.identity = AttemptIdentity {
        pidfs_inode: None,
        start_ticks: None,
        cgroup_id: None,
        ..without.identity
    };
    let bytes = encode(at(0), &a1(), Some(&without)).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("null"));
    let read = decode(&a1().run.dag, &parse(A1_NAME).unwrap(), at(0), &bytes).unwrap();
    assert_eq!(read.owner, Some(without));
}

#[test]
fn other_writers_entries_are_read() {
    let read = |json: &str| decode(&a1().run.dag, &parse(A1_NAME).unwrap(), at(0), &body(0, json)).unwrap();
    // No root, in another order, with members nobody knows, with space at the end.
    let json = r#"{ "started_at":5, "pid":"x", "attempt_id":"a1b2c3", "x":[1.5,null], "dag_run_id":"run-001",
        "dag_name":"etl.daily", "version":1, "root_name":"" }
        "#;
    let found = read(json);
    assert_eq!(
        (found.meta.root.clone(), found.meta.is_root(), found.owner),
        (None, true, None)
    );
    assert_eq!(found.meta.root(), &a1().run);
    let child = read(&A1_JSON.replace(r#""root_name":"etl.daily""#, r#""root_name":"top""#));
    assert!(!child.meta.is_root());
}

#[test]
fn a_legacy_entry_is_read() {
    let beat = body(0, "");
    let read = |name: &str, mtime, bytes: &[u8]| decode(&a1().run.dag, &parse(name).unwrap(), mtime, bytes);
    let found = read(A1_LEGACY, at(3), &beat).unwrap();
    assert_eq!(found.meta.attempt.as_str(), "legacy_72756e2d303031");
    assert_eq!(
        (
            found.meta.run.clone(),
            found.meta.is_root(),
            found.meta.started_at
        ),
        (a1().run, true, A1_SECS)
    );
    // A time that does not exist, then no heartbeat either.
    let odd = "proc_20250231_235959Z_run-001.proc";
    assert_eq!(
        read(odd, at(3), &body(1, "")).unwrap().meta.started_at,
        A1_SECS + 1
    );
    assert_eq!(read(odd, at(3), &[0; 8]).unwrap().meta.started_at, A1_SECS + 3);
    let long = read(
        &format!("proc_20250131_235959Z_{}.proc", "r".repeat(64)),
        at(0),
        &beat,
    )
    .unwrap();
    assert_eq!(long.meta.attempt.as_str().len(), 135);
}

#[test]
fn names_are_strict() {
    let good = [
        (A1_NAME, "run-001", Some("a1b2c3")),
        (A1_LEGACY, "run-001", None),
        ("proc_20250131_235959Z_ab_cd_ef.proc", "ab_cd_ef", None),
        ("proc_20250131_235959Z_AB_cd.proc", "AB_cd", None),
        ("proc_20250131_235959Z__.proc", "_", None),
        ("proc_20240229_000000Z_61_62.proc", "a", Some("b")),
    ];
    for (text, run, attempt) in good {
        let name = parse(text).unwrap();
        assert_eq!(name.to_string(), text);
        assert_eq!(name.run().as_str(), run);
        match name.ids() {
            NameIds::Current { attempt: found, .. } => assert_eq!(attempt, Some(found.as_str())),
            NameIds::Legacy { .. } => assert_eq!(attempt, None),
        }
    }
    let pattern = [
        "",
        "proc_.proc",
        "proc_20250131_235959Z_.proc",
        "proc_20250131_235959_61_62.proc",
        "proc_20250131-235959Z_61_62.proc",
        "proc_2025013\u{663}_235959Z_61_62.proc",
        "Proc_20250131_235959Z_61_62.proc",
        "proc_20250131_235959Z_61_62.proc.tmp",
        "proc_20250131_235959Z_61_62.proc\n",
        "proc_20250131_235959Z_61\n_62.proc",
        "proc_20250131_235959Z_\u{1b}[31m.proc",
        "proc_20250131_235959Z_run.001.proc",
        "proc_20250131_235959Z\u{e4}61_62.proc",
    ];
    for text in pattern {
        assert_eq!(parse(text), Err(NameError::Pattern), "{text:?}");
    }
    assert_eq!(
        EntryName::parse(OsStr::from_bytes(b"proc_\xff.proc")),
        Err(NameError::NotUtf8)
    );
    let stamp = parse("proc_20250231_235959Z_61_62.proc").unwrap_err();
    assert_eq!(
        stamp,
        NameError::Stamp {
            stamp: "20250231_235959Z".to_owned()
        }
    );
    // Two words of lower-case hexadecimal digits are of the current form, as in the seed.
    assert_eq!(
        parse("proc_20250131_235959Z_abc_61.proc"),
        Err(NameError::Hex { what: "run id" })
    );
    assert_eq!(
        parse("proc_20250131_235959Z_61_ff.proc"),
        Err(NameError::Hex { what: "attempt id" })
    );
    assert!(matches!(
        parse("proc_20250131_235959Z_2f_61.proc"),
        Err(NameError::Id(_))
    ));
    let long = format!("proc_20250131_235959Z_{}.proc", "r".repeat(65));
    assert!(matches!(parse(&long), Err(NameError::Id(_))));
    let attempt = AttemptId::new("a".repeat(140)).unwrap();
    assert!(matches!(
        EntryName::new(at(0), &a1().run.id, &attempt),
        Err(NameError::TooLong { .. })
    ));
    let longest = AttemptId::new("a".repeat(16)).unwrap();
    EntryName::new(at(0), &RunId::new("r".repeat(64)).unwrap(), &longest).unwrap();
}

#[test]
fn a_heartbeat_may_be_five_minutes_ahead() {
    let beat = |ahead: i64| check_heartbeat(u64::try_from(A1_SECS + ahead).unwrap(), at(0));
    for fine in [-1_000_000, 0, 299, 300] {
        beat(fine).unwrap();
    }
    let error = beat(301).unwrap_err();
    assert!(matches!(error, EntryError::FutureHeartbeat { ahead: 301, .. }));
    assert!(error.to_string().contains("1738368300"), "{error}");
    assert!(check_heartbeat(u64::MAX, at(0)).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
        let name = parse(A1_NAME).unwrap();
        prop_assert!(decode(&a1().run.dag, &name, at(0), &bytes).is_err());
        prop_assert!(EntryName::parse(OsStr::from_bytes(&bytes)).is_err());
        let error = decode(&a1().run.dag, &name, at(0), &body(0, &text)).unwrap_err().to_string();
        prop_assert!(!error.chars().any(char::is_control), "{:?}", error);
    }

    #[test]
    fn any_ids_make_a_name_that_is_read_back(run in "[-a-zA-Z0-9_]{1,64}", attempt in "[-a-zA-Z0-9_]{1,16}") {
        let (run, attempt) = (RunId::new(run).unwrap(), AttemptId::new(attempt).unwrap());
        let name = EntryName::new(at(7), &run, &attempt).unwrap();
        prop_assert_eq!(&parse(&name.to_string()).unwrap(), &name);
        prop_assert_eq!(name.ids(), &NameIds::Current { run, attempt });
        prop_assert_eq!(name.time(), Some(at(7)));
    }
}
