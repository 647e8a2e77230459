//! DAG files that are none: refused with the place and the reason, and nothing is recorded.

use std::time::{Duration, Instant};

use crate::helper::{Daemon, Out};

/// Runs a file that must be refused, at the daemon and by `validate`. Gives what `run` said.
fn refused(daemon: &Daemon, name: &str, bytes: &[u8]) -> Out {
    let file = daemon.dag(name, "");
    std::fs::write(&file, bytes).unwrap();
    let begun = Instant::now();
    let out = daemon.ctl(&["run", &file]).expect_code(2);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{name}: {:?}",
        begun.elapsed()
    );
    let valid = daemon.ctl(&["validate", &file]);
    assert!(matches!(valid.code(), 1 | 2), "{name}: {valid:?}");
    let json = daemon.ctl(&["--json", "run", &file]).expect_code(2).json();
    assert!(!json["error"].as_str().unwrap().is_empty(), "{json:#}");
    assert!(
        out.text().len() < 64 * 1024,
        "{name}: {} bytes of message",
        out.text().len()
    );
    out
}

#[test]
fn what_is_no_dag_is_refused_with_its_place_and_leaves_no_history() {
    let daemon = Daemon::start("");
    let cases: &[(&str, &str, &str, &str)] = &[
        ("scalar", "just a text\n", "scalar.yaml:1", ""),
        ("list", "- a\n- b\n", "list.yaml:1", ""),
        (
            "broken",
            "steps:\n  - name: a\n   command: x\n",
            "broken.yaml:3",
            "",
        ),
        ("tab", "steps:\n\t- name: a\n", "tab.yaml:2", ""),
        (
            "unknown",
            "steps:\n  - name: a\n    comand: x\n",
            "unknown.yaml:3",
            "did you mean `command`",
        ),
        (
            "cycle",
            "type: graph\nsteps:\n  - {name: a, command: x, depends: b}\n  - {name: b, command: x, depends: a}\n",
            "cycle.yaml:",
            "cycle",
        ),
        (
            "missing",
            "type: graph\nsteps:\n  - {name: a, command: x}\n  - {name: b, command: x, depends: c}\n",
            "missing.yaml:4",
            "non-existent step \"c\"",
        ),
        (
            "twice",
            "steps:\n  - {name: a, command: x}\n  - {name: a, command: y}\n",
            "twice.yaml:3",
            "duplicate step name",
        ),
        (
            "itself",
            "type: graph\nsteps: [{name: a, command: x, depends: a}]\n",
            "itself.yaml:2",
            "itself",
        ),
    ];
    for (name, text, place, reason) in cases {
        let out = refused(&daemon, name, text.as_bytes());
        let said = out.text();
        assert!(said.contains(place), "{place} is not in {said}");
        assert!(said.contains(reason), "{reason} is not in {said}");
    }
    let history = daemon.json(&["history"]);
    assert_eq!(history["runs"].as_array().unwrap().len(), 0, "{history:#}");
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn all_errors_of_a_file_are_told_in_one_go() {
    let daemon = Daemon::start("");
    let text = "timeout_sec: soon\nsteps:\n  - name: a\n    comand: x\n  - name: a\n    command: y\n    depends: zz\n";
    let said = refused(&daemon, "many", text.as_bytes()).text();
    for place in ["many.yaml:1", "many.yaml:4", "many.yaml:5"] {
        assert!(said.contains(place), "{place} is not in {said}");
    }
    daemon.expect_clean();
}

#[test]
fn files_that_are_too_large_or_no_text_are_refused_quickly() {
    let daemon = Daemon::start("");
    let huge = format!(
        "steps:\n{}",
        "  - {name: a, command: x}\n".repeat(10 * 1024 * 1024 / 26)
    );
    assert!(huge.len() > 10 * 1000 * 1000);
    let said = refused(&daemon, "huge", huge.as_bytes()).text();
    assert!(said.contains("limit"), "{said}");
    let said = refused(&daemon, "utf8", b"name: \xff\xfe\nsteps: []\n").text();
    assert!(said.contains("UTF-8"), "{said}");
    let mut laughs = String::from("a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n");
    for n in 1..12 {
        let before = vec![format!("*a{}", n - 1); 10].join(", ");
        laughs.push_str(&format!("a{n}: &a{n} [{before}]\n"));
    }
    laughs.push_str("steps: *a11\n");
    refused(&daemon, "laughs", laughs.as_bytes());
    let deep = format!("steps: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    refused(&daemon, "deep", deep.as_bytes());
    let nul = b"name: a\0b\nsteps: [{name: a, command: x}]\n";
    refused(&daemon, "nul", nul);
    // The same past the client, which looks at the size before it sends.
    let mut control = daemon.control();
    let answer = control.submit("huge", "r1", &huge);
    let refused = match answer {
        Ok(answer) => answer.get("error").is_some(),
        Err(_) => true,
    };
    assert!(refused);
    let answer = daemon.control().submit("laughs", "r1", &laughs).unwrap();
    assert_eq!(answer["error"]["kind"], "invalid", "{answer:#}");
    let history = daemon.json(&["history"]);
    assert_eq!(history["runs"].as_array().unwrap().len(), 0, "{history:#}");
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn a_file_that_is_not_there_is_told_by_name() {
    let daemon = Daemon::start("");
    let out = daemon.ctl(&["run", "/nowhere/x.yaml"]);
    assert_ne!(out.code(), 0);
    assert!(out.stderr.contains("/nowhere/x.yaml"), "{out:?}");
    let out = daemon.ctl(&["run", "not-installed"]).expect_code(1);
    assert!(out.stderr.contains("not-installed"), "{out:?}");
    let out = daemon.ctl(&["run", daemon.root().to_str().unwrap()]);
    assert!(!out.status.success(), "{out:?}");
    daemon.expect_clean();
}

#[test]
fn a_json_schema_travels_with_its_dag_and_rules_at_the_daemon() {
    let daemon = Daemon::start("");
    let schema = r#"{"properties": {"count": {"type": "integer", "maximum": 10, "default": 3}}}"#;
    std::fs::write(daemon.path("src/s.json"), schema).unwrap();
    let text = "params: {schema: s.json}\nsteps:\n  - command: echo got $count\n    output: GOT\n";
    let file = daemon.dag("ruled", text);
    let result = daemon.json(&["run", &file, "--", "count=+7"]);
    assert_eq!(result["params"], serde_json::json!(["count=7"]), "{result:#}");
    assert_eq!(result["steps"][0]["variables"]["GOT"], "got 7", "{result:#}");
    let out = daemon.ctl(&["run", &file, "--", "count=11"]).expect_code(2);
    assert!(
        out.stderr.contains("11 is greater than the maximum of 10"),
        "{out:?}"
    );
    std::fs::remove_file(daemon.path("src/s.json")).unwrap();
    let out = refused(&daemon, "ruled", text.as_bytes());
    assert!(
        out.stderr.contains("ruled.yaml:1:18") && out.stderr.contains("no such file"),
        "{out:?}"
    );
    // That of an installed DAG is beside it; nothing else is read for it.
    let installed = daemon.path("etc/proctor/dags");
    std::fs::create_dir_all(&installed).unwrap();
    std::fs::write(installed.join("kept.yaml"), text).unwrap();
    std::fs::write(installed.join("s.json"), schema).unwrap();
    let result = daemon.json(&["run", "kept"]);
    assert_eq!(result["params"], serde_json::json!(["count=3"]), "{result:#}");
    // By a name of its own: of one that was in force already, its last good version would be started.
    let outside = text.replace("s.json", "../dags/s.json");
    std::fs::write(installed.join("outside.yaml"), outside).unwrap();
    let out = daemon.ctl(&["run", "outside"]).expect_code(2);
    assert!(out.stderr.contains("named without a directory"), "{out:?}");
    let history = daemon.json(&["history"]);
    assert_eq!(history["runs"].as_array().unwrap().len(), 2, "{history:#}");
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn an_eval_counts_before_a_default_and_sees_what_is_given() {
    let daemon = Daemon::start("");
    let file = daemon.dag(
        "evals",
        "params:\n  - {name: a, default: fallback, eval: \"`echo evaluated`\"}\n  - {name: b, default: x}\n  \
         - {name: c, eval: \"`echo $b`-$a\"}\n  - {name: d, eval: $b/d}\n  - {name: e, default: '5', type: integer, eval: \
         \"`false`\"}\nsteps:\n  - \"true\"\n",
    );
    let result = daemon.json(&["run", &file, "--", "b=y"]);
    let expected = ["a=evaluated", "b=y", "c=y-evaluated", "d=y/d", "e=5"];
    assert_eq!(result["params"], serde_json::json!(expected), "{result:#}");
    let wrong = daemon.dag(
        "wrong",
        "params:\n  - {name: n, type: integer, eval: \"`echo many`\"}\nsteps:\n  - \"true\"\n",
    );
    let result = daemon.ctl(&["--json", "run", &wrong]).json();
    assert_eq!(result["status"], "failed", "{result:#}");
    assert!(
        result["error"].as_str().unwrap().contains("whole number"),
        "{result:#}"
    );
    daemon.expect_clean();
}

#[test]
fn a_value_of_which_nothing_is_expected_is_not_run() {
    let daemon = Daemon::start("");
    let mark = daemon.root().join("mark");
    let run = |name: &str, value: &str| {
        let file = daemon.dag(
            name,
            &format!(
                "params: [{{X: '{value}'}}]\nsteps:\n  - name: a\n    command: echo again >>{name}.log\n    \
                 working_dir: {}\n    repeat_policy: {{condition: $X, expected: '', limit: 3}}\n",
                daemon.root().display()
            ),
        );
        let result = daemon.json(&["run", &file]);
        assert_eq!(result["status"], "succeeded", "{result:#}");
        std::fs::read_to_string(daemon.root().join(format!("{name}.log")))
            .unwrap()
            .lines()
            .count()
    };
    assert_eq!(run("command", &format!("touch {}", mark.display())), 3);
    assert_eq!(run("empty", ""), 1, "it is what is expected");
    assert!(!mark.exists(), "a value was run");
    daemon.expect_clean();
}

#[test]
fn a_called_dag_has_the_schema_beside_it() {
    let daemon = Daemon::start("");
    let schema = r#"{"properties": {"count": {"type": "integer", "maximum": 10}}}"#;
    std::fs::write(daemon.path("src/s.json"), schema).unwrap();
    daemon.dag(
        "callee",
        "params: {schema: s.json}\nsteps:\n  - command: '[ \"$count\" = 7 ]'\n",
    );
    let caller = |count: &str| {
        let text = format!("steps:\n  - {{name: c, call: callee, params: count={count}}}\n");
        daemon.dag("caller", &text)
    };
    let result = daemon.json(&["run", &caller("+7")]);
    assert_eq!(result["status"], "succeeded", "{result:#}");
    let failed = |count: &str, words: [&str; 2]| {
        let result = daemon.ctl(&["--json", "run", &caller(count)]).json();
        let error = result["steps"][0]["error"].to_string();
        assert_eq!(result["status"], "failed", "{result:#}");
        assert!(words.iter().all(|words| error.contains(words)), "{result:#}");
    };
    failed("11", ["count", "greater than the maximum of 10"]);
    // The schema is read anew for each run, and a lost one is told by name.
    std::fs::write(daemon.path("src/s.json"), "{").unwrap();
    failed("7", ["s.json", "not JSON"]);
    std::fs::remove_file(daemon.path("src/s.json")).unwrap();
    failed("7", ["s.json", "no such file"]);
    daemon.expect_clean();
}
