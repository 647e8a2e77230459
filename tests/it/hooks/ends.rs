//! The ends of hooks: at their time limit, with what they have left, and with the daemon.

use super::{hook, over};
use crate::helper::{Daemon, alive, lines, read, until};

/// A hook over its time, with what it has started.
fn late(config: &str) {
    let mut daemon = Daemon::prepare("");
    let pids = daemon.path("pids");
    let script = format!(
        "sleep 1000 & echo $$ $! >{0}.tmp; mv {0}.tmp {0}; wait",
        pids.display()
    );
    daemon.configure(&(config.to_owned() + &hook("failed", &script, "timeout_sec = 1")));
    daemon.restart();
    let run = daemon.submit("broken", "steps: [{name: a, command: 'false'}]");
    daemon.wait_end(&run);
    daemon.wait_log("did not end within 1 s and was killed");
    let text = daemon.wait_file("pids");
    for pid in text.split(' ') {
        let pid: u32 = pid.parse().unwrap();
        until("its end", || (!alive(pid)).then_some(()));
    }
    over(&daemon, "hooks failed", 1);
    daemon.expect_clean();
}

#[test]
fn a_hook_that_is_over_its_time_is_killed_with_all_that_it_started() {
    late("");
}

#[test]
fn without_cgroups_a_hook_that_is_over_its_time_is_killed_with_all_that_it_started_too() {
    late("[cgroup]\nenabled = false\n");
}

#[test]
fn what_a_hook_leaves_behind_ends_with_it() {
    for config in ["", "[cgroup]\nenabled = false\n"] {
        let mut daemon = Daemon::prepare("");
        let pid = daemon.path("pid");
        // Another session, and no way back to it but the cgroup or the environment.
        let script = format!(
            "setsid sh -c 'echo $$ >{0}.tmp; mv {0}.tmp {0}; exec sleep 1000' & while [ ! -e {0} ]; do sleep 0.02; done",
            pid.display()
        );
        daemon.configure(&(config.to_owned() + &hook("failed", &script, "")));
        daemon.restart();
        let run = daemon.submit("broken", "steps: [{name: a, command: 'false'}]");
        daemon.wait_end(&run);
        over(&daemon, "hooks run", 1);
        let left: u32 = daemon.wait_file("pid").parse().unwrap();
        assert!(!alive(left));
        daemon.expect_clean();
    }
}

/// The daemon dies while a hook runs and others wait: all are given by the next one, and what ran is ended first.
fn dies(config: &str) {
    let mut daemon = Daemon::prepare("");
    let (begun, done, go) = (daemon.path("begun"), daemon.path("done"), daemon.path("go"));
    let script = format!(
        "echo $$ $PROCTOR_RUN_ID >>{}; while [ ! -e {} ]; do sleep 0.05; done; echo $PROCTOR_RUN_ID >>{}",
        begun.display(),
        go.display(),
        done.display()
    );
    daemon.configure(&format!(
        "{config}[hooks]\nmax_parallel = 1\n{}",
        hook("succeeded", &script, "")
    ));
    daemon.restart();
    let runs: Vec<String> = (0..3)
        .map(|n| daemon.submit(&format!("fine{n}"), "steps: [{name: a, command: 'true'}]"))
        .collect();
    for run in &runs {
        daemon.wait_success(run);
    }
    let first: u32 = {
        let text = daemon.wait_file("begun");
        text.split(' ').next().unwrap().parse().unwrap()
    };
    until("all notices", || {
        (daemon.doctor_value("notices pending") == 3).then_some(())
    });
    assert_eq!(lines(&begun), 1, "one at a time");
    daemon.kill9();
    daemon.restart();
    until("the first one begun again", || (lines(&begun) == 2).then_some(()));
    assert!(!alive(first), "what the dead daemon left is ended first");
    std::fs::write(&go, "").unwrap();
    until("all are told", || (lines(&done) == 3).then_some(()));
    over(&daemon, "hooks run", 3);
    let text = read(&done);
    for run in &runs {
        let (_, id) = run.split_once(':').unwrap();
        assert_eq!(text.matches(id).count(), 1, "{text}");
    }
    // Nothing is told twice by the daemon after that.
    daemon.stop();
    daemon.restart();
    daemon.expect_unharmed();
    over(&daemon, "hooks run", 1);
    assert_eq!(lines(&done), 4, "the run of this daemon only");
    daemon.expect_clean();
}

#[test]
fn a_daemon_that_dies_before_a_hook_has_run_has_the_next_one_run_it() {
    dies("");
}

#[test]
fn without_cgroups_the_next_daemon_runs_them_too() {
    dies("[cgroup]\nenabled = false\n");
}

#[test]
fn a_daemon_that_leaves_ends_its_hooks_and_the_next_one_gives_the_notice_again() {
    let mut daemon = Daemon::prepare("");
    let (begun, go) = (daemon.path("begun"), daemon.path("go"));
    let script = format!(
        "echo $$ >>{}; while [ ! -e {} ]; do sleep 0.05; done",
        begun.display(),
        go.display()
    );
    daemon.configure(&hook("succeeded", &script, ""));
    daemon.restart();
    let run = daemon.submit("fine", "steps: [{name: a, command: 'true'}]");
    daemon.wait_success(&run);
    let pid: u32 = daemon.wait_file("begun").parse().unwrap();
    until("the clean-up of the run", || {
        daemon.entries().is_empty().then_some(())
    });
    daemon.stop();
    assert!(!alive(pid));
    std::fs::write(&go, "").unwrap();
    daemon.restart();
    over(&daemon, "hooks run", 1);
    assert_eq!(lines(&begun), 2);
    daemon.expect_clean();
}
