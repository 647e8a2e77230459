//! What the tasks evaluate: the run's scope, a step's scope, conditions, numbers, command lines.
//!
//! The rules are [`crate::dag::eval`]'s; here they get their input, and their wishes become children.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::children::{ChildEnd, Purpose, Request};
use super::files;
use super::task::{Base, Facts, Try};
use crate::dag::eval::{
    self, Arg, Cursor, EvalError, Identity, Memo, Mode, Outcome, OutputMatcher, Plan, PlanContext, RunPieces,
    Scope, StepPieces, StepRef, dotenv,
};
use crate::dag::types::{Condition, Number, Step};
use crate::engine::attempt::{Prepared, TryEnd};
use crate::model::outcome::signal_name;
use crate::model::view::RunView;
use crate::model::{Exit, Node, RunStatus};

/// Largest dotenv file, in bytes.
const DOTENV_MAX: u64 = 1024 * 1024;

/// Why a task stops here.
#[derive(Debug)]
pub(super) enum Halt {
    /// This child must end first.
    Need(Box<Request>),
    /// It cannot go on.
    Fail(String),
}

/// The value, or why there is none yet.
pub(super) type Flow<T> = Result<T, Halt>;

/// What an evaluation knows.
#[derive(Debug)]
pub(super) struct Cx<'a> {
    facts: &'a Facts,
    view: &'a RunView,
    status: RunStatus,
    memo: &'a Memo,
    cursor: Cursor<'a>,
    ends: &'a [ChildEnd],
    next: Cell<usize>,
}

impl<'a> Cx<'a> {
    /// `status` is how the run stands; handlers see it as `DAG_RUN_STATUS`.
    pub(super) fn new(
        facts: &'a Facts,
        view: &'a RunView,
        status: RunStatus,
        memo: &'a Memo,
        ends: &'a [ChildEnd],
    ) -> Self {
        Self {
            facts,
            view,
            status,
            memo,
            cursor: memo.cursor(),
            ends,
            next: Cell::new(0),
        }
    }

    /// Takes the value, or asks for the command that must run first.
    fn settle<T>(&self, outcome: Result<Outcome<T>, EvalError>, cwd: &Path) -> Flow<T> {
        match outcome {
            Ok(Outcome::Ready(value)) => Ok(value),
            Ok(Outcome::Pending(wanted)) => {
                let plan = eval::shell_command(&self.facts.default_shell, wanted.command);
                Err(Halt::Need(Box::new(request(
                    Purpose::Substitution,
                    plan,
                    &wanted.scope,
                    cwd,
                ))))
            }
            Err(error) => Err(Halt::Fail(error.to_string())),
        }
    }

    /// The end of the next child, or the wish for it.
    fn child(&self, purpose: Purpose, plan: Plan, scope: &Scope, cwd: &Path) -> Flow<&'a ChildEnd> {
        let at = self.next.get();
        match self.ends.get(at) {
            Some(end) => {
                self.next.set(at + 1);
                Ok(end)
            }
            None => Err(Halt::Need(Box::new(request(purpose, plan, scope, cwd)))),
        }
    }

    fn base_dir(&self) -> &Path {
        Path::new(&self.facts.spec.base_dir)
    }

    fn base(&self) -> Flow<&'a Base> {
        let missing = || Halt::Fail(String::from("the run's environment is not known"));
        self.facts.base.get().ok_or_else(missing)
    }

    fn working_dir(&self, step: Option<&str>, scope: &Scope) -> Flow<PathBuf> {
        let spec = &self.facts.spec;
        let dag = self.facts.dag.working_dir.as_deref();
        let home = scope.get("HOME", true).map(|home| home.to_string());
        let home = home.as_deref().or(Some(spec.user.home.as_str()));
        let found = eval::working_dir(step, dag, &spec.base_dir, home, scope, &self.cursor);
        Ok(PathBuf::from(self.settle(found, self.base_dir())?))
    }

    fn context<'b>(&'b self, scope: &'b Scope) -> PlanContext<'b> {
        PlanContext {
            dag_shell: self.facts.dag.shell.as_ref(),
            default_shell: &self.facts.default_shell,
            scope,
        }
    }

    /// Why the conditions are not met; none if they are. All are evaluated (seed-spec 7.7).
    fn unmet(
        &self,
        conditions: &[Condition],
        step: Option<&Step>,
        scope: &Scope,
        cwd: &Path,
    ) -> Flow<Option<String>> {
        let mut reasons = Vec::new();
        for condition in conditions {
            match self.verdict(condition, step, scope, cwd) {
                Ok(None) => {}
                Ok(Some(reason)) | Err(Halt::Fail(reason)) => reasons.push(reason),
                Err(need) => return Err(need),
            }
        }
        Ok(if reasons.is_empty() {
            None
        } else {
            Some(reasons.join("; "))
        })
    }

    /// Why one condition is not met.
    fn verdict(
        &self,
        condition: &Condition,
        step: Option<&Step>,
        scope: &Scope,
        cwd: &Path,
    ) -> Flow<Option<String>> {
        let fail = |error: EvalError| Halt::Fail(error.to_string());
        let verdict = if let Some(expected) = &condition.expected {
            let value = eval::expand(&condition.condition, scope, Mode::FULL, &self.cursor);
            let value = self.settle(value, cwd)?;
            eval::value_met(&value, expected, condition.negate, self.facts.dag.max_output_size)
                .map_err(fail)?
        } else {
            let shell = step.and_then(|step| step.shell.as_ref());
            let plan = eval::condition_plan(&condition.condition, shell, &self.context(scope), &self.cursor);
            let plan = self.settle(plan, cwd)?;
            let end = self.child(Purpose::Condition, plan, scope, cwd)?;
            match end.exit {
                None => return Err(Halt::Fail(end.error.clone())),
                Some(Exit::Code(code)) => {
                    eval::command_met(&condition.condition, Some(code), condition.negate)
                }
                Some(Exit::Signal { .. }) => eval::command_met(&condition.condition, None, condition.negate),
            }
        };
        Ok(match verdict {
            eval::Verdict::Met => None,
            eval::Verdict::Unmet(reason) => Some(reason),
        })
    }

    /// The scope of a node, and its working directory.
    ///
    /// `own` says whether the node's own captured output is in it, as its repeat condition may ask for it.
    fn step_scope(&self, node: Node, step: &Step, own: bool) -> Flow<(Scope, PathBuf)> {
        let run = &self.base()?.scope;
        let cwd = self.working_dir(step.working_dir.as_deref(), run)?;
        let cwd_text = cwd.display().to_string();
        let names = self.facts.log_names(node);
        let logs = (
            format!("{}/{}", self.view.log_dir, names.stdout),
            format!("{}/{}", self.view.log_dir, names.stderr),
        );
        let handler = matches!(node, Node::Handler(_));
        let pieces = StepPieces {
            name: &step.name,
            working_dir: &cwd_text,
            status: handler.then_some(self.status.as_str()),
            waiting_steps: None,
            outputs: &self.outputs_before(node, own),
            env: &step.env,
            logs: (!handler).then_some((logs.0.as_str(), logs.1.as_str())),
            steps: &self.step_refs(),
        };
        let scope = self.settle(eval::step_scope(run, &pieces, &self.cursor), &cwd)?;
        Ok((scope, cwd))
    }

    /// The captured outputs that a node sees: those of the steps it comes after; a handler's are all.
    fn outputs_before(&self, node: Node, own: bool) -> Vec<(Arc<str>, Arc<str>)> {
        let steps = &self.facts.dag.steps;
        if steps.iter().all(|step| step.output.is_none()) {
            return Vec::new();
        }
        let mut seen = vec![!matches!(node, Node::Step(_)); steps.len()];
        if let Node::Step(index) = node {
            let this = usize::try_from(index).ok().and_then(|at| seen.get_mut(at));
            if let Some(slot) = this.filter(|_| own) {
                *slot = true;
            }
            let mut open = vec![index];
            while let Some(at) = open.pop() {
                let depends = usize::try_from(at)
                    .ok()
                    .and_then(|at| steps.get(at))
                    .map(|step| &step.depends);
                for before in depends.into_iter().flatten() {
                    if let Some(slot) = usize::try_from(*before).ok().and_then(|at| seen.get_mut(at))
                        && !std::mem::replace(slot, true)
                    {
                        open.push(*before);
                    }
                }
            }
        }
        let visible = self.view.steps.iter().zip(seen).filter(|(_, seen)| *seen);
        visible
            .flat_map(|(step, _)| &step.variables)
            .map(|(name, value)| (Arc::from(name.as_str()), Arc::from(value.as_str())))
            .collect()
    }

    fn step_refs(&self) -> Arc<BTreeMap<String, StepRef>> {
        let known = self.facts.dag.steps.iter().zip(&self.view.steps);
        let refs = known.filter_map(|(step, view)| {
            let reference = StepRef {
                stdout: view.stdout.clone()?,
                stderr: view.stderr.clone()?,
                exit_code: view.exit_code,
            };
            Some((step.id.clone()?, reference))
        });
        Arc::new(refs.collect())
    }

    fn whole(&self, what: &'static str, number: Option<&Number>, scope: &Scope, cwd: &Path) -> Flow<u32> {
        match number {
            Some(number) => self.settle(eval::whole(what, number, scope, &self.cursor), cwd),
            None => Ok(0),
        }
    }

    fn seconds(&self, what: &'static str, number: Option<&Number>, scope: &Scope, cwd: &Path) -> Flow<f64> {
        match number {
            Some(number) => self.settle(eval::seconds(what, number, scope, &self.cursor), cwd),
            None => Ok(0.0),
        }
    }
}

fn request(purpose: Purpose, plan: Plan, scope: &Scope, cwd: &Path) -> Request {
    let position = plan.argv.iter().position(|arg| matches!(arg, Arg::ScriptPath));
    let text = |arg| match arg {
        Arg::Text(text) => text,
        Arg::ScriptPath => String::new(),
    };
    let mut env: BTreeMap<String, String> = scope.environ().into_iter().collect();
    env.extend(plan.extra_env);
    Request {
        purpose,
        argv: plan.argv.into_iter().map(text).collect(),
        env: env.into_iter().collect(),
        cwd: cwd.to_owned(),
        script: plan.script.map(|script| script.text).zip(position),
    }
}

/// Parameters, environment, dotenv files and the DAG's preconditions: why those are not met, and the parameters.
pub(super) fn initialise(cx: &Cx<'_>) -> Flow<(Result<(), String>, Vec<(String, String)>)> {
    let made = make_base(cx)?;
    let base = cx.facts.base.get_or_init(|| made);
    let scope = &base.scope;
    let cwd = cx.working_dir(None, scope)?;
    // The DAG's own working directory is made if it is missing; a step's must be there (seed-spec 7.9).
    super::children::make_working_dir(&cwd).map_err(Halt::Fail)?;
    let unmet = cx.unmet(&cx.facts.dag.preconditions, None, scope, &cwd)?;
    Ok((unmet.map_or(Ok(()), Err), base.params.clone()))
}

fn make_base(cx: &Cx<'_>) -> Flow<Base> {
    let (spec, dag) = (&cx.facts.spec, &cx.facts.dag);
    let params = effective_params(cx)?;
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
    for path in &dag.dotenv {
        let path = cx.settle(eval::expand(path, &first, Mode::FULL, &cx.cursor), cx.base_dir())?;
        entries.extend(read_dotenv(&path, &[&cwd, cx.base_dir()])?);
    }
    pieces.dotenv = &entries;
    // The same texts are evaluated once more with the same results, so nothing is run twice.
    let scope = cx.settle(eval::run_scope(&pieces, &cx.memo.cursor()), cx.base_dir())?;
    Ok(Base { scope, params })
}

/// The first file of that name in the directories. A file that is not there is no error (seed-spec 7.9).
fn read_dotenv(path: &str, dirs: &[&Path]) -> Flow<Vec<dotenv::Entry>> {
    for dir in dirs {
        let path = dir.join(path);
        match files::read_small(&path, DOTENV_MAX) {
            Ok(Some(text)) => return Ok(dotenv::parse(&text).0),
            Ok(None) => {}
            Err(error) => return Err(Halt::Fail(format!("dotenv file {}: {error}", path.display()))),
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
        if given.iter().any(|(name, _)| *name == def.name) {
            continue;
        }
        if let Some(text) = &def.eval {
            let value = cx.settle(eval::expand(text, &scope, Mode::FULL, &cx.cursor), cx.base_dir());
            let value = match (value, &def.default) {
                (Err(Halt::Fail(_)), Some(default)) => default.clone(),
                (value, _) => value?,
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
    let mut copies = Vec::new();
    for (path, log, from) in [
        (&step.stdout, &tried.streams.stdout, tried.from.0),
        (&step.stderr, &tried.streams.stderr, tried.from.1),
    ] {
        if let Some(path) = path {
            let path = cx.settle(eval::expand(path, &scope, Mode::FULL, &cx.cursor), &cwd)?;
            copies.push((cwd.join(path), log, from));
        }
    }
    let mut end = TryEnd::default();
    for index in 0.. {
        let plan = eval::plan(step, index, &cx.context(&scope), &cx.cursor);
        let Some(plan) = cx.settle(plan, &cwd)? else { break };
        let child = cx.child(Purpose::Main, plan, &scope, &cwd)?;
        end.exit = child.exit.or(end.exit);
        end.error = match child.exit {
            Some(exit) if exit.is_success() => None,
            Some(exit) => Some(numbered(step, index, describe_exit(exit, &child.error))),
            None => Some(numbered(step, index, child.error.clone())),
        };
        if end.error.is_some() {
            break;
        }
    }
    for (path, log, from) in copies {
        if let Err(error) = files::copy_to(log, from, &path) {
            end.error
                .get_or_insert_with(|| format!("cannot write {}: {error}", path.display()));
        }
    }
    finish(cx.facts, node, tried, &mut end);
    Ok(end)
}

/// Which of several commands it was.
fn numbered(step: &Step, index: usize, text: String) -> String {
    match &step.action {
        crate::dag::types::Action::Commands(list) if list.len() > 1 => {
            format!("command {} failed: {text}", index + 1)
        }
        _ => text,
    }
}

/// What is read from the logs of a try once it has ended: captured output, and whether a failure is tolerated for
/// what was written.
pub(super) fn finish(facts: &Facts, node: Node, tried: &Try, end: &mut TryEnd) {
    let Some(step) = facts.step(node) else { return };
    let log = &tried.streams.stdout;
    if end.error.is_some() && !step.continue_on.output.is_empty() {
        end.output_matched = matches(&step.continue_on.output, tried);
    }
    if step.output.is_some() {
        match files::captured(log, tried.from.0, facts.dag.max_output_size) {
            Ok(value) => end.output = Some(value),
            Err(error) => {
                end.error.get_or_insert(error);
            }
        }
    }
    if let Some(merged) = &tried.merged {
        // The capture is kept even if the log cannot take its copy; the log then says less.
        drop(files::append(log, tried.from.0, merged));
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

/// An exit in words, with the end of standard error.
pub(super) fn describe_exit(exit: Exit, stderr: &str) -> String {
    let how = match exit {
        Exit::Code(code) => format!("exit status {code}"),
        Exit::Signal { signal, core } => {
            let dumped = if core { " (core dumped)" } else { "" };
            format!("killed by {}{dumped}", signal_name(signal))
        }
    };
    if stderr.is_empty() {
        how
    } else {
        format!("{how}\nstderr (end):\n{stderr}")
    }
}
