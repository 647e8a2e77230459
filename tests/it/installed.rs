//! Installed DAGs: what people do with them, what becomes of files that change, and what is kept over a restart.

use serde_json::Value;

use crate::helper::{Daemon, Out, text_of, until};

/// A DAG that is due at another minute than the others.
fn yearly(minute: u32) -> String {
    format!("schedule: {minute} 3 1 1 *\nsteps: [{{name: a, command: \"true\"}}]\n")
}

const BAD: &str = "schedule: 1 3 1 1 *\nsteps: [{name: a, comand: x}]\n";

/// Puts a system DAG into its directory, as an editor would.
fn put(daemon: &Daemon, file: &str, text: &str) {
    let dir = daemon.path("etc/proctor/dags");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(".tmp"), text).unwrap();
    std::fs::rename(dir.join(".tmp"), dir.join(file)).unwrap();
}

fn dags(daemon: &Daemon) -> Vec<Value> {
    daemon.json(&["dags"])["dags"].as_array().unwrap().clone()
}

/// The DAGs as `NAME EXPRESSION` with `!` behind it if there is a problem and `?` if no version is in force.
fn shown(daemon: &Daemon) -> Vec<String> {
    let words = |dag: &Value| {
        let bad = if dag["problems"].as_array().unwrap().is_empty() {
            ""
        } else {
            "!"
        };
        let none = if dag["in_force"] == true { "" } else { "?" };
        let when = text_of(&dag["schedules"][0]["expression"]).to_owned();
        format!("{} {when}{bad}{none}", text_of(&dag["dag"]))
    };
    dags(daemon).iter().map(words).collect()
}

fn wait_shown(daemon: &Daemon, expected: &[&str]) {
    until(
        &format!(
            "the DAGs are {expected:?}, not {:?}\n{}",
            shown(daemon),
            daemon.log()
        ),
        || (shown(daemon) == expected).then_some(()),
    );
}

/// Every message of a DAG's problems.
fn problems(daemon: &Daemon, dag: &str) -> String {
    let all = dags(daemon);
    let found = all
        .iter()
        .find(|found| found["dag"] == dag && found["problems"][0].is_object());
    found
        .map(|found| found["problems"].to_string())
        .unwrap_or_default()
}

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
    daemon.json(&["remove", "ruled"]);
    let left = crate::helper::files_below(&daemon.path("var/lib/proctor/dags"));
    assert!(left.is_empty(), "{left:?}");
    daemon.expect_clean();
}

#[test]
fn a_broken_file_keeps_its_last_good_version_also_over_a_restart() {
    let mut daemon = Daemon::prepare("");
    put(&daemon, "a.yaml", &yearly(1));
    daemon.restart();
    assert_eq!(
        shown(&daemon),
        ["a 1 3 1 1 *"],
        "what is there at the start is read before anything is answered"
    );
    put(&daemon, "a.yaml", BAD);
    wait_shown(&daemon, &["a 1 3 1 1 *!"]);
    assert!(
        problems(&daemon, "a").contains("comand"),
        "{}",
        problems(&daemon, "a")
    );
    daemon.wait_log("its last good version stays in force");
    // By name it is started as its schedule would start it.
    let out = daemon.ctl(&["run", "a"]).expect_code(0);
    assert!(
        out.stderr.contains("last good version")
            && out.stderr.contains("a.yaml:2")
            && out.stderr.contains("comand"),
        "{out:?}"
    );
    daemon.kill9();
    daemon.restart();
    assert_eq!(shown(&daemon), ["a 1 3 1 1 *!"]);
    // What was never good is listed, too, and a cure is seen at once.
    put(&daemon, "b.yaml", BAD);
    wait_shown(&daemon, &["a 1 3 1 1 *!", "b !?"]);
    put(&daemon, "a.yaml", &yearly(4));
    wait_shown(&daemon, &["a 4 3 1 1 *", "b !?"]);
    // A file that went while the daemon was away is not installed any more.
    daemon.stop();
    std::fs::remove_file(daemon.path("etc/proctor/dags/a.yaml")).unwrap();
    std::fs::remove_file(daemon.path("etc/proctor/dags/b.yaml")).unwrap();
    daemon.restart();
    assert_eq!(shown(&daemon), [""; 0]);
    daemon.expect_clean();
}

#[test]
fn a_burst_of_edits_ends_with_the_last_one() {
    let daemon = Daemon::start("");
    for minute in 0..40 {
        put(
            &daemon,
            "a.yaml",
            if minute % 3 == 1 {
                BAD
            } else {
                "steps: [{name: a, command: x}]\n"
            },
        );
        put(&daemon, "b.yaml", &yearly(minute));
    }
    put(&daemon, "a.yaml", &yearly(50));
    wait_shown(&daemon, &["a 50 3 1 1 *", "b 39 3 1 1 *"]);
    let loud = daemon.log().matches("is in force as a.yaml has it now").count();
    assert!(loud < 20, "{loud} versions were taken up:\n{}", daemon.log());
    daemon.expect_clean();
}

#[test]
fn a_name_belongs_to_one_file() {
    let daemon = Daemon::start("");
    put(&daemon, "a.yaml", &yearly(1));
    wait_shown(&daemon, &["a 1 3 1 1 *"]);
    put(&daemon, "b.yaml", &format!("name: a\n{}", yearly(2)));
    until("the clash is told", || {
        problems(&daemon, "a")
            .contains("dags/a.yaml has it")
            .then_some(())
    });
    let in_force: Vec<Value> = dags(&daemon)
        .into_iter()
        .filter(|dag| dag["in_force"] == true)
        .collect();
    assert_eq!(in_force.len(), 1, "{in_force:#?}");
    assert_eq!(
        in_force[0]["schedules"][0]["expression"], "1 3 1 1 *",
        "{in_force:#?}"
    );
    let file = daemon.dag("a", &yearly(3));
    // Below a private root everything is its user's.
    daemon.ctl(&["install", &file]).expect_code(1);
    std::fs::remove_file(daemon.path("etc/proctor/dags/a.yaml")).unwrap();
    wait_shown(&daemon, &["a 2 3 1 1 *"]);
    put(&daemon, "b.yaml", &format!("name: c\n{}", yearly(2)));
    wait_shown(&daemon, &["c 2 3 1 1 *"]);
    let result = daemon.json(&["run", "c"]);
    assert_eq!(
        result["dag"], "c",
        "it is found by its name, not by its file's: {result:#}"
    );
    daemon.expect_clean();
}

#[test]
fn the_base_configuration_holds_for_scheduled_and_for_named_runs() {
    let daemon = Daemon::start("");
    let base = daemon.path("etc/proctor/base.yaml");
    std::fs::write(&base, "env: [GREETING: hello]\n").unwrap();
    let text = "steps:\n  - {name: a, command: echo $GREETING, output: SAID}\n";
    put(&daemon, "a.yaml", text);
    let caller = "steps:\n  - {name: c, call: a}\n";
    put(&daemon, "b.yaml", text);
    wait_shown(&daemon, &["a ", "b "]);
    let said = || daemon.json(&["run", "a"])["steps"][0]["variables"]["SAID"].clone();
    assert_eq!(said(), "hello");
    let called = |greeting: &str| {
        let file = daemon.dag("caller", caller);
        let result = daemon.json(&["run", &file]);
        assert_eq!(result["status"], "succeeded", "{result:#}");
        let text = result["steps"][0].to_string();
        assert!(text.contains(greeting), "{result:#}");
    };
    called("hello");
    std::fs::write(&base, "env: [GREETING: bye]\n").unwrap();
    assert_eq!(said(), "bye");
    called("bye");
    // So it has to be in force before it breaks.
    until("the new base configuration holds", || {
        let log = daemon.log();
        (log.matches("DAG a is in force").count() >= 2).then_some(())
    });
    // A base configuration that is wrong makes every file wrong, and no version goes out of force.
    std::fs::write(&base, "env: [GREETING: bye]\nnonsense: 1\n").unwrap();
    wait_shown(&daemon, &["a !", "b !"]);
    assert!(
        problems(&daemon, "a").contains("base.yaml"),
        "{}",
        problems(&daemon, "a")
    );
    // The log has it once, for however many DAGs, and under its own name.
    let told = |log: &str| {
        let lines = log.lines().filter(|line| line.contains("nonsense"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = told(&daemon.log());
    assert!(
        lines.len() == 1 && lines[0].contains("base.yaml has errors"),
        "{lines:?}"
    );
    // Who starts it by name gets the version in force, too, and is told why.
    let out = daemon.ctl(&["--json", "run", "a"]).expect_code(0);
    assert_eq!(out.json()["steps"][0]["variables"]["SAID"], "bye", "{out:?}");
    assert!(
        out.stderr.contains("last good version") && out.stderr.contains("nonsense"),
        "{out:?}"
    );
    called("bye");
    std::fs::remove_file(&base).unwrap();
    wait_shown(&daemon, &["a ", "b "]);
    assert_eq!(said(), "");
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
fn what_is_no_plain_file_harms_nobody() {
    let daemon = Daemon::start("");
    let file = daemon.dag("mine", &yearly(1));
    let answer = daemon.json(&["install", &file]);
    let own = std::path::PathBuf::from(text_of(&answer["file"]));
    // A secret that only the daemon could read, by way of a link.
    let secret = daemon.path("src/secret");
    std::fs::write(&secret, "steps: [{name: s, command: echo the-secret}]\n").unwrap();
    // In one step, so that the file is never seen to be gone.
    let beside = own.with_file_name(".tmp");
    std::os::unix::fs::symlink(&secret, &beside).unwrap();
    std::fs::rename(&beside, &own).unwrap();
    wait_shown(&daemon, &["mine 1 3 1 1 *!"]);
    assert!(
        problems(&daemon, "mine").contains("symbolic link"),
        "{}",
        problems(&daemon, "mine")
    );
    let out = daemon.ctl(&["run", "mine"]).expect_code(0);
    assert!(
        out.stderr.contains("last good version") && out.stderr.contains("symbolic link"),
        "{out:?}"
    );
    assert!(!out.stdout.contains("the-secret"), "{out:?}");
    std::fs::hard_link(&secret, &beside).unwrap();
    std::fs::rename(&beside, &own).unwrap();
    until("the second name is seen", || {
        problems(&daemon, "mine").contains("one link").then_some(())
    });
    std::fs::remove_file(&own).unwrap();
    let dir = daemon.path("etc/proctor/dags");
    std::fs::create_dir_all(&dir).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(dir.join("fifo.yaml"))
        .status();
    assert!(made.unwrap().success());
    std::fs::create_dir(dir.join("dir.yaml")).unwrap();
    let huge = std::fs::File::create(dir.join("huge.yaml")).unwrap();
    huge.set_len(1 << 40).unwrap();
    std::fs::write(dir.join("bytes.yaml"), [0xff, 0xfe, 0]).unwrap();
    std::fs::write(dir.join("odd name!.yaml"), BAD).unwrap();
    put(&daemon, "good.yaml", &yearly(5));
    wait_shown(
        &daemon,
        &["bytes !?", "fifo !?", "good 5 3 1 1 *", "huge !?", "odd_name_ !?"],
    );
    assert!(
        problems(&daemon, "huge").contains("larger than"),
        "{}",
        problems(&daemon, "huge")
    );
    daemon.ctl(&["run", "huge"]).expect_code(2);
    daemon.ctl(&["run", "fifo"]).expect_code(2);
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn a_reload_takes_up_what_depends_on_the_configuration() {
    let daemon = Daemon::start("");
    put(&daemon, "a.yaml", &yearly(1));
    wait_shown(&daemon, &["a 1 3 1 1 *"]);
    daemon.configure("[schedule]\ntime_zone = \"Mars/Olympus\"\n");
    let out = daemon.ctl(&["reload"]).expect_code(2);
    assert!(out.stderr.contains("Mars/Olympus"), "{out:?}");
    daemon.configure("[schedule]\ntime_zone = \"Europe/Berlin\"\n");
    let answer = daemon.json(&["reload"]);
    assert!(
        answer["changes"].to_string().contains("schedule.time_zone"),
        "{answer:#}"
    );
    assert_eq!(shown(&daemon), ["a 1 3 1 1 *"]);
    daemon.expect_clean();
}
