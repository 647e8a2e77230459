//! A supervisor that falls silent: said when it does and when it is back, and ended if the administrator wants that.

use crate::helper::{Daemon, alive, pause, read, signal, skip, until};

const PROC: &str = "[proc]\nheartbeat_interval_sec = 0.1\nstale_after_sec = 0.6\n";

/// A run that waits for the file `go`, and its shim.
fn waiting(daemon: &Daemon) -> (String, u32) {
    let text = format!(
        "max_clean_up_time_sec: 1\nsteps:\n  - name: a\n    command: echo $$ >{0}.tmp; mv {0}.tmp {0}; while [ ! -e {1} ]; do sleep 0.05; done\n",
        daemon.path("step").display(),
        daemon.path("go").display()
    );
    let run = daemon.submit("silent", &text);
    daemon.wait_file("step");
    let shim = daemon.shim(&run);
    (run, shim)
}

fn counts(daemon: &Daemon) -> [u64; 4] {
    [
        "stalls reported",
        "stalls recovered",
        "stalled attempts stopped",
        "stalled supervisors killed",
    ]
    .map(|counter| daemon.doctor_value(counter))
}

#[test]
fn silence_is_reported_once_and_so_is_its_end_and_nothing_is_stopped_without_an_order() {
    let daemon = Daemon::start(PROC);
    let (run, shim) = waiting(&daemon);
    signal(shim, libc::SIGSTOP);
    daemon.wait_log("is stalled: its supervisor lives");
    // Several deadlines later it is said once, and nothing was done.
    pause(2500);
    assert_eq!(counts(&daemon), [1, 0, 0, 0]);
    assert!(alive(shim));
    assert_eq!(daemon.status(&run)["status"], "running");
    let report = daemon.ctl(&["--json", "doctor"]).json();
    let actions = report["actions"].as_array().unwrap();
    let action = actions.iter().find(|action| action["what"] == "attempt stalled");
    assert!(
        action.unwrap()["about"].as_str().unwrap().contains(&run),
        "{report:#}"
    );
    signal(shim, libc::SIGCONT);
    daemon.wait_log("beats again");
    // A second silence is said again.
    signal(shim, libc::SIGSTOP);
    until("the second report", || {
        (daemon.doctor_value("stalls reported") == 2).then_some(())
    });
    signal(shim, libc::SIGCONT);
    until("the second recovery", || {
        (daemon.doctor_value("stalls recovered") == 2).then_some(())
    });
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn a_silence_that_began_without_a_daemon_is_reported_by_the_next_one() {
    let mut daemon = Daemon::start(PROC);
    let (run, shim) = waiting(&daemon);
    daemon.kill9();
    signal(shim, libc::SIGSTOP);
    daemon.restart();
    daemon.wait_log("is stalled: its supervisor lives");
    signal(shim, libc::SIGCONT);
    daemon.wait_log("beats again");
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn one_that_is_silent_for_too_long_is_stopped_by_the_stop_ladder() {
    let daemon = Daemon::start(&format!("{PROC}stop_stalled_after_sec = 1\n"));
    let (run, shim) = waiting(&daemon);
    let step: u32 = daemon.wait_file("step").parse().unwrap();
    signal(shim, libc::SIGSTOP);
    // The stop wakes it, so it ends as one that was stopped.
    let result = daemon.wait_end(&run);
    assert_eq!(result["status"], "aborted", "{result:#}\n{}", daemon.log());
    daemon.wait_log("is stopped: it has been silent for");
    assert!(!alive(step));
    let why = daemon.json(&["why", &run]);
    assert!(
        why.to_string().contains("its supervisor was silent for too long"),
        "{why:#}"
    );
    assert_eq!(counts(&daemon)[2..], [1, 0]);
    daemon.expect_clean();
}

#[test]
fn one_that_does_not_hear_its_stop_is_killed_and_lost() {
    let daemon = Daemon::start(&format!("{PROC}stop_stalled_after_sec = 0.5\n"));
    let (run, shim) = waiting(&daemon);
    let step: u32 = daemon.wait_file("step").parse().unwrap();
    // A frozen cgroup sleeps through every signal but SIGKILL.
    let freeze = daemon.cgroups().pop().map(|cgroup| cgroup.join("cgroup.freeze"));
    let Some(freeze) = freeze.filter(|freeze| std::fs::write(freeze, "1").is_ok()) else {
        std::fs::write(daemon.path("go"), "").unwrap();
        daemon.wait_success(&run);
        return skip("there is no cgroup that can be frozen");
    };
    let result = daemon.wait_end(&run);
    assert_eq!(result["status"], "failed", "{result:#}\n{}", daemon.log());
    assert_eq!(
        result["error"], "lost: supervisor killed by SIGKILL",
        "{result:#}"
    );
    assert!(!alive(shim) && !alive(step));
    for text in ["is stalled:", "is stopped:", "so its supervisor is killed"] {
        daemon.wait_log(text);
    }
    assert_eq!(counts(&daemon), [1, 0, 1, 1], "{}", read(&freeze));
    daemon.expect_clean();
}

#[test]
fn a_running_record_without_entry_and_process_is_repaired_at_the_start() {
    let mut daemon = Daemon::start("");
    let (run, shim) = waiting(&daemon);
    daemon.kill9();
    signal(shim, libc::SIGKILL);
    until("the end of the shim", || (!alive(shim)).then_some(()));
    // As after a reboot, or by somebody's hand: nothing in the proc directory tells of the attempt.
    std::fs::remove_dir_all(daemon.path("run/proctor/proc")).unwrap();
    daemon.restart();
    let result = daemon.wait_end(&run);
    assert_eq!(result["status"], "failed", "{result:#}\n{}", daemon.log());
    assert!(
        result["error"].as_str().unwrap().starts_with("lost: supervisor"),
        "{result:#}"
    );
    assert_eq!(result["steps"][0]["status"], "failed", "{result:#}");
    daemon.expect_clean();
}
