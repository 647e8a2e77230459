//! Schedules that really fire, with real daemons. Needs part A (seconds) and part C (the plan in the engine).

use serde_json::Value;

use crate::helper::{Daemon, text_of, until};

const EVERY_SECOND: &str = "schedule: '* * * * * *'\noverlap_policy: all\nsteps: [{name: a, command: echo $GREETING, output: SAID}]\n";

pub(crate) fn put(daemon: &Daemon, file: &str, text: &str) {
    let dir = daemon.path("etc/proctor/dags");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(".tmp"), text).unwrap();
    std::fs::rename(dir.join(".tmp"), dir.join(file)).unwrap();
}

fn runs(daemon: &Daemon) -> Vec<Value> {
    daemon.json(&["history", "tick", "--limit", "1000"])["runs"]
        .as_array()
        .unwrap()
        .clone()
}

/// The ids of the runs, each of which must be for a time of its own.
fn ids(daemon: &Daemon) -> Vec<String> {
    let mut ids: Vec<String> = runs(daemon)
        .iter()
        .map(|run| text_of(&run["run_id"]).to_owned())
        .collect();
    ids.sort();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "{ids:?}");
    assert!(ids.iter().all(|id| id.starts_with("sched-")), "{ids:?}");
    ids
}

/// A DAG beside the others that is due every second, too: when runs of it come for two further seconds, the seconds
/// before have been decided for all DAGs.
const BEAT: &str =
    "schedule: '* * * * * *'\noverlap_policy: all\nqueue: beat\nsteps: [{name: a, command: 'true'}]\n";

/// The newest scheduled time of the DAG that beats.
fn beat(daemon: &Daemon) -> String {
    let runs = daemon.json(&["history", "beat", "--limit", "1000"]);
    let runs = runs["runs"].as_array().unwrap().iter();
    let times = runs.map(|run| text_of(&run["scheduled_for"]).to_owned());
    times.max().unwrap_or_default()
}

/// Waits until schedules have had two further seconds to do something in.
fn two_beats(daemon: &Daemon) {
    for _ in 0..3 {
        let before = beat(daemon);
        until("the next beat", || (beat(daemon) > before).then_some(()));
    }
}

fn wait_idle(daemon: &Daemon, dag: &str) {
    until("what was queued has ended", || {
        let runs = daemon.json(&["ps"]);
        let mut runs = runs["runs"].as_array().unwrap().iter();
        runs.all(|run| run["dag"] != dag).then_some(())
    });
}

fn succeeded(daemon: &Daemon) -> usize {
    runs(daemon)
        .iter()
        .filter(|run| run["status"] == "succeeded")
        .count()
}

#[test]
fn a_schedule_starts_runs_until_it_is_disabled_and_again_when_it_is_enabled() {
    let mut daemon = Daemon::start("[queue]\nmax_active_runs = 4\n");
    std::fs::write(daemon.path("etc/proctor/base.yaml"), "env: [GREETING: hello]\n").unwrap();
    put(&daemon, "tick.yaml", EVERY_SECOND);
    put(&daemon, "beat.yaml", BEAT);
    until("three runs have succeeded", || {
        (succeeded(&daemon) >= 3).then_some(())
    });
    let first = runs(&daemon)
        .into_iter()
        .find(|run| run["status"] == "succeeded")
        .unwrap();
    let name = format!("tick:{}", text_of(&first["run_id"]));
    let status = daemon.status(&name);
    assert_eq!(
        status["steps"][0]["variables"]["SAID"], "hello",
        "the base configuration holds: {status:#}"
    );
    assert_eq!(status["trigger"], "scheduler", "{status:#}");
    daemon.json(&["disable", "tick"]);
    wait_idle(&daemon, "tick");
    let before = ids(&daemon);
    // Over a restart, and for longer than a tick.
    daemon.kill9();
    daemon.restart();
    two_beats(&daemon);
    assert_eq!(ids(&daemon), before, "disabled");
    daemon.json(&["enable", "tick"]);
    until("it starts again", || {
        (ids(&daemon).len() > before.len()).then_some(())
    });
    let next = daemon.json(&["next", "tick", "--count", "3"]);
    assert_eq!(next["next"].as_array().unwrap().len(), 3, "{next:#}");
    assert!(daemon.doctor_value("scheduled starts") > 0);
    daemon.json(&["remove", "tick"]);
    wait_idle(&daemon, "tick");
    let after = ids(&daemon);
    two_beats(&daemon);
    assert_eq!(ids(&daemon), after, "removed");
    daemon.json(&["remove", "beat"]);
    wait_idle(&daemon, "beat");
    daemon.expect_clean();
}

#[test]
fn a_broken_file_goes_on_being_scheduled_as_it_was_also_over_a_restart() {
    let mut daemon = Daemon::start("[queue]\nmax_active_runs = 4\n");
    put(&daemon, "tick.yaml", EVERY_SECOND);
    until("a run has succeeded", || (succeeded(&daemon) >= 1).then_some(()));
    put(&daemon, "tick.yaml", "steps: [{comand: x}]\n");
    daemon.wait_log("its last good version stays in force");
    let before = ids(&daemon).len();
    until("it is started as before", || {
        (ids(&daemon).len() > before + 1).then_some(())
    });
    daemon.kill9();
    daemon.restart();
    let before = ids(&daemon).len();
    until("it is started after a restart", || {
        (ids(&daemon).len() > before + 1).then_some(())
    });
    std::fs::remove_file(daemon.path("etc/proctor/dags/tick.yaml")).unwrap();
    daemon.wait_log("is not installed any more");
    until("what was queued has ended", || {
        daemon.json(&["ps"])["runs"]
            .as_array()
            .unwrap()
            .is_empty()
            .then_some(())
    });
    daemon.expect_clean();
}

#[test]
fn an_embedded_daemon_shows_schedules_and_leaves_them_to_one_that_stays() {
    let mut daemon = Daemon::prepare("");
    put(&daemon, "tick.yaml", EVERY_SECOND);
    // Longer than some times of the schedule.
    let file = daemon.dag("own", "steps: [{name: a, command: sleep 2.5}]");
    daemon.ctl(&["run", "--embedded", &file]).expect_code(0);
    let history = daemon.json(&["--embedded", "history"]);
    assert_eq!(history["runs"].as_array().unwrap().len(), 1, "{history:#}");
    let next = daemon.json(&["--embedded", "next", "tick"]);
    assert_eq!(next["next"][0]["idle"], true, "{next:#}");
    let told = daemon.ctl(&["--embedded", "dags"]).expect_code(0).text();
    assert!(
        told.contains("idle") && told.contains("run proctord without --embedded"),
        "{told}"
    );
    until("the private daemon leaves", || {
        (daemon.ctl(&["history"]).code() == 69).then_some(())
    });
    daemon.restart();
    until("a daemon that stays starts runs", || {
        runs(&daemon).iter().find(|run| run["dag"] == "tick").cloned()
    });
    let next = daemon.json(&["next", "tick"]);
    assert_eq!(next["next"][0]["idle"], false, "{next:#}");
    daemon.ctl(&["disable", "tick"]).expect_code(0);
    daemon.expect_clean();
}
