//! What is held back, and what lets it go: retries of disabled DAGs, whatever becomes of the DAG; and what must not hold
//! anything back.

use crate::helper::{Daemon, lines, skip, text_of, until};
use crate::schedules::put;
use crate::users::{as_user, open_house, two_users};
use crate::verbs::why;
use proctor::model::StopReason;
use proctor::sys::creds::User;

/// Fails each time, and is tried again after so many seconds.
fn failing(daemon: &Daemon, seconds: u32) -> String {
    format!(
        "retry_policy: {{limit: 100, interval_sec: {seconds}}}\nsteps: [{{name: a, command: \"echo try >> \
         {tried}; exit 1\"}}]\n",
        tried = daemon.path("tried").display()
    )
}

/// Starts an installed DAG by name.
fn start(daemon: &Daemon, args: &[&str]) -> String {
    let run = daemon.json(&[&["run", "--detach"], args].concat());
    format!("{}:{}", text_of(&run["dag"]), text_of(&run["run_id"]))
}

/// Waits until the run waits for its retry, with nothing left of its attempt, and says whether that is held back.
fn held(daemon: &Daemon, run: &str) -> bool {
    until("a pending retry", || {
        let status = daemon.status(run);
        let pending = status["retry"].is_object() && daemon.remains().is_empty();
        pending.then(|| status["retry"]["held"] == true)
    })
}

/// Waits until the run is tried again.
fn wait_tried(daemon: &Daemon, run: &str) {
    let before = lines(&daemon.path("tried"));
    until("a further try", || {
        (lines(&daemon.path("tried")) > before).then_some(())
    });
    // It may have ended already.
    daemon.ctl(&["stop", run]);
    until("it is over", || {
        let status = daemon.status(run);
        (status["retry"].is_null() && daemon.remains().is_empty()).then_some(())
    });
}

#[test]
fn the_retry_of_a_disabled_dag_comes_when_the_dag_is_removed() {
    let daemon = Daemon::start("");
    let file = daemon.dag("again", &failing(&daemon, 1));
    daemon.json(&["install", &file]);
    daemon.json(&["disable", "again"]);
    let run = start(&daemon, &["again"]);
    assert!(held(&daemon, &run));
    daemon.json(&["remove", "again"]);
    wait_tried(&daemon, &run);
    daemon.expect_clean();
}

#[test]
fn what_a_file_that_is_gone_has_left_waits_until_it_is_enabled() {
    let mut daemon = Daemon::start("");
    put(&daemon, "again.yaml", &failing(&daemon, 1));
    until("it is installed", || {
        (daemon.ctl(&["disable", "again"]).code() == 0).then_some(())
    });
    let run = start(&daemon, &["again"]);
    assert!(held(&daemon, &run));
    std::fs::remove_file(daemon.path("etc/proctor/dags/again.yaml")).unwrap();
    daemon.wait_log("is not installed any more");
    assert!(held(&daemon, &run), "the file may come back");
    daemon.kill9();
    daemon.restart();
    assert!(held(&daemon, &run));
    daemon.ctl(&["enable", "again"]).expect_code(0);
    wait_tried(&daemon, &run);
    // There is nothing to be enabled any more.
    daemon.ctl(&["enable", "again"]).expect_code(1);
    daemon.expect_clean();
}

#[test]
fn a_dag_that_only_people_can_start_is_held_back_too() {
    let mut daemon = Daemon::start("");
    let text = format!(
        "params: [{{name: what, required: true}}]\n{}",
        failing(&daemon, 3000)
    );
    let file = daemon.dag("again", &text);
    daemon.json(&["install", &file]);
    let run = start(&daemon, &["again", "--", "what=x"]);
    assert!(!held(&daemon, &run));
    daemon.json(&["disable", "again"]);
    assert!(held(&daemon, &run));
    daemon.kill9();
    daemon.restart();
    assert!(held(&daemon, &run));
    daemon.json(&["enable", "again"]);
    assert!(!held(&daemon, &run));
    daemon.ctl(&["stop", &run]).expect_code(0);
    daemon.expect_clean();
}

/// A run of a user's DAG `again` that has failed, and waits for its retry since the DAG is disabled.
fn held_run_of(guest: &User, daemon: &Daemon, file: &str) -> String {
    as_user(guest, daemon, &["install", file]).expect_code(0);
    as_user(guest, daemon, &["disable", "again"]).expect_code(0);
    let run = as_user(guest, daemon, &["--json", "run", "--detach", "again"])
        .expect_code(0)
        .json();
    let run = format!("again:{}", text_of(&run["run_id"]));
    assert!(held(daemon, &run));
    run
}

#[test]
fn when_somebody_else_gets_the_name_nothing_says_any_more_that_the_dag_is_disabled() {
    let Some((_, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    let text = "retry_policy: {limit: 1, interval_sec: 3000}\nsteps: [{name: a, command: exit 1}]\n";
    let file = daemon.dag("again", text);
    let run = held_run_of(&guest, &daemon, &file);
    put(
        &daemon,
        "again.yaml",
        "schedule: 1 3 1 1 *\nsteps: [{name: a, command: \"true\"}]\n",
    );
    until("the system has the name", || {
        let all = daemon.json(&["next", "again"]);
        (!all["next"].as_array().unwrap().is_empty()).then_some(())
    });
    assert!(!held(&daemon, &run));
    as_user(&guest, &daemon, &["stop", &run]).expect_code(0);
    daemon.expect_clean();
}

#[test]
fn the_name_of_a_disabled_dag_of_the_system_goes_to_no_user_who_could_let_its_retries_go() {
    let Some((_, guest)) = two_users() else { return };
    let (mut daemon, file) = open_house();
    put(&daemon, "again.yaml", &failing(&daemon, 1));
    until("it is installed", || {
        (daemon.ctl(&["disable", "again"]).code() == 0).then_some(())
    });
    let run = start(&daemon, &["again"]);
    assert!(held(&daemon, &run));
    let system = daemon.path("etc/proctor/dags/again.yaml");
    std::fs::remove_file(&system).unwrap();
    daemon.wait_log("is not installed any more");
    // Neither who installs it, nor a file that is there already.
    let refused = as_user(&guest, &daemon, &["install", "--name", "again", &file]).expect_code(1);
    assert!(refused.stderr.contains("its DAG is disabled"), "{refused:?}");
    let users = daemon.path("var/lib/proctor/dags/nobody");
    std::fs::create_dir_all(&users).unwrap();
    std::fs::copy(&file, users.join("again.yaml")).unwrap();
    let waits = |daemon: &Daemon| {
        until("the user's file is in error", || {
            let all = daemon.json(&["dags"])["dags"].as_array().unwrap().clone();
            let of_user = all.iter().find(|dag| dag["system"] == false)?;
            let told = of_user["problems"].to_string().contains("its DAG is disabled");
            (told && of_user["in_force"] == false).then_some(())
        });
        assert!(held(daemon, &run));
    };
    waits(&daemon);
    as_user(&guest, &daemon, &["enable", "again"]).expect_code(1);
    daemon.kill9();
    daemon.restart();
    waits(&daemon);
    put(&daemon, "again.yaml", &failing(&daemon, 1));
    until("the system's is back", || {
        let all = daemon.json(&["dags"])["dags"].as_array().unwrap().clone();
        let of_system = all.iter().find(|dag| dag["system"] == true)?;
        assert_eq!(of_system["enabled"], false, "{all:#?}");
        Some(())
    });
    assert!(held(&daemon, &run));
    std::fs::remove_file(&system).unwrap();
    waits(&daemon);
    // The name is free, and its retry comes, when root says so.
    daemon.ctl(&["enable", "again"]).expect_code(0);
    wait_tried(&daemon, &run);
    until("the user has the name", || {
        let all = daemon.json(&["dags"])["dags"].as_array().unwrap().clone();
        all.iter().any(|dag| dag["in_force"] == true).then_some(())
    });
    daemon.expect_clean();
}

#[test]
fn a_file_of_the_system_that_is_made_anew_has_no_gap_for_users_who_install_meanwhile() {
    let Some((_, guest)) = two_users() else { return };
    let (daemon, file) = open_house();
    put(&daemon, "again.yaml", "steps: [{name: a, command: \"true\"}]\n");
    until("it is installed", || {
        (daemon.ctl(&["disable", "again"]).code() == 0).then_some(())
    });
    let (system, away) = (
        daemon.path("etc/proctor/dags/again.yaml"),
        daemon.path("etc/proctor/dags/.away"),
    );
    for round in 0..10 {
        let began = std::time::Instant::now();
        std::fs::rename(&system, &away).unwrap();
        as_user(&guest, &daemon, &["install", "--replace", &file]).expect_code(0);
        std::fs::rename(&away, &system).unwrap();
        // A longer gap is one that anybody would see.
        let short = began.elapsed() < std::time::Duration::from_millis(200);
        if short {
            assert!(
                !daemon.log().contains("again is not installed any more"),
                "{round}"
            );
        } else {
            return skip("too slow to install within the time that a change needs to settle");
        }
    }
    daemon.expect_clean();
}

#[test]
fn the_retry_of_a_user_who_is_gone_waits_for_the_user() {
    let Some((_, guest)) = two_users() else { return };
    let (mut daemon, _) = open_house();
    let tried = daemon.path("tried");
    std::fs::write(&tried, "").unwrap();
    std::fs::set_permissions(&tried, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let text = format!("working_dir: /\n{}", failing(&daemon, 1));
    let file = daemon.dag("again", &text);
    let run = held_run_of(&guest, &daemon, &file);
    // As if the user had had another name, which nobody has any more.
    daemon.kill9();
    let dags = daemon.path("var/lib/proctor/dags");
    let renamed = |daemon: &Daemon, from: &str, to: &str| {
        std::fs::rename(dags.join(from), dags.join(to)).unwrap();
        let store = rusqlite::Connection::open(daemon.path("var/lib/proctor/proctor.db")).unwrap();
        let file = [format!("{to}/again.yaml")];
        assert_eq!(store.execute("UPDATE installed SET file = ?1", file).unwrap(), 1);
        store.execute("UPDATE plans SET suspended = 0", []).unwrap();
    };
    renamed(&daemon, "nobody", "no-such-user");
    let before = lines(&tried);
    assert_eq!(before, 1);
    daemon.restart();
    let listed = || {
        let all = daemon.json(&["dags"])["dags"].as_array().unwrap().clone();
        let dag = all.into_iter().find(|dag| dag["dag"] == "again").unwrap();
        assert_eq!(dag["owner"], guest.uid, "{dag:#}");
        assert_eq!(dag["in_force"], false, "{dag:#}");
    };
    listed();
    assert!(held(&daemon, &run));
    let told = why(&daemon, &run);
    assert!(told.contains("waits until the user is back"), "{told}");
    daemon.json(&["disable", "again"]);
    daemon.json(&["enable", "again"]);
    assert!(held(&daemon, &run));
    assert_eq!(lines(&tried), before, "it is due all the time");
    listed();
    daemon.kill9();
    renamed(&daemon, "no-such-user", "nobody");
    daemon.restart();
    wait_tried(&daemon, &run);
    daemon.expect_clean();
}

#[test]
fn a_stop_that_is_stored_beside_a_pending_retry_ends_it_before_the_clean_up_as_well() {
    let mut daemon = Daemon::start("");
    let file = daemon.dag("again", &failing(&daemon, 3000));
    let run = start(&daemon, &[&file]);
    assert!(!held(&daemon, &run));
    daemon.kill9();
    // A schedule stopped it just before it ended, and the daemon was killed before it could clean up.
    let store = rusqlite::Connection::open(daemon.path("var/lib/proctor/proctor.db")).unwrap();
    let reason = serde_json::to_string(&StopReason::Schedule).unwrap();
    assert_eq!(store.execute("UPDATE runs SET stop = ?1", [reason]).unwrap(), 1);
    // It may have been killed so early in earnest.
    let held = "INSERT INTO held (attempt, ended) SELECT id, 1 FROM attempts WHERE true ON CONFLICT (attempt) DO UPDATE SET ended = 1";
    assert_eq!(store.execute(held, []).unwrap(), 1);
    drop(store);
    daemon.restart();
    let status = until("no retry comes", || {
        let status = daemon.status(&run);
        status["retry"].is_null().then_some(status)
    });
    assert_eq!(status["status"], "failed", "{status:#}");
    let told = why(&daemon, &run);
    assert!(told.contains("no retry of the run follows"), "{told}");
    daemon.ctl(&["wait", &run]).expect_code(1);
    daemon.expect_clean();
}

#[test]
fn a_success_from_a_time_when_the_clock_was_wrong_holds_back_no_start() {
    let mut daemon = Daemon::prepare("[schedule]\ntime_zone = \"UTC\"\n");
    put(
        &daemon,
        "tick.yaml",
        "schedule: '* * * * * *'\nskip_if_successful: true\nsteps: [{name: a, command: \"true\"}]\n",
    );
    daemon.restart_with(|command| {
        command.env("PROCTOR_TEST_CLOCK_SHIFT_SEC", "864000");
    });
    let succeeded = |daemon: &Daemon| {
        let history = daemon.json(&["history", "tick", "--limit", "1000"]);
        let runs = history["runs"].as_array().unwrap().iter();
        runs.filter(|run| run["status"] == "succeeded").count()
    };
    until("a run has succeeded", || (succeeded(&daemon) > 0).then_some(()));
    daemon.kill9();
    let before = all_in_store(&daemon);
    daemon.restart();
    until("a run has succeeded in time", || {
        (succeeded(&daemon) > before + 2).then_some(())
    });
    daemon.json(&["disable", "tick"]);
    until("what was queued has ended", || {
        let ps = daemon.json(&["ps"]);
        ps["runs"].as_array().unwrap().is_empty().then_some(())
    });
    daemon.expect_clean();
}

/// How many runs there are, whatever their state.
fn all_in_store(daemon: &Daemon) -> usize {
    let store = rusqlite::Connection::open(daemon.path("var/lib/proctor/proctor.db")).unwrap();
    let count = store.query_row("SELECT count(*) FROM runs", [], |row| row.get::<_, i64>(0));
    usize::try_from(count.unwrap()).unwrap()
}
