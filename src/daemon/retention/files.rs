//! The directories of removed runs. They belong to the job's user, who may do anything in them meanwhile.

use std::io;

use crate::config::Paths;
use crate::model::Time;
use crate::store::Directory;
use crate::sys::files::{Dir, Removal};

/// Microseconds for which an empty directory of a day is left alone: a launch may be about to use it, also one whose
/// intent was recorded before midnight.
const FRESH: i64 = 2 * 24 * 60 * 60 * 1_000_000;

/// Removes a directory with all in it, as long as `go_on` says so. Nothing to remove is as good as removed.
pub(super) fn remove(paths: &Paths, which: &Directory, go_on: &mut dyn FnMut() -> bool) -> Removal {
    let mut removal = match parent(paths, which) {
        Ok(parent) => parent.remove_tree_while(which.attempt.as_str(), go_on),
        Err(error) => Removal {
            failure: Some(error),
            ..Removal::default()
        },
    };
    removal
        .failure
        .take_if(|error| error.kind() == io::ErrorKind::NotFound);
    removal
}

/// Bytes of a directory on the disk; false if not all could be counted.
pub(super) fn measure(paths: &Paths, which: &Directory, go_on: &mut dyn FnMut() -> bool) -> (u64, bool) {
    let measured = parent(paths, which).and_then(|dir| dir.measure_tree(which.attempt.as_str(), go_on));
    match measured {
        Ok(measured) => measured,
        Err(error) => (0, error.kind() == io::ErrorKind::NotFound),
    }
}

/// Where a directory is, for people.
pub(super) fn place(paths: &Paths, which: &Directory) -> String {
    let path = match which.at {
        Some(at) => paths.attempt(&at.day(), &which.attempt),
        None => paths.work().join(which.attempt.as_str()),
    };
    path.display().to_string()
}

fn parent(paths: &Paths, which: &Directory) -> io::Result<Dir> {
    match which.at {
        Some(at) => Dir::open(paths.attempts())?.open_child_dir(at.day()),
        None => Dir::open(paths.work()),
    }
}

/// Removes the directories of days of which nothing is left.
pub(super) fn sweep_days(paths: &Paths, now: Time) -> io::Result<()> {
    let days = Dir::open(paths.attempts())?;
    let fresh = Time(now.0.saturating_sub(FRESH)).day();
    for entry in days.list()? {
        let is_day =
            |name: &str| name.len() == fresh.len() && name.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        if entry
            .name
            .to_str()
            .is_some_and(|name| is_day(name) && name < fresh.as_str())
        {
            // One that is not empty stays.
            drop(days.remove_dir(&entry.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AttemptId, DagName, RunId, RunRef};

    #[test]
    fn directories_and_empty_days_go_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        let run = RunRef {
            dag: DagName::new("d").unwrap(),
            id: RunId::new("r").unwrap(),
        };
        let at = Time(0);
        let attempt = Directory {
            attempt: AttemptId::derive(&run, 1),
            at: Some(at),
        };
        let work = Directory {
            attempt: AttemptId::derive(&run, 0),
            at: None,
        };
        let logs = paths.attempt(&at.day(), &attempt.attempt).join("logs");
        let scratch = paths.work().join(work.attempt.as_str());
        // Nothing is there yet, not even the directories above.
        assert!(remove(&paths, &attempt, &mut || true).failure.is_none());
        for dir in [
            &logs,
            &scratch,
            &paths.attempts().join("1970-01-02"),
            &paths.attempts().join("other"),
        ] {
            std::fs::create_dir_all(dir).unwrap();
        }
        std::fs::write(logs.join("a.out"), "x").unwrap();
        std::fs::write(paths.work().join("else"), "x").unwrap();
        let (bytes, whole) = measure(&paths, &attempt, &mut || true);
        assert!(whole && bytes > 0);
        // Neither a day with something in it nor a fresh one.
        sweep_days(&paths, Time(at.0 + 2 * FRESH)).unwrap();
        sweep_days(&paths, at).unwrap();
        let removal = remove(&paths, &attempt, &mut || true);
        assert!(removal.failure.is_none() && removal.entries == 3, "{removal:?}");
        assert!(remove(&paths, &attempt, &mut || true).failure.is_none());
        assert_eq!(remove(&paths, &work, &mut || true).entries, 1);
        assert_eq!(measure(&paths, &work, &mut || true), (0, true));
        let left = |dir| -> Vec<String> {
            let entries = std::fs::read_dir(dir).unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(left(paths.attempts()), ["1970-01-01", "other"]);
        sweep_days(&paths, Time(at.0 + FRESH)).unwrap();
        assert_eq!(left(paths.attempts()), ["1970-01-01", "other"]);
        sweep_days(&paths, Time(at.0 + FRESH + FRESH / 2)).unwrap();
        assert_eq!(left(paths.attempts()), ["other"]);
        assert_eq!(left(paths.work()), ["else"]);
    }
}
