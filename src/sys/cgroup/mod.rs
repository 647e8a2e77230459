//! Control groups (v2): one directory per attempt, which counts, finds and kills all its processes, however
//! they detached themselves.
//!
//! Works without controllers, also in the v2 part of a hybrid system; then limits and most statistics are missing.

mod control;
mod find;
mod kill;
mod lookup;
mod stats;
mod usage;
mod walk;

pub use control::{Controller, Controllers, LimitError};
pub use find::{CgroupUnavailable, id_of_process, own_path};
pub use lookup::by_id;
pub use stats::{Events, Hits};
pub use usage::SubtreeUsage;

use super::files::{self, Dir};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use walk::{child_names, procs_in, remove_below, walk, walk_names};

/// How deep a job may have nested cgroups of its own before removal gives up.
const DEEPEST: usize = 32;

/// A cgroup under which attempts get theirs.
#[derive(Debug, Clone)]
pub struct CgroupRoot {
    dir: Arc<Dir>,
    path: PathBuf,
}

impl CgroupRoot {
    /// Finds where this process can make cgroups: at `hint` (a directory of a cgroup2 mount), or below its
    /// own cgroup. Proves it by making one with a throw-away name and removing it.
    ///
    /// # Errors
    /// [`CgroupUnavailable`] with the reason, for people.
    pub fn detect(hint: Option<&Path>) -> Result<Self, CgroupUnavailable> {
        let path = match hint {
            Some(path) => path.to_owned(),
            None => own_path()?,
        };
        let refuse = |what: &str, error: &dyn std::fmt::Display| CgroupUnavailable {
            reason: format!("{what} {}: {error}", path.display()),
        };
        let dir = Dir::open(&path).map_err(|error| refuse("cannot open", &error))?;
        find::check_kind(&dir).map_err(|error| refuse("cannot use", &error))?;
        let root = Self {
            dir: Arc::new(dir),
            path: path.clone(),
        };
        let probe = format!(
            "proctor-probe-{}-{}",
            std::process::id(),
            super::clock::boot_micros()
        );
        let cgroup = root
            .create(&probe)
            .map_err(|error| refuse("cannot make a cgroup below", &error))?;
        let kill = cgroup.dir.open_regular("cgroup.procs").map(drop);
        cgroup
            .remove()
            .map_err(|error| refuse("cannot remove a cgroup below", &error))?;
        kill.map_err(|error| refuse("no cgroup.procs below", &error))?;
        Ok(root)
    }

    /// The path it was found at, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was removed, by whomever: nothing can be made in it any more, whatever has its name now.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        is_removed(&self.dir)
    }

    /// Opens the cgroup `name` below this one as a root of its own, making it if needed.
    ///
    /// # Errors
    /// `InvalidInput` for a bad name; otherwise the reason of the file system.
    pub fn subtree(&self, name: &str) -> io::Result<Self> {
        check_name(name)?;
        let dir = self.dir.ensure_dir(name, 0o755)?;
        Ok(Self {
            dir: Arc::new(dir),
            path: self.path.join(name),
        })
    }

    /// Makes the cgroup `name`, which must not exist.
    ///
    /// # Errors
    /// `AlreadyExists`; `InvalidInput` for a bad name; `EAGAIN` at the limit of `cgroup.max.descendants`.
    pub fn create(&self, name: &str) -> io::Result<Cgroup> {
        check_name(name)?;
        self.dir.create_dir(name, 0o755)?;
        Cgroup::below(&self.dir, name)
    }

    /// Opens the cgroup `name`; `None` if there is none.
    ///
    /// # Errors
    /// `InvalidInput` for a bad name; otherwise the reason of the file system.
    pub fn open(&self, name: &str) -> io::Result<Option<Cgroup>> {
        check_name(name)?;
        match Cgroup::below(&self.dir, name) {
            Ok(cgroup) => Ok(Some(cgroup)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Names of the cgroups directly below; names that are not UTF-8 are not ours and left out.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> io::Result<Vec<String>> {
        child_names(&self.dir)
    }
}

/// One cgroup, held by its directory: it stays the same cgroup even if the name is used again.
/// A clone shares the descriptor.
#[derive(Debug, Clone)]
pub struct Cgroup {
    parent: Arc<Dir>,
    dir: Arc<Dir>,
    name: String,
    id: u64,
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Cgroup {
    fn below(parent: &Arc<Dir>, name: &str) -> io::Result<Self> {
        let dir = parent.open_child_dir(name)?;
        let id = nix::sys::stat::fstat(&dir)?.st_ino;
        Ok(Self {
            parent: Arc::clone(parent),
            dir: Arc::new(dir),
            name: name.to_owned(),
            id,
        })
    }

    /// Takes a cgroup's directory that came from another process. Such a cgroup can be entered, killed and
    /// looked at, but not removed: its parent is not known.
    ///
    /// # Errors
    /// When the descriptor is no directory.
    pub fn from_owned(fd: std::os::fd::OwnedFd) -> io::Result<Self> {
        let dir = Arc::new(Dir::from_owned(fd)?);
        let id = nix::sys::stat::fstat(&dir)?.st_ino;
        Ok(Self {
            parent: Arc::clone(&dir),
            dir,
            name: String::from("."),
            id,
        })
    }

    /// Makes, or opens, the cgroup `name` below this one.
    ///
    /// # Errors
    /// `InvalidInput` for a bad name; otherwise the reason of the file system.
    pub fn child(&self, name: &str) -> io::Result<Self> {
        check_name(name)?;
        self.dir.ensure_dir(name, 0o755)?;
        Self::below(&self.dir, name)
    }

    /// Lets a user move processes in and, with `kill`, kill what is inside; nothing else changes hands. A move
    /// needs this right over the destination and over the common ancestor (cgroups(7), "Delegation").
    ///
    /// # Errors
    /// When the owner cannot be changed.
    pub fn give_to(&self, uid: u32, gid: u32, kill: bool) -> io::Result<()> {
        files::fchown(self.dir.open_for_writing("cgroup.procs")?, uid, gid)?;
        if kill && self.has_kill_file() {
            files::fchown(self.dir.open_for_writing("cgroup.kill")?, uid, gid)?;
        }
        Ok(())
    }

    /// Its id, as `PIDFD_GET_INFO` gives it for a process inside: the inode number of the directory.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its name below its root.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same cgroup once more. Descriptors are shared, so this cannot fail in practice.
    ///
    /// # Errors
    /// Never; the signature leaves room for a descriptor of its own.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(self.clone())
    }

    pub(super) fn open_procs(&self) -> io::Result<File> {
        self.dir.open_for_writing("cgroup.procs")
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        // One write call: the kernel takes each write as one whole command.
        nix::unistd::write(self.dir.open_for_writing(file)?, text.as_bytes())?;
        Ok(())
    }

    /// Moves a process in. Prefer starting it inside; a moved process may have forked before.
    ///
    /// # Errors
    /// `ESRCH` if it is gone; `EACCES` without the right over both cgroups; `EBUSY` if controllers forbid it.
    pub fn add_pid(&self, pid: u32) -> io::Result<()> {
        if pid == 0 {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        self.write("cgroup.procs", &pid.to_string())
    }

    /// Moves the calling process in.
    ///
    /// # Errors
    /// As [`Cgroup::add_pid`].
    pub fn add_self(&self) -> io::Result<()> {
        self.write("cgroup.procs", "0")
    }

    /// The processes in this very cgroup, without those of cgroups below. A process of a foreign pid
    /// namespace shows as 0 and is left out.
    ///
    /// # Errors
    /// `ENODEV` once the cgroup is removed.
    pub fn procs(&self) -> io::Result<Vec<u32>> {
        procs_in(&self.dir)
    }

    /// The processes in this cgroup and all below.
    ///
    /// # Errors
    /// As [`Cgroup::procs`].
    pub fn procs_all(&self) -> io::Result<Vec<u32>> {
        let mut found = Vec::new();
        walk(&self.dir, DEEPEST, &mut |dir| {
            found.extend(procs_in(dir)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Whether any process, not counting zombies, is inside or below. A removed cgroup has none.
    ///
    /// # Errors
    /// When `cgroup.events` cannot be read.
    pub fn is_populated(&self) -> io::Result<bool> {
        match self.events_fd() {
            Ok(file) => populated(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The file `cgroup.events`: polls ready (`POLLPRI`) when it changes; read it with [`populated`].
    /// The kernel lets it change every 10 ms at most.
    ///
    /// # Errors
    /// `NotFound` once the cgroup is removed.
    pub fn events_fd(&self) -> io::Result<File> {
        self.dir.open_for_reading("cgroup.events")
    }

    /// Removes the cgroup and those that its processes made below it. One that is gone is no error.
    ///
    /// # Errors
    /// `EBUSY` while a live process is inside.
    pub fn remove(&self) -> io::Result<()> {
        match remove_below(&self.parent, &self.name) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                walk_names(&self.dir, DEEPEST, &mut |dir, name| remove_below(dir, name))?;
                remove_below(&self.parent, &self.name)
            }
            other => other,
        }
    }
}

/// Reads `populated` from an open `cgroup.events` file.
///
/// # Errors
/// When the file is something else. A removed cgroup (`ENODEV`) is not populated.
pub fn populated(events: &File) -> io::Result<bool> {
    let mut buffer = [0u8; 256];
    let length = match events.read_at(&mut buffer, 0) {
        Ok(length) => length,
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(false),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or(&[])).into_owned();
    stats::field(&text, "populated")
        .map(|value| value != 0)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "cgroup.events without `populated`"))
}

/// A removed cgroup's directory can still be held open; it has lost its files then. Its count of links does not tell.
fn is_removed(dir: &Dir) -> bool {
    matches!(dir.inode_of("cgroup.procs"), Ok(None))
}

fn check_name(name: &str) -> io::Result<()> {
    let bad = name.is_empty()
        || name == "."
        || name == ".."
        || name.len() > 255
        || name.contains(['/', '\0', '\n']);
    if bad {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("not a cgroup name: {name:?}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
