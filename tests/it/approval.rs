//! Runs that wait for a person: what is decided, by whom, and what a crash makes of it.

use serde_json::Value;

use crate::helper::{Daemon, read, text_of};
use crate::verbs::why;

/// A step that writes a line each time it is executed, and waits for approval; and one that shows what came with it.
fn gated(daemon: &Daemon) -> String {
    let log = daemon.path("log").display().to_string();
    format!(
        "type: graph\nhandler_on:\n  init: {{command: echo init >> {log}}}\n  \
         wait: {{command: 'echo wait $DAG_WAITING_STEPS >> {log}'}}\n  failure: {{command: echo failure >> {log}}}\n  \
         exit: {{command: 'echo exit $DAG_RUN_STATUS >> {log}'}}\nsteps:\n  - name: ask\n    \
         command: echo asked | tee -a {log}\n    output: DRAFT\n    approval:\n      prompt: Ship it?\n      \
         input: [WHO, NOTE]\n      required: [WHO]\n  - name: go\n    depends: [ask]\n    \
         command: echo \"$DRAFT by $WHO\" >> {log}\n"
    )
}

fn lines(daemon: &Daemon) -> Vec<String> {
    let text = read(&daemon.path("log"));
    text.lines().map(str::to_owned).collect()
}

/// Waits until the run waits, and gives its result.
fn wait_waiting(daemon: &Daemon, run: &str) -> Value {
    let result = daemon.ctl(&["--json", "wait", run]).expect_code(7).json();
    assert_eq!(result["status"], "waiting", "{result:#}\n{}", daemon.log());
    result
}

fn statuses(result: &Value) -> Vec<&str> {
    let steps = result["steps"].as_array().unwrap();
    steps.iter().map(|step| text_of(&step["status"])).collect()
}

#[test]
fn an_approved_run_goes_on_with_what_was_given_and_executes_nothing_twice() {
    let daemon = Daemon::start("");
    let file = daemon.dag("ship", &gated(&daemon));
    let result = daemon.ctl(&["--json", "run", &file]).expect_code(7).json();
    let run = format!("ship:{}", text_of(&result["run_id"]));
    assert_eq!(statuses(&result), ["waiting", "not_started"], "{result:#}");
    assert_eq!(result["steps"][0]["error"], "waits for approval: Ship it?");
    assert_eq!(result["steps"][0]["exit_code"], 0);
    assert_eq!(result["handlers"]["exit"]["status"], "not_started");
    assert_eq!(lines(&daemon), ["init", "asked", "wait ask"]);
    daemon.expect_clean();

    let listed = daemon.json(&["ps"]);
    assert_eq!(listed["runs"][0]["status"], "waiting", "{listed:#}");
    let why = daemon.json(&["why", &run]);
    assert_eq!(why["answer"], "a person has to approve or reject ask", "{why:#}");
    assert!(why["evidence"].to_string().contains("Ship it?"), "{why:#}");

    for (args, complaint) in [
        (
            vec!["--input", "WHO=me", "--input", "WHEN=now"],
            "does not ask for an input WHEN",
        ),
        (vec![], "requires the input WHO"),
        (
            vec!["--step", "go", "--input", "WHO=me"],
            "it does not wait for approval",
        ),
        (vec!["--step", "none"], "has no step none"),
    ] {
        let mut all = vec!["approve", &run];
        all.extend(args);
        let refused = daemon.ctl(&all);
        assert_ne!(refused.code(), 0, "{refused:?}");
        assert!(refused.stderr.contains(complaint), "{refused:?}");
    }
    let refused = daemon.ctl(&["retry", &run]).expect_code(1);
    assert!(refused.stderr.contains("approve or reject"), "{refused:?}");
    assert_eq!(daemon.status(&run)["status"], "waiting");

    daemon
        .ctl(&["approve", "ship", "--input", "WHO=me"])
        .expect_code(0);
    let result = daemon.wait_success(&run);
    assert_eq!(lines(&daemon)[3..], ["init", "asked by me", "exit succeeded"]);
    assert_eq!(statuses(&result), ["succeeded", "succeeded"]);
    assert_eq!(
        (&result["attempt"], &result["steps"][0]["done_count"]),
        (&2.into(), &1.into())
    );
    assert_eq!(result["steps"][0]["variables"]["WHO"], "me", "{result:#}");
    assert_eq!(result["steps"][0]["decision"]["approved"], true, "{result:#}");
    assert_eq!(result["outputs"]["draft"], "asked", "{result:#}");
    let why = daemon.json(&["why", &run]);
    assert!(
        why["evidence"]
            .to_string()
            .contains("step ask: approved by user id"),
        "{why:#}"
    );
    let attempts = daemon.json(&["history", &run]);
    assert_eq!(attempts["attempts"][0]["status"], "waiting", "{attempts:#}");
    assert!(daemon.log().contains("step ask of ship:"), "{}", daemon.log());
    let late = daemon.ctl(&["approve", &run]).expect_code(1);
    assert!(late.stderr.contains("it does not wait"), "{late:?}");
    daemon.expect_clean();
}

#[test]
fn a_rejected_run_ends_with_the_handlers_of_a_failure_and_a_retry_asks_again() {
    let daemon = Daemon::start("");
    let run = daemon.submit("ship", &gated(&daemon));
    wait_waiting(&daemon, &run);
    daemon
        .ctl(&["reject", &run, "--step", "ask", "--reason", "not on a Friday"])
        .expect_code(0);
    let result = daemon.ctl(&["--json", "wait", &run]).expect_code(6).json();
    assert_eq!(statuses(&result), ["rejected", "aborted"], "{result:#}");
    assert_eq!(result["steps"][1]["error"], "upstream rejected");
    let error = text_of(&result["error"]);
    assert!(
        error.contains("rejected by user id") && error.contains("Friday"),
        "{result:#}"
    );
    assert_eq!(
        lines(&daemon)[3..],
        ["failure", "exit rejected"],
        "no step, no init handler"
    );
    let why = daemon.json(&["why", &run]);
    assert!(text_of(&why["answer"]).contains("not on a Friday"), "{why:#}");
    // A retry begins with the rejected step.
    daemon.ctl(&["retry", "--detach", &run]).expect_code(0);
    let result = wait_waiting(&daemon, &run);
    assert_eq!(result["steps"][0]["decision"], Value::Null, "{result:#}");
    assert_eq!(lines(&daemon)[5..], ["init", "asked", "wait ask"]);
    daemon
        .ctl(&["approve", &run, "--input", "WHO=you"])
        .expect_code(0);
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn of_two_that_wait_one_can_be_approved_and_the_other_waits_on() {
    let daemon = Daemon::start("");
    let log = daemon.path("log").display().to_string();
    let branch = |name: &str| {
        format!(
            "  - {{name: {name}, command: echo {name} >> {log}, approval: {{}}}}\n  \
             - {{name: {name}2, depends: [{name}], command: echo {name}2 >> {log}}}\n"
        )
    };
    let handler = format!("handler_on: {{wait: {{command: 'echo $DAG_WAITING_STEPS >> {log}'}}}}\n");
    let text = format!(
        "type: graph\nmax_active_steps: 1\n{handler}steps:\n{}{}",
        branch("a"),
        branch("b")
    );
    let run = daemon.submit("two", &text);
    wait_waiting(&daemon, &run);
    assert_eq!(lines(&daemon), ["a", "b", "a,b"]);
    let refused = daemon.ctl(&["approve", &run]).expect_code(2);
    assert!(refused.stderr.contains("several steps of run"), "{refused:?}");
    assert!(
        refused.stderr.contains("a, b") && refused.stderr.contains("--step"),
        "{refused:?}"
    );
    daemon.ctl(&["approve", &run, "--step", "b"]).expect_code(0);
    let result = wait_waiting(&daemon, &run);
    assert_eq!(
        statuses(&result),
        ["waiting", "not_started", "succeeded", "succeeded"]
    );
    assert_eq!(lines(&daemon)[3..], ["b2", "a"]);
    daemon.ctl(&["approve", &run]).expect_code(0);
    let result = daemon.wait_success(&run);
    assert_eq!(result["attempt"], 3);
    assert_eq!(lines(&daemon)[5..], ["a2"]);
    daemon.expect_clean();
}

#[test]
fn a_run_waits_over_restarts_and_deaths_of_the_daemon_and_holds_no_slot() {
    let mut daemon = Daemon::start("");
    let text = format!("max_active_runs: 1\n{}", gated(&daemon));
    let run = daemon.submit("ship", &text);
    wait_waiting(&daemon, &run);
    // The queue of the DAG has room for one, and the one that waits does not count.
    let second = daemon.submit("ship", &text);
    wait_waiting(&daemon, &second);
    daemon.stop();
    daemon.restart();
    daemon.expect_clean();
    assert_eq!(daemon.json(&["ps"])["runs"].as_array().unwrap().len(), 2);
    daemon.kill9();
    daemon.restart();
    wait_waiting(&daemon, &run);
    daemon.ctl(&["approve", &run, "--input", "WHO=me"]).expect_code(0);
    // What was answered is recorded.
    daemon.kill9();
    daemon.restart();
    let result = daemon.wait_success(&run);
    assert_eq!(result["steps"][0]["done_count"], 1);
    daemon.ctl(&["reject", &second]).expect_code(0);
    daemon.kill9();
    daemon.restart();
    daemon.ctl(&["wait", &second]).expect_code(6);
    let asked = lines(&daemon).iter().filter(|line| *line == "asked").count();
    assert_eq!(asked, 2, "{:?}", lines(&daemon));
    daemon.expect_clean();
}

#[test]
fn a_run_that_is_stopped_while_it_waits_is_aborted_and_keeps_its_steps() {
    let daemon = Daemon::start("");
    let run = daemon.submit("ship", &gated(&daemon));
    wait_waiting(&daemon, &run);
    daemon.ctl(&["stop", &run]).expect_code(0);
    let result = daemon.ctl(&["--json", "wait", &run]).expect_code(3).json();
    assert_eq!(statuses(&result), ["waiting", "not_started"], "{result:#}");
    assert!(
        text_of(&result["stopped"]).contains("stopped by user id"),
        "{result:#}"
    );
    assert_eq!(
        (lines(&daemon).len(), &result["attempt"]),
        (3, &1.into()),
        "no further attempt"
    );
    daemon.ctl(&["stop", &run]).expect_code(1);
    daemon.ctl(&["approve", &run, "--input", "WHO=me"]).expect_code(1);
    assert_eq!(daemon.json(&["ps"])["runs"].as_array().unwrap().len(), 0);
    // A retry finds the step still waiting, and does not execute it again.
    daemon.ctl(&["retry", "--detach", &run]).expect_code(0);
    wait_waiting(&daemon, &run);
    assert_eq!(lines(&daemon)[3..], ["init", "wait ask"]);
    // To restart it is to stop it and to begin anew.
    let restarted = daemon.json(&["restart", "--detach", &run]);
    let new = format!("ship:{}", text_of(&restarted["run_id"]));
    assert_eq!(daemon.status(&run)["status"], "aborted");
    wait_waiting(&daemon, &new);
    daemon.ctl(&["stop", &new]).expect_code(0);
    daemon.expect_clean();
}

#[test]
fn a_sub_run_that_waits_is_decided_itself_and_its_callers_go_on() {
    let daemon = Daemon::start("");
    let text = format!(
        "type: graph\nsteps:\n  - {{name: call, call: child, output: RESULT}}\n  - {{name: after, depends: [call], \
         command: echo after >> {0}}}\n---\nname: child\ntype: graph\nsteps:\n  - {{name: grand, call: leaf}}\n---\n\
         name: leaf\ntype: graph\nsteps:\n  - {{name: ask, command: echo asked >> {0}, approval: {{}}}}\n  \
         - {{name: go, depends: [ask], command: echo went >> {0}}}\n",
        daemon.path("log").display()
    );
    let begin = || {
        let run = daemon.submit("root", &text);
        let result = wait_waiting(&daemon, &run);
        assert_eq!(statuses(&result), ["waiting", "not_started"], "{result:#}");
        let child = &result["steps"][0]["children"][0];
        assert_eq!(child["status"], "waiting", "{result:#}");
        let leaf = &daemon.status(&format!("child:{}", text_of(&child["run_id"])))["steps"][0]["children"][0];
        (run, format!("leaf:{}", text_of(&leaf["run_id"])))
    };
    let (run, leaf) = begin();
    let listed = daemon.json(&["ps"]);
    let listed: Vec<&Value> = listed["runs"].as_array().unwrap().iter().collect();
    let ids: Vec<&str> = listed.iter().map(|run| text_of(&run["run_id"])).collect();
    assert_eq!(ids.len(), 3, "{listed:#?}");
    assert!(
        ids.iter().any(|id| leaf == format!("leaf:{id}")),
        "the one to approve: {listed:#?}"
    );
    let roots = daemon.json(&["ps", "--roots"]);
    assert_eq!(roots["runs"].as_array().unwrap().len(), 1, "{roots:#}");
    let told = why(&daemon, &run);
    assert!(
        told.starts_with(&format!("a person has to decide in {leaf} ")),
        "{told}"
    );
    assert!(
        told.contains(&format!("step ask of {leaf} waits for approval")),
        "{told}"
    );
    let refused = daemon.ctl(&["approve", &run]).expect_code(1);
    assert!(refused.stderr.contains("waits for its sub-runs"), "{refused:?}");
    assert!(
        refused.stderr.contains(&format!("decide there: {leaf}")),
        "{refused:?}"
    );
    let refused = daemon.ctl(&["stop", &leaf]).expect_code(1);
    assert!(refused.stderr.contains(&format!("stop {run}")), "{refused:?}");
    daemon.ctl(&["approve", &leaf]).expect_code(0);
    let result = daemon.wait_success(&run);
    assert_eq!(lines(&daemon), ["asked", "went", "after"], "{result:#}");
    assert_eq!(daemon.status(&leaf)["status"], "succeeded");

    let (run, leaf) = begin();
    daemon.ctl(&["reject", &leaf, "--reason", "no"]).expect_code(0);
    let result = daemon.ctl(&["--json", "wait", &run]).expect_code(6).json();
    assert_eq!(statuses(&result), ["rejected", "aborted"], "{result:#}");
    assert_eq!(daemon.status(&leaf)["status"], "rejected");
    assert_eq!(lines(&daemon).len(), 4, "it was asked, and nothing else happened");

    let (run, leaf) = begin();
    daemon.ctl(&["stop", &run]).expect_code(0);
    daemon.ctl(&["wait", &run]).expect_code(3);
    assert_eq!(daemon.status(&leaf)["status"], "aborted");
    daemon.expect_clean();
}
