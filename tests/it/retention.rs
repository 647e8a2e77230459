//! Old runs go, with everything they left, and what stays is unharmed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use rusqlite::Connection;

use crate::helper::{Daemon, files_below, text_of, until};

const SAYS: &str = "steps: [{name: a, command: echo said}]";
const BY_HAND: &str = "[retention]\nenabled = false\n[queue]\nmax_active_runs = 0\n";
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

fn store(daemon: &Daemon) -> Connection {
    let store = Connection::open(daemon.path("var/lib/proctor/proctor.db")).unwrap();
    store.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    store
}

/// Puts runs into the past.
fn age(daemon: &Daemon, run: &str, days: i64) {
    let (_, id) = run.split_once(':').unwrap();
    let store = store(daemon);
    for sql in [
        "UPDATE attempts SET ended_at = ended_at - ?2 WHERE run = (SELECT id FROM runs WHERE run_id = ?1)",
        "UPDATE runs SET created_at = created_at - ?2 WHERE run_id = ?1",
    ] {
        assert_eq!(store.execute(sql, rusqlite::params![id, days * DAY]).unwrap(), 1);
    }
}

/// How many directories the store has noted as to be removed.
fn noted(daemon: &Daemon) -> i64 {
    let count = "SELECT count(*) FROM removals";
    store(daemon).query_row(count, [], |row| row.get(0)).unwrap()
}

/// Directories of attempts.
fn attempts(daemon: &Daemon) -> Vec<PathBuf> {
    let days = std::fs::read_dir(daemon.path("var/lib/proctor/attempts")).unwrap();
    days.flatten()
        .filter_map(|day| std::fs::read_dir(day.path()).ok())
        .flatten()
        .map(|attempt| attempt.unwrap().path())
        .collect()
}

/// The runs in the history, the newest first.
fn history(daemon: &Daemon) -> Vec<String> {
    daemon.json(&["history", "--limit", "1000"])["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| format!("{}:{}", text_of(&run["dag"]), text_of(&run["run_id"])))
        .collect()
}

/// Submits a run and waits for its end.
fn done(daemon: &Daemon, name: &str, text: &str) -> String {
    let run = daemon.submit(name, text);
    daemon.wait_success(&run);
    run
}

fn says(daemon: &Daemon, run: &str) {
    assert_eq!(daemon.status(run)["status"], "succeeded");
    let logs = daemon.ctl(&["logs", run]).expect_code(0);
    assert!(logs.stdout.ends_with("said\n"), "{logs:?}");
    let attempts = daemon.json(&["history", run]);
    assert_eq!(attempts["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn after_each_end_only_the_newest_runs_of_the_dag_are_kept() {
    let daemon = Daemon::start("[retention]\nruns = 2\n");
    let other = done(&daemon, "other", SAYS);
    let runs: Vec<String> = (0..5).map(|_| done(&daemon, "often", SAYS)).collect();
    until("three runs go", || (history(&daemon).len() == 3).then_some(()));
    assert_eq!(
        history(&daemon),
        [runs[4].clone(), runs[3].clone(), other.clone()]
    );
    until("their logs go", || (attempts(&daemon).len() == 3).then_some(()));
    for run in [&runs[4], &runs[3], &other] {
        says(&daemon, run);
    }
    for gone in &runs[..3] {
        let said = daemon.ctl(&["logs", gone]).expect_code(1);
        assert!(said.stderr.contains("there is no run"), "{said:?}");
    }
    daemon.expect_clean();
}

#[test]
fn what_a_dag_says_goes_before_the_configuration() {
    let mut daemon = Daemon::start("[retention]\nenabled = false\ndays = 5\n");
    let text = |days: i32| format!("hist_retention_days: {days}\n{SAYS}");
    let kept = done(&daemon, "for-ever", &text(-1));
    let week = done(&daemon, "week", &text(7));
    let old = done(&daemon, "old", &text(7));
    let silent = done(&daemon, "silent", SAYS);
    daemon.expect_clean();
    daemon.stop();
    for (run, days) in [(&kept, 4_000), (&week, 6), (&old, 8), (&silent, 6)] {
        age(&daemon, run, days);
    }
    daemon.restart();
    assert_eq!(history(&daemon).len(), 4, "it is turned off");
    daemon.configure("[retention]\ndays = 5\n");
    daemon.ctl(&["reload"]).expect_code(0);
    until("two runs go", || (history(&daemon).len() == 2).then_some(()));
    until("their logs go", || (attempts(&daemon).len() == 2).then_some(()));
    assert_eq!(
        history(&daemon).into_iter().collect::<BTreeSet<_>>(),
        [kept, week].into()
    );
    daemon.expect_clean();
}

#[test]
fn cleanup_shows_what_would_go_and_removes_just_that() {
    let mut daemon = Daemon::start(BY_HAND);
    let old: Vec<String> = (0..2).map(|_| done(&daemon, "job", SAYS)).collect();
    let new = done(&daemon, "job", SAYS);
    let other = done(&daemon, "other", SAYS);
    daemon.expect_clean();
    daemon.stop();
    for run in old.iter().chain([&other]) {
        age(&daemon, run, 10);
    }
    daemon.restart();
    daemon.ctl(&["cleanup", "job", "--keep-days", "9"]).expect_code(2);
    let would = daemon.json(&["cleanup", "job", "--keep-days", "9", "--dry-run"]);
    assert_eq!(
        (&would["runs"], &would["dry_run"]),
        (&2.into(), &true.into()),
        "{would:#}"
    );
    assert!(would["bytes"].as_u64().unwrap() > 0, "{would:#}");
    let first = would["first"].as_array().unwrap();
    let named: BTreeSet<&str> = first.iter().map(|run| text_of(&run["run_id"])).collect();
    assert_eq!(
        named,
        old.iter().map(|run| run.split_once(':').unwrap().1).collect()
    );
    assert_eq!((history(&daemon).len(), attempts(&daemon).len()), (4, 4));
    let done = daemon.json(&["cleanup", "job", "--keep-days", "9", "--yes"]);
    assert_eq!(
        (&done["runs"], &done["dry_run"]),
        (&2.into(), &false.into()),
        "{done:#}"
    );
    assert!(done["bytes"].as_u64().unwrap() > 0, "{done:#}");
    // It answers when the files are gone.
    assert_eq!(attempts(&daemon).len(), 2);
    says(&daemon, &new);
    says(&daemon, &other);
    // Its name is free again, and a run of that name begins anew.
    let (_, id) = old[0].split_once(':').unwrap();
    let file = daemon.dag("job", SAYS);
    daemon.ctl(&["run", "--run-id", id, &file]).expect_code(0);
    says(&daemon, &old[0]);
    daemon.expect_clean();
}

#[test]
fn a_run_goes_with_those_it_called_and_never_while_it_is_not_over() {
    let daemon = Daemon::start(BY_HAND);
    let go = daemon.path("go");
    let text = format!(
        "steps: [{{call: child}}]\n---\nname: child\nsteps:\n  - command: while [ -e {} ]; do sleep 0.05; done; echo said\n",
        go.display()
    );
    let first = done(&daemon, "parent", &text);
    std::fs::write(&go, "").unwrap();
    let live = daemon.submit("parent", &text);
    let waits = daemon.submit("waits", "steps: [{name: a, command: 'true', approval: {}}]");
    assert_eq!(daemon.wait_end(&waits)["status"], "waiting");
    until("both are live", || {
        (daemon.json(&["ps"])["runs"].as_array()?.len() == 3).then_some(())
    });
    let all = ["cleanup", "--keep-days", "0", "--keep-runs", "0", "--yes"];
    let report = daemon.json(&all);
    assert_eq!(
        (&report["runs"], &report["sub_runs"]),
        (&1.into(), &1.into()),
        "{report:#}"
    );
    assert_eq!(history(&daemon), [waits.clone(), live.clone()]);
    let listed = daemon.ctl(&["status", &first]).expect_code(1);
    assert!(listed.stderr.contains("there is no run"), "{listed:?}");
    std::fs::remove_file(&go).unwrap();
    let result = daemon.wait_success(&live);
    let child = &result["steps"][0]["children"][0];
    says(&daemon, &format!("child:{}", text_of(&child["run_id"])));
    daemon.ctl(&["approve", &waits]).expect_code(0);
    daemon.wait_success(&waits);
    daemon.expect_clean();
    let report = daemon.json(&all);
    assert_eq!(
        (&report["runs"], &report["sub_runs"]),
        (&2.into(), &1.into()),
        "{report:#}"
    );
    assert_eq!(attempts(&daemon), Vec::<PathBuf>::new());
    assert_eq!(
        files_below(&daemon.path("var/lib/proctor/work")),
        Vec::<PathBuf>::new()
    );
}

#[test]
fn a_daemon_that_is_killed_meanwhile_goes_on_when_it_is_back() {
    let mut daemon = Daemon::start(BY_HAND);
    let runs: Vec<String> = (0..6).map(|_| done(&daemon, "job", SAYS)).collect();
    daemon.expect_clean();
    // So much that the removal is seen while it goes on.
    for dir in attempts(&daemon) {
        for number in 0..4_000 {
            std::fs::write(dir.join(format!("logs/{number}")), "").unwrap();
        }
    }
    let cleanup = daemon.begin(&["cleanup", "--keep-runs", "1", "--yes"]);
    until("the runs are gone", || (noted(&daemon) > 0).then_some(()));
    daemon.kill9();
    // The daemon is gone in the middle of it.
    assert_eq!(cleanup.finish().code(), 69);
    assert!(attempts(&daemon).len() > 1, "it was done before it was killed");
    daemon.restart();
    // What is listed is whole, from the first moment on.
    assert_eq!(history(&daemon), [runs[5].clone()]);
    says(&daemon, &runs[5]);
    until("the rest is gone", || {
        (attempts(&daemon).len() == 1).then_some(())
    });
    until("nothing is noted any more", || {
        (noted(&daemon) == 0).then_some(())
    });
    says(&daemon, &runs[5]);
    daemon.expect_clean();
}

/// Many copies of a run that has ended.
fn copy(daemon: &Daemon, run: &str, times: i64) {
    let (_, id) = run.split_once(':').unwrap();
    let store = store(daemon);
    let columns = |table: &str, but: &[&str]| -> Vec<String> {
        let mut statement = store
            .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))
            .unwrap();
        let names = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        names
            .map(Result::unwrap)
            .filter(|name| !but.contains(&name.as_str()))
            .collect()
    };
    let (run, attempt) = (
        columns("runs", &["id", "run_id", "created_at"]).join(", "),
        columns("attempts", &["id", "run", "attempt"]).join(", "),
    );
    store
        .execute_batch(&format!(
            "BEGIN;
             CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {times})
                 SELECT i FROM n;
             INSERT INTO runs (id, run_id, created_at, {run})
                 SELECT 1000 + i, 'copy-' || i, created_at - i, {run} FROM runs, n WHERE run_id = '{id}';
             INSERT INTO attempts (id, run, attempt, {attempt})
                 SELECT 100000 + i, 1000 + i, printf('%016x', i), {attempt} FROM attempts, n
                 WHERE run = (SELECT id FROM runs WHERE run_id = '{id}');
             COMMIT;"
        ))
        .unwrap();
}

#[test]
fn ten_thousand_runs_go_while_others_are_started() {
    let mut daemon = Daemon::start(BY_HAND);
    let kept = done(&daemon, "job", SAYS);
    daemon.expect_clean();
    daemon.stop();
    copy(&daemon, &kept, 10_000);
    daemon.restart();
    let begun = Instant::now();
    let cleanup = daemon.begin(&["--json", "cleanup", "job", "--keep-runs", "1", "--yes"]);
    let left = || -> i64 {
        let count = "SELECT count(*) FROM runs WHERE run_id LIKE 'copy-%'";
        store(&daemon).query_row(count, [], |row| row.get(0)).unwrap()
    };
    until("it has begun", || (left() < 10_000).then_some(()));
    let mut between = 0;
    while left() > 0 {
        done(&daemon, "meanwhile", SAYS);
        between += 1;
    }
    let report = cleanup.finish().expect_code(0).json();
    eprintln!("{:?}, {between} runs meanwhile", begun.elapsed());
    assert_eq!(report["runs"], 10_000, "{report:#}");
    assert!(between > 0, "nothing ran meanwhile");
    says(&daemon, &kept);
    daemon.expect_clean();
}

#[test]
fn what_of_others_cannot_be_removed_is_told_to_root_alone() {
    let Some((_, guest)) = crate::users::two_users() else {
        return;
    };
    let (daemon, _) = crate::users::open_house();
    done(&daemon, "job", SAYS);
    daemon.expect_clean();
    let days = daemon.path("var/lib/proctor/attempts");
    let day = std::fs::read_dir(&days).unwrap().next().unwrap().unwrap().path();
    let away = daemon.path("src/away");
    // What is no directory is not followed.
    std::fs::rename(&day, &away).unwrap();
    std::os::unix::fs::symlink(&away, &day).unwrap();
    let words = ["--json", "cleanup", "--keep-runs", "0", "--yes"];
    let failures = |out: crate::helper::Out| out.json()["failures"].as_array().unwrap().len();
    assert_eq!(failures(daemon.ctl(&words)), 1);
    assert_eq!(failures(crate::users::as_user(&guest, &daemon, &words)), 0);
    assert_eq!(failures(daemon.ctl(&words)), 1, "it was tried again");
    std::fs::remove_file(&day).unwrap();
    std::fs::rename(&away, &day).unwrap();
    assert_eq!(failures(daemon.ctl(&words)), 0);
    assert_eq!(attempts(&daemon), Vec::<PathBuf>::new());
    daemon.expect_clean();
}
