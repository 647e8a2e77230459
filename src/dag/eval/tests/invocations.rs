//! What a step's action becomes.

use super::super::{Arg, Plan, PlanContext, ShellText, condition_plan, plan, shell_command};
use super::{ready, run, scope};
use crate::dag::types::{Action, Command, Shell, Step};

fn shell(words: &str) -> Shell {
    let mut words = words.split(' ').map(str::to_owned);
    Shell {
        program: words.next().unwrap_or_default(),
        args: words.collect(),
    }
}

fn command(raw: &str) -> Command {
    let Shell { program, args } = shell(raw);
    Command {
        raw: raw.to_owned(),
        program,
        args,
    }
}

fn step(action: Action, own: Option<&str>) -> Step {
    Step {
        shell: own.map(shell),
        ..Step::new("s", action)
    }
}

fn planned(action: Action, own: Option<&str>, dag: Option<&str>, index: usize) -> Option<Plan> {
    let s = scope(&[
        ("A", "a  b"),
        ("1", "first"),
        ("SH", "bash"),
        ("C", r#"{"k":"v"}"#),
    ]);
    let dag = dag.map(shell);
    let default = shell("/bin/sh");
    let context = PlanContext {
        dag_shell: dag.as_ref(),
        default_shell: &default,
        scope: &s,
    };
    ready(run(|c| plan(&step(action, own), index, &context, c)).unwrap())
}

fn argv(action: Action, own: Option<&str>, dag: Option<&str>) -> Vec<String> {
    words(&planned(action, own, dag, 0).unwrap())
}

fn words(plan: &Plan) -> Vec<String> {
    plan.argv
        .iter()
        .map(|a| match a {
            Arg::Text(text) => text.clone(),
            Arg::ScriptPath => "<script>".to_owned(),
        })
        .collect()
}

fn commands(raw: &[&str]) -> Action {
    Action::Commands(raw.iter().map(|r| command(r)).collect())
}

fn script(text: &str, with: Option<&str>) -> Action {
    Action::Script {
        text: text.to_owned(),
        command: with.map(command),
    }
}

#[test]
fn commands_go_through_the_shell() {
    assert_eq!(
        argv(commands(&["echo $A"]), None, None),
        ["/bin/sh", "-e", "-c", "echo $A"]
    );
    assert_eq!(
        argv(commands(&["echo $1"]), None, None),
        ["/bin/sh", "-e", "-c", "echo $1", "/bin/sh", "first"]
    );
    assert_eq!(
        argv(commands(&["x"]), Some("bash -o pipefail -c"), None),
        ["bash", "-o", "pipefail", "-c", "x"]
    );
    assert_eq!(
        argv(commands(&["x"]), Some("$SH -ec"), None),
        ["bash", "-e", "-c", "x"]
    );
    assert_eq!(
        argv(commands(&["x"]), None, Some("/bin/bash -e")),
        ["/bin/bash", "-e", "-c", "x"]
    );
    assert_eq!(
        argv(commands(&["-x"]), None, None),
        ["/bin/sh", "-e", "-c", " -x"]
    );
    assert_eq!(
        argv(commands(&["x"]), None, Some("python3")),
        ["python3", "-c", "x"]
    );
}

#[test]
fn a_list_has_as_many_plans() {
    let list = || commands(&["one", "two"]);
    assert_eq!(
        planned(list(), None, None, 1).map(|p| words(&p)),
        Some(["/bin/sh", "-e", "-c", "two"].map(str::to_owned).to_vec())
    );
    assert_eq!(planned(list(), None, None, 2), None);
    assert_eq!(planned(script("x", None), None, None, 1), None);
}

#[test]
fn scripts_and_their_first_lines() {
    let perl = "#!env perl\nprint 'x ${C.k} $1';";
    let made = planned(script(perl, None), None, None, 0).unwrap();
    assert_eq!(words(&made), ["env", "perl", "<script>"]);
    assert_eq!(
        made.script.map(|s| (s.text, s.shebang)),
        Some((perl.to_owned(), true))
    );
    assert_eq!(
        argv(script("#!/usr/bin/env -S bash -u\necho $1", None), None, None),
        ["/usr/bin/env", "-S bash -u", "<script>", "first"]
    );
    assert_eq!(
        argv(script("#!/bin/bash\nx", None), Some("sh"), None),
        ["sh", "<script>"]
    );
    assert_eq!(
        argv(script("x", None), None, Some("bash -c")),
        ["bash", "-e", "<script>"]
    );
    assert_eq!(
        argv(script("#!\nx", None), None, None),
        ["/bin/sh", "-e", "<script>"]
    );
    let made = planned(script("echo ${C.k}", None), None, None, 0).unwrap();
    assert_eq!(made.extra_env, [("PROCTOR_REF_1".to_owned(), "v".to_owned())]);
}

#[test]
fn a_command_with_a_script() {
    assert_eq!(
        argv(script("print($1)", Some("python3 -u $A")), None, None),
        ["python3", "-u", "a  b", "<script>"]
    );
    assert_eq!(
        argv(script("echo $1", Some("bash -x")), None, None),
        ["bash", "-x", "<script>", "first"]
    );
}

#[test]
fn without_a_shell() {
    assert_eq!(
        argv(commands(&["echo $A $HOME ${1}"]), Some("direct"), None),
        ["echo", "a  b", "/home/u", "first"]
    );
    assert_eq!(argv(commands(&["echo x"]), None, Some("direct")), ["echo", "x"]);
    assert_eq!(
        argv(script("#!/bin/bash\nx", None), Some("direct"), None),
        ["/bin/bash", "<script>"]
    );
    assert_eq!(
        argv(script("x", None), Some("direct"), None),
        ["/bin/sh", "-e", "<script>"]
    );
    assert_eq!(argv(Action::Nothing, None, Some("bash -l")), ["bash", "-l"]);
    assert_eq!(argv(Action::Nothing, None, Some("direct")), ["/bin/sh"]);
}

#[test]
fn long_texts_go_through_a_file() {
    let long = "x".repeat(200_000);
    let made = planned(commands(&[&long]), None, None, 0).unwrap();
    assert_eq!(words(&made), ["/bin/sh", "-e", "<script>"]);
    assert_eq!(made.script.map(|s| s.text.len()), Some(200_000));
}

#[test]
fn conditions_and_substitutions_have_no_errexit() {
    let s = scope(&[("A", "a b")]);
    let (default, direct) = (shell("/bin/sh"), shell("direct"));
    let context = PlanContext {
        dag_shell: None,
        default_shell: &default,
        scope: &s,
    };
    let made = |own| {
        words(&ready(
            run(|c| condition_plan("test $A", own, &context, c)).unwrap(),
        ))
    };
    assert_eq!(made(None), ["/bin/sh", "-c", "test $A"]);
    assert_eq!(made(Some(&direct)), ["test a b"]);
    let text = ShellText {
        text: "date".to_owned(),
        ..ShellText::default()
    };
    assert_eq!(words(&shell_command(&default, text)), ["/bin/sh", "-c", "date"]);
}
