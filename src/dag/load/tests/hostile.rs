//! Documents made to hurt: size, depth, aliases, bytes that are no text.

mod copies;

use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::limits::STEPS_MAX;
use crate::model::testing::CpuTime;

/// A bound that only a pass of the wrong order breaks, also in a debug build on a busy machine.
const LONG: Duration = Duration::from_secs(20);

fn quick<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let begin = CpuTime::start();
    let result = run();
    assert!(begin.spent() < LONG, "{what} took {:?}", begin.spent());
    result
}

#[test]
fn many_steps_load_in_linear_time() {
    let mut chain = "steps:\n".to_owned();
    let mut graph = "type: graph\nsteps:\n".to_owned();
    for i in 0..10_000 {
        writeln!(chain, "  - echo {i}").expect("writes");
        let before = if i == 0 {
            String::new()
        } else {
            format!(", depends: [s{}]", i - 1)
        };
        writeln!(graph, "  - {{name: s{i}, command: echo{before}}}").expect("writes");
    }
    assert_eq!(quick("a chain", || dag(&chain)).steps.len(), 10_000);
    assert_eq!(quick("a graph", || dag(&graph)).steps.len(), 10_000);
    let circle = graph.replacen(
        "{name: s0, command: echo}",
        "{name: s0, command: echo, depends: s9999}",
        1,
    );
    assert!(
        quick("a cycle", || errors(&circle))[0].message.contains("..."),
        "a long cycle is cut"
    );
}

#[test]
fn names_that_get_in_each_other_s_way_stay_linear() {
    let mut text = "steps:\n".to_owned();
    for i in 0..3_000 {
        writeln!(text, "  - {{name: cmd_{}, command: x}}", 3_001 + i).expect("writes");
    }
    for _ in 0..3_000 {
        text += "  - x\n";
    }
    let dag = quick("names", || dag(&text));
    assert_eq!(dag.steps[3_000].name, "cmd_6001");
    assert_eq!(dag.steps[5_999].name, "cmd_9000");
}

#[test]
fn large_groups_after_each_other_are_refused() {
    let group = format!("  -\n{}", "    - x\n".repeat(1_100));
    let errors = errors(&format!("steps:\n{group}{group}"));
    assert!(errors[0].message.contains("dependencies"), "{errors:?}");
    assert!(try_load(&format!("steps:\n{group}  - join\n{group}")).is_ok());
}

#[test]
fn the_number_of_steps_is_bounded() {
    let text = format!("steps:\n{}", "  - x\n".repeat(STEPS_MAX + 1));
    error(&text, 2, 3, "at most 100000");
}

#[test]
fn errors_everywhere_are_bounded_and_quick() {
    let mut text = String::new();
    for i in 0..10_000 {
        writeln!(text, "unknwon_key_{i}: x").expect("writes");
    }
    assert_eq!(quick("unknown keys", || errors(&text)).len(), 101);
    let mut graph = "type: graph\nsteps:\n".to_owned();
    for i in 0..5_000 {
        writeln!(graph, "  - {{name: s{i}, command: x, depends: [t{i}]}}").expect("writes");
    }
    assert_eq!(quick("unknown dependencies", || errors(&graph)).len(), 101);
}

#[test]
fn costly_regular_expressions_are_bounded() {
    let mut text = "steps:\n  - command: x\n    continue_on:\n      output:\n".to_owned();
    text += &"        - 're:('\n".repeat(2_000);
    assert_eq!(errors(&text).len(), 49, "so many are compiled alone, and no more");
    // Until it is compiled, and found to be too large, this would take gigabytes.
    let long = "\\w".repeat(200_000);
    for place in [
        "continue_on: {output: ['re:P']}",
        "preconditions: {condition: x, expected: 're:P'}",
    ] {
        let found = quick("a long pattern", || errors(&with(&place.replace('P', &long))));
        assert!(found[0].message.contains("at most 16384"), "{found:.300?}");
    }
    // Each of these takes a while to compile; a default is checked with what is compiled already, or not at all.
    let mut params = "params:\n".to_owned();
    for i in 0..20_000 {
        writeln!(params, "  - {{name: p{i}, pattern: '\\w{{30}}|.', default: a}}").expect("writes");
    }
    let many = format!("{params}steps: [x]\n");
    assert!(
        quick("patterns", || errors(&many))[0]
            .message
            .contains("more than 1000")
    );
    let mut params = "params:\n".to_owned();
    for i in 0..1_001 {
        writeln!(params, "  - p{i}=1").expect("writes");
    }
    assert!(
        errors(&format!("{params}steps: [x]\n"))[0]
            .message
            .contains("more than 1000")
    );
}

#[test]
fn nonsense_of_ten_megabytes_is_refused_at_once() {
    for piece in ["a", "[", "- ", "\n", "\0", "a: &a\n", "ü"] {
        let text = piece.repeat(10 * 1024 * 1024 / piece.len());
        quick(piece, || {
            assert!(errors(&text)[0].message.contains("at most 4 MiB"));
        });
    }
}

#[test]
fn long_nonsense_takes_no_time_that_hurts() {
    for piece in [
        "[", "{", "- ", "\n", "'", "\"", "? ", "a: ", "*a ", "&a ", "|\n", "# ", "%", "!a ", "\t", ", ",
    ] {
        let text = piece.repeat(250_000 / piece.len());
        quick(piece, || try_load(&text).is_ok());
    }
}

/// A router, and so many steps that are its targets.
fn routed(count: usize) -> String {
    let mut text = "type: graph\nsteps:\n- {name: r, type: router, value: $X, routes: {a: [".to_owned();
    for i in 0..count {
        write!(text, "s{i},").expect("writes");
    }
    text += "]}}\n";
    for i in 0..count {
        writeln!(text, "- {{id: s{i}, command: x}}").expect("writes");
    }
    text
}

#[test]
fn a_router_to_every_step_stays_linear() {
    let text = routed(STEPS_MAX - 1);
    let begin = CpuTime::start();
    let dag = dag(&text);
    // So many steps alone take seconds in a debug build; a quadratic pass over them takes many minutes.
    assert!(begin.spent() < 6 * LONG, "a router took {:?}", begin.spent());
    let targets = &dag.steps[1..];
    assert!(
        targets
            .iter()
            .all(|step| step.depends == [0] && step.preconditions.len() == 1)
    );

    let text = routed(10_000);
    let unknown = text.replace("{id: s", "{id: t");
    assert_eq!(quick("unknown targets", || errors(&unknown)).len(), 101);
    let circle = text.replacen("{name: r,", "{name: r, depends: s9999,", 1);
    let found = quick("a cycle", || errors(&circle));
    assert!(found[0].message.contains("in a cycle"));
}

#[test]
fn many_routers_to_the_same_steps_stay_linear() {
    let mut text = "type: graph\nsteps:\n".to_owned();
    let targets: String = (0..300).map(|i| format!("s{i},")).collect();
    for i in 0..300 {
        writeln!(
            text,
            "- {{name: r{i}, type: router, value: $X, routes: {{a: [{targets}]}}}}"
        )
        .expect("writes");
    }
    for i in 0..300 {
        writeln!(text, "- {{name: s{i}, command: x}}").expect("writes");
    }
    let dag = quick("routers", || dag(&text));
    assert_eq!(
        (dag.steps[599].depends.len(), dag.steps[599].preconditions.len()),
        (300, 300)
    );
}

#[test]
fn a_thousand_documents_are_nothing_and_a_large_base_under_them_is_refused() {
    let mut text = "steps:\n".to_owned();
    for i in 0..1_000 {
        writeln!(text, "- call: sub{i}\n  parallel: [[]]").expect("writes");
    }
    assert_eq!(errors(&text).len(), 101);
    let mut text = text.replace("\n  parallel: [[]]", "");
    for i in 0..1_000 {
        writeln!(text, "---\nname: sub{i}\nsteps: [call: sub{}]", (i + 1) % 1_000).expect("writes");
    }
    assert_eq!(quick("documents", || dag(&text)).local_dags.len(), 1_000);
    let base = format!("env: {{A: {}}}\n", "x".repeat(100_000));
    let options = LoadOptions {
        base: Some(BaseConfig {
            text: base.as_bytes(),
            file: "base.yaml",
        }),
        ..LoadOptions::default()
    };
    let errors = load(&source(&text), &options).expect_err("refused");
    assert!(
        errors[0].message.contains("too large for 1000 further documents"),
        "{errors:?}"
    );
}

#[test]
fn parameters_and_names_made_to_hurt_take_no_time_that_hurts() {
    for piece in [
        "${",
        "${ ",
        "$ {",
        "}",
        "\\\"",
        "`` ",
        "A= ",
        "{",
        "${${ }} ",
        "a=\\\"b\\\" ",
    ] {
        let text = format!(
            "steps: [{{call: x, params: \"{}\"}}]\n",
            piece.repeat(250_000 / piece.len())
        );
        quick(piece, || try_load(&text).is_ok());
    }
    let inputs = "a, ".repeat(30_000) + "b";
    let text = format!("steps: [{{command: x, approval: {{input: [{inputs}], required: [{inputs}, c]}}}}]\n");
    assert_eq!(quick("an approval", || errors(&text)).len(), 1);
    let deep = format!(
        "steps: [{{call: x, parallel: {}{}}}]\n",
        "[".repeat(1_000),
        "]".repeat(1_000)
    );
    assert!(!quick("deep items", || errors(&deep)).is_empty());
    let items = "- {call: x, parallel: [".to_owned() + &"a, ".repeat(100_000) + "]}\n";
    assert!(
        quick("items", || try_load(&format!("steps:\n{items}"))).is_ok(),
        "the run refuses them"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_document_of_known_keys_never_panics(lines in proptest::collection::vec((key(), value()), 0..12)) {
        let mut text = String::new();
        for (key, value) in &lines {
            writeln!(text, "{key}: {value}").expect("writes");
        }
        if let Err(errors) = try_load(&text) {
            prop_assert!(!errors.is_empty());
            for error in &errors {
                prop_assert!(error.file.is_some() && error.line.is_some() && error.column.is_some());
            }
            let sources: [(&str, &[u8]); 1] = [("d.yaml", text.as_bytes())];
            prop_assert!(crate::dag::render(&errors, &sources, true).contains("error"));
        }
    }

    #[test]
    fn a_step_of_known_keys_never_panics(pairs in proptest::collection::vec((step_key(), value()), 0..8)) {
        let body: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        let body = body.join(", ");
        let text = format!("type: graph\nsteps: [{{{body}}}, [{{{body}}}, x]]\nhandler_on: {{exit: {{{body}}}}}\n");
        if let Ok(loaded) = try_load(&text) {
            prop_assert_eq!(loaded.dag.steps.len(), 3);
            let json = crate::dag::project(&loaded.dag, None, "/b", true);
            prop_assert!(json["steps"][2]["name"].is_string());
        }
    }
}

fn key() -> impl Strategy<Value = &'static str> {
    let mut keys = keys::TOP.known.to_vec();
    keys.extend(["secrets", "container", "maxActiveRuns", "<<", "\"\""]);
    proptest::sample::select(keys)
}

fn step_key() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(keys::STEP.known.to_vec())
}

fn value() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "",
        "~",
        "true",
        "0",
        "-1",
        "9223372036854775807",
        "1e300",
        ".nan",
        "x",
        "\"\"",
        "\" \"",
        "[]",
        "{}",
        "[x]",
        "[[x]]",
        "[1, true, ~]",
        "{a: b}",
        "{a: {b: c}}",
        "{name: x}",
        "[{name: p, default: 1}]",
        "'{\"a\": [1]}'",
        "'a=\"'",
        "{limit: 1, interval_sec: $X}",
        "{repeat: true, limit: 1}",
        "{start: x}",
        "\"* * * * *\"",
        "{exit: x}",
        "SIGTERM",
        "{condition: x, expected: y}",
        "graph",
        "{s: {command: x}}",
        "router",
        "parallel",
        "{items: [a, {b: 1}], max_concurrent: 2}",
        "{x: [s, '']}",
        "'A=${X} \"${Y} `'",
        "{input: [A], required: [A]}",
        "[{name: A, provider: env, key: B}]",
        "'\u{feff}ü\u{2028}'",
        "{<<: {a: 1}, b: 2}",
    ])
}
