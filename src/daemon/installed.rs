//! Installed DAGs that somebody starts by name, read as their files are at that moment: the user's own first, then the
//! system's. A run of one of these belongs to the one who asks, so its file must be one that they could read.

use super::control::refusal;
use super::registry::{Catalog, FileId, Place, open_dir, read_all, read_base, read_schema};
use crate::config::Config;
use crate::dag::{BaseConfig, Source, schema_files};
use crate::model::limits::DAG_SOURCE_MAX;
use crate::model::{DagName, SchemaFile};
use crate::sys::creds;
use crate::wire::control::{self as wire, Response};

/// An installed DAG with everything that it is loaded from.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) source: String,
    /// How messages call the file.
    pub(super) file: String,
    pub(super) stem: String,
    /// Its name, if the file has been named by `install`.
    pub(super) name: Option<String>,
    /// Base configuration.
    pub(super) base: Option<String>,
    /// Absolute directory in which relative paths start.
    pub(super) base_dir: String,
    pub(super) schemas: Vec<SchemaFile>,
}

/// Whether a user may have what is in a file of the system of this mode.
fn may_read(uid: u32, mode: u32) -> bool {
    mode & 0o004 != 0 || uid == 0 || uid == creds::effective_uid()
}

fn refused(kind: wire::ErrorKind, text: &str) -> Box<Response> {
    Box::new(refusal(kind, text))
}

/// The files that may be meant, in order. The last ones are those that nobody has looked at yet.
fn candidates(catalog: &Catalog, uid: u32, name: &DagName) -> Vec<FileId> {
    let own = match creds::effective_uid() {
        0 => uid,
        own => own,
    };
    let file = |place: Place, name: String| FileId { place, name };
    let mut files = vec![file(Place::of_user(own), format!("{name}.yaml"))];
    files.extend(catalog.get(name).map(|known| file(Place::System, known.clone())));
    files.extend(["yaml", "yml"].map(|end| file(Place::System, format!("{name}.{end}"))));
    files
}

/// Finds and reads an installed DAG for a user. `base` holds instead of the daemon's base configuration.
///
/// # Errors
/// The refusal: there is none, or none that this user may read, which must not look different to them; or it cannot be used.
pub(super) fn find(
    config: &Config,
    catalog: &Catalog,
    uid: u32,
    name: &DagName,
    base: Option<String>,
) -> Result<Found, Box<Response>> {
    let invalid = |text: String| refused(wire::ErrorKind::Invalid, &text);
    for id in candidates(catalog, uid, name) {
        let path = id.path(config).display().to_string();
        let unusable = |error: String| invalid(format!("{path} cannot be used: {error}"));
        let Some(dir) = open_dir(&id.place.dir(config)).map_err(unusable)? else {
            continue;
        };
        let Some(text) = read_all(&dir, &id.name, DAG_SOURCE_MAX).map_err(unusable)? else {
            continue;
        };
        let system = id.place == Place::System;
        if system && !may_read(uid, text.mode) {
            continue;
        }
        let owner = id.place.owner(config).map_err(unusable)?;
        let base = match base {
            Some(base) => Some(base),
            None => read_base(config).map_err(invalid)?,
        };
        let stem = id.stem().to_owned();
        let file = if system { id.name.clone() } else { path };
        let source = Source {
            text: text.text.as_bytes(),
            file: &file,
            stem: &stem,
        };
        let with = base.as_ref().map(|text| BaseConfig {
            text: text.as_bytes(),
            file: "base configuration",
        });
        let schemas = schema_files(&source, with.as_ref(), |wanted| {
            read_schema(&dir, &id.place, Some(name), wanted).map(|text| text.text)
        });
        return Ok(Found {
            source: text.text,
            name: (!system).then(|| stem.clone()),
            file,
            stem,
            base,
            base_dir: owner.base_dir,
            schemas,
        });
    }
    let text = format!(
        "there is no DAG {name} in {}; give a file, or install it there",
        config.paths.dags.display()
    );
    Err(refused(wire::ErrorKind::NotFound, &text))
}
