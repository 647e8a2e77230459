//! The file that gets the metrics again and again.

use std::io;
use std::path::Path;

use crate::daemon::alarms::Alarm;
use crate::daemon::dispatcher::{Dispatcher, now};
use crate::sys::files::Dir;

/// How the writing of the file goes.
#[derive(Debug, Default)]
pub(super) struct Textfile {
    /// Whether it is being written: a disk that hangs is not given more to do.
    busy: bool,
    /// Whether the last time went wrong, as the log has it.
    failed: bool,
}

impl Dispatcher {
    /// The configuration names a file, or does not any more: it is written now and from then on.
    pub(in crate::daemon) fn arm_textfile(&mut self) {
        self.alarms.cancel(&Alarm::Textfile);
        if self.config.metrics.textfile.is_some() {
            self.alarms.set(now().boot, Alarm::Textfile);
        }
        self.arm();
    }

    /// The file is to be written.
    pub(in crate::daemon) fn write_textfile(&mut self) {
        let config = &self.config.metrics;
        let Some(path) = config.textfile.clone() else {
            return;
        };
        let mode = config.textfile_mode;
        let next = now().boot.after_secs(f64::from(config.interval_sec));
        self.alarms.set(next, Alarm::Textfile);
        if std::mem::replace(&mut self.metrics.textfile.busy, true) {
            return;
        }
        self.with_metrics(move |dispatcher, text| {
            dispatcher.elsewhere(
                move || (write(&path, &text, mode), path),
                |dispatcher, (written, path)| dispatcher.textfile_written(&path, written.err().as_ref()),
            );
        });
    }

    /// The first failure of several in a row is logged, and that it works again.
    fn textfile_written(&mut self, path: &Path, error: Option<&io::Error>) {
        let file = &mut self.metrics.textfile;
        file.busy = false;
        let failed = std::mem::replace(&mut file.failed, error.is_some());
        match error {
            Some(error) if !failed => {
                tracing::error!(path = %path.display(), %error, "the file of metrics cannot be written; it is tried again");
            }
            None if failed => {
                tracing::info!(path = %path.display(), "the file of metrics can be written again");
            }
            _ => {}
        }
    }
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (dir, name) = path.parent().zip(path.file_name()).ok_or_else(invalid)?;
    Dir::open(dir)?.replace_file(name, text.as_bytes(), mode)
}

#[cfg(test)]
mod tests {
    use super::write;

    #[test]
    fn the_file_is_replaced_as_a_whole_and_the_error_names_what_is_missing() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proctor.prom");
        std::fs::write(&path, "an older and longer text\n").unwrap();
        let old = std::fs::File::open(&path).unwrap();
        write(&path, "a 1\n", 0o640).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a 1\n");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(
            std::io::read_to_string(old).unwrap(),
            "an older and longer text\n"
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let missing = dir.path().join("none/proctor.prom");
        let error = write(&missing, "a 1\n", 0o640).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }
}
