//! The same where the controllers of memory and processes are on: what the kernel takes and refuses is told with its limit.
//!
//! The tests turn the controllers on and write the limits into the attempt's cgroup themselves. Where that cannot be done
//! (controllers bound to cgroup v1, no root) they say so.

use std::fs::{File, read_to_string, write};
use std::path::{Path, PathBuf};

use proctor::journal::Reader;
use proctor::model::Fact;
use serde_json::{Value, json};

use super::{busy, go, used};
use crate::helper::{Daemon, files_below, is_root, signal, skip, text_of, until};
use crate::verbs::why;

/// Turns controllers on for the attempts of a daemon; none if that cannot be done here.
fn with_controllers(wanted: &[&str]) -> Option<Daemon> {
    if !is_root() {
        skip("only root can turn controllers on");
        return None;
    }
    let daemon = Daemon::start("");
    let Some(dir) = daemon.cgroup() else {
        skip("no cgroups can be made here");
        return None;
    };
    let parents: Vec<&Path> = dir
        .ancestors()
        .take_while(|dir| dir.join("cgroup.subtree_control").exists())
        .collect();
    for parent in parents.iter().rev() {
        for name in wanted {
            // What cannot be turned on here is seen below.
            drop(write(parent.join("cgroup.subtree_control"), format!("+{name}")));
        }
    }
    let on = read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
    if wanted
        .iter()
        .all(|name| on.split_whitespace().any(|word| word == *name))
    {
        return Some(daemon);
    }
    skip(&format!(
        "of the controllers {wanted:?} only [{}] can be turned on",
        on.trim()
    ));
    None
}

/// The cgroup of the one attempt there is.
fn cgroup(daemon: &Daemon) -> PathBuf {
    until("the attempt's cgroup", || daemon.cgroups().pop())
}

/// Starts a run whose step waits for `go` before it does this, and limits its attempt before that.
fn limited(daemon: &Daemon, then: &str, file: &str, limit: &str) -> String {
    let run = daemon.submit("limited", &(busy(daemon) + "      " + then + "\n"));
    daemon.wait_file("begun");
    write(cgroup(daemon).join(file), limit).unwrap();
    go(daemon);
    run
}

const LIMIT: &str = "33554432";

fn oom(victim: &str, of: &str, limit: Option<u64>) -> Value {
    json!({ "kind": "out_of_memory", "killed": 1, "victim": victim, "out_of_memory": of, "memory_max": limit })
}

#[test]
fn a_step_that_the_out_of_memory_killer_takes_says_so_and_names_the_limit() {
    let Some(daemon) = with_controllers(&["memory"]) else {
        return;
    };
    let run = limited(&daemon, "exec tail /dev/zero", "memory.max", LIMIT);
    let result = daemon.wait_end(&run);
    let step = &result["steps"][0];
    let error = text_of(&step["error"]);
    assert!(
        error.starts_with("killed by the out-of-memory killer (SIGKILL); memory_max is 32 MiB"),
        "{error}"
    );
    assert_eq!(
        step["cause"],
        oom("own", "attempt", Some(33_554_432)),
        "{result:#}"
    );
    assert_eq!(result["cause"]["step"], "busy");
    let status = used(&daemon, &run);
    assert_eq!(status["usage"]["oom_kills"], 1, "{status:#}");
    let peak = status["usage"]["mem_peak"].as_u64().unwrap();
    assert!((16 << 20..=33_554_432).contains(&peak), "{peak}");
    assert_eq!(
        daemon.json(&["history"])["runs"][0]["cause"]["kind"],
        "out_of_memory"
    );
    let told = why(&daemon, &run);
    assert!(
        told.contains("killed by the out-of-memory killer (SIGKILL); memory_max is 32 MiB"),
        "{told}"
    );
    assert!(
        told.contains("the out-of-memory killer took 1 process of the attempt"),
        "{told}"
    );
}

#[test]
fn a_process_that_is_no_steps_own_is_told_with_the_exit_of_the_step() {
    let Some(daemon) = with_controllers(&["memory"]) else {
        return;
    };
    let run = limited(&daemon, "tail /dev/zero; exit $?", "memory.max", LIMIT);
    let result = daemon.wait_end(&run);
    let error = text_of(&result["steps"][0]["error"]);
    assert!(
        error.starts_with(
            "exit status 137; the out-of-memory killer took 1 process of the attempt meanwhile: memory_max is 32 MiB"
        ),
        "{error}"
    );
    assert_eq!(
        result["steps"][0]["cause"],
        oom("below", "attempt", Some(33_554_432))
    );
    assert_eq!(result["steps"][0]["exit_code"], 137);
}

#[test]
fn what_was_taken_is_in_the_journal_before_the_exit_of_the_process_that_outlived_it() {
    let Some(daemon) = with_controllers(&["memory"]) else {
        return;
    };
    let then = "tail /dev/zero || true\n  - name: next\n    command: exec sleep 1000";
    let run = limited(&daemon, then, "memory.max", LIMIT);
    until("the second step", || {
        daemon.status(&run)["steps"][1]["pid"].as_u64()
    });
    let files = files_below(daemon.root());
    let journal = files.iter().find(|file| file.ends_with("journal")).unwrap();
    let mut reader = Reader::new(File::open(journal).unwrap()).unwrap();
    let facts: Vec<Fact> = reader
        .read_new(1 << 20)
        .unwrap()
        .into_iter()
        .map(|record| record.fact)
        .collect();
    let place = |what: &dyn Fn(&Fact) -> bool| facts.iter().position(what);
    let told = place(&|fact| matches!(fact, Fact::Used { usage } if usage.oom_kills == Some(1)));
    let exited = place(&|fact| matches!(fact, Fact::NodeExited { .. }));
    assert!(told.is_some() && told < exited, "{facts:#?}");
    daemon.ctl(&["stop", &run]);
    daemon.wait_end(&run);
}

#[test]
fn which_of_several_steps_a_process_was_of_is_not_guessed() {
    let Some(daemon) = with_controllers(&["memory"]) else {
        return;
    };
    let path = |name: &str| daemon.path(name).display().to_string();
    // The third one has a child taken. The first one ends well after that, the second one fails on its own.
    let waits = |file: &str| format!("while [ ! -e {} ]; do sleep 0.02; done", path(file));
    let text = format!(
        "type: graph\nsteps:\n  - name: well\n    script: |\n      {taken}\n      echo yes > {well}\n  - name: badly\n    script: |\n      \
         {after}; exit 3\n  - name: loser\n    continue_on: {{failure: true}}\n    script: |\n      echo yes > {ready}\n      {go}\n      \
         tail /dev/zero || true\n      echo yes > {lost}\n      {after}; exit 4\n",
        taken = waits("lost"),
        well = path("well-is-done"),
        after = waits("go-on"),
        ready = path("ready"),
        go = waits("go"),
        lost = path("lost"),
    );
    let run = daemon.submit("several", &text);
    daemon.wait_file("ready");
    write(cgroup(&daemon).join("memory.max"), LIMIT).unwrap();
    go(&daemon);
    until("the end of the first step", || {
        (daemon.status(&run)["steps"][0]["status"] == "succeeded").then_some(())
    });
    write(daemon.path("go-on"), "").unwrap();
    let result = daemon.wait_end(&run);
    assert_eq!(result["steps"][0]["cause"], Value::Null, "{result:#}");
    for (step, code) in [(1, 3), (2, 4)] {
        let step = &result["steps"][step];
        assert_eq!(
            step["cause"],
            oom("unclear", "attempt", Some(33_554_432)),
            "{result:#}"
        );
        assert_eq!(step["exit_code"], code);
        let error = text_of(&step["error"]);
        assert!(
            error.contains("of this step or of another one that ran"),
            "{error}"
        );
    }
}

#[test]
fn when_a_cgroup_around_the_attempts_is_out_of_memory_the_attempts_limit_is_not_blamed() {
    let Some(daemon) = with_controllers(&["memory"]) else {
        return;
    };
    let around = daemon.cgroup().unwrap().join("memory.max");
    let run = daemon.submit("around", &(busy(&daemon) + "      exec tail /dev/zero\n"));
    daemon.wait_file("begun");
    write(around, "67108864").unwrap();
    go(&daemon);
    let result = daemon.wait_end(&run);
    let error = text_of(&result["steps"][0]["error"]);
    assert!(
        error.contains("the machine, or a cgroup around the attempts, was out of memory"),
        "{error}"
    );
    assert_eq!(result["steps"][0]["cause"], oom("own", "machine", None));
}

#[test]
fn a_supervisor_that_the_out_of_memory_killer_takes_is_told_from_one_that_somebody_killed() {
    let Some(daemon) = with_controllers(&["memory"]) else {
        return;
    };
    let run = daemon.submit("victim", &(busy(&daemon) + "      exec tail /dev/zero\n"));
    daemon.wait_file("begun");
    let shim = daemon.shim(&run);
    write(format!("/proc/{shim}/oom_score_adj"), "1000").unwrap();
    write(cgroup(&daemon).join("memory.max"), LIMIT).unwrap();
    go(&daemon);
    let result = daemon.wait_end(&run);
    assert_eq!(
        result["error"], "lost: supervisor killed by the out-of-memory killer",
        "{result:#}"
    );
    daemon.expect_clean();

    // What it took of a step before does not make it the murderer of the supervisor.
    let text = format!(
        "steps:\n  - name: first\n    continue_on: {{failure: true}}\n    script: |\n      echo yes > {ready}\n      \
         while [ ! -e {again} ]; do sleep 0.02; done\n      exec tail /dev/zero\n  - name: second\n    \
         command: exec sleep 1000\n",
        ready = daemon.path("ready").display(),
        again = daemon.path("again").display(),
    );
    let run = daemon.submit("survivor", &text);
    daemon.wait_file("ready");
    write(cgroup(&daemon).join("memory.max"), LIMIT).unwrap();
    write(daemon.path("again"), "").unwrap();
    until("the second step", || {
        daemon.status(&run)["steps"][1]["pid"].as_u64()
    });
    signal(daemon.shim(&run), libc::SIGKILL);
    let result = daemon.wait_end(&run);
    assert_eq!(
        result["error"], "lost: supervisor killed by SIGKILL",
        "{result:#}"
    );
    let told = why(&daemon, &run);
    assert!(told.contains("and the out-of-memory killer did not"), "{told}");
}

/// Whose limit it was is told as exactly as the kernel counts it.
fn expect_limit(cause: &Value, error: &str, limit: &str) {
    let exact = cause["limit_of"] == "attempt";
    let text = if exact {
        format!("pids_max is {limit}")
    } else {
        assert_eq!(cause["limit_of"], "unclear", "{cause}");
        format!("for its pids_max, which is {limit}, or for a limit around the attempt")
    };
    assert!(error.contains(&text), "{error}");
    let release = read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut parts = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let version = (parts.next().unwrap(), parts.next().unwrap());
    assert_eq!(exact, version >= (6, 11), "{release}");
}

#[test]
fn forks_that_are_refused_are_told_with_the_limit() {
    let Some(daemon) = with_controllers(&["pids"]) else {
        return;
    };
    let many = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; exit 7";
    let run = limited(&daemon, many, "pids.max", "6");
    let result = daemon.wait_end(&run);
    let cause = &result["steps"][0]["cause"];
    assert_eq!(
        (&cause["kind"], &cause["pids_max"]),
        (&json!("pids_limit"), &json!(6)),
        "{result:#}"
    );
    let error = text_of(&result["steps"][0]["error"]);
    expect_limit(cause, error, "6");
    assert!(error.contains("refused meanwhile: "), "{error}");
    let status = used(&daemon, &run);
    assert!(status["usage"]["pids_refused"].as_u64() >= Some(1), "{status:#}");
    let told = why(&daemon, &run);
    assert!(
        told.contains("pids_max") && told.contains("refused by a limit of processes"),
        "{told}"
    );
}

#[test]
fn a_limit_around_the_attempts_is_not_taken_for_one_of_the_attempt() {
    let Some(daemon) = with_controllers(&["pids"]) else {
        return;
    };
    let many = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; exit 7";
    let run = daemon.submit("around", &(busy(&daemon) + "      " + many + "\n"));
    daemon.wait_file("begun");
    let around = daemon.cgroup().unwrap();
    let own = cgroup(&daemon);
    write(own.join("pids.max"), "100").unwrap();
    write(around.join("pids.max"), "6").unwrap();
    go(&daemon);
    let result = daemon.wait_end(&run);
    let cause = &result["steps"][0]["cause"];
    // Newer kernels count nothing in the attempt then, older ones do.
    assert!(
        cause["kind"] == "exit" || cause["limit_of"] == "around",
        "{result:#}"
    );
    let error = text_of(&result["steps"][0]["error"]);
    assert!(!error.contains("pids_max"), "{error}");
}

#[test]
fn a_step_that_cannot_be_started_for_the_limit_of_processes_says_so() {
    let Some(daemon) = with_controllers(&["pids"]) else {
        return;
    };
    let fifo = daemon.path("fifo");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let text = format!(
        "steps:\n  - name: first\n    script: |\n      echo yes > {}\n      read line < {}\n  - name: next\n    \
         command: \"true\"\n",
        daemon.path("ready").display(),
        fifo.display()
    );
    let run = daemon.submit("full", &text);
    daemon.wait_file("ready");
    // The supervisor is one already.
    write(cgroup(&daemon).join("pids.max"), "1").unwrap();
    write(fifo, "\n").unwrap();
    let result = daemon.wait_end(&run);
    let next = &result["steps"][1];
    let error = text_of(&next["error"]);
    assert!(error.starts_with("cannot start "), "{result:#}");
    assert_eq!(next["cause"]["kind"], "pids_limit", "{result:#}");
    expect_limit(&next["cause"], error, "1");
}

#[test]
fn with_all_controllers_nothing_is_unknown_that_this_kernel_counts() {
    let Some(daemon) = with_controllers(&["memory", "pids", "io"]) else {
        return;
    };
    let run = daemon.submit(
        "all",
        &(busy(&daemon) + "      head -c 30000000 /dev/zero | tail -c 20000000 | wc -c\n"),
    );
    go(&daemon);
    daemon.wait_success(&run);
    let status = used(&daemon, &run);
    let usage = &status["usage"];
    let number = |name: &str| usage[name].as_u64();
    for counted in [
        "cpu_user_usec",
        "cpu_system_usec",
        "io_read",
        "io_written",
        "oom_kills",
        "pids_refused",
    ] {
        assert!(number(counted).is_some(), "{counted}: {usage:#}");
    }
    assert!(number("mem_peak") >= Some(20_000_000), "{usage:#}");
    // Linux 6.1 counts the most processes.
    assert!(number("pids_peak").is_none_or(|most| most >= 4), "{usage:#}");
}
