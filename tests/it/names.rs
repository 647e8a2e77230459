//! Whose DAG a name means: a right to a file is none to the DAG that has the file's name.

use serde_json::Value;

use crate::helper::{Daemon, Out, Running, text_of, until};
use crate::users::{as_user, ctl_as, open_house, put, two_users};

/// A DAG that says who it is when it runs, due at a minute of its own.
fn says(word: &str, minute: u32) -> String {
    format!(
        "working_dir: /\nschedule: {minute} 4 1 1 *\nsteps: [{{name: a, command: echo {word}, output: SAID}}]\n"
    )
}

/// The DAGs that root sees, those of the system apart from those of users.
fn listed(daemon: &Daemon, system: bool) -> Vec<Value> {
    let mut all = daemon.json(&["dags"])["dags"].as_array().unwrap().clone();
    all.retain(|dag| {
        let own = text_of(&dag["file"]).starts_with(daemon.path("etc").to_str().unwrap());
        own == system
    });
    all
}

/// Waits until the system has the name of a user's DAG.
fn wait_taken(daemon: &Daemon) {
    until("the system has the name", || {
        let system = listed(daemon, true);
        let taken = system.first().is_some_and(|dag| dag["in_force"] == true);
        (taken && listed(daemon, false)[0]["in_force"] == false).then_some(())
    });
}

/// An edit that adds a comment.
fn edits(daemon: &Daemon, mut command: std::process::Command) -> Out {
    let editor = daemon.path("src/editor");
    std::fs::write(&editor, "#!/bin/sh\necho '# edited' >>\"$1\"\n").unwrap();
    let home = tempfile::tempdir().unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    command.args(["edit", "nightly"]).env_remove("VISUAL");
    command
        .env("EDITOR", format!("sh {}", editor.display()))
        .env("XDG_RUNTIME_DIR", home.path());
    Running::start(command).finish()
}

#[test]
fn who_has_a_file_has_no_right_to_the_dag_that_has_its_name() {
    let Some((_, guest)) = two_users() else { return };
    let (daemon, file) = open_house();
    as_user(&guest, &daemon, &["install", "--name", "nightly", &file]).expect_code(0);
    put(&daemon, "nightly.yaml", &says("system", 2), 0o600);
    wait_taken(&daemon);
    for words in [
        &["disable", "nightly"][..],
        &["enable", "nightly"],
        &["next", "nightly"],
    ] {
        let out = as_user(&guest, &daemon, words);
        assert_ne!(out.code(), 0, "{words:?}: {out:?}");
        assert!(
            out.stderr.contains("another DAG has that name"),
            "{words:?}: {out:?}"
        );
    }
    let next = as_user(&guest, &daemon, &["--json", "next"])
        .expect_code(0)
        .json();
    assert!(!next.to_string().contains("nightly"), "{next:#}");
    let system = &listed(&daemon, true)[0];
    assert_eq!(system["enabled"], true, "{system:#}");
    // What root decides of the system's outlives the end of the other file.
    daemon.json(&["disable", "nightly"]);
    as_user(&guest, &daemon, &["remove", "nightly"]).expect_code(0);
    assert_eq!(listed(&daemon, false), [] as [Value; 0]);
    let system = &listed(&daemon, true)[0];
    assert_eq!(
        (&system["enabled"], &system["in_force"]),
        (&false.into(), &true.into()),
        "{system:#}"
    );
    daemon.expect_clean();
}

#[test]
fn the_owner_of_a_file_whose_name_is_taken_edits_and_removes_it_and_runs_the_other_one() {
    let Some((_, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    std::fs::write(daemon.path("src/who.yaml"), says("guest", 1)).unwrap();
    let file = daemon.path("src/who.yaml").display().to_string();
    as_user(&guest, &daemon, &["install", "--name", "nightly", &file]).expect_code(0);
    let said = || {
        let out = as_user(&guest, &daemon, &["--json", "run", "nightly"]);
        text_of(&out.expect_code(0).json()["steps"][0]["variables"]["SAID"]).to_owned()
    };
    assert_eq!(said(), "guest");
    put(&daemon, "nightly.yaml", &says("system", 2), 0o644);
    wait_taken(&daemon);
    // What its schedule would start.
    assert_eq!(said(), "system");
    let hint = listed(&daemon, false)[0]["problems"].to_string();
    // To root the name means the system's, so root is told of the file.
    assert!(
        hint.contains("rm ") && hint.contains("nobody/nightly.yaml"),
        "{hint}"
    );
    let own = as_user(&guest, &daemon, &["--json", "dags"])
        .expect_code(0)
        .json();
    let hint = own.to_string();
    assert!(
        hint.contains("`proctorctl remove nightly`, and install"),
        "{hint}"
    );
    assert!(!hint.contains("rm "), "{hint}");
    edits(&daemon, ctl_as(&guest, daemon.root())).expect_code(0);
    let own = text_of(&listed(&daemon, false)[0]["file"]).to_owned();
    assert!(std::fs::read_to_string(&own).unwrap().contains("# edited"));
    let system = daemon.path("etc/proctor/dags/nightly.yaml");
    assert!(!std::fs::read_to_string(&system).unwrap().contains("# edited"));
    as_user(&guest, &daemon, &["remove", "nightly"]).expect_code(0);
    assert!(!std::path::Path::new(&own).exists() && system.exists());
    as_user(&guest, &daemon, &["remove", "nightly"]).expect_code(77);
    // What root removes is the system's.
    as_user(&guest, &daemon, &["install", "--name", "mine", &file]).expect_code(0);
    put(&daemon, "mine.yaml", &says("system", 3), 0o644);
    until("both are there", || {
        (listed(&daemon, true).len() == 2 && listed(&daemon, false)[0]["in_force"] == false).then_some(())
    });
    daemon.json(&["remove", "mine"]);
    assert_eq!(listed(&daemon, false)[0]["in_force"], true);
    daemon.expect_clean();
}

#[test]
fn the_newest_run_of_a_dag_is_none_of_a_file_whose_name_it_has() {
    let Some((_, guest)) = two_users() else { return };
    let (daemon, file) = open_house();
    as_user(&guest, &daemon, &["install", "--name", "nightly", &file]).expect_code(0);
    put(&daemon, "nightly.yaml", &says("system", 2), 0o644);
    wait_taken(&daemon);
    let newest = |system: bool| listed(&daemon, system)[0]["newest"].clone();
    daemon.json(&["run", "nightly"]);
    until("the system's has one", || {
        (newest(true)["status"] == "succeeded").then_some(())
    });
    assert_eq!(newest(false), Value::Null);
    daemon.expect_clean();
}

#[test]
fn a_file_that_takes_another_name_starts_what_its_old_name_means() {
    let daemon = Daemon::start("");
    put(
        &daemon,
        "a.yaml",
        &format!("name: a\n{}", says("first", 1)),
        0o644,
    );
    put(
        &daemon,
        "b.yaml",
        &format!("name: b\n{}", says("second", 2)),
        0o644,
    );
    until("both are in force", || {
        let all = listed(&daemon, true);
        (all.len() == 2 && all.iter().all(|dag| dag["in_force"] == true)).then_some(())
    });
    put(
        &daemon,
        "a.yaml",
        &format!("name: b\n{}", says("thief", 1)),
        0o644,
    );
    // Before the change has settled and thereafter.
    for _ in 0..2 {
        let out = daemon.ctl(&["--json", "run", "a"]).expect_code(0);
        let run = out.json();
        assert_eq!(
            (&run["dag"], &run["steps"][0]["variables"]["SAID"]),
            (&"a".into(), &"first".into()),
            "{run:#}"
        );
        assert!(out.stderr.contains("the file names the DAG b now"), "{out:?}");
        until("it is in error", || {
            let all = listed(&daemon, true);
            let taken = |dag: &Value| dag["problems"].to_string().contains("the name b is taken");
            all.iter().any(taken).then_some(())
        });
    }
    daemon.expect_clean();
}
