//! The examples that are shipped and those of the page of DAG files, run as they are.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::helper::{Daemon, text_of};
use crate::page::{Example, of_the_dag_page};

/// Every shipped example: its parameters, how it ends, and what one of its steps is to write; each also as its comment
/// says it can be run.
const SHIPPED: [(&str, &[&str], &str, &str); 31] = [
    ("backup-plan", &["DAY=3"], "succeeded", "changes-3.tar.gz"),
    ("backup-plan", &["DAY=7"], "succeeded", "full.tar.gz"),
    ("backup-plan", &[], "succeeded", ".tar.gz"),
    ("backup-rotate", &[], "succeeded", "keeping 3 archives"),
    ("cert-expiry", &[], "succeeded", "mail.example"),
    ("cert-expiry", &["DAYS=0"], "succeeded", "within 0 days"),
    ("deploy", &["VERSION=1.2.0"], "waiting", "in use then: 1.2.0"),
    ("deploy", &[], "waiting", "in use then: 1.0.0"),
    ("disk-space", &[], "succeeded", "% full"),
    ("etl-retry", &[], "succeeded", "loaded 3 rows"),
    ("etl-tables", &[], "succeeded", "3168 rows in 3 tables"),
    ("fan-out", &[], "succeeded", "4 of 4 hosts have answered"),
    (
        "fan-out",
        &["HOSTS=one two"],
        "succeeded",
        "2 of 2 hosts have answered",
    ),
    ("health-check", &[], "succeeded", "essential is fine"),
    (
        "health-check",
        &["MIN_FREE_KIB=999999999999"],
        "failed",
        "facts are in",
    ),
    ("hello", &[], "succeeded", "is through"),
    ("hourly-import", &[], "succeeded", "imported 2 orders of 2"),
    (
        "hourly-import",
        &["HOUR=20260105T14"],
        "succeeded",
        "imported 2 orders of 20260105T14",
    ),
    ("log-cleanup", &[], "succeeded", "KiB are left"),
    ("log-cleanup", &["KEEP_KIB=1000"], "succeeded", "KiB are left"),
    ("new-project", &[], "succeeded", "./docs"),
    (
        "new-project",
        &["KIND=library", "TITLE=$(exit 1) `x`"],
        "succeeded",
        "./README.md",
    ),
    ("nightly-backup", &[], "succeeded", "file.txt"),
    ("office-hours", &[], "succeeded", "nobody came"),
    ("release", &[], "succeeded", "app-0.1.0-riscv64.tar.gz: OK"),
    (
        "release",
        &["VERSION=2.0.1"],
        "succeeded",
        "app-2.0.1-amd64.tar.gz: OK",
    ),
    ("report", &[], "succeeded", "# Report of this machine"),
    ("report", &["TITLE=Mine"], "succeeded", "# Mine"),
    ("secret-token", &[], "succeeded", "signature "),
    ("word-count", &[], "succeeded", "counted 15000 of 15000 words"),
    (
        "word-count",
        &["LINES=30"],
        "succeeded",
        "counted 150 of 150 words",
    ),
];

fn names() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/examples");
    let stem = |entry: fs::DirEntry| entry.path().file_stem().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| stem(entry.unwrap()))
        .collect();
    names.sort();
    names
}

/// What all steps and handlers of a run wrote.
fn written(result: &Value) -> String {
    let steps = result["steps"].as_array().unwrap().iter();
    steps
        .chain(result["handlers"].as_object().unwrap().values())
        .flat_map(|step| [&step["stdout"], &step["stderr"]])
        .map(|path| fs::read_to_string(text_of(path)).unwrap_or_default())
        .collect()
}

/// Submits a file and says the run's name.
fn begin(daemon: &Daemon, file: &Path, params: &[&str]) -> String {
    let mut args = vec!["run", "--detach", file.to_str().unwrap(), "--"];
    args.extend(params);
    let answer = daemon.json(&args);
    format!("{}:{}", text_of(&answer["dag"]), text_of(&answer["run_id"]))
}

#[test]
fn every_shipped_example_ends_as_it_should_and_does_its_work() {
    let daemon = Daemon::start("[queue]\nmax_active_runs = 4\n");
    let mut tried: Vec<&str> = SHIPPED.iter().map(|(name, ..)| *name).collect();
    tried.dedup();
    assert_eq!(tried, names(), "each file has a row in the table");
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/examples");
    let runs: Vec<String> = SHIPPED
        .iter()
        .map(|(name, params, ..)| begin(&daemon, &dir.join(name).with_extension("yaml"), params))
        .collect();
    for (run, (name, params, status, text)) in runs.iter().zip(SHIPPED) {
        let result = daemon.wait_end(run);
        assert_eq!(result["status"], status, "{name} {params:?}: {result:#}");
        let written = written(&result);
        assert!(written.contains(text), "{name} {params:?}: {written}");
    }

    // One is approved and one is rejected, as its comment says.
    let waiting: Vec<&String> = runs.iter().filter(|run| run.starts_with("deploy:")).collect();
    daemon
        .ctl(&["approve", waiting[0], "--input", "TICKET=OPS-17"])
        .expect_code(0);
    let result = daemon.wait_success(waiting[0]);
    assert!(written(&result).contains("OPS-17: 1.2.0 is live"), "{result:#}");
    daemon
        .ctl(&["reject", waiting[1], "--reason", "not on a Friday"])
        .expect_code(0);
    let result = daemon.wait_end(waiting[1]);
    assert_eq!(result["status"], "rejected", "{result:#}");
    assert_eq!(result["handlers"]["failure"]["status"], "succeeded", "{result:#}");
    daemon.expect_clean();
}

#[test]
fn a_value_that_an_example_checks_is_refused_before_anything_runs() {
    let daemon = Daemon::start("");
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/examples");
    for (name, param) in [
        ("new-project", "NAME=Shop"),
        ("new-project", "COLOUR=red"),
        ("backup-plan", "DAY=8"),
        ("deploy", "VERSION=new"),
        ("word-count", "LINES=0"),
    ] {
        let file = dir.join(name).with_extension("yaml");
        let refused = daemon
            .ctl(&["run", file.to_str().unwrap(), "--", param])
            .expect_code(2);
        let key = param.split('=').next().unwrap();
        assert!(refused.stderr.contains(key), "{refused:?}");
    }
    assert_eq!(daemon.json(&["history"])["runs"].as_array().unwrap().len(), 0);
}

#[test]
fn every_example_of_the_dag_page_runs() {
    // One has every limit; which of them can be enforced is the machine's affair.
    let mut daemon = Daemon::prepare("[cgroup]\nrequire_limits = false\n");
    // What the examples find where they run.
    daemon.restart_with(|command| {
        command.env("TOKEN", "token-of-the-test");
    });
    fs::write(daemon.path("src/db.password"), "password-of-the-test\n").unwrap();
    let mut runs = Vec::new();
    for (number, example) in of_the_dag_page().into_iter().enumerate() {
        let text = match example {
            Example::Schema(schema) => {
                fs::write(daemon.path("src/deploy.schema.json"), schema).unwrap();
                continue;
            }
            Example::Dag(text) => text,
        };
        let file = daemon.dag(&format!("example-{number}"), &text);
        let required = text.contains("name: LABEL").then_some("LABEL=blue");
        let params: Vec<&str> = required.into_iter().collect();
        runs.push((begin(&daemon, file.as_ref(), &params), text));
    }
    assert!(runs.len() > 15);
    for (run, text) in runs {
        let result = daemon.wait_end(&run);
        let expected = if text.contains("approval:") {
            "waiting"
        } else {
            "succeeded"
        };
        assert_eq!(
            result["status"],
            expected,
            "{text}\n{result:#}\n{}",
            written(&result)
        );
    }
    daemon.expect_clean();
}
