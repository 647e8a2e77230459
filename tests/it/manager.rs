//! The service manager's end of sd_notify(3): what the daemon asks it for, leaves with it and takes back; and what the daemon
//! does when what the manager has made for it is gone.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use proctor::sys::fdpass;
use proctor::sys::features::Features;
use proctor::sys::pidfd::{PidFd, WaitStatus};

use crate::helper::{DEADLINE, Daemon, signal, skip, until};

/// The socket of a manager, and the messages that came.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(daemon: &Daemon) -> Self {
        let socket = UnixDatagram::bind(daemon.path("src/notify")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(socket)
    }

    /// What a manager gives to a service, which may leave so many descriptors with it.
    fn give(daemon: &Daemon, room: u32) -> impl FnOnce(&mut Command) + use<> {
        let path = daemon.path("src/notify");
        move |command| {
            command
                .env("NOTIFY_SOCKET", path)
                .env("FDSTORE", room.to_string());
        }
    }

    /// The next message that has such a line, with what came with it.
    fn next(&self, line: &str) -> (String, Vec<OwnedFd>) {
        loop {
            let mut bytes = [0; 4096];
            let (len, fds) = fdpass::recv_with_fds(self.0.as_fd(), &mut bytes, 8).unwrap();
            let text = String::from_utf8(bytes[..len].to_vec()).unwrap();
            if text.lines().any(|has| has.starts_with(line)) {
                return (text, fds);
            }
        }
    }
}

fn name_in(message: &str) -> &str {
    let name = message.lines().find_map(|line| line.strip_prefix("FDNAME="));
    name.unwrap()
}

/// A step that goes on until there is a file.
fn waits_for(daemon: &Daemon, file: &str) -> String {
    let (pid, go) = (daemon.path(&format!("{file}-pid")), daemon.path(file));
    format!(
        "steps:\n  - name: a\n    script: |\n      echo $$ > {}\n      while [ ! -e {} ]; do sleep 0.05; done\n",
        pid.display(),
        go.display()
    )
}

#[test]
fn a_live_shims_descriptor_is_left_with_the_manager_until_its_end_is_stored() {
    let found = Features::detect();
    if !found.pidfs_inode {
        return skip("this kernel gives processes no inodes (Linux 6.9)");
    }
    let mut daemon = Daemon::prepare("[queue]\nmax_active_runs = 0\n");
    let manager = Manager::listen(&daemon);
    daemon.restart_with(Manager::give(&daemon, 1));
    let first = daemon.submit("first", &waits_for(&daemon, "go-1"));
    let shim = daemon.shim(&first);
    let (message, mut fds) = manager.next("FDSTORE=1");
    assert!(message.lines().any(|line| line == "FDPOLL=0"), "{message}");
    let copy = PidFd::from_owned(fds.pop().unwrap());
    assert_eq!(copy.info().unwrap().pid, Some(shim));
    assert_eq!(name_in(&message), format!("{:x}", copy.inode().unwrap()));
    // There is no room for another one, so its end is not a message either: the next ones are of the first one's end, and then
    // of a third.
    let second = daemon.submit("second", &waits_for(&daemon, "go-2"));
    daemon.wait_file("go-2-pid");
    std::fs::write(daemon.path("go-2"), "").unwrap();
    daemon.wait_success(&second);
    std::fs::write(daemon.path("go-1"), "").unwrap();
    daemon.wait_success(&first);
    let (gone, _) = manager.next("FDSTOREREMOVE=1");
    assert_eq!(name_in(&gone), name_in(&message));
    if found.pidfd_exit_info {
        assert_eq!(copy.info().unwrap().exit, Some(WaitStatus::Code(0)));
    }
    let third = daemon.submit("third", &waits_for(&daemon, "go-3"));
    let (message, _) = manager.next("FDSTORE=1");
    let shim = PidFd::open(daemon.shim(&third)).unwrap();
    assert_eq!(name_in(&message), format!("{:x}", shim.inode().unwrap()));
    // The next daemon was given nothing, as after a stop. Nothing is missed.
    daemon.kill9();
    daemon.restart();
    std::fs::write(daemon.path("go-3"), "").unwrap();
    daemon.wait_success(&third);
    daemon.expect_clean();
}

#[test]
fn a_daemon_that_leaves_hands_over_the_young_as_well() {
    if !Features::detect().pidfs_inode {
        return skip("this kernel gives processes no inodes (Linux 6.9)");
    }
    let mut daemon = Daemon::prepare("");
    let manager = Manager::listen(&daemon);
    daemon.restart_with(Manager::give(&daemon, 8));
    let run = daemon.submit("young", &waits_for(&daemon, "go"));
    let shim = daemon.shim(&run);
    daemon.stop();
    let (_, mut fds) = manager.next("FDSTORE=1");
    let copy = PidFd::from_owned(fds.pop().unwrap());
    assert_eq!(copy.info().unwrap().pid, Some(shim));
    daemon.restart();
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn a_daemon_that_waits_for_attempts_to_stop_asks_for_more_time() {
    let mut daemon = Daemon::prepare("[shutdown]\nattempts = \"stop\"\n");
    let manager = Manager::listen(&daemon);
    daemon.restart_with(Manager::give(&daemon, 0));
    let text = format!(
        "max_clean_up_time_sec: 600\nsteps:\n  - name: a\n    script: |\n      trap 'while [ ! -e {go} ]; do sleep 0.05; done; exit 1' \
         TERM\n      echo $$ > {pid}\n      while :; do sleep 0.05; done\n",
        go = daemon.path("go").display(),
        pid = daemon.path("pid").display()
    );
    let run = daemon.submit("slow", &text);
    daemon.wait_file("pid");
    signal(daemon.pid(), libc::SIGTERM);
    // At once, and again before that is over.
    for _ in 0..2 {
        let (message, fds) = manager.next("EXTEND_TIMEOUT_USEC=");
        let micros = message
            .lines()
            .find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC="));
        assert!(micros.unwrap().parse::<u64>().unwrap() >= 10_000_000, "{message}");
        assert!(fds.is_empty());
    }
    std::fs::write(daemon.path("go"), "").unwrap();
    manager.next("STOPPING=1");
    daemon.wait_end_of_daemon();
    daemon.restart();
    assert_eq!(daemon.wait_end(&run)["status"], "aborted");
    daemon.expect_clean();
}

#[test]
fn a_daemon_whose_cgroup_was_taken_away_leaves_and_the_next_one_starts_the_run() {
    let mut daemon = Daemon::prepare("");
    let manager = Manager::listen(&daemon);
    daemon.restart_with(Manager::give(&daemon, 0));
    let Some(cgroup) = daemon.cgroup() else {
        return skip("cgroups cannot be made here");
    };
    // As when the unit that it belongs to was stopped.
    until("the cgroup to be empty", || std::fs::remove_dir(&cgroup).ok());
    let file = daemon.dag("homeless", "steps: [{name: a, command: \"true\"}]");
    // The answer may get lost; the run is recorded before anything is started.
    drop(daemon.ctl(&["run", "--detach", "--run-id", "once", &file]));
    assert_ne!(daemon.wait_end_of_daemon(), Some(0));
    assert!(
        daemon.log().contains("the cgroup of the attempts is gone"),
        "{}",
        daemon.log()
    );
    drop(manager);
    daemon.restart();
    let result = daemon.wait_success("homeless:once");
    assert_eq!(result["attempt"], 1, "{result:#}");
    daemon.expect_clean();
}
