//! What an evaluation knows, and how it goes on: with a value, with a wish for a child, or not at all.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::children::{ChildEnd, Purpose, Request};
use super::secrets::NOT_TOLD;
use super::task::{Base, Facts};
use crate::dag::eval::{
    self, Arg, Cursor, EvalError, Memo, Mode, Outcome, Plan, PlanContext, Scope, StepPieces,
};
use crate::dag::types::{Condition, Number, Step};
use crate::model::view::RunView;
use crate::model::{Exit, Handler, Node, RunStatus, StepStatus};

/// Why a task stops here.
#[derive(Debug)]
pub(super) enum Halt {
    /// This child must end first.
    Need(Box<Request>),
    /// Its sub-runs must end first.
    Calls,
    /// It cannot go on.
    Fail(String),
}

/// The value, or why there is none yet.
pub(super) type Flow<T> = Result<T, Halt>;

/// What an evaluation knows.
#[derive(Debug)]
pub(super) struct Cx<'a> {
    pub(super) facts: &'a Facts,
    pub(super) view: &'a RunView,
    status: RunStatus,
    pub(super) memo: &'a Memo,
    pub(super) cursor: Cursor<'a>,
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
    pub(super) fn settle<T>(&self, outcome: Result<Outcome<T>, EvalError>, cwd: &Path) -> Flow<T> {
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
            Err(error) => Err(Halt::Fail(self.words(&error))),
        }
    }

    /// An error in words. Where a value would be told while secrets are not known yet, it does without.
    fn words(&self, error: &EvalError) -> String {
        match error {
            EvalError::Unset { name, .. } if self.facts.is_blind() => {
                format!("{name} has no value (its message is {NOT_TOLD})")
            }
            _ => error.to_string(),
        }
    }

    /// The end of the next child, or the wish for it.
    pub(super) fn child(
        &self,
        purpose: Purpose,
        plan: Plan,
        scope: &Scope,
        cwd: &Path,
    ) -> Flow<&'a ChildEnd> {
        let at = self.next.get();
        match self.ends.get(at) {
            Some(end) => {
                self.next.set(at + 1);
                Ok(end)
            }
            None => Err(Halt::Need(Box::new(request(purpose, plan, scope, cwd)))),
        }
    }

    /// Goes on behind the child with this index, where the cursor stood at that position. How the child exited.
    pub(super) fn skip_to(&self, index: usize, position: usize) -> Option<Exit> {
        self.next.set(index + 1);
        self.cursor.skip_to(position);
        self.ends.get(index).and_then(|end| end.exit)
    }

    pub(super) fn base_dir(&self) -> &Path {
        Path::new(&self.facts.spec.base_dir)
    }

    fn base(&self) -> Flow<&'a Base> {
        let missing = || Halt::Fail(String::from("the run's environment is not known"));
        self.facts.base.get().ok_or_else(missing)
    }

    pub(super) fn working_dir(&self, step: Option<&str>, scope: &Scope) -> Flow<PathBuf> {
        let spec = &self.facts.spec;
        let dag = self.facts.dag.working_dir.as_deref();
        let home = scope.get("HOME", true).map(ToString::to_string);
        let home = home.as_deref().or(Some(spec.user.home.as_str()));
        let found = eval::working_dir(step, dag, &spec.base_dir, home, scope, &self.cursor);
        Ok(PathBuf::from(self.settle(found, self.base_dir())?))
    }

    pub(super) fn context<'b>(&'b self, scope: &'b Scope) -> PlanContext<'b> {
        PlanContext {
            dag_shell: self.facts.dag.shell.as_ref(),
            default_shell: &self.facts.default_shell,
            scope,
        }
    }

    /// Why the conditions are not met; none if they are. All are evaluated (seed-spec 7.7).
    pub(super) fn unmet(
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
    pub(super) fn verdict(
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
    pub(super) fn step_scope(&self, node: Node, step: &Step, own: bool) -> Flow<(Scope, PathBuf)> {
        let run = &self.base()?.scope;
        let cwd = self.working_dir(step.working_dir.as_deref(), run)?;
        let cwd_text = cwd.display().to_string();
        let names = self.facts.log_names(node);
        let logs = (
            format!("{}/{}", self.view.log_dir, names.stdout),
            format!("{}/{}", self.view.log_dir, names.stderr),
        );
        let handler = matches!(node, Node::Handler(_));
        let waiting = (node == Node::Handler(Handler::Wait)).then(|| waiting_steps(self.view));
        let pieces = StepPieces {
            name: &step.name,
            working_dir: &cwd_text,
            status: handler.then_some(self.status.as_str()),
            waiting_steps: waiting.as_deref(),
            outputs: &self.outputs_before(node, own),
            env: &step.env,
            logs: (!handler).then_some((logs.0.as_str(), logs.1.as_str())),
            steps: &self.facts.references.ready(step, &self.view.steps),
        };
        let scope = self.settle(eval::step_scope(run, &pieces, &self.cursor), &cwd)?;
        Ok((scope, cwd))
    }

    /// The captured outputs that a node sees: those of the steps it comes after; a handler's are all.
    fn outputs_before(&self, node: Node, own: bool) -> Vec<(Arc<str>, Arc<str>)> {
        let steps = &self.facts.dag.steps;
        // A step has variables if it captures its output, or if values came with its approval.
        if self.view.steps.iter().all(|step| step.variables.is_empty()) {
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
        let visible = (0..).zip(self.view.steps.iter().zip(seen));
        let visible = visible.filter(|(_, (_, seen))| *seen);
        visible
            .flat_map(|(at, (step, _))| step.variables.iter().map(move |variable| (at, variable)))
            .map(|(at, (name, value))| {
                // The view says what may be told; later steps get what was captured.
                let secrets = self.facts.secrets.get();
                let raw = secrets.and_then(|secrets| secrets.output(Node::Step(at)));
                let value = raw.unwrap_or_else(|| Arc::from(value.as_str()));
                (Arc::from(name.as_str()), value)
            })
            .collect()
    }

    pub(super) fn whole(
        &self,
        what: &'static str,
        number: Option<&Number>,
        scope: &Scope,
        cwd: &Path,
    ) -> Flow<u32> {
        match number {
            Some(number) => self.settle(eval::whole(what, number, scope, &self.cursor), cwd),
            None => Ok(0),
        }
    }

    pub(super) fn seconds(
        &self,
        what: &'static str,
        number: Option<&Number>,
        scope: &Scope,
        cwd: &Path,
    ) -> Flow<f64> {
        match number {
            Some(number) => self.settle(eval::seconds(what, number, scope, &self.cursor), cwd),
            None => Ok(0.0),
        }
    }
}

/// Names of the steps that wait, for the wait handler.
fn waiting_steps(view: &RunView) -> String {
    let waiting = view
        .steps
        .iter()
        .filter(|step| step.status == StepStatus::Waiting);
    let names: Vec<&str> = waiting.map(|step| step.name.as_str()).collect();
    names.join(",")
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
