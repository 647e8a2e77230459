//! Verbs that ask, and the command line.

use super::*;
use crate::model::{StepStatus, Time};
use crate::wire::control::{Action, DoctorReport, Finding};

#[test]
fn an_unused_root_has_empty_answers_where_a_daemon_could_be_started_and_starts_none() {
    let dir = tempfile::tempdir().unwrap();
    let asked = |args: &[&str]| call(dir.path(), &[&["--embedded", "--json"], args].concat());
    let answer = asked(&["history"]);
    assert_eq!((answer.exit, answer.json()), (Exit::Ok, json!({ "runs": [] })));
    let answer = asked(&["ps"]);
    assert_eq!((answer.exit, answer.json()), (Exit::Ok, json!({ "runs": [] })));
    let answer = asked(&["status", "--run-id", "r1", "hello"]);
    assert_eq!(answer.exit, Exit::Negative);
    assert_eq!(answer.json()["error"], "there is no run hello:r1");
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "asking leaves no trace"
    );
}

#[test]
fn without_a_daemon_nothing_is_told_about_runs_or_health() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("used/var/lib/proctor")).unwrap();
    std::fs::write(dir.path().join("used/var/lib/proctor/proctor.db"), "").unwrap();
    std::fs::create_dir(dir.path().join("unused")).unwrap();
    let verbs = [
        "doctor",
        "ps",
        "history",
        "status",
        "status hello",
        "why hello",
        "logs hello",
        "logs -f hello",
        "stop hello",
        "wait hello",
        "approve hello",
        "reload",
    ];
    for root in ["used", "unused", "typo"] {
        let root = dir.path().join(root);
        for verb in verbs {
            let args: Vec<&str> = verb.split(' ').collect();
            let answer = call(&root, &args);
            assert_eq!(
                (answer.exit, answer.stdout.as_str()),
                (Exit::Unreachable, ""),
                "{verb}"
            );
            let place = format!("cannot reach the daemon at {}/", root.display());
            assert!(
                answer.stderr.contains(&place) && answer.stderr.contains("--embedded"),
                "{}",
                answer.stderr
            );
            let missing = answer.stderr.contains("there is no directory");
            assert_eq!(missing, root.ends_with("typo"), "{}", answer.stderr);
        }
    }
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        2,
        "no root is made"
    );
    assert_eq!(
        std::fs::read_dir(dir.path().join("used")).unwrap().count(),
        1,
        "no daemon was started"
    );
}

#[test]
fn denials_and_unhealthy_checks_have_their_status() {
    let server = Server::start(|request| match request {
        Request::Doctor { repair } => vec![Response::Doctor(DoctorReport {
            findings: vec![Finding {
                check: "entries".to_owned(),
                ok: false,
                detail: "one is left over".to_owned(),
                repaired: repair,
            }],
            features: vec![("pidfd".to_owned(), "yes".to_owned())],
            counters: vec![("live".to_owned(), 2)],
            actions: vec![Action {
                what: "hook failed".to_owned(),
                at: Time(0),
                about: "failed of d:r".to_owned(),
            }],
        })],
        _ => vec![Response::Error {
            kind: ErrorKind::Denied,
            message: "not yours".to_owned(),
            hint: None,
            problems: Vec::new(),
        }],
    });
    assert_eq!(call(server.root(), &["stop", "hello"]).exit, Exit::Denied);
    let answer = call(server.root(), &["doctor"]);
    assert_eq!(answer.exit, Exit::Negative);
    assert_eq!(
        answer.stdout,
        "failed   entries: one is left over\n\nMachine\n  pidfd: yes\n\nCounters\n  live: 2\n\n\
         Last actions\n  hook failed: 1970-01-01T00:00:00.000Z, failed of d:r\n"
    );
    let answer = call(server.root(), &["doctor", "--repair", "--json"]);
    assert_eq!((answer.exit, &answer.json()["ok"]), (Exit::Ok, &json!(true)));
}

#[test]
fn logs_of_all_steps_have_headings() {
    let dir = tempfile::tempdir().unwrap();
    let mut view = ended(RunStatus::Succeeded);
    for (step, text) in view.steps.iter_mut().zip(["one\n", "two\x1b[1m\n"]) {
        let path = dir.path().join(format!("{}.out", step.name));
        std::fs::write(&path, text).unwrap();
        step.stdout = Some(path.to_str().unwrap().to_owned());
        step.status = StepStatus::Succeeded;
    }
    view.log_dir = dir.path().to_str().unwrap().to_owned();
    let server = Server::start(accepts(view));
    let both = "==> build <==\none\n\n==> test <==\ntwo\x1b[1m\n";
    assert_eq!(
        call(server.root(), &["logs", "hello"]).stdout,
        both,
        "bytes are not touched outside a terminal"
    );
    assert_eq!(call(server.root(), &["logs", "hello", "build"]).stdout, "one\n");
    assert_eq!(
        call(server.root(), &["logs", "hello", "build", "--stderr"]).stdout,
        ""
    );
    assert_eq!(call(server.root(), &["logs", "-f", "hello"]).stdout, both);
    let answer = call(server.root(), &["logs", "hello", "nope"]);
    assert_eq!(answer.exit, Exit::Negative);
    assert_eq!(
        call(server.root(), &["logs", "-f", "--json", "hello"]).exit,
        Exit::Usage
    );
    let answer = call(server.root(), &["logs", "--json", "hello", "test"]);
    assert_eq!(answer.json()["logs"][0]["text"], "two\x1b[1m\n");
}

#[test]
fn a_step_that_writes_faster_than_is_printed_does_not_hold_up_the_end() {
    /// Lets the log grow whenever something of it is printed.
    struct Grows {
        log: std::path::PathBuf,
        printed: Shared,
    }
    impl Write for Grows {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(self.printed.text().len() < 1000, "it goes on for ever");
            let mut log = std::fs::OpenOptions::new().append(true).open(&self.log)?;
            log.write_all(b"more\n")?;
            self.printed.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("build.out");
    let mut view = ended(RunStatus::Succeeded);
    view.steps[0].stdout = Some(log.to_str().unwrap().to_owned());
    let server = Server::start(accepts(view));
    let root = server.root().to_str().unwrap();
    for verb in [&["logs", "hello", "build"][..], &["logs", "-f", "hello", "build"]] {
        std::fs::write(&log, "one\n").unwrap();
        let printed = Shared::default();
        let out = Grows {
            log: log.clone(),
            printed: printed.clone(),
        };
        let cli = Cli::try_parse_from([&["proctorctl", "--root", root], verb].concat()).unwrap();
        let exit = run(cli, &PlaceEnv::default(), Out::new(out, io::sink(), false));
        // Who follows may have seen some of it grow before the end was told.
        let printed = printed.text();
        let right = if verb.contains(&"-f") {
            printed.starts_with("one\n")
        } else {
            printed == "one\n"
        };
        assert!(right && exit == Exit::Ok, "{verb:?}: {exit:?}, {printed}");
    }
}

#[test]
fn on_a_terminal_a_character_that_nobody_finished_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("build.out");
    std::fs::write(&log, b"caf\xc3").unwrap();
    let mut view = ended(RunStatus::Succeeded);
    view.steps[0].stdout = Some(log.to_str().unwrap().to_owned());
    let server = Server::start(accepts(view));
    let root = server.root().to_str().unwrap();
    for verb in [&["logs", "hello", "build"][..], &["logs", "-f", "hello", "build"]] {
        let printed = Shared::default();
        let mut out = Out::new(printed.clone(), io::sink(), false);
        out.terminal = Some((80, 24));
        let cli = Cli::try_parse_from([&["proctorctl", "--root", root], verb].concat()).unwrap();
        assert_eq!(run(cli, &PlaceEnv::default(), out), Exit::Ok);
        assert_eq!(printed.text(), "caf\u{fffd}", "{verb:?}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    let server = Server::start(|_| Vec::new());
    for verb in ["ps", "history", "doctor", "reload"] {
        let answer = call(server.root(), &[verb, "--json"]);
        assert_eq!(answer.exit, Exit::Unreachable, "{verb}");
        assert_eq!(
            answer.json()["error"],
            "the daemon closed the connection before its answer was complete"
        );
    }
    let wrong = Server::start(|_| vec![Response::Done]);
    for verb in ["ps", "history", "doctor", "reload"] {
        assert_eq!(call(wrong.root(), &[verb]).exit, Exit::Bug, "{verb}");
    }
}

#[test]
fn a_question_that_a_leaving_daemon_did_not_answer_is_put_to_the_next() {
    let left = std::sync::atomic::AtomicBool::new(false);
    let answers = accepts(ended(RunStatus::Succeeded));
    let server = Server::start(move |request| {
        let gone = !left.swap(true, std::sync::atomic::Ordering::SeqCst);
        if gone { Vec::new() } else { answers(request) }
    });
    let answer = call(server.root(), &["ps", "--json"]);
    assert_eq!(answer.exit, Exit::Ok, "{}", answer.stderr);
    assert_eq!(server.requests(), [Request::Ps, Request::Ps]);
}

#[test]
fn what_changes_something_is_never_asked_for_twice() {
    let server = Server::start(|_| Vec::new());
    let file = dag_file(server.root());
    for verb in [
        &["enqueue", &file][..],
        &["retry", "hello"],
        &["cleanup", "--yes"],
    ] {
        let before = server.requests().len();
        assert_eq!(call(server.root(), verb).exit, Exit::Unreachable, "{verb:?}");
        assert_eq!(server.requests().len(), before + 1, "{verb:?}");
    }
}

#[test]
fn who_meets_a_daemon_that_is_leaving_waits_for_the_next() {
    let left = std::sync::atomic::AtomicBool::new(false);
    let root = server::listen(move |stream| {
        // Closed before the hello, as by a daemon that has accepted its last client.
        if left.swap(true, std::sync::atomic::Ordering::SeqCst) {
            server::serve(stream, &Mutex::default(), &accepts(ended(RunStatus::Succeeded)));
        }
    });
    let answer = call(root.path(), &["ps", "--json"]);
    assert_eq!(answer.exit, Exit::Ok, "{}", answer.stderr);
}

#[test]
fn validate_and_dry_run_apply_a_json_schema() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let file = path("d.yaml");
    std::fs::write(
        &file,
        "params: {schema: s.json}\nenv: {OUT: /data/$region}\nsteps: [\"true\"]\n",
    )
    .unwrap();
    let schema = r#"{"properties": {"region": {"enum": ["eu", "us"]}}, "required": ["region"]}"#;
    std::fs::write(path("s.json"), schema).unwrap();
    let answer = call(dir.path(), &["validate", "--json", &file]);
    assert_eq!(answer.exit, Exit::Ok, "a DAG alone is valid: {}", answer.stdout);
    let answer = call(dir.path(), &["validate", "--json", &file, "--", "region=eu"]).json();
    assert_eq!(
        (&answer["dag"]["params"][0], &answer["dag"]["env"][0]),
        (&json!("region=eu"), &json!("OUT=/data/eu"))
    );
    let answer = call(
        dir.path(),
        &["validate", "--json", "--no-eval", &file, "--", "region=eu"],
    )
    .json();
    assert_eq!(answer["dag"]["env"][0], "OUT=/data/$region");
    let answer = call(dir.path(), &["validate", "--json", &file, "--", "region=xx"]);
    assert_eq!(answer.exit, Exit::Negative);
    let message = answer.json()["errors"][0]["message"].to_string();
    assert!(
        message.contains("region") && message.contains("validation failed"),
        "{message}"
    );
    let answer = call(dir.path(), &["dry-run", &file]);
    assert_eq!(answer.exit, Exit::Usage);
    assert!(answer.stderr.contains("is required"), "{}", answer.stderr);
    std::fs::remove_file(path("s.json")).unwrap();
    let error = call(dir.path(), &["validate", "--json", &file]).json()["errors"][0].clone();
    assert_eq!((&error["line"], &error["column"]), (&json!(1), &json!(18)));
    assert!(
        error["message"].as_str().unwrap().contains("no such file"),
        "{error}"
    );
    let skipped = call(
        dir.path(),
        &["validate", "--skip-schema-validation", &file, "--", "region=xx"],
    );
    assert_eq!(skipped.exit, Exit::Ok, "{}", skipped.stderr);
}

#[test]
fn validate_and_dry_run_need_no_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let file = dag_file(dir.path());
    let answer = call(dir.path(), &["validate", "--json", &file]);
    assert_eq!((answer.exit, &answer.json()["valid"]), (Exit::Ok, &json!(true)));
    assert_eq!(answer.json()["dag"]["name"], "hello");
    let answer = call(dir.path(), &["validate", &file]);
    assert_eq!(answer.stdout, format!("{file}: valid, hello with 1 step\n"));
    let answer = call(dir.path(), &["dry-run", "--json", &file, "--", "K=V"]);
    assert_eq!(
        (answer.exit, &answer.json()["params"]),
        (Exit::Ok, &json!(["K=V"]))
    );
    assert_eq!(answer.json()["steps"][0]["depends"], json!([]));
    std::fs::write(&file, "steps:\n  - comand: x\n").unwrap();
    let answer = call(dir.path(), &["validate", "--json", &file]);
    assert_eq!(answer.exit, Exit::Negative);
    let error = &answer.json()["errors"][0];
    assert_eq!((&error["file"], &error["line"]), (&json!(file), &json!(2)));
    let answer = call(dir.path(), &["validate", &file]);
    assert!(
        answer.stderr.contains("comand") && !answer.stderr.contains('\x1b'),
        "{}",
        answer.stderr
    );
    let answer = call(dir.path(), &["dry-run", "--json", &file]);
    assert_eq!(answer.exit, Exit::Usage);
    assert!(answer.json()["error"].is_string());
}

#[test]
fn the_command_line_is_consistent() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
    let parse = |line: &str| Cli::try_parse_from(line.split(' '));
    assert!(parse("proctorctl run --params -x f.yaml").is_ok());
    assert!(
        parse(
            "proctorctl run --embedded --root /r --json --run-id case-run --base-config b f.yaml -- -x --json"
        )
        .is_ok()
    );
    assert!(parse("proctorctl status --json").is_ok());
    assert!(parse("proctorctl status --run-id x").is_err());
    assert!(parse("proctorctl history --limit 0").is_err());
    assert!(parse("proctorctl history --last 7d --from 2026-01-01").is_err());
    assert!(parse("proctorctl nothing").is_err());
}
