//! What follows from a configuration: warnings, reloads, the environment.

use std::path::Path;

use super::{Config, EVERYTHING, parse};

#[test]
fn the_defaults_are_wise_and_unwise_settings_are_named() {
    assert_eq!(Config::defaults(Path::new("/")).check(), []);
    assert_eq!(Config::defaults(Path::new("/home/x")).check(), []);
    let warned = |text: &str| -> Vec<&str> {
        parse(text)
            .unwrap()
            .check()
            .into_iter()
            .map(|found| found.key)
            .collect()
    };
    assert_eq!(warned("proc.stale_after_sec = 14"), ["proc.stale_after_sec"]);
    assert_eq!(
        warned("proc.stop_stalled_after_sec = 89"),
        ["proc.stop_stalled_after_sec"]
    );
    assert_eq!(warned("proc.stop_stalled_after_sec = 90"), [""; 0]);
    assert_eq!(warned("hooks.lost.user = 'x'"), ["hooks.lost.command"]);
    for program in ["/nonexistent/notify", "/etc/passwd", "/etc/passwd/x"] {
        let text = format!("hooks.failed.command = ['{program}']");
        assert_eq!(warned(&text), ["hooks.failed.command"], "{program}");
    }
    assert_eq!(warned("hooks.failed.command = ['/bin/sh']"), [""; 0]);
    let user = |name: &str| format!("hooks.failed = {{command = ['/bin/sh'], user = '{name}'}}");
    assert_eq!(warned(&user("no-such-user-here")), ["hooks.failed.user"]);
    assert_eq!(warned(&user("root")), [""; 0]);
    assert_eq!(
        warned("proc.heartbeat_interval_sec = 0.5"),
        ["proc.heartbeat_interval_sec"]
    );
    assert_eq!(warned("queue.max_active_runs = 0"), ["queue.max_live_attempts"]);
    assert_eq!(
        warned("queue.max_live_attempts = 2\nqueues.a.max_active_runs = 3"),
        ["queues.NAME.max_active_runs"]
    );
    assert_eq!(warned("job.path = '/bin:'"), ["job.path"]);
    assert_eq!(warned("job.umask = '000'"), ["job.umask"]);
    assert_eq!(warned("job.umask = '777'"), ["job.umask"]);
    assert_eq!(
        warned("job.inherit_environment = true"),
        ["job.inherit_environment"]
    );
    assert_eq!(warned("job.environment.LD_PRELOAD = 'x'"), ["job.environment"]);
    assert_eq!(warned("control.socket_mode = '0700'"), ["control.socket_mode"]);
    assert_eq!(warned("paths.state = '/run/x'"), ["paths.state"]);
    assert_eq!(warned("paths.state = '/tmp/x'"), ["paths.state"]);
    assert_eq!(
        warned("cgroup.enabled = false\ncgroup.parent = '/c'"),
        ["cgroup.enabled", "cgroup.parent"]
    );
    assert_eq!(warned("metrics.group = 'x'"), ["metrics.group"]);
    assert_eq!(warned("metrics = {socket = true, group = 'x'}"), [""; 0]);
    assert_eq!(warned("metrics.textfile_mode = '666'"), ["metrics.textfile_mode"]);
    assert_eq!(
        warned("metrics.textfile = '/m/proctor.txt'"),
        ["metrics.textfile"]
    );
    assert_eq!(warned("metrics.textfile = '/m/proctor.prom'"), [""; 0]);
    let socket = |text: &str| format!("log = {{step_output = '{text}', journal_socket = '/run/j'}}");
    assert_eq!(warned(&socket("file")), ["log.journal_socket"]);
    assert_eq!(warned(&socket("both")), [""; 0]);
    assert_eq!(
        warned("log = {step_output = 'both', journal_socket = '/tmp/j'}"),
        ["log.journal_socket"]
    );
    assert_eq!(
        warned(&format!("paths.runtime = '/{}'", "r".repeat(76))),
        ["paths.runtime"]
    );
}

#[test]
fn a_reload_applies_what_it_can_and_keeps_the_rest() {
    let old = Config::defaults(Path::new("/"));
    let new = parse(EVERYTHING).unwrap();
    let reload = old.diff_reload(&new);
    let (before, after, merged) = (old.entries(), new.entries(), reload.config.entries());
    for key in &reload.applied {
        assert_eq!(merged.get(key), after.get(key), "{key}");
    }
    for key in &reload.needs_restart {
        assert_eq!(merged.get(key), before.get(key), "{key}");
    }
    let restart = [
        "cgroup.enabled",
        "cgroup.parent",
        "control.socket_mode",
        "log.target",
        "metrics.socket",
        "metrics.socket_mode",
        "paths.base",
        "paths.dags",
        "paths.runtime",
        "paths.state",
    ];
    assert_eq!(reload.needs_restart, restart);
    assert_eq!(reload.applied.len() + restart.len(), after.len());
    // Removing a queue is a change, too; and nothing changed is no change.
    let back = new.diff_reload(&old);
    assert!(
        back.applied
            .contains(&"queues.nightly.max_active_runs".to_owned())
    );
    let none = new.diff_reload(&new);
    assert!(none.applied.is_empty() && none.needs_restart.is_empty());
    assert_eq!(none.config, new);
}

#[test]
fn the_environment_is_inherited_only_by_the_persons_own_jobs() {
    let system = Config::defaults(Path::new("/"));
    assert!(!system.inherits_environment(true));
    assert!(system.inherits_environment(false));
    assert!(Config::defaults(Path::new("/home/x")).inherits_environment(true));
    assert!(
        parse("job.inherit_environment = true")
            .unwrap()
            .inherits_environment(true)
    );
    assert!(
        !parse("job.inherit_environment = false")
            .unwrap()
            .inherits_environment(false)
    );
}
