//! The cgroup of the attempts is elsewhere than it was, is gone, or gets controllers only later.

use std::fs::{create_dir, read_to_string, remove_dir, write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::helper::{Control, Daemon, alive, has_capability, is_root, signal, skip, text_of, until};

/// A cgroup that a test has made, to be the parent of a daemon's. It and all below is ended and removed in the end.
struct Parent(PathBuf);

impl Parent {
    fn beside(cgroup: &Path, name: &str) -> Self {
        let path = cgroup.with_file_name(format!("proctor-test-{name}-{}", std::process::id()));
        create_dir(&path).unwrap();
        Self(path)
    }

    /// Where a daemon has its attempts that has it in its configuration.
    fn place(&self, cgroup: &Path) -> PathBuf {
        self.0.join(cgroup.file_name().unwrap())
    }

    fn configuration(&self) -> String {
        format!("[cgroup]\nparent = \"{}\"\n", self.0.display())
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        drop(write(self.0.join("cgroup.kill"), "1"));
        until("the cgroups of the test to be gone", || {
            remove_below(&self.0);
            (!self.0.exists()).then_some(())
        });
    }
}

fn remove_below(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path());
        }
    }
    drop(remove_dir(dir));
}

/// A process that has nothing to do with any attempt, in a cgroup of its own that looks like that of one.
struct Canary(Child);

impl Canary {
    fn put_into(cgroup: &Path) -> Self {
        std::fs::create_dir_all(cgroup).unwrap();
        let canary = Self(Command::new("sleep").arg("3600").spawn().unwrap());
        write(cgroup.join("cgroup.procs"), canary.0.id().to_string()).unwrap();
        canary
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The number of the capability with which files are opened by handle.
const CAP_DAC_READ_SEARCH: u32 = 2;

/// A step that leaves a process which nothing but its cgroup shows to be the attempt's, and waits for `go`.
fn leaves_a_stray(daemon: &Daemon) -> String {
    format!(
        "steps:\n  - name: a\n    script: |\n      i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done\n      setsid env -i /bin/sleep \
         3600 >/dev/null 2>&1 </dev/null &\n      echo $! > {pid}.tmp; mv {pid}.tmp {pid}\n      while [ ! -e {go} ]; do sleep \
         0.02; done\n",
        pid = daemon.path("stray").display(),
        go = daemon.path("go").display()
    )
}

#[test]
fn attempts_keep_their_cgroup_when_the_next_daemon_has_another_place_for_them() {
    for dies in [false, true] {
        let mut daemon = Daemon::start("");
        let Some(usual) = daemon.cgroup() else {
            return skip("cgroups cannot be made here");
        };
        if dies && !has_capability(CAP_DAC_READ_SEARCH) {
            return skip("without a live process in it only root of the machine finds a cgroup by its id");
        }
        let parent = Parent::beside(&usual, "moved");
        let run = daemon.submit("moved", &leaves_a_stray(&daemon));
        let stray: u32 = daemon.wait_file("stray").trim().parse().unwrap();
        let shim = daemon.shim(&run);
        let own = until("the attempt's cgroup", || daemon.cgroups().pop());
        daemon.kill9();
        if dies {
            signal(shim, libc::SIGKILL);
            until("the end of the supervisor", || (!alive(shim)).then_some(()));
        }
        assert!(alive(stray));
        // What has its name at the new place is not it.
        let other = parent.place(&usual).join(own.file_name().unwrap());
        let canary = Canary::put_into(&other);
        daemon.configure(&parent.configuration());
        daemon.restart();
        if !dies {
            assert_eq!(daemon.shim(&run), shim);
            let report = daemon.ctl(&["--json", "doctor"]).json().to_string();
            assert!(!report.contains("its cgroup is missing"), "{report}");
            write(daemon.path("go"), "").unwrap();
        }
        let result = daemon.wait_end(&run);
        assert_eq!(
            text_of(&result["status"]),
            if dies { "failed" } else { "succeeded" },
            "{result:#}"
        );
        until("the end of what it left", || (!alive(stray)).then_some(()));
        until("its cgroup to be removed", || (!own.exists()).then_some(()));
        let status = daemon.status(&run);
        let cpu = status["usage"]["cpu_user_usec"].as_u64();
        assert!(cpu.is_some_and(|usec| usec > 0), "{status:#}");
        assert!(alive(canary.0.id()) && other.exists());
        // The next ones are at the new place.
        std::fs::remove_file(daemon.path("stray")).unwrap();
        drop(std::fs::remove_file(daemon.path("go")));
        let run = daemon.submit("next", &leaves_a_stray(&daemon));
        daemon.wait_file("stray");
        let shim = daemon.shim(&run);
        let place = read_to_string(format!("/proc/{shim}/cgroup")).unwrap();
        assert!(place.contains("proctor-test-moved"), "{place}");
        write(daemon.path("go"), "").unwrap();
        daemon.wait_success(&run);
        // The former place goes with the last one that had its cgroup there.
        until("the former place to be removed", || {
            (!usual.exists()).then_some(())
        });
        drop(canary);
        remove_below(&other);
        daemon.expect_clean();
    }
}

#[test]
fn a_daemon_without_a_manager_makes_a_new_place_when_that_of_the_attempts_is_taken_away() {
    let daemon = Daemon::start("");
    let Some(cgroup) = daemon.cgroup() else {
        return skip("cgroups cannot be made here");
    };
    until("the cgroup to be empty", || remove_dir(&cgroup).ok());
    let run = daemon.submit("homeless", "steps: [{name: a, command: \"true\"}]");
    let result = daemon.wait_success(&run);
    assert_eq!(result["attempt"], 1, "{result:#}");
    assert!(cgroup.exists());
    daemon.wait_log("the cgroup of the attempts was taken away");
    daemon.expect_clean();
}

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// Takes the empty cgroup away and submits a run of each name meanwhile, so that the daemon finds all of it at once.
fn submit_to_the_homeless(daemon: &Daemon, taken: &[&Path]) -> Vec<Control> {
    let mut clients: Vec<Control> = NAMES.iter().map(|_| daemon.control()).collect();
    signal(daemon.pid(), libc::SIGSTOP);
    for cgroup in taken {
        until("the cgroup to be empty", || remove_dir(cgroup).ok());
    }
    for (name, client) in NAMES.iter().zip(&mut clients) {
        client.send(&submission(name)).unwrap();
    }
    signal(daemon.pid(), libc::SIGCONT);
    clients
}

fn submission(name: &str) -> Value {
    json!({"submit": {"source": "steps: [{name: a, command: 'true'}]", "stem": name, "run_id": "homeless"}})
}

/// Each has succeeded, and with its first attempt.
fn expect_success(daemon: &Daemon) {
    for name in NAMES {
        let result = daemon.wait_success(&format!("{name}:homeless"));
        assert_eq!(result["attempt"], 1, "{result:#}");
    }
}

#[test]
fn runs_that_meet_a_place_that_was_taken_away_at_the_same_time_go_on_at_the_new_one() {
    let daemon = Daemon::start("");
    let Some(cgroup) = daemon.cgroup() else {
        return skip("cgroups cannot be made here");
    };
    for client in &mut submit_to_the_homeless(&daemon, &[&cgroup]) {
        client.receive().unwrap().unwrap();
    }
    expect_success(&daemon);
    daemon.wait_log("the cgroup of the attempts was taken away; this is the new one");
    daemon.expect_clean();
}

#[test]
fn a_daemon_that_finds_no_new_place_leaves_and_the_next_one_starts_the_runs() {
    let mut daemon = Daemon::start("");
    let Some(usual) = daemon.cgroup() else {
        return skip("cgroups cannot be made here");
    };
    let parent = Parent::beside(&usual, "leaves");
    daemon.stop();
    daemon.configure(&parent.configuration());
    daemon.restart();
    let clients = submit_to_the_homeless(&daemon, &[&parent.place(&usual), &parent.0]);
    assert_ne!(daemon.wait_end_of_daemon(), Some(0));
    drop(clients);
    let log = daemon.log();
    assert!(
        log.contains("there is no other place for one: cgroup.parent"),
        "{log}"
    );
    create_dir(&parent.0).unwrap();
    daemon.restart();
    // It may have left before it had taken all of them.
    for name in NAMES {
        daemon.control().ask(&submission(name));
    }
    expect_success(&daemon);
    daemon.expect_clean();
}

#[test]
fn controllers_that_become_free_later_are_turned_on_when_they_are_needed() {
    if !is_root() {
        return skip("only root can turn controllers on");
    }
    let mut daemon = Daemon::start("");
    let Some(usual) = daemon.cgroup() else {
        return skip("cgroups cannot be made here");
    };
    let parent = Parent::beside(&usual, "late");
    let has = read_to_string(parent.0.join("cgroup.controllers")).unwrap_or_default();
    if !has.split_whitespace().any(|word| word == "pids") {
        return skip("there is no controller pids here");
    }
    // As when the keeper of the unit is not in its leaf yet.
    let canary = Canary::put_into(&parent.0);
    daemon.stop();
    daemon.configure(&parent.configuration());
    daemon.restart();
    let text = "limits: {pids_max: 50}\nsteps: [{name: a, command: 'true'}]\n";
    let result = daemon.wait_end(&daemon.submit("early", text));
    assert_eq!(result["status"], "failed", "{result:#}");
    let error = text_of(&result["error"]);
    assert!(error.contains("has processes of its own"), "{error}");
    drop(canary);
    daemon.wait_success(&daemon.submit("late", text));
    daemon.wait_log("other controllers are on for attempts now");
    daemon.expect_clean();
}
