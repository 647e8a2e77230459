//! `allow_users`, `deny_users`, `allow_groups` and `deny_groups`: who is on the wrong side brings no work.

use proctor::sys::creds::User;
use serde_json::{Value, json};

use super::{People, control_as, open_world, people};
use crate::helper::{Daemon, lines, text_of, until};

const TRUE: &str = "working_dir: /\nsteps: [{name: a, command: \"true\"}]";

/// A daemon that everybody may ask.
fn world(people: &People) -> Daemon {
    open_world(&people.config())
}

fn ask(user: &User, daemon: &Daemon, request: &Value) -> Value {
    control_as(user, daemon).ask(request)
}

/// Submits a run of a user's and says whether that was denied; other errors fail.
fn is_denied(user: &User, daemon: &Daemon, id: &str) -> bool {
    let answer = ask(
        user,
        daemon,
        &json!({"submit": {"source": TRUE, "stem": "who", "run_id": id}}),
    );
    if answer["accepted"].is_object() {
        daemon.wait_success(&format!("who:{id}"));
        return false;
    }
    assert_eq!(answer["error"]["kind"], "denied", "{answer:#}");
    true
}

#[test]
fn lists_of_users_and_groups_say_who_may_start_something_and_a_reload_takes_them_up() {
    let Some(people) = people() else { return };
    let daemon = world(&people);
    let root = User::by_uid(0).unwrap();
    // Whether Ann (daemon), Bob (nobody) and the admin (bin) may.
    for (number, (lists, may)) in [
        ("", [true, true, true]),
        ("deny_users = ['nobody', 'root']", [true, false, true]),
        ("allow_users = ['daemon']", [true, false, false]),
        ("allow_groups = ['nogroup', 'bin']", [false, true, true]),
        (
            "allow_groups = ['nogroup', 'daemon']\ndeny_users = ['daemon']",
            [false, true, false],
        ),
        (
            "deny_groups = ['daemon']\nallow_users = ['daemon']",
            [false, false, false],
        ),
        ("allow_users = ['no-such-user']", [false, false, false]),
    ]
    .into_iter()
    .enumerate()
    {
        daemon.configure(&format!("{}{lists}\n", people.config()));
        daemon.ctl(&["reload"]).expect_code(0);
        let users = [&people.ann, &people.bob, &people.admin];
        for (user, may) in users.into_iter().zip(may) {
            let denied = is_denied(user, &daemon, &format!("{}-{number}", user.name));
            assert_eq!(denied, !may, "{} under {lists:?}", user.name);
        }
        assert!(!is_denied(&root, &daemon, &format!("root-{number}")), "{lists}");
    }
    daemon.expect_clean();
}

#[test]
fn who_is_denied_brings_no_work_and_may_look_at_stop_and_remove_what_is_there() {
    let Some(people) = people() else { return };
    let mut daemon = world(&people);
    let bob = &people.bob;
    let install = |name: &str| json!({"install": {"source": TRUE, "stem": name}});
    let run = |id: &str| json!({"dag": "own", "run": id});
    ask(bob, &daemon, &install("own"));
    let answer = ask(
        bob,
        &daemon,
        &json!({"submit": {"source": TRUE, "stem": "own", "run_id": "ended"}}),
    );
    assert!(answer["accepted"].is_object(), "{answer:#}");
    daemon.wait_success("own:ended");
    let waits = "working_dir: /\nsteps: [{name: a, command: \"true\", approval: {}}]";
    let sleeps = "working_dir: /\nsteps: [{name: a, command: sleep 1000}]";
    for (id, source) in [("waits", waits), ("live", sleeps)] {
        let submit =
            json!({"submit": {"source": source, "stem": id, "name": "own", "run_id": id, "queue": id}});
        assert!(ask(bob, &daemon, &submit)["accepted"].is_object());
    }
    daemon.wait_end("own:waits");
    daemon.shim("own:live");
    let lists = format!("{}deny_users = ['nobody']\n", people.config());
    daemon.configure(&lists);
    daemon.ctl(&["reload"]).expect_code(0);
    let check = |daemon: &Daemon| {
        let denied = daemon.doctor_value("requests denied");
        let refused = [
            json!({"submit": {"source": TRUE, "stem": "x"}}),
            json!({"submit": {"name": "own"}}),
            install("more"),
            json!({"enable": {"dag": "own", "on": true}}),
            json!({"retry": run("ended")}),
            json!({"rerun": run("ended")}),
            json!({"approve": {"run": run("waits")}}),
            json!({"reject": {"run": run("waits")}}),
        ];
        for request in &refused {
            let answer = ask(bob, daemon, request);
            assert_eq!(answer["error"]["kind"], "denied", "{request}: {answer:#}");
            let message = text_of(&answer["error"]["message"]);
            assert!(message.ends_with(": access.deny_users names nobody"), "{message}");
        }
        assert_eq!(
            daemon.doctor_value("requests denied"),
            denied + refused.len() as u64
        );
        for request in [
            json!({"ping": {}}),
            json!({"ps": {}}),
            json!({"history": {}}),
            json!({"status": run("live")}),
            json!({"why": run("ended")}),
            json!({"attempts": run("ended")}),
            json!({"dags": {}}),
            json!({"next": {}}),
            json!({"queues": {}}),
            json!({"source": "own"}),
            json!({"enable": {"dag": "own", "on": false}}),
        ] {
            let answer = ask(bob, daemon, &request);
            assert!(answer.get("error").is_none(), "{request}: {answer:#}");
        }
    };
    check(&daemon);
    daemon.kill9();
    daemon.restart();
    check(&daemon);
    let log = daemon.log();
    let exe = std::env::current_exe().unwrap();
    let line = format!(
        "denied to uid {} (pid {}, {}): submit a run: access.deny_users names nobody",
        bob.uid,
        std::process::id(),
        exe.display()
    );
    assert!(log.contains(&line), "{line}\n{log}");
    // An administrator may on their behalf.
    daemon.ctl(&["retry", "own:ended"]).expect_code(0);
    assert_eq!(daemon.wait_success("own:ended")["owner"], bob.uid);
    for request in [
        json!({"stop": {"run": run("live")}}),
        json!({"stop": {"run": run("waits")}}),
        json!({"remove": "own"}),
    ] {
        let answer = ask(bob, &daemon, &request);
        assert!(answer.get("error").is_none(), "{request}: {answer:#}");
    }
    daemon.wait_end("own:live");
    daemon.wait_end("own:waits");
    daemon.expect_clean();
}

#[test]
fn schedules_of_a_user_who_is_denied_start_nothing_and_say_why_also_of_a_broken_file() {
    let Some(people) = people() else { return };
    let lists = |on: bool| {
        let list = if on { "deny_groups = ['nogroup']\n" } else { "" };
        format!("{}{list}", people.config())
    };
    let mut daemon = world(&people);
    let bob = &people.bob;
    let every_second = "schedule: '* * * * * *'\noverlap_policy: skip\n";
    let source = |name: &str| {
        let seen = daemon.path(&format!("src/{name}-seen"));
        format!(
            "{every_second}working_dir: /\nsteps: [{{name: a, command: echo x >> {}}}]\n",
            seen.display()
        )
    };
    let starts = |daemon: &Daemon, name: &str| lines(&daemon.path(&format!("src/{name}-seen")));
    let src = daemon.path("src");
    std::fs::set_permissions(&src, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    for name in ["whole", "broken"] {
        let answer = ask(
            bob,
            &daemon,
            &json!({"install": {"source": source(name), "stem": name}}),
        );
        assert!(answer["dag"].is_array(), "{answer:#}");
    }
    // The system's is no user's work.
    crate::users::put(&daemon, "system.yaml", &source("system"), 0o644);
    for name in ["whole", "broken", "system"] {
        until(name, || (starts(&daemon, name) >= 2).then_some(()));
    }
    // Its last good version stays in force, and is this user's, too.
    let place = daemon.path("var/lib/proctor/dags/nobody/broken.yaml");
    std::fs::write(&place, "steps: [{").unwrap();
    daemon.wait_log("its last good version stays in force");
    let why = "access.deny_groups names nogroup";
    let barred = |daemon: &Daemon, name: &str| {
        let next = ask(bob, daemon, &json!({"next": {"dag": name, "count": 1}}));
        next["next"][0]["barred"] == why
    };
    daemon.configure(&lists(true));
    daemon.ctl(&["reload"]).expect_code(0);
    for again in [false, true] {
        if again {
            daemon.kill9();
            daemon.restart();
        }
        for name in ["whole", "broken"] {
            until("it is barred", || barred(&daemon, name).then_some(()));
            let skipped = format!("of DAG {name}: not started: its user may start nothing: {why}");
            daemon.wait_log(&skipped);
            let before = starts(&daemon, name);
            let system = starts(&daemon, "system");
            until("time passes", || {
                (starts(&daemon, "system") >= system + 3).then_some(())
            });
            assert_eq!(starts(&daemon, name), before, "{}", daemon.log());
        }
        assert!(!barred(&daemon, "system"));
        let listed = daemon.ctl(&["dags"]).expect_code(0).stdout;
        let line = format!("whole: its user may start nothing: {why}");
        assert!(listed.contains(&line) && listed.contains("barred"), "{listed}");
        let told = daemon.json(&["why", "whole"]).to_string();
        let line = format!("the schedules of whole start nothing: {why}");
        assert!(told.contains(&line), "{told}");
    }
    daemon.configure(&lists(false));
    daemon.ctl(&["reload"]).expect_code(0);
    for name in ["whole", "broken"] {
        let before = starts(&daemon, name);
        until("it starts again", || {
            (starts(&daemon, name) > before).then_some(())
        });
        assert!(!barred(&daemon, name));
    }
    for name in ["whole", "broken"] {
        ask(bob, &daemon, &json!({"remove": name}));
    }
    std::fs::remove_file(daemon.path("etc/proctor/dags/system.yaml")).unwrap();
    until("nothing is scheduled", || {
        let none = daemon.json(&["dags"])["dags"].as_array().unwrap().is_empty();
        none.then_some(())
    });
    daemon.expect_clean();
}
