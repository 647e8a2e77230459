//! DAGs of the system that name the user their runs belong to: who may start them, and what they bring along.

use proctor::sys::creds::User;
use serde_json::Value;

use crate::helper::{Daemon, is_root, skip, text_of, until};
use crate::users::{as_user, ctl_as, open_house, put, two_users};

/// A DAG of the system that runs as somebody, and shows who that is.
fn naming(user: &str, more: &str) -> String {
    format!(
        "run_as: {user}\nworking_dir: /\n{more}steps: [{{name: a, command: id -un; id -gn; id -Gn, output: WHO}}]\n"
    )
}

/// What `dags` says of a DAG.
fn listed(daemon: &Daemon, name: &str) -> Option<Value> {
    let answer = daemon.json(&["dags"]);
    let mut all = answer["dags"].as_array().unwrap().iter();
    all.find(|dag| dag["dag"] == name).cloned()
}

/// Puts a DAG of the system into its directory, and waits until it is in force.
fn installed(daemon: &Daemon, name: &str, text: &str, mode: u32) {
    put(daemon, &format!("{name}.yaml"), text, mode);
    until(&format!("{name} is in force"), || {
        (listed(daemon, name)?["in_force"] == true).then_some(())
    });
}

/// Who ran the first step of a run, as it said itself.
fn who(result: &Value) -> Vec<String> {
    assert_eq!(result["status"], "succeeded", "{result:#}");
    let who = result["steps"][0]["variables"]["WHO"].as_str().unwrap();
    who.lines().map(str::to_owned).collect()
}

/// Name, group and groups, as the databases of the machine have them.
fn as_known(user: &User) -> Vec<String> {
    ["-un", "-gn", "-Gn"]
        .map(|what| {
            let out = std::process::Command::new("id")
                .args([what, &user.name])
                .output()
                .unwrap();
            String::from_utf8(out.stdout).unwrap().trim().to_owned()
        })
        .to_vec()
}

#[test]
fn a_dag_of_the_system_runs_as_the_user_that_it_names_whoever_may_start_it() {
    let Some((host, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    installed(&daemon, "named", &naming(&guest.name, ""), 0o644);
    let about = listed(&daemon, "named").unwrap();
    assert_eq!(
        (&about["owner"], &about["system"]),
        (&guest.uid.into(), &true.into()),
        "{about:#}"
    );
    let result = daemon.ctl(&["--json", "run", "named"]).expect_code(0).json();
    assert_eq!(who(&result), as_known(&guest));
    assert_eq!(result["owner"], guest.uid, "the run is theirs: {result:#}");
    let result = as_user(&guest, &daemon, &["--json", "run", "named"])
        .expect_code(0)
        .json();
    assert_eq!(who(&result), as_known(&guest));
    let refused = as_user(&host, &daemon, &["run", "named"]).expect_code(77);
    assert!(
        refused
            .text()
            .contains(&format!("it runs as user id {}", guest.uid)),
        "{refused:?}"
    );
    daemon.wait_log("only that user, root and the admin group may start it");
    // So is what becomes of it.
    let fails = naming(&guest.name, "").replace("id -Gn", "exit 3");
    installed(&daemon, "fails", &fails, 0o644);
    let result = daemon.ctl(&["--json", "run", "fails"]).json();
    assert_eq!(result["status"], "failed", "{result:#}");
    let run = format!("fails:{}", text_of(&result["run_id"]));
    as_user(&host, &daemon, &["retry", &run]).expect_code(77);
    as_user(&guest, &daemon, &["retry", &run]);
    let again = daemon.wait_end(&run);
    assert_eq!(
        (&again["owner"], &again["attempt"]),
        (&guest.uid.into(), &2.into()),
        "{again:#}"
    );
    let own = again["steps"][0]["variables"]["WHO"].as_str();
    assert!(own.is_none_or(|own| own.starts_with(&guest.name)), "{again:#}");
    daemon.expect_clean();
}

#[test]
fn its_user_may_start_one_that_others_do_not_even_see() {
    let Some((host, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    installed(&daemon, "secret", &naming(&guest.name, ""), 0o600);
    let result = as_user(&guest, &daemon, &["--json", "run", "secret"])
        .expect_code(0)
        .json();
    assert_eq!(who(&result), as_known(&guest));
    let names = |user: &User| {
        let answer = as_user(user, &daemon, &["--json", "dags"]).expect_code(0).json();
        let all = answer["dags"].as_array().unwrap().clone();
        all.iter()
            .map(|dag| text_of(&dag["dag"]).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&guest), names(&host)),
        (vec!["secret".to_owned()], Vec::new())
    );
    as_user(&host, &daemon, &["run", "secret"]).expect_code(1);
    // That it named them is over as soon as the file says so.
    put(
        &daemon,
        "secret.yaml",
        &naming(&guest.name, "").replace("run_as", "# run_as"),
        0o600,
    );
    let out = as_user(&guest, &daemon, &["run", "secret"]);
    assert!(out.text().contains("no DAG secret is installed"), "{out:?}");
    daemon.expect_clean();
}

#[test]
fn who_starts_it_for_somebody_else_brings_nothing_along() {
    let Some((host, guest)) = two_users() else { return };
    let (mut daemon, _) = open_house();
    daemon.stop();
    let group = nix::unistd::Group::from_gid(host.gid.into())
        .unwrap()
        .unwrap()
        .name;
    daemon.configure(&format!(
        "[control]\nsocket_mode = \"0666\"\n[access]\nadmin_group = \"{group}\"\n"
    ));
    daemon.restart();
    installed(&daemon, "named", &naming(&guest.name, ""), 0o644);
    let as_admin = |more: &[&str]| {
        let mut command = ctl_as(&host, daemon.root());
        command.args(["--json", "run", "named"]).args(more);
        crate::helper::Running::start(command).finish()
    };
    let result = as_admin(&[]).expect_code(0).json();
    assert_eq!(who(&result), as_known(&guest));
    let base = daemon.dag("base", "env: [PATH: /tmp/evil]\n");
    std::fs::set_permissions(&base, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    for more in [
        ["--base-config", base.as_str()],
        ["--default-working-dir", "/tmp"],
    ] {
        let refused = as_admin(&more).expect_code(77);
        assert!(
            refused.text().contains("by what the system says alone"),
            "{refused:?}"
        );
    }
    // Nor may a file of theirs name anybody.
    let file = daemon.dag("theirs", &naming("root", ""));
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let mut command = ctl_as(&host, daemon.root());
    command.args(["run", &file]);
    let refused = crate::helper::Running::start(command).finish();
    assert_ne!(refused.code(), 0);
    assert!(
        refused.text().contains("the DAG of a user runs as that user"),
        "{refused:?}"
    );
    daemon.expect_clean();
}

#[test]
fn a_schedule_starts_it_as_that_user_and_an_unknown_one_starts_nothing() {
    let Some((_, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    installed(
        &daemon,
        "often",
        &naming(&guest.name, "schedule: '* * * * * *'\n"),
        0o644,
    );
    let run = until("the schedule starts it", || {
        let history = daemon.json(&["history", "often"]);
        let mut runs = history["runs"].as_array().unwrap().iter();
        let ended = runs.find(|run| run["status"] == "succeeded");
        ended.map(|run| run["run_id"].as_str().unwrap().to_owned())
    });
    let result = daemon.status(&format!("often:{run}"));
    assert_eq!(who(&result), as_known(&guest));
    assert_eq!(result["owner"], guest.uid, "{result:#}");
    std::fs::remove_file(daemon.path("etc/proctor/dags/often.yaml")).unwrap();
    daemon.wait_log("is not installed any more");
    put(
        &daemon,
        "nobodys.yaml",
        &naming("no-such-user-here", "schedule: '* * * * * *'\n"),
        0o644,
    );
    let about = until("it is listed", || listed(&daemon, "nobodys"));
    assert_eq!(about["in_force"], false, "{about:#}");
    assert!(
        about
            .to_string()
            .contains("no user named \\\"no-such-user-here\\\""),
        "{about:#}"
    );
    let out = daemon.ctl(&["run", "nobodys"]);
    assert_ne!(out.code(), 0);
    assert!(out.text().contains("no-such-user-here"), "{out:?}");
    daemon.expect_clean();
}

#[test]
fn what_is_called_runs_as_the_run_that_calls_it() {
    let Some((host, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    let caller = |child: &str| {
        format!(
            "run_as: {}\nworking_dir: /\nsteps: [{{name: a, call: {child}, output: OUT}}]\n",
            guest.name
        )
    };
    installed(
        &daemon,
        "plain",
        &naming("root", "").replace("run_as: root\n", ""),
        0o644,
    );
    installed(&daemon, "same", &naming(&guest.name, ""), 0o644);
    installed(&daemon, "other", &naming(&host.name, ""), 0o644);
    for (child, ends) in [("plain", "succeeded"), ("same", "succeeded"), ("other", "failed")] {
        installed(&daemon, &format!("calls-{child}"), &caller(child), 0o644);
        let result = daemon.ctl(&["--json", "run", &format!("calls-{child}")]).json();
        assert_eq!(result["status"], ends, "{result:#}\n{}", daemon.log());
        let history = daemon.json(&["history", child]);
        for run in history["runs"].as_array().unwrap() {
            assert_eq!(run["owner"], guest.uid, "{history:#}");
        }
        if ends == "failed" {
            let told = result.to_string();
            assert!(
                told.contains("what is called runs as the run that calls it"),
                "{result:#}"
            );
        }
    }
    daemon.expect_clean();
}

#[test]
fn users_name_themselves_or_nobody() {
    let Some((host, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    for (user, installs) in [(&guest, true), (&host, false)] {
        let file = daemon.dag("mine", &naming(&user.name, ""));
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        for words in [["run", &file], ["install", &file]] {
            let out = as_user(&guest, &daemon, &words);
            assert_eq!(out.code() == 0, installs, "{words:?} {out:?}");
            if !installs {
                assert!(
                    out.text().contains("the DAG of a user runs as that user"),
                    "{out:?}"
                );
            }
        }
        if installs {
            as_user(&guest, &daemon, &["remove", "mine"]).expect_code(0);
        }
    }
    daemon.expect_clean();
}

#[test]
fn a_file_that_root_starts_may_name_anybody_and_a_private_daemon_has_one_user() {
    if !is_root() {
        return skip("only root can be other users");
    }
    let Some((host, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    let file = daemon.dag("named", &naming(&guest.name, ""));
    let result = daemon.ctl(&["--json", "run", &file]).expect_code(0).json();
    assert_eq!(who(&result), as_known(&guest));
    daemon.expect_clean();
    drop(daemon);
    let mut daemon = Daemon::prepare("");
    let own = daemon.dag("own", &naming(&host.name, ""));
    let other = daemon.dag("other", &naming(&guest.name, ""));
    crate::users::give(&daemon, &host);
    daemon.restart_with(|command| {
        use std::os::unix::process::CommandExt;
        command.uid(host.uid).gid(host.gid);
    });
    let result = as_user(&host, &daemon, &["--json", "run", &own])
        .expect_code(0)
        .json();
    assert_eq!(who(&result)[0], host.name);
    let refused = as_user(&host, &daemon, &["run", &other]);
    assert_ne!(refused.code(), 0);
    assert!(refused.text().contains("since it is not root"), "{refused:?}");
    daemon.expect_clean();
}
