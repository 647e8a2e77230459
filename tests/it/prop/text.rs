//! How a job is written: JSON, which is YAML, with every part in one of its spellings.

use std::path::Path;

use proctor::dag::types::{ContinueOn, RepeatMode};
use proctor::model::Node;
use serde_json::{Map, Value, json};

use super::job::{Begin, Door, Job, Play, Repeat, Retry, Rng, Test};
use super::reference::Course;

/// The job as a document, to be run in that directory.
pub(super) fn document(job: &Job, dir: &Path) -> Value {
    let rng = &mut Rng::new(job.spelling);
    let mut top = Map::new();
    let kind = if job.chain.is_some() { "chain" } else { "graph" };
    if job.chain.is_none() || rng.percent(50) {
        top.insert("type".to_owned(), json!(kind));
    }
    top.insert("working_dir".to_owned(), json!(dir));
    let mut env = vec![json!({"WORD": "abc"})];
    env.extend((0..5).map(|n| json!({ format!("N{n}"): n.to_string() })));
    if job.begin == Begin::Broken {
        env.push(json!({"BAD": "`exit 3`"}));
    }
    top.insert("env".to_owned(), json!(env));
    let unmet = job.begin == Begin::Unmet;
    if unmet || rng.percent(20) {
        top.insert("preconditions".to_owned(), conditions(unmet, true, rng));
    }
    if job.max_active_steps > 0 || rng.percent(50) {
        top.insert("max_active_steps".to_owned(), json!(job.max_active_steps));
    }
    let written = |at: usize| {
        let node = Node::Step(u32::try_from(at).unwrap());
        let mut step = node_object(node, &job.steps[at]);
        if job.chain.is_none() {
            let rng = &mut Rng::new(!job.steps[at].spelling);
            let names: Vec<&str> = job.steps[at]
                .depends
                .iter()
                .map(|place| job.steps[usize::try_from(*place).unwrap()].name.as_str())
                .collect();
            match names.as_slice() {
                [] if rng.percent(80) => {}
                [only] if rng.percent(50) => drop(step.insert("depends".to_owned(), json!(only))),
                names => drop(step.insert("depends".to_owned(), json!(names))),
            }
        }
        Value::Object(step)
    };
    let mut steps = Vec::new();
    let mut at = 0;
    for size in job.chain.clone().unwrap_or_else(|| vec![1; job.steps.len()]) {
        let group: Vec<Value> = (at..at + size).map(written).collect();
        at += size;
        if size > 1 || (job.chain.is_some() && rng.percent(10)) {
            steps.push(json!(group));
        } else {
            steps.extend(group);
        }
    }
    top.insert("steps".to_owned(), json!(steps));
    let handlers: Map<String, Value> = job
        .handlers
        .iter()
        .map(|(handler, play)| {
            (
                handler.as_str().to_owned(),
                node_object(Node::Handler(*handler), play).into(),
            )
        })
        .collect();
    if !handlers.is_empty() {
        top.insert("handler_on".to_owned(), handlers.into());
    }
    top.into()
}

fn node_object(node: Node, play: &Play) -> Map<String, Value> {
    let rng = &mut Rng::new(play.spelling);
    let mut step = Map::new();
    let mut put = |key: &str, value: Value| drop(step.insert(key.to_owned(), value));
    put("name", json!(play.name));
    let (key, action) = action(node, play, rng);
    put(key, action);
    if play.never_starts() {
        put("shell", json!("/nowhere/sh"));
    }
    let unmet = play.door == Door::Unmet;
    if unmet || rng.percent(20) {
        // Commands of conditions are run by the step's shell.
        put("preconditions", conditions(unmet, !play.never_starts(), rng));
    }
    if play.continue_on != ContinueOn::default() || rng.percent(10) {
        put("continue_on", continue_on(&play.continue_on, rng));
    }
    // Which of the limits is broken if there are two makes no difference.
    let broken = play.door == Door::Broken;
    if let Some(retry) = &play.retry {
        put("retry_policy", retry_policy(retry, broken, rng));
    }
    if let Some(repeat) = &play.repeat {
        put("repeat_policy", repeat_policy(repeat, broken, &play.name, rng));
    }
    if let Some(output) = &play.output {
        put(
            "output",
            match output.omit {
                true => json!({"name": output.name, "omit": true}),
                false if rng.percent(50) => json!({"name": output.name}),
                false => json!(output.name),
            },
        );
    }
    step
}

/// What the node runs. Each try writes to `trace` that it begins and ends; the number of the try is counted in a file.
fn action(node: Node, play: &Play, rng: &mut Rng) -> (&'static str, Value) {
    let name = &play.name;
    let once = play.retry.is_none() && play.repeat.is_none();
    let deed = |number: u32| {
        let deed = play.deed(number);
        let says = match (deed.says, play.spelling % 3) {
            (false, _) => "echo 'xx te-xt say it' >&2",
            (true, 0) => "echo '> te.xt <' >&2",
            (true, 1) => "echo say >&2",
            (true, _) => "printf say >&2",
        };
        let end = match deed.course {
            Course::Exit(0) => "true".to_owned(),
            Course::Exit(code) => format!("exit {code}"),
            Course::Crash(signal) => format!("kill -{signal} $$"),
            // No command of its own can do that.
            Course::NoStart | Course::Verdict(_) => "exit 99".to_owned(),
        };
        (says, end)
    };
    let one = |number: u32| {
        let (says, end) = deed(number);
        format!("{says}; echo e {name} >>trace; {end}")
    };
    let (first, second) = if once {
        (
            format!("echo b {name} >>trace"),
            format!("echo '{node} 1'; {}", one(0)),
        )
    } else {
        let last = u32::try_from(play.deeds.len()).unwrap();
        let cases: Vec<String> = (1..last)
            .map(|number| format!("{number}) {};;", one(number - 1)))
            .collect();
        let case = format!("case $n in {} *) {};; esac", cases.join(" "), one(last - 1));
        (
            format!(
                "n=$(($(cat n.{name} 2>/dev/null || echo 0) + 1)); echo $n >n.{name}; echo b {name} >>trace"
            ),
            format!("n=$(cat n.{name}); echo \"{node} $n\"; {case}"),
        )
    };
    match rng.below(4) {
        0 => ("command", json!([first, second])),
        1 => ("command", json!(format!("{first}; {second}"))),
        2 => ("command", json!(format!("{first}\n{second}\n"))),
        _ => ("script", json!(format!("{first}\n{second}\n"))),
    }
}

/// One condition or several. `commands` says whether a shell can be asked.
fn conditions(unmet: bool, commands: bool, rng: &mut Rng) -> Value {
    let mut list: Vec<Value> = (0..rng.below(3)).map(|_| met(commands, rng)).collect();
    if unmet {
        let at = rng.below(list.len() + 1);
        list.insert(at, not_met(rng));
    }
    match list.as_slice() {
        [only] if rng.percent(60) => only.clone(),
        _ => json!(list),
    }
}

fn met(commands: bool, rng: &mut Rng) -> Value {
    match rng.below(if commands { 6 } else { 3 }) {
        0 => json!({"condition": "$WORD", "expected": "re:^ab.$"}),
        1 => json!({"condition": "`echo one; echo two`", "expected": "two"}),
        2 => json!({"condition": "${WORD}", "expected": "abcd", "negate": true}),
        3 => json!("test -d ."),
        4 => json!({"command": "exit 1", "negate": true}),
        _ => json!({"condition": "[ \"$WORD\" = abc ]"}),
    }
}

fn not_met(rng: &mut Rng) -> Value {
    match rng.below(6) {
        0 => json!({"condition": "$WORD", "expected": "ab"}),
        1 => json!({"condition": "`echo one; echo two`", "expected": "re:^three"}),
        2 => json!({"condition": "`exit 3`", "expected": ""}),
        3 => json!("test -e nowhere"),
        4 => json!({"command": "true", "negate": true}),
        _ => json!({"condition": "kill -9 $$"}),
    }
}

fn continue_on(policy: &ContinueOn, rng: &mut Rng) -> Value {
    let only = |failure, skipped| ContinueOn {
        failure,
        skipped,
        ..ContinueOn::default()
    };
    if *policy == only(true, false) && rng.percent(50) {
        return json!("failed");
    }
    if *policy == only(false, true) && rng.percent(50) {
        return json!("skipped");
    }
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
    put(["failure", "failed"][rng.below(2)], json!(policy.failure));
    put("skipped", json!(policy.skipped));
    put("mark_success", json!(policy.mark_success));
    match policy.exit_code.as_slice() {
        [] => {}
        [only] if rng.percent(50) => put("exit_code", json!(only)),
        codes => put("exit_code", json!(codes)),
    }
    if !policy.output.is_empty() {
        put("output", json!(policy.output));
    }
    map.into()
}

/// A number as it is, as a text, or as an expression.
fn number(limit: u32, broken: bool, rng: &mut Rng) -> Value {
    match rng.below(4) {
        _ if broken => json!(["$WORD", "${N1}.5", "`echo -1`"][rng.below(3)]),
        0 => json!(format!("${{N{limit}}}")),
        1 => json!(format!("`echo {limit}`")),
        2 => json!(limit.to_string()),
        _ => json!(limit),
    }
}

fn retry_policy(retry: &Retry, broken: bool, rng: &mut Rng) -> Value {
    let mut map = Map::new();
    map.insert("limit".to_owned(), number(retry.limit, broken, rng));
    map.insert("interval_sec".to_owned(), number(0, false, rng));
    if !retry.codes.is_empty() {
        map.insert("exit_code".to_owned(), json!(retry.codes));
    }
    if rng.percent(20) {
        map.insert("backoff".to_owned(), json!(true));
    }
    map.into()
}

fn repeat_policy(repeat: &Repeat, broken: bool, name: &str, rng: &mut Rng) -> Value {
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
    let mut compared = false;
    match &repeat.test {
        None => {}
        Some(Test::Broken) => {
            compared = true;
            put("condition", json!("`exit 3`"));
            put("expected", json!("x"));
        }
        Some(Test::After(met)) => {
            let numbers: Vec<String> = met
                .iter()
                .map(u32::to_string)
                .chain(["none".to_owned()])
                .collect();
            let numbers = numbers.join("|");
            compared = rng.percent(50);
            if compared {
                put("condition", json!(format!("`cat n.{name}`")));
                put("expected", json!(format!("re:^({numbers})$")));
            } else {
                put(
                    "condition",
                    json!(format!(
                        "case $(cat n.{name}) in {numbers}) true;; *) false;; esac"
                    )),
                );
            }
        }
    }
    if !repeat.codes.is_empty() {
        put("exit_code", json!(repeat.codes));
    }
    // What is meant if `repeat` is left out.
    let implied = if compared {
        RepeatMode::Until
    } else {
        RepeatMode::While
    };
    let bare = repeat.test.is_none() && repeat.codes.is_empty();
    if bare {
        put("repeat", json!(true));
    } else if repeat.mode != implied || rng.percent(60) {
        put(
            "repeat",
            json!(if repeat.mode == RepeatMode::While {
                "while"
            } else {
                "until"
            }),
        );
    }
    put("limit", number(repeat.limit, broken, rng));
    if rng.percent(50) {
        put("interval_sec", number(0, false, rng));
    }
    map.into()
}
