//! The DAGs that steps call: found, loaded, and kept for the next call of the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::admission::{About, Snapshot, read_installed};
use crate::config::Config;
use crate::dag::{BaseConfig, Dag, LoadOptions, ParamInput, Source, load};
use crate::model::change::{Caller, NewRun};
use crate::model::{DagName, Time, Trigger};
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
        let (key, source) = match target {
            CallTarget::Local(name) => (format!("{}:{name}", parent.dag_hash), None),
            CallTarget::File {
                source, file, stem, ..
            } => (
                hash(&[&parent.dag_hash, file, stem, source]),
                Some((source, file, stem)),
            ),
            CallTarget::Installed(name) => {
                let source = read_installed(config, parent.owner, name).map_err(|refused| words(*refused))?;
                text = (source, format!("{name}.yaml"), name.to_string());
                let key = hash(&[&parent.dag_hash, &text.1, &text.2, &text.0]);
                (key, Some((&text.0, &text.1, &text.2)))
            }
        };
        if let Some(kept) = self.kept().get(&key) {
            return Ok(Arc::clone(kept));
        }
        let caller: Dag =
            serde_json::from_str(&parent.dag).map_err(|error| format!("the calling DAG: {error}"))?;
        let dag = match (target, source) {
            (CallTarget::Local(name), _) => local(caller, name)?,
            (_, Some((source, file, stem))) => external(&caller, source, file, stem)?,
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

fn hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
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
fn external(caller: &Dag, source: &str, file: &str, stem: &str) -> Result<Dag, String> {
    let source = Source {
        text: source.as_bytes(),
        file,
        stem,
    };
    let options = LoadOptions {
        base: caller.base_config.as_ref().map(|text| BaseConfig {
            text: text.as_bytes(),
            file: "base configuration",
        }),
        sub_dag: true,
        ..LoadOptions::default()
    };
    let loaded = load(&source, &options).map_err(|errors| {
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
