//! JSON schemas of users' DAGs. `install` puts each into a file beside the DAG that is named after what is in it, so a new
//! version of a schema never takes the place of the one in force. The last line of the DAG's own file says which of these
//! it means: the rename of that one file puts a DAG and its schemas in force together.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{Stamp, Text, open_dir, read, read_all};
use super::place::{FileId, Place};
use crate::config::Config;
use crate::dag::{BaseConfig, Source, schema_files};
use crate::model::change::InstalledDag;
use crate::model::limits::{DAG_SOURCE_MAX, SCHEMA_MAX};
use crate::model::{SchemaFile, SchemaRef, hash};
use crate::sys::files::Dir;

/// Begins the line of a user's DAG file that is not the user's.
const MARK: &str = "# proctord put these JSON schemas beside it:";
/// Most schemas that a user's DAG may have.
pub(super) const REFS_MAX: usize = 1_000;
/// Digits of the hash of a reference.
const KEY: usize = 16;
/// Digits of the hash of a schema.
const HASH: usize = 32;
const END: &str = ".schema.json";
/// How often a DAG is read that another version replaces meanwhile.
pub(in crate::daemon) const READS_MAX: usize = 3;

/// Most bytes that such a line has.
const LINE_MAX: usize = MARK.len() + 2 + REFS_MAX * (KEY + HASH + 2);

/// Which schemas a user's DAG means: the hash of each by that of the reference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Refs(BTreeMap<String, String>);

/// A DAG's file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::daemon) struct DagText {
    /// What its owner wrote.
    pub(in crate::daemon) text: String,
    /// Which schemas belong to it, if it is a user's.
    pub(in crate::daemon) refs: Refs,
    /// What tells whether the file is still the same.
    pub(in crate::daemon) stamp: Stamp,
    /// Permission bits.
    pub(in crate::daemon) mode: u32,
}

impl Refs {
    /// Those of the schemas that a DAG is loaded with.
    pub(super) fn of(schemas: &[SchemaFile]) -> Self {
        let found = schemas
            .iter()
            .filter_map(|schema| Some((key_of(&schema.wanted), content_of(schema.text.as_deref()?))));
        Self(found.collect())
    }

    fn parse(line: &str) -> Self {
        let all = line.split_ascii_whitespace();
        let pairs = all.filter_map(|pair| pair.split_once('='));
        let good = pairs.filter(|(key, hash)| is_hash(key, KEY) && is_hash(hash, HASH));
        Self(
            good.map(|(key, hash)| (key.to_owned(), hash.to_owned()))
                .collect(),
        )
    }

    /// Names of the files with the schemas of a DAG of that file name.
    pub(super) fn names<'a>(&'a self, stem: &'a str) -> impl Iterator<Item = String> + 'a {
        self.0.values().map(move |hash| name_of(stem, hash))
    }
}

fn key_of(wanted: &SchemaRef) -> String {
    let mut hash = hash::Hasher::default();
    hash.add(&wanted.path);
    hash.add(wanted.working_dir.as_deref().unwrap_or_default());
    hash.finish(KEY / 2)
}

fn content_of(text: &str) -> String {
    let mut hash = hash::Hasher::default();
    hash.add(text);
    hash.finish(HASH / 2)
}

fn name_of(stem: &str, hash: &str) -> String {
    format!("{stem}.{hash}{END}")
}

fn is_hash(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Name of the file with this schema of the DAG.
pub(super) fn file_of(stem: &str, text: &str) -> String {
    name_of(stem, &content_of(text))
}

/// The DAG of a user that a file of that name holds a schema of, if it does.
pub(super) fn stem_of(name: &str) -> Option<&str> {
    let (stem, hash) = name.strip_suffix(END)?.rsplit_once('.')?;
    is_hash(hash, HASH).then_some(stem)
}

/// What is written into a user's DAG file.
pub(super) fn join(text: &str, refs: &Refs) -> String {
    // Without such a line there is nothing to say, unless the text itself has one.
    if refs.0.is_empty() && !text.contains(MARK) {
        return text.to_owned();
    }
    let mut line = String::from(MARK);
    for (key, hash) in &refs.0 {
        line.extend([" ", key, "=", hash]);
    }
    format!("{text}\n{line}\n")
}

/// The other way round. What somebody has added behind that line by hand belongs to the text.
pub(super) fn split(file: &str) -> (String, Refs) {
    let mark = format!("\n{MARK}");
    let Some((text, rest)) = file.rsplit_once(&mark) else {
        return (file.to_owned(), Refs::default());
    };
    let (line, more) = rest.split_once('\n').unwrap_or((rest, ""));
    let gap = if more.is_empty() || text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    (format!("{text}{gap}{more}"), Refs::parse(line))
}

/// Reads a DAG's file. `None` if there is none. With `known`, one that is still the same is not read:
/// `Ok(Some(Err(stamp)))`.
pub(in crate::daemon) fn read_dag(
    dir: &Dir,
    id: &FileId,
    known: Option<Stamp>,
) -> Result<Option<Result<DagText, Stamp>>, String> {
    let user = id.place != Place::System;
    let line = if user { LINE_MAX } else { 0 };
    let Text { text, stamp, mode } = match read(dir, &id.name, DAG_SOURCE_MAX + line, known)? {
        None => return Ok(None),
        Some(Err(stamp)) => return Ok(Some(Err(stamp))),
        Some(Ok(text)) => text,
    };
    let (text, refs) = if user {
        split(&text)
    } else {
        (text, Refs::default())
    };
    if text.len() > DAG_SOURCE_MAX {
        return Err(format!("it is larger than {DAG_SOURCE_MAX} bytes"));
    }
    Ok(Some(Ok(DagText {
        text,
        refs,
        stamp,
        mode,
    })))
}

/// Whether a DAG's file is still the one that was read.
pub(in crate::daemon) fn is_same_dag(dir: &Dir, id: &FileId, stamp: Stamp) -> bool {
    // What is larger than this is another one.
    matches!(read(dir, &id.name, 0, Some(stamp)), Ok(Some(Err(_))))
}

/// The reference as the DAG's own text has it: its working directory may be that of the base configuration, which is not
/// known to who sends a DAG and may change.
pub(super) fn named_by_dag(wanted: &SchemaRef) -> SchemaRef {
    SchemaRef {
        working_dir: None,
        ..wanted.clone()
    }
}

/// Name of the file that a reference to a schema leads to. Error messages quote a schema, so none may lead elsewhere.
pub(super) fn place_of(id: &FileId, refs: &Refs, wanted: &SchemaRef) -> Result<String, String> {
    match id.place {
        // It came with the DAG, from whatever path the user has it at.
        Place::User(_) => {
            let hash = refs
                .0
                .get(&key_of(wanted))
                .or_else(|| refs.0.get(&key_of(&named_by_dag(wanted))));
            let found = hash.map(|hash| name_of(id.stem(), hash));
            found.ok_or_else(|| "it did not come with the DAG; install the DAG again".to_owned())
        }
        Place::System if wanted.path.contains('/') => {
            Err("that of an installed DAG is beside it, and named without a directory".to_owned())
        }
        Place::System => Ok(wanted.path.clone()),
    }
}

/// Reads a schema that a DAG refers to.
pub(in crate::daemon) fn read_schema(
    dir: &Dir,
    id: &FileId,
    refs: &Refs,
    wanted: &SchemaRef,
) -> Result<Text, String> {
    let name = place_of(id, refs, wanted)?;
    read_all(dir, &name, SCHEMA_MAX)?.ok_or_else(|| "there is no such file beside the DAG".to_owned())
}

/// Whether a schema is the one that was read, without reading it again; none if it could not be read.
pub(super) fn is_same(dir: &Dir, name: &str, stamp: Option<Stamp>) -> bool {
    match read(dir, name, SCHEMA_MAX, stamp) {
        Ok(Some(Err(_))) => true,
        Ok(Some(Ok(_))) => false,
        Ok(None) | Err(_) => stamp.is_none(),
    }
}

/// Removes the schemas in a user's place that no DAG file there means, of one DAG or of all. Where a DAG file cannot be
/// read, nobody knows which it means, and they stay.
pub(super) fn remove_unused(dir: &Dir, of: Option<&str>) {
    let names = dir.list().unwrap_or_default().into_iter();
    let names = names.filter_map(|entry| entry.name.into_string().ok());
    let mut by_dag: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in names {
        if let Some(stem) = stem_of(&name).filter(|stem| of.is_none_or(|of| of == *stem)) {
            by_dag.entry(stem.to_owned()).or_default().push(name);
        }
    }
    for (stem, names) in by_dag {
        let Some(meant) = meant_by(dir, &stem) else {
            continue;
        };
        for name in names.into_iter().filter(|name| !meant.contains(name)) {
            if let Err(error) = dir.remove_file(&name) {
                tracing::warn!(%name, %error, "a JSON schema of a DAG that was replaced or removed is left over");
            }
        }
    }
}

/// Names of the schemas that a user's DAG means.
fn meant_by(dir: &Dir, stem: &str) -> Option<BTreeSet<String>> {
    let mut meant = BTreeSet::new();
    for end in ["yaml", "yml"] {
        let file = read_all(dir, &format!("{stem}.{end}"), DAG_SOURCE_MAX + LINE_MAX).ok()?;
        if let Some(file) = file {
            meant.extend(split(&file.text).1.names(stem));
        }
    }
    Some(meant)
}

/// Removes what an earlier daemon was writing when it was killed. Nobody else writes where users' DAGs lie.
pub(super) fn sweep(config: &Config) {
    let Ok(Some(root)) = open_dir(&config.paths.user_dags()) else {
        return;
    };
    for entry in root.list().unwrap_or_default() {
        let Some(dir) = entry.is_dir.then(|| root.open_child_dir(&entry.name)) else {
            continue;
        };
        let swept = dir.and_then(|dir| {
            dir.sweep_unfinished()?;
            remove_unused(&dir, None);
            Ok(())
        });
        if let Err(error) = swept {
            tracing::warn!(place = ?entry.name, %error, "files that were not finished are left over");
        }
    }
}

/// The schemas that the texts of a record refer to.
pub(in crate::daemon) fn schemas_of(
    record: &InstalledDag,
    path: &str,
    stem: &str,
    read: impl FnMut(&SchemaRef) -> Result<String, String>,
) -> Vec<SchemaFile> {
    let source = Source {
        text: record.source.as_bytes(),
        file: path,
        stem,
    };
    let base = record.base.as_ref().map(|text| BaseConfig {
        text: text.as_bytes(),
        file: "base configuration",
    });
    schema_files(&source, base.as_ref(), read)
}

#[cfg(test)]
mod tests;
