//! Commands that cannot be run: the step fails, says why, and nothing else is harmed.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::helper::Daemon;

/// Runs a DAG of one step that must fail, and gives that step.
fn failing_step(daemon: &Daemon, name: &str, text: &str) -> Value {
    let run = daemon.submit(name, text);
    let result = daemon.ctl(&["--json", "wait", &run]).expect_code(1).json();
    assert_eq!(result["status"], "failed", "{result:#}");
    let step = result["steps"][0].clone();
    assert_eq!(step["status"], "failed", "{result:#}");
    let why = daemon.json(&["why", &run]);
    assert!(
        why["answer"].as_str().unwrap().contains("step a failed"),
        "{why:#}"
    );
    step
}

fn expect_error(step: &Value, parts: &[&str]) {
    let error = step["error"].as_str().unwrap_or_default();
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {step:#}");
    }
}

#[test]
fn a_command_that_does_not_exist_or_is_a_directory_fails_its_step_with_a_clear_error() {
    let daemon = Daemon::start("");
    let step = failing_step(
        &daemon,
        "missing",
        "steps: [{name: a, command: [/nowhere/program, x]}]",
    );
    expect_error(&step, &["/nowhere/program", "not found"]);
    let step = failing_step(
        &daemon,
        "shell",
        "steps: [{name: a, command: no-such-program-anywhere}]",
    );
    expect_error(&step, &["no-such-program-anywhere"]);
    let text = format!("steps: [{{name: a, command: [{}]}}]", daemon.root().display());
    let step = failing_step(&daemon, "directory", &text);
    expect_error(&step, &[daemon.root().to_str().unwrap()]);
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn an_interpreter_that_is_missing_is_told() {
    let daemon = Daemon::start("");
    let step = failing_step(
        &daemon,
        "shell",
        "steps:\n  - name: a\n    shell: /nowhere/sh\n    script: echo x\n    output: SAID\n",
    );
    expect_error(&step, &["/nowhere/sh"]);
    // It said nothing, which is not the same as an empty output.
    assert_eq!(step["variables"], serde_json::json!({}), "{step:#}");
    let script = daemon.path("script");
    std::fs::write(&script, "#!/nowhere/interpreter\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!("steps: [{{name: a, command: [{}]}}]", script.display());
    let step = failing_step(&daemon, "hashbang", &text);
    expect_error(&step, &[script.to_str().unwrap()]);
    daemon.expect_clean();
}

#[test]
fn a_command_that_may_not_be_executed_is_told() {
    let daemon = Daemon::start("");
    let script = daemon.path("script");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    // Without any x not even root may execute it.
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o000)).unwrap();
    let text = format!("steps: [{{name: a, command: [{}]}}]", script.display());
    let step = failing_step(&daemon, "forbidden", &text);
    expect_error(&step, &[script.to_str().unwrap(), "ermission denied"]);
    daemon.expect_clean();
}

#[test]
fn a_working_directory_that_is_not_there_or_vanishes_fails_the_step() {
    let daemon = Daemon::start("");
    let text = "steps:\n  - name: a\n    working_dir: /proc/nowhere\n    command: \"true\"\n";
    let step = failing_step(&daemon, "nowhere", text);
    expect_error(&step, &["/proc/nowhere"]);
    let dir = daemon.path("gone");
    std::fs::create_dir(&dir).unwrap();
    let text = format!(
        "working_dir: {dir}\nsteps:\n  - name: first\n    working_dir: /\n    command: rm -r {dir}; echo x > {dir}\n  \
         - name: second\n    command: \"true\"\n",
        dir = dir.display()
    );
    let run = daemon.submit("vanishes", &text);
    let result = daemon.ctl(&["--json", "wait", &run]).expect_code(1).json();
    assert_eq!(result["steps"][0]["status"], "succeeded", "{result:#}");
    assert_eq!(result["steps"][1]["status"], "failed", "{result:#}");
    expect_error(&result["steps"][1], &[dir.to_str().unwrap()]);
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn a_file_for_output_that_cannot_be_made_fails_the_step() {
    let daemon = Daemon::start("");
    let text = "steps: [{name: a, command: echo x, stdout: /proc/nowhere/out}]";
    let step = failing_step(&daemon, "stdout", text);
    expect_error(&step, &["/proc/nowhere/out"]);
    daemon.expect_clean();
}

#[test]
fn an_environment_that_is_too_large_fails_the_step_and_nothing_else() {
    let daemon = Daemon::start("");
    // Each variable may be there, but not all of them: execve(2) takes 2 MiB with the usual limits.
    let mut text = String::from("env:\n");
    for n in 0..40 {
        text.push_str(&format!("  - BIG{n}: {}\n", "x".repeat(100 * 1024)));
    }
    text.push_str("steps: [{name: a, command: \"true\"}]\n");
    let step = failing_step(&daemon, "large", &text);
    expect_error(&step, &["rgument list too long"]);
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn the_results_of_substitutions_do_not_change_places() {
    let daemon = Daemon::start("");
    let text = "params:\n  - {name: P, eval: \"`echo param`\"}\n  - {name: Q, eval: \"`exit 7`\", default: given}\n\
                env:\n  - A: \"`echo first`\"\n  - B: \"`echo second`\"\n\
                steps:\n  - name: a\n    command: echo \"$P $Q $A $B\"\n    output: SAID\n  \
                - name: b\n    shell: direct\n    command: [echo `echo one`, echo `echo two`, echo `echo three`]\n    output: LIST\n";
    let run = daemon.submit("places", text);
    let result = daemon.wait_success(&run);
    let said = |step: usize, name: &str| result["steps"][step]["variables"][name].clone();
    assert_eq!(said(0, "SAID"), "param given first second", "{result:#}");
    assert_eq!(said(1, "LIST"), "one\ntwo\nthree", "{result:#}");
    daemon.expect_clean();
}

#[test]
fn a_substitution_that_writes_without_end_is_killed_and_told() {
    let daemon = Daemon::start("");
    let text = "max_output_size: 100000\nsteps: [{name: a, env: [{A: \"`yes`\"}], command: \"true\"}]";
    let step = failing_step(&daemon, "endless", text);
    expect_error(
        &step,
        &[
            "`yes` failed: its output has more than the 100000 bytes",
            "max_output_size",
        ],
    );
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn what_a_condition_leaves_in_the_background_may_write_later() {
    let daemon = Daemon::start("");
    let text = "steps:\n  - name: a\n    preconditions:\n      \
                - condition: (while [ ! -e go ]; do sleep 0.02; done; echo late >&2; touch late) &\n    \
                command: touch go; while [ ! -e late ]; do sleep 0.02; done\n    timeout_sec: 50\n";
    let run = daemon.submit("background", text);
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn many_outputs_do_not_keep_later_steps_from_starting() {
    let daemon = Daemon::start("");
    let mut text = String::from("type: graph\nsteps:\n");
    let names: Vec<String> = (0..25).map(|n| format!("s{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        text.push_str(&format!(
            "  - {{name: {name}, output: OUT{n}, command: \"head -c {} /dev/zero | tr '\\\\0' x\"}}\n",
            100_000 + n
        ));
    }
    text.push_str(&format!(
        "  - {{name: small, depends: [{0}], command: \"echo ${{#OUT0}}\", output: LENGTH}}\n  \
         - {{name: large, depends: [small], command: \"echo ${{#OUT24}}\"}}\n",
        names.join(", ")
    ));
    let run = daemon.submit("many", &text);
    let result = daemon.wait_end(&run);
    assert_eq!(
        result["steps"][25]["variables"]["LENGTH"], "100000",
        "{}",
        result["steps"][25]
    );
    expect_error(&result["steps"][26], &["OUT24", "not in the environment"]);
    daemon.expect_clean();
}
