//! What steps write: kept whole, whoever holds the other end and however slowly it is read.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::helper::{Daemon, read, signal, until};

#[test]
fn a_grandchild_that_keeps_standard_output_open_does_not_hold_up_the_step() {
    let daemon = Daemon::start("");
    let text = format!(
        "steps:\n  - name: a\n    script: |\n      (setsid sh -c 'echo $$ > {pid}; exec sleep 1000' &)\n      \
         while [ ! -s {pid} ]; do sleep 0.02; done\n      echo done\n    output: SAID\n  - name: b\n    command: \"true\"\n",
        pid = daemon.path("pid").display()
    );
    let begun = Instant::now();
    let run = daemon.submit("holds", &text);
    let result = daemon.wait_success(&run);
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(result["steps"][0]["variables"]["SAID"], "done", "{result:#}");
    // It does not outlive the attempt.
    daemon.expect_clean();
}

#[test]
fn huge_output_is_kept_whole() {
    let daemon = Daemon::start("");
    let text =
        "steps: [{name: a, command: \"head -c 30000000 /dev/zero | tr '\\\\\\\\0' x; echo; echo last\"}]";
    let run = daemon.submit("huge", text);
    let result = daemon.wait_success(&run);
    let file = result["steps"][0]["stdout"].as_str().unwrap();
    assert_eq!(std::fs::metadata(file).unwrap().len(), 30_000_000 + 6);
    // The client is not at the mercy of a line that never ends.
    let out = daemon.ctl(&["logs", &run]).expect_code(0);
    assert!(out.stdout.ends_with("last\n"), "{} bytes", out.stdout.len());
    daemon.expect_clean();
}

#[test]
fn output_that_is_captured_is_limited_and_its_step_says_so() {
    let daemon = Daemon::start("");
    let text = "steps: [{name: a, command: \"head -c 20000000 /dev/zero | tr '\\\\\\\\0' x\", output: BIG}]";
    let run = daemon.submit("captured", text);
    let result = daemon.wait_end(&run);
    assert_ne!(result["status"], "running", "{}", result["status"]);
    let kept = result["steps"][0]["variables"]["BIG"]
        .as_str()
        .unwrap_or_default()
        .len();
    assert!(kept <= 8 * 1024 * 1024, "{kept} bytes were kept");
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn a_reader_of_logs_that_does_not_read_holds_up_nobody() {
    let daemon = Daemon::start("");
    let text = format!(
        "steps:\n  - name: a\n    command: echo x > {}; while [ ! -e {} ]; do head -c 100000 /dev/zero | tr '\\\\0' y; echo; sleep 0.01; done\n",
        daemon.path("begun").display(),
        daemon.path("go").display()
    );
    let run = daemon.submit("slow", &text);
    daemon.wait_file("begun");
    let mut command = daemon.command(&["logs", "-f", &run]);
    let mut reader = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = reader.stdout.take().unwrap();
    let mut some = [0; 1000];
    stdout.read_exact(&mut some).unwrap();
    // It reads no more; the pipe is full, and the step goes on.
    let file = daemon.status(&run)["steps"][0]["stdout"]
        .as_str()
        .unwrap()
        .to_owned();
    let size = || std::fs::metadata(&file).unwrap().len();
    let before = size();
    until("more output", || (size() > before + 1_000_000).then_some(()));
    daemon.expect_unharmed();
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    // Now it reads on, and gets everything.
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert!(reader.wait().unwrap().success());
    let shown = some.iter().chain(&rest).filter(|byte| **byte == b'y').count();
    let written = std::fs::read(&file)
        .unwrap()
        .iter()
        .filter(|byte| **byte == b'y')
        .count();
    assert_eq!(shown, written);
    daemon.expect_clean();
}

#[test]
fn a_reader_of_logs_that_goes_away_ends_without_noise() {
    let daemon = Daemon::start("");
    let text = "steps: [{name: a, command: seq 1 100000}]";
    let run = daemon.submit("head", text);
    daemon.wait_success(&run);
    let mut reader = daemon
        .command(&["logs", &run])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut some = [0; 10];
    let mut stdout = reader.stdout.take().unwrap();
    stdout.read_exact(&mut some).unwrap();
    drop(stdout);
    let mut noise = String::new();
    reader.stderr.take().unwrap().read_to_string(&mut noise).unwrap();
    reader.wait().unwrap();
    assert_eq!(noise, "");
    daemon.expect_clean();
}

#[test]
fn logs_follow_a_run_over_its_steps_and_show_every_try() {
    let daemon = Daemon::start("");
    let text = format!(
        "steps:\n  - name: a\n    command: echo try >> {count}; echo this is try $(wc -l < {count}); [ $(wc -l < {count}) = 3 ]\n    \
         retry_policy: {{limit: 5, interval_sec: 0}}\n  - name: b\n    command: echo from b; echo wrong >&2\n",
        count = daemon.path("count").display()
    );
    let run = daemon.submit("tries", &text);
    let followed = daemon.ctl(&["logs", "-f", &run]).expect_code(0);
    daemon.wait_success(&run);
    let out = daemon.ctl(&["logs", &run]).expect_code(0);
    for text in [&followed.stdout, &out.stdout] {
        for part in ["this is try 1", "this is try 2", "this is try 3", "from b"] {
            assert_eq!(text.matches(part).count(), 1, "{part:?} in {text}");
        }
    }
    let out = daemon.ctl(&["logs", &run, "b"]).expect_code(0);
    assert!(
        !out.stdout.contains("try") && out.stdout.contains("from b"),
        "{out:?}"
    );
    let out = daemon.ctl(&["logs", "--stderr", &run]).expect_code(0);
    assert!(out.stdout.contains("wrong"), "{out:?}");
    daemon.ctl(&["logs", &run, "nobody"]).expect_code(1);
    daemon.expect_clean();
}

#[test]
fn output_that_would_move_the_cursor_is_shown_harmless_and_kept_as_it_was() {
    let daemon = Daemon::start("");
    let text = "steps: [{name: a, command: \"printf '\\\\033[2Jx\\\\007\\\\n'\"}]";
    let run = daemon.submit("escapes", text);
    let result = daemon.wait_success(&run);
    let kept = read(result["steps"][0]["stdout"].as_str().unwrap().as_ref());
    assert_eq!(kept, "\x1b[2Jx\x07\n");
    let json = daemon.json(&["logs", &run]);
    assert!(json.to_string().contains("[2Jx"), "{json:#}");
    daemon.expect_clean();
    let status = daemon.ctl(&["status", &run]);
    assert!(!status.stdout.contains('\x1b'), "{status:?}");
}

#[test]
fn a_follower_that_is_interrupted_leaves_the_run_alone() {
    let daemon = Daemon::start("");
    let text = format!(
        "steps:\n  - name: a\n    command: echo x > {}; while [ ! -e {} ]; do sleep 0.05; done\n",
        daemon.path("begun").display(),
        daemon.path("go").display()
    );
    let run = daemon.submit("left", &text);
    daemon.wait_file("begun");
    let wait = daemon.begin(&["wait", &run]);
    let logs = daemon.begin(&["logs", "-f", &run]);
    until("two followers", || {
        (daemon.doctor_value("followers") == 2).then_some(())
    });
    signal(wait.pid(), libc::SIGTERM);
    signal(logs.pid(), libc::SIGTERM);
    wait.finish();
    logs.finish();
    assert_eq!(daemon.status(&run)["status"], "running");
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn a_log_is_not_copied_into_itself_or_another_log() {
    let daemon = Daemon::start("");
    for (name, key, target) in [
        ("own", "stdout", "$DAG_RUN_STEP_STDOUT_FILE"),
        ("crossed", "stderr", "$DAG_RUN_STEP_STDOUT_FILE"),
        ("next", "stdout", "${DAG_RUN_LOG_FILE%/*}/0003-c.out"),
        ("linked", "stdout", "link"),
    ] {
        let text = format!(
            "steps:\n  - name: a\n    command: cd \"${{DAG_RUN_LOG_FILE%/*}}\"; touch 0003-c.out; ln -f 0003-c.out {src}/link\n  \
             - name: b\n    command: echo text; echo more >&2\n    {key}: \"{target}\"\n  - name: c\n    command: \"true\"\n",
            src = daemon.path("src").display()
        );
        let run = daemon.submit(name, &text);
        let result = daemon.wait_end(&run);
        let step = &result["steps"][1];
        assert_eq!(step["status"], "failed", "{name}: {result:#}");
        let error = step["error"].as_str().unwrap();
        assert!(error.contains("a log of this run"), "{name}: {error}");
    }
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn merged_output_that_is_captured_is_in_the_log_at_once() {
    let daemon = Daemon::start("");
    let text = format!(
        "steps:\n  - name: a\n    log_output: merged\n    output: SAID\n    \
         command: echo early; echo wrong >&2; while [ ! -e {} ]; do sleep 0.02; done; echo late\n",
        daemon.path("go").display()
    );
    let run = daemon.submit("merged", &text);
    let file = until("the log", || {
        daemon.status(&run)["steps"][0]["stdout"]
            .as_str()
            .map(str::to_owned)
    });
    until("what is written", || {
        let log = read(file.as_ref());
        (log.contains("early\n") && log.contains("wrong\n")).then_some(())
    });
    std::fs::write(daemon.path("go"), "").unwrap();
    let result = daemon.wait_success(&run);
    assert_eq!(
        result["steps"][0]["variables"]["SAID"], "early\nlate",
        "{result:#}"
    );
    assert!(read(file.as_ref()).ends_with("late\n"));
    daemon.expect_clean();
}

#[test]
fn captured_outputs_together_are_limited_and_the_run_can_be_read_and_retried() {
    let daemon = Daemon::start("");
    let mut text = String::from("type: graph\nmax_output_size: 20000000\nsteps:\n");
    for n in 0..10 {
        text.push_str(&format!(
            "  - {{name: s{n}, output: OUT{n}, command: \"head -c 1000000 /dev/zero | tr '\\\\0' '\\\"'\"}}\n"
        ));
    }
    // More than a record of the journal holds.
    text.push_str("  - {name: big, output: BIG, command: \"head -c 5000000 /dev/zero | tr '\\\\0' x\"}\n");
    let run = daemon.submit("together", &text);
    for attempt in 1..=2 {
        let result = daemon.wait_end(&run);
        assert_eq!(result["attempt"], attempt, "{}", result["attempt"]);
        let steps = result["steps"].as_array().unwrap();
        let kept = |step: &Value| step["variables"].as_object().unwrap().values().next().cloned();
        for step in steps {
            match kept(step) {
                Some(value) => assert_eq!(value.as_str().unwrap().len(), 1_000_000),
                None => {
                    let error = step["error"].as_str().unwrap();
                    assert!(
                        error.contains("at most 3145728") && error.contains("DAG_RUN_WORK_DIR"),
                        "{error}"
                    );
                }
            }
        }
        assert_eq!(steps.iter().filter_map(kept).count(), 1);
        if attempt == 1 {
            // It runs, and fails for the same reason.
            daemon.ctl(&["retry", &run]).expect_code(1);
        }
    }
    daemon.expect_unharmed();
    daemon.expect_clean();
}
