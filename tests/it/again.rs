//! Retries of a run as a whole.

use serde_json::Value;

use crate::helper::{Daemon, lines, signal, text_of, until};
use crate::verbs::why;

/// A step that fails until it was tried that often, and handlers that say that they ran.
fn failing(daemon: &Daemon, policy: &str, tries: usize) -> String {
    format!(
        "retry_policy: {policy}\nhandler_on:\n  failure: {{command: echo failure >> {handlers}}}\n  \
         exit: {{command: echo exit >> {handlers}}}\nsteps:\n  - name: a\n    \
         command: echo try >> {tried}; [ $(wc -l < {tried}) -ge {tries} ]\n",
        handlers = daemon.path("handlers").display(),
        tried = daemon.path("tried").display(),
    )
}

fn handlers(daemon: &Daemon) -> (usize, usize) {
    let text = std::fs::read_to_string(daemon.path("handlers")).unwrap_or_default();
    let count = |word: &str| text.lines().filter(|line| *line == word).count();
    (count("failure"), count("exit"))
}

/// The statuses of all attempts of a run.
fn attempts(daemon: &Daemon, run: &str) -> Vec<String> {
    let answer = daemon.json(&["history", run]);
    let attempts = answer["attempts"].as_array().unwrap().iter();
    attempts.map(|one| text_of(&one["status"]).to_owned()).collect()
}

/// Waits until the run waits for its retry, with nothing left of its attempt, and says how it stands.
fn pending(daemon: &Daemon, run: &str) -> Value {
    until("a pending retry", || {
        let status = daemon.status(run);
        (status["retry"].is_object() && daemon.remains().is_empty()).then_some(status)
    })
}

#[test]
fn a_run_that_fails_twice_and_then_succeeds_is_a_success_with_three_attempts() {
    let daemon = Daemon::start("");
    let file = daemon.dag("again", &failing(&daemon, "{limit: 5, interval_sec: 1}", 3));
    let out = daemon.ctl(&["run", "--run-id", "r1", &file]).expect_code(0);
    let notes = |number: u32| {
        let text = format!("again:r1 failed; retry {number} of 5");
        out.stderr.matches(&text).count()
    };
    assert_eq!((notes(1), notes(2), notes(3)), (1, 1, 0), "{out:?}");
    let queued = out.stderr.matches("(queue again)").count();
    assert!(queued <= 3, "once for each time that it is queued: {out:?}");
    assert_eq!(attempts(&daemon, "again:r1"), ["failed", "failed", "succeeded"]);
    assert_eq!(handlers(&daemon), (0, 3), "each attempt has its exit handler");
    let history = daemon.json(&["history", "again"]);
    assert_eq!(history["runs"][0]["status"], "succeeded", "{history:#}");
    assert_eq!(history["runs"][0]["retry"], Value::Null, "{history:#}");
    daemon.expect_clean();
}

#[test]
fn when_the_budget_is_spent_the_failure_handler_runs_exactly_once() {
    let daemon = Daemon::start("");
    let run = daemon.submit("again", &failing(&daemon, "{limit: 2, interval_sec: 0}", 100));
    let out = daemon.ctl(&["wait", &run]).expect_code(1);
    assert!(
        out.stdout.contains("failed") && !out.stdout.contains("retry"),
        "{out:?}"
    );
    assert_eq!(attempts(&daemon, &run), ["failed"; 3]);
    assert_eq!(handlers(&daemon), (1, 3));
    // A person's retry has a new budget.
    daemon.ctl(&["retry", &run]).expect_code(1);
    assert_eq!(attempts(&daemon, &run), ["failed"; 6]);
    assert_eq!(handlers(&daemon), (2, 6));
    daemon.expect_clean();
}

#[test]
fn what_is_delivered_at_least_once_is_told_so_and_not_of_a_policy() {
    let daemon = Daemon::start("");
    for (name, line, words) in [
        ("promised", "delivery: at_least_once", "(delivery: at_least_once)"),
        (
            "policy",
            "retry_policy: {limit: 1, interval_sec: 1000}",
            "(retry_policy)",
        ),
    ] {
        let run = daemon.submit(name, &format!("{line}\nsteps: [sleep 1000]\n"));
        // Its retry waits until the DAG is enabled, however soon it is due.
        let file = daemon.path(&format!("src/{name}.yaml"));
        daemon.json(&["install", file.to_str().unwrap()]);
        daemon.json(&["disable", name]);
        signal(daemon.shim(&run), libc::SIGKILL);
        pending(&daemon, &run);
        let told = why(&daemon, &run);
        assert!(told.contains(words), "{told}");
        daemon.ctl(&["stop", &run]).expect_code(0);
        daemon.wait_end(&run);
    }
    daemon.expect_clean();
}

#[test]
fn a_lost_attempt_is_tried_again_with_nothing_of_it_left() {
    let daemon = Daemon::start("");
    let text = format!(
        "retry_policy: {{limit: 1, interval_sec: 0}}\nsteps:\n  - name: a\n    \
         command: echo try >> {tried}; [ $(wc -l < {tried}) -ge 2 ] || sleep 1000\n",
        tried = daemon.path("tried").display()
    );
    let run = daemon.submit("again", &text);
    daemon.wait_file("tried");
    signal(daemon.shim(&run), libc::SIGKILL);
    let result = daemon.wait_success(&run);
    assert_eq!(
        (&result["attempt"], &result["lost"]),
        (&Value::from(2), &Value::Null)
    );
    assert_eq!(attempts(&daemon, &run), ["failed", "succeeded"]);
    let lost = daemon.json(&["history", &run]);
    assert!(
        text_of(&lost["attempts"][0]["lost"]).contains("SIGKILL"),
        "{lost:#}"
    );
    daemon.expect_clean();
}

#[test]
fn a_pending_retry_survives_the_daemon_and_a_stop_cancels_it() {
    let mut daemon = Daemon::start("");
    let run = daemon.submit("again", &failing(&daemon, "{limit: 2, interval_sec: 3000}", 100));
    let status = pending(&daemon, &run);
    assert_eq!(status["status"], "failed", "{status:#}");
    let retry = &status["retry"];
    assert_eq!(
        (&retry["number"], &retry["limit"]),
        (&Value::from(1), &Value::from(2))
    );
    daemon.kill9();
    daemon.restart();
    let after = pending(&daemon, &run);
    assert_eq!(after["retry"], *retry, "{after:#}");
    let told = daemon.ctl(&["status", &run]).expect_code(0).stdout;
    assert!(
        told.contains("failed; retry 1 of 2 in 49m") && told.contains(" UTC)"),
        "{told}"
    );
    let told = why(&daemon, &run);
    assert!(told.contains("retry 1 of 2 follows at 2"), "{told}");
    let ps = daemon.json(&["ps"]);
    assert_eq!(ps["runs"][0]["retry"], *retry, "{ps:#}");
    let told = daemon.ctl(&["ps"]).expect_code(0).stdout;
    assert!(told.contains("retry 1 of 2 in 49m"), "{told}");
    let refused = daemon.ctl(&["approve", &run, "a"]);
    assert_ne!(refused.code(), 0, "{refused:?}");

    let waiting = daemon.begin(&["--json", "wait", &run]);
    daemon.ctl(&["stop", &run]).expect_code(0);
    let result = waiting.finish().expect_code(1).json();
    assert_eq!(
        (&result["status"], &result["retry"]),
        (&Value::from("failed"), &Value::Null)
    );
    assert_eq!(lines(&daemon.path("tried")), 1);
    assert_eq!(handlers(&daemon), (0, 1), "no attempt is there to run it");
    let told = why(&daemon, &run);
    assert!(told.contains("no retry of the run follows"), "{told}");
    daemon.kill9();
    daemon.restart();
    let status = daemon.status(&run);
    assert_eq!(
        (&status["status"], &status["retry"]),
        (&Value::from("failed"), &Value::Null)
    );
    assert!(
        text_of(&status["stopped"]).starts_with("stopped by user id"),
        "{status:#}"
    );
    assert_eq!(daemon.json(&["ps"])["runs"], Value::Array(Vec::new()));
    daemon.ctl(&["stop", &run]).expect_code(1);
    daemon.expect_clean();
}

#[test]
fn a_retry_that_waits_for_its_dag_to_be_enabled_says_so() {
    let mut daemon = Daemon::start("");
    let text = failing(&daemon, "{limit: 2, interval_sec: 3000}", 100);
    let file = daemon.dag("again", &text);
    daemon.json(&["install", &file]);
    let run = daemon.json(&["run", "--detach", "again"]);
    let run = format!("again:{}", text_of(&run["run_id"]));
    let status = pending(&daemon, &run);
    assert_eq!(status["retry"]["held"], false, "{status:#}");
    let waiting = daemon.begin(&["wait", &run]);
    until("somebody waits", || {
        (daemon.doctor_value("followers") == 1).then_some(())
    });
    daemon.ctl(&["disable", "again"]).expect_code(0);
    let queues = daemon.json(&["queue", "list"]);
    assert_eq!(queues["queues"], Value::Array(Vec::new()), "it is in none");
    let words = "retry 1 of 2 when the DAG is enabled";
    let expect_held = |daemon: &Daemon| {
        let status = daemon.status(&run);
        assert_eq!(status["retry"]["held"], true, "{status:#}");
        let ps = daemon.json(&["ps"]);
        assert_eq!(ps["runs"][0]["retry"]["held"], true, "{ps:#}");
        for verb in ["status", "ps"] {
            let mut args = vec![verb];
            args.extend((verb == "status").then_some(run.as_str()));
            let told = daemon.ctl(&args).text();
            assert!(told.contains(words), "{verb}: {told}");
        }
    };
    expect_held(&daemon);
    daemon.ctl(&["stop", &run]).expect_code(0);
    let out = waiting.finish().expect_code(1);
    assert!(out.stderr.contains(&format!("{words}; waiting")), "{out:?}");

    // One that fails while its DAG is disabled, and a daemon that finds it so.
    let run = daemon.json(&["run", "--detach", "again"]);
    let run = format!("again:{}", text_of(&run["run_id"]));
    let status = pending(&daemon, &run);
    assert_eq!(status["retry"]["held"], true, "{status:#}");
    daemon.kill9();
    daemon.restart();
    let status = daemon.status(&run);
    assert_eq!(status["retry"]["held"], true, "{status:#}");
    daemon.ctl(&["enable", "again"]).expect_code(0);
    let status = daemon.status(&run);
    assert_eq!(status["retry"]["held"], false, "{status:#}");
    daemon.ctl(&["stop", &run]).expect_code(0);
    daemon.expect_clean();
}

#[test]
fn a_person_can_have_the_retry_at_once() {
    let mut daemon = Daemon::start("");
    let text = failing(&daemon, "{limit: 1, interval_sec: 3000}", 3);
    let run = daemon.submit("again", &text);
    pending(&daemon, &run);
    let retried = daemon.ctl(&["retry", "--detach", &run]).expect_code(0);
    until("the second try", || {
        (lines(&daemon.path("tried")) == 2).then_some(())
    });
    // The budget is new: this is retry 1 of 1 again.
    let status = until("the next pending retry", || {
        let status = daemon.status(&run);
        (status["attempt"] == 2 && status["retry"].is_object()).then_some(status)
    });
    assert_eq!(status["retry"]["number"], 1, "{status:#} {retried:?}");
    // The same after a restart.
    pending(&daemon, &run);
    daemon.stop();
    daemon.restart();
    daemon.ctl(&["retry", &run]).expect_code(0);
    assert_eq!(attempts(&daemon, &run), ["failed", "failed", "succeeded"]);
    assert_eq!(handlers(&daemon), (0, 3));
    daemon.expect_clean();
}

#[test]
fn a_daemon_that_dies_again_and_again_retries_exactly_as_often_as_the_budget_says() {
    let mut daemon = Daemon::start("");
    let text = failing(&daemon, "{limit: 6, interval_sec: 0}", 100);
    let run = daemon.submit("again", &text);
    for tries in [1, 2, 4, 6] {
        until("a further try", || {
            (lines(&daemon.path("tried")) >= tries).then_some(())
        });
        daemon.kill9();
        daemon.restart();
    }
    daemon.ctl(&["wait", &run]).expect_code(1);
    assert_eq!(attempts(&daemon, &run), ["failed"; 7]);
    assert_eq!((lines(&daemon.path("tried")), handlers(&daemon)), (7, (1, 7)));
    daemon.expect_clean();
}

#[test]
fn an_embedded_daemon_stays_until_the_retry_is_done() {
    let daemon = Daemon::prepare("");
    let file = daemon.dag("again", &failing(&daemon, "{limit: 3, interval_sec: 1}", 3));
    let out = daemon.ctl(&["run", "--embedded", &file]).expect_code(0);
    assert_eq!(lines(&daemon.path("tried")), 3, "{out:?}");
}

#[test]
fn a_sub_run_is_not_tried_again_as_a_whole_and_its_root_is() {
    let daemon = Daemon::start("");
    let text = format!(
        "retry_policy: {{limit: 1, interval_sec: 0}}\nsteps:\n  - name: call\n    call: leaf\n---\nname: leaf\n\
         retry_policy: {{limit: 7, interval_sec: 0}}\nsteps:\n  - name: a\n    command: echo try >> {}; exit 1\n",
        daemon.path("tried").display()
    );
    let run = daemon.submit("again", &text);
    daemon.ctl(&["wait", &run]).expect_code(1);
    assert_eq!(
        lines(&daemon.path("tried")),
        2,
        "once for each attempt of the root"
    );
    daemon.expect_clean();
}
