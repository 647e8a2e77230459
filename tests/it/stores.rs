//! A store that cannot be used is refused with the cure, and never changed or replaced.

use crate::helper::{Daemon, proctord};

/// The daemon must not start, must say these things, and must leave the file as it is.
fn refused(daemon: &Daemon, said: &[&str]) {
    let store = daemon.path("var/lib/proctor/proctor.db");
    let before = std::fs::read(&store).unwrap();
    let out = proctord(&["--root", daemon.root().to_str().unwrap()]).finish();
    assert!(matches!(out.code(), 1 | 78), "{out:?}");
    for part in said {
        assert!(out.stderr.contains(part), "{part:?} is not in {out:?}");
    }
    assert!(out.stderr.contains("proctor.db"), "{out:?}");
    assert!(std::fs::read(&store).unwrap() == before, "the file was changed");
}

#[test]
fn a_store_that_is_no_database_is_refused_and_kept() {
    let daemon = Daemon::prepare("");
    std::fs::create_dir_all(daemon.path("var/lib/proctor")).unwrap();
    std::fs::write(
        daemon.path("var/lib/proctor/proctor.db"),
        "not a database".repeat(1000),
    )
    .unwrap();
    refused(&daemon, &["not a Proctor database", "move it away"]);
}

#[test]
fn a_store_that_is_damaged_is_refused_and_kept() {
    let mut daemon = Daemon::start("");
    for _ in 0..3 {
        daemon.expect_unharmed();
    }
    daemon.expect_clean();
    daemon.stop();
    let store = daemon.path("var/lib/proctor/proctor.db");
    let mut bytes = std::fs::read(&store).unwrap();
    assert!(
        !daemon.path("var/lib/proctor/proctor.db-wal").exists(),
        "the store was not closed"
    );
    let middle = bytes.len() / 2;
    for byte in bytes.iter_mut().skip(middle).take(4096) {
        *byte = 0xa5;
    }
    // The header stays right; what is behind it does not.
    for byte in bytes.iter_mut().skip(100).take(400) {
        *byte = 0x5a;
    }
    std::fs::write(&store, &bytes).unwrap();
    refused(&daemon, &["damaged"]);
}

#[test]
fn a_store_of_a_newer_release_is_refused_and_kept() {
    let mut daemon = Daemon::start("");
    daemon.expect_unharmed();
    daemon.expect_clean();
    daemon.stop();
    let store = daemon.path("var/lib/proctor/proctor.db");
    let database = rusqlite::Connection::open(&store).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    refused(&daemon, &["schema version 99", "install a version"]);
}

#[test]
fn a_state_directory_that_cannot_be_made_is_told() {
    let daemon = Daemon::prepare("");
    std::fs::write(daemon.path("var"), "a file").unwrap();
    let out = proctord(&["--root", daemon.root().to_str().unwrap()]).finish();
    assert_eq!(out.code(), 1, "{out:?}");
    assert!(out.stderr.contains("var/lib/proctor"), "{out:?}");
}
