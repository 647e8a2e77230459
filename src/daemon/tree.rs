//! The end of what an attempt has left: its whole cgroup is killed and seen empty. Only then is it gone.
//!
//! Without cgroups the processes are found by a mark in their environment, which every process of an attempt
//! inherits; one that wiped its environment is not found, which `doctor` says. Anybody can put the mark of any attempt
//! into an environment, also into that of a set-user-ID program. So it counts only in processes that are the owner's in
//! every way, which he could kill himself.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use tokio::io::Interest;

use crate::model::AttemptId;
use crate::model::hash::Hasher;
use crate::sys::cgroup::{Cgroup, populated};
use crate::sys::pidfd::PidFd;
use crate::sys::reactor;

/// What every process of an attempt has in its environment. Attempts of two daemons may have the same id, as the same run
/// of the same DAG has everywhere; so the daemon belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) attempt: AttemptId,
    /// As [`daemon_id`] tells.
    pub(super) daemon: Arc<str>,
    /// User id of the attempt's processes.
    pub(super) owner: u32,
}

impl Mark {
    /// The variables and their values.
    pub(super) fn variables(&self) -> [(&'static str, &str); 2] {
        [
            ("PROCTOR_ATTEMPT_ID", self.attempt.as_str()),
            ("PROCTOR_DAEMON_ID", &self.daemon),
        ]
    }
}

/// Tells daemons apart that run at the same time and see each other's processes: by their state directories, since no two
/// have the same one.
///
/// # Errors
/// When there is no such directory.
pub(super) fn daemon_id(state: &Path) -> io::Result<Arc<str>> {
    let data = std::fs::metadata(state)?;
    let mut hash = Hasher::default();
    hash.add(&data.dev().to_string());
    hash.add(&data.ino().to_string());
    Ok(hash.finish(8).into())
}

/// Kills everything and returns when nothing is left. A process that cannot die (stuck in the kernel) keeps it
/// waiting: then the attempt is not over, and its slot is not free.
pub(super) async fn end(cgroup: Option<&Cgroup>, mark: &Mark) -> io::Result<()> {
    let entries = mark.variables().map(|(name, value)| format!("{name}={value}"));
    end_processes(cgroup, &entries, &[mark.owner]).await
}

/// The same for whatever is in a cgroup, or without one has all these variables, as `NAME=value`, in its environment and
/// is one of these users.
pub(super) async fn end_processes(
    cgroup: Option<&Cgroup>,
    marks: &[String],
    users: &[u32],
) -> io::Result<()> {
    match cgroup {
        Some(cgroup) => end_cgroup(cgroup).await,
        None => end_marked(marks, users).await,
    }
}

async fn end_cgroup(cgroup: &Cgroup) -> io::Result<()> {
    while cgroup.is_populated()? {
        // Watching the processes tells of their end sooner than the cgroup's own event, which the kernel holds
        // back for up to 10 ms.
        let held = hold(cgroup.procs_all()?);
        cgroup.kill()?;
        if held.is_empty() {
            wait_for_event(cgroup).await?;
        }
        gone(held).await;
    }
    Ok(())
}

async fn wait_for_event(cgroup: &Cgroup) -> io::Result<()> {
    let events = match cgroup.events_fd() {
        Ok(events) => events,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // Reading arms the event; what changed before is seen by the caller's next look.
    if !populated(&events)? {
        return Ok(());
    }
    let watched = reactor::exceptional(events.into())?;
    watched.ready(Interest::PRIORITY).await?.clear_ready();
    Ok(())
}

fn hold(pids: Vec<u32>) -> Vec<PidFd> {
    pids.into_iter().filter_map(|pid| PidFd::open(pid).ok()).collect()
}

/// Waits until each of the processes has exited.
async fn gone(held: Vec<PidFd>) {
    for process in held {
        use std::os::fd::AsFd;
        if process.is_exited().unwrap_or(true) {
            continue;
        }
        let Ok(fd) = process.as_fd().try_clone_to_owned() else {
            continue;
        };
        if let Ok(watched) = reactor::readable(fd) {
            drop(watched.readable().await);
        }
    }
}

async fn end_marked(marks: &[String], users: &[u32]) -> io::Result<()> {
    loop {
        let held = marked(marks, users)?;
        if held.is_empty() {
            return Ok(());
        }
        for process in &held {
            match process.send_signal(libc::SIGKILL) {
                Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(error),
                _ => {}
            }
        }
        gone(held).await;
    }
}

/// The live processes that carry all the marks and are one of these users.
fn marked(wanted: &[String], users: &[u32]) -> io::Result<Vec<PidFd>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(process) = PidFd::open(pid) else { continue };
        let is_theirs = |ids: [u32; 3]| users.iter().any(|user| ids == [*user; 3]);
        if process.was_given(wanted)
            && process.users().is_some_and(is_theirs)
            && !process.is_exited().unwrap_or(true)
        {
            found.push(process);
        }
    }
    Ok(found)
}
