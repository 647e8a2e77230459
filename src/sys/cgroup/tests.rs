//! Tests on the real cgroup tree, where this machine lets it be written.

use super::*;
use crate::sys::testing::{Shell, cgroups};
use nix::poll::{PollFd, PollFlags, PollTimeout};

/// A tree of processes in sessions of their own, in the cgroup; it reports when it stands.
const TREE: &str = "setsid sh -c 'setsid sleep 1000 & echo up; sleep 1000' & sleep 1000 & wait";

fn unique(name: &str) -> String {
    format!("proctor-test-{name}-{}", std::process::id())
}

fn await_empty(cgroup: &Cgroup) {
    let events = cgroup.events_fd().unwrap();
    while populated(&events).unwrap() {
        let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
        assert_eq!(
            nix::poll::poll(&mut fds, PollTimeout::from(10_000u16)).unwrap(),
            1,
            "not empty in time"
        );
    }
}

#[test]
fn kills_a_tree_that_scattered_over_sessions() {
    let Some(root) = cgroups() else { return };
    let cgroup = root.create(&unique("kill")).unwrap();
    assert_eq!(
        root.create(&unique("kill")).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    assert!(root.list().unwrap().contains(&unique("kill")));
    for one_by_one in [false, true] {
        let mut shell = Shell::run_with(TREE, |spawn| spawn.cgroup = Some(&cgroup));
        assert_eq!(shell.line(), "up");
        assert!(cgroup.is_populated().unwrap());
        assert!(cgroup.procs().unwrap().contains(&shell.child.pid));
        assert_eq!(cgroup.remove().unwrap_err().raw_os_error(), Some(libc::EBUSY));
        if one_by_one {
            cgroup.kill_each().unwrap();
        } else {
            cgroup.kill().unwrap();
        }
        await_empty(&cgroup);
        assert!(!cgroup.is_populated().unwrap());
        let status = shell.child.pidfd.wait().unwrap();
        assert_eq!(
            status,
            crate::sys::pidfd::WaitStatus::Signal {
                signal: libc::SIGKILL,
                core: false
            }
        );
    }
    assert!(cgroup.usage().cpu_usec().is_some());
    cgroup.remove().unwrap();
    cgroup.remove().unwrap();
    assert!(root.open(&unique("kill")).unwrap().is_none());
    // What is gone is empty, and killing it is done.
    assert!(!cgroup.is_populated().unwrap());
    cgroup.kill().unwrap();
    assert!(cgroup.procs().unwrap().is_empty());
}

#[test]
fn removes_what_a_job_nested_below() {
    let Some(root) = cgroups() else { return };
    let cgroup = root.create(&unique("nest")).unwrap();
    let inner = CgroupRoot {
        dir: Arc::clone(&cgroup.dir),
        path: PathBuf::new(),
    }
    .subtree("a")
    .unwrap();
    inner.create("b").unwrap();
    cgroup.remove().unwrap();
    assert!(root.open(&unique("nest")).unwrap().is_none());
}

#[test]
fn a_root_that_was_removed_is_gone_whatever_has_its_name_now() {
    let Some(root) = cgroups() else { return };
    let ours = root.subtree(&unique("root")).unwrap();
    assert!(!ours.is_gone());
    std::fs::remove_dir(root.path().join(unique("root"))).unwrap();
    assert!(ours.is_gone());
    let again = root.subtree(&unique("root")).unwrap();
    assert!(ours.is_gone() && !again.is_gone());
    assert_eq!(ours.create("x").unwrap_err().kind(), io::ErrorKind::NotFound);
    std::fs::remove_dir(again.path()).unwrap();
}

#[test]
fn moves_a_process_in_and_finds_its_id() {
    let Some(root) = cgroups() else { return };
    let cgroup = root.create(&unique("move")).unwrap();
    let mut shell = Shell::run("read x");
    cgroup.add_pid(shell.child.pid).unwrap();
    assert_eq!(id_of_process(shell.child.pid), Some(cgroup.id()));
    let reported = shell.child.pidfd.info().unwrap().cgroup_id;
    assert!(reported.is_none_or(|id| id == cgroup.id()));
    shell.close_input();
    shell.child.pidfd.wait().unwrap();
    cgroup.remove().unwrap();
}

#[test]
fn refuses_names_that_lead_elsewhere_and_places_that_are_none() {
    let error = CgroupRoot::detect(Some(Path::new("/proc"))).unwrap_err();
    assert!(error.reason.contains("not in a cgroup v2 file system"), "{error}");
    let Some(root) = cgroups() else { return };
    for name in ["", ".", "..", "a/b", "/", "a\nb", "a\0b"] {
        assert_eq!(
            root.create(name).unwrap_err().kind(),
            io::ErrorKind::InvalidInput,
            "{name:?}"
        );
        assert!(root.open(name).is_err());
    }
}
