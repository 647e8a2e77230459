//! T15: a call that changes the identity fails, or says that it did and did nothing. The job must not run.

use std::process::Command;

use super::{Change, Land, user};
use crate::helper::{read, skip};

/// Starts a program with a filter that answers one system call with an error number, 0 being success without any effect.
/// Root may have a filter without giving up privileges.
const FILTER: &str = r#"
use strict;
my ($call, $errno, @program) = @ARGV;
my $filter = join "", map { pack "S C C L", @$_ } (
    [0x20, 0, 0, 4],                     # architecture
    [0x15, 0, 2, 0xc000003e],            # x86_64, or all is allowed
    [0x20, 0, 0, 0],                     # number of the call
    [0x15, 1, 0, $call],
    [0x06, 0, 0, 0x7fff0000],            # allowed
    [0x06, 0, 0, 0x00050000 | $errno],   # that error
);
my $program = pack "S x![P] P", length($filter) / 8, $filter;
syscall(317, 1, 0, $program) == 0 or die "seccomp: $!";
exec { $program[0] } @program or die "exec: $!";
"#;

fn filtered(command: &mut Command, call: u32, errno: u32) {
    let mut inside = Command::new("perl");
    inside.args(["-e", FILTER, &call.to_string(), &errno.to_string()]);
    inside.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    inside
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped());
    *command = inside;
}

const EPERM: u32 = 1;
const EAGAIN: u32 = 11;

/// The calls by their numbers on this architecture: setgroups, setresgid, setresuid; how each goes wrong; and what is said.
const WAYS: [(Change, &str); 6] = [
    (
        |command| filtered(command, 116, EPERM),
        "setgroups for user one failed",
    ),
    (
        |command| filtered(command, 119, EPERM),
        "setresgid for user one failed",
    ),
    (
        |command| filtered(command, 117, EAGAIN),
        "setresuid for user one failed",
    ),
    (|command| filtered(command, 116, 0), "supplementary groups"),
    (|command| filtered(command, 119, 0), "user or group ids"),
    (|command| filtered(command, 117, 0), "user or group ids"),
];

#[test]
fn t15_if_groups_group_or_user_cannot_be_changed_or_are_not_the_job_does_not_run() {
    let perl = Command::new("perl").arg("-e1").status();
    if !cfg!(target_arch = "x86_64") || !perl.is_ok_and(|status| status.success()) {
        skip("the filter is written for x86_64, in Perl");
        return;
    }
    for (way, told) in WAYS {
        let Some(mut land) = Land::found("", "", way) else {
            return;
        };
        let seen = land.daemon.path("src/seen");
        std::fs::set_permissions(
            land.daemon.path("src"),
            std::os::unix::fs::PermissionsExt::from_mode(0o777),
        )
        .unwrap();
        let text = format!("steps: [{{name: a, command: \"id > {}\"}}]", seen.display());
        let run = land.submit(&user("one"), "r", &text);
        let result = land.daemon.wait_end(&run);
        assert_eq!(result["status"], "failed", "{result:#}");
        let error = crate::helper::text_of(&result["error"]);
        assert!(error.contains(told), "{told}: {error}");
        assert_eq!(read(&seen), "", "{told}");
        land.daemon.expect_clean();
        land.daemon.stop();
    }
    // The filter is none for who is not told of: without it the job runs.
    let Some(land) = Land::found("", "", |command| filtered(command, 9999, EPERM)) else {
        return;
    };
    land.look(&user("one"), "r", "").is(&user("one"));
    land.daemon.expect_clean();
}
