//! The DAGs that steps call: found, loaded, and kept for the next call of the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::admission::{About, Snapshot};
use super::installed;
use crate::config::Config;
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
    /// The DAG that a run calls.
    ///
    /// # Errors
    /// In words for the calling step's error.
    pub(super) fn find(
        &self,
        config: &Config,
        parent: &NewRun,
        target: &CallTarget,
    ) -> Result<Arc<Snapshot>, String> {
        // An installed DAG is read each time: its file may have changed.
        let text;
        let read;
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
                (key(&parent.dag_hash, &source, schemas), Some((source, schemas)))
            }
            CallTarget::Installed(name) => {
                let source =
                    installed::read(config, parent.owner, name).map_err(|refused| words(*refused))?;
                text = (source, format!("{name}.yaml"), name.to_string());
                let source = source_of(&text.0, &text.1, &text.2);
                let base = base_with_schema(parent)?;
                let base = base.as_deref().map(base_of);
                read = installed::read_schemas(config, parent.owner, &source, base.as_ref());
                (key(&parent.dag_hash, &source, &read), Some((source, &read)))
            }
        };
        if let Some(kept) = self.kept().get(&key) {
            return Ok(Arc::clone(kept));
        }
        let caller: Dag =
            serde_json::from_str(&parent.dag).map_err(|error| format!("the calling DAG: {error}"))?;
        let dag = match (target, source) {
            (CallTarget::Local(name), _) => local(caller, name)?,
            (_, Some((source, schemas))) => external(&caller, &source, schemas)?,
            (_, None) => return Err(String::from("there is nothing to call")),
        };
        let snapshot = Arc::new(Snapshot::of(dag).map_err(|refused| words(*refused))?);
        let mut kept = self.kept();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&snapshot));
        Ok(snapshot)
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

/// The base configuration of the calling DAG, if it may refer to a schema: reading the DAG for it is costly.
fn base_with_schema(parent: &NewRun) -> Result<Option<String>, String> {
    if !parent.dag.contains("schema") {
        return Ok(None);
    }
    let caller: Dag =
        serde_json::from_str(&parent.dag).map_err(|error| format!("the calling DAG: {error}"))?;
    Ok(caller.base_config)
}

/// What a called DAG is made from; `caller` is the hash of the calling one.
fn key(caller: &str, source: &Source<'_>, schemas: &[SchemaFile]) -> String {
    let mut hash = Hasher::default();
    for part in [
        caller,
        source.file,
        source.stem,
        &String::from_utf8_lossy(source.text),
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

/// A further document of the calling DAG's file. It can call the others, too.
fn local(mut caller: Dag, name: &DagName) -> Result<Dag, String> {
    let found = caller.local_dags.iter().find(|dag| dag.name == *name).cloned();
    let mut dag = found.ok_or_else(|| format!("the file of {} has no document {name}", caller.name))?;
    dag.local_dags = std::mem::take(&mut caller.local_dags);
    dag.base_config = caller.base_config;
    Ok(dag)
}

/// A DAG with a file of its own. The base configuration of the calling one holds for it, but for its handlers.
fn external(caller: &Dag, source: &Source<'_>, schemas: &[SchemaFile]) -> Result<Dag, String> {
    let options = LoadOptions {
        base: caller.base_config.as_deref().map(base_of),
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
    config: &Config,
    at: Time,
) -> (About, ParamInput) {
    let base_dir = match request.target {
        CallTarget::Local(_) => parent.base_dir.clone(),
        CallTarget::File { base_dir, .. } => base_dir,
        CallTarget::Installed(_) => config.paths.dags.display().to_string(),
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
        let dag = external(&caller, &source, &schema(Ok(text))).unwrap();
        assert_eq!(dag.params.schema.unwrap().text, text);
        let error = external(&caller, &source, &schema(Err("there is no such file"))).unwrap_err();
        assert!(
            error.contains("d.yaml:1:18") && error.contains("no such file"),
            "{error}"
        );
        // One that changed is another DAG, not the one that is kept.
        let keys = [
            key("h", &source, &schema(Ok(text))),
            key("h", &source, &schema(Ok("{}"))),
            key("h", &source, &schema(Err("{}"))),
            key("g", &source, &schema(Ok(text))),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
