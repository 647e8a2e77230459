//! What is told of the runs of a tree.

use serde_json::Value;

use crate::helper::{Daemon, lines, signal, text_of, until};
use crate::verbs::why;

/// A command that says that it runs, and waits for a file.
fn gated(daemon: &Daemon, begun: &str, go: &str) -> String {
    format!(
        "echo $$ >> {}; while [ ! -e {} ]; do sleep 0.02; done",
        daemon.path(begun).display(),
        daemon.path(go).display()
    )
}

/// The names of the runs of that DAG that are listed as live, queued or waiting.
fn listed(daemon: &Daemon, dag: &str) -> Vec<String> {
    let ps = daemon.json(&["ps"]);
    let runs = ps["runs"].as_array().unwrap().iter();
    let of_dag = runs.filter(|run| run["dag"] == dag);
    of_dag
        .map(|run| format!("{dag}:{}", text_of(&run["run_id"])))
        .collect()
}

fn wait_begun(daemon: &Daemon, count: usize) {
    until(&format!("{count} that have begun"), || {
        (lines(&daemon.path("begun")) == count).then_some(())
    });
}

#[test]
fn sub_runs_are_what_a_step_waits_for_and_take_no_place() {
    let daemon = Daemon::start("[queue]\nmax_active_runs = 1\n");
    let text = format!(
        "steps:\n  - name: fan\n    call: leaf\n    parallel: {{items: [1, 2, 3], max_concurrent: 2}}\n---\nname: leaf\n\
         steps:\n  - command: {}\n",
        gated(&daemon, "begun", "go")
    );
    let first = daemon.submit("top", &text);
    wait_begun(&daemon, 2);
    let told = until("both to be known as running", || {
        let told = why(&daemon, &first);
        told.contains("waits for its sub-runs: 1 not_started, 2 running")
            .then_some(told)
    });
    let leaves = listed(&daemon, "leaf");
    assert_eq!(leaves.len(), 2);
    for leaf in &leaves {
        assert!(told.contains(&format!("sub-run {leaf} is running")), "{told}");
    }

    let second = daemon.submit("top", &text);
    let told = why(&daemon, &second);
    assert!(
        told.starts_with("it is next in queue top, behind 1 live run ["),
        "{told}"
    );
    assert!(told.contains("queue top allows 1 live run at a time"), "{told}");
    assert!(told.contains(&first) && !told.contains("leaf"), "{told}");

    // A name alone is that of a run that somebody asked for.
    for verb in ["status", "why", "stop"] {
        let refused = daemon.ctl(&[verb, "leaf"]).expect_code(1);
        assert!(refused.stderr.contains("there is no run of leaf"), "{refused:?}");
        let hint = "runs that others called are named leaf:RUN-ID";
        assert!(refused.stderr.contains(hint), "{refused:?}");
    }
    let refused = daemon.ctl(&["status", "none"]).expect_code(1);
    assert!(!refused.stderr.contains("RUN-ID"), "{refused:?}");

    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&first);
    daemon.wait_success(&second);
    daemon.expect_clean();
}

#[test]
fn a_failure_is_told_with_what_the_step_wrote() {
    let daemon = Daemon::start("");
    let text = "steps:\n  - name: s\n    command: echo disk full on /data >&2; exit 3\n    \
                retry_policy: {limit: 1, interval_sec: 0}\n";
    let run = daemon.submit("writes", text);
    let result = daemon.wait_end(&run);
    assert_eq!(result["status"], "failed", "{result:#}");
    let told = why(&daemon, &run);
    assert!(
        told.starts_with("step s failed: exit code 3 after 1 retry ["),
        "{told}"
    );
    assert!(
        told.contains("step s wrote to standard error: disk full on /data"),
        "{told}"
    );
    daemon.expect_clean();
}

#[test]
fn a_try_that_is_due_waits_until_the_calling_step_has_room() {
    let daemon = Daemon::start("");
    let text = format!(
        "steps:\n  - name: fan\n    call: leaf\n    parallel: {{items: [1, 2], max_concurrent: 1}}\n---\nname: leaf\n\
         steps:\n  - name: work\n    command: if [ $1 = 1 ]; then test -e {go}; else {gate}; fi\n    \
         retry_policy: {{limit: 1, interval_sec: 1}}\n",
        go = daemon.path("go").display(),
        gate = gated(&daemon, "begun", "go")
    );
    let run = daemon.submit("top", &text);
    wait_begun(&daemon, 1);
    let leaf = |at: usize| -> String {
        let child: &Value = &daemon.status(&run)["steps"][0]["children"][at];
        format!("leaf:{}", text_of(&child["run_id"]))
    };
    let first = leaf(0);
    let due = format!("step work is due for its next try, and waits until step fan of {run} has room for it");
    until("the retry to be due", || {
        why(&daemon, &first).contains(&due).then_some(())
    });
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn what_a_lost_run_called_is_told_until_it_has_ended() {
    let daemon = Daemon::start("");
    let text = format!(
        "steps:\n  - {{name: call, call: leaf}}\n---\nname: leaf\nmax_clean_up_time_sec: 600\nsteps:\n  - script: |\n      \
         set +e; trap : TERM\n      {}\n",
        gated(&daemon, "begun", "go")
    );
    let run = daemon.submit("top", &text);
    wait_begun(&daemon, 1);
    let leaf = listed(&daemon, "leaf").remove(0);
    signal(daemon.shim(&run), libc::SIGKILL);
    until("the loss to be known", || {
        (daemon.status(&run)["lost"] == "supervisor killed by SIGKILL").then_some(())
    });
    let told = why(&daemon, &run);
    assert!(told.starts_with("the attempt was lost"), "{told}");
    assert!(
        told.contains(&format!("sub-run {leaf} is still running: it is being ended")),
        "{told}"
    );
    let told = why(&daemon, &leaf);
    assert!(told.starts_with("it is being stopped"), "{told}");
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_end(&leaf);
    daemon.wait_end(&run);
    let told = why(&daemon, &run);
    assert!(!told.contains("is still"), "{told}");
    daemon.expect_clean();
}
