//! News of deletions, so that an entry that somebody removed is made again at once and not at the next scan; and of entries
//! that appear, so that those of other writers are known without one.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::name::SUFFIX;
use crate::model::{DagName, GroupName};
use crate::sys::inotify::{Change, DirEvent, Inotify, Watch};

/// Something happened in the proc directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcEvent {
    /// The file of an entry is gone from its place. The daemon's own removals are told, too: whether it was one
    /// is for the caller to know.
    EntryVanished {
        /// Where it was.
        path: PathBuf,
    },
    /// The file of an entry is in its place. Those that the daemon publishes are told, too, and one may be told twice.
    EntryAppeared {
        /// Where it is.
        path: PathBuf,
    },
    /// More has changed than can be told: scan.
    Rescan,
    /// A directory cannot be watched, for example at the limit of `fs.inotify.max_user_watches`; deletions in it
    /// are only seen by scans.
    Unwatched {
        /// The directory.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}

/// What a watched directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// Groups.
    Root,
    /// DAGs.
    Group,
    /// Entries.
    Dag,
}

impl Level {
    const fn below(self) -> Option<Self> {
        match self {
            Self::Root => Some(Self::Group),
            Self::Group => Some(Self::Dag),
            Self::Dag => None,
        }
    }
}

/// Watches the proc directory with all groups and DAGs. Its descriptor is readable when there are events, and
/// never blocks.
#[derive(Debug)]
pub struct ProcWatch {
    inotify: Inotify,
    root: PathBuf,
    watched: HashMap<Watch, (PathBuf, Level)>,
}

impl AsFd for ProcWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// Directories in a directory that may be groups or DAGs.
fn children(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_name().as_bytes().starts_with(b".") && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn is_entry(name: &OsStr) -> bool {
    name.as_bytes().ends_with(SUFFIX.as_bytes()) && !name.as_bytes().starts_with(b".")
}

/// Tells of the entries that are in the directory of a DAG already. If it is gone again there are none.
fn files(path: &Path, events: &mut Vec<ProcEvent>) {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if is_entry(&entry.file_name()) {
            events.push(ProcEvent::EntryAppeared { path: entry.path() });
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

impl ProcWatch {
    /// Watches the directory and all that is in it. Whoever scans after this misses nothing.
    ///
    /// # Errors
    /// If the directory cannot be watched; that of a group or DAG is told as [`ProcEvent::Unwatched`].
    pub fn new(root: impl Into<PathBuf>) -> io::Result<(Self, Vec<ProcEvent>)> {
        let root = root.into();
        let mut watch = Self {
            inotify: Inotify::new()?,
            root: root.clone(),
            watched: HashMap::new(),
        };
        let token = watch.inotify.add_dir_watch(&root)?;
        watch.watched.insert(token, (root.clone(), Level::Root));
        let mut events = Vec::new();
        for child in children(&root)? {
            watch.add_tree(child, Level::Group, &mut events);
        }
        // The scan that follows finds what is there.
        events.retain(|event| !matches!(event, ProcEvent::EntryAppeared { .. }));
        Ok((watch, events))
    }

    /// Makes sure that the directory of a DAG is watched, for use right after an entry was prepared in it. Also
    /// takes up again what was removed and made anew.
    pub fn watch_dag(&mut self, group: &GroupName, dag: &DagName) -> Vec<ProcEvent> {
        let mut events = Vec::new();
        let group_path = self.root.join(group.as_str());
        let dag_path = group_path.join(dag.as_str());
        self.add(&self.root.clone(), Level::Root, &mut events);
        self.add(&group_path, Level::Group, &mut events);
        self.add(&dag_path, Level::Dag, &mut events);
        events
    }

    fn add(&mut self, path: &Path, level: Level, events: &mut Vec<ProcEvent>) -> bool {
        match self.inotify.add_dir_watch(path) {
            Ok(watch) => {
                self.watched.insert(watch, (path.to_owned(), level));
                true
            }
            Err(error) if is_gone(&error) => false,
            Err(error) => {
                events.push(ProcEvent::Unwatched {
                    path: path.to_owned(),
                    reason: error.to_string(),
                });
                false
            }
        }
    }

    /// Watches a directory and what is in it. It is watched first and listed then, so that nothing falls between.
    fn add_tree(&mut self, path: PathBuf, level: Level, events: &mut Vec<ProcEvent>) {
        if !self.add(&path, level, events) {
            return;
        }
        let Some(below) = level.below() else {
            return files(&path, events);
        };
        match children(&path) {
            Ok(found) => {
                for child in found {
                    self.add_tree(child, below, events);
                }
            }
            Err(error) if is_gone(&error) => {}
            Err(error) => events.push(ProcEvent::Unwatched {
                path,
                reason: error.to_string(),
            }),
        }
    }

    /// All that happened since the last call, so that a wait for readiness may follow; empty if nothing did.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn read_events(&mut self) -> io::Result<Vec<ProcEvent>> {
        let mut events = Vec::new();
        loop {
            let found = self.inotify.read()?;
            if found.is_empty() {
                return Ok(events);
            }
            for event in found {
                self.translate(event, &mut events);
            }
        }
    }

    fn translate(&mut self, event: DirEvent, events: &mut Vec<ProcEvent>) {
        let Some(watch) = event.watch else {
            events.push(ProcEvent::Rescan);
            return;
        };
        let Some((path, level)) = self.watched.get(&watch).cloned() else {
            return;
        };
        match (event.change, event.name) {
            (Change::Overflow, _) => events.push(ProcEvent::Rescan),
            (Change::WatchGone, _) => {
                self.watched.remove(&watch);
                // The watch of a directory that was removed is gone by itself, and each entry in it was told of.
                // One that can still be ended means that the directory was moved away with all in it.
                if self.inotify.remove_watch(watch).is_ok() || level == Level::Root {
                    events.push(ProcEvent::Rescan);
                }
            }
            (Change::Vanished, Some(name)) if level == Level::Dag && is_entry(&name) => {
                events.push(ProcEvent::EntryVanished {
                    path: path.join(name),
                });
            }
            (Change::Appeared, Some(name)) if level == Level::Dag && is_entry(&name) => {
                events.push(ProcEvent::EntryAppeared {
                    path: path.join(name),
                });
            }
            (Change::Appeared, Some(name)) if !name.as_bytes().starts_with(b".") => {
                if let Some(below) = level.below() {
                    self.add_tree(path.join(name), below, events);
                }
            }
            _ => {}
        }
    }
}
