//! Entries that another writer has put into the proc directory: kept while they are fresh, removed when they are dead.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};

use crate::helper::{Daemon, pause, signal, until};

const PROC: &str = "[proc]\nheartbeat_interval_sec = 0.1\nstale_after_sec = 0.8\n";
/// With time for a writer that is to be alive, on a machine that has other things to do.
const PATIENT: &str = "[proc]\nheartbeat_interval_sec = 0.1\nstale_after_sec = 5\n";

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Seconds since the epoch, so long ago.
fn before(secs: u64) -> u64 {
    let at = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    at.as_secs() - secs
}

/// A version-1 entry, published as its writers do.
struct Entry {
    path: PathBuf,
    body: String,
}

/// A writer that is alive.
struct Beating(Option<(Sender<()>, std::thread::JoinHandle<()>)>);

impl Drop for Beating {
    fn drop(&mut self) {
        if let Some((stop, writer)) = self.0.take() {
            drop(stop);
            drop(writer.join());
        }
    }
}

impl Entry {
    fn new(daemon: &Daemon, dag: &str, run: &str, attempt: &str) -> Self {
        let dir = daemon.path("run/proctor/proc").join("theirs").join(dag);
        std::fs::create_dir_all(&dir).unwrap();
        let name = format!("proc_20260101_000000Z_{}_{}.proc", hex(run), hex(attempt));
        let body = format!(
            "{{\"version\":1,\"dag_name\":\"{dag}\",\"dag_run_id\":\"{run}\",\"attempt_id\":\"{attempt}\",\"started_at\":1767225600}}"
        );
        Self {
            path: dir.join(name),
            body,
        }
    }

    /// Publishes it with a last sign of life so many seconds ago.
    fn publish(self, age: u64) -> Self {
        let at = before(age);
        let temp = self.path.with_extension("tmp");
        std::fs::write(&temp, [&at.to_be_bytes(), self.body.as_bytes()].concat()).unwrap();
        let file = std::fs::File::options().write(true).open(&temp).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at))
            .unwrap();
        std::fs::rename(&temp, &self.path).unwrap();
        self
    }

    /// Shows signs of life until what is returned is dropped.
    fn keep_beating(&self) -> Beating {
        use std::os::unix::fs::FileExt;
        let path = self.path.clone();
        let (stop, stopped) = channel::<()>();
        let writer = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                // It may have been removed, which the test itself notices.
                if let Ok(file) = std::fs::File::options().write(true).open(&path) {
                    file.write_all_at(&before(0).to_be_bytes(), 0).unwrap();
                }
            }
        });
        Beating(Some((stop, writer)))
    }

    /// Waits until it is removed, for this reason.
    fn expect_removed(&self, daemon: &Daemon, why: &str) {
        until(&format!("{why}\n{}", daemon.log()), || {
            (!self.path.exists()).then_some(())
        });
        let name = self.path.file_name().unwrap().to_str().unwrap();
        let said = |log: &str| log.lines().any(|line| line.contains(name) && line.contains(why));
        until(&format!("the log says of {name}: {why}"), || {
            said(&daemon.log()).then_some(())
        });
    }
}

#[test]
fn a_dead_entry_is_removed_and_its_reason_said_and_a_fresh_one_stays() {
    let daemon = Daemon::start(PATIENT);
    let ended = daemon.submit("ended", "steps: [{name: a, command: 'true'}]");
    daemon.wait_success(&ended);
    let status = daemon.status(&ended);
    let (id, attempt) = (
        status["run_id"].as_str().unwrap().to_owned(),
        status["attempt_id"].as_str().unwrap().to_owned(),
    );
    let fresh = Entry::new(&daemon, "others", "lives", "a").publish(0);
    let beating = fresh.keep_beating();
    let removed = || daemon.doctor_value("foreign entries removed");
    Entry::new(&daemon, "others", "orphan", "a")
        .publish(1000)
        .expect_removed(&daemon, "nothing is known of its run");
    Entry::new(&daemon, "ended", &id, "another")
        .publish(1000)
        .expect_removed(&daemon, "not of the newest attempt of its run");
    Entry::new(&daemon, "ended", &id, &attempt)
        .publish(1000)
        .expect_removed(&daemon, "its run is not running");
    assert_eq!(removed(), 3);
    // While it beats it stays, also for longer than it might be silent.
    pause(6000);
    assert!(fresh.path.exists(), "{}", daemon.log());
    assert_eq!(daemon.doctor_value("foreign entries"), 1);
    // Another attempt of the same run that is dead goes at once.
    let old = Entry::new(&daemon, "others", "lives", "older").publish(1000);
    until("the superseded one", || (!old.path.exists()).then_some(()));
    daemon.wait_log("another attempt of its run is alive");
    // And it goes when it has fallen silent.
    drop(beating);
    fresh.expect_removed(&daemon, "nothing is known of its run");
    assert_eq!(removed(), 5);
    assert_eq!(daemon.doctor_value("foreign entries"), 0);
    daemon.expect_clean();
}

#[test]
fn a_dead_entry_is_found_at_the_start_and_legacy_ones_are_too() {
    let daemon = Daemon::prepare(PROC);
    let entry = Entry::new(&daemon, "others", "orphan", "a").publish(1000);
    let legacy = entry.path.with_file_name("proc_20260101_000000Z_old-run.proc");
    std::fs::write(&legacy, before(1000).to_be_bytes()).unwrap();
    let file = std::fs::File::options().write(true).open(&legacy).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(before(1000)))
        .unwrap();
    let mut daemon = daemon;
    daemon.restart();
    entry.expect_removed(&daemon, "nothing is known of its run");
    until("the legacy one", || (!legacy.exists()).then_some(()));
    daemon.expect_clean();
}

#[test]
fn an_own_attempt_is_left_to_the_kernel_whatever_others_write_of_it() {
    let daemon = Daemon::start(PROC);
    let text = format!(
        "steps:\n  - name: a\n    command: while [ ! -e {} ]; do sleep 0.05; done\n",
        daemon.path("go").display()
    );
    let run = daemon.submit("own", &text);
    let shim = daemon.shim(&run);
    let own = until("the entry", || daemon.entries().pop());
    let status = daemon.status(&run);
    let (id, attempt) = (
        status["run_id"].as_str().unwrap(),
        status["attempt_id"].as_str().unwrap(),
    );
    // A stopped supervisor is silent, and dead entries of others say that its attempt is dead.
    signal(shim, libc::SIGSTOP);
    let duplicate = Entry::new(&daemon, "own", id, attempt).publish(1000);
    duplicate.expect_removed(&daemon, "its attempt has an entry of this daemon");
    let other = Entry::new(&daemon, "own", id, "older").publish(1000);
    other.expect_removed(&daemon, "another attempt of its run is alive");
    assert!(own.exists());
    assert_eq!(daemon.status(&run)["status"], "running");
    signal(shim, libc::SIGCONT);
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn garbage_beside_entries_of_others_stops_nothing_and_is_said_once() {
    let daemon = Daemon::start(PROC);
    let entry = Entry::new(&daemon, "others", "orphan", "a");
    let garbage =
        entry
            .path
            .with_file_name(format!("proc_20260101_000000Z_{}_{}.proc", hex("bad"), hex("a")));
    std::fs::write(&garbage, "rubbish rubbish rubbish").unwrap();
    let half = entry
        .path
        .with_file_name(format!("proc_20260101_000000Z_{}_{}.proc", hex("half"), hex("a")));
    std::fs::write(&half, b"\0\0").unwrap();
    let entry = entry.publish(1000);
    entry.expect_removed(&daemon, "nothing is known of its run");
    let name = garbage.file_name().unwrap().to_str().unwrap();
    until("the warning", || {
        daemon
            .log()
            .lines()
            .any(|line| line.contains(name) && line.contains("no valid entry"))
            .then_some(())
    });
    // It is not touched before somebody wants it repaired.
    assert!(garbage.exists());
    daemon.ctl(&["doctor", "--repair"]);
    assert!(!garbage.exists() && !half.exists());
    daemon.expect_unharmed();
    daemon.expect_clean();
}
