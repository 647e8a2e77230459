//! Installed DAGs: files in a directory that the daemon's user owns, and the JSON schemas beside them.
//!
//! A run of one belongs to the one who asks, so each file must be one that they could read.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::control::refusal;
use crate::config::Config;
use crate::dag::{BaseConfig, Source, schema_files};
use crate::model::limits::{DAG_SOURCE_MAX, SCHEMA_MAX};
use crate::model::{DagName, SchemaFile};
use crate::sys::creds;
use crate::sys::files::{Dir, read_at_most};
use crate::wire::control::{self as wire, Response};

/// Whether a user may have what is in a file of this mode.
fn may_read(uid: u32, mode: u32) -> bool {
    mode & 0o004 != 0 || uid == 0 || uid == creds::effective_uid()
}

/// Reads a file of the directory to its end: at most `limit` bytes, in UTF-8. `None` if there is none, or none that this
/// user may read, which must not look different to them.
fn read_file(dir: &Path, name: &str, limit: usize, uid: u32) -> Result<Option<String>, String> {
    let opened = Dir::open(dir).and_then(|dir| dir.open_regular(name));
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mode = file.metadata().map_err(|error| error.to_string())?;
    if !may_read(uid, mode.permissions().mode()) {
        return Ok(None);
    }
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let bytes = read_at_most(&mut file, limit).map_err(|error| error.to_string())?;
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| "it is not UTF-8".to_owned())
}

/// Reads an installed DAG.
pub(super) fn read(config: &Config, uid: u32, name: &DagName) -> Result<String, Box<Response>> {
    let dir = &config.paths.dags;
    for file in [format!("{name}.yaml"), format!("{name}.yml")] {
        match read_file(dir, &file, DAG_SOURCE_MAX, uid) {
            Ok(Some(source)) => return Ok(source),
            Ok(None) => {}
            Err(error) => {
                let text = format!("{} cannot be read: {error}", dir.join(file).display());
                return Err(Box::new(refusal(wire::ErrorKind::Invalid, &text)));
            }
        }
    }
    let text = format!(
        "there is no DAG {name} in {}; give a file, or install it there",
        dir.display()
    );
    Err(Box::new(refusal(wire::ErrorKind::NotFound, &text)))
}

/// Reads the JSON schemas that an installed DAG refers to. One that cannot be read is there with the reason.
pub(super) fn read_schemas(
    config: &Config,
    uid: u32,
    source: &Source<'_>,
    base: Option<&BaseConfig<'_>>,
) -> Vec<SchemaFile> {
    schema_files(source, base, |wanted| {
        read_schema(&config.paths.dags, &wanted.path, uid)
    })
}

/// Reads one schema: a file beside the DAG. Error messages quote a schema, so no other file may be reached.
fn read_schema(dir: &Path, name: &str, uid: u32) -> Result<String, String> {
    if name.contains('/') {
        return Err("that of an installed DAG is beside it, and named without a directory".to_owned());
    }
    let absent = || format!("there is no such file in {}", dir.display());
    read_file(dir, name, SCHEMA_MAX, uid)?.ok_or_else(absent)
}
