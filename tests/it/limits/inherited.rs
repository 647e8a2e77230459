//! What a job does not get from a daemon that has it: priorities, slack, capabilities, keys, a terminal.

use std::process::Stdio;

use super::{output, ran_as};
use crate::helper::{Daemon, program, skip};
use crate::users::{open_house, two_users};

/// What a program says of itself, line by line.
const SHOWN: &str = "\
steps:
  - name: a
    output: FOUND
    command: |
      grep -E '^(Cap(Inh|Prm|Eff|Amb)|SigBlk|SigIgn|NoNewPrivs):' /proc/self/status
      echo \"slack: $(cat /proc/self/timerslack_ns)\"
      echo \"disks: $(ionice)\"
      echo \"nice: $(nice)\"
      echo \"policy: $(cut -d' ' -f41 /proc/self/stat)\"
      echo \"oom: $(cat /proc/self/oom_score_adj)\"
      echo \"login: $(cat /proc/self/loginuid 2>/dev/null)\"
      echo \"tty: $(cut -d' ' -f7 /proc/self/stat)\"
      echo \"keys: $(awk '$8 == \"keyring\" && $9 ~ /^_ses/ {print $6}' /proc/keys 2>/dev/null | sort -u | tr '\\n' ' ')\"
";

fn value<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name}: {text}")).trim()
}

/// Whether a program can be started here.
fn there_is(name: &str) -> bool {
    let there = program(name).arg("--version").output().is_ok();
    if !there {
        skip(&format!("there is no {name}"));
    }
    there
}

/// The daemon, started by programs that give it what it must not pass on.
fn burdened(daemon: &mut Daemon) {
    let root = daemon.root().display().to_string();
    daemon.restart_with(|command| {
        *command = program("setpriv");
        command.args(["--inh-caps", "+net_raw,+sys_admin", "--ambient-caps", "+net_raw"]);
        command.args(["--securebits", "+no_setuid_fixup", "--"]);
        command.args(["ionice", "-c", "2", "-n", "7", "nice", "-n", "5"]);
        command.args(["chrt", "--batch", "0"]);
        command.args([
            "sh",
            "-c",
            "echo 77777 >/proc/self/timerslack_ns; echo 300 >/proc/self/oom_score_adj; exec \"$@\"",
        ]);
        command.args(["sh", env!("CARGO_BIN_EXE_proctord"), "--root", &root]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
    });
}

#[test]
fn a_job_begins_as_after_a_login_whatever_its_daemon_was_given() {
    let Some((_, guest)) = two_users() else { return };
    if !["setpriv", "ionice", "chrt", "awk"].into_iter().all(there_is) {
        return;
    }
    let (mut daemon, _) = open_house();
    daemon.stop();
    burdened(&mut daemon);
    let result = ran_as(&guest, &daemon, SHOWN).expect_code(0).json();
    let text = output(&result, "FOUND");
    for name in ["CapInh", "CapPrm", "CapEff", "CapAmb", "SigBlk", "SigIgn"] {
        assert!(
            value(text, name).bytes().all(|digit| digit == b'0'),
            "{name}: {text}"
        );
    }
    assert_eq!(value(text, "NoNewPrivs"), "0", "below --root that is the default");
    assert_eq!(value(text, "slack"), "50000", "{text}");
    assert!(value(text, "disks").starts_with("none"), "{text}");
    assert_eq!(value(text, "nice"), "0", "{text}");
    assert_eq!(value(text, "policy"), "0", "SCHED_OTHER, see sched(7): {text}");
    assert_eq!(value(text, "oom"), "0", "{text}");
    assert_eq!(value(text, "tty"), "0", "{text}");
    // Where there is no audit, or it may not be changed, it says what it said before.
    let login = value(text, "login");
    let own = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    assert!(login == guest.uid.to_string() || login == own.trim(), "{text}");
    // The only session keyring in sight is that user's own.
    let keys = value(text, "keys");
    assert!(keys.is_empty() || keys == guest.uid.to_string(), "{text}");
    daemon.expect_clean();
}
