//! The directory: walking it, and removing from it.

mod quarantine;
pub(super) mod walk;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::entry::{Entry, EntryError};
use super::name::NameError;
use super::read::{Place, read_entry};
use super::scan::Scan;
use super::verdict::Writer;
use crate::model::{DagName, GroupName, Time};
use crate::sys::files::{Dir, fchmod};

pub use quarantine::QUARANTINE_MAX;

/// Mode of the directories: everybody may look who may pass the directories above.
const DIR_MODE: u32 = 0o755;

/// Why an operation on the proc directory failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcError {
    /// The system refused.
    #[error("cannot {operation} {path:?}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// No file name can be made of the ids.
    #[error("cannot make a proc entry: {0}")]
    Name(#[from] NameError),
    /// The metadata cannot be written.
    #[error("cannot make a proc entry: {0}")]
    Meta(#[from] EntryError),
    /// An entry with that name is there already.
    #[error("{path:?} exists already: its attempt was launched before")]
    Exists {
        /// The entry.
        path: PathBuf,
    },
    /// Somebody holds the lock on the file.
    #[error("{path:?} is locked by a living process and is not removed")]
    Held {
        /// The file.
        path: PathBuf,
    },
    /// The quarantine is full.
    #[error("the quarantine {path:?} holds {QUARANTINE_MAX} files: look at them and remove them")]
    QuarantineFull {
        /// Its directory.
        path: PathBuf,
    },
}

impl ProcError {
    pub(super) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            operation,
            path: path.into(),
            source,
        }
    }
}

/// What became of an entry that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is removed.
    Removed,
    /// It was gone already.
    Gone,
    /// It is left, as it is not (or not any more) what was to be removed.
    Kept,
}

/// The proc directory. There is one in a daemon, and one daemon for a directory; what changes it takes
/// `&mut self`. So counting a group and preparing an entry in it cannot be interleaved with another's, which is
/// what a lock on the group was for in the seed.
///
/// Directories have mode 0755 and entries 0644, whatever the umask; both belong to the daemon's user. Missing
/// directories are made when they are needed, also the outermost.
#[derive(Debug)]
pub struct ProcDir {
    pub(super) path: PathBuf,
    pub(super) stale_after: Duration,
    /// Number of the next temporary file.
    pub(super) next_temp: u64,
    /// Bad entries that were there at the last call of [`ProcDir::news`].
    known_bad: BTreeMap<PathBuf, Option<(u64, u64)>>,
}

/// Opens a directory in another, making it with [`DIR_MODE`] if it is not there.
fn ensure(parent: &Dir, name: &str) -> io::Result<Dir> {
    let made = parent.create_dir(name, DIR_MODE);
    let dir = match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => parent.open_child_dir(name)?,
    };
    if made.is_ok() {
        fchmod(&dir, DIR_MODE)?;
    }
    Ok(dir)
}

fn is_not_empty(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
    )
}

/// Removes the DAG's directory and then the group's, each if it is empty.
pub(super) fn tidy(root_path: &Path, group: &GroupName, dag: &DagName) -> Result<(), ProcError> {
    let Ok(root) = Dir::open(root_path) else {
        return Ok(());
    };
    let removed = root
        .open_child_dir(group.as_str())
        .and_then(|dir| dir.remove_dir(dag.as_str()));
    match removed {
        Err(error) if is_not_empty(&error) => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let path = root_path.join(group.as_str()).join(dag.as_str());
            return Err(ProcError::io("remove", path)(error));
        }
        _ => {}
    }
    match root.remove_dir(group.as_str()) {
        Err(error) if !is_not_empty(&error) && error.kind() != io::ErrorKind::NotFound => {
            Err(ProcError::io("remove", root_path.join(group.as_str()))(error))
        }
        _ => Ok(()),
    }
}

impl ProcDir {
    /// Opens the directory, making it if it is not there; the one above it must be. A heartbeat as old as
    /// `stale_after` is stale.
    ///
    /// # Errors
    /// [`ProcError::Io`], also if the path leads to something else.
    pub fn open(path: impl Into<PathBuf>, stale_after: Duration) -> Result<Self, ProcError> {
        let dir = Self {
            path: path.into(),
            stale_after,
            next_temp: 0,
            known_bad: BTreeMap::new(),
        };
        dir.root()?;
        Ok(dir)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the directory in which the entries of a DAG lie.
    #[must_use]
    pub fn dag_path(&self, group: &GroupName, dag: &DagName) -> PathBuf {
        self.path.join(group.as_str()).join(dag.as_str())
    }

    /// Opens the outermost directory. It is opened by path each time, so that one that was removed and made
    /// again is found.
    pub(super) fn root(&self) -> Result<Dir, ProcError> {
        let failed = |source| ProcError::Io {
            operation: "open",
            path: self.path.clone(),
            source,
        };
        match Dir::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (Some(above), Some(name)) = (
                    self.path.parent(),
                    self.path.file_name().and_then(|name| name.to_str()),
                ) else {
                    return Err(failed(error));
                };
                let above = if above.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    above
                };
                Dir::open(above)
                    .and_then(|above| ensure(&above, name))
                    .map_err(failed)
            }
            other => other.map_err(failed),
        }
    }

    /// Makes and opens the directory of a DAG.
    pub(super) fn dag_dir(&self, group: &GroupName, dag: &DagName) -> Result<Dir, ProcError> {
        let root = self.root()?;
        // Another process may tidy an empty directory away between the two steps.
        let mut tries = 0;
        loop {
            let made = ensure(&root, group.as_str()).and_then(|group| ensure(&group, dag.as_str()));
            match made {
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < 8 => tries += 1,
                other => return other.map_err(ProcError::io("make", self.dag_path(group, dag))),
            }
        }
    }

    /// Opens the directory of a DAG if it is there.
    fn existing_dag_dir(&self, group: &GroupName, dag: &DagName) -> Result<Option<Dir>, ProcError> {
        let path = self.dag_path(group, dag);
        let opened = Dir::open(&self.path)
            .and_then(|root| root.open_child_dir(group.as_str()))
            .and_then(|group| group.open_child_dir(dag.as_str()));
        match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some).map_err(ProcError::io("open", path)),
        }
    }

    /// Reads one entry again; `None` if it is gone.
    ///
    /// # Errors
    /// [`ProcError::Io`] for its directory, [`ProcError::Meta`] if it has become invalid.
    pub fn read_again(&self, entry: &Entry, now: Time) -> Result<Option<Entry>, ProcError> {
        let dag = &entry.meta.run.dag;
        let Some(dir) = self.existing_dag_dir(&entry.group, dag)? else {
            return Ok(None);
        };
        let path = self.dag_path(&entry.group, dag);
        let place = Place {
            dir: &dir,
            path: &path,
            group: &entry.group,
            dag,
        };
        Ok(read_entry(place, entry.name.to_string().as_ref(), now)?)
    }

    /// Reads the entry at a path in the directory of a DAG; `None` if it is gone, or the path is another one.
    ///
    /// # Errors
    /// As [`Self::read_again`].
    pub fn read_path(&self, path: &Path, now: Time) -> Result<Option<Entry>, ProcError> {
        let below = path.strip_prefix(&self.path).unwrap_or(Path::new(""));
        let mut parts = below.iter();
        let (Some(group), Some(dag), Some(file), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Ok(None);
        };
        let text = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
        let (Ok(group), Ok(dag)) = (GroupName::new(text(group)), DagName::new(text(dag))) else {
            return Ok(None);
        };
        let Some(dir) = self.existing_dag_dir(&group, &dag)? else {
            return Ok(None);
        };
        let path = self.dag_path(&group, &dag);
        let place = Place {
            dir: &dir,
            path: &path,
            group: &group,
            dag: &dag,
        };
        Ok(read_entry(place, file, now)?)
    }

    /// Removes the entry if its name still leads to the file that was read, and the directories that become
    /// empty with it.
    ///
    /// # Errors
    /// [`ProcError::Io`].
    pub fn remove(&mut self, entry: &Entry) -> Result<Removal, ProcError> {
        let dag = &entry.meta.run.dag;
        let removal = match self.existing_dag_dir(&entry.group, dag)? {
            None => Removal::Gone,
            Some(dir) => self.remove_file(&dir, entry)?,
        };
        self.tidy(&entry.group, dag)?;
        Ok(removal)
    }

    fn remove_file(&self, dir: &Dir, entry: &Entry) -> Result<Removal, ProcError> {
        let name = entry.name.to_string();
        match dir
            .inode_of(&name)
            .map_err(ProcError::io("inspect", &entry.path))?
        {
            None => return Ok(Removal::Gone),
            Some(inode) if inode != entry.inode => return Ok(Removal::Kept),
            Some(_) => {}
        }
        match dir.remove_file(&name) {
            Ok(()) => Ok(Removal::Removed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Removal::Gone),
            Err(error) => Err(ProcError::io("remove", &entry.path)(error)),
        }
    }

    /// Removes a foreign entry that is stale and has not changed since it was read. Entries of Proctor are kept:
    /// silence says nothing about them. A foreign writer that beats between the last look and the removal makes
    /// its entry again by itself (seed-spec 1.10).
    ///
    /// # Errors
    /// As [`Self::remove`] and [`Self::read_again`].
    pub fn remove_if_stale(&mut self, entry: &Entry, now: Time) -> Result<Removal, ProcError> {
        if entry.writer() == Writer::Own {
            return Ok(Removal::Kept);
        }
        let Some(again) = self.read_again(entry, now)? else {
            self.tidy(&entry.group, &entry.meta.run.dag)?;
            return Ok(Removal::Gone);
        };
        let same = again.heartbeat == entry.heartbeat
            && again.meta == entry.meta
            && again.inode == entry.inode
            && again.writer() == Writer::Foreign;
        if !same || again.is_fresh(now, self.stale_after) {
            return Ok(Removal::Kept);
        }
        self.remove(&again)
    }

    pub(super) fn tidy(&self, group: &GroupName, dag: &DagName) -> Result<(), ProcError> {
        tidy(&self.path, group, dag)
    }

    /// The bad entries of a full scan that are worth a report: those that were not there at the last call.
    pub fn news<'a>(&mut self, scan: &'a Scan) -> Vec<&'a super::BadEntry> {
        let known = std::mem::take(&mut self.known_bad);
        self.known_bad = scan.bad.iter().map(|bad| (bad.path.clone(), bad.inode)).collect();
        scan.bad
            .iter()
            .filter(|bad| known.get(&bad.path) != Some(&bad.inode))
            .collect()
    }
}
