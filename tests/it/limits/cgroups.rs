//! Limits of the attempt's cgroup: in its files where this machine has the controllers, and refused where it has not.

use std::path::{Path, PathBuf};

use super::{error, ran, ran_as};
use crate::helper::{Daemon, is_root, read, skip, until};
use crate::users::{open_house, two_users};

/// What `doctor` says of the limits of attempts.
fn told(daemon: &Daemon) -> String {
    let report = daemon.json(&["doctor"]);
    let text = report["features"]["limits of attempts"].as_str();
    text.unwrap_or_else(|| panic!("{report:#}")).to_owned()
}

/// Whether attempts have this controller here; says so if they have not.
fn has(daemon: &Daemon, controller: &str) -> bool {
    let told = told(daemon);
    let on = told.split(';').next().unwrap_or_default();
    let has = on.split(", ").any(|word| word == controller);
    if !has {
        skip(&format!(
            "the cgroups of attempts have no controller {controller} here: {told}"
        ));
    }
    has
}

/// The cgroup of the one live attempt.
fn cgroup(daemon: &Daemon) -> PathBuf {
    until("the cgroup of the attempt", || daemon.cgroups().pop())
}

fn text_of(cgroup: &Path, file: &str) -> String {
    read(&cgroup.join(file)).trim().to_owned()
}

#[test]
fn a_limit_that_cannot_be_enforced_is_refused_with_the_controller_and_the_cure() {
    let mut daemon = Daemon::start("[cgroup]\nenabled = false\n");
    assert!(
        told(&daemon).contains("cgroup.enabled is false"),
        "{}",
        told(&daemon)
    );
    for (limit, controller) in [
        ("memory_max: 1G", "memory"),
        ("swap_max: 0", "memory"),
        ("cpu_weight: 50", "cpu"),
        ("cpu_max: 50%", "cpu"),
        ("io_weight: 50", "io"),
        ("pids_max: 50", "pids"),
    ] {
        let result = ran(
            &daemon,
            &format!("limits: {{{limit}}}\nsteps: [{{name: a, command: 'true'}}]\n"),
        );
        assert_eq!(result["status"], "failed", "{result:#}");
        let why = result["error"].as_str().unwrap();
        let key = limit.split(':').next().unwrap();
        for words in [
            format!("limits.{key} needs the cgroup controller {controller}"),
            "cgroup.enabled is false".to_owned(),
            "require_limits = false".to_owned(),
        ] {
            assert!(why.contains(&words), "{words}: {why}");
        }
    }
    // What a cgroup has anyway needs none.
    let text = "limits: {memory_max: max, cpu_weight: 100, nice: 1}\nsteps: [{name: a, command: 'true'}]\n";
    let result = ran(&daemon, text);
    assert_eq!(result["status"], "succeeded", "{result:#}");
    daemon.stop();
    daemon.configure("[cgroup]\nenabled = false\nrequire_limits = false\n");
    daemon.restart();
    let text = "limits: {memory_max: 1G, pids_max: 9}\nsteps: [{name: a, command: 'true'}]\n";
    let result = ran(&daemon, text);
    assert_eq!(result["status"], "succeeded", "{result:#}");
    daemon.wait_log("limits.memory_max needs the cgroup controller memory");
    daemon.wait_log("limits.pids_max needs the cgroup controller pids");
    daemon.expect_clean();
}

#[test]
fn what_this_machine_lacks_is_refused_here_too() {
    let daemon = Daemon::start("");
    for (controller, limit) in [
        ("memory", "memory_max: 1G"),
        ("cpu", "cpu_max: 50%"),
        ("pids", "pids_max: 50"),
    ] {
        let result = ran(
            &daemon,
            &format!("limits: {{{limit}}}\nsteps: [{{name: a, command: 'true'}}]\n"),
        );
        if has(&daemon, controller) {
            assert_eq!(result["status"], "succeeded", "{result:#}\n{}", daemon.log());
        } else {
            assert_eq!(result["status"], "failed", "{result:#}");
            let why = result["error"].as_str().unwrap();
            assert!(
                why.contains(&format!("the cgroup controller {controller}")),
                "{why}"
            );
        }
    }
    daemon.expect_clean();
}

#[test]
fn the_cgroup_of_an_attempt_has_the_limits_and_its_job_cannot_change_them() {
    let Some((_, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    if !["memory", "cpu", "pids"]
        .iter()
        .all(|controller| has(&daemon, controller))
    {
        return;
    }
    let text = "limits: {memory_max: 200M, memory_high: 100M, swap_max: 8M, cpu_weight: 50, cpu_max: 150%, pids_max: \
                40}\nsteps: [{name: a, command: sleep 1000}]\n";
    let file = daemon.dag("limited", &format!("working_dir: /\n{text}"));
    crate::users::as_user(&guest, &daemon, &["run", "--detach", &file]).expect_code(0);
    // They are there before anything of the attempt runs.
    until("it runs", || {
        (daemon.status("limited")["status"] == "running").then_some(())
    });
    let cgroup = cgroup(&daemon);
    for (file, wanted) in [
        ("memory.max", "209715200"),
        ("memory.high", "104857600"),
        ("memory.swap.max", "8388608"),
        ("cpu.weight", "50"),
        ("cpu.max", "150000 100000"),
        ("pids.max", "40"),
    ] {
        if file == "memory.swap.max" && !cgroup.join(file).exists() {
            continue;
        }
        assert_eq!(text_of(&cgroup, file), wanted, "{file}");
        use std::os::unix::fs::MetadataExt;
        let about = std::fs::metadata(cgroup.join(file)).unwrap();
        assert_eq!(
            (about.uid(), about.mode() & 0o022),
            (0, 0),
            "{file} is root's alone"
        );
    }
    assert!(
        !cgroup.join("steps/memory.max").exists(),
        "the limits are where the job's user cannot go around them"
    );
    daemon.ctl(&["stop", "limited"]).expect_code(0);
    daemon.ctl(&["wait", "limited"]);
    daemon.expect_clean();
}

#[test]
fn memory_beyond_the_limit_ends_the_step_and_not_the_supervisor() {
    let daemon = Daemon::start("");
    if !has(&daemon, "memory") {
        return;
    }
    let text = "limits: {memory_max: 32M, swap_max: 0}\nsteps: [{name: a, command: head -c 200M /dev/zero | tail | wc -c}]\n";
    let result = ran(&daemon, text);
    // tail is killed; what the shell makes of that is its own, and the supervisor has told all of it.
    assert!(
        result["status"].is_string() && result["lost"].is_null(),
        "{result:#}"
    );
    let text = "limits: {memory_max: 32M, swap_max: 0}\nsteps: [{name: a, command: exec tail /dev/zero}]\n";
    let result = ran(&daemon, text);
    assert_eq!(result["status"], "failed", "{result:#}");
    assert!(error(&result).contains("SIGKILL"), "{result:#}");
    assert_eq!(result["lost"], serde_json::Value::Null, "{result:#}");
    daemon.expect_clean();
}

#[test]
fn processes_beyond_the_limit_are_refused_and_the_step_says_so() {
    let daemon = Daemon::start("");
    if !has(&daemon, "pids") {
        return;
    }
    let text = "limits: {pids_max: 3}\ntype: graph\nsteps: [{name: a, command: 'exec sleep 3'}, {name: b, command: 'exec sleep 3'}, \
                {name: c, command: 'exec sleep 3'}]\n";
    let result = ran(&daemon, text);
    assert_eq!(result["status"], "failed", "{result:#}");
    let all = result.to_string();
    assert!(
        all.contains("the attempt may have 3, its supervisor included (limits.pids_max)"),
        "{result:#}"
    );
    daemon.expect_clean();
}

#[test]
fn cpu_time_beyond_the_limit_is_withheld() {
    let daemon = Daemon::start("");
    if !has(&daemon, "cpu") {
        return;
    }
    let text = "limits: {cpu_max: 10%}\nsteps: [{name: a, command: 'while :; do :; done'}]\n";
    let run = daemon.submit("limited", text);
    let cgroup = cgroup(&daemon);
    until("the attempt is throttled", || {
        let stat = text_of(&cgroup, "cpu.stat");
        let count = stat.lines().find_map(|line| line.strip_prefix("nr_throttled "))?;
        (count.parse::<u64>().ok()? > 2).then_some(())
    });
    daemon.ctl(&["stop", &run]).expect_code(0);
    daemon.wait_end(&run);
    daemon.expect_clean();
}

#[test]
fn shares_of_disks_are_set_where_the_kernel_has_them() {
    let daemon = Daemon::start("");
    if !has(&daemon, "io") {
        return;
    }
    let file = daemon.dag(
        "limited",
        "limits: {io_weight: 50}\nsteps: [{name: a, command: sleep 1000}]\n",
    );
    daemon.ctl(&["run", "--detach", &file]).expect_code(0);
    let end = until("it runs, or is refused", || {
        let status = daemon.status("limited");
        matches!(status["status"].as_str()?, "running" | "failed").then_some(status)
    });
    if end["status"] == "failed" {
        let why = end["error"].as_str().unwrap();
        assert!(why.contains("io_weight cannot be enforced: io.weight"), "{why}");
        return skip("this kernel has no shares of disks");
    }
    let cgroup = cgroup(&daemon);
    let found = [text_of(&cgroup, "io.weight"), text_of(&cgroup, "io.bfq.weight")];
    assert!(
        found.iter().any(|text| text.starts_with("default 50")),
        "{found:?}"
    );
    daemon.ctl(&["stop", "limited"]).expect_code(0);
    daemon.ctl(&["wait", "limited"]);
    daemon.expect_clean();
}

#[test]
fn a_users_dag_stays_below_what_the_configuration_says() {
    let Some((_, guest)) = two_users() else { return };
    let (mut daemon, _) = open_house();
    if !has(&daemon, "pids") || !is_root() {
        return;
    }
    daemon.stop();
    daemon.configure("[control]\nsocket_mode = \"0666\"\n[job.limits]\npids_max = 30\n");
    daemon.restart();
    let shown = "steps: [{name: a, command: 'cat /sys/fs/cgroup/$(sed s/0:..// /proc/self/cgroup)/../pids.max || true'}]\n";
    let out = ran_as(&guest, &daemon, &format!("limits: {{pids_max: 50}}\n{shown}")).expect_code(0);
    assert!(
        out.text()
            .contains("`limits.pids_max` is 50, and the most for DAGs of users is 30"),
        "{out:?}"
    );
    daemon.expect_clean();
}
