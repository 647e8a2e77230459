//! Tests of steps: actions, names, dependencies.

use super::*;

#[test]
fn a_chain_follows_the_order_and_a_nested_list_is_a_group() {
    let dag = dag("steps:\n  - a\n  -\n    - b\n    - c\n  - - d\n    - e\n  - f\n");
    assert_eq!(
        names(&dag),
        ["cmd_1", "cmd_2", "cmd_3", "cmd_4", "cmd_5", "cmd_6"]
    );
    assert_eq!(
        depends(&dag),
        [vec![], vec![0], vec![0], vec![1, 2], vec![1, 2], vec![3, 4]]
    );
}

#[test]
fn the_map_form_keeps_the_order_and_is_a_chain_too() {
    let dag =
        dag("steps:\n  zeta:\n    command: a\n    retry_policy: {limit: 1, interval_sec: 0}\n  alpha: b\n");
    assert_eq!(names(&dag), ["zeta", "alpha"]);
    assert_eq!(depends(&dag), [vec![], vec![0]]);
    assert!(dag.steps[0].retry.is_some());
    error("steps:\n  a:\n    name: b\n    command: x\n", 3, 11, "by its key");
}

#[test]
fn in_a_graph_only_depends_counts() {
    let text = "type: graph\nsteps:\n  - {name: a, id: one, command: x}\n  - - b\n    - c\n  \
                - {name: z, command: y, depends: [one, a, cmd_2]}\n";
    let dag = dag(text);
    assert_eq!(
        depends(&dag),
        [vec![], vec![], vec![], vec![0, 1]],
        "names and ids; twice is once"
    );
}

#[test]
fn a_chain_forbids_depends() {
    let text = "steps:\n  - {name: a, command: x}\n  - name: b\n    command: x\n    depends: [a]\n";
    error(text, 5, 15, "not allowed for DAGs with type 'chain'");
    assert!(hint(text).contains("type: graph"));
    let free = dag("steps:\n  - a\n  - {command: b, depends: []}\n  - c\n");
    assert_eq!(
        depends(&free),
        [vec![], vec![], vec![1]],
        "an empty list waits for nothing"
    );
}

#[test]
fn unknown_self_and_circular_dependencies_are_refused() {
    let graph = |steps: &str| format!("type: graph\nsteps:\n{steps}");
    let unknown = graph("  - {name: build, command: x}\n  - {command: x, depends: biuld}\n");
    error(&unknown, 4, 27, "non-existent step \"biuld\"");
    assert!(hint(&unknown).contains("`build`"));
    error(
        &graph("  - {name: a, command: x, depends: a}\n"),
        3,
        36,
        "depends on itself",
    );
    let cycle = graph(
        "  - {name: a, command: x, depends: c}\n  - {name: b, command: x, depends: a}\n  \
         - {name: c, command: x, depends: b}\n",
    );
    error(&cycle, 3, 36, "a -> b -> c -> a");
    let second = graph(
        "  - {name: a, command: x, depends: [z, second]}\n  - {name: b, id: second, command: x, depends: a}\n  \
         - {name: z, command: x}\n",
    );
    error_at(&second, "second]", "a -> b -> a");
}

#[test]
fn a_made_name_is_never_the_id_of_another_step() {
    let text = "type: graph\nsteps:\n  - {name: x, id: cmd_2, command: a}\n  - command: b\n  \
                - {name: z, depends: cmd_2, command: c}\n";
    let dag = dag(text);
    assert_eq!(names(&dag), ["x", "cmd_3", "z"]);
    assert_eq!(depends(&dag), [vec![], vec![], vec![0]]);
}

#[test]
fn made_names_count_from_the_position_and_avoid_what_is_taken() {
    let text = "steps:\n  - {id: cmd_2, command: a}\n  - b\n  - c\n  - script: d\n  - |\n    e\n    f\n";
    assert_eq!(
        names(&dag(text)),
        ["cmd_2", "cmd_3", "cmd_4", "script_4", "script_5"]
    );
    let typed = dag("steps:\n  - {type: shell, command: x}\n  - description: nothing\n");
    assert_eq!(names(&typed), ["shell_1", "step_2"]);
}

#[test]
fn names_and_ids_are_unique_and_do_not_clash() {
    error(
        "steps:\n  - {name: a, command: x}\n  - {name: a, command: x}\n",
        3,
        12,
        "duplicate step name \"a\"",
    );
    error(
        "steps:\n  - {id: a, command: x}\n  - {id: a, command: x}\n",
        3,
        10,
        "duplicate step ID \"a\"",
    );
    let clash = "steps:\n  - {name: a, command: x}\n  - {name: b, id: a, command: x}\n";
    error(clash, 3, 19, "the step ID \"a\" is the name");
    error(
        "steps:\n  - {name: a, command: x}\n  - {id: a, command: x}\n",
        3,
        10,
        "\"a\"",
    );
    error(
        "steps:\n  - {id: a, command: x}\n  - {name: a, command: x}\n",
        3,
        12,
        "\"a\"",
    );
    assert_eq!(names(&dag("steps:\n  - {name: a, id: a, command: x}\n")), ["a"]);
}

#[test]
fn ids_have_a_form_and_reserved_words() {
    for id in ["1a", "a-b", "_a", "a.b", "\"\""] {
        error(
            &format!("steps:\n  - {{id: {id}, command: x}}\n"),
            2,
            10,
            "invalid step ID",
        );
    }
    error("steps:\n  - {id: OutPuts, command: x}\n", 2, 10, "reserved");
    error(
        &format!("steps:\n  - {{id: {}, command: x}}\n", "a".repeat(41)),
        2,
        10,
        "41 bytes",
    );
    error(
        &format!("steps:\n  - {{name: {}, command: x}}\n", "é".repeat(128)),
        2,
        12,
        "256 bytes",
    );
    error(
        "steps:\n  - {name: \"a\\nb\", command: x}\n",
        2,
        12,
        "control characters",
    );
}

#[test]
fn a_command_is_a_line_several_lines_or_a_list() {
    assert_eq!(step("").action, Action::Commands(vec![Command::new("echo hi")]));
    let of = |text: &str| dag(text).steps.remove(0).action;
    let script = Action::Script {
        text: "a\nb".to_owned(),
        command: None,
    };
    assert_eq!(of("steps:\n  - command: |\n      a\n      b\n"), script);
    assert_eq!(of("steps:\n  - script: |\n\n      a\n      b\n\n"), script);
    let both = Action::Script {
        text: "x".to_owned(),
        command: Some(Command::new("python3 -u")),
    };
    assert_eq!(of("steps:\n  - {command: python3 -u, script: x}\n"), both);
    let list = of("steps:\n  - command:\n      - echo a: b\n      - \" \"\n      - 5\n");
    assert_eq!(
        list,
        Action::Commands(vec![Command::new("echo a: b"), Command::new("5")])
    );
}

#[test]
fn wrong_commands_are_refused() {
    error("steps:\n  - command: \"  \"\n", 2, 14, "empty");
    error("steps:\n  - command: [\"\", \" \"]\n", 2, 14, "no command");
    error("steps:\n  - command: true\n", 2, 14, "must be a text, not true");
    assert!(hint("steps:\n  - command: true\n").contains("\"true\""));
    assert!(hint("steps:\n  - true\n").contains("\"true\""));
    error("steps:\n  - script: \" \"\n", 2, 13, "empty");
    error("steps:\n  - command: [a, b]\n    script: x\n", 2, 5, "one line");
    error("steps: 5\n", 1, 8, "a list or a map");
    error("steps:\n  - - - x\n", 2, 7, "another group");
}

#[test]
fn words_are_split_like_a_shell_does() {
    let words = |line: &str| crate::dag::words::split(line);
    assert_eq!(words("echo \"a b\" 'c  d' e\\ f"), ["echo", "a b", "c  d", "e f"]);
    assert_eq!(words("a\"b\"'c' \"\" | g"), ["abc", "", "|", "g"]);
    assert_eq!(
        words("echo `date +%s x` \"\\\"q\\n\""),
        ["echo", "`date +%s x`", "\"q\\n"]
    );
    assert_eq!(words("open 'end"), ["open", "end"]);
    assert!(words("  \t").is_empty());
}

#[test]
fn every_plain_key_of_a_step_arrives() {
    let step = step(
        "id: i\ndescription: d\ntype: command\nshell: bash -eu\nworking_dir: w\nenv: {A: 1, B: \"2\"}\n\
         output: $OUT\nstdout: o\nstderr: e\nlog_output: merged\ntimeout_sec: 9\nsignal_on_stop: SIGINT\n\
         preconditions: test -e x",
    );
    assert_eq!(step.id.as_deref(), Some("i"));
    assert_eq!(step.description, "d");
    assert_eq!(step.type_name, "command");
    assert_eq!(
        step.shell,
        Some(Shell {
            program: "bash".to_owned(),
            args: vec!["-eu".to_owned()]
        })
    );
    assert_eq!(step.working_dir.as_deref(), Some("w"));
    let env: Vec<_> = step
        .env
        .iter()
        .map(|var| (var.name.as_str(), var.value.as_str()))
        .collect();
    assert_eq!(env, [("A", "1"), ("B", "2")]);
    assert_eq!(
        step.output,
        Some(Output {
            name: "OUT".to_owned(),
            key: None,
            omit: false
        })
    );
    assert_eq!(
        (step.stdout.as_deref(), step.stderr.as_deref()),
        (Some("o"), Some("e"))
    );
    assert_eq!(step.log_output, LogOutput::Merged);
    assert_eq!((step.timeout_sec, step.signal_on_stop), (9, Some(2)));
    assert_eq!(step.preconditions.len(), 1);
}

#[test]
fn wrong_values_of_a_step_are_refused_at_their_place() {
    error(&with("timeout_sec: -1"), 4, 18, "must not be negative");
    error(&with("timeout_sec: \"5\""), 4, 18, "whole number");
    error(&with("timeout_sec: 1.5"), 4, 18, "the number 1.5");
    error(&with("signal_on_stop: SIGNOPE"), 4, 21, "no signal");
    error(&with("output: 5"), 4, 13, "must be a text");
    error(&with("output: {key: k}"), 4, 13, "needs a `name`");
    error(&with("output: a=b"), 4, 13, "variable");
    error(&with("stdout: x\nstderr: x"), 5, 13, "same file");
    error(&with("log_output: both"), 4, 17, "`separate` or `merged`");
    error(&with("depends: {}"), 4, 14, "a text or a list");
    error(&with("env: [A]"), 4, 11, "KEY=value");
    error(&with("env: {\"A B\": 1}"), 4, 11, "name of a variable");
}

#[test]
fn keys_of_features_that_are_not_there_say_so() {
    for key in ["config: {a: 1}", "container: alpine", "mail_on_error: true"] {
        error(&with(key), 4, 5, "is not supported by this version");
    }
    assert!(hint(&with("container: alpine")).contains("docker run"));
    error(&with("type: docker"), 4, 11, "not supported by this version");
    assert!(hint(&with("type: http")).contains("curl"));
    error(&with("type: comand"), 4, 11, "unknown step type");
}

#[test]
fn unknown_keys_come_with_a_suggestion() {
    error(&with("timeoutSec: 5"), 4, 5, "unknown key `timeoutSec` in a step");
    assert!(hint(&with("timeoutSec: 5")).contains("`timeout_sec`"));
    assert!(hint(&with("dir: x")).contains("`working_dir`"));
    assert!(hint(&with("precondition: x")).contains("`preconditions`"));
    assert!(hint(&with("run: x")).contains("`call`"));
    assert_eq!(hint(&with("zzzzzzzz: x")), "");
}

#[test]
fn a_step_without_anything_to_do_is_warned_of() {
    assert!(
        warnings("steps:\n  - name: a\n")
            .iter()
            .any(|text| text.contains("does nothing"))
    );
    assert!(
        warnings("steps:\n  - command:\n")
            .iter()
            .any(|text| text.contains("does nothing"))
    );
    assert!(warnings("steps: [x]\n").is_empty());
    assert_eq!(hint("steps: {a: }\n"), "");
    error("steps: {a: }\n", 1, 10, "a command or a map, not nothing");
}
