//! What of the metrics is not in the dispatcher's memory: files, cgroups, the process itself. It is read elsewhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::daemon::dispatcher::{Dispatcher, now};
use crate::sys::cgroup::{CgroupRoot, SubtreeUsage};
use crate::sys::usage::ProcessUsage;

/// What was found.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Outside {
    /// Microseconds since the oldest of the newest heartbeats; none without a live attempt.
    pub(super) oldest_beat: Option<u64>,
    /// What all attempts use; none without cgroups.
    pub(super) attempts: Option<SubtreeUsage>,
    pub(super) process: ProcessUsage,
    /// Bytes of the store's file and of its write-ahead log.
    pub(super) store: Option<u64>,
    pub(super) store_log: Option<u64>,
}

impl Dispatcher {
    /// A look at what is outside, to be taken elsewhere.
    pub(super) fn look_outside(&self) -> impl FnOnce() -> Outside + Send + use<> {
        let entries: Vec<PathBuf> = self
            .attempts
            .values()
            .filter(|held| !held.ending)
            .filter_map(|held| held.entry.as_ref())
            .map(|entry| entry.path.clone())
            .collect();
        let workshop = Arc::clone(&self.workshop);
        let store = self.config.paths.store();
        move || {
            let mut log = store.clone().into_os_string();
            log.push("-wal");
            Outside {
                oldest_beat: entries.iter().filter_map(age_of).max(),
                attempts: workshop.cgroups().as_ref().map(CgroupRoot::usage),
                process: ProcessUsage::now(),
                store: length(&store),
                store_log: length(&PathBuf::from(log)),
            }
        }
    }
}

fn length(path: &PathBuf) -> Option<u64> {
    std::fs::metadata(path).ok().map(|about| about.len())
}

/// How long ago an entry was written; that is the heartbeat. None if it is gone: its attempt has just ended.
fn age_of(entry: &PathBuf) -> Option<u64> {
    let written = std::fs::metadata(entry).ok()?.modified().ok()?;
    let written = written.duration_since(UNIX_EPOCH).ok()?;
    let written = i64::try_from(written.as_micros()).ok()?;
    // A clock that was put back since makes no heartbeat older.
    Some(u64::try_from(now().wall.0.saturating_sub(written)).unwrap_or(0))
}
