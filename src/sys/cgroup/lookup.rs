//! Finding a cgroup again that was made below another root: by its id, which no other one has in the same boot; and what becomes
//! of that root.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::{Cgroup, CgroupRoot, find};
use crate::sys::files::Dir;
use crate::sys::raw;

/// The kind of a file handle that is an id of this kind of file system (`FILEID_KERNFS` of `linux/exportfs.h`, Linux 5.5).
const KIND: i32 = 0xfe;

/// Looks everywhere for the cgroup that has both this name and this id, as [`Cgroup::id`] gave it in this boot; `pid` is a
/// process that may be in it, or in one below it. `None` if there is none, or none that this process may find.
///
/// With the right to open by handle (`CAP_DAC_READ_SEARCH`) it is found wherever it is, else only by that process. Neither the
/// name nor the process is believed: what is given back has the id.
#[must_use]
pub fn by_id(name: &str, id: u64, pid: Option<u32>) -> Option<Cgroup> {
    super::check_name(name).ok()?;
    by_handle(name, id).or_else(|| by_process(name, id, pid?))
}

impl Cgroup {
    /// Whether it is directly below this root: the very cgroup, whatever its path.
    #[must_use]
    pub fn is_below(&self, root: &CgroupRoot) -> bool {
        matches!((inode(&self.parent), inode(&root.dir)), (Ok(above), Ok(root)) if above == root)
    }

    /// Where it is seen, for messages; `None` if that cannot be told.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        Some(find::path_of_descriptor(&self.parent)?.join(&self.name))
    }

    /// Removes the cgroup that this one was in, if that has this name. One that is gone, or has processes or cgroups in it, is no
    /// error.
    ///
    /// # Errors
    /// The reason of the file system, as `EACCES` without the right to.
    pub fn remove_former_root(&self, name: &str) -> io::Result<()> {
        super::check_name(name)?;
        let above = match above(&self.parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let own = inode(&self.parent)?;
        if above.inode_of(name)? != Some(own) {
            return Ok(());
        }
        match above.remove_dir(name) {
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EBUSY | libc::ENOTEMPTY | libc::ENOENT)
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }
}

/// Device and inode.
fn inode(dir: &Dir) -> io::Result<(u64, u64)> {
    let stat = nix::sys::stat::fstat(dir)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// The one above.
fn above(dir: impl AsFd) -> io::Result<Dir> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Dir::from_owned(nix::fcntl::openat(dir, "..", flags, Mode::empty())?)
}

fn by_handle(name: &str, id: u64) -> Option<Cgroup> {
    find::mount_points().iter().find_map(|point| {
        let mount = Dir::open(point).ok()?;
        let found = raw::handle::open_directory(&mount, KIND, id.to_ne_bytes()).ok()?;
        find::check_kind(&found).ok()?;
        // The name is with the one above, and so is the right to remove it.
        exactly(above(&found).ok()?, name, id).ok()?
    })
}

fn by_process(name: &str, id: u64, pid: u32) -> Option<Cgroup> {
    let place = find::path_of_process(pid)?;
    // The process may be in one below, where it was moved.
    let own = place
        .ancestors()
        .find(|dir| dir.file_name().is_some_and(|last| last == name))?;
    at(own.parent()?, name, id).ok()?
}

fn at(parent: &Path, name: &str, id: u64) -> io::Result<Option<Cgroup>> {
    exactly(Dir::open(parent)?, name, id)
}

fn exactly(parent: Dir, name: &str, id: u64) -> io::Result<Option<Cgroup>> {
    find::check_kind(&parent)?;
    let cgroup = Cgroup::below(&Arc::new(parent), name)?;
    Ok((cgroup.id() == id).then_some(cgroup))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::{Shell, cgroups};

    /// Root may not in a user namespace of its own, nor in a container that lacks `CAP_DAC_READ_SEARCH`. Any other failure is
    /// for the test to find.
    fn may_open_by_handle(cgroup: &Cgroup) -> bool {
        let opened = |point: &PathBuf| {
            let mount = Dir::open(point)?;
            raw::handle::open_directory(&mount, KIND, cgroup.id().to_ne_bytes())
        };
        let denied = |opened: &io::Result<_>| matches!(opened, Err(error) if error.kind() == io::ErrorKind::PermissionDenied);
        !find::mount_points()
            .iter()
            .map(opened)
            .all(|opened| denied(&opened))
    }

    #[test]
    fn finds_the_very_cgroup_and_never_one_of_the_same_name() {
        let Some(root) = cgroups() else { return };
        let name = format!("proctor-test-lookup-{}", std::process::id());
        let parents = ["a", "b"].map(|suffix| root.subtree(&format!("{name}-{suffix}")).unwrap());
        let [here, there] = parents.each_ref().map(|parent| parent.create(&name).unwrap());
        let inner = here.child("steps").unwrap();
        let mut shell = Shell::run("read x");
        inner.add_pid(shell.child.pid).unwrap();
        let pid = shell.child.pid;

        let found = by_id(&name, here.id(), Some(pid)).unwrap();
        assert_eq!((found.id(), found.name()), (here.id(), name.as_str()));
        assert!(found.is_populated().unwrap());
        assert_eq!(by_process(&name, here.id(), pid).unwrap().id(), here.id());
        // The process is elsewhere.
        assert!(by_process(&name, there.id(), pid).is_none());
        assert!(by_id("another", here.id(), Some(pid)).is_none());
        assert!(by_id(&name, inner.id(), Some(pid)).is_none());
        assert!(by_id("..", here.id(), Some(pid)).is_none());
        if may_open_by_handle(&here) {
            assert_eq!(
                by_handle(&name, there.id()).map(|found| found.id()),
                Some(there.id())
            );
        } else {
            println!("skipped: nothing may be opened by its handle here");
        }

        shell.close_input();
        shell.child.pidfd.wait().unwrap();
        found.remove().unwrap();
        there.remove().unwrap();
        assert!(by_id(&name, here.id(), None).is_none());
        for parent in parents {
            std::fs::remove_dir(parent.path()).unwrap();
        }
    }
}
