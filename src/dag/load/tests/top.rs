//! Tests of the keys at the top of a document.

use super::*;
use crate::model::Handler;

#[test]
fn every_default_is_filled_in() {
    let dag = dag("steps:\n  - echo\n");
    assert_eq!((dag.name.as_str(), dag.kind), ("d", DagKind::Chain));
    assert_eq!(dag.dotenv, [".env"]);
    assert_eq!((dag.max_clean_up_time_sec, dag.max_output_size), (5, 1024 * 1024));
    assert_eq!((dag.timeout_sec, dag.delay_sec, dag.max_active_steps), (0, 0, 0));
    assert_eq!((dag.max_active_runs, dag.hist_retention_days), (None, None));
    assert_eq!((&dag.shell, &dag.queue, &dag.working_dir), (&None, &None, &None));
}

#[test]
fn every_plain_key_arrives() {
    let dag = dag(
        "name: n\ngroup: ' g '\ndescription: t\ntype: graph\ntags: [A, b=C]\nenv: [X=1, {Y: \"2=3\"}]\n\
         dotenv: [a, .env]\nworking_dir: w\nshell: [sh, -x]\nlog_output: merged\ntimeout_sec: 1\ndelay_sec: 2\n\
         restart_wait_sec: 3\nmax_active_steps: 4\nmax_active_runs: 1\nmax_clean_up_time_sec: 0\n\
         max_output_size: 7\nhist_retention_days: -1\nqueue: q\npreconditions: p\n\
         handler_on: {exit: e, init: {command: i}}\nsteps: [x]\n",
    );
    assert_eq!(
        (dag.name.as_str(), dag.group.as_str(), dag.description.as_str()),
        ("n", "g", "t")
    );
    assert_eq!((dag.kind, dag.log_output), (DagKind::Graph, LogOutput::Merged));
    assert_eq!(dag.tags, ["a", "b=c"]);
    assert_eq!(
        dag.env[1],
        EnvVar {
            name: "Y".to_owned(),
            value: "2=3".to_owned()
        }
    );
    assert_eq!(dag.dotenv, [".env", "a"], "`.env` is always read, and first");
    assert!(!dag.dotenv_implied);
    assert_eq!(
        dag.shell,
        Some(Shell {
            program: "sh".to_owned(),
            args: vec!["-x".to_owned()]
        })
    );
    assert_eq!((dag.timeout_sec, dag.delay_sec, dag.restart_wait_sec), (1, 2, 3));
    assert_eq!((dag.max_active_steps, dag.max_active_runs), (4, Some(1)));
    assert_eq!(
        (dag.max_clean_up_time_sec, dag.max_output_size),
        (0, 7),
        "a 0 that is written counts"
    );
    assert_eq!(dag.hist_retention_days, Some(-1));
    assert_eq!(dag.queue.map(|queue| queue.to_string()).as_deref(), Some("q"));
    let handlers: Vec<_> = dag
        .handlers
        .iter()
        .map(|(kind, step)| (*kind, step.name.as_str()))
        .collect();
    assert_eq!(handlers, [(Handler::Init, "onInit"), (Handler::Exit, "onExit")]);
    assert_eq!(dag.steps[0].log_output, LogOutput::Merged, "steps take it over");
}

#[test]
fn an_empty_dotenv_list_turns_it_off() {
    assert!(dag("dotenv: []\nsteps: [x]\n").dotenv.is_empty());
    assert_eq!(dag("dotenv: a\nsteps: [x]\n").dotenv, [".env", "a"]);
}

#[test]
fn wrong_values_are_refused_at_their_place() {
    for (line, column, words) in [
        ("type: agent", 7, "`chain` or `graph`"),
        ("timeout_sec: x", 14, "whole number"),
        ("delay_sec: -1", 12, "negative"),
        ("max_active_steps: 4294967296", 19, "at most 4294967295"),
        ("max_active_runs: -1", 18, "negative"),
        ("name: 5", 7, "must be a text"),
        ("name: my dag", 7, "the DAG name"),
        ("queue: a b", 8, "the queue name"),
        ("queue: {name: x}", 8, "must be a text, not a map"),
        ("env: text", 6, "a map, or a list"),
        ("env: [{A: [1]}]", 11, "a single value"),
        ("tags: [a, 5]", 11, "a text, a map or a list"),
        ("shell: {a: b}", 8, "a text or a list"),
        ("dotenv: {a: b}", 9, "a text or a list"),
        (
            "worker_selector: remote",
            18,
            "the only allowed string value is \"local\"",
        ),
        ("handler_on: [x]", 13, "must be a map"),
        ("defaults: 5", 11, "must be a map"),
    ] {
        error(&format!("{line}\nsteps: [x]\n"), 1, column, words);
    }
}

#[test]
fn handlers_are_named_and_do_not_depend() {
    error("handler_on: {exti: x}\nsteps: [x]\n", 1, 14, "unknown key `exti`");
    assert!(hint("handler_on: {exti: x}\nsteps: [x]\n").contains("`exit`"));
    assert!(hint("handler_on: {cancel: x}\nsteps: [x]\n").contains("`abort`"));
    error(
        "handler_on: {exit: {command: x, depends: [a]}}\nsteps: [x]\n",
        1,
        43,
        "cannot depend",
    );
    error(
        "handler_on: {wait: {command: \" \"}}\nsteps: [x]\n",
        1,
        30,
        "empty",
    );
}

#[test]
fn unknown_and_unsupported_keys_say_what_to_do() {
    let of = |line: &str| hint(&format!("{line}\nsteps: [x]\n"));
    assert!(of("maxActiveRuns: 1").contains("`max_active_runs`"));
    assert!(of("precondition: x").contains("`preconditions`"));
    assert!(of("container: alpine").contains("docker run"));
    assert!(of("ssh: {host: x}").contains("`ssh HOST"));
    assert!(of("smtp: {}").contains("mail"));
    error(
        "otel: {}\nsteps: [x]\n",
        1,
        1,
        "`otel` is not supported by this version",
    );
}

#[test]
fn many_runs_without_a_queue_are_warned_of() {
    let found = warnings("max_active_runs: 3\nsteps: [x]\n");
    assert!(found.len() == 1 && found[0].contains("max_active_runs=3 is deprecated"));
    assert!(warnings("max_active_runs: 3\nqueue: q\nsteps: [x]\n").is_empty());
    assert!(warnings("max_active_runs: 1\nsteps: [x]\n").is_empty());
}

#[test]
fn more_captured_output_than_a_run_has_room_for_is_worth_a_word() {
    let size = crate::model::limits::OUTPUTS_MAX;
    let text = |size: usize| format!("max_output_size: {size}\nsteps: [x]\n");
    assert!(warnings(&text(size)).is_empty());
    let told = warnings(&text(size + 1));
    assert!(told.iter().any(|text| text.contains("have room for")), "{told:?}");
    assert_eq!(dag(&text(size + 1)).max_output_size, size as u64 + 1);
    assert_eq!(dag(&text(0)).max_output_size, 1024 * 1024);
}
