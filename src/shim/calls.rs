//! What a call step wants and what it comes to: its sub-runs are planned from items and parameters, and their ends
//! become the step's output and verdict (seed-spec 7.12).

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::context::{Cx, Flow, Halt};
use super::files;
use super::mask::Masker;
use super::task::Try;
use crate::dag::eval::{self, Scope};
use crate::dag::params::pairs_text;
use crate::dag::types::{Call, Step};
use crate::dag::{BaseConfig, LoadOptions, Source, name_of, schema_files, schema_places};
use crate::engine::attempt::TryEnd;
use crate::model::limits::{CALL_PARAMS_MAX, DAG_SOURCE_MAX, SCHEMA_MAX};
use crate::model::{DagName, Node, RunId, RunRef, RunStatus, StepStatus};
use crate::wire::shim::{CallEnd, CallTarget};

/// The sub-runs of a try.
#[derive(Debug)]
pub(super) struct Planned {
    /// In the order of the items; equal ones are one.
    pub(super) calls: Vec<PlannedCall>,
    /// Most of them at a time.
    pub(super) max_concurrent: usize,
}

/// One sub-run.
#[derive(Debug)]
pub(super) struct PlannedCall {
    pub(super) run: RunRef,
    /// Shared by all that call the same: it may hold the text of a large DAG.
    pub(super) target: Rc<CallTarget>,
    pub(super) params: Vec<(Option<String>, String)>,
    /// The parameters for people.
    pub(super) text: String,
}

/// How far the sub-runs of a try are.
#[derive(Debug, Default)]
pub(super) struct Called {
    pub(super) planned: OnceCell<Rc<Planned>>,
    /// The ends, one for each that was planned: what was never asked for has none.
    pub(super) ends: OnceCell<Vec<Ended>>,
}

/// What became of a planned sub-run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ended {
    /// It ended.
    Run(CallEnd),
    /// It was refused, for this reason.
    Refused(String),
    /// It was not asked for: the step was stopped before.
    Not,
}

/// One try of a call step: plans the sub-runs, and goes on when they have ended.
pub(super) fn execute(
    cx: &Cx<'_>,
    (node, step): (Node, &Step),
    call: &Call,
    tried: &Try,
    (scope, cwd): (&Scope, &Path),
) -> Flow<TryEnd> {
    if tried.called.planned.get().is_none() {
        let planned = Rc::new(plan(cx, (node, step), call, scope, cwd)?);
        tried.called.planned.get_or_init(|| planned);
    }
    let (Some(planned), Some(ends)) = (tried.called.planned.get(), tried.called.ends.get()) else {
        return Err(Halt::Calls);
    };
    let text = if call.parallel.is_some() {
        aggregate(&planned.calls, ends)
    } else {
        match planned.calls.iter().zip(ends).next() {
            Some((call, end)) => result(call, end).to_string(),
            None => String::new(),
        }
    };
    let mut end = TryEnd {
        verdict: Some(verdict(ends)),
        error: error(&planned.calls, ends),
        ..TryEnd::default()
    };
    if let Err(error) = tried.say(&text) {
        end.error
            .get_or_insert(format!("cannot write the step's log: {error}"));
    }
    Ok(end)
}

fn plan(cx: &Cx<'_>, (node, step): (Node, &Step), call: &Call, scope: &Scope, cwd: &Path) -> Flow<Planned> {
    let items: Vec<Option<String>> = match &call.parallel {
        None => vec![None],
        Some(parallel) => {
            let items = cx.settle(eval::items(parallel, scope, &cx.cursor), cwd)?;
            items.into_iter().map(Some).collect()
        }
    };
    let round = cx.view.node(node).map_or(0, |view| view.done_count);
    let mut finder = Finder {
        cx,
        found: HashMap::new(),
    };
    let mut seen = HashSet::new();
    let mut calls = Vec::new();
    for item in &items {
        let planned = eval::call_plan(call, item.as_deref(), scope, &cx.cursor);
        let planned = cx.settle(planned, cwd)?;
        check_size(&planned.params).map_err(Halt::Fail)?;
        check_secrets(cx.facts.masker().map(Rc::as_ref), &planned.params).map_err(Halt::Fail)?;
        let parent = &cx.facts.spec.run;
        let id = RunId::derive(parent, &step.name, &planned.target, &planned.params, round);
        if !seen.insert(id.clone()) {
            continue;
        }
        let (dag, target) = finder.find(&planned.target)?;
        calls.push(PlannedCall {
            run: RunRef { dag, id },
            target,
            text: pairs_text(&planned.params),
            params: planned.params,
        });
    }
    let most = call
        .parallel
        .as_ref()
        .map_or(1, |parallel| parallel.max_concurrent);
    Ok(Planned {
        calls,
        max_concurrent: usize::try_from(most.max(1)).unwrap_or(usize::MAX),
    })
}

/// Refuses parameters that no message to the daemon could hold: the step would wait for an answer for ever.
fn check_size(params: &[(Option<String>, String)]) -> Result<(), String> {
    let size = |(name, value): &(Option<String>, String)| name.as_ref().map_or(0, String::len) + value.len();
    let bytes: usize = params.iter().map(size).sum();
    if bytes <= CALL_PARAMS_MAX {
        return Ok(());
    }
    Err(format!(
        "the parameters of a sub-run have {bytes} bytes; at most {CALL_PARAMS_MAX} are allowed; pass the name of a file \
         that holds them"
    ))
}

/// Refuses parameters with secrets in them: they would be recorded with the sub-run.
fn check_secrets(masker: Option<&Masker>, params: &[(Option<String>, String)]) -> Result<(), String> {
    let Some(masker) = masker else { return Ok(()) };
    match params.iter().find(|(_, value)| masker.finds(value)) {
        None => Ok(()),
        Some((name, _)) => Err(format!(
            "the parameter {} has the value of a secret in it, and would be recorded with the sub-run; name the secret \
             under `secrets` of the called DAG",
            name.as_deref().unwrap_or("without a name")
        )),
    }
}

/// Finds what is called, each file once.
struct Finder<'a, 'b> {
    cx: &'a Cx<'b>,
    found: HashMap<String, (DagName, Rc<CallTarget>)>,
}

impl Finder<'_, '_> {
    /// A further document of the file, a file, or an installed DAG, in this order.
    fn find(&mut self, target: &str) -> Flow<(DagName, Rc<CallTarget>)> {
        if let Some(found) = self.found.get(target) {
            return Ok(found.clone());
        }
        let (name, found) = self.look(target).map_err(Halt::Fail)?;
        let found = (name, Rc::new(found));
        self.found.insert(target.to_owned(), found.clone());
        Ok(found)
    }

    fn look(&self, target: &str) -> Result<(DagName, CallTarget), String> {
        let target = target.trim();
        let locals = &self.cx.facts.dag.local_dags;
        if let Some(local) = locals.iter().find(|dag| dag.name.as_str() == target) {
            return Ok((local.name.clone(), CallTarget::Local(local.name.clone())));
        }
        if target.is_empty() {
            return Err(String::from(
                "`call` evaluates to an empty text: it must name a DAG",
            ));
        }
        for path in candidates(self.cx.base_dir(), target) {
            let limit = u64::try_from(DAG_SOURCE_MAX).unwrap_or(u64::MAX);
            match files::read_small(&path, limit) {
                Ok(Some(text)) => return self.file(&path, text),
                Ok(None) => {}
                Err(error) => return Err(format!("the called DAG {}: {error}", path.display())),
            }
        }
        match DagName::new(target) {
            // Whether it is there, the daemon knows.
            Ok(name) => Ok((name.clone(), CallTarget::Installed(name))),
            Err(_) => Err(format!(
                "there is no DAG {target}: no such file below {}, and no further document of this one is called so",
                self.cx.base_dir().display()
            )),
        }
    }

    fn file(&self, path: &Path, source: String) -> Result<(DagName, CallTarget), String> {
        let file = path.display().to_string();
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let base_dir = path.parent().and_then(Path::to_str);
        let base_dir =
            base_dir.ok_or_else(|| format!("the directory of {file} has a name that is not UTF-8"))?;
        let base = self.cx.facts.dag.base_config.as_ref();
        let base = base.map(|text| BaseConfig {
            text: text.as_bytes(),
            file: "base configuration",
        });
        let text = Source {
            text: source.as_bytes(),
            file: &file,
            stem,
        };
        let options = LoadOptions {
            base,
            sub_dag: true,
            ..LoadOptions::default()
        };
        // The daemon loads it, when it makes the sub-run.
        let name = name_of(&text, &options).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            format!("the called DAG has errors:\n{}", errors.join("\n"))
        })?;
        let schemas = schema_files(&text, base.as_ref(), |wanted| {
            read_schema(&schema_places(wanted, Path::new(base_dir), None))
        });
        let target = CallTarget::File {
            stem: stem.to_owned(),
            base_dir: base_dir.to_owned(),
            source,
            file,
            schemas,
        };
        Ok((name, target))
    }
}

/// Reads a JSON schema that a called DAG refers to, with the rights of the job's user.
fn read_schema(places: &[PathBuf]) -> Result<String, String> {
    let limit = u64::try_from(SCHEMA_MAX).unwrap_or(u64::MAX);
    let mut places = places.iter();
    let found = places.find_map(|path| files::read_small(path, limit).transpose());
    match found {
        Some(text) => text.map_err(|error| error.to_string()),
        None => Err("there is no such file".to_owned()),
    }
}

/// Where a file of that name may be: as it is written, and with the endings of DAG files.
fn candidates(base_dir: &Path, target: &str) -> Vec<PathBuf> {
    let path = base_dir.join(target);
    if target.ends_with(".yaml") || target.ends_with(".yml") {
        return vec![path];
    }
    let with = |ending: &str| {
        let mut name = path.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    vec![with(".yaml"), with(".yml")]
}

fn status(end: &Ended) -> RunStatus {
    match end {
        Ended::Run(end) => end.status,
        Ended::Refused(_) => RunStatus::Failed,
        Ended::Not => RunStatus::NotStarted,
    }
}

/// What a step's output says of a sub-run.
fn result(call: &PlannedCall, end: &Ended) -> Value {
    let outputs = match end {
        Ended::Run(end) => object(&end.outputs),
        Ended::Refused(_) | Ended::Not => json!({}),
    };
    json!({
        "name": call.run.dag,
        "dagRunId": call.run.id,
        "params": call.text,
        "outputs": outputs,
        "status": status(end),
    })
}

fn object(pairs: &[(String, String)]) -> Value {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.clone())));
    Value::Object(pairs.collect::<Map<_, _>>())
}

/// The output of a parallel step: counts, every result, and the outputs of those that succeeded.
fn aggregate(calls: &[PlannedCall], ends: &[Ended]) -> String {
    let succeeded = ends.iter().filter(|end| status(end).is_success());
    let results: Vec<Value> = calls
        .iter()
        .zip(ends)
        .map(|(call, end)| result(call, end))
        .collect();
    let outputs: Vec<Value> = ends
        .iter()
        .filter_map(|end| match end {
            Ended::Run(run) if run.status.is_success() => Some(object(&run.outputs)),
            _ => None,
        })
        .collect();
    let good = succeeded.count();
    let waiting = ends
        .iter()
        .filter(|end| status(end) == RunStatus::Waiting)
        .count();
    json!({
        "summary": {
            "total": ends.len(),
            "succeeded": good,
            "failed": ends.len() - good - waiting,
            "waiting": waiting,
        },
        "results": results,
        "outputs": outputs,
    })
    .to_string()
}

/// What the step came to.
fn verdict(ends: &[Ended]) -> StepStatus {
    let any = |wanted: RunStatus| ends.iter().any(|end| status(end) == wanted);
    if any(RunStatus::Rejected) {
        // Whatever else waits: what a person refused is not asked for again.
        StepStatus::Rejected
    } else if any(RunStatus::Waiting) {
        StepStatus::Waiting
    } else if !ends.iter().all(|end| status(end).is_success()) {
        StepStatus::Failed
    } else if any(RunStatus::PartiallySucceeded) {
        StepStatus::PartiallySucceeded
    } else {
        StepStatus::Succeeded
    }
}

/// What went wrong, if something did and nothing waits.
fn error(calls: &[PlannedCall], ends: &[Ended]) -> Option<String> {
    let rejected = match verdict(ends) {
        StepStatus::Failed => false,
        StepStatus::Rejected => true,
        _ => return None,
    };
    let mut bad = calls
        .iter()
        .zip(ends)
        .filter(|(_, end)| !status(end).is_success() && **end != Ended::Not)
        .filter(|(_, end)| !rejected || status(end) == RunStatus::Rejected);
    let Some((call, end)) = bad.next() else {
        return Some(String::from("stopped before every sub-run was started"));
    };
    let run = &call.run;
    let first = match end {
        Ended::Refused(why) => format!("sub-run {run} was not started: {why}"),
        Ended::Run(end) => match &end.error {
            Some(error) => format!("sub-run {run} {}: {error}", end.status),
            None => format!("sub-run {run} {}", end.status),
        },
        Ended::Not => String::new(),
    };
    Some(match bad.count() {
        0 => first,
        more => format!("{first} (and {more} more)"),
    })
}

#[cfg(test)]
mod tests;
