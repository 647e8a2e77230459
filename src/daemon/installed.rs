//! Installed DAGs that somebody starts by name: the one that has the name, else the user's own. They are read as their files
//! are at that moment; from one that has errors, the version in force is started, as its schedule does. A run of one of
//! these belongs to the one who asks, so its file must be one that they could read, or to the user that the DAG names: then
//! that user and administrators may start it.

use super::control::refusal;
use super::registry::{Catalog, Context, FileId, Place, make, of_file};
use super::registry::{
    NO_DIR, READS_MAX, is_same_dag, open_dir, read_base, read_dag, read_schema, schemas_of,
};
use crate::model::change::InstalledDag;
use crate::model::{DagName, SchemaFile, Time};
use crate::sys::creds;
use crate::wire::control::{self as wire, Problem, Response};

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
    /// That this is not what the file says now, and why.
    pub(super) warnings: Vec<Problem>,
    /// Whether it is a DAG of the system.
    pub(super) system: bool,
    /// Whether everybody may read the file, or the one who asks may: else only its `run_as` lets them start it.
    pub(super) readable: bool,
}

/// Who wants a DAG.
#[derive(Debug, Clone, Copy)]
pub(super) struct Starter {
    pub(super) uid: u32,
    /// Whether they are an administrator.
    pub(super) admin: bool,
}

impl Starter {
    /// Whether they may have what is in a file of the system of this mode.
    fn may_read(self, mode: u32) -> bool {
        mode & 0o004 != 0 || self.uid == 0 || self.uid == creds::effective_uid()
    }

    /// Whether they may start runs of this user that a DAG of the system names.
    pub(super) fn may_start(self, owner: u32) -> bool {
        self.admin || [0, creds::effective_uid(), owner].contains(&self.uid)
    }
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
    let known = catalog.get(name).map(|force| force.file.clone());
    let known = known.filter(|known| known.place == Place::System);
    // Of whose name the system has taken, nothing starts.
    let own = || file(Place::of_user(own), format!("{name}.yaml"));
    let mut files = vec![known.unwrap_or_else(own)];
    files.extend(["yaml", "yml"].map(|end| file(Place::System, format!("{name}.{end}"))));
    files
}

/// An installed DAG's file as it is now, with what it is loaded from; read so often at most as it changes meanwhile. `None`
/// if it is gone, or not for this user's eyes.
fn read(
    context: &Context,
    may_have: &dyn Fn(u32) -> bool,
    id: &FileId,
    name: &DagName,
    base: Option<&String>,
    in_force: bool,
    reads: usize,
) -> Result<Option<InstalledDag>, String> {
    let config = &context.config;
    let path = id.path(config).display().to_string();
    let unusable = |error: String| format!("{path} cannot be used: {error}");
    let Some(dir) = open_dir(&id.place.dir(config)).map_err(unusable)? else {
        // The system's DAGs stay in force without it.
        let missed = in_force && id.place == Place::System;
        return if missed {
            Err(unusable(NO_DIR.to_owned()))
        } else {
            Ok(None)
        };
    };
    let Some(Ok(text)) = read_dag(&dir, id, None).map_err(unusable)? else {
        return Ok(None);
    };
    if id.place == Place::System && !may_have(text.mode) {
        return Ok(None);
    }
    let owner = id
        .place
        .owner(config)
        .map_err(|error| unusable(error.to_string()))?;
    let base = match base {
        Some(base) => Some(base.clone()),
        None => read_base(config)?,
    };
    let mut record = InstalledDag {
        dag: name.clone(),
        file: id.stored(),
        owner: matches!(id.place, Place::User(_)).then_some(owner.uid),
        mode: text.mode,
        at: Time(0),
        source: text.text,
        base,
        schemas: Vec::new(),
    };
    let schemas = schemas_of(&record, &path, id.stem(), |wanted| {
        read_schema(&dir, id, &text.refs, wanted).map(|text| text.text)
    });
    let lacks = schemas.iter().any(|schema| schema.text.is_none());
    if lacks && reads > 1 && !is_same_dag(&dir, id, text.stamp) {
        // Another version has taken its place, and the schemas of this one are gone.
        return read(
            context,
            may_have,
            id,
            name,
            record.base.as_ref(),
            in_force,
            reads - 1,
        );
    }
    record.schemas = schemas;
    Ok(Some(record))
}

/// What a run is made from: the file as it is now, or the version in force if that is better. Who starts a DAG by name
/// gets what its schedule would start.
fn choose(
    context: &Context,
    id: &FileId,
    now: Result<InstalledDag, String>,
    good: Option<&InstalledDag>,
    base: Option<String>,
) -> Result<(InstalledDag, Vec<Problem>), String> {
    let Some(good) = good else {
        return now.map(|now| (now, Vec::new()));
    };
    let path = id.path(&context.config).display().to_string();
    let problems = match now {
        Err(error) => vec![of_file(error, None, &path)],
        Ok(now) => {
            let same = now.source == good.source && now.schemas == good.schemas;
            if same && (base.is_some() || now.base == good.base) {
                return Ok((now, Vec::new()));
            }
            let owner = id
                .place
                .owner(&context.config)
                .map_err(|error| error.to_string())?;
            match make(context, &owner, &path, id.stem(), now.clone()) {
                Ok(version) if version.record.dag == good.dag => return Ok((now, Vec::new())),
                // A run of that one was not asked for, and another file may have its name.
                Ok(version) => {
                    let text = format!("the file names the DAG {} now", version.record.dag);
                    let hint = format!("start {} by that name, if it has it", version.record.dag);
                    vec![of_file(text, Some(hint), &path)]
                }
                Err(wrong) => wrong.problems,
            }
        }
    };
    let mut good = good.clone();
    good.base = base.or(good.base);
    let what = format!("the last good version of {} is started", good.dag);
    let mut warnings = vec![of_file(what, None, &path)];
    warnings.extend(problems);
    Ok((good, warnings))
}

/// Finds an installed DAG for a user. `base` holds instead of the daemon's base configuration.
///
/// # Errors
/// The refusal: there is none, or none that this user may read, which must not look different to them; or it cannot be used.
pub(super) fn find(
    context: &Context,
    catalog: &Catalog,
    starter: Starter,
    name: &DagName,
    base: Option<String>,
) -> Result<Found, Box<Response>> {
    let (config, uid) = (&context.config, starter.uid);
    let invalid = |text: String| refused(wire::ErrorKind::Invalid, &text);
    for id in candidates(catalog, uid, name) {
        let system = id.place == Place::System;
        let force = catalog.get(name).filter(|force| force.file == id);
        // Whoever it names may start it, too, whatever its mode is.
        let named = force.is_some_and(|force| force.version.run_as && starter.may_start(force.version.owner));
        let may_have = |mode| named || starter.may_read(mode);
        let good = force.map(|force| &*force.version.record);
        let good = good.filter(|good| !system || may_have(good.mode));
        let now = read(
            context,
            &may_have,
            &id,
            name,
            base.as_ref(),
            good.is_some(),
            READS_MAX,
        );
        let Some(now) = now.transpose() else { continue };
        let (record, warnings) = choose(context, &id, now, good, base).map_err(invalid)?;
        let path = id.path(config).display().to_string();
        let owner = id
            .place
            .owner(config)
            .map_err(|error| invalid(error.to_string()))?;
        let stem = id.stem().to_owned();
        return Ok(Found {
            source: record.source,
            name: (!system).then(|| stem.clone()),
            file: if system { id.name } else { path },
            stem,
            base: record.base,
            base_dir: owner.base_dir,
            schemas: record.schemas,
            warnings,
            system,
            readable: !system || starter.may_read(record.mode),
        });
    }
    Err(none(context, uid, name))
}

/// The refusal of what is not there, or not for this user.
pub(super) fn none(context: &Context, uid: u32, name: &DagName) -> Box<Response> {
    let dags = context.config.paths.dags.display();
    let cure = if uid == 0 || uid == creds::effective_uid() {
        format!(", or put it into {dags}")
    } else {
        String::new()
    };
    let text =
        format!("no DAG {name} is installed; give a file, or install it with `proctorctl install`{cure}");
    refused(wire::ErrorKind::NotFound, &text)
}
