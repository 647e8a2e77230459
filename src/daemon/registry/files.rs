//! Reading installed DAGs: through descriptors, regular files of trusted directories only, and only what changed.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::config::Config;
use crate::model::hash::Hasher;
use crate::model::limits::{DAG_SOURCE_MAX, SCHEMA_MAX};
use crate::model::{DagName, SchemaRef};
use crate::sys::creds;
use crate::sys::files::{Dir, is_link, read_at_most};

use super::place::Place;

/// What tells that a file is the one that was read: where it lies, its size, and when it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::daemon) struct Stamp([i64; 7]);

impl Stamp {
    fn of(file: &Metadata) -> Self {
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

/// Name of the file with a schema of a user's DAG. It came with the DAG, from whatever path the user has it at.
pub(in crate::daemon) fn schema_file(dag: &DagName, wanted: &SchemaRef) -> String {
    let mut hash = Hasher::default();
    hash.add(&wanted.path);
    hash.add(wanted.working_dir.as_deref().unwrap_or_default());
    format!("{dag}.{}{SCHEMA_END}", hash.finish(SCHEMA_HASH / 2))
}

const SCHEMA_END: &str = ".schema.json";
/// Digits of the hash in the name.
const SCHEMA_HASH: usize = 16;

/// Whether a file of that name holds a schema of that DAG of a user.
pub(in crate::daemon) fn is_schema_of(name: &str, dag: &str) -> bool {
    let rest = name.strip_prefix(dag).and_then(|rest| rest.strip_prefix('.'));
    let hash = rest.and_then(|rest| rest.strip_suffix(SCHEMA_END));
    hash.is_some_and(|hash| hash.len() == SCHEMA_HASH && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Reads a schema that a DAG refers to: beside the DAG. Error messages quote a schema, so no other file may be reached.
pub(in crate::daemon) fn read_schema(
    dir: &Dir,
    place: &Place,
    dag: Option<&DagName>,
    wanted: &SchemaRef,
) -> Result<Text, String> {
    let name = schema_name(place, dag, wanted)?;
    read_all(dir, &name, SCHEMA_MAX)?.ok_or_else(|| "there is no such file beside the DAG".to_owned())
}

/// Name of the file that a reference to a schema leads to.
fn schema_name(place: &Place, dag: Option<&DagName>, wanted: &SchemaRef) -> Result<String, String> {
    match (place, dag) {
        (Place::User(_), Some(dag)) => Ok(schema_file(dag, wanted)),
        _ if wanted.path.contains('/') => {
            Err("that of an installed DAG is beside it, and named without a directory".to_owned())
        }
        _ => Ok(wanted.path.clone()),
    }
}

/// Whether a schema is the one that was read, without reading it again; none if it could not be read.
pub(in crate::daemon) fn is_same_schema(
    dir: &Dir,
    place: &Place,
    dag: Option<&DagName>,
    wanted: &SchemaRef,
    stamp: Option<Stamp>,
) -> bool {
    let now = schema_name(place, dag, wanted).and_then(|name| read(dir, &name, SCHEMA_MAX, stamp));
    match now {
        Ok(Some(Err(_))) => true,
        Ok(Some(Ok(_))) => false,
        Ok(None) | Err(_) => stamp.is_none(),
    }
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

    #[test]
    fn whether_a_schema_changed_is_told_without_its_text() {
        let (temp, dir) = dir();
        let path = temp.path().join("s.json");
        let wanted = SchemaRef {
            path: "s.json".to_owned(),
            working_dir: None,
        };
        let same = |stamp| is_same_schema(&dir, &Place::System, None, &wanted, stamp);
        assert!(same(None), "it is still not there");
        // Larger than any schema may be, so nobody has read it.
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        let stamp = Stamp::of(&file.metadata().unwrap());
        assert!(same(Some(stamp)));
        file.set_len(1 << 39).unwrap();
        assert!(!same(Some(stamp)));
        std::fs::remove_file(&path).unwrap();
        assert!(!same(Some(stamp)));
    }

    #[test]
    fn the_schemas_of_a_dag_are_told_from_those_of_another() {
        let wanted = SchemaRef {
            path: "/home/x/s.json".to_owned(),
            working_dir: None,
        };
        let name = schema_file(&DagName::new("a.b").unwrap(), &wanted);
        assert!(is_schema_of(&name, "a.b"), "{name}");
        assert!(!is_schema_of(&name, "a"), "{name}");
        assert!(!is_schema_of("a.schema.json", "a"));
    }
}
