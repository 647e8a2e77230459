//! Taking away what an ended attempt does not need any more: entry, socket, cgroup, journal and empty files.
//!
//! It runs after the store holds the end durably, and again after a crash in its middle: everything may already
//! be gone. It works by descriptor and name, never through links.

use std::io;

use super::place::root_name;
use crate::config::Paths;
use crate::model::{AttemptId, RunRef, Time};
use crate::sys::cgroup::{Cgroup, CgroupRoot};
use crate::sys::files::Dir;

/// Name of a run's scratch directory: the id of an attempt that never is, number 0.
pub(super) fn work_name(run: &RunRef) -> String {
    AttemptId::derive(run, 0).to_string()
}

/// Which attempt is cleaned up.
#[derive(Debug, Clone)]
pub(super) struct Remains {
    pub(super) run: RunRef,
    pub(super) attempt: AttemptId,
    pub(super) intended_at: Time,
    /// Whether it has ended, or never started and the store knows. Otherwise its journal is what shows that it never
    /// started, and stays.
    pub(super) settled: bool,
}

/// Removes files, socket and cgroup: the one that is known, wherever it is, and what has its name below `cgroups`. What cannot
/// be removed is reported; what is left below `cgroups` is found by `doctor` as well.
pub(super) fn clean(paths: &Paths, cgroups: Option<&CgroupRoot>, cgroup: Option<&Cgroup>, remains: &Remains) {
    let attempt = &remains.attempt;
    let results = [
        ("socket", remove_socket(paths, attempt)),
        (
            "cgroup",
            cgroup.map_or(Ok(()), |cgroup| remove_known(cgroup, cgroups, &root_name(paths))),
        ),
        (
            "cgroup of its name",
            cgroups.map_or(Ok(()), |cgroups| remove_cgroup(cgroups, attempt)),
        ),
        (
            "files",
            if remains.settled {
                remove_files(paths, remains)
            } else {
                Ok(())
            },
        ),
        ("scratch directory", remove_empty_work(paths, &remains.run)),
    ];
    for (what, result) in results {
        if let Err(error) = result {
            tracing::warn!(ATTEMPT_ID = %attempt, what, %error, "a part of an ended attempt is left over");
        }
    }
}

/// Nothing to remove is as good as removed.
fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn remove_socket(paths: &Paths, attempt: &AttemptId) -> io::Result<()> {
    let dir = Dir::open(paths.sockets())?;
    absent_is_fine(dir.remove_file(format!("{attempt}.sock")))
}

/// One elsewhere was made by an earlier daemon, below a root of this name. The last one takes that along: nobody makes any there
/// now. What cannot be removed there is not looked for again.
fn remove_known(cgroup: &Cgroup, cgroups: Option<&CgroupRoot>, root_name: &str) -> io::Result<()> {
    let removed = absent_is_fine(cgroup.remove());
    if cgroups.is_some_and(|root| cgroup.is_below(root)) {
        return removed;
    }
    removed.map_err(|error| match cgroup.path() {
        Some(path) => io::Error::new(
            error.kind(),
            format!(
                "{error}: it is elsewhere than those of new attempts, where nothing looks for it again; end what is in it and \
                 remove it with `rmdir {}`",
                path.display()
            ),
        ),
        None => error,
    })?;
    cgroup.remove_former_root(root_name).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("the empty cgroup {root_name} that it was in: {error}"),
        )
    })
}

fn remove_cgroup(cgroups: &CgroupRoot, attempt: &AttemptId) -> io::Result<()> {
    match cgroups.open(attempt.as_str())? {
        Some(cgroup) => absent_is_fine(cgroup.remove()),
        None => Ok(()),
    }
}

/// The journal goes, and every log file that is empty; the directories go if nothing is left in them.
pub(super) fn remove_files(paths: &Paths, remains: &Remains) -> io::Result<()> {
    let day = remains.intended_at.day();
    let day_dir = match Dir::open(paths.attempts().join(&day)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let dir = match day_dir.open_child_dir(remains.attempt.as_str()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    absent_is_fine(dir.remove_file("journal"))?;
    if let Ok(logs) = dir.open_child_dir("logs") {
        for entry in logs.list()? {
            // Only what is certainly an empty regular file; anything else in there is the user's.
            let empty = !entry.is_dir && logs.is_empty_file(&entry.name).unwrap_or(false);
            if empty {
                absent_is_fine(logs.remove_file(&entry.name))?;
            }
        }
    }
    remove_if_empty(&dir, "logs")?;
    remove_if_empty(&day_dir, remains.attempt.as_str())
}

fn remove_empty_work(paths: &Paths, run: &RunRef) -> io::Result<()> {
    remove_if_empty(&Dir::open(paths.work())?, &work_name(run))
}

fn remove_if_empty(parent: &Dir, name: &str) -> io::Result<()> {
    match parent.remove_dir(name) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTEMPTY | libc::EEXIST)) => Ok(()),
        other => absent_is_fine(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DagName, RunId};

    #[test]
    fn a_cgroup_elsewhere_is_named_if_it_stays_and_takes_its_empty_root_along() {
        let Some(own) = crate::sys::testing::cgroups() else {
            return;
        };
        let parents = ["here", "there"].map(|suffix| {
            let name = format!("proctor-test-cleanup-{}-{suffix}", std::process::id());
            own.subtree(&name).unwrap()
        });
        let [here, there] = parents
            .each_ref()
            .map(|parent| parent.subtree("attempts").unwrap());
        let [ours, other] = [("a", &here), ("b", &there)].map(|(name, root)| root.create(name).unwrap());
        let last = there.create("c").unwrap();
        let path = there.path().join("b");
        let mut inside = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        other.add_pid(inside.id()).unwrap();

        let error = remove_known(&other, Some(&here), "attempts")
            .unwrap_err()
            .to_string();
        assert!(error.contains(&format!("`rmdir {}`", path.display())), "{error}");
        assert!(there.path().exists());
        drop(inside.stdin.take());
        inside.wait().unwrap();
        // Not while there is another one.
        remove_known(&other, Some(&here), "attempts").unwrap();
        assert!(!path.exists() && there.path().exists());
        remove_known(&last, Some(&here), "another").unwrap();
        assert!(there.path().exists());
        remove_known(&last, Some(&here), "attempts").unwrap();
        assert!(!there.path().exists());
        // Once more, after a crash.
        remove_known(&last, Some(&here), "attempts").unwrap();
        // The root of new attempts stays.
        remove_known(&ours, Some(&here), "attempts").unwrap();
        assert!(here.path().exists());
        std::fs::remove_dir(here.path()).unwrap();
        for parent in parents {
            std::fs::remove_dir(parent.path()).unwrap();
        }
    }

    #[test]
    fn the_journal_of_an_attempt_that_never_started_stays_until_the_store_knows() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        let run = RunRef {
            dag: DagName::new("d").unwrap(),
            id: RunId::new("r").unwrap(),
        };
        let mut remains = Remains {
            attempt: AttemptId::derive(&run, 1),
            run,
            intended_at: Time(0),
            settled: false,
        };
        let dir = paths.attempt(&remains.intended_at.day(), &remains.attempt);
        let (journal, socket) = (dir.join("journal"), paths.socket(&remains.attempt));
        for made in [dir.join("logs"), paths.sockets(), paths.work()] {
            std::fs::create_dir_all(made).unwrap();
        }
        for made in [&journal, &dir.join("logs/empty"), &socket] {
            std::fs::write(made, "").unwrap();
        }
        clean(&paths, None, None, &remains);
        assert_eq!((journal.exists(), socket.exists()), (true, false));
        remains.settled = true;
        clean(&paths, None, None, &remains);
        assert!(!dir.exists());
        // Once more, after a crash.
        clean(&paths, None, None, &remains);
    }
}
