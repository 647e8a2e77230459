//! T25: what is in names, outputs and reasons reaches no log and no terminal as anything but text.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use crate::helper::{Daemon, Running, until};

/// A line of its own in a log, an order to a terminal, turned text, a letter that is not seen, and a second line for cron's.
const EVIL: &str = "x\n2030-01-01T00:00:00.000Z INFO  denied to uid 0\r\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}txt\u{200b}\u{2028}\u{e0041}";

/// A DAG file in which such texts stand as escapes, since YAML takes none of them as they are.
fn document(dag: &Value) -> String {
    let escaped = |c: char| {
        if c.is_ascii() {
            String::from(c)
        } else {
            format!("\\U{:08x}", u32::from(c))
        }
    };
    dag.to_string().chars().map(escaped).collect()
}

/// Whether a character is one that a terminal obeys or a reader does not see, line feeds aside.
fn is_evil(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn expect_harmless(what: &str, text: &str) {
    if let Some(found) = text.chars().find(|c| is_evil(*c)) {
        panic!("{what} has {found:?}:\n{text:?}");
    }
}

/// Everything that shows something of a run, as text and as JSON.
fn show_all(daemon: &Daemon, run: &str, file: &str) {
    let (dag, _) = run.split_once(':').unwrap();
    let all: &[&[&str]] = &[
        &["status", run],
        &["status", "--log-lines", "0", run],
        &["history"],
        &["history", run],
        &["why", run],
        &["wait", run],
        &["ps"],
        &["dags"],
        &["next"],
        &["queue"],
        &["graph", file],
        &["dry-run", file],
        &["validate", file],
        &["doctor"],
        &["cron", "x\u{1b}[31m \u{202e}"],
        &["status", "a\u{1b}[31m\u{202e}:b\n"],
        &["run", "no\u{1b}[31m\u{202e}such"],
        &["retry", dag, "\u{1b}"],
    ];
    for words in all {
        let out = daemon.ctl(words);
        expect_harmless(&format!("{words:?}"), &out.text());
        let mut json = vec!["--json"];
        json.extend_from_slice(words);
        let out = daemon.ctl(&json);
        expect_harmless(&format!("{json:?}"), &out.text());
        for line in out.stdout.lines() {
            let parsed = serde_json::from_str::<Value>(line);
            assert!(parsed.is_ok(), "{json:?}: {line:?}");
        }
    }
}

/// Each line of the log is one that the daemon began.
fn expect_log_of_lines(daemon: &Daemon) {
    for line in daemon.log().lines() {
        expect_harmless("the log", line);
        let begins = line.get(..11).is_some_and(|begin| begin.ends_with('T')) && !line.starts_with("2030");
        assert!(begins, "a line that nobody logged: {line:?}");
    }
}

#[test]
fn t25_evil_texts_of_a_run_are_shown_as_text_everywhere() {
    let daemon = Daemon::start("[log]\nlevel = \"debug\"\n");
    let step = json!({
        "name": EVIL,
        "description": EVIL,
        "command": format!("printf '%s' '{EVIL}' >&2; printf '%s' '{EVIL}'; exit 3"),
        "output": "OUT",
        "stdout": format!("/nowhere/{EVIL}"),
    });
    let later = json!({
        "name": "later",
        "command": format!("printf '%s' '{EVIL}' >&2; printf '%s' '{EVIL}'; exit 3"),
        "output": "OUT",
        "preconditions": [{"condition": format!("printf '%s' '{EVIL}'"), "expected": "y"}],
        "depends": [],
    });
    let plain = json!({
        "name": "plain",
        "command": format!("printf '%s' '{EVIL}' >&2; printf '%s' '{EVIL}'; exit 3"),
        "output": "OUT", "depends": [],
    });
    let mut names = 0;
    for (number, steps) in [json!([step]), json!([later]), json!([plain])]
        .into_iter()
        .enumerate()
    {
        let dag = json!({
            "description": EVIL, "group": "g", "tags": [EVIL], "type": "graph",
            "params": [{"P": EVIL}], "env": [{"E": EVIL}], "steps": steps,
        });
        let name = format!("evil{number}");
        let file = daemon.dag(&name, &document(&dag));
        let out = daemon.ctl(&["run", &file, &format!("--params={EVIL}")]);
        expect_harmless("run", &out.text());
        let out = daemon.ctl(&["--json", "run", &file]);
        expect_harmless("run", &out.text());
        let Ok(result) = serde_json::from_str::<Value>(&out.stdout) else {
            panic!("{out:?}");
        };
        if let (Some(dag), Some(id)) = (result["dag"].as_str(), result["run_id"].as_str()) {
            names += 1;
            show_all(&daemon, &format!("{dag}:{id}"), &file);
        }
    }
    assert!(names > 0, "no evil run came into being");
    expect_log_of_lines(&daemon);
    daemon.expect_clean();
}

#[test]
fn t25_evil_words_of_people_are_logged_and_shown_as_text() {
    let daemon = Daemon::start("[log]\nlevel = \"debug\"\n");
    let waits = daemon.submit("waits", "steps: [{name: a, command: 'true', approval: {}}]");
    daemon.wait_end(&waits);
    let out = daemon.ctl(&["reject", &waits, "--reason", EVIL]);
    expect_harmless("reject", &out.text());
    daemon.wait_log("rejected by uid");
    show_all(
        &daemon,
        &waits,
        &daemon.dag("waits", "steps: [{name: a, command: 'true', approval: {}}]"),
    );
    for request in [
        json!({"submit": {"source": EVIL, "stem": EVIL, "file": EVIL, "base_dir": EVIL}}),
        json!({"submit": {"source": "steps: [{name: a, command: 'true'}]", "stem": EVIL, "file": EVIL, "base_dir": "/"}}),
        json!({"install": {"source": "steps: [{name: a, command: 'true'}]", "stem": EVIL, "file": EVIL}}),
        json!({"queue": {"queue": EVIL}}),
        json!({EVIL: {}}),
    ] {
        // After what it cannot read the daemon closes the connection, maybe before it has answered.
        let mut control = daemon.control();
        control.send(&request).unwrap();
        let Ok(Some(answer)) = control.receive() else {
            continue;
        };
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(!message.contains(['\u{1b}', '\r', '\u{202e}']), "{message:?}");
    }
    expect_log_of_lines(&daemon);
    daemon.expect_clean();
}

#[test]
fn t25_evil_file_names_are_logged_and_shown_as_text() {
    let daemon = Daemon::start("[log]\nlevel = \"debug\"\n");
    let dir = daemon.path("etc/proctor/dags");
    fs::create_dir_all(&dir).unwrap();
    let names: [&[u8]; 6] = [
        b"a\n2030-01-01T00:00:00.000Z INFO  b.yaml",
        b"c\x1b[31m.yaml",
        b"d\xff\xfe.yaml",
        "e\u{202e}lmay.yaml".as_bytes(),
        "f\u{2028}.yaml".as_bytes(),
        b"-rf.yaml",
    ];
    for name in names {
        fs::write(
            dir.join(OsStr::from_bytes(name)),
            "steps: [{name: a, comand: nonsense}]\n",
        )
        .unwrap();
    }
    fs::write(
        dir.join("good.yaml"),
        "schedule: 1 3 1 1 *\nsteps: [{name: a, command: 'true'}]\n",
    )
    .unwrap();
    until("the good one is in force", || {
        daemon
            .json(&["dags"])
            .to_string()
            .contains("\"good\"")
            .then_some(())
    });
    for words in [
        &["dags"][..],
        &["--json", "dags"],
        &["next"],
        &["doctor"],
        &["--json", "doctor"],
    ] {
        expect_harmless(&format!("{words:?}"), &daemon.ctl(words).text());
    }
    // And those of a client's own files.
    for name in names {
        let place = daemon.path("src").join(OsStr::from_bytes(name));
        fs::write(&place, "steps: [{name: a, comand: nonsense}]\n").unwrap();
        for verb in ["run", "validate", "install", "graph"] {
            let mut command = daemon.command(&[verb]);
            command.arg(&place);
            let out = Running::start(command).finish();
            assert_ne!(out.code(), 0, "{out:?}");
            expect_harmless(verb, &out.text());
        }
    }
    expect_log_of_lines(&daemon);
    daemon.expect_clean();
}
