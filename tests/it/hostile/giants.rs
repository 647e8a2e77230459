//! T9: arguments and environments as large as the kernel takes them, and larger.

use std::fmt::Write as _;

use crate::helper::{Daemon, text_of};

/// What the kernel says when it does not take them.
const TOO_LONG: &str = "Argument list too long";

/// Fails unless the run has succeeded, or its only step failed because of the size. Gives whether it succeeded.
fn runs_or_says_why(daemon: &Daemon, name: &str, text: &str) -> bool {
    let file = daemon.dag(name, text);
    let out = daemon.ctl(&["--json", "run", &file]);
    let result = out.json();
    let ok = result["status"] == "succeeded";
    let said = result.to_string();
    assert!(
        ok || [TOO_LONG, "too large", "too long", "bytes"]
            .iter()
            .any(|why| said.contains(why)),
        "{name}: {}\n{}",
        said.chars().take(2000).collect::<String>(),
        out.stderr.chars().take(2000).collect::<String>()
    );
    ok
}

#[test]
fn t09_a_hundred_thousand_variables_reach_a_step_or_are_refused_in_words() {
    let daemon = Daemon::start("");
    for (number, expected) in [(1_000, true), (20_000, true), (100_000, false)] {
        let mut text = String::from("env:\n");
        for n in 0..number {
            writeln!(text, "  - V{n}: v{n}").unwrap();
        }
        let last = number - 1;
        writeln!(
            text,
            "steps:\n  - name: a\n    command: test \"$V{last}\" = v{last}"
        )
        .unwrap();
        let ok = runs_or_says_why(&daemon, &format!("many{number}"), &text);
        // How many the kernel takes depends on the limit of the stack; a few are taken everywhere.
        assert!(ok || !expected || number > 1_000, "{number} variables");
    }
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn t09_values_and_arguments_of_any_size_reach_a_step_or_are_refused_in_words() {
    let daemon = Daemon::start("");
    // One text may have 128 KiB with its end (MAX_ARG_STRLEN), all together a quarter of the stack's limit.
    for (size, fits) in [
        (100_000, true),
        (140_000, false),
        (1_500_000, false),
        (3_500_000, false),
    ] {
        let value = "x".repeat(size);
        for (kind, text) in [
            (
                "env",
                format!(
                    "env: [{{BIG: {value}}}]\nsteps:\n  - {{name: a, command: 'test ${{#BIG}} = {size}'}}\n"
                ),
            ),
            (
                "param",
                format!(
                    "params: [{{BIG: {value}}}]\nsteps:\n  - {{name: a, command: 'test ${{#BIG}} = {size}'}}\n"
                ),
            ),
            (
                "argv",
                format!("steps:\n  - {{name: a, shell: direct, command: 'test -n {value}'}}\n"),
            ),
            (
                "script",
                format!("steps:\n  - {{name: a, script: ': {value}'}}\n"),
            ),
        ] {
            let ok = runs_or_says_why(&daemon, &format!("{kind}{size}"), &text);
            assert!(ok || !fits, "{kind} of {size} bytes");
        }
    }
    // Very many arguments.
    let many = vec!["a"; 100_000].join(" ");
    let text = format!("steps:\n  - {{name: a, shell: direct, command: 'echo {many}'}}\n");
    let file = daemon.dag("manyargs", &text);
    let out = daemon.ctl(&["--json", "run", &file]);
    assert_eq!(out.json()["status"], "succeeded", "{}", out.code());
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn t09_a_daemon_that_was_started_with_a_giant_environment_works() {
    let mut daemon = Daemon::prepare("");
    daemon.restart_with(|command| {
        // As large as an environment can be that was handed over, in very many pieces and in one.
        command.envs((0..40_000).map(|n| (format!("V{n}"), format!("value-{n}"))));
        command.env("BIG", "x".repeat(120_000));
    });
    let run = daemon.submit(
        "inherits",
        "steps: [{name: a, command: 'test \"$V39999\" = value-39999 && test ${#BIG} = 120000'}]",
    );
    let end = daemon.wait_end(&run);
    // Whether a private daemon's jobs can have all of it depends on what they get beside it.
    let said = end.to_string();
    assert!(end["status"] == "succeeded" || said.contains(TOO_LONG), "{said}");
    assert_ne!(text_of(&end["status"]), "running");
    daemon.stop();
    daemon.restart();
    daemon.expect_unharmed();
    daemon.expect_clean();
}
