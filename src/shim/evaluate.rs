//! What the tasks evaluate: the run's scope, a step's scope, conditions, numbers, command lines.
//!
//! The rules are [`crate::dag::eval`]'s; here they get their input, and their wishes become children.

use std::io;
use std::path::{Path, PathBuf};

use super::children::Purpose;
use super::context::{Cx, Flow, Halt};
use super::copies;
use super::files;
use super::secrets::{self, NOT_TOLD};
use super::taps::Taps;
use super::task::{Base, Facts, Try};
use crate::dag::eval::{self, Identity, Mode, OutputMatcher, RunPieces, Scope, dotenv};
use crate::dag::params::check;
use crate::dag::types::{Action, Step};
use crate::engine::attempt::{Prepared, TryEnd};
use crate::model::outcome::STDERR_MARK;
use crate::model::view::RunView;
use crate::model::{Cause, Exit, Node, StepStatus};

/// Largest dotenv file, in bytes.
const DOTENV_MAX: u64 = 1024 * 1024;

/// Why the DAG's preconditions are not met, and the effective parameters in order.
pub(super) type Initialised = (Result<(), String>, Vec<(String, String)>);

/// Parameters, environment, dotenv files and the DAG's preconditions: why those are not met, and the parameters.
pub(super) fn initialise(cx: &Cx<'_>) -> Flow<Initialised> {
    let made = make_base(cx)?;
    let base = cx.facts.base.get_or_init(|| made);
    let scope = &base.scope;
    let cwd = cx.working_dir(None, scope)?;
    // The DAG's own working directory is made if it is missing; a step's must be there (seed-spec 7.9).
    super::children::make_working_dir(&cwd, cx.base_dir()).map_err(Halt::Fail)?;
    let unmet = cx.unmet(&cx.facts.dag.preconditions, None, scope, &cwd)?;
    Ok((unmet.map_or(Ok(()), Err), base.params.clone()))
}

fn make_base(cx: &Cx<'_>) -> Flow<Base> {
    let (spec, dag) = (&cx.facts.spec, &cx.facts.dag);
    let params = effective_params(cx)?;
    // The texts of the scope are evaluated up to three times, each time with the results behind those of the parameters.
    let from = cx.cursor.position();
    let log_file = format!("{}/run.log", spec.view.log_dir);
    let mut pieces = RunPieces {
        os: &spec.env,
        identity: Identity {
            dag_name: spec.run.dag.as_str(),
            run_id: spec.run.id.as_str(),
            log_file: &log_file,
            work_dir: &spec.work_dir,
        },
        params: &params,
        params_json: &spec.params_json,
        env: &dag.env,
        dotenv: &[],
        extra: &[],
        secrets: &[],
    };
    let first = cx.settle(eval::run_scope(&pieces, &cx.cursor), cx.base_dir())?;
    let cwd = cx.working_dir(None, &first)?;
    let mut entries = Vec::new();
    for written in &dag.dotenv {
        let path = cx.settle(
            eval::expand(written, &first, Mode::FULL, &cx.cursor),
            cx.base_dir(),
        )?;
        let read = read_dotenv(&path, &[&cwd, cx.base_dir()]);
        entries.extend(read.map_err(|(path, error)| {
            let path = path.display().to_string();
            let told = if cx.facts.is_blind() { written } else { &path };
            Halt::Fail(format!("dotenv file {told}: {error}"))
        })?);
    }
    pieces.dotenv = &entries;
    // The same texts are evaluated once more with the same results, so nothing is run twice.
    let scope = cx.settle(eval::run_scope(&pieces, &cx.memo.cursor_at(from)), cx.base_dir())?;
    if dag.secrets.is_empty() {
        return Ok(Base { scope, params });
    }
    pieces.secrets = secrets::resolve(cx, &scope, &cwd)?.values();
    let scope = cx.settle(eval::run_scope(&pieces, &cx.memo.cursor_at(from)), cx.base_dir())?;
    Ok(Base { scope, params })
}

/// The first file of that name in the directories. A file that is not there is no error (seed-spec 7.9).
fn read_dotenv(path: &str, dirs: &[&Path]) -> Result<Vec<dotenv::Entry>, (PathBuf, io::Error)> {
    for dir in dirs {
        let path = dir.join(path);
        match files::read_small(&path, DOTENV_MAX) {
            Ok(Some(text)) => return Ok(dotenv::parse(&text).0),
            Ok(None) => {}
            Err(error) => return Err((path, error)),
        }
    }
    Ok(Vec::new())
}

/// The parameters given, with those filled in whose default is an expression.
fn effective_params(cx: &Cx<'_>) -> Flow<Vec<(String, String)>> {
    let mut params = Vec::new();
    let mut scope = Scope::new();
    scope.push(eval::Origin::Os);
    for (name, value) in &cx.facts.spec.env {
        scope.set(name.as_str(), value.as_str());
    }
    scope.push(eval::Origin::User);
    let given = &cx.facts.spec.params;
    for def in &cx.facts.dag.params.defs {
        if let Some((name, value)) = given.iter().find(|(name, _)| *name == def.name) {
            scope.set(name.as_str(), value.as_str());
            continue;
        }
        if let Some(text) = &def.eval {
            let value = cx.settle(eval::expand(text, &scope, Mode::FULL, &cx.cursor), cx.base_dir());
            let value = match (value, &def.default) {
                (Err(Halt::Fail(_)), Some(default)) => default.clone(),
                (value, _) => check(def, &value?).map_err(|reason| {
                    Halt::Fail(if cx.facts.is_blind() {
                        format!(
                            "parameter {:?}: its `eval` comes to a value that is not allowed ({NOT_TOLD})",
                            def.name
                        )
                    } else {
                        reason
                    })
                })?,
            };
            scope.set(def.name.as_str(), value.as_str());
            params.push((def.name.clone(), value));
        }
    }
    if params.is_empty() {
        return Ok(given.clone());
    }
    // In the order of declaration, then what was given beyond it.
    let mut rest: Vec<(String, String)> = given.iter().cloned().chain(params).collect();
    let mut ordered = Vec::new();
    for def in &cx.facts.dag.params.defs {
        if let Some(at) = rest.iter().position(|(name, _)| *name == def.name) {
            ordered.push(rest.remove(at));
        }
    }
    ordered.extend(rest);
    Ok(ordered)
}

fn step_of<'a>(cx: &Cx<'a>, node: Node) -> Flow<&'a Step> {
    cx.facts
        .step(node)
        .ok_or_else(|| Halt::Fail(format!("the DAG has no {node}")))
}

/// The node's numbers and preconditions.
pub(super) fn prepare(cx: &Cx<'_>, node: Node) -> Flow<Prepared> {
    let step = step_of(cx, node)?;
    let (scope, cwd) = cx.step_scope(node, step, false)?;
    let (retry, repeat) = (step.retry.as_ref(), step.repeat.as_ref());
    let retry_limit = cx.whole("retry_policy.limit", retry.map(|p| &p.limit), &scope, &cwd)?;
    let retry_interval = cx.seconds(
        "retry_policy.interval_sec",
        retry.map(|p| &p.interval_sec),
        &scope,
        &cwd,
    )?;
    let repeat_limit = cx.whole("repeat_policy.limit", repeat.map(|p| &p.limit), &scope, &cwd)?;
    let repeat_interval = cx.seconds(
        "repeat_policy.interval_sec",
        repeat.map(|p| &p.interval_sec),
        &scope,
        &cwd,
    )?;
    let unmet = cx.unmet(&step.preconditions, Some(step), &scope, &cwd)?;
    Ok(Prepared {
        retry_limit,
        retry_interval,
        repeat_limit,
        repeat_interval,
        unmet,
    })
}

/// Whether the node's repeat condition is met.
pub(super) fn check_repeat(cx: &Cx<'_>, node: Node) -> Flow<bool> {
    let step = step_of(cx, node)?;
    let (scope, cwd) = cx.step_scope(node, step, true)?;
    match step.repeat.as_ref().and_then(|policy| policy.condition.as_ref()) {
        Some(condition) => Ok(cx.verdict(condition, Some(step), &scope, &cwd)?.is_none()),
        None => Ok(false),
    }
}

/// One try of a node: its commands one after the other, then what became of them.
pub(super) fn execute(cx: &Cx<'_>, node: Node, tried: &Try) -> Flow<TryEnd> {
    let step = step_of(cx, node)?;
    let (scope, cwd) = cx.step_scope(node, step, false)?;
    let mut paths = Vec::new();
    for (path, log, from) in [
        (&step.stdout, &tried.streams.stdout, tried.from.0),
        (&step.stderr, &tried.streams.stderr, tried.from.1),
    ] {
        if let Some(path) = path {
            let path = cx.settle(eval::expand(path, &scope, Mode::FULL, &cx.cursor), &cwd)?;
            paths.push((cwd.join(path), log, from));
        }
    }
    if tried.copies.get().is_none() {
        let copies: Result<Vec<_>, _> = paths
            .into_iter()
            .map(|(path, log, from)| {
                copies::Copy::open(log, from, path, |path, data| copies::is_log(cx.facts, path, data))
            })
            .collect();
        let copies = copies.map_err(Halt::Fail)?;
        tried.copies.get_or_init(|| copies);
    }
    if let Action::Call(call) = &step.action {
        let mut end = super::calls::execute(cx, (node, step), call, tried, (&scope, &cwd))?;
        finish(cx.facts, cx.view, node, tried, &mut end);
        return Ok(end);
    }
    let mut end = TryEnd::default();
    if let Action::Route(router) = &step.action {
        let value = cx.settle(eval::expand(&router.value, &scope, Mode::USER, &cx.cursor), &cwd)?;
        // Its targets look at the value themselves, in their conditions.
        match tried.say(&value) {
            Ok(()) => end.verdict = Some(StepStatus::Succeeded),
            Err(error) => end.error = Some(format!("cannot write the step's log: {error}")),
        }
        finish(cx.facts, cx.view, node, tried, &mut end);
        return Ok(end);
    }
    // What has come to its end is not planned again, each time the next command has ended.
    let (first, position) = tried.ended.get();
    if let Some(before) = first.checked_sub(1) {
        end.exit = cx.skip_to(before, position);
    }
    for index in first.. {
        let plan = eval::plan(step, index, &cx.context(&scope), &cx.cursor);
        let Some(plan) = cx.settle(plan, &cwd)? else { break };
        let child = cx.child(Purpose::Main, plan, &scope, &cwd)?;
        end.exit = child.exit.or(end.exit);
        end.error = match child.exit {
            Some(exit) if exit.is_success() => None,
            Some(exit) => Some(numbered(
                step,
                index,
                describe_exit(exit, &child.error, child.cause),
            )),
            None => Some(numbered(step, index, child.error.clone())),
        };
        if end.error.is_some() {
            end.cause = child.cause;
            break;
        }
        tried.ended.set((index + 1, cx.cursor.position()));
    }
    finish(cx.facts, cx.view, node, tried, &mut end);
    Ok(end)
}

/// Which of several commands it was.
fn numbered(step: &Step, index: usize, text: String) -> String {
    match &step.action {
        Action::Commands(list) if list.len() > 1 => {
            format!("command {} failed: {text}", index + 1)
        }
        _ => text,
    }
}

/// What is read from the logs of a try once it has ended: captured output, and whether a failure is tolerated for
/// what was written.
pub(super) fn finish(facts: &Facts, view: &RunView, node: Node, tried: &Try, end: &mut TryEnd) {
    let Some(step) = facts.step(node) else { return };
    let log = &tried.streams.stdout;
    if let Some(Err(error)) = tried.taps.as_ref().map(Taps::close) {
        end.error.get_or_insert(error);
    }
    for copy in tried.copies.get().into_iter().flatten() {
        if let Err(error) = copy.catch_up() {
            end.error.get_or_insert(error);
        }
    }
    if end.error.is_some() && !step.continue_on.output.is_empty() {
        end.output_matched = matches(&step.continue_on.output, tried);
    }
    // A try that could not start anything has no output, not an empty one.
    let ran = end.exit.is_some() || end.error.is_none() || matches!(step.action, Action::Call(_));
    if let Some(output) = step.output.as_ref().filter(|_| ran) {
        let captured = match &tried.taps {
            Some(taps) => taps.captured(),
            None => files::captured(log, tried.from.0, facts.dag.max_output_size),
        };
        let fits = |value: String| {
            let told = facts.masker().map(|masker| masker.text(&value));
            let forms = [&value, told.as_ref().unwrap_or(&value)];
            facts
                .outputs
                .add(view, node, &output.name, &forms.map(String::as_str))?;
            Ok(value)
        };
        match captured.and_then(fits) {
            Ok(value) => end.output = Some(value),
            Err(error) => {
                end.error.get_or_insert(error);
            }
        }
    }
}

/// Whether a line of what the try wrote matches.
fn matches(patterns: &[String], tried: &Try) -> bool {
    let Ok(mut matcher) = OutputMatcher::new(patterns) else {
        return false;
    };
    let mut found = false;
    for (log, from) in [
        (&tried.streams.stdout, tried.from.0),
        (&tried.streams.stderr, tried.from.1),
    ] {
        files::read_pieces(log, from, |piece| {
            found |= matcher.feed(piece);
            !found
        });
        found |= !found && matcher.feed(b"\n");
    }
    found || matcher.finish()
}

/// An exit in words, with what the kernel did and the end of standard error.
pub(super) fn describe_exit(exit: Exit, stderr: &str, cause: Option<Cause>) -> String {
    let how = Cause::describe(cause, exit);
    if stderr.is_empty() {
        how
    } else {
        format!("{how}{STDERR_MARK}{stderr}")
    }
}
