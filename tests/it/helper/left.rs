//! What of a private daemon's tree is there: processes, cgroups, sockets, entries.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use proctor::sys::pidfd::PidFd;
use rustix::net::sockopt::{socket_acceptconn, socket_peercred, socket_type};
use rustix::net::{Shutdown, SocketType, shutdown};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use sha2::{Digest, Sha256};

/// Whether a process exists and is not a zombie.
pub(crate) fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with('Z'));
        state == Some(false)
    })
}

fn pids() -> Vec<u32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Breaks the lines that connect a process with another one: both ends see the end of the stream, and neither process is
/// harmed. Says how many there were.
pub(crate) fn break_lines(pid: u32, other: u32) -> usize {
    let (Ok(process), Ok(fds)) = (PidFd::open(pid), std::fs::read_dir(format!("/proc/{pid}/fd"))) else {
        return 0;
    };
    fds.flatten()
        .filter_map(|fd| fd.file_name().to_str()?.parse().ok())
        .filter_map(|number| pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok())
        .filter(|copy| {
            let peer = socket_peercred(copy).map(|peer| peer.pid.as_raw_pid().unsigned_abs());
            // The socket that it listens on was made by the other one, too.
            socket_acceptconn(copy) == Ok(false)
                && socket_type(copy) == Ok(SocketType::STREAM)
                && peer == Ok(other)
        })
        .filter(|copy| shutdown(copy, Shutdown::Both).is_ok())
        .count()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Whether a process has the text in its environment.
pub(crate) fn environ_has(pid: u32, text: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|bytes| contains(&bytes, text.as_bytes()))
}

/// The live processes that have to do with a root: its path is in their environment or command line, or they hold
/// a file below it open. Not this process.
pub(crate) fn processes_below(root: &Path) -> Vec<(u32, String)> {
    let own = std::process::id();
    let text = root.as_os_str().as_bytes();
    let mut found = Vec::new();
    for pid in pids() {
        if pid == own || !alive(pid) {
            continue;
        }
        let file = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let holds = || {
            std::fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|fds| {
                fds.flatten()
                    .filter_map(|fd| std::fs::read_link(fd.path()).ok())
                    .any(|target| target.starts_with(root))
            })
        };
        if contains(&file("environ"), text) || contains(&file("cmdline"), text) || holds() {
            let command = String::from_utf8_lossy(&file("cmdline")).replace('\0', " ");
            found.push((pid, command));
        }
    }
    found
}

/// The cgroup below which a private daemon has its attempts, if it is there.
pub(super) fn cgroup_of(root: &Path) -> Option<PathBuf> {
    let state = root.join("var/lib/proctor");
    let hash = Sha256::digest(state.as_os_str().as_bytes());
    let hash: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    find(Path::new("/sys/fs/cgroup"), &format!("proctor-{hash}"), 6)
}

fn find(dir: &Path, name: &str, depth: u32) -> Option<PathBuf> {
    let here = dir.join(name);
    if here.is_dir() {
        return Some(here);
    }
    if depth == 0 {
        return None;
    }
    std::fs::read_dir(dir)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find_map(|entry| find(&entry.path(), name, depth - 1))
}

/// Removes a cgroup and what is below it, killing what lives there.
pub(super) fn remove_cgroup(dir: &Path) {
    drop(std::fs::write(dir.join("cgroup.kill"), "1"));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    drop(std::fs::remove_dir(dir));
}
