//! Reading installed DAGs: through descriptors, regular files of trusted directories only, and only what changed.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::config::Config;
use crate::model::limits::DAG_SOURCE_MAX;
use crate::sys::creds;
use crate::sys::files::{Dir, is_link, read_at_most};

/// What tells that a file is the one that was read: where it lies, its size, and when it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::daemon) struct Stamp([i64; 7]);

impl Stamp {
    pub(super) fn of(file: &Metadata) -> Self {
        Self([
            file.dev().cast_signed(),
            file.ino().cast_signed(),
            file.size().cast_signed(),
            file.mtime(),
            file.mtime_nsec(),
            file.ctime(),
            file.ctime_nsec(),
        ])
    }
}

/// A text with what tells whether it is still the same, and its permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::daemon) struct Text {
    pub(in crate::daemon) text: String,
    pub(in crate::daemon) stamp: Stamp,
    pub(in crate::daemon) mode: u32,
}

/// Whether only root, or the daemon's own user, decides what is in a file or directory.
fn trusted(what: &Metadata, own: u32) -> Result<(), String> {
    let owner = what.uid();
    if owner != 0 && owner != own {
        return Err(format!(
            "it belongs to user id {owner}; only root or the daemon's own user may own it"
        ));
    }
    if what.mode() & 0o002 != 0 {
        return Err("everybody can write it; `chmod o-w` cures that".to_owned());
    }
    Ok(())
}

/// What is wrong where DAGs of the system are in force and their directory is gone.
pub(in crate::daemon) const NO_DIR: &str =
    "there is no such directory; make it again, empty if its DAGs are to go";

/// Opens a directory of installed DAGs. `None` if there is none.
pub(in crate::daemon) fn open_dir(path: &Path) -> Result<Option<Dir>, String> {
    let dir = match Dir::open(path) {
        Ok(dir) => dir,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let held = dir.as_fd().try_clone_to_owned().map(std::fs::File::from);
    let about = held
        .and_then(|held| held.metadata())
        .map_err(|error| error.to_string())?;
    trusted(&about, creds::effective_uid())?;
    Ok(Some(dir))
}

/// Reads a file of the directory to its end: at most `limit` bytes, in UTF-8. `None` if there is none. With `known`, one
/// that is still the same is not read: `Ok(Some(Err(stamp)))`.
pub(in crate::daemon) fn read(
    dir: &Dir,
    name: &str,
    limit: usize,
    known: Option<Stamp>,
) -> Result<Option<Result<Text, Stamp>>, String> {
    let mut file = match dir.open_regular(name) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // The kernel's words for it would set people looking for a loop.
        Err(error) if is_link(&error) => {
            return Err("it is a symbolic link, and those are not followed here".to_owned());
        }
        Err(error) => return Err(error.to_string()),
    };
    let about = file.metadata().map_err(|error| error.to_string())?;
    trusted(&about, creds::effective_uid())?;
    let stamp = Stamp::of(&about);
    if known == Some(stamp) {
        return Ok(Some(Err(stamp)));
    }
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let bytes = read_at_most(&mut file, limit).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("it is not UTF-8 (at byte {at})")
    })?;
    Ok(Some(Ok(Text {
        text,
        stamp,
        mode: about.mode() & 0o777,
    })))
}

/// The same for a file that is to be read in any case.
pub(in crate::daemon) fn read_all(dir: &Dir, name: &str, limit: usize) -> Result<Option<Text>, String> {
    match read(dir, name, limit, None)? {
        Some(Ok(text)) => Ok(Some(text)),
        _ => Ok(None),
    }
}

/// Reads the base configuration of installed DAGs. `None` if there is none.
pub(in crate::daemon) fn read_base(config: &Config) -> Result<Option<String>, String> {
    let path = &config.paths.base;
    let shown = |error: String| {
        format!(
            "the base configuration {} cannot be used: {error}",
            path.display()
        )
    };
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(None);
    };
    let Some(dir) = open_dir(dir).map_err(shown)? else {
        return Ok(None);
    };
    let text = read_all(&dir, name, DAG_SOURCE_MAX).map_err(shown)?;
    Ok(text.map(|text| text.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn dir() -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = open_dir(temp.path()).unwrap().unwrap();
        (temp, dir)
    }

    #[test]
    fn only_regular_files_of_some_size_are_read_and_only_if_they_changed() {
        let (temp, dir) = dir();
        let at = |name: &str| temp.path().join(name);
        std::fs::write(at("a"), "text").unwrap();
        let text = read_all(&dir, "a", 4).unwrap().unwrap();
        assert_eq!(text.text, "text");
        assert_eq!(read(&dir, "a", 4, Some(text.stamp)), Ok(Some(Err(text.stamp))));
        std::fs::write(at("a"), "more").unwrap();
        assert!(read(&dir, "a", 4, Some(text.stamp)).unwrap().unwrap().is_ok());
        assert!(read_all(&dir, "a", 3).unwrap_err().contains("larger than 3"));
        assert_eq!(read_all(&dir, "absent", 4), Ok(None));
        symlink(at("a"), at("link")).unwrap();
        assert!(read_all(&dir, "link", 9).unwrap_err().contains("symbolic link"));
        std::fs::write(at("bytes"), [b'a', 0xff]).unwrap();
        assert!(read_all(&dir, "bytes", 9).unwrap_err().contains("byte 1"));
        let made = std::process::Command::new("mkfifo").arg(at("fifo")).status();
        assert!(made.unwrap().success());
        assert!(
            read_all(&dir, "fifo", 9)
                .unwrap_err()
                .contains("not a regular file")
        );
    }

    #[test]
    fn what_others_can_write_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let (temp, dir) = dir();
        let path = temp.path().join("a");
        std::fs::write(&path, "text").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o646)).unwrap();
        assert!(read_all(&dir, "a", 9).unwrap_err().contains("chmod o-w"));
        std::fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o777)).unwrap();
        assert!(open_dir(temp.path()).unwrap_err().contains("everybody"));
        let other = std::fs::metadata(&path).unwrap();
        assert!(trusted(&other, other.uid()).is_err(), "mode");
        assert_eq!(
            open_dir(&temp.path().join("absent")).map(|dir| dir.is_none()),
            Ok(true)
        );
    }
}
