//! The proc directory in wrong hands: a deleted entry comes back, rubbish is put aside, and nothing stops.

use std::os::unix::fs::symlink;

use crate::helper::{Daemon, read, until};

/// A step that ends when the file `go` is there.
fn waiting(daemon: &Daemon) -> String {
    format!(
        "steps:\n  - name: a\n    command: while [ ! -e {} ]; do sleep 0.05; done\n",
        daemon.path("go").display()
    )
}

#[test]
fn an_entry_that_is_deleted_while_its_attempt_runs_is_made_again() {
    let daemon = Daemon::start("[proc]\nheartbeat_interval_sec = 0.1\n");
    let run = daemon.submit("heals", &waiting(&daemon));
    daemon.shim(&run);
    let entry = until("the entry", || daemon.entries().pop());
    let before = std::fs::read(&entry).unwrap();
    std::fs::remove_file(&entry).unwrap();
    until("the new entry", || entry.exists().then_some(()));
    let after = std::fs::read(&entry).unwrap();
    assert_eq!(
        before.get(8..),
        after.get(8..),
        "all but the heartbeat is the same"
    );
    // The new one beats: its first eight bytes are a time, and the file changes.
    let changed = || std::fs::metadata(&entry).unwrap().modified().unwrap();
    let first = changed();
    until("a beat", || (changed() > first).then_some(()));
    assert_eq!(daemon.doctor_value("entries made again"), 1);
    // Also with the directory around it, and again in the new directory.
    let group = entry.parent().unwrap().parent().unwrap();
    std::fs::rename(group, daemon.path("moved")).unwrap();
    until("the new directory", || entry.exists().then_some(()));
    std::fs::remove_file(&entry).unwrap();
    until("the new entry in the new directory", || {
        entry.exists().then_some(())
    });
    assert_eq!(daemon.status(&run)["status"], "running");
    let report = daemon.json(&["doctor"]);
    assert_eq!(report["ok"], true, "{report:#}");
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn an_entry_that_was_deleted_while_there_was_no_daemon_is_made_again_by_the_next_one() {
    let mut daemon = Daemon::start("");
    let run = daemon.submit("heals", &waiting(&daemon));
    let shim = daemon.shim(&run);
    let entry = until("the entry", || daemon.entries().pop());
    daemon.kill9();
    std::fs::remove_file(&entry).unwrap();
    daemon.restart();
    until("the new entry", || daemon.entries().pop());
    let report = daemon.json(&["doctor"]);
    assert_eq!(report["ok"], true, "{report:#}");
    assert_eq!(daemon.shim(&run), shim);
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

/// Rubbish of every kind, in the place of entries of a DAG. Gives the number of pieces.
fn litter(daemon: &Daemon) -> usize {
    let dir = daemon.path("run/proctor/proc/rubbish/rubbish");
    std::fs::create_dir_all(&dir).unwrap();
    let name = |n: u32| dir.join(format!("proc_20260101_00000{n}Z_7231_61{n}{n}.proc"));
    std::fs::write(dir.join("notes.txt"), "not an entry").unwrap();
    std::fs::write(name(1), "").unwrap();
    std::fs::write(name(2), [0xff; 8]).unwrap();
    std::fs::write(name(3), b"\0\0\0\0\x69\0\0\0{\"version\":1,").unwrap();
    std::fs::write(name(4), b"\0\0\0\0\x69\0\0\0\xff\xfe garbage").unwrap();
    std::fs::write(name(5), vec![b'x'; 2 * 1024 * 1024]).unwrap();
    symlink("/etc/passwd", name(6)).unwrap();
    symlink(&dir, name(7)).unwrap();
    nix::unistd::mkfifo(&name(8), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::create_dir(name(9)).unwrap();
    std::fs::write(dir.join("proc_bad\nname_\x1b[31m.proc"), "x").unwrap();
    11
}

#[test]
fn rubbish_in_the_proc_directory_is_put_aside_and_stops_nothing() {
    let mut daemon = Daemon::start("[queue]\nmax_active_runs = 0\n");
    let passwd = read("/etc/passwd".as_ref());
    let run = daemon.submit("lives", &waiting(&daemon));
    daemon.shim(&run);
    let pieces = litter(&daemon);
    daemon.expect_unharmed();
    let report = daemon.ctl(&["--json", "doctor"]).json();
    assert_eq!(report["ok"], false, "{report:#}");
    // A daemon that starts amid rubbish serves, and takes up what is live.
    daemon.kill9();
    daemon.restart();
    assert_eq!(daemon.status(&run)["status"], "running");
    daemon.expect_unharmed();
    daemon.ctl(&["doctor", "--repair"]);
    let report = daemon.json(&["doctor"]);
    assert_eq!(report["ok"], true, "{pieces} pieces: {report:#}");
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    assert_eq!(read("/etc/passwd".as_ref()), passwd);
    for line in daemon.log().lines() {
        assert!(!line.contains('\x1b'), "a control character in the log: {line:?}");
    }
    daemon.expect_clean();
}
