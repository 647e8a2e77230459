//! Writing and removing the files of installed DAGs: checked before, all at once, and by descriptor.

use super::super::admission::known_user;
use super::super::dispatcher::now;
use super::edit::{Known, failed, refused, target, wrong};
use super::files::{NO_DIR, open_dir, read_base};
use super::place::{FileId, Place, is_dag_file};
use super::scan::own_name;
use super::schemas::{self, Refs};
use super::version::{self, hash_of, of_file};
use crate::config::Config;
use crate::dag::{BaseConfig, Source};
use crate::model::change::InstalledDag;
use crate::model::limits::{SCHEMA_MAX, SCHEMAS_MAX};
use crate::model::{DagName, SchemaFile, SchemaRef};
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
    let old = match schemas::read_dag(&dir, &id, None) {
        Err(error) if install.replaces.is_some() => return Err(unusable(error)),
        old => old.ok().flatten().and_then(Result::ok),
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
    let refs = old.map(|old| old.refs).unwrap_or_default();
    let base = read_base(config).map_err(|error| refused(ErrorKind::Unavailable, error, None))?;
    // Without the base configuration, which may change: so the file refers to its schemas.
    let own = loaded_with(&dir, &id, &refs, install, None);
    within_limits(&dir, &id, install, &own)?;
    let schemas = loaded_with(&dir, &id, &refs, install, base.as_ref());
    let record = InstalledDag {
        dag: dag.clone(),
        file: id.stored(),
        owner: matches!(id.place, Place::User(_)).then_some(owner.uid),
        mode,
        at: now().wall,
        source: install.source.clone(),
        base,
        schemas,
    };
    let stem = id.stem().to_owned();
    let version = version::make(&known.context, &owner, &install.file, &stem, record)
        .map_err(|bad| wrong(bad.problems))?;
    if version.record.dag != *dag {
        let text = format!("the text names the DAG {}, not {dag}", version.record.dag);
        return Err(wrong(vec![of_file(
            text,
            Some("change its `name:`".to_owned()),
            &install.file,
        )]));
    }
    let written = put_schemas(&dir, &id, install, &own).and_then(|refs| {
        // This puts all of it in force.
        let text = schemas::join(&install.source, &refs);
        dir.replace_file(&id.name, text.as_bytes(), mode)
            .map_err(|error| failed("the file cannot be written", &error))
    });
    if id.place != Place::System {
        // Those of the version before, or of this one if it could not be written.
        schemas::remove_unused(&dir, Some(id.stem()));
    }
    written?;
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
fn within_limits(
    dir: &Dir,
    id: &FileId,
    install: &Install,
    schemas: &[SchemaFile],
) -> Result<(), Box<Response>> {
    if id.place == Place::System {
        return Ok(());
    }
    let names = dir
        .list()
        .map_err(|error| failed("the directory cannot be read", &error))?;
    let mut count = 1;
    let size = |text: &str| u64::try_from(text.len()).unwrap_or(u64::MAX);
    let mut bytes = size(&install.source);
    for text in schemas.iter().filter_map(|schema| schema.text.as_deref()) {
        bytes = bytes.saturating_add(size(text));
    }
    let names = names
        .into_iter()
        .filter_map(|entry| entry.name.into_string().ok());
    // What is replaced takes no room of its own.
    let replaced = |name: &String| *name == id.name || schemas::stem_of(name) == Some(id.stem());
    for name in names.filter(|name| !replaced(name)) {
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

/// The schemas that the DAG is loaded with, and with a base configuration if it has one: what came with it, else what lies
/// beside it; of a user's DAG `refs` says what that is.
fn loaded_with(
    dir: &Dir,
    id: &FileId,
    refs: &Refs,
    install: &Install,
    base: Option<&String>,
) -> Vec<SchemaFile> {
    let source = Source {
        text: install.source.as_bytes(),
        file: &install.file,
        stem: &install.stem,
    };
    let base = base.map(|text| BaseConfig {
        text: text.as_bytes(),
        file: "base configuration",
    });
    let sent = |wanted: &SchemaRef| install.schemas.iter().find(|schema| schema.wanted == *wanted);
    crate::dag::schema_files(&source, base.as_ref(), |wanted| {
        let came = sent(wanted).or_else(|| sent(&schemas::named_by_dag(wanted)));
        match came.filter(|_| id.place != Place::System) {
            Some(schema) => {
                let absent = || {
                    schema
                        .error
                        .clone()
                        .unwrap_or_else(|| "it did not come with the DAG".to_owned())
                };
                schema.text.clone().ok_or_else(absent)
            }
            None => schemas::read_schema(dir, id, refs, wanted).map(|text| text.text),
        }
    })
}

/// Puts the schemas that a user's DAG is loaded with beside it, where they do nothing until its file means them.
fn put_schemas(dir: &Dir, id: &FileId, install: &Install, all: &[SchemaFile]) -> Result<Refs, Box<Response>> {
    if id.place == Place::System {
        return Ok(Refs::default());
    }
    let came = install.schemas.iter().filter_map(|schema| schema.text.as_ref());
    let lengths: Vec<usize> = came.map(String::len).collect();
    let large = lengths.iter().any(|length| *length > SCHEMA_MAX);
    if large || lengths.iter().sum::<usize>() > SCHEMAS_MAX || all.len() > schemas::REFS_MAX {
        let text = format!("the JSON schemas of {} are too large, or too many", install.file);
        return Err(refused(ErrorKind::Invalid, text, None));
    }
    for text in all.iter().filter_map(|schema| schema.text.as_ref()) {
        dir.replace_file(schemas::file_of(id.stem(), text), text.as_bytes(), 0o600)
            .map_err(|error| failed("a JSON schema cannot be written", &error))?;
    }
    Ok(Refs::of(all))
}

/// Removes the file. One that is gone already is as good as removed.
pub(super) fn remove(config: &Config, id: &FileId) -> Result<(), String> {
    let Some(dir) = open_dir(&id.place.dir(config))? else {
        return match id.place {
            // It stays in force without it.
            Place::System => Err(NO_DIR.to_owned()),
            Place::User(_) => Ok(()),
        };
    };
    match dir.remove_file(&id.name) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.to_string()),
        _ => {}
    }
    if id.place != Place::System {
        schemas::remove_unused(&dir, Some(id.stem()));
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

    fn file() -> FileId {
        FileId {
            place: Place::User("u".to_owned()),
            name: "d.yaml".to_owned(),
        }
    }

    fn install(source: &str, schema: Option<&str>) -> Install {
        let wanted = SchemaRef {
            path: "s.json".to_owned(),
            working_dir: None,
        };
        let schema = schema.map(|schema| SchemaFile::new(wanted, Ok(schema.to_owned())));
        Install {
            source: source.to_owned(),
            file: "d.yaml".to_owned(),
            stem: "d".to_owned(),
            name: None,
            schemas: schema.into_iter().collect(),
            replace: true,
            private: false,
            replaces: None,
        }
    }

    #[test]
    fn schemas_take_room_too() {
        let temp = tempfile::tempdir().unwrap();
        let dir = open_dir(temp.path()).unwrap().unwrap();
        let install = install("x", Some("{}"));
        let other = |length| {
            let name = schemas::file_of("e", "other");
            let file = std::fs::File::create(temp.path().join(name)).unwrap();
            file.set_len(length).unwrap();
        };
        // What is replaced takes no room of its own.
        let old = std::fs::File::create(temp.path().join(schemas::file_of("d", "old"))).unwrap();
        old.set_len(OWN_BYTES_MAX).unwrap();
        other(OWN_BYTES_MAX - 3);
        assert!(within_limits(&dir, &file(), &install, &install.schemas).is_ok());
        other(OWN_BYTES_MAX - 2);
        assert!(within_limits(&dir, &file(), &install, &install.schemas).is_err());
    }

    #[test]
    fn schemas_do_nothing_until_the_file_of_their_dag_means_them() {
        let temp = tempfile::tempdir().unwrap();
        let dir = open_dir(temp.path()).unwrap().unwrap();
        let source = "params: {schema: s.json}\nsteps: [{name: a, command: x}]\n";
        let in_force = || {
            let text = schemas::read_dag(&dir, &file(), None).unwrap().unwrap().unwrap();
            let schema = loaded_with(&dir, &file(), &text.refs, &install(&text.text, None), None);
            assert_eq!(text.text, source);
            schema[0].text.clone()
        };
        let publish = |refs: &Refs| {
            let text = schemas::join(source, refs);
            dir.replace_file("d.yaml", text.as_bytes(), 0o644).unwrap();
        };
        let put = |schema: &str| {
            let install = install(source, Some(schema));
            put_schemas(&dir, &file(), &install, &install.schemas).unwrap()
        };
        publish(&put("{\"a\": 1}"));
        assert_eq!(in_force().unwrap(), "{\"a\": 1}");
        // Killed before the file is replaced: the version in force is whole, and what was written goes.
        let refs = put("{\"a\": 2}");
        assert_eq!(in_force().unwrap(), "{\"a\": 1}");
        assert_eq!(dir.list().unwrap().len(), 3);
        schemas::remove_unused(&dir, None);
        assert_eq!(in_force().unwrap(), "{\"a\": 1}");
        assert_eq!(dir.list().unwrap().len(), 2);
        // Killed after it: so is the new one.
        put("{\"a\": 2}");
        publish(&refs);
        assert_eq!(in_force().unwrap(), "{\"a\": 2}");
        schemas::remove_unused(&dir, None);
        assert_eq!(in_force().unwrap(), "{\"a\": 2}");
        assert_eq!(dir.list().unwrap().len(), 2);
    }
}
