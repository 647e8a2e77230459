//! Secrets: steps get them, and nothing that Proctor keeps or shows has them.

use std::path::Path;

use serde_json::Value;

use crate::helper::{Daemon, files_below, lines, processes_below, read, signal, until};

const SECRET: &str = "hunter2-correct-horse";
const MASK: &str = "*******";

/// A daemon and a file with a secret beside its DAGs.
fn world() -> Daemon {
    let daemon = Daemon::start("");
    std::fs::write(daemon.path("src/token"), format!("{SECRET}\n")).unwrap();
    daemon
}

/// The head of a DAG that has the secret as `TOKEN`.
const HEAD: &str = "secrets:\n  - {name: TOKEN, provider: file, key: token}\n";

/// Files with the text in them, of all that Proctor has made.
fn traces(daemon: &Daemon, text: &str) -> Vec<String> {
    let own = [daemon.path("src"), daemon.path("etc")];
    let mut found = Vec::new();
    for file in files_below(daemon.root()) {
        let contains = || {
            let bytes = std::fs::read(&file).unwrap_or_default();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        };
        if !own.iter().any(|dir| file.starts_with(dir)) && contains() {
            found.push(file.display().to_string());
        }
    }
    found
}

/// Fails if the secret is anywhere in what Proctor keeps, says or logs.
fn expect_hidden(daemon: &Daemon, run: &str) {
    assert_eq!(traces(daemon, SECRET), Vec::<String>::new());
    // What is looked for can be found: the search sees the store.
    let dag = run.split(':').next().unwrap();
    assert_ne!(traces(daemon, dag), Vec::<String>::new());
    for args in [
        &["status", run][..],
        &["history"],
        &["logs", run],
        &["logs", "--stderr", run],
        &["why", run],
    ] {
        for json in [&["--json"][..], &[]] {
            let args: Vec<&str> = json.iter().chain(args).copied().collect();
            let said = daemon.ctl(&args).text();
            assert!(!said.contains(SECRET), "{args:?}: {said}");
        }
    }
    assert!(!daemon.log().contains(SECRET), "{}", daemon.log());
}

fn log(step: &Value, stream: &str) -> String {
    read(step[stream].as_str().unwrap().as_ref())
}

#[test]
fn secrets_of_every_provider_are_masked_in_both_logs_and_in_copies() {
    let daemon = world();
    std::fs::create_dir(daemon.path("src/credentials")).unwrap();
    std::fs::write(daemon.path("src/credentials/key"), format!("key-{SECRET}")).unwrap();
    std::fs::write(daemon.path("src/.env"), format!("SOURCE=env-{SECRET}\n")).unwrap();
    let text = format!(
        "working_dir: {root}/work\nenv:\n  - CREDENTIALS_DIRECTORY: {root}/src/credentials\n  - NOTHING: \"\"\n  - WHICH: token\nsecrets:\n  \
         - {{name: BY_FILE, provider: file, key: \"$WHICH\"}}\n  \
         - {{name: BY_ENV, provider: env, key: SOURCE}}\n  \
         - {{name: BY_NAME, provider: credential, key: key}}\n  \
         - {{name: EMPTY, provider: env, key: NOTHING}}\nsteps:\n  \
         - name: separate\n    env: {{HEADER: \"Bearer ${{BY_FILE}}\"}}\n    stdout: copy\n    \
         command: echo \"$HEADER, $BY_ENV, $BY_NAME.\"; echo \"no $BY_FILE\" >&2; echo plain\n  \
         - name: merged\n    log_output: merged\n    \
         command: echo one; echo \"two $BY_FILE\" >&2; echo three; printf hunter\n",
        root = daemon.root().display()
    );
    let run = daemon.submit("providers", &text);
    let result = daemon.wait_success(&run);
    let step = &result["steps"][0];
    // The three values contain one another, and each reads as one mask.
    let expected = format!("Bearer {MASK}, {MASK}, {MASK}.\nplain\n");
    assert_eq!(log(step, "stdout"), expected);
    assert_eq!(log(step, "stderr"), format!("no {MASK}\n"));
    assert_eq!(read(&daemon.path("work/copy")), expected);
    let merged = log(&result["steps"][1], "stdout");
    assert_eq!(merged, format!("one\ntwo {MASK}\nthree\nhunter"));
    expect_hidden(&daemon, &run);
    daemon.expect_clean();
}

#[test]
fn a_captured_secret_reaches_later_steps_whole_and_is_recorded_masked() {
    let daemon = world();
    let text = format!(
        "{HEAD}steps:\n  - name: make\n    command: echo \"made $TOKEN\"\n    output: MADE\n  \
         - name: use\n    command: echo \"$MADE\" > seen.$(ls seen.* 2>/dev/null | wc -l); [ -e go ]\n"
    );
    let run = daemon.submit("captured", &text);
    let result = daemon.wait_end(&run);
    let masked = format!("made {MASK}");
    assert_eq!(result["status"], "failed", "{result:#}");
    assert_eq!(
        result["steps"][0]["variables"]["MADE"],
        masked.as_str(),
        "{result:#}"
    );
    assert_eq!(result["outputs"]["made"], masked.as_str(), "{result:#}");
    assert_eq!(read(&daemon.path("src/seen.0")), format!("made {SECRET}\n"));
    expect_hidden(&daemon, &run);
    // A retry of the run has what was recorded.
    std::fs::write(daemon.path("src/go"), "").unwrap();
    daemon.ctl(&["retry", &run]).expect_code(0);
    daemon.wait_success(&run);
    assert_eq!(read(&daemon.path("src/seen.1")), format!("{masked}\n"));
    expect_hidden(&daemon, &run);
    daemon.expect_clean();
}

#[test]
fn errors_reasons_and_parameters_are_masked() {
    let daemon = world();
    let text = format!(
        "{HEAD}params:\n  - name: GIVEN\n    eval: \"-p`cat token`\"\ntype: graph\nsteps:\n  \
         - name: fails\n    command: head -c 1010 /dev/zero | tr '\\0' x >&2; echo \"$TOKEN\" >&2; exit 3\n  \
         - name: condition\n    command: \"true\"\n    preconditions: {{condition: \"is ${{TOKEN}}\", expected: other}}\n  \
         - name: evaluated\n    command: \"true\"\n    env: {{A: \"`echo $TOKEN >&2; exit 1`\"}}\n  \
         - name: number\n    command: \"true\"\n    retry_policy: {{limit: \"${{TOKEN}}\", interval_sec: 0}}\n"
    );
    let run = daemon.submit("errors", &text);
    let result = daemon.wait_end(&run);
    let params = serde_json::json!([format!("GIVEN=-p{MASK}")]);
    assert_eq!(result["params"], params, "{result:#}");
    for at in 0..4 {
        let error = result["steps"][at]["error"].as_str().unwrap();
        assert!(error.contains(MASK), "{error}");
        assert!(!error.contains("horse"), "{error}");
    }
    expect_hidden(&daemon, &run);
    daemon.expect_clean();
}

#[test]
fn a_secret_that_is_not_there_fails_the_run_and_the_error_names_the_cure() {
    let daemon = world();
    for (provider, key, cure) in [
        ("env", "NOT_SET", "the variable NOT_SET is not set; set it"),
        ("file", "not-there", "src/not-there; create it"),
        ("file", "fifo", "no regular file"),
        ("credential", "key", "CREDENTIALS_DIRECTORY is not set"),
    ] {
        if key == "fifo" {
            let fifo = daemon.path("src/fifo");
            nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        let text = format!(
            "{HEAD}  - {{name: OTHER, provider: {provider}, key: {key}}}\nsteps: [{{name: a, command: \"true\"}}]\n"
        );
        let run = daemon.submit("missing", &text);
        let result = daemon.wait_end(&run);
        assert_eq!(result["status"], "failed", "{result:#}");
        assert_eq!(result["steps"][0]["status"], "not_started", "{result:#}");
        let error = result["error"].as_str().unwrap();
        let named = format!("secret OTHER (provider {provider}): ");
        assert!(error.contains(&named) && error.contains(cure), "{error}");
        expect_hidden(&daemon, &run);
    }
    daemon.expect_clean();
}

#[test]
fn a_secret_is_no_parameter_of_a_sub_run_but_the_called_dag_can_have_it() {
    let daemon = world();
    let text = format!(
        "{HEAD}type: graph\nsteps:\n  - {{name: given, call: child, params: \"T=$TOKEN\"}}\n  \
         - {{name: named, call: child, params: \"T=$DAG_NAME\", output: OUT}}\n\
         ---\nname: child\n{HEAD}params: T=\nsteps: [{{command: 'echo \"$T $TOKEN\"', output: SAID}}]\n"
    );
    let run = daemon.submit("caller", &text);
    let result = daemon.wait_end(&run);
    let error = result["steps"][0]["error"].as_str().unwrap();
    assert!(
        error.contains("the parameter T has the value of a secret"),
        "{result:#}"
    );
    let output = result["steps"][1]["variables"]["OUT"].as_str().unwrap();
    assert!(output.contains(&format!("caller {MASK}")), "{output}");
    assert_eq!(log(&result["steps"][1], "stdout"), format!("{output}\n"));
    expect_hidden(&daemon, &run);
    daemon.expect_clean();
}

/// A step that says its secret and then waits, and leaves a process in the background that holds its output.
fn with_background(daemon: &Daemon) -> String {
    format!(
        "{HEAD}steps:\n  - name: leaves\n    script: |\n      \
         (setsid sh -c 'echo $$ > {pid}; while [ ! -e {go} ]; do sleep 0.02; done; echo \"late $TOKEN\"; echo x > {said}; exec sleep 1000' &)\n      \
         while [ ! -s {pid} ]; do sleep 0.02; done\n      echo \"early $TOKEN\"\n    output: SAID\n  \
         - name: waits\n    command: echo \"$TOKEN\"; echo x > {ready}; while [ ! -e {end} ]; do sleep 0.02; done\n",
        pid = daemon.path("src/pid").display(),
        go = daemon.path("src/go").display(),
        said = daemon.path("src/said").display(),
        ready = daemon.path("src/ready").display(),
        end = daemon.path("src/end").display()
    )
}

#[test]
fn a_process_in_the_background_holds_up_no_step_and_what_it_says_later_is_masked() {
    let daemon = world();
    let run = daemon.submit("background", &with_background(&daemon));
    daemon.wait_file("src/ready");
    let step = &until("the end of the step", || {
        let step = daemon.status(&run)["steps"][0].clone();
        (step["status"] == "succeeded").then_some(step)
    });
    assert_eq!(log(step, "stdout"), format!("early {MASK}\n"));
    for (pid, command) in processes_below(daemon.root()) {
        assert!(!command.contains(SECRET), "{pid}: {command}");
    }
    std::fs::write(daemon.path("src/go"), "").unwrap();
    daemon.wait_file("src/said");
    until("what it says later", || {
        (log(step, "stdout") == format!("early {MASK}\nlate {MASK}\n")).then_some(())
    });
    std::fs::write(daemon.path("src/end"), "").unwrap();
    let result = daemon.wait_success(&run);
    assert_eq!(result["steps"][0]["variables"]["SAID"], format!("early {MASK}"));
    expect_hidden(&daemon, &run);
    daemon.expect_clean();
}

#[test]
fn a_supervisor_that_is_killed_leaves_no_secret_behind() {
    let daemon = world();
    let run = daemon.submit("killed", &with_background(&daemon));
    daemon.wait_file("src/ready");
    let shim = daemon.shim(&run);
    for name in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{shim}/{name}")).unwrap();
        assert!(
            !String::from_utf8_lossy(&bytes).contains(SECRET),
            "{name} of the shim"
        );
    }
    signal(shim, libc::SIGKILL);
    let result = daemon.wait_end(&run);
    assert_eq!(result["status"], "failed", "{result:#}");
    assert_eq!(log(&result["steps"][0], "stdout"), format!("early {MASK}\n"));
    expect_hidden(&daemon, &run);
    daemon.expect_clean();
}

/// Most memory that a process has used, in KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = read(Path::new(&format!("/proc/{pid}/status")));
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn much_output_is_masked_in_little_memory_while_others_are_served() {
    const LINES: usize = 400_000;
    let daemon = world();
    let text = format!(
        "{HEAD}steps:\n  - name: much\n    command: yes \"this is a long line with $TOKEN in it, and some more text\" | head -n {LINES}; echo last\n  \
         - name: waits\n    command: echo x > ready; while [ ! -e end ]; do sleep 0.02; done\n"
    );
    let run = daemon.submit("much", &text);
    let (shim, mut client) = (daemon.shim(&run), daemon.status_client(&run));
    let mut answers = 0;
    while !daemon.path("src/ready").exists() {
        client.ask(&proctor::wire::shim::StatusRequest::Status);
        answers += 1;
    }
    assert!(answers > 3, "{answers} answers");
    let peak = peak_memory(shim);
    assert!(peak < 40_000, "{peak} KiB");
    std::fs::write(daemon.path("src/end"), "").unwrap();
    let result = daemon.wait_success(&run);
    let file = result["steps"][0]["stdout"].as_str().unwrap();
    assert_eq!(lines(file.as_ref()), LINES + 1);
    let text = read(file.as_ref());
    assert_eq!(text.matches(MASK).count(), LINES);
    assert!(text.ends_with("text\nlast\n"));
    expect_hidden(&daemon, &run);
    daemon.expect_clean();
}

#[test]
fn what_fails_before_the_secrets_are_known_tells_no_value() {
    let daemon = world();
    for (name, failing) in [
        ("stderr", "A: \"`echo \\\"$TOKX\\\" >&2; exit 3`\""),
        ("message", "A: \"${NOPE:?not $TOKX}\""),
    ] {
        let text = format!(
            "env:\n  - TOKX: \"`cat token`\"\n  - {failing}\nsecrets:\n  - {{name: TOK, provider: env, key: TOKX}}\n\
             steps:\n  - {{name: a, command: \"true\"}}\n"
        );
        let run = daemon.submit(name, &text);
        let result = daemon.wait_end(&run);
        assert_eq!(result["status"], "failed", "{result:#}");
        let error = result["error"].as_str().unwrap();
        let expected = match name {
            "stderr" => "exit status 3\nstderr (end):\nnot shown: the secrets",
            _ => "NOPE has no value",
        };
        assert!(error.contains(expected), "{error}");
        expect_hidden(&daemon, &run);
    }
    daemon.expect_clean();
}
