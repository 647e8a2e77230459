//! What people do with their DAGs: they install, run, edit, disable and remove them.

use super::{BAD, dags, put, shown, wait_shown, yearly};
use crate::helper::{Daemon, Out, text_of, until};

/// `proctorctl edit` with a piece of shell as the editor; the file is `$1`.
fn edit(daemon: &Daemon, dag: &str, script: &str) -> Out {
    edit_with(daemon, &["edit", dag], script)
}

fn edit_with(daemon: &Daemon, args: &[&str], script: &str) -> Out {
    let editor = daemon.path("src/editor");
    std::fs::write(&editor, format!("#!/bin/sh\n{script}\n")).unwrap();
    let mut command = daemon.command(args);
    command
        .env_remove("VISUAL")
        .env("EDITOR", format!("sh {}", editor.display()));
    command.env("XDG_RUNTIME_DIR", daemon.path("src"));
    crate::helper::Running::start(command).finish()
}

/// What `edit` left of its own.
fn drafts(daemon: &Daemon) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(daemon.path("src")).unwrap().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.is_dir());
    paths
}

#[test]
fn a_dag_is_installed_run_by_name_edited_and_removed() {
    let daemon = Daemon::start("");
    let file = daemon.dag("mine", &yearly(1));
    let answer = daemon.json(&["install", &file]);
    assert_eq!(
        (&answer["dag"], &answer["in_force"]),
        (&"mine".into(), &true.into()),
        "{answer:#}"
    );
    assert_eq!(shown(&daemon), ["mine 1 3 1 1 *"]);
    let own = std::path::PathBuf::from(text_of(&answer["file"]));
    assert!(own.starts_with(daemon.path("var/lib/proctor/dags")), "{own:?}");
    std::fs::remove_file(&file).unwrap();
    let result = daemon.json(&["run", "mine"]);
    assert_eq!(result["status"], "succeeded", "{result:#}");
    until("the newest run is told", || {
        (dags(&daemon)[0]["newest"]["status"] == "succeeded").then_some(())
    });

    let file = daemon.dag("mine", &yearly(2));
    let out = daemon.ctl(&["install", &file]).expect_code(1);
    assert!(out.stderr.contains("--replace"), "{out:?}");
    daemon.json(&["install", "--replace", "--private", &file]);
    assert_eq!(shown(&daemon), ["mine 2 3 1 1 *"]);
    use std::os::unix::fs::PermissionsExt;
    let mode = || std::fs::metadata(&own).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    daemon.json(&["install", "--name", "other", &file]);
    assert_eq!(shown(&daemon), ["mine 2 3 1 1 *", "other 2 3 1 1 *"]);

    edit(&daemon, "mine", "sed -i 's/: 2 3/: 9 3/' \"$1\"").expect_code(0);
    assert_eq!(shown(&daemon), ["mine 9 3 1 1 *", "other 2 3 1 1 *"]);
    assert_eq!(mode(), 0o600, "an edit does not make it public");
    let out = edit(&daemon, "mine", "true").expect_code(0);
    assert!(out.stderr.contains("unchanged"), "{out:?}");
    let out = edit_with(&daemon, &["--json", "edit", "mine"], "true").expect_code(0);
    assert_eq!(
        out.json(),
        serde_json::json!({ "dag": "mine", "changed": false }),
        "{out:?}"
    );
    assert_eq!(drafts(&daemon), [""; 0].map(std::path::PathBuf::from));
    let out = edit(&daemon, "mine", "exit 3").expect_code(2);
    assert!(
        out.stderr.contains("failed") && !out.stderr.contains("kept in"),
        "{out:?}"
    );
    assert_eq!(drafts(&daemon), [""; 0].map(std::path::PathBuf::from));
    let out = edit(&daemon, "mine", "echo 'nonsense: 1' >>\"$1\"").expect_code(2);
    assert!(
        out.stderr.contains("nonsense") && out.stderr.contains("kept in"),
        "{out:?}"
    );
    let kept = drafts(&daemon).pop().unwrap();
    assert!(out.stderr.contains(kept.to_str().unwrap()), "{out:?}");
    let text = std::fs::read_to_string(kept.join("mine.yaml")).unwrap();
    assert!(text.contains("nonsense: 1"), "{text}");
    std::fs::remove_dir_all(kept).unwrap();
    assert_eq!(shown(&daemon), ["mine 9 3 1 1 *", "other 2 3 1 1 *"]);
    let racing = format!("echo '# raced' >>{}; echo '# mine' >>\"$1\"", own.display());
    let out = edit(&daemon, "mine", &racing);
    assert!(out.code() != 0 && out.stderr.contains("meanwhile"), "{out:?}");

    daemon.json(&["remove", "mine"]);
    assert_eq!(shown(&daemon), ["other 2 3 1 1 *"]);
    assert!(!own.exists());
    daemon.ctl(&["run", "mine"]).expect_code(1);
    daemon.ctl(&["remove", "mine"]).expect_code(1);
    daemon.ctl(&["edit", "mine"]).expect_code(1);
    assert_eq!(daemon.json(&["history"])["runs"].as_array().unwrap().len(), 1);
    daemon.expect_clean();
}

#[test]
fn a_dag_that_is_wrong_or_cannot_start_by_itself_is_not_installed() {
    let daemon = Daemon::start("");
    let file = daemon.dag("bad", BAD);
    let out = daemon.ctl(&["install", &file]).expect_code(2);
    assert!(
        out.stderr.contains("bad.yaml:2") && out.stderr.contains("command"),
        "{out:?}"
    );
    let needs = "params: [{name: who, required: true}]\n";
    let file = daemon.dag("needs", &format!("{needs}{}", yearly(1)));
    let out = daemon.ctl(&["install", &file]).expect_code(2);
    assert!(
        out.stderr.contains("schedule") && out.stderr.contains("default"),
        "{out:?}"
    );
    assert_eq!(shown(&daemon), [""; 0]);
    let file = daemon.dag(
        "byhand",
        &format!("{needs}steps: [{{name: a, command: echo $who}}]\n"),
    );
    daemon.json(&["install", &file]);
    assert_eq!(shown(&daemon), ["byhand "]);
    daemon.ctl(&["run", "byhand"]).expect_code(2);
    let result = daemon.json(&["run", "byhand", "--", "who=me"]);
    assert_eq!(result["status"], "succeeded", "{result:#}");
    daemon.expect_clean();
}

#[test]
fn a_schema_comes_with_its_dag_and_goes_with_it() {
    let daemon = Daemon::start("");
    let schema = r#"{"properties": {"count": {"type": "integer", "maximum": 10, "default": 3}}}"#;
    std::fs::write(daemon.path("src/s.json"), schema).unwrap();
    let text = format!("params: {{schema: s.json}}\n{}", yearly(1));
    let file = daemon.dag("ruled", &text);
    daemon.json(&["install", &file]);
    std::fs::remove_file(daemon.path("src/s.json")).unwrap();
    let result = daemon.json(&["run", "ruled"]);
    assert_eq!(result["params"], serde_json::json!(["count=3"]), "{result:#}");
    edit(&daemon, "ruled", "sed -i 's/: 1 3/: 9 3/' \"$1\"").expect_code(0);
    assert_eq!(shown(&daemon), ["ruled 9 3 1 1 *"], "the schema is still there");
    // The schema alone may be another one.
    std::fs::write(daemon.path("src/s.json"), schema.replace("3}", "4}")).unwrap();
    daemon.json(&["install", "--replace", &file]);
    let result = daemon.json(&["run", "ruled"]);
    assert_eq!(result["params"], serde_json::json!(["count=4"]), "{result:#}");
    let left = crate::helper::files_below(&daemon.path("var/lib/proctor/dags"));
    assert_eq!(left.len(), 2, "the old schema is gone: {left:?}");
    daemon.json(&["remove", "ruled"]);
    let left = crate::helper::files_below(&daemon.path("var/lib/proctor/dags"));
    assert!(left.is_empty(), "{left:?}");
    daemon.expect_clean();
}

#[test]
fn a_daemon_that_is_killed_while_it_installs_leaves_the_version_in_force_whole() {
    let mut daemon = Daemon::start("");
    let schema = |count: u32| {
        let text = format!(r#"{{"properties": {{"count": {{"type": "integer", "default": {count}}}}}}}"#);
        std::fs::write(daemon.path("src/s.json"), text).unwrap();
    };
    let file = daemon.dag("ruled", &format!("params: {{schema: s.json}}\n{}", yearly(1)));
    schema(3);
    let own = daemon.json(&["install", &file])["file"].clone();
    let own = std::path::PathBuf::from(text_of(&own));
    let files = || {
        let mut files = crate::helper::files_below(&daemon.path("var/lib/proctor/dags"));
        files.sort();
        files
    };
    let (before, text) = (files(), std::fs::read(&own).unwrap());
    let kept = before.iter().find(|path| **path != own).unwrap().clone();
    let old = std::fs::read(&kept).unwrap();
    schema(4);
    daemon.json(&["install", "--replace", &file]);
    let written = files().into_iter().find(|path| *path != own).unwrap();
    assert_ne!(written, kept, "the one in force is not overwritten");
    // As it is before the last act: what is new lies there, and the file of the DAG does not mean it yet.
    daemon.kill9();
    std::fs::write(&kept, old).unwrap();
    std::fs::write(&own, text).unwrap();
    std::fs::write(own.with_file_name(".new-1-1"), "half").unwrap();
    daemon.restart();
    assert_eq!(shown(&daemon), ["ruled 1 3 1 1 *"]);
    let result = daemon.json(&["run", "ruled"]);
    assert_eq!(result["params"], serde_json::json!(["count=3"]), "{result:#}");
    let mut left = crate::helper::files_below(&daemon.path("var/lib/proctor/dags"));
    left.sort();
    assert_eq!(left, before, "what was not finished is gone");
    daemon.expect_clean();
}

#[test]
fn a_dag_that_is_disabled_stays_so_over_a_restart_and_an_edit() {
    let mut daemon = Daemon::start("");
    put(&daemon, "a.yaml", &yearly(1));
    wait_shown(&daemon, &["a 1 3 1 1 *"]);
    let answer = daemon.json(&["disable", "a"]);
    assert_eq!(answer["enabled"], false, "{answer:#}");
    daemon.kill9();
    daemon.restart();
    assert_eq!(dags(&daemon)[0]["enabled"], false);
    put(&daemon, "a.yaml", &yearly(2));
    wait_shown(&daemon, &["a 2 3 1 1 *"]);
    assert_eq!(dags(&daemon)[0]["enabled"], false);
    let answer = daemon.json(&["enable", "a"]);
    assert_eq!(answer["enabled"], true, "{answer:#}");
    daemon.kill9();
    daemon.restart();
    assert_eq!(dags(&daemon)[0]["enabled"], true);
    daemon.ctl(&["disable", "nothing"]).expect_code(1);
    daemon.expect_clean();
}

#[test]
fn a_base_configuration_with_a_working_directory_parts_no_dag_from_its_schema() {
    let daemon = Daemon::start("");
    let schema = r#"{"properties": {"count": {"type": "integer", "default": 3}}}"#;
    std::fs::write(daemon.path("src/s.json"), schema).unwrap();
    let text = format!("params: {{schema: s.json}}\n{}", yearly(1));
    let file = daemon.dag("ruled", &text);
    daemon.json(&["install", &file]);
    std::fs::write(daemon.path("etc/proctor/base.yaml"), "working_dir: /\n").unwrap();
    daemon.json(&["reload"]);
    until("the base configuration holds", || {
        (daemon.log().matches("DAG ruled is in force").count() >= 2).then_some(())
    });
    assert_eq!(shown(&daemon), ["ruled 1 3 1 1 *"]);
    let file = daemon.dag("ruled", &format!("params: {{schema: s.json}}\n{}", yearly(2)));
    daemon.json(&["install", "--replace", &file]);
    assert_eq!(shown(&daemon), ["ruled 2 3 1 1 *"]);
    std::fs::remove_file(daemon.path("src/s.json")).unwrap();
    let result = daemon.json(&["run", "ruled"]);
    assert_eq!(result["params"], serde_json::json!(["count=3"]), "{result:#}");
    daemon.expect_clean();
}
