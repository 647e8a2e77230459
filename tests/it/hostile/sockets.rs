//! T4: sockets are files, so who may reach them is a matter of the file system, and of no network.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;

use super::{apart, as_user, waiting};
use crate::helper::{Daemon, is_root, skip};
use crate::users::two_users;

/// The inode numbers of the sockets that a process holds.
fn sockets_of(pid: u32) -> BTreeSet<String> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let targets = fds.filter_map(|fd| fs::read_link(fd.path()).ok());
    targets
        .filter_map(|target| {
            let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect()
}

/// Of those, the ones with a name, as unix(7) has them in `/proc/net/unix`: in the file system or abstract (`@`).
fn names(inodes: &BTreeSet<String>) -> Vec<String> {
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        let mut fields = line.split_whitespace().skip(6);
        if let (Some(inode), Some(name)) = (fields.next(), fields.next())
            && inodes.contains(inode)
        {
            found.push(name.to_owned());
        }
    }
    found
}

/// How many sockets of any internet protocol they are.
fn of_the_internet(inodes: &BTreeSet<String>) -> usize {
    let tables = ["tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "netlink"];
    let texts = tables.map(|table| fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default());
    let all: BTreeSet<&str> = texts.iter().flat_map(|text| text.split_whitespace()).collect();
    inodes.iter().filter(|inode| all.contains(inode.as_str())).count()
}

#[test]
fn t04_no_socket_is_abstract_and_none_is_of_a_network() {
    let daemon = Daemon::start("");
    let run = daemon.submit("listens", &waiting(&daemon, ":"));
    let shim = daemon.shim(&run);
    let mut seen = 0;
    for pid in [daemon.pid(), shim] {
        let inodes = sockets_of(pid);
        assert_eq!(of_the_internet(&inodes), 0);
        for name in names(&inodes) {
            assert!(name.starts_with(daemon.root().to_str().unwrap()), "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 2, "control socket and status socket: {seen}");
    fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn t04_the_sockets_are_reached_by_their_paths_and_by_nothing_else() {
    if !is_root() {
        return skip("only root can make namespaces");
    }
    let daemon = Daemon::start("");
    let run = daemon.submit("listens", &waiting(&daemon, ":"));
    daemon.shim(&run);
    // In another network they are where they were, as they are in no network.
    let reached = apart(CloneFlags::CLONE_NEWNET, || daemon.ctl(&["ps"]).code());
    if let Err(errno) = reached {
        return skip(&format!("no namespaces can be made here: {errno}"));
    }
    assert_eq!(reached, Ok(0));
    // Where something else is at their place they are not there.
    let none = None::<&str>;
    let out = apart(CloneFlags::CLONE_NEWNS, || {
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(
            Some("none"),
            &daemon.path("run/proctor"),
            Some("tmpfs"),
            MsFlags::empty(),
            none,
        )
        .unwrap();
        daemon.ctl(&["ps"])
    });
    let out = out.unwrap();
    assert_ne!(out.code(), 0, "{out:?}");
    assert!(out.stderr.contains("there is no such socket"), "{out:?}");
    assert_eq!(daemon.ctl(&["ps"]).code(), 0);
    fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

/// The directory and the mode of the control socket decide who reaches it at all.
#[test]
fn t04_who_may_not_write_to_the_socket_or_pass_its_directory_does_not_reach_it() {
    use std::os::unix::net::UnixStream;
    let Some((one, _)) = two_users() else { return };
    for (socket_mode, directory, reached) in [
        ("0666", 0o755, true),
        ("0660", 0o755, false),
        ("0600", 0o755, false),
        ("0666", 0o700, false),
    ] {
        let daemon = Daemon::start(&format!("[control]\nsocket_mode = \"{socket_mode}\"\n"));
        fs::set_permissions(daemon.root(), fs::Permissions::from_mode(directory)).unwrap();
        let socket = daemon.path("run/proctor/control.sock");
        let connected = as_user(&one, || UnixStream::connect(&socket).is_ok());
        assert_eq!(connected, reached, "{socket_mode} in {directory:o}");
        assert!(UnixStream::connect(&socket).is_ok());
        daemon.expect_clean();
    }
}
