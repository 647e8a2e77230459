//! The logger of a whole process. A process can have one, so each case runs this test program again.

use std::process::{Command, Output};

use proctor::telemetry::{self, Target, events};

const CASE: &str = "PROCTOR_TEST_LOG_TARGET";

/// Runs [`child`] in a process of its own.
fn run(target: &str) -> std::io::Result<Output> {
    Command::new(std::env::current_exe()?)
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CASE, target)
        .env_remove("JOURNAL_STREAM")
        .output()
}

#[test]
fn child() {
    let Ok(case) = std::env::var(CASE) else {
        return;
    };
    let target = if case == "json" {
        Target::Json
    } else {
        Target::Auto
    };
    let log = telemetry::init("warn", target, "proctord").unwrap();
    tracing::info!("too quiet");
    events::log_dropped(5);
    log.set_level("info").unwrap();
    assert!(log.set_level("proctor=loud").is_err());
    tracing::info!(count = 1, "loud\nenough");
    assert!(matches!(
        telemetry::init("info", target, "proctord"),
        Err(telemetry::TelemetryError::Twice)
    ));
    assert_eq!(log.dropped(), 0);
    // Nothing flushes but the end: it must lose nothing.
    drop(log);
}

#[test]
fn json_is_one_object_a_line_and_the_level_can_change() {
    let output = run("json").unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(
        lines[0]["message"],
        "5 log records were dropped, since the log was not read"
    );
    assert_eq!(lines[0]["COUNT"], 5);
    assert_eq!(lines[1]["message"], "loud\\nenough");
}

#[test]
fn without_the_journal_the_log_is_text_on_standard_error() {
    let output = run("auto").unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].ends_with("Z WARN  5 log records were dropped, since the log was not read"),
        "{text}"
    );
    assert!(
        lines[1].ends_with("Z INFO  telemetry: loud\\nenough count=1"),
        "{text}"
    );
}

#[test]
fn the_manual_lists_every_event() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/man/proctord.8");
    let text = std::fs::read_to_string(page).unwrap();
    let listed: Vec<(&str, &str)> = text
        .split("\n.It Li ")
        .skip(1)
        .filter_map(|item| item.split_once('\n'))
        .map(|(id, rest)| (id, rest.lines().next().unwrap_or_default()))
        .collect();
    let table: Vec<(&str, &str)> = events::TABLE
        .iter()
        .map(|kind| (kind.message_id, kind.meaning))
        .collect();
    assert_eq!(listed, table);
}
