//! The daemon dies at any moment: attempts go on, their ends are collected, what was never started is started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::helper::{Control, Daemon, Rng, alive, lines, pause, read, signal, until};

/// A step each that appends its name to the run's own file.
fn three_steps(out: &Path) -> String {
    let mut text = String::from("type: graph\nsteps:\n");
    for (name, after) in [("one", ""), ("two", "[one]"), ("three", "[two]")] {
        text.push_str(&format!(
            "  - name: {name}\n    command: sleep 0.05; echo {name} >> {}/$DAG_RUN_ID\n",
            out.display()
        ));
        if !after.is_empty() {
            text.push_str(&format!("    depends: {after}\n"));
        }
    }
    text
}

/// Submits runs, again and again as the daemon dies, until each is accepted.
fn submit_all(socket: &Path, source: &str, count: usize) {
    let mut accepted = 0;
    while accepted < count {
        let mut control = until("a daemon to submit to", || Control::try_connect(socket));
        while accepted < count {
            match control.submit("many", &format!("r{accepted}"), source) {
                // It was accepted before the daemon died, and nobody was told.
                Ok(answer) if answer["error"]["kind"] == "exists" => accepted += 1,
                Ok(answer) => {
                    assert!(answer.get("accepted").is_some(), "{answer:#}");
                    accepted += 1;
                }
                Err(_) => break,
            }
        }
    }
}

#[test]
fn two_hundred_attempts_survive_ten_deaths_of_the_daemon_and_each_step_runs_exactly_once() {
    const RUNS: usize = 200;
    let mut rng = Rng::new();
    let mut daemon = Daemon::start("[queue]\nmax_active_runs = 0\nmax_live_attempts = 24\n");
    let out = daemon.path("out");
    std::fs::create_dir(&out).unwrap();
    let source = three_steps(&out);
    let socket = daemon.path("run/proctor/control.sock");
    let submitter = {
        let (socket, source): (PathBuf, String) = (socket, source);
        std::thread::spawn(move || submit_all(&socket, &source, RUNS))
    };
    for _ in 0..10 {
        pause(20 + rng.below(600));
        daemon.kill9();
        // Now and then attempts end while there is no daemon.
        pause(rng.below(200));
        daemon.restart();
    }
    submitter.join().unwrap();
    let mut statuses = BTreeMap::new();
    until("the end of every run", || {
        let history = daemon.json(&["history", "--limit", "1000"]);
        statuses.clear();
        for run in history["runs"].as_array().unwrap() {
            let status = run["status"].as_str().unwrap().to_owned();
            statuses
                .entry(status)
                .or_insert_with(Vec::new)
                .push(format!("{} {} {}", run["run_id"], run["attempt"], run["error"]));
        }
        let over = !statuses.contains_key("running") && !statuses.contains_key("queued");
        if !over {
            pause(200);
        }
        over.then_some(())
    });
    assert_eq!(
        statuses["succeeded"].len(),
        RUNS,
        "{statuses:#?}\n{}",
        daemon.log()
    );
    for run in 0..RUNS {
        let text = read(&out.join(format!("r{run}")));
        assert_eq!(text, "one\ntwo\nthree\n", "r{run}\n{}", daemon.log());
    }
    daemon.expect_clean();
}

#[test]
fn an_attempt_that_ends_while_there_is_no_daemon_is_collected_by_the_next_one() {
    let mut daemon = Daemon::start("");
    let go = daemon.path("go");
    let text = format!(
        "steps:\n  - name: a\n    command: echo $$ > {}; while [ ! -e {} ]; do sleep 0.05; done; exit 7\n",
        daemon.path("pid").display(),
        go.display()
    );
    let run = daemon.submit("ends", &text);
    daemon.wait_file("pid");
    let shim = daemon.shim(&run);
    daemon.kill9();
    std::fs::write(&go, "").unwrap();
    until("the end of the shim", || (!alive(shim)).then_some(()));
    daemon.restart();
    let result = daemon.wait_end(&run);
    assert_eq!(result["status"], "failed", "{result:#}");
    assert_eq!(result["lost"], serde_json::Value::Null, "{result:#}");
    assert_eq!(result["steps"][0]["exit_code"], 7, "{result:#}");
    daemon.expect_clean();
}

#[test]
fn a_run_that_was_accepted_and_never_launched_is_launched_by_the_next_daemon() {
    let mut daemon = Daemon::start("[queue]\nmax_active_runs = 1\n");
    let (go, out) = (daemon.path("go"), daemon.path("out"));
    let text = format!(
        "steps:\n  - name: a\n    command: while [ ! -e {} ]; do sleep 0.05; done; echo $DAG_RUN_ID >> {}\n",
        go.display(),
        out.display()
    );
    let first = daemon.submit("queued", &text);
    daemon.shim(&first);
    let second = daemon.submit("queued", &text);
    assert_eq!(daemon.status(&second)["status"], "queued");
    daemon.kill9();
    std::fs::write(&go, "").unwrap();
    daemon.restart();
    daemon.wait_success(&first);
    daemon.wait_success(&second);
    assert_eq!(lines(&out), 2);
    // And at the very moment of the acceptance.
    for number in 0..3 {
        let name = format!("now{number}");
        let run = daemon.submit(&name, &text);
        daemon.kill9();
        daemon.restart();
        daemon.wait_success(&run);
    }
    assert_eq!(lines(&out), 5, "{}", read(&out));
    daemon.expect_clean();
}

#[test]
fn an_embedded_run_that_is_told_to_terminate_is_aborted_and_leaves_nothing_running() {
    let daemon = Daemon::prepare("");
    let pid = daemon.path("pid");
    let file = daemon.dag(
        "embedded",
        &format!(
            "steps:\n  - name: a\n    command: echo $$ > {}; sleep 1000\n",
            pid.display()
        ),
    );
    let run = daemon.begin(&["--json", "run", "--embedded", &file]);
    let step: u32 = daemon.wait_file("pid").parse().unwrap();
    signal(run.pid(), libc::SIGTERM);
    let out = run.finish().expect_code(3);
    assert_eq!(out.json()["status"], "aborted", "{out:?}");
    until("the end of the step", || (!alive(step)).then_some(()));
    until("the end of the private daemon", || {
        daemon.remains().is_empty().then_some(())
    });
}

#[test]
fn an_embedded_run_leaves_nothing_running() {
    let daemon = Daemon::prepare("");
    let file = daemon.dag("hello", "steps: [{name: a, command: echo hello}]");
    let out = daemon.ctl(&["--json", "run", "--embedded", &file]).expect_code(0);
    assert_eq!(out.json()["status"], "succeeded");
    until("the end of the private daemon", || {
        daemon.remains().is_empty().then_some(())
    });
}
