//! The projection of a DAG that `validate --json` prints: flat, in the field's usual names, durations in seconds.

use serde_json::{Map, Value, json};

use super::eval::{Scope, known};
use super::params::text::quote;
use super::params::{self, ResolvedParams, typed};
use super::types::{
    Action, Call, Command, Condition, Dag, DagKind, EnvVar, Item, Items, LogOutput, Number, ParamDef,
};
use super::types::{Parallel, ParamKind, RepeatMode, RepeatPolicy, RetryPolicy, Secret, Shell, Step};
use crate::model::{self, outcome::signal_name};

/// The DAG as one JSON object. `resolved` are the parameters of the load; without them the defaults are shown.
/// `base_dir` is the directory of the DAG file, which relative working directories are relative to; empty leaves
/// them as they are written. With `evaluate`, `eval` and `env` are shown as values where these follow from parameters
/// alone. What can only be known when a run begins is shown as written.
#[must_use]
pub fn project(dag: &Dag, resolved: Option<&ResolvedParams>, base_dir: &str, evaluate: bool) -> Value {
    let defaults;
    let resolved = if let Some(resolved) = resolved {
        resolved
    } else {
        defaults = params::defaults(&dag.params, evaluate);
        &defaults
    };
    let known = resolved.known(&dag.params);
    let params_json = if resolved.json_given {
        serde_json::from_str(&resolved.json).unwrap_or(Value::Null)
    } else {
        Value::Object(
            known
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().into()))
                .collect(),
        )
    };
    let dotenv = match dag.dotenv.split_first() {
        Some((_, written)) if dag.dotenv_implied && !written.is_empty() => written,
        _ => dag.dotenv.as_slice(),
    };
    let scheduling = &dag.scheduling;
    let retry = scheduling.retry.as_ref().map(whole_retry);
    let steps: Vec<Value> = dag
        .steps
        .iter()
        .map(|step| self::step(step, &dag.steps))
        .collect();
    let handlers: Map<String, Value> = dag
        .handlers
        .iter()
        .map(|(handler, step)| (handler.as_str().to_owned(), self::step(step, &[])))
        .collect();
    let local_dags: Map<String, Value> = dag
        .local_dags
        .iter()
        .map(|local| (local.name.to_string(), project(local, None, base_dir, evaluate)))
        .collect();
    let mut all = json!({
        "name": dag.name.as_str(),
        "group": dag.group,
        "description": dag.description,
        "type": match dag.kind { DagKind::Chain => "chain", DagKind::Graph => "graph" },
        "shell": dag.shell.as_ref().map(|shell| &shell.program),
        "shell_args": shell_args(dag.shell.as_ref()),
        "dotenv": dotenv,
        "tags": dag.tags,
        "working_dir": working_dir(dag.working_dir.as_deref(), base_dir),
        "log_dir": dag.log_dir,
        "log_output": log_output(dag.log_output),
        "env": if evaluate { known_env(&dag.env, &known) } else { env(&dag.env) },
        "params": known.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        "default_params": params::default_text(&dag.params, resolved),
        "params_json": params_json,
        "param_defs": dag.params.defs.iter().map(param_def).collect::<Vec<_>>(),
        "schedule": dag.schedule,
        "skip_if_successful": scheduling.skip_if_successful,
        "timeout_sec": dag.timeout_sec,
        "delay_sec": dag.delay_sec,
        "restart_wait_sec": dag.restart_wait_sec,
        "max_active_steps": dag.max_active_steps,
        "max_active_runs": dag.max_active_runs.unwrap_or(1),
        "max_clean_up_time_sec": dag.max_clean_up_time_sec,
        "hist_retention_days": dag.hist_retention_days.unwrap_or(30),
        "max_output_size": dag.max_output_size,
        "queue": dag.queue.as_ref().map(model::GroupName::as_str),
        "preconditions": conditions(&dag.preconditions),
        "worker_selector": {},
        "catchup_window_sec": scheduling.catchup_window_sec,
        "overlap_policy": scheduling.overlap_policy.as_str(),
        "delivery": if scheduling.at_least_once { "at_least_once" } else { "at_most_once" },
        "priority": scheduling.priority.number(),
        "hist_retention_runs": scheduling.hist_retention_runs,
        "retry_policy": retry,
        "mail_on": null,
        "secrets": dag.secrets.iter().map(secret).collect::<Vec<_>>(),
        "handlers": handlers,
        "local_dags": local_dags,
        "steps": steps,
    });
    // One macro does not hold that many.
    if let Value::Object(all) = &mut all {
        let execution = &dag.execution;
        all.insert("run_as".to_owned(), json!(execution.run_as));
        all.insert("no_new_privs".to_owned(), json!(execution.no_new_privs));
        all.insert("limits".to_owned(), json!(execution.limits));
    }
    all
}

/// A directory as far as it is known at load: absolute, or left for the run because of `~` or a variable.
fn working_dir(written: Option<&str>, base_dir: &str) -> Option<String> {
    match written {
        None => Some(base_dir.to_owned()).filter(|dir| !dir.is_empty()),
        Some(dir) if base_dir.is_empty() || dir.starts_with(['/', '~', '$']) => Some(dir.to_owned()),
        Some(dir) => {
            let dir = dir.strip_prefix("./").unwrap_or(dir);
            Some(format!("{}/{dir}", base_dir.trim_end_matches('/')))
        }
    }
}

fn step(step: &Step, all: &[Step]) -> Value {
    let (commands, script) = match &step.action {
        Action::Commands(commands) => (commands.iter().map(command).collect(), None),
        Action::Script {
            text,
            command: interpreter,
        } => (interpreter.iter().map(command).collect::<Vec<_>>(), Some(text)),
        Action::Nothing | Action::Call(_) | Action::Route(_) => (Vec::new(), None),
    };
    let call = match &step.action {
        Action::Call(call) => Some(call.as_ref()),
        _ => None,
    };
    let router = match &step.action {
        Action::Route(router) => Some(router),
        _ => None,
    };
    let depends: Vec<&str> = step
        .depends
        .iter()
        .filter_map(|position| all.get(usize::try_from(*position).ok()?))
        .map(|other| other.name.as_str())
        .collect();
    json!({
        "id": step.id,
        "name": step.name,
        "description": step.description,
        "type": type_name(step),
        "config": {},
        "commands": commands,
        "script": script,
        "shell": step.shell.as_ref().map(|shell| &shell.program),
        "shell_args": shell_args(step.shell.as_ref()),
        "working_dir": step.working_dir,
        "env": env(&step.env),
        "stdout": step.stdout,
        "stderr": step.stderr,
        "log_output": log_output(step.log_output),
        "output": step.output.as_ref().map(|output| &output.name),
        "output_key": step.output.as_ref().and_then(|output| output.key.as_ref()),
        "output_omit": step.output.as_ref().is_some_and(|output| output.omit),
        "depends": depends,
        "continue_on": step.continue_on,
        "retry_policy": step.retry.as_ref().map(retry),
        "repeat_policy": step.repeat.as_ref().map(repeat),
        "preconditions": conditions(&step.preconditions),
        "signal_on_stop": step.signal_on_stop.map(signal_name),
        "timeout_sec": step.timeout_sec,
        "mail_on_error": false,
        "worker_selector": {},
        "call": call.map(self::call),
        "parallel": call.and_then(|call| call.parallel.as_ref()).map(parallel),
        "params": null,
        "approval": step.approval,
        "router": router,
    })
}

/// The type of a step; that of a call without one is what it would be.
fn type_name(step: &Step) -> &str {
    match &step.action {
        Action::Call(call) if step.type_name.is_empty() => match call.parallel {
            Some(_) => "parallel",
            None => "dag",
        },
        _ => &step.type_name,
    }
}

/// The target, and the parameters as one text in which values are in quotes.
fn call(call: &Call) -> Value {
    let params = call.params.iter().map(|arg| match &arg.name {
        Some(name) => format!("{name}={}", quote(&arg.value)),
        None => arg.value.clone(),
    });
    json!({ "name": call.target, "params": params.collect::<Vec<_>>().join(" ") })
}

fn parallel(parallel: &Parallel) -> Value {
    let (variable, items) = match &parallel.items {
        Items::Expr(text) => (Some(text), Vec::new()),
        Items::List(list) => (None, list.iter().map(item).collect()),
    };
    json!({ "variable": variable, "items": items, "max_concurrent": parallel.max_concurrent })
}

fn item(item: &Item) -> Value {
    match item {
        Item::Value(text) => json!({ "value": text }),
        Item::Params(pairs) => json!({ "params": object(pairs) }),
    }
}

fn secret(secret: &Secret) -> Value {
    json!({
        "name": secret.name,
        "provider": secret.provider,
        "key": secret.key,
        "options": object(&secret.options),
    })
}

fn object(pairs: &[(String, String)]) -> Map<String, Value> {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into()));
    pairs.collect()
}

fn command(command: &Command) -> Value {
    json!({ "command": command.program, "args": command.args, "raw": command.raw })
}

fn shell_args(shell: Option<&Shell>) -> &[String] {
    shell.map(|shell| shell.args.as_slice()).unwrap_or_default()
}

fn env(vars: &[EnvVar]) -> Vec<String> {
    vars.iter()
        .map(|var| format!("{}={}", var.name, var.value))
        .collect()
}

/// Most bytes of values that are evaluated to be shown.
const SHOWN_MAX: usize = 1024 * 1024;

/// `env` of the DAG with its references to parameters, and to entries before, replaced. An entry that depends on
/// something else stays as it is written, and so does what refers to it.
fn known_env(vars: &[EnvVar], params: &[(String, String)]) -> Vec<String> {
    let mut scope = Scope::new();
    for (at, (_, value)) in params.iter().enumerate() {
        scope.set((at + 1).to_string(), value.as_str());
    }
    for (name, value) in params {
        scope.set(name.as_str(), value.as_str());
    }
    let mut room = SHOWN_MAX;
    let mut shown = Vec::with_capacity(vars.len());
    for (at, var) in vars.iter().enumerate() {
        let value = known(&var.value, &scope).filter(|value| value.len() <= room);
        let Some(value) = value else {
            shown.push(format!("{}={}", var.name, var.value));
            if scope.get(&var.name, false).is_some() {
                // From here on the name means something that is not known, and a scope forgets nothing.
                shown.extend(env(vars.get(at + 1..).unwrap_or_default()));
                break;
            }
            continue;
        };
        room -= value.len();
        shown.push(format!("{}={value}", var.name));
        scope.set(var.name.as_str(), value);
    }
    shown
}

const fn log_output(output: LogOutput) -> &'static str {
    match output {
        LogOutput::Separate => "separate",
        LogOutput::Merged => "merged",
    }
}

fn conditions(conditions: &[Condition]) -> Vec<Value> {
    let one = |c: &Condition| json!({ "condition": c.condition, "expected": c.expected, "negate": c.negate });
    conditions.iter().map(one).collect()
}

/// A number under its key if it is known, else its text under the other key.
fn number(object: &mut Map<String, Value>, key: &str, expr_key: &str, number: &Number) {
    let (key, value) = match number {
        Number::Known(value) => (key, json!(value)),
        Number::Expr(text) => (expr_key, json!(text)),
    };
    object.insert(key.to_owned(), value);
}

fn retry(policy: &RetryPolicy) -> Value {
    let mut object = Map::new();
    number(&mut object, "limit", "limit_expr", &policy.limit);
    number(&mut object, "interval_sec", "interval_expr", &policy.interval_sec);
    object.insert("exit_code".to_owned(), json!(policy.exit_code));
    object.insert("backoff".to_owned(), json!(policy.backoff));
    object.insert("max_interval_sec".to_owned(), json!(policy.max_interval_sec));
    Value::Object(object)
}

fn repeat(policy: &RepeatPolicy) -> Value {
    let mode = match policy.mode {
        RepeatMode::While => "while",
        RepeatMode::Until => "until",
    };
    let mut object = Map::new();
    object.insert("mode".to_owned(), json!(mode));
    number(&mut object, "limit", "limit_expr", &policy.limit);
    number(&mut object, "interval_sec", "interval_expr", &policy.interval_sec);
    object.insert("exit_code".to_owned(), json!(policy.exit_code));
    object.insert("backoff".to_owned(), json!(policy.backoff));
    object.insert("max_interval_sec".to_owned(), json!(policy.max_interval_sec));
    let condition = policy.condition.as_ref();
    object.insert("condition".to_owned(), json!(condition.map(|c| &c.condition)));
    object.insert(
        "expected".to_owned(),
        json!(condition.and_then(|c| c.expected.as_ref())),
    );
    Value::Object(object)
}

/// Retries of a run as a whole: the rule that `limit` begins, what it is for, and the rule that losses have of their
/// own.
fn whole_retry(policy: &model::RetryPolicy) -> Value {
    let common = policy.failed.or(policy.lost);
    let own = policy.lost.filter(|_| !policy.shared && policy.failed.is_some());
    let on: Vec<&str> = [
        ("failed", policy.failed.is_some()),
        ("lost", policy.lost.is_some() && own.is_none()),
    ]
    .into_iter()
    .filter_map(|(word, is_meant)| is_meant.then_some(word))
    .collect();
    json!({
        "limit": common.map(|rule| rule.limit),
        "interval_sec": common.map(|rule| rule.interval_sec),
        "backoff": common.map(|rule| rule.backoff),
        "max_interval_sec": common.map(|rule| rule.max_interval_sec),
        "exit_codes": policy.exit_codes,
        "on": on,
        "lost": own,
    })
}

fn param_def(def: &ParamDef) -> Value {
    let kind = match def.kind {
        ParamKind::String => "string",
        ParamKind::Integer => "integer",
        ParamKind::Number => "number",
        ParamKind::Boolean => "boolean",
        ParamKind::Json => "json",
    };
    json!({
        "name": def.name,
        "type": kind,
        "default": def.default.as_ref().and_then(|text| typed(def.kind, text)),
        "description": def.description,
        "required": def.required,
        "enum": def.choices,
        "minimum": def.minimum,
        "maximum": def.maximum,
        "minLength": def.min_length,
        "maxLength": def.max_length,
        "pattern": def.pattern,
    })
}
