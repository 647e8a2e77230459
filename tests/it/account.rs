//! What attempts use, and what brought them to a bad end (P19, P20), as far as any kernel can tell.

mod controllers;

use serde_json::{Value, json};

use crate::helper::{Daemon, alive, read, signal, skip, text_of, until};
use crate::verbs::why;

/// A step that uses a little time, says that it has, and waits for the file `go`.
fn busy(daemon: &Daemon) -> String {
    format!(
        "steps:\n  - name: busy\n    script: |\n      i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done\n      \
         echo $$ > {begun}.tmp; mv {begun}.tmp {begun}\n      while [ ! -e {go} ]; do sleep 0.02; done\n",
        begun = daemon.path("begun").display(),
        go = daemon.path("go").display()
    )
}

fn go(daemon: &Daemon) {
    std::fs::write(daemon.path("go"), "").unwrap();
}

/// CPU time in user mode, in microseconds.
fn cpu(of: &Value) -> Option<u64> {
    of["usage"]["cpu_user_usec"].as_u64()
}

/// What is known of the run's use once nothing is left of it.
fn used(daemon: &Daemon, run: &str) -> Value {
    daemon.expect_clean();
    daemon.status(run)
}

#[test]
fn what_a_run_used_is_told_everywhere_and_what_nobody_knows_is_not_nothing() {
    let daemon = Daemon::start("[cgroup]\nenabled = false\n");
    let run = daemon.submit("busy", &busy(&daemon));
    go(&daemon);
    daemon.wait_success(&run);
    let status = used(&daemon, &run);
    assert!(cpu(&status).is_some_and(|usec| usec > 0), "{status:#}");
    let usage = &status["usage"];
    assert!(
        usage["rss_max"].as_u64().is_some_and(|bytes| bytes >= 256 * 1024),
        "{usage:#}"
    );
    for unknown in ["mem_peak", "pids_peak", "oom_kills", "pids_refused"] {
        assert_eq!(usage[unknown], Value::Null, "{usage:#}");
    }
    assert_eq!(status["cause"], Value::Null);
    let list = daemon.json(&["history"]);
    assert_eq!(&list["runs"][0]["usage"], usage, "{list:#}");
    let attempts = daemon.json(&["history", &run]);
    assert_eq!(&attempts["attempts"][0]["usage"], usage, "{attempts:#}");

    let told = daemon.ctl(&["status", &run]).expect_code(0).stdout;
    let line = told.lines().find(|line| line.starts_with("used")).unwrap();
    assert!(
        line.contains("CPU ") && line.contains("memory of the largest process"),
        "{line}"
    );
    assert!(line.ends_with("; not known: tasks"), "{line}");
    for args in [vec!["history", "--long"], vec!["history", "--long", &run]] {
        let table = daemon.ctl(&args).expect_code(0).stdout;
        let mut rows = table.lines();
        assert!(rows.next().unwrap().contains("CPU"), "{table}");
        assert!(rows.next().unwrap().contains('?'), "{table}");
    }
    let short = daemon.ctl(&["history"]).expect_code(0).stdout;
    assert!(!short.contains("CPU"), "{short}");
    assert!(daemon.doctor_value("CPU milliseconds used") < 60_000);
}

#[test]
fn what_an_attempt_without_an_end_used_is_in_its_cgroup() {
    let daemon = Daemon::start("");
    if daemon.cgroup().is_none() {
        skip("no cgroups can be made here");
        return;
    }
    let run = daemon.submit("busy", &busy(&daemon));
    daemon.wait_file("begun");
    signal(daemon.shim(&run), libc::SIGKILL);
    let result = daemon.wait_end(&run);
    assert_eq!(
        result["cause"],
        json!({ "kind": "lost", "step": null }),
        "{result:#}"
    );
    assert_eq!(result["steps"][0]["cause"], json!({ "kind": "lost" }));
    // The supervisor has not said anything of it.
    let status = used(&daemon, &run);
    assert!(cpu(&status).is_some_and(|usec| usec > 0), "{status:#}");
    assert_eq!(status["usage"]["rss_max"], Value::Null, "{status:#}");
    let list = daemon.json(&["history", "--status", "lost"]);
    assert_eq!(list["runs"][0]["cause"]["kind"], "lost", "{list:#}");
}

#[test]
fn what_an_attempt_used_that_ended_without_a_daemon_is_known_to_the_next_one() {
    for die in [false, true] {
        let mut daemon = Daemon::start("");
        if daemon.cgroup().is_none() {
            skip("no cgroups can be made here");
            return;
        }
        let run = daemon.submit("busy", &busy(&daemon));
        daemon.wait_file("begun");
        let shim = daemon.shim(&run);
        daemon.kill9();
        if die {
            signal(shim, libc::SIGKILL);
        } else {
            go(&daemon);
        }
        until("the end of the shim", || (!alive(shim)).then_some(()));
        daemon.restart();
        let result = daemon.wait_end(&run);
        assert_eq!(
            text_of(&result["status"]),
            if die { "failed" } else { "succeeded" }
        );
        let status = used(&daemon, &run);
        assert!(cpu(&status).is_some_and(|usec| usec > 0), "{status:#}");
        assert_eq!(status["usage"]["rss_max"].is_null(), die, "{status:#}");
    }
}

#[test]
fn each_bad_end_has_its_cause() {
    let daemon = Daemon::start("");
    let kind = |name: &str, text: &str| {
        let run = daemon.submit(name, text);
        let result = daemon.wait_end(&run);
        let step = result["steps"][0]["cause"].clone();
        let list = daemon.json(&["history", name]);
        assert_eq!(list["runs"][0]["cause"], result["cause"], "{name}");
        let attempts = daemon.json(&["history", &run]);
        assert_eq!(attempts["attempts"][0]["cause"], result["cause"], "{name}");
        (step, result["cause"].clone(), run)
    };
    let of_step = |mut cause: Value| {
        let step = cause.clone();
        cause["step"] = json!("a");
        (step, cause)
    };
    let (step, run, _) = kind(
        "code",
        "steps: [{name: a, command: exit 3}, {name: b, command: 'true'}]",
    );
    assert_eq!((step, run), of_step(json!({ "kind": "exit", "exit_code": 3 })));
    let (step, run, _) = kind("signal", "steps: [{name: a, command: 'kill -USR1 $$'}]");
    let usr1 = json!({ "kind": "signal", "signal": "SIGUSR1", "core_dumped": false });
    assert_eq!((step, run), of_step(usr1));
    let slow = "command: exec sleep 1000";
    let (step, run, _) = kind("slow", &format!("steps: [{{name: a, timeout_sec: 1, {slow}}}]"));
    assert_eq!((step, run), of_step(json!({ "kind": "step_timeout" })));
    let (step, run, name) = kind("late", &format!("timeout_sec: 1\nsteps: [{{name: a, {slow}}}]"));
    assert_eq!(step, json!({ "kind": "run_timeout" }));
    assert_eq!(run, json!({ "kind": "run_timeout", "step": null }));
    let told = why(&daemon, &name);
    assert!(told.contains("time limit"), "{told}");

    let stopped = daemon.submit("stopped", &format!("steps: [{{name: a, {slow}}}]"));
    daemon.shim(&stopped);
    daemon.ctl(&["stop", &stopped]).expect_code(0);
    let result = daemon.wait_end(&stopped);
    assert_eq!(
        result["cause"],
        json!({ "kind": "stopped", "step": null }),
        "{result:#}"
    );
    let uid = proctor::sys::creds::effective_uid();
    assert_eq!(
        result["stopped"],
        format!("stopped by user id {uid}"),
        "{result:#}"
    );

    let upstream =
        "type: graph\nsteps: [{name: a, command: 'false'}, {name: b, depends: a, command: 'true'}]";
    let run = daemon.submit("upstream", upstream);
    let result = daemon.wait_end(&run);
    assert_eq!(
        result["steps"][1]["cause"],
        json!({ "kind": "upstream" }),
        "{result:#}"
    );

    let well = daemon.submit("well", "steps: [{name: a, command: 'true'}]");
    let result = daemon.wait_success(&well);
    assert_eq!(
        (&result["cause"], &result["steps"][0]["cause"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn a_core_dump_is_told() {
    let pattern = read("/proc/sys/kernel/core_pattern".as_ref());
    let limit = proctor::sys::creds::get_rlimit(proctor::sys::creds::Limit::Core).unwrap();
    if pattern.trim() != "core" || limit.1 == 0 {
        skip("cores are not dumped into the working directory here");
        return;
    }
    let daemon = Daemon::start("");
    let text = format!(
        "working_dir: {}\nsteps: [{{name: a, command: 'ulimit -c {}; kill -SEGV $$'}}]",
        daemon.path("src").display(),
        if limit.1 == u64::MAX {
            "unlimited".to_owned()
        } else {
            (limit.1 / 512).to_string()
        }
    );
    let run = daemon.submit("core", &text);
    let result = daemon.wait_end(&run);
    let cause = json!({ "kind": "signal", "signal": "SIGSEGV", "core_dumped": true });
    assert_eq!(result["steps"][0]["cause"], cause, "{result:#}");
    let error = text_of(&result["steps"][0]["error"]);
    assert!(error.contains("killed by SIGSEGV (core dumped)"), "{error}");
    let told = why(&daemon, &run);
    assert!(told.contains("killed by SIGSEGV (core dumped)"), "{told}");
}
