//! How daemons start, which of two wins, and what they make of their configuration.

use std::process::Stdio;

use crate::helper::{Daemon, alive, lines, proctord, program, read, signal, until};

#[test]
fn of_two_daemons_on_one_root_the_second_refuses_and_the_first_does_not_notice() {
    let daemon = Daemon::start("");
    let root = daemon.root().to_str().unwrap();
    for more in [None, Some("--embedded")] {
        let mut args = vec!["--root", root];
        args.extend(more);
        let out = proctord(&args).finish();
        assert_eq!(out.code(), 1, "{out:?}");
        assert!(out.stderr.contains("proctord.lock"), "{out:?}");
        assert!(
            out.stderr.contains(&daemon.pid().to_string()),
            "it names the other: {out:?}"
        );
    }
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn a_daemon_detaches_from_its_caller() {
    let daemon = Daemon::prepare("");
    let root = daemon.root().to_str().unwrap().to_owned();
    let out = proctord(&["--root", &root, "--daemonize"]).finish();
    assert_eq!(out.code(), 0, "{out:?}");
    // It serves when the caller is back.
    let pong = daemon.json(&["status"]);
    assert_eq!(pong["daemon"]["embedded"], false, "{pong:#}");
    let pid = u32::try_from(pong["daemon"]["pid"].as_u64().unwrap()).unwrap();
    daemon.expect_unharmed();
    // A session of its own, and not in the way of any mount.
    let stat = read(format!("/proc/{pid}/stat").as_ref());
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_ne!(fields[3], "0", "{stat}");
    assert_eq!(fields[4], "0", "it has no terminal: {stat}");
    assert_eq!(
        std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(),
        Some("/")
    );
    until("the clean-up", || {
        (daemon.entries().is_empty() && daemon.cgroups().is_empty()).then_some(())
    });
    signal(pid, libc::SIGTERM);
    until("its end", || (!alive(pid)).then_some(()));
    // What goes wrong is told to the caller, after the detaching as before it.
    let store = daemon.path("var/lib/proctor/proctor.db");
    let kept = std::fs::read(&store).unwrap();
    std::fs::write(&store, "rubbish".repeat(1000)).unwrap();
    let out = proctord(&["--root", &root, "--daemonize"])
        .finish()
        .expect_code(1);
    assert!(out.stderr.contains("proctor.db"), "{out:?}");
    std::fs::write(&store, kept).unwrap();
    daemon.configure("[queue]\nmax_active_run = 1\n");
    proctord(&["--root", &root, "--daemonize"])
        .finish()
        .expect_code(78);
}

#[test]
fn a_configuration_with_mistakes_is_refused_with_their_places_and_the_cure() {
    let daemon = Daemon::prepare("[queue]\nmax_active_run = 1\n[proc]\nstale_after_sec = \"soon\"\n");
    let root = daemon.root().to_str().unwrap();
    for more in [None, Some("--check-config")] {
        let mut args = vec!["--root", root];
        args.extend(more);
        let out = proctord(&args).finish().expect_code(78);
        for part in [
            "proctord.toml:2",
            "did you mean `max_active_runs`",
            "proctord.toml:4",
        ] {
            assert!(out.stderr.contains(part), "{part:?} is not in {out:?}");
        }
    }
    assert!(!daemon.path("run").exists(), "nothing was made");
    daemon.configure("[queue]\nmax_active_runs = 1\n");
    let out = proctord(&["--root", root, "--check-config"])
        .finish()
        .expect_code(0);
    assert!(out.stdout.contains("valid"), "{out:?}");
}

#[test]
fn a_hangup_reloads_what_can_be_reloaded_and_says_what_cannot() {
    let mut daemon = Daemon::start("[queue]\nmax_active_runs = 1\n");
    let text = format!(
        "steps: [{{name: a, command: \"while [ ! -e {} ]; do sleep 0.05; done\"}}]",
        daemon.path("go").display()
    );
    let first = daemon.submit("reloads", &text);
    daemon.shim(&first);
    daemon.configure("[queue]\nmax_active_runs = 7\n[cgroup]\nenabled = false\n");
    signal(daemon.pid(), libc::SIGHUP);
    daemon.wait_log("cgroup.enabled");
    // New runs have the new limit.
    let second = daemon.submit("reloads", &text);
    daemon.shim(&second);
    // Mistakes change nothing, and the daemon goes on with what it has.
    daemon.configure("[queue]\nmax_active_run = 1\n");
    signal(daemon.pid(), libc::SIGHUP);
    daemon.wait_log("did you mean");
    let out = daemon.ctl(&["reload"]);
    assert_ne!(out.code(), 0, "{out:?}");
    let third = daemon.submit("reloads", &text);
    daemon.shim(&third);
    std::fs::write(daemon.path("go"), "").unwrap();
    for run in [&first, &second, &third] {
        daemon.wait_success(run);
    }
    daemon.expect_clean();
    daemon.stop();
}

#[test]
fn a_daemon_that_is_told_to_stop_its_attempts_does_so_before_it_leaves() {
    let mut daemon = Daemon::start("[shutdown]\nattempts = \"stop\"\n");
    let run = daemon.submit("stops", "steps: [{name: a, command: sleep 1000}]");
    let shim = daemon.shim(&run);
    daemon.stop();
    assert!(!alive(shim));
    assert!(daemon.remains().is_empty(), "{:?}", daemon.remains());
    daemon.restart();
    assert_eq!(daemon.status(&run)["status"], "aborted");
    daemon.expect_clean();
}

#[test]
fn a_signal_has_attempts_stopped_though_the_configuration_keeps_them() {
    let mut daemon = Daemon::start("[queue]\nmax_active_runs = 1\n");
    let text = format!(
        "steps: [{{name: a, command: \"echo a >> {}; sleep 1000\"}}]",
        daemon.path("begun").display()
    );
    let run = daemon.submit("stops", &text);
    let shim = daemon.shim(&run);
    daemon.wait_file("begun");
    let queued = daemon.submit("stops", &text);
    daemon.end_by(libc::SIGUSR1);
    assert!(!alive(shim));
    assert!(daemon.remains().is_empty(), "{:?}", daemon.remains());
    // What waited has not taken the place that became free.
    assert_eq!(lines(&daemon.path("begun")), 1);
    daemon.restart();
    assert_eq!(daemon.status(&run)["status"], "aborted");
    daemon.shim(&queued);
    daemon.ctl(&["stop", &queued]).expect_code(0);
    daemon.wait_end(&queued);
    daemon.expect_clean();
}

#[test]
fn a_stop_of_all_attempts_waits_no_longer_than_it_may() {
    let mut daemon = Daemon::start("[shutdown]\nattempts = \"stop\"\nwait_sec = 1\n");
    let (begun, go) = (daemon.path("begun"), daemon.path("go"));
    // Nothing limits how long a handler takes.
    let text = format!(
        "handler_on:\n  exit:\n    command: while [ ! -e {go} ]; do sleep 0.02; done\nsteps:\n  - command: echo >> {begun}; sleep 1000\n",
        go = go.display(),
        begun = begun.display()
    );
    let run = daemon.submit("lingers", &text);
    daemon.wait_file("begun");
    let shim = daemon.shim(&run);
    daemon.end_by(libc::SIGTERM);
    until("it says why it leaves", || {
        daemon.log().contains("shutdown.wait_sec").then_some(())
    });
    assert!(alive(shim), "{}", daemon.log());
    daemon.restart();
    std::fs::write(go, "").unwrap();
    assert_eq!(daemon.wait_end(&run)["status"], "aborted");
    daemon.expect_clean();
}

#[test]
fn a_daemon_that_ends_in_an_orderly_way_leaves_its_attempts_alone() {
    let mut daemon = Daemon::start("");
    let text = format!(
        "steps: [{{name: a, command: \"while [ ! -e {} ]; do sleep 0.05; done\"}}]",
        daemon.path("go").display()
    );
    let run = daemon.submit("kept", &text);
    let shim = daemon.shim(&run);
    daemon.stop();
    assert!(alive(shim));
    assert!(!daemon.path("run/proctor/control.sock").exists());
    daemon.restart();
    assert_eq!(daemon.shim(&run), shim);
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn a_supervisor_that_dies_before_it_reads_anything_is_started_again() {
    let mut daemon = Daemon::prepare("");
    let bin = daemon.path("bin");
    std::fs::create_dir(&bin).unwrap();
    // By a process of its own: what another test starts meanwhile must not have the file open for writing.
    for (from, to) in [
        (env!("CARGO_BIN_EXE_proctord"), "proctord"),
        ("/bin/false", "proctor-shim"),
    ] {
        let copied = program("cp").arg(from).arg(bin.join(to)).status().unwrap();
        assert!(copied.success());
    }
    daemon.restart_with(|command| {
        let mut other = program(bin.join("proctord").to_str().unwrap());
        other.args(command.get_args());
        other.stdout(Stdio::null()).stderr(Stdio::piped());
        *command = other;
    });
    // More than a socket holds: the daemon is still sending it when the supervisor is gone.
    let text = format!(
        "env: [{{MUCH: \"{}\"}}]\nsteps: [{{name: a, command: \"true\"}}]",
        "x".repeat(700_000)
    );
    let run = daemon.submit("unread", &text);
    let end = daemon.wait_end(&run);
    assert_eq!(end["status"], "failed", "{end:#}");
    let error = end["error"].as_str().unwrap();
    assert!(error.contains("before it began, 5 times in a row"), "{error}");
    daemon.expect_clean();
}
