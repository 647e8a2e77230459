//! Queues as people meet them.

use serde_json::Value;

use crate::helper::{Daemon, text_of, until};
use crate::verbs::why;

/// A DAG in queue `q` that runs until there is a file `go`.
fn waits(daemon: &Daemon) -> String {
    format!(
        "queue: q\nsteps:\n  - command: while [ ! -e {} ]; do sleep 0.02; done\n",
        daemon.path("go").display()
    )
}

fn enqueue(daemon: &Daemon, name: &str, text: &str, more: &[&str]) -> String {
    let file = daemon.dag(name, text);
    let mut args = vec!["enqueue"];
    args.extend(more);
    args.push(&file);
    let answer = daemon.json(&args);
    format!("{}:{}", text_of(&answer["dag"]), text_of(&answer["run_id"]))
}

/// The runs that wait in queue `q`, in order.
fn queued(daemon: &Daemon) -> Vec<String> {
    let runs = daemon.json(&["queue", "list", "q"]);
    let runs = runs["runs"].as_array().unwrap().iter();
    runs.map(|run| format!("{}:{}", text_of(&run["dag"]), text_of(&run["run_id"])))
        .collect()
}

fn queue(daemon: &Daemon) -> Value {
    let queues = daemon.json(&["queue", "list"]);
    let mut queues = queues["queues"].as_array().unwrap().iter();
    queues.find(|queue| queue["queue"] == "q").unwrap().clone()
}

#[test]
fn a_queue_is_paused_ordered_and_emptied_over_a_restart() {
    let mut daemon = Daemon::start("[queues.q]\nmax_active_runs = 1\n");
    let text = waits(&daemon);
    daemon.ctl(&["queue", "pause", "q"]).expect_code(0);
    let a = enqueue(&daemon, "a", &text, &[]);
    let b = enqueue(&daemon, "b", &text, &["--priority", "high"]);
    let c = enqueue(&daemon, "c", &text, &["--queue", "p", "--priority", "-5"]);
    until("the other queue's run to live", || {
        (daemon.status(&c)["status"] == "running").then_some(())
    });
    assert_eq!(daemon.status(&c)["queue"], "p");
    assert_eq!(queued(&daemon), [b.clone(), a.clone()]);
    let told = why(&daemon, &a);
    assert!(told.starts_with("queue q is paused"), "{told}");
    assert!(
        told.contains(&format!("goes before it: {b}, of priority 10")),
        "{told}"
    );

    daemon.kill9();
    daemon.restart();
    let state = queue(&daemon);
    assert_eq!(state["paused"], true, "{state}");
    assert_eq!(
        (&state["queued"], &state["live"]),
        (&2.into(), &0.into()),
        "{state}"
    );
    assert_eq!(queued(&daemon), [b.clone(), a.clone()]);

    daemon
        .ctl(&["queue", "move", &a, "--priority", "50"])
        .expect_code(0);
    assert_eq!(queued(&daemon), [a.clone(), b.clone()]);
    let ps = daemon.ctl(&["ps"]).text();
    assert!(ps.contains("PRIORITY"), "{ps}");
    let first = queued(&daemon).remove(0);
    daemon.ctl(&["dequeue", "--queue", "q"]).expect_code(0);
    assert_eq!(daemon.wait_end(&first)["status"], "aborted");
    daemon.ctl(&["queue", "resume", "q"]).expect_code(0);
    let last = if first == a { &b } else { &a };
    until("the last one to live", || {
        (daemon.status(last)["status"] == "running").then_some(())
    });
    daemon.ctl(&["dequeue", last]).expect_code(1);

    // The queue is full, and this one does not care.
    let file = daemon.dag("d", &text);
    let now = daemon.json(&["run", "--detach", "--now", &file]);
    let now = format!("d:{}", text_of(&now["run_id"]));
    until("the one that starts at once to live", || {
        (daemon.status(&now)["status"] == "running").then_some(())
    });
    assert_eq!(queue(&daemon)["live"], 2);
    std::fs::write(daemon.path("go"), "").unwrap();
    for run in [last, &c, &now] {
        daemon.wait_success(run);
    }
    daemon.expect_clean();
}

#[test]
fn a_run_that_starts_at_once_is_told_as_the_first() {
    let daemon = Daemon::start("[queues.q]\nmax_active_runs = 1\n");
    let text = waits(&daemon);
    daemon.ctl(&["queue", "pause", "q"]).expect_code(0);
    let high = enqueue(&daemon, "a", &text, &["--priority", "high"]);
    let file = daemon.dag("b", &text);
    let now = daemon.json(&["run", "--detach", "--now", &file]);
    let now = format!("b:{}", text_of(&now["run_id"]));
    assert_eq!(queued(&daemon), [now.clone(), high.clone()]);
    let told = why(&daemon, &now);
    assert!(
        told.contains("(--now)") && !told.contains("goes before it"),
        "{told}"
    );
    let told = why(&daemon, &high);
    assert!(
        told.contains(&format!("goes before it: {now}, which starts at once (--now)")),
        "{told}"
    );
    let list = daemon.ctl(&["queue", "list", "q"]).text();
    assert_eq!(list.matches("(--now)").count(), 1, "{list}");
    let runs = daemon.json(&["queue", "list", "q"]);
    assert_eq!(
        (&runs["runs"][0]["now"], &runs["runs"][1]["now"]),
        (&true.into(), &false.into()),
        "{runs:#}"
    );
    daemon.ctl(&["dequeue", "--queue", "q"]).expect_code(0);
    daemon.expect_clean();
}

#[test]
fn a_queue_that_is_configured_anew_has_its_capacity_at_once() {
    let daemon = Daemon::start("[queues.q]\nmax_active_runs = 1\n");
    let text = waits(&daemon);
    let a = enqueue(&daemon, "a", &text, &[]);
    let b = enqueue(&daemon, "b", &text, &[]);
    until("the first one to live", || {
        (daemon.status(&a)["status"] == "running").then_some(())
    });
    assert_eq!(queued(&daemon), std::slice::from_ref(&b));
    daemon.configure("[queues.q]\nmax_active_runs = 2\n");
    daemon.ctl(&["reload"]).expect_code(0);
    until("the second one to live, too", || {
        (daemon.status(&b)["status"] == "running").then_some(())
    });
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&a);
    daemon.wait_success(&b);
    daemon.expect_clean();
}

#[test]
fn a_queue_that_nobody_configured_is_a_warning_and_can_be_paused() {
    let daemon = Daemon::start("[queues.q]\nmax_active_runs = 2\n");
    let file = daemon.dag("a", "queue: typo\nsteps: [{name: a, command: 'true'}]\n");
    let answer = daemon.json(&["run", "--detach", &file]);
    assert_eq!(
        answer["warnings"][0]["message"], "queue typo is not configured: it has 1 place",
        "{answer:#}"
    );
    let answer = daemon.json(&["run", "--detach", "--queue", "q", &file]);
    assert_eq!(answer["warnings"][0], Value::Null, "{answer:#}");
    let out = daemon.ctl(&["enqueue", &file]).expect_code(0);
    assert!(out.stderr.contains("warning: queue typo is not"), "{out:?}");
    let out = daemon.ctl(&["queue", "pause", "another"]).expect_code(0);
    assert!(out.stderr.contains("not configured and holds no runs"), "{out:?}");
    daemon.ctl(&["queue", "pause", "q"]).expect_code(0);
    let run = enqueue(
        &daemon,
        "a",
        "queue: q\nsteps: [{name: a, command: 'true'}]\n",
        &[],
    );
    let answer = daemon.json(&["queue", "move", &run, "--queue", "another"]);
    assert_eq!(
        answer["warnings"][0]["message"], "queue another is not configured: it has 1 place",
        "{answer:#}"
    );
    daemon.ctl(&["dequeue", &run]).expect_code(0);
    daemon.wait_end(&run);
    daemon.expect_clean();
}
