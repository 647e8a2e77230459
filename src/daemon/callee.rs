//! The DAGs that steps call: found, loaded, and kept for the next call of the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::admission::{About, Snapshot};
use super::installed::{self, Starter};
use super::registry::{Catalog, Context};
use super::run_as;
use crate::dag::{BaseConfig, Dag, LoadOptions, ParamInput, Source, load};
use crate::model::change::{Caller, NewRun};
use crate::model::hash::Hasher;
use crate::model::{DagName, SchemaFile, Time, Trigger};
use crate::wire::control::Response;
use crate::wire::shim::{CallRequest, CallTarget};

/// Most DAGs that are kept. A thousand items of one step call the same DAG.
const KEPT_MAX: usize = 64;

/// DAGs that were called lately, by what they were made from.
#[derive(Debug, Default)]
pub(super) struct Callees {
    kept: Mutex<HashMap<String, Arc<Snapshot>>>,
}

impl Callees {
    /// The DAG that a run calls; for an installed one with the absolute directory in which its relative paths start.
    ///
    /// # Errors
    /// In words for the calling step's error.
    pub(super) fn find(
        &self,
        context: &Context,
        catalog: &Catalog,
        parent: &NewRun,
        target: &CallTarget,
    ) -> Result<(Arc<Snapshot>, Option<String>), String> {
        // An installed DAG is read each time: its file may have changed.
        let found;
        let mut base_dir = None;
        let (mut system, mut readable) = (false, true);
        let (key, source) = match target {
            CallTarget::Local(name) => (format!("{}:{name}", parent.dag_hash), None),
            CallTarget::File { base_dir, .. } if !base_dir.starts_with('/') => {
                return Err(String::from(
                    "the directory of the called DAG must be an absolute path",
                ));
            }
            CallTarget::File {
                source,
                file,
                stem,
                schemas,
                ..
            } => {
                let source = source_of(source, file, stem);
                let key = key(&parent.dag_hash, &source, None, schemas);
                (key, Some((source, Holding::default(), schemas)))
            }
            CallTarget::Installed(name) => {
                // The caller's base configuration holds for what it calls; without one, the daemon's does.
                let base = base_of_caller(parent)?;
                let starter = Starter {
                    uid: parent.owner,
                    admin: false,
                };
                found = installed::find(context, catalog, starter, name, base)
                    .map_err(|refused| words(*refused))?;
                system = found.system;
                readable = found.readable;
                base_dir = Some(found.base_dir.clone());
                let source = source_of(&found.source, &found.file, &found.stem);
                let holding = Holding {
                    name: found.name.as_deref(),
                    base: found.base.as_deref(),
                };
                // The same text from elsewhere is not the system's.
                let place = format!("{} {system}", parent.dag_hash);
                let key = key(&place, &source, holding.base, &found.schemas);
                (key, Some((source, holding, &found.schemas)))
            }
        };
        if let Some(kept) = self.kept().get(&key) {
            fitting(&kept.dag, parent.owner, readable)?;
            return Ok((Arc::clone(kept), base_dir));
        }
        let caller: Dag =
            serde_json::from_str(&parent.dag).map_err(|error| format!("the calling DAG: {error}"))?;
        // What the caller passes on may be a user's: the base configuration, or its own documents.
        let of_system = match target {
            CallTarget::Local(_) => caller.execution.of_system,
            CallTarget::File { .. } => false,
            CallTarget::Installed(_) => {
                system && (caller.base_config.is_none() || caller.execution.of_system)
            }
        };
        let mut dag = match (target, source) {
            (CallTarget::Local(name), _) => local(caller, name)?,
            (_, Some((source, holding, schemas))) => external(&caller, &source, &holding, schemas)?,
            (_, None) => return Err(String::from("there is nothing to call")),
        };
        dag.execution.of_system = of_system;
        fitting(&dag, parent.owner, readable)?;
        let snapshot = Arc::new(Snapshot::of(dag).map_err(|refused| words(*refused))?);
        let mut kept = self.kept();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&snapshot));
        Ok((snapshot, base_dir))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Snapshot>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn source_of<'a>(text: &'a str, file: &'a str, stem: &'a str) -> Source<'a> {
    Source {
        text: text.as_bytes(),
        file,
        stem,
    }
}

fn base_of(text: &str) -> BaseConfig<'_> {
    BaseConfig {
        text: text.as_bytes(),
        file: "base configuration",
    }
}

/// What holds for an installed DAG that is called.
#[derive(Debug, Clone, Copy, Default)]
struct Holding<'a> {
    /// Its name, if not its text tells it.
    name: Option<&'a str>,
    /// Its base configuration; none is the caller's.
    base: Option<&'a str>,
}

/// The base configuration of the calling DAG.
fn base_of_caller(parent: &NewRun) -> Result<Option<String>, String> {
    let caller: Dag =
        serde_json::from_str(&parent.dag).map_err(|error| format!("the calling DAG: {error}"))?;
    Ok(caller.base_config)
}

/// What a called DAG is made from; `caller` is the hash of the calling one.
fn key(caller: &str, source: &Source<'_>, base: Option<&str>, schemas: &[SchemaFile]) -> String {
    let mut hash = Hasher::default();
    for part in [
        caller,
        source.file,
        source.stem,
        &String::from_utf8_lossy(source.text),
        base.unwrap_or_default(),
    ] {
        hash.add(part);
    }
    for schema in schemas {
        hash.add(&schema.wanted.path);
        for part in [&schema.wanted.working_dir, &schema.text, &schema.error] {
            hash.add(part.as_deref().unwrap_or_default());
        }
    }
    hash.finish(32)
}

/// Refuses a DAG that is somebody else's: what is called runs as the run that calls it.
fn fitting(dag: &Dag, owner: u32, readable: bool) -> Result<(), String> {
    match (run_as::owner(&dag.execution, owner, true), &dag.execution.run_as) {
        (Err(unfit), _) => Err(unfit.message),
        (Ok(_), None) if !readable => Err(format!("no DAG {} is installed", dag.name)),
        (Ok(other), Some(name)) if other != owner => Err(format!(
            "DAG {} says `run_as: {name}`, but what is called runs as the run that calls it, as user id {owner}",
            dag.name
        )),
        _ => Ok(()),
    }
}

/// A further document of the calling DAG's file. It can call the others, too.
fn local(mut caller: Dag, name: &DagName) -> Result<Dag, String> {
    let found = caller.local_dags.iter().find(|dag| dag.name == *name).cloned();
    let mut dag = found.ok_or_else(|| format!("the file of {} has no document {name}", caller.name))?;
    dag.local_dags = std::mem::take(&mut caller.local_dags);
    dag.base_config = caller.base_config;
    Ok(dag)
}

/// A DAG with a file of its own. The base configuration of the calling one holds for it, but for its handlers.
fn external(
    caller: &Dag,
    source: &Source<'_>,
    holding: &Holding<'_>,
    schemas: &[SchemaFile],
) -> Result<Dag, String> {
    let options = LoadOptions {
        name: holding.name,
        base: holding.base.or(caller.base_config.as_deref()).map(base_of),
        schemas,
        sub_dag: true,
        ..LoadOptions::default()
    };
    let loaded = load(source, &options).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        format!("the called DAG has errors:\n{}", errors.join("\n"))
    })?;
    Ok(loaded.dag)
}

/// What the sub-run is, and its parameters. It runs within the slot of the root, and so belongs to its group.
pub(super) fn make(
    parent: &NewRun,
    request: CallRequest,
    caller: Caller,
    base_dir: Option<String>,
    at: Time,
) -> (About, ParamInput) {
    let base_dir = match request.target {
        CallTarget::File { base_dir, .. } => base_dir,
        CallTarget::Local(_) | CallTarget::Installed(_) => {
            base_dir.unwrap_or_else(|| parent.base_dir.clone())
        }
    };
    let about = About {
        id: request.run,
        group: (parent.group.clone(), parent.capacity),
        owner: parent.owner,
        trigger: Trigger::Subdag,
        at,
        base_dir,
        parent: Some(caller),
        priority: crate::model::Priority::default(),
        now: false,
    };
    let input = ParamInput {
        pairs: request.params,
        ..ParamInput::default()
    };
    (about, input)
}

/// A refusal in words.
pub(super) fn words(refused: Response) -> String {
    match refused {
        Response::Error {
            message, problems, ..
        } => {
            let mut words = message;
            for problem in problems {
                words.push('\n');
                words.push_str(&problem.message);
            }
            words
        }
        _ => String::from("refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SchemaRef;

    fn schema(text: Result<&str, &str>) -> [SchemaFile; 1] {
        let wanted = SchemaRef {
            path: "s.json".to_owned(),
            working_dir: None,
        };
        [SchemaFile::new(
            wanted,
            text.map(str::to_owned).map_err(str::to_owned),
        )]
    }

    #[test]
    fn a_called_dag_has_the_schema_that_came_with_it() {
        let caller = load(&source_of("steps: [x]\n", "c.yaml", "c"), &LoadOptions::default());
        let caller = caller.unwrap().dag;
        let source = source_of("params: {schema: s.json}\nsteps: [x]\n", "d.yaml", "d");
        let text = r#"{"properties": {"count": {"type": "integer"}}}"#;
        let none = Holding::default();
        let dag = external(&caller, &source, &none, &schema(Ok(text))).unwrap();
        assert_eq!(dag.params.schema.unwrap().text, text);
        let error = external(&caller, &source, &none, &schema(Err("there is no such file"))).unwrap_err();
        assert!(
            error.contains("d.yaml:1:18") && error.contains("no such file"),
            "{error}"
        );
        // One that changed is another DAG, not the one that is kept.
        let keys = [
            key("h", &source, None, &schema(Ok(text))),
            key("h", &source, Some("env: [A: b]"), &schema(Ok(text))),
            key("h", &source, None, &schema(Ok("{}"))),
            key("h", &source, None, &schema(Err("{}"))),
            key("g", &source, None, &schema(Ok(text))),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
