//! Replacing files durably and all at once.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Create, Dir, fchmod, single};

/// What begins the names of files that [`Dir::replace_file`] has not finished.
const UNFINISHED: &str = ".new-";

impl Dir {
    /// Replaces the file `name` with `bytes`, durably and all at once: after a crash it has the old content
    /// or the new. Of several writers the last one counts.
    ///
    /// # Errors
    /// The old file stays when this fails before the rename; nothing else is left behind.
    pub fn replace_file(&self, name: impl AsRef<OsStr>, bytes: &[u8], mode: u32) -> io::Result<()> {
        let name = single(name.as_ref())?;
        // No other writer of this process has the number; a process of the same id may have crashed here before.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let hidden = OsString::from(format!("{UNFINISHED}{}-{number}", std::process::id()));
        match self.remove_file(&hidden) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.create_file(&hidden, 0o600, Create::New)?;
        let written = fill(file, bytes, mode).and_then(|()| self.publish(&hidden, name));
        if written.is_err() {
            // The first error is the one to report.
            drop(self.remove_file(&hidden));
        }
        written?;
        self.sync()
    }

    /// Removes what a process that was killed in [`Dir::replace_file`] has left. Only where nobody else writes now.
    ///
    /// # Errors
    /// When the directory cannot be read or written.
    pub fn sweep_unfinished(&self) -> io::Result<()> {
        for entry in self.list()? {
            if entry.name.as_bytes().starts_with(UNFINISHED.as_bytes()) && !entry.is_dir {
                self.remove_file(&entry.name)?;
            }
        }
        Ok(())
    }
}

fn fill(mut file: File, bytes: &[u8], mode: u32) -> io::Result<()> {
    file.write_all(bytes)?;
    fchmod(&file, mode)?;
    file.sync_all()
}
