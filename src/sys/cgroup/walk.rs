//! Going through the cgroups that a job may have made below its own.

use crate::sys::files::{self, Dir};
use std::io;

/// The longest `cgroup.procs` or event file that is read.
const MOST_TEXT: u64 = 8 * 1024 * 1024;
pub(super) fn remove_below(parent: &Dir, name: &str) -> io::Result<()> {
    match parent.remove_dir(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

pub(super) fn child_names(dir: &Dir) -> io::Result<Vec<String>> {
    let names = dir.list()?.into_iter().filter(|entry| entry.is_dir);
    Ok(names.filter_map(|entry| entry.name.into_string().ok()).collect())
}

/// Calls `visit` for the directory and all below it, parents first.
pub(super) fn walk(
    dir: &Dir,
    depth: usize,
    visit: &mut impl FnMut(&Dir) -> io::Result<()>,
) -> io::Result<()> {
    visit(dir)?;
    for name in child_names(dir)? {
        match dir.open_child_dir(&name) {
            Ok(child) if depth > 0 => walk(&child, depth - 1, visit)?,
            Ok(_) => return Err(io::Error::from_raw_os_error(libc::ELOOP)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Calls `visit` for every directory below, children first.
pub(super) fn walk_names(
    dir: &Dir,
    depth: usize,
    visit: &mut impl FnMut(&Dir, &str) -> io::Result<()>,
) -> io::Result<()> {
    for name in child_names(dir)? {
        match dir.open_child_dir(&name) {
            Ok(child) if depth > 0 => walk_names(&child, depth - 1, visit)?,
            Ok(_) => return Err(io::Error::from_raw_os_error(libc::ELOOP)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        }
        visit(dir, &name)?;
    }
    Ok(())
}

pub(super) fn procs_in(dir: &Dir) -> io::Result<Vec<u32>> {
    let mut file = match dir.open_for_reading("cgroup.procs") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let bytes = match files::read_at_most(&mut file, MOST_TEXT) {
        // Removed, or a threaded cgroup, which has no processes of its own to list.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EOPNOTSUPP)) => Vec::new(),
        other => other?,
    };
    let text = String::from_utf8_lossy(&bytes);
    Ok(text
        .lines()
        .filter_map(|line| line.parse().ok())
        .filter(|pid| *pid != 0)
        .collect())
}
