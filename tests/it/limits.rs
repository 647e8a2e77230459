//! What attempts may use: each limit as the job's processes and the kernel have it.

mod cgroups;
mod inherited;

use std::os::unix::fs::PermissionsExt;

use proctor::sys::creds::User;
use serde_json::Value;

use crate::helper::{Daemon, Out, has_capability, is_root, skip};
use crate::users::{as_user, open_house, two_users};

/// The number of the capability with which hard limits are raised.
const CAP_SYS_RESOURCE: u32 = 24;

/// Runs a DAG file and gives its result.
fn ran(daemon: &Daemon, text: &str) -> Value {
    let file = daemon.dag("limited", text);
    daemon.ctl(&["--json", "run", &file]).json()
}

/// The captured output of the first step.
fn output<'v>(result: &'v Value, name: &str) -> &'v str {
    result["steps"][0]["variables"][name]
        .as_str()
        .unwrap_or_else(|| panic!("{result:#}"))
}

/// The first step's error.
fn error(result: &Value) -> &str {
    result["steps"][0]["error"]
        .as_str()
        .unwrap_or_else(|| panic!("{result:#}"))
}

/// Soft and hard value in a text like that of `/proc/PID/limits`.
fn limit(text: &str, name: &str) -> (String, String) {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let mut words = line
        .unwrap_or_else(|| panic!("{name}: {text}"))
        .split_whitespace();
    let mut word = || words.next().unwrap().to_owned();
    (word(), word())
}

const SHOWN: &str = "steps: [{name: a, command: cat /proc/self/limits, output: LIMITS}]\n";

#[test]
fn steps_have_the_limits_of_processes_that_the_dag_names_and_the_supervisor_keeps_its_own() {
    let daemon = Daemon::start("");
    let text = "limits: {rlimits: {nofile: 200, core: 0, cpu: {soft: 100, hard: 200}, stack: {soft: 1M}, fsize: 1M, \
                data: 3G, as: 4G, memlock: 4096, msgqueue: 8192, sigpending: 50, locks: 7}}\n";
    let result = ran(&daemon, &format!("{text}{SHOWN}"));
    assert_eq!(result["status"], "succeeded", "{result:#}\n{}", daemon.log());
    let limits = output(&result, "LIMITS");
    for (name, soft, hard) in [
        ("Max open files", "200", Some("200")),
        ("Max core file size", "0", Some("0")),
        ("Max cpu time", "100", Some("200")),
        ("Max stack size", "1048576", None),
        ("Max file size", "1048576", Some("1048576")),
        ("Max data size", "3221225472", Some("3221225472")),
        ("Max address space", "4294967296", Some("4294967296")),
        ("Max locked memory", "4096", Some("4096")),
        ("Max msgqueue size", "8192", Some("8192")),
        ("Max pending signals", "50", Some("50")),
        ("Max file locks", "7", Some("7")),
    ] {
        let found = limit(limits, name);
        assert_eq!(found.0, soft, "{name}: {limits}");
        assert!(hard.is_none_or(|hard| found.1 == hard), "{name}: {limits}");
    }
    // With no limit on the file that the supervisor writes, it records what that limit did to a step.
    let result = ran(
        &daemon,
        "limits: {rlimits: {fsize: 0, nofile: 20}}\nsteps: [{name: a, command: exec head -c 9 /dev/zero >$DAG_RUN_WORK_DIR/f}]",
    );
    assert_eq!(result["status"], "failed", "{result:#}");
    let told = error(&result);
    assert!(
        told.contains("SIGXFSZ") || told.contains("File too large"),
        "{told}"
    );
    daemon.expect_clean();
}

#[test]
fn steps_have_the_nice_value_and_the_mask_of_the_dag() {
    let daemon = Daemon::start("[job]\numask = \"077\"\n");
    let text = |limits: &str| format!("{limits}steps: [{{name: a, command: nice; umask, output: FOUND}}]\n");
    let usual = ran(&daemon, &text(""));
    let before: i32 = output(&usual, "FOUND").lines().next().unwrap().parse().unwrap();
    assert!(output(&usual, "FOUND").ends_with("077"), "{usual:#}");
    let result = ran(
        &daemon,
        &text(&format!("limits: {{nice: {}, umask: 027}}\n", before + 3)),
    );
    let found: Vec<&str> = output(&result, "FOUND").lines().collect();
    assert_eq!(found[0], (before + 3).to_string(), "{result:#}");
    assert!(found[1].ends_with("027"), "{result:#}");
    if is_root() {
        let result = ran(&daemon, &text("limits: {nice: -7}\n"));
        assert!(output(&result, "FOUND").starts_with("-7"), "{result:#}");
    } else {
        skip("only root can have a lower nice value");
    }
    daemon.expect_clean();
}

#[test]
fn a_hard_limit_above_that_of_a_daemon_without_root_does_not_start() {
    let Some((host, _)) = two_users() else { return };
    let mut daemon = Daemon::prepare("");
    let text = format!("limits: {{rlimits: {{nofile: {{hard: unlimited}}}}}}\n{SHOWN}");
    let file = daemon.dag("limited", &text);
    crate::users::give(&daemon, &host);
    daemon.restart_with(|command| {
        use std::os::unix::process::CommandExt;
        command.uid(host.uid).gid(host.gid);
    });
    let out = as_user(&host, &daemon, &["--json", "run", &file]);
    let result = out.json();
    assert_eq!(result["status"], "failed", "{result:#}");
    let why = result["error"].as_str().unwrap();
    assert!(
        why.contains("rlimits.nofile")
            && why.contains("only a daemon of root, with CAP_SYS_RESOURCE, can raise"),
        "{result:#}"
    );
    // What the supervisor says is heard before its death is judged.
    let said = daemon.log().matches("a supervisor could not get ready").count();
    assert_eq!(said, 1, "{}", daemon.log());
    daemon.expect_clean();
}

#[test]
fn open_files_without_limit_are_as_many_as_the_kernel_gives() {
    if !has_capability(CAP_SYS_RESOURCE) {
        return skip("only a daemon with CAP_SYS_RESOURCE can give more than it has");
    }
    let daemon = Daemon::start("");
    let most = crate::helper::read("/proc/sys/fs/nr_open".as_ref());
    let most = most.trim();
    let result = ran(
        &daemon,
        &format!("limits: {{rlimits: {{nofile: unlimited}}}}\n{SHOWN}"),
    );
    assert_eq!(result["status"], "succeeded", "{result:#}");
    let found = limit(output(&result, "LIMITS"), "Max open files");
    assert_eq!((&*found.0, &*found.1), (most, most), "{result:#}");
    daemon.expect_clean();
}

#[test]
fn a_limit_of_file_size_bounds_the_logs_of_a_step() {
    let daemon = Daemon::start("");
    let text = "limits: {rlimits: {fsize: 64K}}\nsteps: [{name: a, command: exec yes}]\n";
    let result = ran(&daemon, text);
    assert_eq!(result["status"], "failed", "{result:#}");
    assert!(error(&result).contains("SIGXFSZ"), "{result:#}");
    let id = result["run_id"].as_str().unwrap();
    let log = daemon.ctl(&["logs", &format!("limited:{id}")]);
    assert_eq!(
        log.stdout.matches("y\n").count(),
        32 << 10,
        "bytes, two in a line"
    );
    daemon.expect_clean();
}

/// Writes a DAG file that everybody can read, and runs it as a user.
fn ran_as(user: &User, daemon: &Daemon, text: &str) -> Out {
    let file = daemon.dag("limited", &format!("working_dir: /\n{text}"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    as_user(user, daemon, &["--json", "run", &file])
}

#[test]
fn a_user_gets_no_more_than_the_configuration_says_and_is_told() {
    let Some((_, guest)) = two_users() else { return };
    let (mut daemon, _) = open_house();
    daemon.stop();
    daemon.configure(
        "[control]\nsocket_mode = \"0666\"\n[job.limits]\nnice = 2\nrlimits = { nofile = 100, core = { hard = 5 } }\n",
    );
    daemon.restart();
    let shown = "steps: [{name: a, command: nice; cat /proc/self/limits, output: LIMITS}]\n";
    let usual = ran_as(&guest, &daemon, shown).expect_code(0).json();
    let text = output(&usual, "LIMITS");
    assert!(text.starts_with("2\n"), "{text}");
    assert_eq!(
        limit(text, "Max open files"),
        ("100".to_owned(), "100".to_owned())
    );
    assert_eq!(limit(text, "Max core file size").1, "5");
    let wanted = format!("limits: {{nice: -3, rlimits: {{nofile: 300, core: 2}}}}\n{shown}");
    let out = ran_as(&guest, &daemon, &wanted).expect_code(0);
    for told in [
        "`limits.nice` is -3, and the least for DAGs of users is 2",
        "`limits.rlimits.nofile.hard` is 300, and the most for DAGs of users is 100",
    ] {
        assert!(out.text().contains(told), "{told}: {out:?}");
    }
    let result = out.json();
    let text = output(&result, "LIMITS");
    assert!(text.starts_with("2\n"), "{text}");
    assert_eq!(
        limit(text, "Max open files"),
        ("100".to_owned(), "100".to_owned())
    );
    assert_eq!(
        limit(text, "Max core file size"),
        ("2".to_owned(), "2".to_owned())
    );
    // Less is anybody's choice, and root's is more.
    let less = format!("limits: {{nice: 9, rlimits: {{nofile: {{soft: 50}}}}}}\n{shown}");
    let result = ran_as(&guest, &daemon, &less).expect_code(0).json();
    let text = output(&result, "LIMITS");
    assert!(text.starts_with("9\n"), "{text}");
    assert_eq!(limit(text, "Max open files"), ("50".to_owned(), "100".to_owned()));
    let result = ran(&daemon, &wanted);
    let text = output(&result, "LIMITS");
    assert!(text.starts_with("-3\n"), "{text}");
    assert_eq!(
        limit(text, "Max open files"),
        ("300".to_owned(), "300".to_owned())
    );
    daemon.expect_clean();
}

#[test]
fn a_step_that_has_no_room_for_its_process_says_which_limit_it_was() {
    let Some((_, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    // The supervisor itself is one.
    let text = "limits: {rlimits: {nproc: 1}}\nsteps: [{name: a, command: 'true'}]\n";
    let result = ran_as(&guest, &daemon, text).json();
    assert_eq!(result["status"], "failed", "{result:#}");
    let told = error(&result);
    assert!(
        told.contains(&format!("user {} may have 1 (rlimits.nproc)", guest.name)),
        "{told}"
    );
    daemon.expect_clean();
}

#[test]
fn privileges_can_be_gained_only_where_the_dag_or_the_configuration_lets_them() {
    let Some((_, guest)) = two_users() else { return };
    let (mut daemon, _) = open_house();
    for (config, key, expected) in [
        ("true", "", "1"),
        ("true", "no_new_privs: false\n", "0"),
        ("false", "", "0"),
        ("false", "no_new_privs: true\n", "1"),
    ] {
        daemon.stop();
        daemon.configure(&format!(
            "[control]\nsocket_mode = \"0666\"\n[job]\nno_new_privs = {config}\n"
        ));
        daemon.restart();
        let text =
            format!("{key}steps: [{{name: a, command: grep NoNewPrivs /proc/self/status, output: FOUND}}]\n");
        let result = ran_as(&guest, &daemon, &text).expect_code(0).json();
        let found = output(&result, "FOUND").split_whitespace().next_back().unwrap();
        assert_eq!(found, expected, "{config} {key}");
    }
    daemon.expect_clean();
}
