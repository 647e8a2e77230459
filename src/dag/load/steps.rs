//! `steps`: the list, its shorthands and parallel groups, and the map form (seed-spec 9.3).

use super::actions::{action, command};
use super::approvals::approval;
use super::basics::{env, log_output, shell};
use super::conditions::conditions;
use super::fields::{boolean, get, is_variable, natural, text, texts, wrong};
use super::keys;
use super::names::{check_id, check_name};
use super::policies::{continue_on, repeat, retry};
use super::routers::{DraftRoute, routes};
use crate::dag::diag::{Pos, Report};
use crate::dag::types::{Action, Condition, ContinueOn, EnvVar, LogOutput, Number, Output};
use crate::dag::types::{RepeatPolicy, RetryPolicy, Step};
use crate::dag::yaml::{Entry, Node, Value};
use crate::model::limits::STEPS_MAX;
use crate::model::outcome::signal_number;

/// `defaults`: what steps and handlers have that do not say otherwise (seed-spec 9.6).
#[derive(Debug, Default)]
pub(super) struct Defaults {
    continue_on: Option<ContinueOn>,
    retry: Option<RetryPolicy>,
    repeat: Option<RepeatPolicy>,
    timeout_sec: Option<u64>,
    signal_on_stop: Option<i32>,
    env: Vec<EnvVar>,
    preconditions: Vec<Condition>,
}

/// What a step takes over from its DAG.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub defaults: Defaults,
    pub log_output: LogOutput,
}

/// A step that may still lack its name and does not know yet what it depends on.
#[derive(Debug)]
pub(super) struct Draft {
    pub at: Pos,
    pub name: Option<(String, Pos)>,
    pub id: Option<(String, Pos)>,
    /// None if not written.
    pub depends: Option<Vec<(String, Pos)>>,
    /// First part of a made name.
    pub kind: String,
    /// Routes of a router.
    pub routes: Vec<DraftRoute>,
    pub step: Step,
}

/// The steps in order of definition, and the parallel groups they make in a chain.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    pub steps: Vec<Draft>,
    pub groups: Vec<Vec<u32>>,
}

/// Reads `defaults`.
pub(super) fn defaults(report: &mut Report, node: &Node) -> Defaults {
    let Some(entries) = node.as_map() else {
        wrong(report, "defaults", "a map", node);
        return Defaults::default();
    };
    keys::check(report, entries, &keys::DEFAULTS);
    let value = |key| get(entries, key).map(|entry| &entry.value);
    Defaults {
        continue_on: value("continue_on").and_then(|node| continue_on(report, node)),
        retry: value("retry_policy").and_then(|node| retry(report, node)),
        repeat: value("repeat_policy").and_then(|node| repeat(report, node)),
        timeout_sec: value("timeout_sec").and_then(|node| natural(report, "defaults.timeout_sec", node)),
        signal_on_stop: value("signal_on_stop").and_then(|node| signal(report, node)),
        env: value("env").map(|node| env(report, node)).unwrap_or_default(),
        preconditions: value("preconditions")
            .map(|node| conditions(report, node))
            .unwrap_or_default(),
    }
}

impl Defaults {
    /// Bytes that a step takes over at most.
    fn weight(&self) -> usize {
        let env = |var: &EnvVar| size_of::<EnvVar>() + var.name.len() + var.value.len();
        let condition = |condition: &Condition| {
            let expected = condition.expected.as_ref().map_or(0, String::len);
            size_of::<Condition>() + condition.condition.len() + expected
        };
        let codes = |codes: &[i32]| size_of_val(codes);
        let number = |number: &Number| match number {
            Number::Known(_) => 0,
            Number::Expr(text) => text.len(),
        };
        let continue_on = self.continue_on.iter().map(|policy| {
            let output = policy.output.iter().map(|text| size_of::<String>() + text.len());
            codes(&policy.exit_code) + output.sum::<usize>()
        });
        let retry = self
            .retry
            .iter()
            .map(|policy| codes(&policy.exit_code) + number(&policy.limit) + number(&policy.interval_sec));
        let repeat = self.repeat.iter().map(|policy| {
            let own = codes(&policy.exit_code) + number(&policy.limit) + number(&policy.interval_sec);
            own + policy.condition.as_ref().map_or(0, condition)
        });
        let conditions = self.preconditions.iter().map(condition);
        let policies = continue_on.chain(retry).chain(repeat);
        self.env.iter().map(env).chain(conditions).chain(policies).sum()
    }
}

/// Reads `steps`.
pub(super) fn steps(report: &mut Report, node: &Node, context: &Context) -> Drafts {
    let mut drafts = Drafts::default();
    let count = match &node.value {
        Value::List(items) => {
            let size = |item: &Node| item.as_list().map_or(1, <[Node]>::len);
            items.iter().map(size).fold(0, usize::saturating_add)
        }
        Value::Map(entries) => entries.len(),
        Value::Scalar(_) => {
            wrong(report, "steps", "a list or a map of steps", node);
            return drafts;
        }
    };
    if count > STEPS_MAX {
        report.error(
            node.at,
            format!("there are {count} steps; at most {STEPS_MAX} are allowed"),
        );
        return drafts;
    }
    if !report.may_copy(context.defaults.weight(), count) {
        report.error(node.at, "`defaults` is too large for so many steps");
        return drafts;
    }
    match &node.value {
        Value::List(items) => {
            for item in items {
                let group = match &item.value {
                    Value::List(group) if group.is_empty() => continue,
                    Value::List(group) => group.as_slice(),
                    _ => std::slice::from_ref(item),
                };
                drafts.group(group.iter().filter_map(|item| step(report, item, context)));
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                drafts.group(named(report, entry, context));
            }
        }
        Value::Scalar(_) => {}
    }
    drafts
}

impl Drafts {
    fn group(&mut self, drafts: impl IntoIterator<Item = Draft>) {
        let first = self.steps.len();
        self.steps.extend(drafts);
        let group: Vec<u32> = (first..self.steps.len())
            .filter_map(|i| u32::try_from(i).ok())
            .collect();
        if !group.is_empty() {
            self.groups.push(group);
        }
    }
}

fn step(report: &mut Report, item: &Node, context: &Context) -> Option<Draft> {
    match &item.value {
        Value::List(_) => {
            report.error(item.at, "a parallel group cannot hold another group");
            None
        }
        _ => step_body(report, item, context),
    }
}

/// An entry of the map form: its key is the step's name.
fn named(report: &mut Report, entry: &Entry, context: &Context) -> Option<Draft> {
    let mut draft = step_body(report, &entry.value, context)?;
    let name = check_name(report, &entry.key, entry.key_at)?;
    if let Some((other, at)) = &draft.name
        && *other != name
    {
        report.error(
            *at,
            format!("the step is called {name:?} by its key and {other:?} here"),
        );
    }
    draft.name = Some((name, entry.key_at));
    Some(draft)
}

/// Reads one step or handler: a map, or a text, which is its command.
pub(super) fn step_body(report: &mut Report, node: &Node, context: &Context) -> Option<Draft> {
    let entries = match &node.value {
        Value::Map(entries) => entries.as_slice(),
        Value::Scalar(_) if node.as_str().is_some() => {
            let action = command(report, node)?;
            return Some(draft(report, node.at, &[], (String::new(), action), context));
        }
        Value::Scalar(_) => {
            let message = format!("a step must be a command or a map, not {}", node.describe());
            match node.scalar_text().filter(|text| !text.is_empty()) {
                Some(text) => {
                    report.error_hint(node.at, message, format!("put a command in quotes: \"{text}\""));
                }
                None => report.error(node.at, message),
            }
            return None;
        }
        Value::List(_) => {
            wrong(report, "step", "a command or a map", node);
            return None;
        }
    };
    keys::check(report, entries, &keys::STEP);
    let typed = action(report, node.at, entries);
    let draft = draft(report, node.at, entries, typed, context);
    if draft.step.action == Action::Nothing {
        report.warn(node.at, "the step has no command and no script: it does nothing");
    }
    Some(draft)
}

/// Reads what all kinds of steps have; `typed` is the type as written, and what the step runs.
fn draft(
    report: &mut Report,
    at: Pos,
    entries: &[Entry],
    typed: (String, Action),
    context: &Context,
) -> Draft {
    let (type_name, action) = typed;
    let routes = match &action {
        Action::Route(_) => routes(report, at, entries),
        _ => Vec::new(),
    };
    let kind = match (&action, type_name.as_str()) {
        (Action::Call(call), "") if call.parallel.is_some() => "parallel",
        (Action::Call(_), "") => "dag",
        (Action::Script { .. }, "") => "script",
        (Action::Commands(_), "") => "cmd",
        (Action::Nothing, "") => "step",
        (_, name) => name,
    };
    let word = |report: &mut Report, key: &str| {
        let entry = get(entries, key)?;
        Some((text(report, key, &entry.value)?.trim().to_owned(), entry.value.at))
    };
    let name = word(report, "name").and_then(|(name, at)| Some((check_name(report, &name, at)?, at)));
    let id = word(report, "id").and_then(|(id, at)| Some((check_id(report, &id, at)?, at)));
    let plain =
        |report: &mut Report, key: &str| word(report, key).map(|(text, _)| text).filter(|t| !t.is_empty());
    let stdout = plain(report, "stdout");
    let stderr = plain(report, "stderr");
    if let (Some(out), Some(err), Some(entry)) = (&stdout, &stderr, get(entries, "stderr"))
        && out == err
    {
        let message = "stdout and stderr cannot point to the same file";
        report.error_hint(
            entry.value.at,
            message,
            "use `log_output: merged` to have both in one file",
        );
    }
    let description = plain(report, "description").unwrap_or_default();
    let working_dir = plain(report, "working_dir");
    let depends = get(entries, "depends").map(|entry| texts(report, "depends", &entry.value));
    let defaults = &context.defaults;
    let mut environment = defaults.env.clone();
    let mut preconditions = defaults.preconditions.clone();
    let value = |key| get(entries, key).map(|entry| &entry.value);
    environment.extend(value("env").map(|node| env(report, node)).unwrap_or_default());
    preconditions.extend(
        value("preconditions")
            .map(|node| conditions(report, node))
            .unwrap_or_default(),
    );
    // A key that is there, even with nothing behind it, is a decision against the default.
    let absent = |key: &str| !entries.iter().any(|entry| entry.key == key);
    let kind = kind.to_owned();
    let step = Step {
        name: String::new(),
        id: None,
        description,
        type_name,
        action,
        shell: value("shell").and_then(|node| shell(report, node)),
        working_dir,
        env: environment,
        depends: Vec::new(),
        output: value("output").and_then(|node| output(report, node)),
        stdout,
        stderr,
        log_output: value("log_output")
            .and_then(|node| log_output(report, node))
            .unwrap_or(context.log_output),
        continue_on: value("continue_on")
            .and_then(|node| continue_on(report, node))
            .or_else(|| defaults.continue_on.clone().filter(|_| absent("continue_on")))
            .unwrap_or_default(),
        retry: value("retry_policy")
            .and_then(|node| retry(report, node))
            .or_else(|| defaults.retry.clone().filter(|_| absent("retry_policy"))),
        repeat: value("repeat_policy")
            .and_then(|node| repeat(report, node))
            .or_else(|| defaults.repeat.clone().filter(|_| absent("repeat_policy"))),
        timeout_sec: value("timeout_sec")
            .and_then(|node| natural(report, "timeout_sec", node))
            .or(defaults.timeout_sec.filter(|_| absent("timeout_sec")))
            .unwrap_or(0),
        signal_on_stop: value("signal_on_stop")
            .and_then(|node| signal(report, node))
            .or(defaults.signal_on_stop.filter(|_| absent("signal_on_stop"))),
        preconditions,
        approval: value("approval").and_then(|node| approval(report, node)),
    };
    Draft {
        at,
        name,
        id,
        depends,
        kind,
        routes,
        step,
    }
}

fn signal(report: &mut Report, node: &Node) -> Option<i32> {
    let name = text(report, "signal_on_stop", node)?.trim();
    let number = signal_number(name);
    if number.is_none() {
        report.error_hint(
            node.at,
            format!("there is no signal {name:?}"),
            "name one like `SIGINT`",
        );
    }
    number
}

/// Reads `output`: a variable, or a map with `name`, `key` and `omit`. A leading `$` is dropped.
fn output(report: &mut Report, node: &Node) -> Option<Output> {
    let (named, key, omit) = match &node.value {
        Value::Map(_) => {
            let entries = super::fields::map(report, node, &keys::OUTPUT)?;
            let Some(name) = get(entries, "name") else {
                report.error(node.at, "`output` needs a `name`");
                return None;
            };
            let key = get(entries, "key").and_then(|entry| text(report, "output.key", &entry.value));
            let key = key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
            let omit = get(entries, "omit").and_then(|entry| boolean(report, "output.omit", &entry.value));
            (&name.value, key, omit.unwrap_or(false))
        }
        _ => (node, None, false),
    };
    let written = text(report, "output", named)?.trim();
    let name = written.strip_prefix('$').unwrap_or(written);
    if !is_variable(name) {
        report.error(
            named.at,
            format!("`output` must name a variable, not {written:?}"),
        );
        return None;
    }
    Some(Output {
        name: name.to_owned(),
        key,
        omit,
    })
}
