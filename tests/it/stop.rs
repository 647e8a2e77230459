//! Stopping: the ladder ends always, every wait is interruptible, and the supervisor answers all the while.

use std::time::{Duration, Instant};

use proctor::wire::shim::{StatusRequest, StatusResponse};

use crate::helper::{Daemon, Running, alive, is_root, lines, program, read, signal, skip, until};

/// A step that ignores SIGTERM and everything else that it can.
fn stubborn(daemon: &Daemon, grace: u32) -> String {
    format!(
        "max_clean_up_time_sec: {grace}\nsteps:\n  - name: a\n    script: |\n      trap '' TERM INT HUP\n      \
         echo $$ > {}\n      while :; do sleep 1; done\n",
        daemon.path("pid").display()
    )
}

#[test]
fn a_step_that_ignores_the_signal_is_killed_when_its_time_is_over() {
    let daemon = Daemon::start("");
    let run = daemon.submit("stubborn", &stubborn(&daemon, 1));
    let step: u32 = daemon.wait_file("pid").parse().unwrap();
    let begun = Instant::now();
    daemon.ctl(&["stop", &run]).expect_code(0);
    let result = daemon.ctl(&["--json", "wait", &run]).expect_code(3).json();
    let took = begun.elapsed();
    assert_eq!(result["status"], "aborted", "{result:#}");
    assert_eq!(result["steps"][0]["status"], "aborted", "{result:#}");
    assert!(took >= Duration::from_secs(1), "it was given no time: {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(!alive(step));
    let why = daemon.json(&["why", &run]);
    assert!(why["answer"].as_str().unwrap().contains("stopped by"), "{why:#}");
    assert!(why["evidence"].to_string().contains("SIGKILL"), "{why:#}");
    daemon.expect_clean();
}

#[test]
fn the_status_socket_answers_in_the_grace_period_and_a_second_stop_cuts_it_short() {
    let daemon = Daemon::start("");
    let run = daemon.submit("grace", &stubborn(&daemon, 600));
    daemon.wait_file("pid");
    let mut client = daemon.status_client(&run);
    daemon.ctl(&["stop", &run]).expect_code(0);
    until("the stop", || {
        let StatusResponse::Status(view) = client.ask(&StatusRequest::Status) else {
            panic!("no status");
        };
        view.stop.is_some().then_some(())
    });
    assert_eq!(daemon.status(&run)["status"], "running");
    let StatusResponse::Status(view) = client.ask(&StatusRequest::Status) else {
        panic!("no status");
    };
    assert_eq!(view.status.as_str(), "running");
    daemon.ctl(&["stop", &run]).expect_code(0);
    assert_eq!(daemon.wait_end(&run)["status"], "aborted");
    // What has ended cannot be stopped, and says so.
    let late = daemon.ctl(&["stop", &run]);
    assert_eq!(late.code(), 1, "{late:?}");
    daemon.expect_clean();
}

#[test]
fn a_stop_ends_a_long_wait_for_a_retry_at_once() {
    let daemon = Daemon::start("");
    let text = "steps:\n  - name: a\n    command: exit 1\n    retry_policy: {limit: 3, interval_sec: 3600}\n";
    let run = daemon.submit("waits", text);
    until("the wait", || {
        (daemon.status(&run)["steps"][0]["status"] == "retrying").then_some(())
    });
    let begun = Instant::now();
    daemon.ctl(&["stop", &run]).expect_code(0);
    assert_eq!(daemon.wait_end(&run)["status"], "aborted");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    daemon.expect_clean();
}

#[test]
fn a_stop_of_a_run_that_waits_for_its_delay_or_in_the_queue_ends_it_at_once() {
    let daemon = Daemon::start("[queue]\nmax_active_runs = 1\n");
    let delayed = "delay_sec: 3600\nsteps: [{name: a, command: \"true\"}, {name: b, command: \"true\"}]";
    let first = daemon.submit("delayed", delayed);
    let second = daemon.submit("delayed", delayed);
    daemon.shim(&first);
    assert_eq!(daemon.status(&second)["status"], "queued");
    daemon.ctl(&["stop", &second]).expect_code(0);
    assert_eq!(daemon.wait_end(&second)["status"], "aborted");
    daemon.ctl(&["stop", &first]).expect_code(0);
    assert_eq!(daemon.wait_end(&first)["status"], "aborted");
    daemon.expect_clean();
}

#[test]
fn a_step_gets_the_signal_that_it_asks_for() {
    let daemon = Daemon::start("");
    let text = format!(
        "max_clean_up_time_sec: 30\nsteps:\n  - name: a\n    signal_on_stop: SIGINT\n    script: |\n      \
         trap 'echo INT > {got}; exit 0' INT\n      trap 'echo TERM > {got}; exit 0' TERM\n      \
         echo $$ > {pid}\n      while :; do sleep 0.05; done\n",
        got = daemon.path("got").display(),
        pid = daemon.path("pid").display()
    );
    let run = daemon.submit("asks", &text);
    daemon.wait_file("pid");
    daemon.ctl(&["stop", &run]).expect_code(0);
    assert_eq!(daemon.wait_end(&run)["status"], "aborted");
    assert_eq!(read(&daemon.path("got")), "INT\n");
    daemon.expect_clean();
}

#[test]
fn a_run_is_stopped_over_its_status_socket_while_there_is_no_daemon() {
    let mut daemon = Daemon::start("");
    let run = daemon.submit("alone", &stubborn(&daemon, 1));
    daemon.wait_file("pid");
    let shim = daemon.shim(&run);
    let socket = daemon.status_socket(&run);
    daemon.kill9();
    let mut client = crate::helper::Status::connect(&socket);
    let stop = StatusRequest::Stop { interrupted: false };
    assert_eq!(client.ask(&stop), StatusResponse::Ok);
    until("the end of the shim", || (!alive(shim)).then_some(()));
    daemon.restart();
    assert_eq!(daemon.wait_end(&run)["status"], "aborted");
    daemon.expect_clean();
}

#[test]
fn a_stop_reaches_an_attempt_whose_daemon_died_right_after_it_was_accepted() {
    let mut daemon = Daemon::start("");
    let run = daemon.submit("accepted", &stubborn(&daemon, 1));
    daemon.wait_file("pid");
    let shim = daemon.shim(&run);
    // The supervisor hears nothing until the daemon is dead.
    signal(shim, libc::SIGSTOP);
    daemon.ctl(&["stop", &run]).expect_code(0);
    daemon.kill9();
    signal(shim, libc::SIGCONT);
    daemon.restart();
    assert_eq!(daemon.wait_end(&run)["status"], "aborted");
    daemon.expect_clean();
}

#[test]
fn a_restart_of_the_daemon_in_the_grace_period_does_not_cut_it_short() {
    let mut daemon = Daemon::start("");
    // Each step that is told to stop says so, and ends in its own time.
    let mut text = "type: graph\nmax_clean_up_time_sec: 600\nsteps:\n".to_owned();
    for step in ["a", "b", "c"] {
        text += &format!(
            "  - name: {step}\n    script: |\n      set +e; trap 'echo TERM >> {told}' TERM\n      echo $$ >> {pid}\n      \
             while [ ! -e {go} ]; do sleep 0.02; done\n      echo done >> {done}\n",
            told = daemon.path("told").display(),
            pid = daemon.path("pid").display(),
            go = daemon.path(step).display(),
            done = daemon.path("done").display()
        );
    }
    let run = daemon.submit("cleans", &text);
    until("three steps", || (lines(&daemon.path("pid")) == 3).then_some(()));
    daemon.ctl(&["stop", &run]).expect_code(0);
    until("three steps to be told", || {
        (lines(&daemon.path("told")) == 3).then_some(())
    });
    for (index, step) in ["a", "b", "c"].into_iter().enumerate() {
        daemon.kill9();
        daemon.restart();
        std::fs::write(daemon.path(step), "").unwrap();
        // That the daemon knows of an end means that the supervisor has heard from it again what it is to do.
        until("the end of a step", || {
            (daemon.status(&run)["steps"][index]["status"] == "aborted").then_some(())
        });
    }
    assert_eq!(daemon.wait_end(&run)["status"], "aborted");
    assert_eq!(lines(&daemon.path("told")), 3, "one request, one signal");
    assert_eq!(lines(&daemon.path("done")), 3, "nothing was killed");
    let why = daemon.json(&["why", &run]);
    assert!(!why["evidence"].to_string().contains("SIGKILL"), "{why:#}");
    daemon.expect_clean();
}

#[test]
fn who_stops_a_restart_gets_no_new_run() {
    let daemon = Daemon::start("");
    let run = daemon.submit("restarts", &stubborn(&daemon, 600));
    daemon.wait_file("pid");
    let client = daemon.begin(&["restart", &run]);
    until("the stop", || {
        let stop = daemon.status(&run)["stopped"] != serde_json::Value::Null;
        stop.then_some(())
    });
    signal(client.pid(), libc::SIGTERM);
    let out = client.finish().expect_code(1);
    assert!(out.stderr.contains("no new one was started"), "{out:?}");
    assert_eq!(daemon.wait_end(&run)["status"], "aborted");
    let history = daemon.json(&["history"]);
    assert_eq!(history["runs"].as_array().unwrap().len(), 1, "{history:#}");
    daemon.expect_clean();
}

#[test]
fn a_restart_stops_the_run_and_starts_a_new_one_like_it() {
    let daemon = Daemon::start("");
    let run = daemon.submit("restarts", &stubborn(&daemon, 1));
    daemon.wait_file("pid");
    let answer = daemon.json(&["restart", "--detach", &run]);
    let new = format!("restarts:{}", answer["run_id"].as_str().unwrap());
    assert_ne!(run, new);
    assert_eq!(daemon.wait_end(&run)["status"], "aborted");
    daemon.shim(&new);
    daemon.ctl(&["stop", &new]).expect_code(0);
    assert_eq!(daemon.wait_end(&new)["status"], "aborted");
    daemon.expect_clean();
}

/// Waits for a supervisor of the daemon of that number, has it stand still as soon as it has told that it is ready, says so, and
/// lets it go when it may.
const HOLDS: &str = r#"
use strict;
my ($daemon, $held, $go) = @ARGV;
my ($pid, $ptrace, $wall) = (0, 101, 0x40000000);
until ($pid) {
    for my $list (glob "/proc/$daemon/task/*/children") {
        open my $children, "<", $list or next;
        for my $child (split " ", <$children> // "") {
            open my $name, "<", "/proc/$child/cmdline" or next;
            $pid = $child if (<$name> // "") =~ /^proctor-shim/;
        }
    }
}
# PTRACE_SEIZE, PTRACE_INTERRUPT; then from system call to system call, each of which stops it twice, until it sends.
syscall($ptrace, 0x4206, $pid + 0, 0, 0) == 0 or die "seize: $!";
syscall($ptrace, 0x4207, $pid + 0, 0, 0);
waitpid $pid, $wall;
my $number = 0;
until ($number == 44 || $number == 46) {
    syscall($ptrace, 24, $pid + 0, 0, 0);
    waitpid($pid, $wall) == $pid or die "it is gone";
    open my $call, "<", "/proc/$pid/syscall" or die "what it does: $!";
    ($number) = split " ", <$call>;
    $number = 0 unless $number =~ /^\d+$/;
}
syscall($ptrace, 24, $pid + 0, 0, 0);
waitpid $pid, $wall;
open my $told, ">", $held; close $told;
until (-e $go) { select undef, undef, undef, 0.01 }
syscall($ptrace, 17, $pid + 0, 0, 0);
"#;

#[test]
fn a_stop_that_comes_together_with_the_word_to_go_is_heard() {
    let perl = program("perl").arg("-e1").status();
    if !is_root() || !cfg!(target_arch = "x86_64") || !perl.is_ok_and(|status| status.success()) {
        skip("who holds a supervisor still is root, on x86_64, and has Perl");
        return;
    }
    let daemon = Daemon::start("");
    let script = daemon.path("hold.pl");
    std::fs::write(&script, HOLDS).unwrap();
    let (held, go) = (daemon.path("held"), daemon.path("go"));
    let mut command = program("perl");
    command
        .arg(script)
        .arg(daemon.pid().to_string())
        .args([&held, &go]);
    let holds = Running::start(command);
    let run = daemon.submit("early", "steps: [{name: a, command: sleep 600}]\n");
    until("the supervisor stands still", || held.exists().then_some(()));
    // Published in one go with the word to go, which the supervisor has not read.
    until("the open gate", || (!daemon.entries().is_empty()).then_some(()));
    daemon.ctl(&["stop", &run]).expect_code(0);
    std::fs::write(&go, "").unwrap();
    holds.finish().expect_code(0);
    let result = daemon.wait_end(&run);
    assert_eq!(result["status"], "aborted", "{result:#}");
    daemon.expect_clean();
}
