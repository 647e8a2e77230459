//! What becomes of files that change, are bad, or are none.

use serde_json::Value;

use super::{BAD, dags, problems, put, shown, wait_shown, yearly};
use crate::helper::{Daemon, text_of, until};

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

#[test]
fn the_dags_of_the_system_stay_in_force_when_their_directory_goes() {
    let mut daemon = Daemon::start("");
    put(&daemon, "a.yaml", &yearly(1));
    wait_shown(&daemon, &["a 1 3 1 1 *"]);
    let (dir, away) = (daemon.path("etc/proctor/dags"), daemon.path("src/away"));
    std::fs::rename(&dir, &away).unwrap();
    wait_shown(&daemon, &["a 1 3 1 1 *!"]);
    let told = problems(&daemon, "a");
    assert!(
        told.contains("etc/proctor/dags") && told.contains("no such directory"),
        "{told}"
    );
    daemon.wait_log("what is in force stays so");
    // A run that starts in it does not make it: that would say that all of them were removed.
    let out = daemon.ctl(&["run", "a"]);
    let told = out.text();
    assert!(
        out.code() != 0 && told.contains("last good version") && told.contains("there is no directory"),
        "{out:?}"
    );
    assert!(!dir.exists());
    let out = daemon.ctl(&["remove", "a"]);
    assert!(out.code() != 0 && out.stderr.contains("make it again"), "{out:?}");
    // Also over a restart.
    daemon.kill9();
    daemon.restart();
    assert_eq!(shown(&daemon), ["a 1 3 1 1 *!"]);
    std::fs::rename(&away, &dir).unwrap();
    wait_shown(&daemon, &["a 1 3 1 1 *"]);
    // Who wants them gone leaves the directory.
    std::fs::remove_file(dir.join("a.yaml")).unwrap();
    wait_shown(&daemon, &[]);
    std::fs::remove_dir(&dir).unwrap();
    put(&daemon, "b.yaml", &yearly(2));
    wait_shown(&daemon, &["b 2 3 1 1 *"]);
    daemon.expect_clean();
}

#[test]
fn a_directory_that_is_made_after_the_start_is_noticed_with_all_above_it() {
    let mut daemon = Daemon::prepare("");
    let dir = daemon.path("later/made/dags");
    daemon.configure(&format!("[paths]\ndags = {:?}\n", dir.display().to_string()));
    daemon.restart();
    assert_eq!(shown(&daemon), [""; 0]);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("a.yaml"), yearly(1)).unwrap();
    wait_shown(&daemon, &["a 1 3 1 1 *"]);
    std::fs::write(dir.join("b.yaml"), yearly(2)).unwrap();
    wait_shown(&daemon, &["a 1 3 1 1 *", "b 2 3 1 1 *"]);
    daemon.expect_clean();
}
