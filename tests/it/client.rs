//! The client on its own: signals while the daemon is away, logs that are followed, wrong usage.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::helper::{Daemon, Out, Running, program, read, signal, text_of, until};

/// A step that says that it runs and goes on until it is let go or killed; a signal to stop leaves it cold.
fn waits(daemon: &Daemon) -> String {
    format!(
        "max_clean_up_time_sec: 600\nsteps:\n  - name: a\n    script: |\n      trap '' TERM INT\n      echo one\n      \
         echo $$ > {}\n      while [ ! -e {} ]; do sleep 0.02; done\n      echo two\n",
        daemon.path("pid").display(),
        daemon.path("go").display()
    )
}

/// Starts `proctorctl` with its standard error in a file, so that it can be read meanwhile.
fn begin_telling(daemon: &Daemon, args: &[&str], to: &str) -> Running {
    let ctl = daemon.command(args);
    let mut shell = program("/bin/sh");
    shell.arg("-c").arg("exec \"$@\" 2>\"$0\"").arg(daemon.path(to));
    shell.arg(ctl.get_program()).args(ctl.get_args());
    Running::start(shell)
}

fn ctl<A: AsRef<OsStr>>(args: &[A]) -> Out {
    let mut command = program(env!("CARGO_BIN_EXE_proctorctl"));
    command.args(args);
    Running::start(command).finish()
}

#[test]
fn a_second_signal_to_a_followed_run_cuts_the_grace_period_short() {
    for number in [libc::SIGTERM, libc::SIGINT] {
        let daemon = Daemon::start("");
        let file = daemon.dag("twice", &waits(&daemon));
        let run = daemon.begin(&["run", &file]);
        daemon.wait_file("pid");
        signal(run.pid(), number);
        until("the stop", || {
            daemon.status("twice")["stopped"].is_string().then_some(())
        });
        signal(run.pid(), number);
        let out = run.finish().expect_code(3);
        assert!(!out.stderr.contains("Ctrl-C"), "there is no terminal: {out:?}");
        daemon.expect_clean();
    }
}

#[test]
fn a_signal_while_the_daemon_is_away_stops_the_run_when_it_is_back() {
    let mut daemon = Daemon::start("");
    let file = daemon.dag("away", &waits(&daemon));
    let run = begin_telling(&daemon, &["--json", "run", &file], "told");
    daemon.wait_file("pid");
    daemon.kill9();
    let told = |daemon: &Daemon, what: &str| read(&daemon.path("told")).contains(what);
    until("the search", || {
        told(&daemon, "waiting for the daemon to come back").then_some(())
    });
    signal(run.pid(), libc::SIGTERM);
    until("the promise", || {
        told(&daemon, "is stopped as soon as the daemon is back").then_some(())
    });
    daemon.restart();
    until("the stop", || {
        daemon.status("away")["stopped"].is_string().then_some(())
    });
    std::fs::write(daemon.path("go"), "").unwrap();
    let out = run.finish().expect_code(3);
    assert_eq!(out.json()["status"], "aborted", "{out:?}");
    daemon.expect_clean();
}

#[test]
fn logs_are_followed_over_a_restart_of_the_daemon() {
    let mut daemon = Daemon::start("");
    let run = daemon.submit("over", &waits(&daemon));
    daemon.wait_file("pid");
    let logs = daemon.begin(&["logs", "-f", &run]);
    for _ in 0..2 {
        until("the follower", || {
            (daemon.doctor_value("followers") == 1).then_some(())
        });
        daemon.kill9();
        daemon.restart();
    }
    std::fs::write(daemon.path("go"), "").unwrap();
    let out = logs.finish().expect_code(0);
    assert_eq!(out.stdout, "==> a <==\none\ntwo\n", "each line once: {out:?}");
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn followed_logs_are_left_as_soon_as_nobody_reads_them() {
    let daemon = Daemon::start("");
    let run = daemon.submit("head", &waits(&daemon));
    daemon.wait_file("pid");
    let mut logs = daemon
        .command(&["logs", "-f", &run])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(logs.stdout.take().unwrap());
    let mut line = String::new();
    while line != "one\n" {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it ended by itself");
    }
    drop(stdout);
    let status = until("the end of the reader", || logs.try_wait().unwrap());
    assert!(status.success(), "{status:?}");
    assert_eq!(std::io::read_to_string(logs.stderr.take().unwrap()).unwrap(), "");
    assert_eq!(daemon.status(&run)["status"], "running");
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn when_its_private_daemon_is_killed_run_names_the_command_that_waits() {
    let daemon = Daemon::prepare("");
    let file = daemon.dag("orphan", &waits(&daemon));
    let run = daemon.begin(&["run", "--embedded", &file]);
    daemon.wait_file("pid");
    let pid = daemon.json(&["status"])["daemon"]["pid"].as_u64().unwrap();
    signal(u32::try_from(pid).unwrap(), libc::SIGKILL);
    let out = run.finish().expect_code(69);
    let mut parts = out.stderr.split('`');
    assert!(parts.next().unwrap().contains("the run goes on"), "{out:?}");
    let mut command = parts.next().unwrap().split(' ');
    assert_eq!(command.next(), Some("proctorctl"), "{out:?}");
    std::fs::write(daemon.path("go"), "").unwrap();
    ctl(&command.collect::<Vec<_>>()).expect_code(0);
    until("the end of the private daemon", || {
        daemon.remains().is_empty().then_some(())
    });
}

#[test]
fn a_private_daemon_of_another_command_is_started_again_when_it_was_killed() {
    let daemon = Daemon::prepare("");
    let file = daemon.dag("orphan", &waits(&daemon));
    daemon
        .ctl(&["run", "--embedded", "--detach", &file])
        .expect_code(0);
    daemon.wait_file("pid");
    let waiter = daemon.begin(&["wait", "--embedded", "orphan"]);
    until("the waiter follows it", || {
        (daemon.doctor_value("followers") == 1).then_some(())
    });
    let pid = daemon.json(&["status"])["daemon"]["pid"].as_u64().unwrap();
    signal(u32::try_from(pid).unwrap(), libc::SIGKILL);
    std::fs::write(daemon.path("go"), "").unwrap();
    waiter.finish().expect_code(0);
    until("the end of the private daemon", || {
        daemon.remains().is_empty().then_some(())
    });
}

#[test]
fn only_embedded_starts_a_daemon_that_runs_what_is_queued() {
    let mut daemon = Daemon::start("[queue]\nmax_active_runs = 1\n");
    let first = daemon.submit("waits", &waits(&daemon));
    daemon.wait_file("pid");
    let second = daemon.submit("waits", "steps: [{name: a, command: \"true\"}]");
    daemon.stop();
    std::fs::write(daemon.path("go"), "").unwrap();
    for verb in ["ps", "history", "doctor"] {
        let out = daemon.ctl(&[verb]).expect_code(69);
        assert!(out.stderr.contains("--embedded"), "{out:?}");
    }
    daemon.ctl(&["wait", &second]).expect_code(69);
    assert!(
        !daemon.path("proctord.log").exists(),
        "a private daemon was started"
    );
    for run in [&first, &second] {
        daemon.ctl(&["--embedded", "wait", run]).expect_code(0);
    }
    let history = daemon.json(&["--embedded", "history"]);
    assert_eq!(history["runs"].as_array().unwrap().len(), 2, "{history:#}");
    until("the end of the private daemon", || {
        daemon.remains().is_empty().then_some(())
    });
}

#[test]
fn the_tour_stops_a_run_and_goes_on_with_it() {
    let daemon = Daemon::prepare("");
    let ctl = |args: &[&str]| daemon.ctl(&[&["--embedded"], args].concat());
    // The tour's own DAG is over after a second, which a busy machine may need to get from one command to the next.
    let hello =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/etc/examples/hello.yaml")).unwrap();
    let go = daemon.path("go");
    let waits = hello.replace(
        "sleep 1",
        &format!("until [ -e {} ]; do sleep 0.02; done", go.display()),
    );
    assert_ne!(waits, hello);
    let file = daemon.dag("hello", &waits);
    ctl(&["run", "--detach", &file]).expect_code(0);
    ctl(&["stop", "hello"]).expect_code(0);
    ctl(&["wait", "hello"]).expect_code(3);
    std::fs::write(&go, "").unwrap();
    ctl(&["retry", "hello"]).expect_code(0);
    until("the end of the private daemon", || {
        daemon.remains().is_empty().then_some(())
    });
}

#[test]
fn wrong_usage_is_one_object_too() {
    let cases: [(&[&str], &str); 4] = [
        (&["--json", "histori"], "'histori'"),
        (&["history", "--limit", "0", "--json"], "--limit"),
        (&["--json", "run"], "<FILE|NAME>"),
        (&["--json"], "subcommand"),
    ];
    for (args, part) in cases {
        let out = ctl(args).expect_code(2);
        let answer = out.json();
        let error = text_of(&answer["error"]);
        assert!(
            error.contains(part) && !error.contains("Usage") && !error.contains("error: "),
            "{answer:#}"
        );
        assert!(
            answer["hint"].is_string() && answer["problems"].is_array(),
            "{answer:#}"
        );
        assert_eq!(out.stderr, "");
    }
    assert!(text_of(&ctl(&["--json", "histori"]).json()["hint"]).contains("'history'"));
    let out = ctl(&["history", "--limit", "0"]).expect_code(2);
    assert!(out.stdout.is_empty() && out.stderr.contains("--help"), "{out:?}");
    // Behind `--` it is a parameter.
    let out = ctl(&["run", "--nothing", "f.yaml", "--", "--json"]).expect_code(2);
    assert_eq!(out.stdout, "");
    let help = ctl(&["--json", "--help"]).expect_code(0);
    assert!(help.stdout.contains("Usage"), "{help:?}");
}

#[test]
fn a_file_whose_name_is_not_utf_8_is_run_and_drawn() {
    let daemon = Daemon::start("");
    let path = daemon.root().join(OsStr::from_bytes(b"src/caf\xe9.yaml"));
    std::fs::write(&path, "name: cafe\nsteps: [{name: brew, command: \"true\"}]").unwrap();
    let call = |verb: &str| {
        let mut command: Command = daemon.command(&[verb]);
        command.arg(&path);
        Running::start(command).finish().expect_code(0)
    };
    assert!(call("graph").stdout.contains("brew"));
    assert!(call("run").stdout.contains("succeeded"));
    daemon.expect_clean();
}
