//! T18: a job that was started from a terminal has none: no controlling terminal, no descriptor of one, so nothing can be
//! typed into it (TIOCSTI) whatever `dev.tty.legacy_tiocsti` is.

use std::process::Command;

use super::{Land, user};
use crate::helper::{Daemon, Out, Running, program, read, signal, skip, text_of};

/// A step that looks for a terminal.
const LOOKS: &str = r#"working_dir: /
steps:
  - name: look
    command: >-
      awk '{ print "tty_nr " $7; print "session " ($6 == $1) }' /proc/$$/stat;
      for f in 0 1 2; do [ -t $f ] && echo "descriptor $f is a terminal"; done;
      (: < /dev/tty) 2> /dev/null && echo "it opens /dev/tty";
      perl -e 'open T, "+<", "/dev/tty" or exit; ioctl T, 0x5412, "x" and print "it types\n"';
      for f in /proc/$$/fd/*; do readlink $f; done | grep -E '^/dev/(tty|pts|ptmx|console)' && echo "it holds a terminal";
      true
"#;

/// Runs a client on a terminal of its own.
fn on_a_terminal(command: &Command) -> Out {
    let quote = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap());
    let mut line = quote(command.get_program());
    for word in command.get_args() {
        line += " ";
        line += &quote(word);
    }
    let mut script = program("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    Running::start(script).finish().expect_code(0)
}

fn has_a_terminal() -> bool {
    let probe = program("script")
        .args([
            "--quiet",
            "--return",
            "--command",
            "test -t 0 && : < /dev/tty",
            "/dev/null",
        ])
        .output();
    let there = probe.is_ok_and(|out| out.status.success());
    if !there {
        skip("script(1) makes no terminal here");
    }
    there
}

fn expect_none(text: &str) {
    assert_eq!(text, "tty_nr 0\nsession 1\n");
}

#[test]
fn t18_a_job_that_was_started_on_a_terminal_has_none() {
    if !has_a_terminal() {
        return;
    }
    let daemon = Daemon::start("");
    let file = daemon.dag("term", LOOKS);
    for (number, words) in [&["run"][..], &["run", "--detach"]].into_iter().enumerate() {
        let id = format!("r{number}");
        let mut command = daemon.command(words);
        command.args(["--run-id", &id, &file]);
        on_a_terminal(&command);
        let result = daemon.wait_success(&format!("term:{id}"));
        expect_none(&read(text_of(&result["steps"][0]["stdout"]).as_ref()));
    }
    // A retry by hand, from a terminal, too.
    on_a_terminal(&daemon.command(&["retry", "term:r0"]));
    let result = daemon.wait_success("term");
    expect_none(&read(text_of(&result["steps"][0]["stdout"]).as_ref()));
    daemon.expect_clean();
}

#[test]
fn t18_nor_has_one_of_a_daemon_that_was_started_on_a_terminal() {
    if !has_a_terminal() {
        return;
    }
    let mut daemon = Daemon::prepare("");
    daemon.restart_with(|command| {
        let mut line = String::from("exec 2>&3;");
        for word in std::iter::once(command.get_program()).chain(command.get_args()) {
            line += &format!(" '{}'", word.to_str().unwrap());
        }
        // The daemon's messages go where the test reads them; its input and output are the terminal.
        let mut outer = program("sh");
        let script = "exec 3>&2; exec script --quiet --return --command \"$1\" /dev/null";
        outer.args(["-c", script, "sh", &line]);
        outer
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped());
        *command = outer;
    });
    let run = daemon.submit("term", LOOKS);
    let result = daemon.wait_success(&run);
    expect_none(&read(text_of(&result["steps"][0]["stdout"]).as_ref()));
    // What the test started is script(1), which ends with it.
    let pong = daemon.control().ask(&serde_json::json!({"ping": {}}));
    signal(
        u32::try_from(pong["pong"]["pid"].as_u64().unwrap()).unwrap(),
        libc::SIGTERM,
    );
}

#[test]
fn t18_nor_has_a_job_of_another_user() {
    if !has_a_terminal() {
        return;
    }
    let Some(land) = Land::found("", "", |_| {}) else {
        return;
    };
    let one = user("one");
    let file = land.daemon.dag("term", LOOKS);
    let inner = land.daemon.command(&["run", "--run-id", "theirs", &file]);
    // As su does it: the terminal is the administrator's, the user another one.
    let mut command = program("setpriv");
    command.args([
        "--reuid",
        &one.uid.to_string(),
        "--regid",
        &one.gid.to_string(),
        "--clear-groups",
    ]);
    command.arg(inner.get_program()).args(inner.get_args());
    on_a_terminal(&command);
    let result = land.daemon.wait_success("term:theirs");
    assert_eq!(result["owner"], one.uid);
    expect_none(&read(text_of(&result["steps"][0]["stdout"]).as_ref()));
    land.daemon.expect_clean();
}
