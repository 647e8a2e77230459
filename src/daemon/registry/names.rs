//! Which file's version of a DAG is in force: names are unique, and a bad file keeps its last good version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::place::{FileId, Place};
use super::scan::Stamps;
use super::version::Version;
use crate::model::DagName;
use crate::wire::control::Problem;

/// A DAG file and what is known of it.
#[derive(Debug, Clone, Default)]
pub(in crate::daemon) struct FileState {
    /// What tells whether it has changed; none if it is read again in any case.
    pub(super) stamps: Option<Stamps>,
    /// User id that its runs would belong to, if there is such a user.
    pub(in crate::daemon) owner: Option<u32>,
    /// Permission bits of the file; none if it could not be read.
    pub(in crate::daemon) mode: u32,
    /// What it says now.
    pub(in crate::daemon) now: Option<Arc<Version>>,
    /// Whether what it says cannot be made ready because the user database does not know, or tell, who its user is.
    pub(super) unsure: bool,
    /// What is wrong with it now.
    pub(in crate::daemon) problems: Vec<Problem>,
    /// The version that was in force last.
    pub(in crate::daemon) good: Option<Arc<Version>>,
    /// Another file has its name.
    pub(in crate::daemon) clash: Option<FileId>,
    /// The system keeps its name for a DAG of its own that is disabled and not there.
    pub(super) reserved: bool,
    /// Nobody has the name of its place: what it says is kept, and not in force.
    pub(super) nobodys: bool,
    /// The problems that the log has already.
    pub(super) told: Vec<Problem>,
}

impl FileState {
    /// Whether there is a file, and no version of it.
    pub(super) const fn is_blank(&self) -> bool {
        self.now.is_none() && self.good.is_none()
    }

    /// Whether there is a file that is not gone, although nothing of it is in force.
    pub(super) const fn is_kept(&self) -> bool {
        self.is_blank() || self.nobodys
    }
}

/// The version of a DAG that is in force, and its file.
#[derive(Debug, Clone)]
pub(in crate::daemon) struct InForce {
    pub(in crate::daemon) file: FileId,
    pub(in crate::daemon) version: Arc<Version>,
}

/// Decides which versions are in force. The system's files have the first choice, so that no user can take a name from
/// it; then who had a name before keeps it, else the first file in order gets it. A file whose new name is taken is in
/// error, and keeps the name that it had. A name that is `reserved` for the system goes to no user's file.
pub(super) fn settle(
    files: &mut BTreeMap<FileId, FileState>,
    before: &BTreeMap<DagName, FileId>,
    reserved: &BTreeSet<DagName>,
) -> BTreeMap<DagName, InForce> {
    let mut force: BTreeMap<DagName, InForce> = BTreeMap::new();
    let mut left = Vec::new();
    let mut claims: Vec<(FileId, Arc<Version>)> = Vec::new();
    for (id, state) in files.iter().filter(|(_, state)| !state.nobodys) {
        claims.extend(
            state
                .now
                .as_ref()
                .or(state.good.as_ref())
                .map(|version| (id.clone(), Arc::clone(version))),
        );
    }
    // A claim by right of the past goes before one by order.
    claims.sort_by_key(|(id, version)| {
        let had = before.get(&version.record.dag) == Some(id);
        (id.place != Place::System, !had)
    });
    for state in files.values_mut() {
        state.clash = None;
        state.reserved = false;
    }
    let kept = |id: &FileId, name: &DagName| id.place != Place::System && reserved.contains(name);
    for (id, version) in claims {
        let name = version.record.dag.clone();
        if let Some(first) = force.get(&name) {
            left.push((id, Some(first.file.clone())));
        } else if kept(&id, &name) {
            left.push((id, None));
        } else {
            force.insert(name, InForce { file: id, version });
        }
    }
    for (id, first) in left {
        let Some(state) = files.get_mut(&id) else { continue };
        state.reserved = first.is_none();
        state.clash = first;
        if let Some(good) = state.good.as_ref().filter(|good| !kept(&id, &good.record.dag)) {
            let file = id.clone();
            let version = Arc::clone(good);
            force
                .entry(good.record.dag.clone())
                .or_insert(InForce { file, version });
        }
    }
    for InForce { file, version } in force.values() {
        if let Some(state) = files.get_mut(file) {
            state.good = Some(Arc::clone(version));
        }
    }
    force
}

#[cfg(test)]
mod tests;
