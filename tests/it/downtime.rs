//! A daemon that was down for days, with a shifted clock: it starts exactly what each DAG's policy says, and nothing of
//! it again when it comes back once more.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::helper::{Daemon, until};

/// Monday, 15 June 2026, 12:10:00 UTC: no schedule of this test is due within the minute.
const BEFORE: i64 = 1_781_525_400;
/// Three days and ten minutes later.
const AFTER: i64 = BEFORE + 3 * 86_400 + 600;

const CONFIG: &str = "[schedule]\ntime_zone = \"UTC\"\n";

/// Scheduled times and the statuses of their runs.
type Times = &'static [(&'static str, &'static str)];

/// The DAGs: name, what is between name and steps, and the scheduled times that are started after the downtime, with
/// the status each comes to.
const DAGS: [(&str, &str, Times); 11] = [
    ("nothing", "schedule: 0 6 * * *\n", &[]),
    (
        "all",
        "schedule: 0 6 * * *\ncatchup_window: 7d\noverlap_policy: all\n",
        &[
            ("2026-06-16T06:00:00.000Z", "succeeded"),
            ("2026-06-17T06:00:00.000Z", "succeeded"),
            ("2026-06-18T06:00:00.000Z", "succeeded"),
        ],
    ),
    (
        "latest",
        "schedule: 0 6 * * *\ncatchup_window: 7d\noverlap_policy: latest\n",
        &[("2026-06-18T06:00:00.000Z", "succeeded")],
    ),
    (
        "skip",
        "schedule: 0 6 * * *\ncatchup_window: 7d\n",
        &[("2026-06-16T06:00:00.000Z", "succeeded")],
    ),
    (
        "newest",
        "schedule: 0 6 * * *\ncatchup_window: 7d\noverlap_policy: cancel_other\n",
        &[("2026-06-18T06:00:00.000Z", "succeeded")],
    ),
    (
        "window",
        "schedule: 0 * * * *\ncatchup_window: 2h\noverlap_policy: all\n",
        &[
            ("2026-06-18T11:00:00.000Z", "succeeded"),
            ("2026-06-18T12:00:00.000Z", "succeeded"),
        ],
    ),
    (
        "minutely",
        "schedule: '* * * * *'\ncatchup_window: 30d\noverlap_policy: latest\n",
        &[("2026-06-18T12:20:00.000Z", "succeeded")],
    ),
    (
        "disabled",
        "schedule: 0 6 * * *\ncatchup_window: 7d\noverlap_policy: all\n",
        &[],
    ),
    (
        "once",
        "schedule:\n  at: ['2026-06-16 10:00', '2026-07-01 00:00']\ncatchup_window: 7d\n",
        &[("2026-06-16T10:00:00.000Z", "succeeded")],
    ),
    ("late-once", "schedule:\n  at: '2026-06-16 10:00'\n", &[]),
    (
        "zoned",
        "schedule: CRON_TZ=Asia/Tokyo 0 6 17 6 *\ncatchup_window: 7d\n",
        &[("2026-06-16T21:00:00.000Z", "succeeded")],
    ),
];

fn wall_seconds() -> i64 {
    proctor::sys::clock::wall_micros() / 1_000_000
}

/// Starts the daemon with its clock at this time.
fn start_at(daemon: &mut Daemon, at: i64) {
    let shift = (at - wall_seconds()).to_string();
    daemon.restart_with(|command| {
        command.env("PROCTOR_TEST_CLOCK_SHIFT_SEC", shift);
    });
}

/// Scheduled times and statuses of all runs of each DAG, but for those that were superseded, by time.
fn started(daemon: &Daemon) -> BTreeMap<String, Vec<(String, String)>> {
    let history = daemon.json(&["history", "--limit", "1000"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for run in history["runs"].as_array().unwrap() {
        if run["status"] == "aborted" && run["error"].to_string().contains("superseded") {
            continue;
        }
        let entry = (text(&run["scheduled_for"]), text(&run["status"]));
        found.entry(text(&run["dag"])).or_default().push(entry);
    }
    for times in found.values_mut() {
        times.sort();
    }
    found
}

/// What is told of the last scheduled time of a DAG.
fn last_tick(daemon: &Daemon, time: &str, words: &str) {
    until(&format!("{time} {words}\n{}", daemon.log()), || {
        let log = daemon.log();
        let mut lines = log.lines();
        lines
            .any(|line| line.contains(time) && line.contains(words))
            .then_some(())
    });
}

#[test]
fn skip_if_successful_holds_over_a_daemon_that_is_killed_and_a_machine_that_was_off() {
    const HOUR: i64 = 3_600;
    let mut daemon = Daemon::prepare(CONFIG);
    let dags = daemon.path("etc/proctor/dags");
    std::fs::create_dir_all(&dags).unwrap();
    for name in ["early", "plain"] {
        let text = format!(
            "name: {name}\nschedule: 0 * * * *\nskip_if_successful: true\ncatchup_window: 30m\n\
             steps:\n  - name: one\n    command: \"true\"\n"
        );
        std::fs::write(dags.join(format!("{name}.yaml")), text).unwrap();
    }
    let times = |daemon: &Daemon, dag: &str| -> Vec<(String, String)> {
        let mut times = started(daemon).remove(dag).unwrap_or_default();
        times.retain(|(at, _)| !at.is_empty());
        times
    };
    let ran = |daemon: &Daemon, dag: &str, at: &str| {
        until(&format!("{dag} at {at}\n{}", daemon.log()), || {
            let done = (at.to_owned(), "succeeded".to_owned());
            times(daemon, dag).contains(&done).then_some(())
        });
    };
    start_at(&mut daemon, BEFORE);
    until("the DAGs to be installed", || {
        let listed = daemon.json(&["dags"]);
        (listed["dags"].as_array().unwrap().len() == 2).then_some(())
    });
    // In an orderly way: the store has it then that they count from now on.
    daemon.stop();

    // Both succeed on time, and one of them once more in between.
    start_at(&mut daemon, BEFORE + 50 * 60 + 5);
    ran(&daemon, "early", "2026-06-15T13:00:00.000Z");
    ran(&daemon, "plain", "2026-06-15T13:00:00.000Z");
    daemon.kill9();
    start_at(&mut daemon, BEFORE + 70 * 60);
    daemon.ctl(&["run", "early"]).expect_code(0);
    assert_eq!(times(&daemon, "early").len(), 1, "nothing twice");
    daemon.kill9();

    // What ran on time did the work of its own time; what ran in between did that of the next one.
    start_at(&mut daemon, BEFORE + 50 * 60 + HOUR + 5);
    ran(&daemon, "plain", "2026-06-15T14:00:00.000Z");
    last_tick(&daemon, "2026-06-15T14:00:00.000Z", "skip_if_successful");
    daemon.kill9();

    // It was for one time only.
    start_at(&mut daemon, BEFORE + 50 * 60 + 2 * HOUR + 5);
    ran(&daemon, "early", "2026-06-15T15:00:00.000Z");
    ran(&daemon, "plain", "2026-06-15T15:00:00.000Z");
    let of = |dag: &str| -> Vec<String> {
        let times = times(&daemon, dag).into_iter();
        times.map(|(at, _)| at.get(11..16).unwrap().to_owned()).collect()
    };
    assert_eq!(of("early"), ["13:00", "15:00"]);
    assert_eq!(of("plain"), ["13:00", "14:00", "15:00"]);
    daemon.expect_clean();
}

#[test]
fn after_three_days_each_policy_starts_what_it_says_and_nothing_twice() {
    let mut daemon = Daemon::prepare(CONFIG);
    let dags = daemon.path("etc/proctor/dags");
    std::fs::create_dir_all(&dags).unwrap();
    for (name, head, _) in DAGS {
        let text = format!("name: {name}\n{head}steps:\n  - name: one\n    command: \"true\"\n");
        std::fs::write(dags.join(format!("{name}.yaml")), text).unwrap();
    }
    start_at(&mut daemon, BEFORE);
    until("all DAGs to be installed", || {
        let listed = daemon.json(&["dags"]);
        (listed["dags"].as_array().unwrap().len() == DAGS.len()).then_some(())
    });
    daemon.ctl(&["disable", "disabled"]).expect_code(0);
    // The minutely one may have fired while the clock was at the minute.
    let before = started(&daemon);
    assert!(before.keys().all(|dag| dag == "minutely"), "{before:?}");
    daemon.stop();

    start_at(&mut daemon, AFTER);
    let wanted: BTreeMap<String, Vec<(String, String)>> = DAGS
        .into_iter()
        .filter(|(_, _, times)| !times.is_empty())
        .map(|(dag, _, times)| {
            let times = times
                .iter()
                .map(|(at, status)| ((*at).to_owned(), (*status).to_owned()));
            (dag.to_owned(), times.collect())
        })
        .collect();
    let after_downtime = |daemon: &Daemon| {
        let mut found = started(daemon);
        for (dag, times) in &mut found {
            let early = before.get(dag).cloned().unwrap_or_default();
            times.retain(|time| !early.contains(time));
            if dag == "minutely" {
                // Time goes on while the test runs.
                times.retain(|(at, _)| at.as_str() <= "2026-06-18T12:20:00.000Z");
            }
        }
        found.retain(|_, times| !times.is_empty());
        found
    };
    until("what was missed to have run", || {
        let open = daemon.json(&["ps"]);
        let found = after_downtime(&daemon);
        (open["runs"].as_array().unwrap().is_empty() && found.len() >= wanted.len()).then_some(())
    });
    assert_eq!(after_downtime(&daemon), wanted);

    // Once more at the same time: everything is decided already.
    daemon.stop();
    start_at(&mut daemon, AFTER + 5);
    until("all DAGs to be installed again", || {
        let listed = daemon.json(&["dags"]);
        (listed["dags"].as_array().unwrap().len() == DAGS.len()).then_some(())
    });
    assert_eq!(after_downtime(&daemon), wanted);
    daemon.ctl(&["disable", "minutely"]).expect_code(0);
    daemon.expect_clean();
}
