//! What this kernel offers, found by trying it, for `doctor` and for choosing between ways.

use super::cgroup::CgroupRoot;
use super::pidfd::{PidFd, is_not_child};
use super::spawn::Spawn;
use std::io;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// Release of the kernel, for people; nothing is decided by it.
    pub kernel_release: String,
    /// Processes have unique inodes (Linux 6.9).
    pub pidfs_inode: bool,
    /// A process descriptor tells the cgroup (Linux 6.13).
    pub pidfd_info: bool,
    /// A process descriptor tells how a process that was not a child ended (Linux 6.15).
    pub pidfd_exit_info: bool,
    /// A child can start inside a cgroup (Linux 5.7, not refused by a filter).
    pub clone3_into_cgroup: bool,
    /// Where attempts' cgroups would be, or why there can be none.
    pub cgroup: String,
    /// Whether cgroups can be used.
    pub cgroup_usable: bool,
    /// A cgroup can be killed with one write (Linux 5.14).
    pub cgroup_kill: bool,
    /// Locks of open file descriptions work.
    pub ofd_locks: bool,
}

impl Features {
    /// Tries everything. Starts one short-lived process and makes one short-lived cgroup.
    #[must_use]
    pub fn detect() -> Self {
        let (exit_info, into_cgroup, kill, place) = match CgroupRoot::detect(None) {
            Ok(root) => {
                let name = format!(
                    "proctor-probe-{}-f{}",
                    std::process::id(),
                    super::clock::boot_micros()
                );
                let tried = probe_cgroup(&root, &name).unwrap_or((false, false));
                (
                    probe_exit_info().unwrap_or(false),
                    tried.0,
                    tried.1,
                    Ok(root.path().display().to_string()),
                )
            }
            Err(error) => (
                probe_exit_info().unwrap_or(false),
                false,
                false,
                Err(error.reason),
            ),
        };
        let own = PidFd::open(std::process::id());
        Self {
            kernel_release: nix::sys::utsname::uname()
                .map(|name| name.release().to_string_lossy().into_owned())
                .unwrap_or_default(),
            pidfs_inode: own.as_ref().is_ok_and(|fd| fd.inode().is_ok()),
            pidfd_info: own.is_ok_and(|fd| fd.info_mask().is_some()),
            pidfd_exit_info: exit_info,
            clone3_into_cgroup: into_cgroup,
            cgroup_usable: place.is_ok(),
            cgroup: place.unwrap_or_else(|reason| reason),
            cgroup_kill: kill,
            ofd_locks: probe_locks().unwrap_or(false),
        }
    }
}

/// Runs and reaps the smallest program there is, and asks its descriptor afterwards.
fn probe_exit_info() -> io::Result<bool> {
    for program in ["/bin/true", "/usr/bin/true", "/run/current-system/sw/bin/true"] {
        if let Ok(child) = Spawn::new(program).spawn() {
            return tells_exit(&child.pidfd);
        }
    }
    Ok(false)
}

/// Waits for a child's end, and asks its descriptor how that was.
fn tells_exit(child: &PidFd) -> io::Result<bool> {
    match child.wait() {
        // Whoever reaps all children of this process was faster: it has ended all the same.
        Err(error) if !is_not_child(&error) => Err(error),
        _ => Ok(child.info()?.exit.is_some()),
    }
}

fn probe_cgroup(root: &CgroupRoot, name: &str) -> io::Result<(bool, bool)> {
    let cgroup = root.create(name)?;
    let kill = cgroup.has_kill_file();
    let inside = Spawn {
        cgroup: Some(&cgroup),
        ..Spawn::new("/proc/self/no-such-program")
    }
    .clone3_works();
    cgroup.remove()?;
    Ok((inside, kill))
}

fn probe_locks() -> io::Result<bool> {
    use std::os::fd::AsFd;
    let file = nix::sys::memfd::memfd_create(c"lock", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
    super::lock::try_lock_exclusive(file.as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detection_agrees_with_itself() {
        let found = Features::detect();
        assert!(!found.kernel_release.is_empty());
        assert!(found.ofd_locks);
        assert!(!found.cgroup.is_empty());
        // Later kernels have what earlier ones had.
        assert!(!found.pidfd_exit_info || found.pidfd_info);
        assert!(!found.pidfd_info || found.pidfs_inode);
        println!("{found:?}");
    }

    #[test]
    fn a_probe_finds_the_same_if_somebody_else_reaps_its_child() {
        let spawn = || Spawn::new("/bin/sh").spawn().unwrap().pidfd;
        let alone = tells_exit(&spawn()).unwrap();
        let reaped = spawn();
        reaped.wait().unwrap();
        assert_eq!(tells_exit(&reaped).unwrap(), alone);
    }
}
