//! Installed DAGs: files in a directory that the daemon's user owns, and the JSON schemas beside them.
//!
//! A run of one belongs to the one who asks, so each file must be one that they could read.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::control::refusal;
use crate::config::Config;
use crate::dag::{BaseConfig, Source, schema_files};
use crate::model::limits::{DAG_SOURCE_MAX, SCHEMA_MAX};
use crate::model::{DagName, SchemaFile};
use crate::sys::creds;
use crate::sys::files::{Dir, read_at_most};
use crate::wire::control::{ErrorKind, Response};

/// Whether a user may have what is in a file of this mode.
fn may_read(uid: u32, mode: u32) -> bool {
    mode & 0o004 != 0 || uid == 0 || uid == creds::effective_uid()
}

/// Reads an installed DAG.
pub(super) fn read(config: &Config, uid: u32, name: &DagName) -> Result<String, Box<Response>> {
    let dir = &config.paths.dags;
    let absent = || {
        let text = format!(
            "there is no DAG {name} in {}; give a file, or install it there",
            dir.display()
        );
        Box::new(refusal(ErrorKind::NotFound, &text))
    };
    let opened = Dir::open(dir).and_then(|dir| {
        dir.open_regular(format!("{name}.yaml"))
            .or_else(|_| dir.open_regular(format!("{name}.yml")))
    });
    let file = opened.map_err(|_| absent())?;
    let mode = file.metadata().map_err(|_| absent())?.permissions().mode();
    if !may_read(uid, mode) {
        return Err(absent());
    }
    let mut source = String::new();
    let limit = DAG_SOURCE_MAX as u64 + 1;
    file.take(limit).read_to_string(&mut source).map_err(|error| {
        Box::new(refusal(
            ErrorKind::Invalid,
            &format!("the DAG {name} cannot be read: {error}"),
        ))
    })?;
    Ok(source)
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
    let mut file = Dir::open(dir)
        .and_then(|dir| dir.open_regular(name))
        .map_err(|_| absent())?;
    let mode = file.metadata().map_err(|_| absent())?.permissions().mode();
    if !may_read(uid, mode) {
        return Err(absent());
    }
    let limit = u64::try_from(SCHEMA_MAX).unwrap_or(u64::MAX);
    let bytes = read_at_most(&mut file, limit).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}
