//! `cleanup`: what it asks the daemon for, and that it asks a person first.

use super::*;
use crate::wire::manage::CleanupReport;

#[expect(
    clippy::needless_pass_by_value,
    reason = "the server hands over what it was asked"
)]
fn cleans(request: Request) -> Vec<Response> {
    let Request::Cleanup { dry_run, .. } = request else {
        return vec![Response::Done];
    };
    vec![Response::Cleaned(CleanupReport {
        runs: 2,
        sub_runs: 1,
        bytes: Some(4096),
        first: vec![a_view().run],
        failures: Vec::new(),
        dry_run,
    })]
}

#[test]
fn nothing_is_asked_for_where_nobody_can_confirm_it() {
    let server = Server::start(cleans);
    for args in [
        &["cleanup"][..],
        &["cleanup", "hello", "--json", "--keep-days", "0"],
    ] {
        let answer = call(server.root(), args);
        assert_eq!(answer.exit, Exit::Usage);
        let said = answer.stdout + &answer.stderr;
        assert!(said.contains("--yes") && said.contains("--dry-run"), "{said}");
    }
    assert_eq!(server.requests(), []);
}

#[test]
fn a_dry_run_and_a_real_one_ask_for_what_the_options_say() {
    let server = Server::start(cleans);
    let answer = call(
        server.root(),
        &[
            "--json",
            "cleanup",
            "hello",
            "--keep-days",
            "3",
            "--keep-runs",
            "0",
            "--dry-run",
        ],
    );
    assert_eq!(answer.exit, Exit::Ok);
    let told = json!({
        "dry_run": true,
        "runs": 2,
        "sub_runs": 1,
        "bytes": 4096,
        "first": [{ "dag": "hello", "run_id": "r1" }],
        "failures": [],
    });
    assert_eq!(answer.json(), told);
    let answer = call(server.root(), &["cleanup", "--yes"]);
    assert_eq!(
        answer.stdout,
        "2 runs with 1 sub-run (4.0 KiB of logs and scratch files) were removed\n"
    );
    let wanted = |dag: Option<&str>, keep_days, keep_runs, dry_run| Request::Cleanup {
        dag: dag.map(|dag| crate::model::DagName::new(dag).unwrap()),
        keep_days,
        keep_runs,
        dry_run,
    };
    assert_eq!(
        server.requests(),
        [
            wanted(Some("hello"), Some(3), Some(0), true),
            wanted(None, None, None, false)
        ]
    );
}
