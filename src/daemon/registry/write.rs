//! Writing and removing the files of installed DAGs: checked before, all at once, and by descriptor.

use super::super::admission::known_user;
use super::super::dispatcher::now;
use super::edit::{Known, failed, refused, target, wrong};
use super::files::{self, is_schema_of, open_dir, read_all, read_base, schema_file};
use super::place::{FileId, Place, is_dag_file};
use super::scan::own_name;
use super::version::{self, hash_of, of_file};
use crate::config::Config;
use crate::dag::Source;
use crate::model::change::InstalledDag;
use crate::model::limits::{DAG_SOURCE_MAX, SCHEMA_MAX, SCHEMAS_MAX};
use crate::model::{DagName, SchemaFile};
use crate::sys::files::Dir;
use crate::wire::control::{ErrorKind, Problem, Response};
use crate::wire::manage::Install;

/// Most DAGs that a user may have installed.
const OWN_DAGS_MAX: usize = 1_000;
/// Most bytes that these may have together.
const OWN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Checks everything as the registry will, then writes the file. Gives it with what deserves a look.
pub(super) fn write(
    known: &Known,
    dag: &DagName,
    install: &Install,
) -> Result<(FileId, Vec<Problem>), Box<Response>> {
    known_user(known.uid)?;
    let config = &known.context.config;
    let id = target(known, dag, install)?;
    let owner = id.place.owner(config).map_err(|error| {
        refused(
            ErrorKind::Unavailable,
            format!("nothing was installed: {error}"),
            None,
        )
    })?;
    let dir = directory(config, &id.place)?;
    let unusable = |error: String| {
        let path = id.path(config);
        refused(
            ErrorKind::Unavailable,
            format!("{} cannot be used: {error}", path.display()),
            None,
        )
    };
    // One that is damaged may be replaced, too, unless it is an edit of what it says.
    let old = match read_all(&dir, &id.name, DAG_SOURCE_MAX) {
        Err(error) if install.replaces.is_some() => return Err(unusable(error)),
        old => old.ok().flatten(),
    };
    let mut mode = if install.private { 0o600 } else { 0o644 };
    if let Some(hash) = &install.replaces {
        let old = old
            .as_ref()
            .filter(|old| hash_of(&old.text) == *hash)
            .ok_or_else(|| {
                let text = format!("DAG {dag} was changed or removed meanwhile; nothing was installed");
                refused(
                    ErrorKind::WrongState,
                    text,
                    Some("take over what changed, and try again"),
                )
            })?;
        if own_name(&old.text) != own_name(&install.source) {
            let text = format!("an edit of DAG {dag} cannot change its `name:`; nothing was installed");
            return Err(refused(
                ErrorKind::Invalid,
                text,
                Some("install it under the new name, and remove this one"),
            ));
        }
        if !install.private {
            mode = old.mode;
        }
    }
    // Somebody may have been quicker, since the name was looked up.
    if old.is_some() && !install.replace && install.replaces.is_none() {
        let text = format!("there is a DAG {dag} already: {}", id.path(config).display());
        return Err(refused(ErrorKind::Exists, text, Some("--replace replaces it")));
    }
    within_limits(&dir, &id, dag, install)?;
    let record = InstalledDag {
        dag: dag.clone(),
        file: id.stored(),
        owner: matches!(id.place, Place::User(_)).then_some(owner.uid),
        mode,
        at: now().wall,
        source: install.source.clone(),
        base: read_base(config).map_err(|error| refused(ErrorKind::Unavailable, error, None))?,
        schemas: schemas(&dir, &id.place, dag, install),
    };
    let stem = id.stem().to_owned();
    let version = version::make(&known.context, &owner, &install.file, &stem, record).map_err(wrong)?;
    if version.record.dag != *dag {
        let text = format!("the text names the DAG {}, not {dag}", version.record.dag);
        return Err(wrong(vec![of_file(
            text,
            Some("change its `name:`".to_owned()),
            &install.file,
        )]));
    }
    let kept = put_schemas(&dir, &id, dag, install, &version.record.schemas)?;
    dir.replace_file(&id.name, install.source.as_bytes(), mode)
        .map_err(|error| failed("the file cannot be written", &error))?;
    // Those of the version before; the new one is in its place now.
    remove_schemas(&dir, id.stem(), &kept);
    Ok((id, version.warnings))
}

/// Opens the place, and makes it if it is a user's first.
fn directory(config: &Config, place: &Place) -> Result<Dir, Box<Response>> {
    if let Place::User(name) = place {
        let made = Dir::open(&config.paths.state)
            .and_then(|state| state.ensure_dir("dags", 0o755))
            .and_then(|users| users.ensure_dir(name, 0o755).map(|dir| (users, dir)))
            .and_then(|(users, _)| users.sync());
        made.map_err(|error| failed("the directory cannot be made", &error))?;
    }
    let path = place.dir(config);
    match open_dir(&path) {
        Ok(Some(dir)) => Ok(dir),
        Ok(None) => Err(refused(
            ErrorKind::Unavailable,
            format!("{} is gone", path.display()),
            None,
        )),
        Err(error) => Err(refused(
            ErrorKind::Unavailable,
            format!("{} cannot be used: {error}", path.display()),
            None,
        )),
    }
}

/// Whether the user has room for it.
fn within_limits(dir: &Dir, id: &FileId, dag: &DagName, install: &Install) -> Result<(), Box<Response>> {
    if id.place == Place::System {
        return Ok(());
    }
    let names = dir
        .list()
        .map_err(|error| failed("the directory cannot be read", &error))?;
    let mut count = 1;
    let size = |text: &str| u64::try_from(text.len()).unwrap_or(u64::MAX);
    let mut bytes = size(&install.source);
    let mut replaced = vec![id.name.clone()];
    for schema in &install.schemas {
        if let Some(text) = &schema.text {
            bytes = bytes.saturating_add(size(text));
            replaced.push(schema_file(dag, &schema.wanted));
        }
    }
    for name in names
        .into_iter()
        .filter_map(|entry| entry.name.into_string().ok())
    {
        if replaced.contains(&name) {
            continue;
        }
        count += usize::from(is_dag_file(&name));
        let size = dir
            .open_regular(&name)
            .and_then(|file| file.metadata())
            .map_or(0, |about| about.len());
        bytes = bytes.saturating_add(size);
    }
    room(count, bytes)
}

fn room(count: usize, bytes: u64) -> Result<(), Box<Response>> {
    let most = if count > OWN_DAGS_MAX {
        format!("{OWN_DAGS_MAX} DAGs")
    } else if bytes > OWN_BYTES_MAX {
        format!("{OWN_BYTES_MAX} bytes of DAGs")
    } else {
        return Ok(());
    };
    let text = format!("a user may have {most} installed; nothing was installed");
    Err(refused(
        ErrorKind::Unavailable,
        text,
        Some("remove some that are not needed"),
    ))
}

/// The schemas that the DAG is loaded with: what came with it, else what lies beside it.
fn schemas(dir: &Dir, place: &Place, dag: &DagName, install: &Install) -> Vec<SchemaFile> {
    let source = Source {
        text: install.source.as_bytes(),
        file: &install.file,
        stem: &install.stem,
    };
    crate::dag::schema_files(&source, None, |wanted| {
        let came = install.schemas.iter().find(|schema| schema.wanted == *wanted);
        match came.filter(|_| *place != Place::System) {
            Some(schema) => {
                let absent = || {
                    schema
                        .error
                        .clone()
                        .unwrap_or_else(|| "it did not come with the DAG".to_owned())
                };
                schema.text.clone().ok_or_else(absent)
            }
            None => files::read_schema(dir, place, Some(dag), wanted).map(|text| text.text),
        }
    })
}

/// Puts the schemas that came with a user's DAG beside it. Gives the names of all that it is loaded with.
fn put_schemas(
    dir: &Dir,
    id: &FileId,
    dag: &DagName,
    install: &Install,
    all: &[SchemaFile],
) -> Result<Vec<String>, Box<Response>> {
    if id.place == Place::System {
        return Ok(Vec::new());
    }
    let mut total = 0;
    for schema in &install.schemas {
        let Some(text) = &schema.text else { continue };
        total += text.len();
        if text.len() > SCHEMA_MAX || total > SCHEMAS_MAX {
            let text = format!("the JSON schemas of {} are too large", install.file);
            return Err(refused(ErrorKind::Invalid, text, None));
        }
        let name = schema_file(dag, &schema.wanted);
        dir.replace_file(&name, text.as_bytes(), 0o600)
            .map_err(|error| failed("a JSON schema cannot be written", &error))?;
    }
    Ok(all
        .iter()
        .map(|schema| schema_file(dag, &schema.wanted))
        .collect())
}

/// Removes what an earlier daemon was writing when it was killed. Nobody else writes where users' DAGs lie.
pub(super) fn sweep(config: &Config) {
    let Ok(Some(root)) = open_dir(&config.paths.user_dags()) else {
        return;
    };
    for entry in root.list().unwrap_or_default() {
        let swept = entry
            .is_dir
            .then(|| root.open_child_dir(&entry.name)?.sweep_unfinished());
        if let Some(Err(error)) = swept {
            tracing::warn!(place = ?entry.name, %error, "files that were not finished are left over");
        }
    }
}

fn remove_schemas(dir: &Dir, stem: &str, kept: &[String]) {
    let names = dir.list().unwrap_or_default().into_iter();
    for name in names.filter_map(|entry| entry.name.into_string().ok()) {
        if is_schema_of(&name, stem)
            && !kept.contains(&name)
            && let Err(error) = dir.remove_file(&name)
        {
            tracing::warn!(%name, %error, "a JSON schema of a DAG that was replaced or removed is left over");
        }
    }
}

/// Removes the file. One that is gone already is as good as removed.
pub(super) fn remove(config: &Config, id: &FileId) -> Result<(), String> {
    let Some(dir) = open_dir(&id.place.dir(config))? else {
        return Ok(());
    };
    match dir.remove_file(&id.name) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.to_string()),
        _ => {}
    }
    if id.place != Place::System {
        remove_schemas(&dir, id.stem(), &[]);
    }
    dir.sync().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_room_for_so_many_dags_and_so_many_bytes() {
        assert!(room(OWN_DAGS_MAX, OWN_BYTES_MAX).is_ok());
        assert!(room(OWN_DAGS_MAX + 1, 0).is_err());
        assert!(room(1, OWN_BYTES_MAX + 1).is_err());
    }

    #[test]
    fn schemas_take_room_too() {
        let temp = tempfile::tempdir().unwrap();
        let dir = open_dir(temp.path()).unwrap().unwrap();
        let dag = DagName::new("d").unwrap();
        let wanted = crate::model::SchemaRef {
            path: "s.json".to_owned(),
            working_dir: None,
        };
        let install = Install {
            source: "x".to_owned(),
            file: "d.yaml".to_owned(),
            stem: "d".to_owned(),
            name: None,
            schemas: vec![SchemaFile::new(wanted.clone(), Ok("{}".to_owned()))],
            replace: true,
            private: false,
            replaces: None,
        };
        let id = FileId {
            place: Place::User("u".to_owned()),
            name: "d.yaml".to_owned(),
        };
        let other = |length| {
            let file = std::fs::File::create(temp.path().join("e.0123456789abcdef.schema.json")).unwrap();
            file.set_len(length).unwrap();
        };
        // What is replaced takes no room of its own.
        let old = std::fs::File::create(temp.path().join(schema_file(&dag, &wanted))).unwrap();
        old.set_len(OWN_BYTES_MAX).unwrap();
        other(OWN_BYTES_MAX - 3);
        assert!(within_limits(&dir, &id, &dag, &install).is_ok());
        other(OWN_BYTES_MAX - 2);
        assert!(within_limits(&dir, &id, &dag, &install).is_err());
    }
}
