//! What is written once and holds for many steps must not become boundless.

use super::*;

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
fn everything_that_steps_take_over_from_defaults_counts() {
    let steps = "x, ".repeat(20_000);
    let ones = "1, ".repeat(100_000);
    let empty = "'', ".repeat(100_000);
    let long = "x".repeat(10_000);
    for defaults in [
        format!("continue_on: {{exit_code: [{ones}]}}"),
        format!("continue_on: {{output: [{empty}]}}"),
        format!("retry_policy: {{limit: 1, interval_sec: 1, exit_code: [{ones}]}}"),
        format!("retry_policy: {{limit: 1, interval_sec: ${long}}}"),
        format!("retry_policy: {{limit: ${long}, interval_sec: 1}}"),
        format!("repeat_policy: {{exit_code: [{ones}]}}"),
        format!("repeat_policy: {{exit_code: 1, limit: ${long}}}"),
        format!("repeat_policy: {{condition: x, expected: {long}}}"),
        format!("preconditions: {{condition: x, expected: {long}}}"),
        format!("env: {{A: {long}}}"),
    ] {
        let text = format!("defaults: {{{defaults}}}\nsteps: [{steps}]\n");
        error(&text, 2, 8, "too large for so many steps");
    }
}

#[test]
fn what_is_copied_to_steps_counts_for_all_documents_together() {
    let document = |number: usize| {
        let (value, steps) = ("x".repeat(10_000), "x, ".repeat(2_000));
        format!("name: d{number}\ndefaults: {{env: {{A: {value}}}}}\nsteps: [{steps}]\n---\n")
    };
    let text = |documents: usize| (0..documents).map(document).collect::<String>();
    assert!(try_load(&text(3)).is_ok());
    error(&text(4), 15, 8, "too large for so many steps");
}

#[test]
fn the_value_of_a_router_cannot_be_multiplied_without_bound() {
    let mut text = "type: graph\nsteps:\n".to_owned();
    let targets: String = (0..1_000).map(|i| format!("s{i},")).collect();
    let value = "x".repeat(100_000);
    writeln!(
        text,
        "- {{name: r, type: router, value: {value}, routes: {{a: [{targets}]}}}}"
    )
    .expect("writes");
    for i in 0..1_000 {
        writeln!(text, "- {{name: s{i}, command: x}}").expect("writes");
    }
    error(&text, 3, 3, "too long for so many targets");
}
