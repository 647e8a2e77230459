//! Bad entries are put aside, where they disturb nobody and can be looked at.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::{ProcDir, ProcError, ensure};
use crate::model::Time;
use crate::proc::entry::EntryError;
use crate::proc::name::SUFFIX;
use crate::proc::read::{Place, read_entry};
use crate::proc::scan::BadEntry;
use crate::sys::files::Dir;

/// The directory, inside the proc directory.
const QUARANTINE: &str = ".quarantine";

/// Most files in quarantine. When it is full, bad files stay where they are; nothing is thrown away unseen.
pub const QUARANTINE_MAX: usize = 1000;

/// Longest part of the old name that is kept, in bytes: the number must fit behind it.
const NAME_KEPT: usize = 240;

impl ProcDir {
    /// Moves a bad entry to `.quarantine/<name>.<number>` and says where it is now. `None` if it was left: it is
    /// gone, or was replaced or put right since the scan, or could not be read for a reason outside it.
    ///
    /// # Errors
    /// [`ProcError::QuarantineFull`]; [`ProcError::Io`].
    pub fn quarantine(&mut self, bad: &BadEntry, now: Time) -> Result<Option<PathBuf>, ProcError> {
        if matches!(bad.error, EntryError::Io { .. }) || !self.is_still_bad(bad, now)? {
            return Ok(None);
        }
        let Some(name) = bad.path.file_name() else {
            return Ok(None);
        };
        let directory = self.path.join(QUARANTINE);
        let quarantine =
            ensure(&self.root()?, QUARANTINE).map_err(ProcError::io("make", directory.clone()))?;
        let there = quarantine
            .list()
            .map_err(ProcError::io("list", directory.clone()))?;
        if there.len() >= QUARANTINE_MAX {
            return Err(ProcError::QuarantineFull { path: directory });
        }
        let number = |name: &OsString| -> Option<u64> {
            name.to_string_lossy()
                .rsplit_once('.')
                .and_then(|(_, number)| number.parse().ok())
        };
        let last = there
            .iter()
            .filter_map(|entry| number(&entry.name))
            .max()
            .unwrap_or(0);
        let mut kept: Vec<u8> = name.as_bytes().iter().copied().take(NAME_KEPT).collect();
        kept.extend(format!(".{}", last.saturating_add(1)).bytes());
        let target = directory.join(OsString::from_vec(kept));
        match std::fs::rename(&bad.path, &target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(ProcError::io("move away", &bad.path))?,
        }
        if let Some((group, dag)) = &bad.place {
            self.tidy(group, dag)?;
        }
        Ok(Some(target))
    }

    /// Looks once more: a foreign writer may have been in the middle of writing.
    fn is_still_bad(&self, bad: &BadEntry, now: Time) -> Result<bool, ProcError> {
        let found = BadEntry::new(bad.path.clone(), EntryError::NoMetadata, None)?;
        if found.inode.is_none() || found.inode != bad.inode {
            return Ok(false);
        }
        let (Some((group, dag)), Some(name)) = (&bad.place, bad.path.file_name()) else {
            return Ok(true);
        };
        if !name.as_bytes().ends_with(SUFFIX.as_bytes()) {
            return Ok(true);
        }
        let path = self.dag_path(group, dag);
        let Ok(dir) = Dir::open(&path) else {
            return Ok(false);
        };
        Ok(
            match read_entry(
                Place {
                    dir: &dir,
                    path: &path,
                    group,
                    dag,
                },
                name,
                now,
            ) {
                Ok(_) | Err(EntryError::Io { .. }) => false,
                Err(_) => true,
            },
        )
    }
}
