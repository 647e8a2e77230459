//! Trees of runs and their ends: stops, time limits, deaths, restarts of the daemon and broken channels in the middle.

use serde_json::Value;

use crate::calls::{children, gated, wait_children};
use crate::helper::{Daemon, alive, break_lines, is_root, lines, pause, read, signal, skip, until};

/// A tree of three levels whose leaf, told to stop, says so and ends when it may.
fn slow_tree(daemon: &Daemon) -> String {
    format!(
        "max_active_runs: 1\nsteps:\n  - call: middle\n---\nname: middle\nsteps:\n  - call: leaf\n---\nname: leaf\n\
         max_clean_up_time_sec: 600\nsteps:\n  - script: |\n      set +e; trap \"echo TERM >> {told}\" TERM\n      {}\n",
        gated(daemon, "begun", "go"),
        told = daemon.path("told").display(),
    )
}

/// Kills the shim of the root, or of the run that it called. Whatever the daemon hears meanwhile, the tree is over, its slot
/// free and its root waited for only when the leaf is gone, too.
fn dead_run_in_a_slow_tree(kill_root: bool, restart: bool) {
    let mut daemon = Daemon::start("");
    let text = slow_tree(&daemon);
    let run = daemon.submit("root", &text);
    daemon.wait_file("begun");
    let middle = wait_children(&daemon, &run, "running", 1).remove(0);
    let second = daemon.submit("root", &text);
    let dead = if kill_root { &run } else { &middle };
    signal(daemon.shim(dead), libc::SIGKILL);
    daemon.wait_file("told");
    until("the loss to be known", || {
        (daemon.status(dead)["lost"] == "supervisor killed by SIGKILL").then_some(())
    });
    if restart {
        daemon.kill9();
        daemon.restart();
    }
    let waiting = daemon.begin(&["wait", &run]);
    // What would be wrong would come at once, so this is asked often enough to see it.
    for _ in 0..10 {
        pause(20);
        assert_eq!(daemon.status(&second)["status"], "queued");
        assert!(alive(waiting.pid()));
    }
    if !kill_root {
        assert_eq!(
            daemon.status(&run)["status"],
            "running",
            "its sub-run is not over"
        );
    }
    std::fs::write(daemon.path("go"), "").unwrap();
    let code = if kill_root { 5 } else { 1 };
    assert_eq!(waiting.finish().code(), code);
    daemon.wait_success(&second);
    assert_eq!(lines(&daemon.path("told")), 1, "one request, one signal");
    daemon.expect_clean();
}

#[test]
fn a_stop_of_the_root_stops_the_whole_tree() {
    let daemon = Daemon::start("");
    let text = format!(
        "steps:\n  - call: middle\n---\nname: middle\nsteps:\n  - call: leaf\n    parallel: [1, 2, 3]\n---\nname: leaf\n\
         steps:\n  - command: {}\nhandler_on:\n  abort: echo $1 >> {}\n",
        gated(&daemon, "begun", "never"),
        daemon.path("aborted").display()
    );
    let run = daemon.submit("root", &text);
    until("three leaves", || {
        (lines(&daemon.path("begun")) == 3).then_some(())
    });
    daemon.ctl(&["stop", &run]).expect_code(0);
    let result = daemon.wait_end(&run);
    assert_eq!(result["status"], "aborted", "{result:#}");
    let middle = &children(&result, 0)[0];
    assert_eq!(middle["status"], "aborted", "{result:#}");
    for leaf in children(middle, 0) {
        assert_eq!(leaf["status"], "aborted", "{result:#}");
        assert_eq!(leaf["stopped"], "stopped with the run that called it");
    }
    assert_eq!(lines(&daemon.path("aborted")), 3, "their handlers ran");
    for pid in read(&daemon.path("begun")).lines() {
        assert!(!alive(pid.parse().unwrap()));
    }
    daemon.expect_clean();
}

#[test]
fn channels_that_break_are_made_again_and_nothing_is_lost() {
    if !is_root() {
        return skip("only root may reach into a process for its descriptors");
    }
    let daemon = Daemon::start("");
    let (out, go) = (daemon.path("out"), daemon.path("go"));
    // Each item fails once and waits for its retry, so that a slot is given back, asked for and granted, too.
    let text = format!(
        "steps:\n  - call: child\n    parallel: {{items: [1, 2, 3, 4, 5, 6], max_concurrent: 2}}\n    output: ALL\n---\n\
         name: child\nsteps:\n  - command: {}\n  - command: echo $1 >> {out}; test $(grep -c $1 {out}) -ge 2\n    \
         retry_policy: {{limit: 1, interval_sec: 1}}\n  - command: echo got $1\n    output: GOT\n",
        gated(&daemon, "begun", "go"),
        out = out.display()
    );
    let run = daemon.submit("parent", &text);
    until("two of them to have begun", || {
        (lines(&daemon.path("begun")) == 2).then_some(())
    });
    let root = daemon.shim(&run);
    assert_eq!(break_lines(root, daemon.pid()), 1);
    std::fs::write(go, "").unwrap();
    let mut broken = 0;
    while alive(root) {
        pause(40);
        let live = daemon.json(&["ps"]);
        for run in live["runs"].as_array().unwrap() {
            if let Some(shim) = run["pid"].as_u64() {
                broken += break_lines(shim.try_into().unwrap(), daemon.pid());
            }
        }
    }
    assert!(broken > 10, "{broken}");
    let result = daemon.wait_success(&run);
    for (index, child) in children(&result, 0).iter().enumerate() {
        assert_eq!(
            child["outputs"]["got"],
            format!("got {}", index + 1),
            "{result:#}"
        );
    }
    assert_eq!(lines(&out), 12);
    daemon.expect_clean();
}

#[test]
fn a_restart_of_the_daemon_in_the_grace_period_of_a_tree_cuts_nothing_short() {
    let mut daemon = Daemon::start("");
    // A leaf that is told to stop says so, and ends in its own time.
    let text = format!(
        "max_clean_up_time_sec: 600\nsteps:\n  - call: middle\n---\nname: middle\nmax_clean_up_time_sec: 600\nsteps:\n  \
         - call: leaf\n    parallel: [1, 2, 3]\n---\nname: leaf\nmax_clean_up_time_sec: 600\nsteps:\n  - script: |\n      \
         set +e; trap \"echo TERM >> {told}\" TERM\n      {}\n      echo done >> {done}\n",
        gated(&daemon, "begun", "go").replace("go ]", "go$1 ]"),
        told = daemon.path("told").display(),
        done = daemon.path("done").display()
    );
    let run = daemon.submit("root", &text);
    let begun = |name: &str| lines(&daemon.path(name)) == 3;
    until("three leaves", || begun("begun").then_some(()));
    daemon.ctl(&["stop", &run]).expect_code(0);
    until("three leaves to be told", || begun("told").then_some(()));
    let middle = wait_children(&daemon, &run, "running", 1).remove(0);
    for item in 1..=3 {
        daemon.kill9();
        daemon.restart();
        std::fs::write(daemon.path(&format!("go{item}")), "").unwrap();
        // That the daemon knows of an end means that the supervisors have heard everything from it again.
        wait_children(&daemon, &middle, "aborted", item);
    }
    let result = daemon.wait_end(&run);
    assert_eq!(result["status"], "aborted", "{result:#}");
    assert_eq!(lines(&daemon.path("told")), 3, "one request, one signal");
    assert_eq!(lines(&daemon.path("done")), 3, "nothing was killed");
    daemon.expect_clean();
}

#[test]
fn a_time_limit_of_the_calling_step_ends_what_it_called() {
    let daemon = Daemon::start("");
    let text = format!(
        "steps:\n  - call: child\n    timeout_sec: 1\n---\nname: child\nsteps:\n  - command: {}\n",
        gated(&daemon, "begun", "never")
    );
    let result = daemon.wait_end(&daemon.submit("limit", &text));
    assert_eq!(result["status"], "failed", "{result:#}");
    assert_eq!(result["steps"][0]["exit_code"], 124, "{result:#}");
    assert_eq!(children(&result, 0)[0]["status"], "aborted", "{result:#}");
    daemon.expect_clean();
}

#[test]
fn a_dead_root_takes_its_sub_runs_with_it() {
    let daemon = Daemon::start("");
    let text = format!(
        "steps:\n  - call: middle\n---\nname: middle\nsteps:\n  - call: leaf\n    parallel: [1, 2]\n---\nname: leaf\n\
         steps:\n  - command: {}\n",
        gated(&daemon, "begun", "never")
    );
    let run = daemon.submit("root", &text);
    until("two leaves", || (lines(&daemon.path("begun")) == 2).then_some(()));
    let middle = wait_children(&daemon, &run, "running", 1).remove(0);
    signal(daemon.shim(&run), libc::SIGKILL);
    let result = daemon.wait_end(&run);
    assert_eq!(result["lost"], "supervisor killed by SIGKILL", "{result:#}");
    let middle = until("the end of what it called", || {
        let view = daemon.status(&middle);
        (view["finished_at"] != Value::Null).then_some(view)
    });
    assert_eq!(middle["status"], "aborted", "{middle:#}");
    assert!(
        children(&middle, 0)
            .iter()
            .all(|leaf| leaf["status"] == "aborted"),
        "{middle:#}"
    );
    daemon.expect_clean();
}

#[test]
fn a_further_stop_ends_what_a_dead_root_has_left() {
    let daemon = Daemon::start("");
    let run = daemon.submit("root", &slow_tree(&daemon));
    daemon.wait_file("begun");
    let client = daemon.begin(&["wait", &run]);
    signal(daemon.shim(&run), libc::SIGKILL);
    daemon.wait_file("told");
    until("the loss to be known", || {
        (daemon.status(&run)["lost"] == "supervisor killed by SIGKILL").then_some(())
    });
    let listed = daemon.json(&["ps"]);
    assert_eq!(listed["runs"].as_array().unwrap().len(), 3, "{listed:#}");
    daemon.ctl(&["stop", &run]).expect_code(0);
    assert_eq!(client.finish().code(), 5);
    let late = daemon.ctl(&["stop", &run]).expect_code(1);
    assert!(late.stderr.contains("has ended already"), "{late:?}");
    daemon.expect_clean();
}

#[test]
fn a_dead_root_keeps_its_slot_until_the_last_of_its_tree_is_gone() {
    dead_run_in_a_slow_tree(true, false);
}

#[test]
fn a_dead_root_keeps_its_slot_over_a_restart_until_the_last_of_its_tree_is_gone() {
    dead_run_in_a_slow_tree(true, true);
}

#[test]
fn a_call_is_not_over_before_what_its_dead_sub_run_called_is_gone() {
    dead_run_in_a_slow_tree(false, false);
}

#[test]
fn a_call_is_not_over_after_a_restart_before_what_its_dead_sub_run_called_is_gone() {
    dead_run_in_a_slow_tree(false, true);
}

#[test]
fn a_restart_of_the_daemon_in_the_middle_changes_nothing() {
    let mut daemon = Daemon::start("");
    let out = daemon.path("out");
    let text = format!(
        "steps:\n  - call: child\n    parallel: {{items: [1, 2, 3, 4, 5], max_concurrent: 2}}\n    output: ALL\n---\n\
         name: child\nsteps:\n  - command: {}\n  - command: echo $1 | tee -a {}\n    output: GOT\n",
        gated(&daemon, "begun", "go"),
        out.display()
    );
    let run = daemon.submit("parent", &text);
    until("two of them", || {
        (lines(&daemon.path("begun")) == 2).then_some(())
    });
    daemon.kill9();
    std::fs::write(daemon.path("go"), "").unwrap();
    // They end while nobody is there to be told.
    until("the end of two", || (lines(&out) == 2).then_some(()));
    daemon.restart();
    let result = daemon.wait_success(&run);
    assert_eq!(lines(&out), 5, "each ran once\n{}", daemon.log());
    let all: Value = serde_json::from_str(result["steps"][0]["variables"]["ALL"].as_str().unwrap()).unwrap();
    assert_eq!(all["summary"]["succeeded"], 5);
    let mut got: Vec<&str> = all["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["GOT"].as_str().unwrap())
        .collect();
    got.sort_unstable();
    assert_eq!(got, ["1", "2", "3", "4", "5"]);
    for child in children(&result, 0) {
        assert_eq!(child["attempt"], 1, "{result:#}");
    }
    daemon.expect_clean();
}

#[test]
fn a_stop_while_the_daemon_is_away_ends_the_tree_when_it_is_back() {
    let mut daemon = Daemon::start("");
    let text = format!(
        "max_clean_up_time_sec: 1\nsteps:\n  - call: child\n---\nname: child\nsteps:\n  - command: {}\n",
        gated(&daemon, "begun", "never")
    );
    let run = daemon.submit("parent", &text);
    daemon.wait_file("begun");
    let child = wait_children(&daemon, &run, "running", 1).remove(0);
    let shim = daemon.shim(&run);
    daemon.kill9();
    signal(shim, libc::SIGTERM);
    until("the end of the calling shim", || (!alive(shim)).then_some(()));
    daemon.restart();
    let result = daemon.wait_end(&run);
    assert_eq!(result["status"], "aborted", "{result:#}");
    let view = until("the end of the sub-run", || {
        let view = daemon.status(&child);
        (view["finished_at"] != Value::Null).then_some(view)
    });
    assert_eq!(view["status"], "aborted", "{view:#}");
    daemon.expect_clean();
}
