//! The walk. Only what concerns the whole directory, or the process (no descriptor free), stops it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{ProcDir, ProcError};
use crate::model::{DagName, GroupName, IdError, Time};
use crate::proc::entry::EntryError;
use crate::proc::name::{SUFFIX, TEMP_SUFFIX};
use crate::proc::read::{Place, read_entry};
use crate::proc::scan::{BadEntry, Scan};
use crate::sys::files::{Dir, Entry as FileEntry};

/// A file in the directory of a DAG, as the walk comes by it.
pub(in crate::proc) struct Visit<'a> {
    pub(in crate::proc) place: Place<'a>,
    pub(in crate::proc) name: &'a OsStr,
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".")
}

fn ends_with(name: &OsStr, suffix: &str) -> bool {
    name.as_bytes().ends_with(suffix.as_bytes())
}

/// Whether the error says something about this process or the machine and not about one file: then to go on
/// would be to count too little.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)
    )
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path)
        .ok()
        .map(|found| (found.dev(), found.ino()))
}

impl BadEntry {
    pub(in crate::proc) fn new(
        path: PathBuf,
        error: EntryError,
        place: Option<(GroupName, DagName)>,
    ) -> Result<Self, ProcError> {
        match error {
            EntryError::Io { operation, source } if is_exhausted(&source) => Err(ProcError::Io {
                operation,
                path,
                source,
            }),
            error => Ok(Self {
                inode: inode(&path),
                path,
                error,
                place,
            }),
        }
    }
}

/// Opens a directory of the walk, and says what is wrong with what has the name.
fn open_named<N>(
    parent: &Dir,
    entry: &FileEntry,
    check: impl FnOnce(String) -> Result<N, IdError>,
) -> Result<Option<(N, Dir)>, EntryError> {
    let misplaced = |reason: String| EntryError::Misplaced { reason };
    if !entry.is_dir {
        return Err(misplaced("it is not a directory".to_owned()));
    }
    let name = entry
        .name
        .to_str()
        .ok_or_else(|| misplaced("its name is not UTF-8".to_owned()))?;
    let name = check(name.to_owned()).map_err(|error| misplaced(error.to_string()))?;
    match parent.open_child_dir(&entry.name) {
        Ok(dir) => Ok(Some((name, dir))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(EntryError::Io {
            operation: "open",
            source,
        }),
    }
}

fn list(dir: &Dir) -> Result<Vec<FileEntry>, EntryError> {
    match dir.list() {
        // A directory that was removed while it is open lists as empty or as missing.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|source| EntryError::Io {
            operation: "list",
            source,
        }),
    }
}

/// A walk under way.
struct Walk<'a, F> {
    bad: &'a mut Vec<BadEntry>,
    visit: F,
}

impl<F: FnMut(&Visit<'_>) -> Result<(), EntryError>> Walk<'_, F> {
    /// Hands the value on, or notes what is wrong with the path.
    fn good<T>(
        &mut self,
        path: &Path,
        place: Option<(&GroupName, &DagName)>,
        found: Result<Option<T>, EntryError>,
    ) -> Result<Option<T>, ProcError> {
        found.or_else(|error| {
            let place = place.map(|(group, dag)| (group.clone(), dag.clone()));
            self.bad.push(BadEntry::new(path.to_owned(), error, place)?);
            Ok(None)
        })
    }

    fn group(&mut self, root: &Dir, path: &Path, entry: &FileEntry) -> Result<(), ProcError> {
        let found = open_named(root, entry, GroupName::new);
        let Some((group, dir)) = self.good(path, None, found)? else {
            return Ok(());
        };
        let Some(dags) = self.good(path, None, list(&dir).map(Some))? else {
            return Ok(());
        };
        for entry in dags.iter().filter(|entry| !is_hidden(&entry.name)) {
            self.dag(&dir, &group, &path.join(&entry.name), entry)?;
        }
        Ok(())
    }

    fn dag(
        &mut self,
        parent: &Dir,
        group: &GroupName,
        path: &Path,
        entry: &FileEntry,
    ) -> Result<(), ProcError> {
        let found = open_named(parent, entry, DagName::new);
        let Some((dag, dir)) = self.good(path, None, found)? else {
            return Ok(());
        };
        let Some(files) = self.good(path, None, list(&dir).map(Some))? else {
            return Ok(());
        };
        for entry in files.iter().filter(|entry| !is_hidden(&entry.name)) {
            let place = Place {
                dir: &dir,
                path,
                group,
                dag: &dag,
            };
            let seen = (self.visit)(&Visit {
                place,
                name: &entry.name,
            });
            self.good(&path.join(&entry.name), Some((group, &dag)), seen.map(Some))?;
        }
        Ok(())
    }
}

impl ProcDir {
    /// Every file in the directories of the DAGs; an error of the visitor makes the file a bad entry. Names that
    /// begin with a point are skipped on all levels.
    pub(in crate::proc) fn walk(
        &self,
        only: Option<&GroupName>,
        bad: &mut Vec<BadEntry>,
        visit: impl FnMut(&Visit<'_>) -> Result<(), EntryError>,
    ) -> Result<(), ProcError> {
        let root = match Dir::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(ProcError::io("open", &self.path))?,
        };
        let groups = root.list().map_err(ProcError::io("list", &self.path))?;
        let mut walk = Walk { bad, visit };
        for entry in groups.iter().filter(|entry| !is_hidden(&entry.name)) {
            if only.is_none_or(|only| entry.name == only.as_str()) {
                walk.group(&root, &self.path.join(&entry.name), entry)?;
            }
        }
        Ok(())
    }

    fn scan_some(&self, only: Option<&GroupName>, now: Time) -> Result<Scan, ProcError> {
        let (mut entries, mut bad) = (Vec::new(), Vec::new());
        self.walk(only, &mut bad, |visit| {
            if ends_with(visit.name, SUFFIX) {
                entries.extend(read_entry(visit.place, visit.name, now)?);
            }
            Ok(())
        })?;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        bad.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Scan {
            at: now,
            stale_after: self.stale_after,
            entries,
            bad,
        })
    }

    /// Reads every entry. A bad file never stops the scan, and a file that vanishes under it is left out.
    ///
    /// # Errors
    /// [`ProcError::Io`] if the outermost directory cannot be read, or nothing can be opened because the
    /// process is out of descriptors or memory. A missing directory is an empty one.
    pub fn scan(&self, now: Time) -> Result<Scan, ProcError> {
        self.scan_some(None, now)
    }

    /// Reads every entry of a group.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub fn scan_group(&self, group: &GroupName, now: Time) -> Result<Scan, ProcError> {
        self.scan_some(Some(group), now)
    }
}

/// Whether the name may be that of an entry that was never published.
pub(in crate::proc) fn is_temp(name: &OsStr) -> bool {
    ends_with(name, TEMP_SUFFIX)
}
