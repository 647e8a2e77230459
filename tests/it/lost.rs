//! The supervisor dies or stops: the cause is known, nothing survives it, and silence alone is no death.

use serde_json::Value;

use crate::helper::{Daemon, alive, environ_has, pause, processes_below, signal, skip, until};

const KILLED: &str = "lost: supervisor killed by SIGKILL";

/// A step that leaves a grandchild which left the session and forked twice, and then runs for long.
fn with_grandchildren(daemon: &Daemon) -> String {
    format!(
        "steps:\n  - name: parent\n    script: |\n      \
         setsid sh -c 'sleep 1000 & exec sleep 1000' &\n      \
         (setsid sh -c 'echo $$ > {pid}.tmp; mv {pid}.tmp {pid}; exec sleep 1000' &) &\n      \
         while [ ! -e {pid} ]; do sleep 0.02; done\n      echo yes > {ready}\n      sleep 1000\n  \
         - name: after\n    command: \"true\"\n",
        pid = daemon.path("grandchild").display(),
        ready = daemon.path("ready").display()
    )
}

/// Starts such a run and waits until its grandchildren live. Gives the run and the shim.
fn started(daemon: &Daemon) -> (String, u32) {
    let run = daemon.submit("lost", &with_grandchildren(daemon));
    daemon.wait_file("ready");
    let shim = daemon.shim(&run);
    let steps = processes_below(daemon.root());
    assert!(
        steps.len() >= 6,
        "daemon, shim, step and three sleepers: {steps:?}"
    );
    (run, shim)
}

/// The run is failed with this cause, its steps say so, and nothing is left.
fn expect_lost(daemon: &Daemon, run: &str, cause: &str) {
    let out = daemon.ctl(&["--json", "wait", run]).expect_code(5);
    let result = out.json();
    assert_eq!(result["status"], "failed", "{result:#}");
    assert_eq!(result["error"], cause, "{result:#}\n{}", daemon.log());
    assert_eq!(result["steps"][0]["status"], "failed", "{result:#}");
    assert_eq!(result["steps"][0]["error"], cause, "{result:#}");
    assert_eq!(result["steps"][1]["status"], "not_started", "{result:#}");
    daemon.expect_clean();
}

#[test]
fn a_killed_supervisor_takes_its_whole_tree_with_it_and_the_run_says_what_killed_it() {
    let daemon = Daemon::start("");
    let (run, shim) = started(&daemon);
    let grandchild: u32 = daemon.wait_file("grandchild").parse().unwrap();
    assert!(alive(grandchild) && environ_has(grandchild, "PROCTOR_ATTEMPT_ID="));
    signal(shim, libc::SIGKILL);
    expect_lost(&daemon, &run, KILLED);
    assert!(!alive(grandchild));
    let why = daemon.json(&["why", &run]);
    let answer = why["answer"].as_str().unwrap();
    assert!(answer.contains("supervisor killed by SIGKILL"), "{why:#}");
    let failed = daemon.submit("fails", "steps: [{name: a, command: \"false\"}]");
    daemon.wait_end(&failed);
    for (status, count) in [("lost", 1), ("failed", 2), ("aborted,lost", 1)] {
        let history = daemon.json(&["history", "--status", status]);
        assert_eq!(
            history["runs"].as_array().unwrap().len(),
            count,
            "{status}: {history:#}"
        );
    }
}

#[test]
fn without_cgroups_a_killed_supervisor_takes_its_whole_tree_with_it_too() {
    let daemon = Daemon::start("[cgroup]\nenabled = false\n");
    let (run, shim) = started(&daemon);
    assert!(daemon.cgroups().is_empty());
    signal(shim, libc::SIGKILL);
    expect_lost(&daemon, &run, KILLED);
}

#[test]
fn a_supervisor_that_crashes_is_told_from_one_that_was_killed() {
    let daemon = Daemon::start("");
    let (run, shim) = started(&daemon);
    signal(shim, libc::SIGSEGV);
    expect_lost(&daemon, &run, "lost: supervisor killed by SIGSEGV");
}

#[test]
fn a_supervisor_that_is_killed_while_there_is_no_daemon_is_found_dead_by_the_next_one() {
    for config in ["", "[cgroup]\nenabled = false\n"] {
        let mut daemon = Daemon::start(config);
        let (run, shim) = started(&daemon);
        daemon.kill9();
        signal(shim, libc::SIGKILL);
        until("the end of the shim", || (!alive(shim)).then_some(()));
        daemon.restart();
        // Nobody that could tell was its parent: that it was lost is certain, the signal need not be known.
        let result = daemon.wait_end(&run);
        let error = result["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with("lost: supervisor "), "{result:#}");
        expect_lost(&daemon, &run, &error);
    }
}

#[test]
fn supervisor_and_daemon_killed_together_leave_nothing_behind() {
    let mut daemon = Daemon::start("");
    let (run, shim) = started(&daemon);
    signal(daemon.pid(), libc::SIGSTOP);
    signal(shim, libc::SIGKILL);
    daemon.kill9();
    daemon.restart();
    let result = daemon.wait_end(&run);
    let error = result["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("lost: supervisor "), "{result:#}");
    expect_lost(&daemon, &run, &error);
}

#[test]
fn another_daemons_attempt_of_the_same_id_is_left_alone() {
    let without = "[cgroup]\nenabled = false\n";
    // The same run has the same attempts everywhere.
    let begin = |daemon: &Daemon| {
        let text = format!(
            "steps:\n  - {{name: a, command: 'echo $PROCTOR_ATTEMPT_ID > {}; while [ ! -e {} ]; do sleep 0.02; done'}}\n",
            daemon.path("id").display(),
            daemon.path("go").display()
        );
        let file = daemon.dag("same", &text);
        daemon
            .ctl(&["run", "--detach", "--run-id", "r", &file])
            .expect_code(0);
        daemon.wait_file("id")
    };
    for restart in [false, true] {
        let (mut daemon, other) = (Daemon::start(without), Daemon::start(without));
        assert_eq!(begin(&daemon), begin(&other));
        let shim = daemon.shim("same:r");
        if restart {
            daemon.kill9();
        }
        signal(shim, libc::SIGKILL);
        if restart {
            daemon.restart();
        }
        assert_eq!(daemon.wait_end("same:r")["status"], "failed");
        assert_eq!(other.status("same:r")["status"], "running");
        std::fs::write(other.path("go"), "").unwrap();
        other.wait_success("same:r");
        daemon.expect_clean();
        other.expect_clean();
    }
}

#[test]
fn an_adopted_supervisor_that_is_killed_is_lost_with_its_cause() {
    let mut daemon = Daemon::start("");
    let (run, shim) = started(&daemon);
    daemon.kill9();
    daemon.restart();
    signal(shim, libc::SIGKILL);
    let result = daemon.wait_end(&run);
    let error = result["error"].as_str().unwrap().to_owned();
    if daemon.json(&["doctor"])["features"]["exit status of adopted attempts"] == "yes" {
        assert_eq!(error, KILLED, "{}", daemon.log());
    } else {
        skip("this kernel does not tell how an adopted process died");
    }
    expect_lost(&daemon, &run, &error);
}

#[test]
fn a_retry_after_a_loss_begins_with_the_step_that_was_lost() {
    let daemon = Daemon::start("");
    let out = daemon.path("out");
    let text = format!(
        "steps:\n  - name: first\n    command: echo first >> {out}\n  - name: second\n    command: echo second >> {out}; \
         [ -e {go} ] || sleep 1000\n",
        out = out.display(),
        go = daemon.path("go").display()
    );
    let run = daemon.submit("again", &text);
    until("the second step", || {
        (crate::helper::lines(&out) == 2).then_some(())
    });
    signal(daemon.shim(&run), libc::SIGKILL);
    daemon.wait_end(&run);
    std::fs::write(daemon.path("go"), "").unwrap();
    let result = daemon.json(&["retry", &run]);
    assert_eq!(result["status"], "succeeded", "{result:#}");
    assert_eq!(crate::helper::read(&out), "first\nsecond\nsecond\n");
    daemon.expect_clean();
}

#[test]
fn a_stopped_supervisor_is_shown_as_stalled_and_goes_on_when_it_is_continued() {
    let daemon = Daemon::start("[proc]\nheartbeat_interval_sec = 0.1\nstale_after_sec = 0.4\n");
    let go = daemon.path("go");
    let text = format!(
        "steps:\n  - name: a\n    command: while [ ! -e {} ]; do sleep 0.05; done\n",
        go.display()
    );
    let run = daemon.submit("stalled", &text);
    let shim = daemon.shim(&run);
    let stalled = |wanted: bool| {
        let ps = daemon.json(&["ps"]);
        let listed = &ps["runs"][0];
        assert_eq!(listed["status"], "running", "{ps:#}");
        let status = daemon.status(&run);
        (listed["stalled"] == Value::Bool(wanted) && status["stalled"] == Value::Bool(wanted)).then_some(())
    };
    until("fresh", || stalled(false));
    signal(shim, libc::SIGSTOP);
    until("stalled", || stalled(true));
    let why = daemon.json(&["why", &run]);
    assert!(
        why["answer"].as_str().unwrap().contains("stopped beating"),
        "{why:#}"
    );
    // Several times the limit later it is still not dead.
    pause(1200);
    assert_eq!(daemon.status(&run)["status"], "running");
    assert!(alive(shim));
    std::fs::write(&go, "").unwrap();
    signal(shim, libc::SIGCONT);
    let result = daemon.wait_success(&run);
    assert_eq!(result["stalled"], false, "{result:#}");
    daemon.expect_clean();
}
