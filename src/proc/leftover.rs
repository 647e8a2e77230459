//! Files of launches that a crash of the daemon cut off between preparing and publishing.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::dir::walk::is_temp;
use super::dir::{ProcDir, ProcError, Removal};
use super::entry::{EntryError, LockState};
use super::name::EntryName;
use super::read::lock_state;
use crate::model::{DagName, GroupName};
use crate::sys::files::Dir;

/// A prepared entry that was never published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Where it is.
    pub path: PathBuf,
    /// Its group.
    pub group: GroupName,
    /// Its DAG.
    pub dag: DagName,
    /// The name it would have got.
    pub name: EntryName,
    /// Whether a shim holds it: one that waits at the gate, and ends when it sees that the daemon is gone.
    pub lock: LockState,
}

impl ProcDir {
    /// All that is left over, sorted by path. What is being prepared at the moment is among it, locked.
    ///
    /// # Errors
    /// As [`ProcDir::scan`].
    pub fn leftovers(&self) -> Result<Vec<Leftover>, ProcError> {
        let mut found = Vec::new();
        self.walk(None, &mut Vec::new(), |visit| {
            let name = Some(visit.name)
                .filter(|name| is_temp(name))
                .and_then(EntryName::parse_temp);
            let Some(name) = name else { return Ok(()) };
            let lock = match visit.place.dir.open_regular(visit.name) {
                Ok(file) => lock_state(file.as_fd()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(source) => {
                    return Err(EntryError::Io {
                        operation: "open",
                        source,
                    });
                }
            };
            found.push(Leftover {
                path: visit.place.path.join(visit.name),
                group: visit.place.group.clone(),
                dag: visit.place.dag.clone(),
                name,
                lock,
            });
            Ok(())
        })?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// Removes a leftover that nobody holds, and the directories that become empty with it.
    ///
    /// # Errors
    /// [`ProcError::Held`] if its lock is held now; [`ProcError::Io`].
    pub fn remove_leftover(&mut self, leftover: &Leftover) -> Result<Removal, ProcError> {
        let path = &leftover.path;
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(Removal::Gone);
        };
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let dir = match Dir::open(above) {
            Err(error) if gone(&error) => return Ok(Removal::Gone),
            other => other.map_err(ProcError::io("open", above))?,
        };
        let file = match dir.open_regular(name) {
            Err(error) if gone(&error) => return Ok(Removal::Gone),
            other => other.map_err(ProcError::io("open", path))?,
        };
        // What cannot be asked for is taken for held.
        if lock_state(file.as_fd()) != LockState::Free {
            return Err(ProcError::Held { path: path.clone() });
        }
        match dir.remove_file(name) {
            Err(error) if gone(&error) => {}
            other => other.map_err(ProcError::io("remove", path))?,
        }
        self.tidy(&leftover.group, &leftover.dag)?;
        Ok(Removal::Removed)
    }
}
