//! What people ask for after the fact: retry, wait, and why.

use crate::helper::{Daemon, read, signal, until};

pub(crate) fn why(daemon: &Daemon, run: &str) -> String {
    let why = daemon.json(&["why", run]);
    format!("{} {}", why["answer"].as_str().unwrap(), why["evidence"])
}

#[test]
fn a_retry_begins_with_what_failed_and_keeps_what_succeeded() {
    let daemon = Daemon::start("");
    let (out, ok) = (daemon.path("out"), daemon.path("ok"));
    let text = format!(
        "type: graph\nsteps:\n  - name: first\n    command: echo first >> {out}; echo value\n    output: VALUE\n  \
         - name: second\n    depends: first\n    command: echo second >> {out}; [ -e {ok} ]\n  \
         - name: third\n    depends: second\n    command: echo third $VALUE >> {out}\n",
        out = out.display(),
        ok = ok.display()
    );
    let run = daemon.submit("resumes", &text);
    let result = daemon.wait_end(&run);
    assert_eq!(result["status"], "failed", "{result:#}");
    let first = result["attempt_id"].clone();
    std::fs::write(&ok, "").unwrap();
    let result = daemon.json(&["retry", &run]);
    assert_eq!(result["status"], "succeeded", "{result:#}");
    assert_eq!(result["attempt"], 2);
    assert_ne!(result["attempt_id"], first);
    assert_eq!(read(&out), "first\nsecond\nsecond\nthird value\n");
    // Both attempts stay as they were.
    let attempts = daemon.json(&["history", &run]);
    assert_eq!(attempts["attempts"].as_array().unwrap().len(), 2, "{attempts:#}");
    let statuses = attempts.to_string();
    assert!(
        statuses.contains("failed") && statuses.contains("succeeded"),
        "{attempts:#}"
    );
    // What succeeded or lives is not retried.
    let again = daemon.ctl(&["retry", &run]);
    assert!(matches!(again.code(), 0 | 1), "{again:?}");
    daemon.ctl(&["retry", "nothing:like-it"]).expect_code(1);
    daemon.expect_clean();
}

#[test]
fn a_live_run_is_not_retried() {
    let daemon = Daemon::start("");
    let run = daemon.submit("lives", "steps: [{name: a, command: sleep 1000}]");
    daemon.shim(&run);
    daemon.ctl(&["retry", "--detach", &run]).expect_code(1);
    daemon.ctl(&["stop", &run]).expect_code(0);
    assert_eq!(daemon.wait_end(&run)["status"], "aborted");
    daemon.expect_clean();
}

#[test]
fn the_exit_status_of_run_and_wait_tells_the_outcome() {
    let daemon = Daemon::start("");
    let cases = [
        ("ok", "steps: [{name: a, command: \"true\"}]", 0),
        ("failed", "steps: [{name: a, command: \"false\"}]", 1),
        (
            "tolerated",
            "steps: [{name: a, command: \"false\", continue_on: {failure: true}}, {name: b, command: \"true\"}]",
            4,
        ),
    ];
    for (name, text, code) in cases {
        let file = daemon.dag(name, text);
        daemon.ctl(&["run", &file]).expect_code(code);
        daemon.ctl(&["wait", name]).expect_code(code);
    }
    daemon.ctl(&["wait", "nobody"]).expect_code(1);
    let file = daemon.dag("aborted", "steps: [{name: a, command: sleep 1000}]");
    let run = daemon.begin(&["run", &file]);
    until("the run", || {
        let ps = daemon.json(&["ps"]);
        ps["runs"][0]["pid"].is_u64().then_some(())
    });
    signal(run.pid(), libc::SIGINT);
    run.finish().expect_code(3);
    daemon.ctl(&["wait", "aborted"]).expect_code(3);
    daemon.expect_clean();
}

#[test]
fn why_tells_what_a_run_waits_for_and_how_it_ended() {
    let daemon = Daemon::start("[queue]\nmax_active_runs = 1\n");
    let long = "steps: [{name: long, command: sleep 1000}]";
    let first = daemon.submit("queue", long);
    daemon.shim(&first);
    let second = daemon.submit("queue", long);
    let told = why(&daemon, &second);
    assert!(
        told.contains("next in queue queue") && told.contains(&first),
        "{told}"
    );
    let third = daemon.submit("queue", long);
    let told = why(&daemon, &third);
    assert!(told.contains(&first) && told.contains(&second), "{told}");
    let told = why(&daemon, &first);
    assert!(
        told.contains("alive") && told.contains("step long runs as process"),
        "{told}"
    );
    for run in [&third, &second, &first] {
        daemon.ctl(&["stop", run]).expect_code(0);
        assert_eq!(daemon.wait_end(run)["status"], "aborted");
        assert!(why(&daemon, run).contains("stopped by"), "{}", why(&daemon, run));
    }
    let run = daemon.submit("code", "steps: [{name: bad, command: exit 42}]");
    daemon.wait_end(&run);
    let told = why(&daemon, &run);
    assert!(
        told.contains("step bad failed") && told.contains("exit code 42"),
        "{told}"
    );
    let run = daemon.submit("signal", "steps: [{name: hit, command: kill -9 $$}]");
    daemon.wait_end(&run);
    let told = why(&daemon, &run);
    assert!(
        told.contains("step hit failed") && told.contains("SIGKILL"),
        "{told}"
    );
    let run = daemon.submit(
        "limit",
        "timeout_sec: 1\nsteps: [{name: slow, command: sleep 1000}]",
    );
    daemon.wait_end(&run);
    let told = why(&daemon, &run);
    assert!(told.contains("timeout_sec"), "{told}");
    daemon.expect_clean();
}

#[test]
fn a_run_id_is_used_only_once() {
    let daemon = Daemon::start("");
    let file = daemon.dag("once", "steps: [{name: a, command: \"true\"}]");
    daemon.ctl(&["run", "--run-id", "x1", &file]).expect_code(0);
    let again = daemon.ctl(&["run", "--run-id", "x1", &file]).expect_code(1);
    assert!(again.stderr.contains("exists"), "{again:?}");
    let history = daemon.json(&["history", "once"]);
    assert_eq!(history["runs"].as_array().unwrap().len(), 1, "{history:#}");
    daemon.expect_clean();
}
