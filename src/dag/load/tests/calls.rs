//! Tests of calls: target, parameters, items, what a file has to keep for them.

use super::*;
use crate::dag::project;

/// The call of a step with these lines, which begin on line 2, in column 5.
fn called(lines: &str) -> Call {
    match dag(&calling(lines)).steps.remove(0).action {
        Action::Call(call) => *call,
        action => panic!("{lines}: {action:?}"),
    }
}

fn calling(lines: &str) -> String {
    format!("steps:\n  - {}\n", lines.replace('\n', "\n    "))
}

fn args(lines: &str) -> Vec<(Option<String>, String)> {
    let call = called(&format!("call: x\n{lines}"));
    call.params.into_iter().map(|arg| (arg.name, arg.value)).collect()
}

fn named(name: &str, value: &str) -> (Option<String>, String) {
    (Some(name.to_owned()), value.to_owned())
}

fn plain(value: &str) -> (Option<String>, String) {
    (None, value.to_owned())
}

fn items(lines: &str) -> Items {
    called(&format!("call: x\n{lines}"))
        .parallel
        .expect("parallel")
        .items
}

#[test]
fn a_call_has_a_target_and_nothing_else_to_run() {
    let call = called("call: ' jobs/child_${ITEM}.yaml '");
    assert_eq!(call.target, "jobs/child_${ITEM}.yaml");
    assert_eq!((call.params, call.parallel), (Vec::new(), None));
    for kind in ["dag", "subworkflow"] {
        assert_eq!(called(&format!("type: {kind}\ncall: x")).target, "x");
        error(&calling(&format!("type: {kind}")), 2, 5, "needs `call`");
    }
    error(&calling("call: x\ncommand: y"), 3, 5, "has no `command`");
    error(&calling("call: x\nscript: y"), 3, 5, "has no `script`");
    error(&calling("call: x\nshell: y"), 3, 5, "has no `shell`");
    error(&calling("call: x\nvalue: y"), 3, 5, "`type: router`");
    error(&calling("call: x\nroutes: {}"), 3, 5, "`type: router`");
    error(&calling("call: ''"), 2, 11, "does not name a DAG");
    error(&calling("call: [x]"), 2, 11, "must be a text");
    error(&calling("type: command\ncall: x"), 3, 5, "cannot `call`");
    error(&calling("call: x\ntype: parallel"), 2, 5, "needs `parallel`");
    assert!(
        warnings(&calling("call: nowhere")).is_empty(),
        "only the run can know"
    );
}

#[test]
fn calls_are_called_dag_and_parallel() {
    let dag = dag(
        "steps:\n  - call: x\n  - {call: x, parallel: [a]}\n  - {type: subworkflow, call: x}\n  - {id: own, call: x}\n",
    );
    assert_eq!(names(&dag), ["dag_1", "parallel_2", "subworkflow_3", "own"]);
    let json = project(&dag, None, "", true);
    let types: Vec<_> = (0..4).map(|i| json["steps"][i]["type"].clone()).collect();
    assert_eq!(types, ["dag", "parallel", "subworkflow", "dag"]);
}

#[test]
fn parameters_have_all_forms() {
    let expected = [named("A", "1"), plain("two"), named("C", "x y")];
    assert_eq!(args("params: 'A=1 two C=\"x y\"'"), expected);
    assert_eq!(args("params: [A=1, two, C: x y]"), expected);
    assert_eq!(
        args("params: {A: 1, B: true, C: }"),
        [named("A", "1"), named("B", "true"), named("C", "")]
    );
    assert_eq!(args("params: [1, {A: 2.50}]"), [plain("1"), named("A", "2.50")]);
    assert_eq!(
        args("params: '{\"A\": 1, \"B\": \"${X}\"}'"),
        [named("A", "1"), named("B", "${X}")]
    );
    assert_eq!(args("params: ''"), []);
    assert_eq!(args("params:"), []);
    error(&calling("call: x\nparams: 5"), 3, 13, "must be a text");
    error(&calling("call: x\nparams: {A: [1]}"), 3, 17, "a single value");
    error(
        &calling("call: x\nparams: [[1]]"),
        3,
        14,
        "a text or `name: value`",
    );
    error(
        &calling("call: x\nparams: {A B: 1}"),
        3,
        14,
        "name of a parameter",
    );
    error(&calling("call: x\nparams: 'A=\"x'"), 3, 13, "not closed");
}

#[test]
fn what_is_evaluated_later_stays_whole() {
    assert_eq!(
        args("params: 'NAME=${ITEM.name} ${ITEM.extra}'"),
        [named("NAME", "${ITEM.name}"), plain("${ITEM.extra}")]
    );
    assert_eq!(
        args("params: 'A=${X:-last ${D:-mon day}} b ${Y:-c d}e ${open f'"),
        [
            named("A", "${X:-last ${D:-mon day}}"),
            plain("b"),
            plain("${Y:-c d}e"),
            plain("${open"),
            plain("f")
        ]
    );
    // One value, whatever the variable holds; and JSON only once the number is there.
    assert_eq!(
        args("params: '\"A ${X}\" \"B=1\"'"),
        [plain("\"A ${X}\""), plain("\"B=1\"")]
    );
    assert_eq!(
        args("params: '[\"a b\", {\"K\": 1}]'"),
        [plain("\"a b\""), named("K", "1")]
    );
    assert_eq!(
        args("params: '{\"A\": ${N}, \"B\": 2}'"),
        [plain("{\"A\": ${N}, \"B\": 2}")]
    );
    assert_eq!(
        args("params: 'A=`date +%s` `ls a`'"),
        [named("A", "`date +%s`"), plain("`ls a`")]
    );
}

#[test]
fn items_are_a_list_or_a_text() {
    let text = |text: &str| Item::Value(text.to_owned());
    assert_eq!(items("parallel: ' ${LIST} '"), Items::Expr("${LIST}".to_owned()));
    assert_eq!(items("parallel: {items: a b}"), Items::Expr("a b".to_owned()));
    assert_eq!(
        items("parallel: [a b, 1, 2.50, true, {B: 1, A: x}]"),
        Items::List(vec![
            text("a b"),
            text("1"),
            text("2.50"),
            text("true"),
            Item::Params(vec![
                ("B".to_owned(), "1".to_owned()),
                ("A".to_owned(), "x".to_owned())
            ]),
        ])
    );
    let many = format!("parallel: [{}]", "x, ".repeat(1_001));
    assert!(
        matches!(items(&many), Items::List(list) if list.len() == 1_001),
        "the run refuses them"
    );
    let of = |lines: &str| {
        called(&format!("call: x\n{lines}"))
            .parallel
            .map(|p| p.max_concurrent)
    };
    assert_eq!(of("parallel: [a]"), Some(10));
    assert_eq!(of("parallel: {items: [a], max_concurrent: 1000}"), Some(1000));
}

#[test]
fn wrong_items_are_refused_at_their_place() {
    let of = |text: &str| calling(&format!("call: x\nparallel: {text}"));
    error(&of("123"), 3, 15, "a list of items or a text");
    error(&of("[]"), 3, 15, "has no items");
    error(&of("' '"), 3, 15, "has no items");
    error(&of("{}"), 3, 15, "needs `items`");
    error(&of("{items: {}}"), 3, 23, "a list of items or a text");
    error(&of("[a, [b]]"), 3, 19, "texts and of maps");
    error(&of("[{a: {b: c}}]"), 3, 20, "a single value");
    error(
        &of("{items: [a], max_concurrent: 0}"),
        3,
        44,
        "must be greater than 0",
    );
    error(
        &of("{items: [a], max_concurrent: -1}"),
        3,
        44,
        "must be greater than 0",
    );
    error(&of("{items: [a], max_concurrent: 1001}"), 3, 44, "at most 1000");
    error(&of("{items: [a], max_concurrent: x}"), 3, 44, "a whole number");
    error(&of("{items: [a], maxConcurrent: 1}"), 3, 28, "unknown key");
}

#[test]
fn keys_of_calls_need_a_call() {
    error(&with("parallel: [a]"), 4, 5, "needs `call`");
    error(&with("params: a"), 4, 5, "needs `call`");
    error(&with("worker_selector: local"), 4, 5, "needs `call`");
    assert!(hint(&with("params: a")).contains("`env`"));
    for fine in ["local", "{}"] {
        assert_eq!(called(&format!("call: x\nworker_selector: {fine}")).target, "x");
    }
    error(
        &calling("call: x\nworker_selector: {gpu: yes}"),
        3,
        5,
        "only be `local`",
    );
    error(
        &calling("call: x\nworker_selector: remote"),
        3,
        5,
        "only be `local`",
    );
}

#[test]
fn handlers_run_commands_only() {
    let of = |body: &str| format!("steps: [x]\nhandler_on:\n  exit: {{{body}}}\n");
    error(&of("call: x"), 3, 9, "cannot call");
    error(
        &of("type: router, value: x, routes: {a: s}"),
        3,
        9,
        "cannot be a router",
    );
    error(&of("command: x, approval: {}"), 3, 9, "cannot need approval");
}

fn with_base(options: LoadOptions<'_>, text: &str) -> Dag {
    let base = BaseConfig {
        text: b"group: g\nhandler_on: {exit: x}\n",
        file: "base.yaml",
    };
    let options = LoadOptions {
        base: Some(base),
        ..options
    };
    load(&source(text), &options).expect("valid").dag
}

#[test]
fn the_base_is_kept_for_calls_of_other_files_alone() {
    let kept = |text: &str| with_base(LoadOptions::default(), text).base_config;
    assert_eq!(kept("steps: [x]\n"), None);
    assert_eq!(
        kept("steps: [call: sub]\n---\nname: sub\nsteps: [call: sub]\n"),
        None
    );
    for other in [
        "steps: [call: other]\n---\nname: sub\nsteps: [x]\n",
        "steps: [call: $NAME]\n---\nname: sub\nsteps: [x]\n",
        "steps: [call: sub]\n---\nname: sub\nsteps: [call: other]\n",
    ] {
        assert_eq!(
            kept(other).as_deref(),
            Some("group: g\nhandler_on: {exit: x}\n"),
            "{other}"
        );
    }
    assert_eq!(
        dag("steps: [call: other]\n").base_config,
        None,
        "there is no base"
    );
}

#[test]
fn handlers_of_the_base_are_for_the_run_that_was_started() {
    let text =
        "steps: [call: sub]\n---\nname: sub\nsteps: [x]\n---\nname: own\nhandler_on: {init: x}\nsteps: [x]\n";
    let started = with_base(LoadOptions::default(), text);
    assert_eq!(started.handlers.len(), 1);
    let handlers: Vec<_> = started.local_dags.iter().map(|dag| dag.handlers.len()).collect();
    assert_eq!(handlers, [0, 1]);
    assert!(
        started.local_dags.iter().all(|dag| dag.group == "g"),
        "the rest is for all"
    );
    let sub_dag = LoadOptions {
        sub_dag: true,
        ..LoadOptions::default()
    };
    let called = with_base(sub_dag, text);
    assert_eq!((called.handlers.len(), called.group.as_str()), (0, "g"));
}

#[test]
fn the_projection_shows_calls_and_items() {
    let text = calling(
        "call: sub\nparams: 'A=1 b \"c d\" E=\"f g\"'\nparallel: {items: [x, {R: eu}], max_concurrent: 2}\n\
         approval: {prompt: ok?, input: [WHY], required: WHY}",
    );
    let step = project(&dag(&text), None, "", true)["steps"][0].clone();
    assert_eq!(
        step["call"],
        serde_json::json!({"name": "sub", "params": "A=\"1\" b \"c d\" E=\"f g\""})
    );
    let items = serde_json::json!([{"value": "x"}, {"params": {"R": "eu"}}]);
    assert_eq!(
        step["parallel"],
        serde_json::json!({"variable": null, "items": items, "max_concurrent": 2})
    );
    assert_eq!(
        step["approval"],
        serde_json::json!({"prompt": "ok?", "input": ["WHY"], "required": ["WHY"]})
    );
    let variable = project(&dag(&calling("call: sub\nparallel: ${L}")), None, "", true);
    assert_eq!(variable["steps"][0]["parallel"]["variable"], "${L}");
}
