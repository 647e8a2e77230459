//! T6 and T7: whom the daemon takes for an attempt's supervisor, and what it kills.

use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;

use proctor::sys::identity::ProcessIdentity;
use proctor::sys::lock;
use serde_json::json;

use super::{Bystander, as_user, ask_to_stop, waiting};
use crate::helper::{Daemon, Running, alive, read, signal, text_of, until};
use crate::users::{ctl_as, open_house, two_users};

/// Has an entry say that its supervisor is this process, as somebody can who got at the descriptor that the supervisor has.
fn forge(entry: &Path, who: &ProcessIdentity) {
    let bytes = std::fs::read(entry).unwrap();
    let (beat, text) = bytes.split_at(8);
    let mut facts: serde_json::Value = serde_json::from_slice(text).unwrap();
    for (name, value) in [
        ("pid", json!(who.pid)),
        ("pidfs_inode", json!(who.pidfs_inode)),
        ("start_ticks", json!(who.start_ticks)),
        ("boot_id", json!(who.boot_id)),
        ("cgroup_id", json!(who.cgroup_id)),
    ] {
        // Without cgroups there is no id of one.
        if facts.get(name).is_some() {
            facts[name] = value;
        }
    }
    assert_eq!(facts["pid"], who.pid, "{facts:#}");
    // In place, so that the lock on it stays.
    std::fs::write(entry, [beat, facts.to_string().as_bytes()].concat()).unwrap();
}

const CONFIGS: [&str; 2] = ["", "[cgroup]\nenabled = false\n"];

#[test]
fn t06_a_foreign_process_is_not_adopted_in_the_place_of_a_living_supervisor() {
    for config in CONFIGS {
        let victim = Bystander::new();
        let mut daemon = Daemon::start(config);
        let run = daemon.submit("forged", &waiting(&daemon, ":"));
        let shim = daemon.shim(&run);
        let entry = until("the entry", || daemon.entries().pop());
        daemon.kill9();
        forge(&entry, &victim.identity());
        daemon.restart();
        assert_eq!(daemon.shim(&run), shim);
        // With the supervisor silent, the stop comes as signals, and the second one kills.
        signal(shim, libc::SIGSTOP);
        ask_to_stop(&daemon, &run);
        ask_to_stop(&daemon, &run);
        victim.expect_alive(&daemon);
        if alive(shim) {
            signal(shim, libc::SIGCONT);
        }
        daemon.wait_end(&run);
        victim.expect_alive(&daemon);
        daemon.expect_clean();
    }
}

#[test]
fn t06_a_foreign_process_is_not_adopted_in_the_place_of_a_dead_supervisor() {
    for config in CONFIGS {
        for held in [false, true] {
            let victim = Bystander::new();
            let mut daemon = Daemon::start(config);
            let run = daemon.submit("forged", &waiting(&daemon, ":"));
            let shim = daemon.shim(&run);
            let entry = until("the entry", || daemon.entries().pop());
            daemon.kill9();
            signal(shim, libc::SIGKILL);
            until("the end of the supervisor", || (!alive(shim)).then_some(()));
            forge(&entry, &victim.identity());
            // Somebody who holds the lock says that the supervisor lives.
            let file = std::fs::File::options()
                .read(true)
                .write(true)
                .open(&entry)
                .unwrap();
            if held {
                assert!(lock::try_lock_exclusive(file.as_fd()).unwrap());
            }
            daemon.restart();
            let end = daemon.wait_end(&run);
            assert!(text_of(&end["error"]).starts_with("lost: supervisor "), "{end:#}");
            victim.expect_alive(&daemon);
            drop(file);
            daemon.expect_clean();
        }
    }
}

/// Where there are no cgroups, what an attempt left is found by variables in the environment, which anybody can set.
#[test]
fn t07_what_a_user_writes_into_environments_ends_no_process_of_another_user() {
    let Some((one, two)) = two_users() else { return };
    let (mut daemon, _) = open_house();
    daemon.stop();
    daemon.configure("[control]\nsocket_mode = \"0666\"\n[cgroup]\nenabled = false\n");
    daemon.restart();
    let text = waiting(
        &daemon,
        "echo $PROCTOR_ATTEMPT_ID $PROCTOR_DAEMON_ID > $DAG_RUN_WORK_DIR/mark",
    );
    let file = daemon.dag("marks", &format!("working_dir: /\n{text}"));
    std::fs::set_permissions(daemon.root(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = ctl_as(&one, daemon.root());
    command.args(["--json", "run", "--detach", &file]);
    let answer = Running::start(command).finish().expect_code(0).json();
    let run = format!("{}:{}", text_of(&answer["dag"]), text_of(&answer["run_id"]));
    let work = daemon.path("var/lib/proctor/work");
    let mark = until("the mark", || {
        let dirs = std::fs::read_dir(&work).unwrap().flatten();
        let found = dirs
            .map(|dir| read(&dir.path().join("mark")))
            .find(|text| text.ends_with('\n'));
        found.map(|text| text.trim().to_owned())
    });
    let (attempt, id) = mark.split_once(' ').unwrap();
    let marked = |uid: u32, gid: u32| {
        Bystander::with(|command| {
            let marks = [("PROCTOR_ATTEMPT_ID", attempt), ("PROCTOR_DAEMON_ID", id)];
            command.env_clear().envs(marks).current_dir("/").uid(uid).gid(gid);
        })
    };
    let (own, other, roots) = (marked(one.uid, one.gid), marked(two.uid, two.gid), marked(0, 0));
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    // The mark works, and only among the owner's processes.
    until("the end of what is the owner's", || {
        (!alive(own.pid())).then_some(())
    });
    daemon.expect_unharmed();
    other.expect_alive(&daemon);
    roots.expect_alive(&daemon);
    drop((own, other, roots));
    daemon.expect_clean();
}

/// A job may move its own processes about in its cgroup, and can take in none from outside.
#[test]
fn t07_a_job_cannot_move_a_process_from_elsewhere_into_its_cgroup() {
    let Some((one, _)) = two_users() else { return };
    let (mut daemon, _) = open_house();
    let file = daemon.dag("moves", &format!("working_dir: /\n{}", waiting(&daemon, ":")));
    std::fs::set_permissions(daemon.root(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = ctl_as(&one, daemon.root());
    command.args(["--json", "run", "--detach", &file]);
    let answer = Running::start(command).finish().expect_code(0).json();
    let run = format!("{}:{}", text_of(&answer["dag"]), text_of(&answer["run_id"]));
    let shim = daemon.shim(&run);
    let Some(cgroup) = daemon.cgroups().pop() else {
        crate::helper::skip("attempts have no cgroups here");
        return;
    };
    // It is the same user's, who may kill it himself, and not the attempt's.
    let outside = Bystander::with(|command| {
        command.uid(one.uid).gid(one.gid).current_dir("/");
    });
    let steps = cgroup.join("steps/cgroup.procs");
    for procs in [&steps, &cgroup.join("cgroup.procs")] {
        let moved = as_user(&one, || std::fs::write(procs, outside.pid().to_string()));
        assert!(moved.is_err(), "{}", procs.display());
    }
    // What is inside may be moved: that is what makes the refusal one of the place.
    as_user(&one, || std::fs::write(&steps, shim.to_string())).unwrap();
    // The daemon finds it there after a restart, and ends all of it at a stop.
    daemon.kill9();
    daemon.restart();
    assert_eq!(daemon.shim(&run), shim);
    daemon.ctl(&["stop", &run]);
    daemon.wait_end(&run);
    outside.expect_alive(&daemon);
    daemon.expect_clean();
}
