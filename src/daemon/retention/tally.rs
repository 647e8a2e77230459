//! What was removed, for the log and for who asked.

use crate::model::RunRef;
use crate::store::OldRun;
use crate::wire::manage::CleanupReport;

/// Most runs that a report names, and most failures.
const NAMED: usize = 100;

/// What was removed since the daemon started, for the metrics.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::daemon) struct Removed {
    /// With those that they called.
    pub(in crate::daemon) runs: u64,
    pub(in crate::daemon) bytes: u64,
    /// Directories that could not be removed.
    pub(in crate::daemon) failures: u64,
}

/// What was removed, or would be.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) runs: u64,
    pub(super) sub_runs: u64,
    pub(super) bytes: u64,
    /// Whether a part of it could not be counted.
    pub(super) partial: bool,
    pub(super) first: Vec<RunRef>,
    pub(super) failures: Vec<String>,
}

impl Tally {
    pub(super) fn add<'o>(&mut self, gone: impl Iterator<Item = &'o OldRun>) {
        for old in gone {
            self.runs += 1;
            self.sub_runs += old.sub_runs;
            if self.first.len() < NAMED {
                self.first.push(old.run.clone());
            }
        }
    }

    pub(super) fn fails(&mut self, what: String) {
        if self.failures.len() < NAMED {
            self.failures.push(what);
        }
    }

    /// Adds what went to what has gone before.
    pub(super) fn note(&self, removed: &mut Removed) {
        removed.runs += self.runs + self.sub_runs;
        removed.bytes = removed.bytes.saturating_add(self.bytes);
        removed.failures += u64::try_from(self.failures.len()).unwrap_or(u64::MAX);
    }

    pub(super) fn report(self, dry_run: bool) -> CleanupReport {
        CleanupReport {
            runs: self.runs,
            sub_runs: self.sub_runs,
            bytes: Some(self.bytes).filter(|_| !self.partial),
            first: self.first,
            failures: self.failures,
            dry_run,
        }
    }
}
