//! DAGs of one name that belong to different users: the schedules of one have nothing to do with the runs of another, and
//! each user has a queue of it.

use proctor::sys::creds::User;

use super::{as_user, open_house, put, two_users};
use crate::helper::{Daemon, text_of, until};

const SLEEPS: &str = "working_dir: /\nsteps: [{name: a, command: sleep 1000}]\n";

/// A run of the user's, made from that file.
fn begun(daemon: &Daemon, user: &User, file: &str) -> String {
    let out = as_user(user, daemon, &["--json", "run", "--detach", file]).expect_code(0);
    let answer = out.json();
    format!("{}:{}", text_of(&answer["dag"]), text_of(&answer["run_id"]))
}

/// How many runs of root's have succeeded.
fn succeeded(daemon: &Daemon) -> usize {
    let history = daemon.json(&["history"]);
    let runs = history["runs"].as_array().unwrap().iter();
    runs.filter(|run| run["owner"] == 0 && run["status"] == "succeeded")
        .count()
}

/// Takes a DAG of the system away, and waits until nothing more of it comes.
fn take_away(daemon: &Daemon, file: &str) {
    std::fs::remove_file(daemon.path("etc/proctor/dags").join(file)).unwrap();
    daemon.wait_log("is not installed any more");
}

#[test]
fn a_schedule_stops_the_runs_of_its_own_user_only() {
    let Some((host, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    let roots = daemon.submit("etl", SLEEPS);
    daemon.shim(&roots);
    let file = daemon.path("src/etl.yaml").display().to_string();
    let hosts = begun(&daemon, &host, &file);
    daemon.shim(&hosts);
    let stops = daemon.dag(
        "stops",
        &format!("name: etl\nschedule: {{stop: '* * * * * *'}}\n{SLEEPS}"),
    );
    as_user(&guest, &daemon, &["install", &stops]).expect_code(0);
    // The schedule's doing can be seen: it would have stopped the others no later.
    let guests = begun(&daemon, &guest, &file);
    let result = daemon.wait_end(&guests);
    assert_eq!(result["status"], "aborted", "{result:#}\n{}", daemon.log());
    for run in [&roots, &hosts] {
        assert_eq!(daemon.status(run)["status"], "running", "{}", daemon.log());
        daemon.ctl(&["stop", run]).expect_code(0);
        daemon.wait_end(run);
    }
    daemon.expect_clean();
}

#[test]
fn the_live_run_of_another_user_is_in_nobodys_way() {
    let Some((host, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    let sleeps = daemon.dag("backup", SLEEPS);
    let guests = begun(&daemon, &guest, &sleeps);
    daemon.shim(&guests);
    // A start that finds a run of its DAG is dropped; the guest's is none of it.
    let every_second = "schedule: '* * * * * *'\nsteps: [{name: a, command: \"true\"}]\n";
    put(&daemon, "backup.yaml", every_second, 0o644);
    until("root's schedule starts runs", || {
        (succeeded(&daemon) >= 2).then_some(())
    });
    // Nor do others wait behind it.
    let quick = "name: backup\nworking_dir: /\nsteps: [{name: a, command: \"true\"}]\n";
    let quick = daemon.dag("quick", quick);
    as_user(&host, &daemon, &["run", &quick]).expect_code(0);
    assert_eq!(daemon.status(&guests)["status"], "running", "{}", daemon.log());
    take_away(&daemon, "backup.yaml");
    daemon.ctl(&["stop", &guests]).expect_code(0);
    daemon.wait_end(&guests);
    daemon.expect_clean();
}

#[test]
fn the_success_of_another_user_does_the_work_of_nobody_else() {
    let Some((_, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    let steps = "working_dir: /\nsteps: [{name: a, command: \"true\"}]\n";
    let file = daemon.dag("sync", steps);
    let schedule = "schedule: '* * * * * *'\nskip_if_successful: true\noverlap_policy: all\n";
    put(&daemon, "sync.yaml", &format!("{schedule}{steps}"), 0o644);
    until("root's schedule starts runs", || {
        (succeeded(&daemon) >= 1).then_some(())
    });
    as_user(&guest, &daemon, &["run", &file]).expect_code(0);
    // If it counted for the time after it, that would be decided before two more.
    let before = succeeded(&daemon);
    until("it goes on", || (succeeded(&daemon) >= before + 3).then_some(()));
    assert!(!daemon.log().contains("skip_if_successful"), "{}", daemon.log());
    // One of root's own does, if it begins and ends between two of those times.
    until("one of root's own does", || {
        daemon.ctl(&["run", &file]).expect_code(0);
        daemon.log().contains("skip_if_successful").then_some(())
    });
    take_away(&daemon, "sync.yaml");
    daemon.expect_clean();
}

#[test]
fn who_holds_back_a_dag_holds_back_no_retry_of_another_user() {
    let Some((_, guest)) = two_users() else { return };
    let (daemon, file) = open_house();
    as_user(&guest, &daemon, &["install", "--name", "etl", &file]).expect_code(0);
    as_user(&guest, &daemon, &["disable", "etl"]).expect_code(0);
    let fails = "retry_policy: {limit: 1, interval_sec: 1}\nsteps: [{name: a, command: \"false\"}]\n";
    let run = daemon.submit("etl", fails);
    let result = daemon.wait_end(&run);
    assert_eq!(
        (&result["status"], &result["attempt"]),
        (&"failed".into(), &2.into()),
        "{result:#}\n{}",
        daemon.log()
    );
    daemon.expect_clean();
}
