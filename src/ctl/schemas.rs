//! The JSON schemas that a DAG file refers to: found and read here, since neither the loader nor the daemon opens
//! what a user named.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::dag::{BaseConfig, Source, schema_files, schema_places};
use crate::model::limits::SCHEMA_MAX;
use crate::model::{SchemaFile, SchemaRef};

/// The texts that may refer to schemas, and the directories that relative paths start in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Referring<'a> {
    /// Text of the DAG file.
    pub(super) source: &'a str,
    /// Text of the base configuration.
    pub(super) base: Option<&'a str>,
    /// Directory of the DAG file; absolute.
    pub(super) base_dir: &'a str,
    /// Working directory of documents that name none.
    pub(super) default_working_dir: Option<&'a str>,
}

/// Reads every schema that is referred to. One that cannot be read is there with the reason, so that the loader tells
/// of it at its place in the file.
pub(super) fn read(referring: &Referring<'_>) -> Vec<SchemaFile> {
    let source = Source {
        text: referring.source.as_bytes(),
        file: "",
        stem: "",
    };
    let base = referring.base.map(|text| BaseConfig {
        text: text.as_bytes(),
        file: "",
    });
    schema_files(&source, base.as_ref(), |wanted| find(wanted, referring))
}

/// Reads the first file of that name: from the current directory, the working directory, the DAG file's directory.
fn find(wanted: &SchemaRef, referring: &Referring<'_>) -> Result<String, String> {
    let below = schema_places(
        wanted,
        Path::new(referring.base_dir),
        referring.default_working_dir,
    );
    for place in std::iter::once(PathBuf::from(&wanted.path)).chain(below) {
        match read_one(&place) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.to_string()),
            Ok(bytes) if bytes.len() > SCHEMA_MAX => {
                return Err(format!("it is over the limit of {SCHEMA_MAX} bytes"));
            }
            Ok(bytes) => return String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()),
        }
    }
    Err("there is no such file".to_owned())
}

fn read_one(path: &Path) -> std::io::Result<Vec<u8>> {
    // Who reads from a pipe that nobody writes to waits for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let limit = u64::try_from(SCHEMA_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
