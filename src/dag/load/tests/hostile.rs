//! Documents made to hurt: size, depth, aliases, bytes that are no text.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::model::limits::STEPS_MAX;

/// A bound that only a pass of the wrong order breaks, also in a debug build on a busy machine.
const LONG: Duration = Duration::from_secs(20);

fn quick<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = run();
    assert!(begin.elapsed() < LONG, "{what} took {:?}", begin.elapsed());
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
fn defaults_cannot_be_multiplied_without_bound() {
    let text = format!(
        "defaults: {{env: {{A: {}}}}}\nsteps:\n{}",
        "x".repeat(1 << 20),
        "  - x\n".repeat(1_000)
    );
    error(&text, 3, 3, "too large for so many steps");
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
    assert_eq!(errors(&text).len(), 50, "so many are compiled, and no more");
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
            let json = crate::dag::project(&loaded.dag, None, "/b");
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
        "'\u{feff}ü\u{2028}'",
        "{<<: {a: 1}, b: 2}",
    ])
}
