//! `params` with an external JSON schema: `{schema: PATH, values: {...}}` (seed-spec 9.4, form 5).
//!
//! The loader opens nothing. [`schema_files`] finds out which schemas a text refers to; whoever loads it reads them,
//! and gives what was found with the options of the load.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Number, Value as Json};

use super::fields::{get, text};
use super::keys::{self, Keys};
use super::param_defs::PARAMS_MAX;
use super::{BaseConfig, LoadOptions, Source};
use crate::dag::diag::{Pos, Report};
use crate::dag::params::schema::{Properties, Rules, Schema};
use crate::dag::params::{shown, text as syntax};
use crate::dag::types::{ParamDef, ParamSchema, Params};
use crate::dag::yaml::{self, Entry, Kind, Node, Value};
use crate::model::limits::SCHEMAS_MAX;
use crate::model::{SchemaFile, SchemaRef};

const KEYS: Keys<'_> = Keys {
    what: "params with a schema",
    known: &["schema", "values"],
    refused: &[],
    renamed: &[("value", "values"), ("defaults", "values"), ("params", "values")],
};

/// What is found where the documents of a DAG file refer to, for [`LoadOptions::schemas`]. `read` gives the text of one
/// reference, or why there is none, which loading then tells at its place in the file. It is asked no more once all
/// texts together are over [`SCHEMAS_MAX`].
pub fn schema_files(
    source: &Source<'_>,
    base: Option<&BaseConfig<'_>>,
    mut read: impl FnMut(&SchemaRef) -> Result<String, String>,
) -> Vec<SchemaFile> {
    let mut room = Some(SCHEMAS_MAX);
    let mut found = Vec::new();
    for wanted in schema_refs(source, base) {
        let text = match room {
            Some(_) => read(&wanted),
            None => Err(String::new()),
        };
        let length = text.as_ref().map_or(0, String::len);
        room = room.and_then(|room| room.checked_sub(length));
        let over = || format!("the schemas of one DAG file may have {SCHEMAS_MAX} bytes together");
        found.push(SchemaFile::new(
            wanted,
            room.map_or_else(|| Err(over()), |_| text),
        ));
    }
    found
}

/// The schemas that the documents of a DAG file refer to, each once, in the order of the text. A text that cannot be
/// read refers to none: loading it will say why. URLs are not among them; loading refuses them.
pub(super) fn schema_refs(source: &Source<'_>, base: Option<&BaseConfig<'_>>) -> Vec<SchemaRef> {
    let texts = std::iter::once(source.text).chain(base.map(|base| base.text));
    let word = b"schema";
    // Reading a text twice is for those only that may need it.
    if !texts
        .into_iter()
        .any(|text| text.windows(word.len()).any(|part| part == word))
    {
        return Vec::new();
    }
    let mut unheard = Report::default();
    let base = base.and_then(|base| yaml::read(base.text, 1, &mut unheard)?.into_iter().next());
    let documents = yaml::read(source.text, 0, &mut unheard).unwrap_or_default();
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for document in documents {
        let base = base.as_ref().and_then(Node::as_map).unwrap_or_default();
        let wanted = document.as_map().and_then(|document| wanted(document, base));
        let wanted = wanted.filter(|wanted| !is_url(&wanted.path) && seen.insert(wanted.clone()));
        found.extend(wanted);
    }
    found
}

/// The files that a reference may mean, in the order in which they are to be looked for: below the working directory,
/// and beside the DAG file. What comes before them, a client's current directory, is the caller's. An absolute path is
/// the same in all places.
#[must_use]
pub fn schema_places(wanted: &SchemaRef, base_dir: &Path, default_working_dir: Option<&str>) -> Vec<PathBuf> {
    let written = wanted.working_dir.as_deref().or(default_working_dir);
    // A directory with `~` or a variable is known only when the run begins.
    let known = written.filter(|dir| !dir.starts_with('~') && !dir.contains(['$', '`']));
    let working_dir = known.map(|dir| base_dir.join(dir));
    let dirs = working_dir
        .into_iter()
        .chain(std::iter::once(base_dir.to_owned()));
    dirs.map(|dir| dir.join(&wanted.path)).collect()
}

/// The schema that a document refers to, itself or through the base configuration.
fn wanted(document: &[Entry], base: &[Entry]) -> Option<SchemaRef> {
    let written = |entry: Option<&Entry>| {
        let text = entry?.value.as_str()?.trim();
        Some(text.to_owned()).filter(|text| !text.is_empty())
    };
    let in_effect = |key| get(document, key).or_else(|| get(base, key));
    let params = in_effect("params")?.value.as_map()?;
    Some(SchemaRef {
        path: written(get(params, "schema"))?,
        working_dir: written(in_effect("working_dir")),
    })
}

fn is_url(path: &str) -> bool {
    path.contains("://")
}

/// Reads `params` that have a `schema`; `entries` are theirs.
pub(super) fn params(
    report: &mut Report,
    document: &[Entry],
    entries: &[Entry],
    options: &LoadOptions<'_>,
) -> Params {
    keys::check(report, entries, &KEYS);
    let mut params = Params::default();
    let values = given_values(report, entries);
    let Some(entry) = get(entries, "schema") else {
        return params;
    };
    let place = entry.value.at;
    if text(report, "schema", &entry.value).is_none() {
        return params;
    }
    if options.skip_schemas {
        params.defs = values
            .into_iter()
            .map(|(name, (_, value))| plain(name, value))
            .collect();
        return params;
    }
    let Some(found) = find(report, document, place, options.schemas) else {
        return params;
    };
    let Some((schema, rules)) = compiled(report, place, found) else {
        return params;
    };
    params.typed = true;
    params.defs = declared(report, place, (&schema.properties(), &rules), values);
    params.schema = Some(ParamSchema {
        path: found.wanted.path.clone(),
        text: found.text.clone().unwrap_or_default(),
    });
    params
}

fn plain(name: &str, value: String) -> ParamDef {
    ParamDef {
        name: name.to_owned(),
        default: Some(value),
        ..ParamDef::default()
    }
}

/// The schema that the document refers to, as it was found.
fn find<'a>(
    report: &mut Report,
    document: &[Entry],
    place: Pos,
    schemas: &'a [SchemaFile],
) -> Option<&'a SchemaFile> {
    let Some(wanted) = wanted(document, &[]) else {
        report.error_hint(
            place,
            "`schema` is empty",
            "name a file with a JSON schema; write a parameter that is called schema as a list item",
        );
        return None;
    };
    if is_url(&wanted.path) {
        report.error_hint(
            place,
            format!(
                "the JSON schema {:?} is a URL, and nothing is fetched",
                wanted.path
            ),
            "download it beside the DAG file and name that file",
        );
        return None;
    }
    let found = schemas.iter().find(|file| file.wanted == wanted);
    if found.is_none() {
        report.error_hint(
            place,
            format!("the JSON schema {:?} did not come with the DAG", wanted.path),
            "use a proctorctl of the daemon's version, which sends it",
        );
    }
    found
}

fn compiled(report: &mut Report, place: Pos, found: &SchemaFile) -> Option<(Schema, Rules)> {
    let path = &found.wanted.path;
    let text = match (&found.text, &found.error) {
        (Some(text), None) => text,
        (_, reason) => {
            let reason = reason.as_deref().unwrap_or("it is empty");
            report.error_hint(
                place,
                format!("the JSON schema {path:?} cannot be read: {reason}"),
                "a relative path starts in the current directory, else in `working_dir`, else beside the DAG file; \
                 write a parameter that is called schema as a list item",
            );
            return None;
        }
    };
    let result = Schema::parse(text).and_then(|schema| {
        report.may_keep_schema(text.len(), schema.patterns())?;
        let rules = schema.rules()?;
        Ok((schema, rules))
    });
    match result {
        Ok(compiled) => Some(compiled),
        Err(reason) => {
            report.error(place, format!("the JSON schema {path:?} {reason}"));
            None
        }
    }
}

/// `values` by name: where each stands, and its text.
fn given_values<'n>(report: &mut Report, entries: &'n [Entry]) -> BTreeMap<&'n str, (Pos, String)> {
    let mut found = BTreeMap::new();
    let Some(entry) = get(entries, "values") else {
        return found;
    };
    let Some(values) = entry.value.as_map() else {
        super::fields::wrong(report, "values", "a map of names and values", &entry.value);
        return found;
    };
    if values.len() > PARAMS_MAX {
        report.error(entry.key_at, format!("there are more than {PARAMS_MAX} values"));
        return found;
    }
    // A value that is null is none.
    for entry in values.iter().filter(|entry| !entry.value.is_null()) {
        if syntax::is_name(&entry.key) {
            let text = match &entry.value.value {
                Value::Scalar(scalar) => scalar.text.clone(),
                _ => json(&entry.value).to_string(),
            };
            found.insert(entry.key.as_str(), (entry.value.at, text));
        } else {
            let message = format!("{:?} cannot be the name of a parameter", entry.key);
            report.error(entry.key_at, message);
        }
    }
    found
}

/// The declarations: those of the schema with the values as their defaults, and values that it allows beside them.
fn declared(
    report: &mut Report,
    place: Pos,
    (properties, rules): (&Properties<'_>, &Rules),
    values: BTreeMap<&str, (Pos, String)>,
) -> Vec<ParamDef> {
    let mut defs: BTreeMap<String, (Pos, ParamDef)> = BTreeMap::new();
    for def in properties.defs() {
        if !syntax::is_name(&def.name) {
            let message = format!(
                "{:?} in the JSON schema cannot be the name of a parameter",
                def.name
            );
            report.error(place, message);
        }
        defs.insert(def.name.clone(), (place, def));
    }
    let added = values.keys().filter(|name| !defs.contains_key(**name)).count();
    let count = defs.len() + added;
    if count > PARAMS_MAX {
        report.error(place, format!("there are more than {PARAMS_MAX} parameters"));
        return Vec::new();
    }
    // What the schema says of each is looked for in all its rules, so it is bounded like the check.
    if let Err(message) = rules.affordable(u64::try_from(count).unwrap_or(u64::MAX)) {
        report.error(place, message);
        return Vec::new();
    }
    for (name, (at, value)) in values {
        let slot = defs
            .entry(name.to_owned())
            .or_insert_with(|| (at, properties.def(name)));
        slot.0 = at;
        slot.1.default = Some(value);
    }
    let mut values = Vec::new();
    for (name, (_, def)) in &mut defs {
        let Some(text) = &def.default else { continue };
        let value = properties.coerce(name, text);
        if !value.is_null() {
            def.default = Some(shown(&value));
        }
        values.push((name.clone(), value));
    }
    match rules.violations(values) {
        Ok(found) => {
            for (name, message) in found {
                let at = defs.get(&name).map_or(place, |(at, _)| *at);
                report.error(
                    at,
                    format!("the default of parameter {name:?} does not fit: {message}"),
                );
            }
        }
        Err(message) => report.error(place, message),
    }
    defs.into_values().map(|(_, def)| def).collect()
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            let entries = entries
                .iter()
                .map(|entry| (entry.key.clone(), json(&entry.value)));
            Json::Object(entries.collect::<Map<_, _>>())
        }
        Value::Scalar(scalar) => match scalar.kind {
            Kind::Null => Json::Null,
            Kind::Bool(value) => value.into(),
            Kind::Int(value) => value.into(),
            Kind::Float(value) => {
                Number::from_f64(value).map_or_else(|| scalar.text.clone().into(), Json::Number)
            }
            Kind::Str => scalar.text.clone().into(),
        },
    }
}
