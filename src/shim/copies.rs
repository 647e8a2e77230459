//! The DAG's own `stdout:` and `stderr:` files: they get a copy of a step's log while it grows.
//!
//! A copy never waits for anybody, and never grows because of itself: what it is written to is a regular file or a
//! character device, and no log of the attempt. So no copy can feed another one.

use std::cell::Cell;
use std::fmt::Display;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::files::{length, read_pieces, without_waiting};
use super::task::Facts;

/// Most bytes of a log that are copied at a time while it grows.
const FOLLOW_MAX: u64 = 1024 * 1024;

/// What is said of a file that is none of those which can be written without waiting.
const UNFIT: &str =
    "it is neither a regular file nor a character device, and whoever writes to it may have to wait";

/// A file of the user's choice that gets a copy of a log while it is written.
#[derive(Debug)]
pub(super) struct Copy {
    log: File,
    target: File,
    path: PathBuf,
    done: Cell<u64>,
}

impl Copy {
    /// Opens the user's file for appending, with the job's rights. What the log has behind `from` goes there. `is_log`
    /// says whether a file is a log of the attempt.
    ///
    /// # Errors
    /// In words that name the file: it cannot be opened, it is something that may keep its writer waiting, as a FIFO
    /// does, or it is a log.
    pub(super) fn open(
        log: &File,
        from: u64,
        path: PathBuf,
        is_log: impl FnOnce(&Path, &Metadata) -> bool,
    ) -> Result<Self, String> {
        let refused = |reason: &dyn Display| format!("cannot write {}: {reason}", path.display());
        let check = |data: &Metadata| match data.file_type() {
            kind if kind.is_file() || kind.is_char_device() => Ok(()),
            _ => Err(refused(&UNFIT)),
        };
        // Whether a FIFO can be opened at all depends on who reads it, so this is looked at before; and once more when
        // it is open, since only then it is certain.
        if let Ok(data) = std::fs::metadata(&path) {
            check(&data)?;
        }
        let open = || -> io::Result<(File, File, Metadata)> {
            let mut options = OpenOptions::new();
            let options = without_waiting(options.append(true).create(true).mode(0o640));
            let target = options.open(&path)?;
            let data = target.metadata()?;
            Ok((log.try_clone()?, target, data))
        };
        let (log, target, data) = open().map_err(|error| refused(&error))?;
        check(&data)?;
        if is_log(&path, &data) {
            return Err(refused(
                &"it is a log of this run, which would be copied into itself",
            ));
        }
        Ok(Self {
            log,
            target,
            path,
            done: Cell::new(from),
        })
    }

    /// The log, to be watched for more.
    pub(super) fn log(&self) -> &File {
        &self.log
    }

    /// Copies some of what the log has and the copy has not, while it grows: not so much that anybody else has to
    /// wait. What is left goes with the next growth, or at the end.
    ///
    /// # Errors
    /// In words that name the file.
    pub(super) fn follow(&self) -> Result<(), String> {
        self.copy(FOLLOW_MAX)
    }

    /// Copies what the log has now and the copy has not. Somebody who goes on writing to it holds up nobody.
    ///
    /// # Errors
    /// In words that name the file.
    pub(super) fn catch_up(&self) -> Result<(), String> {
        self.copy(length(&self.log).saturating_sub(self.done.get()))
    }

    fn copy(&self, most: u64) -> Result<(), String> {
        let end = self.done.get().saturating_add(most);
        let mut outcome = Ok(());
        read_pieces(&self.log, self.done.get(), |piece| {
            let mut rest = piece;
            while !rest.is_empty() && outcome.is_ok() {
                match io::Write::write(&mut &self.target, rest) {
                    Ok(0) => outcome = Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => {
                        self.done.set(self.done.get() + n as u64);
                        rest = rest.get(n..).unwrap_or_default();
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => outcome = Err(error),
                }
            }
            outcome.is_ok() && self.done.get() < end
        });
        outcome.map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}

/// Whether the file at a path is a log of some node of the attempt.
pub(super) fn is_log(facts: &Facts, path: &Path, data: &Metadata) -> bool {
    let dir = Path::new(&facts.spec.view.log_dir);
    let identity = |data: &Metadata| (data.dev(), data.ino());
    let is_dir = |parent: &Path| match (std::fs::metadata(parent), std::fs::metadata(dir)) {
        (Ok(parent), Ok(dir)) => identity(&parent) == identity(&dir),
        _ => false,
    };
    let inside = std::fs::canonicalize(path).ok();
    let inside = inside.filter(|path| path.parent().is_some_and(is_dir));
    let name = inside.as_ref().and_then(|path| path.file_name()?.to_str());
    if name.is_some_and(|name| facts.log_files().contains(name)) {
        return true;
    }
    // It can be a log under a second name only; so all logs are looked at in rare cases.
    let same =
        |name: &String| std::fs::metadata(dir.join(name)).is_ok_and(|log| identity(&log) == identity(data));
    data.nlink() > 1 && facts.log_files().iter().any(same)
}

#[cfg(test)]
mod tests;
