//! Metrics by all their ways, and what the service manager and the log are told.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::helper::{DEADLINE, Daemon, read, until};
use crate::page;
use crate::users::two_users;

/// The samples of a page by name and labels, and the kind of each name. Fails if the page is not as the format wants it.
fn parse(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let (mut samples, mut kinds) = (BTreeMap::new(), BTreeMap::new());
    let (mut help, mut family) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').unwrap();
            assert!(words.ends_with('.'), "{line}");
            name.clone_into(&mut help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, help, "HELP comes before TYPE");
            name.clone_into(&mut family);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(
                kinds.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{name} comes twice"
            );
        } else {
            let (key, value) = line.rsplit_once(' ').unwrap();
            let name = key.split('{').next().unwrap();
            let ends = ["", "_bucket", "_sum", "_count"];
            assert!(
                ends.iter().any(|end| name == format!("{family}{end}")),
                "{line} below {family}"
            );
            let value = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(
                samples.insert(key.to_owned(), value).is_none(),
                "{key} comes twice"
            );
        }
    }
    (samples, kinds)
}

fn samples(daemon: &Daemon) -> BTreeMap<String, f64> {
    parse(&daemon.ctl(&["metrics"]).expect_code(0).stdout).0
}

#[test]
fn what_happens_is_counted() {
    let daemon = Daemon::start("[queues.nightly]\nmax_active_runs = 3\n");
    let good = daemon.submit("good", "steps: [{name: a, command: \"true\"}]");
    daemon.wait_success(&good);
    let bad = daemon.submit(
        "bad",
        "steps: [{name: a, command: exit 3, retry_policy: {limit: 1, interval_sec: 0}}]",
    );
    assert_eq!(daemon.wait_end(&bad)["status"], "failed");
    daemon.ctl(&["queue", "pause", "nightly"]).expect_code(0);
    let file = daemon.dag("good", "queue: nightly\nsteps: [{name: a, command: \"true\"}]");
    daemon
        .ctl(&["enqueue", "--run-id", "later", &file])
        .expect_code(0);
    let live = daemon.submit("long", "steps: [{name: a, command: sleep 1000}]");
    daemon.shim(&live);
    until("the step runs", || {
        (samples(&daemon)["proctor_steps_started_total"] >= 4.0).then_some(())
    });
    daemon.ctl(&["retry", &bad]).expect_code(1);
    assert_eq!(daemon.wait_end(&bad)["status"], "failed");
    daemon.ctl(&["reload"]).expect_code(0);
    let found = until("all ends are counted", || {
        let found = samples(&daemon);
        (found["proctor_runs_over_total{status=\"failed\",called=\"no\"}"] >= 2.0).then_some(found)
    });
    for (key, value) in [
        ("proctor_runs_accepted_total{trigger=\"manual\"}", 4.0),
        ("proctor_runs_accepted_total{trigger=\"scheduler\"}", 0.0),
        ("proctor_runs_retried_total{by=\"request\"}", 1.0),
        ("proctor_runs_retried_total{by=\"policy\"}", 0.0),
        ("proctor_runs_over_total{status=\"succeeded\",called=\"no\"}", 1.0),
        ("proctor_runs_over_total{status=\"failed\",called=\"no\"}", 2.0),
        ("proctor_runs_queued", 1.0),
        ("proctor_queue_waiting{queue=\"nightly\"}", 1.0),
        ("proctor_queue_paused{queue=\"nightly\"}", 1.0),
        ("proctor_queue_capacity{queue=\"nightly\"}", 3.0),
        ("proctor_queue_live{queue=\"long\"}", 1.0),
        ("proctor_attempts_live", 1.0),
        ("proctor_attempts_stalled", 0.0),
        ("proctor_attempts_started_total", 4.0),
        ("proctor_attempts_ended_total{status=\"failed\"}", 2.0),
        ("proctor_attempts_lost_total{cause=\"signal\"}", 0.0),
        ("proctor_steps_retried_total", 2.0),
        ("proctor_steps_ended_total{status=\"failed\"}", 2.0),
        ("proctor_steps_ended_total{status=\"succeeded\"}", 1.0),
        ("proctor_config_reloads_total{result=\"applied\"}", 1.0),
        ("proctor_store_writable", 1.0),
        ("proctor_store_commits_failed_total", 0.0),
        ("proctor_requests_denied_total", 0.0),
    ] {
        assert_eq!(found.get(key), Some(&value), "{key}");
    }
    let beat = found["proctor_heartbeat_age_max_seconds"];
    assert!((0.0..60.0).contains(&beat), "{beat}");
    for key in [
        "proctor_store_commit_seconds_count",
        "proctor_store_changes_total",
        "proctor_store_bytes",
        "proctor_journal_read_bytes_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        assert!(found[key] > 0.0, "{key}");
    }
    let object = daemon.json(&["metrics"]);
    parse(object["metrics"].as_str().unwrap());
    daemon.ctl(&["queue", "resume", "nightly"]).expect_code(0);
    daemon.wait_success("good:later");
    daemon.ctl(&["stop", &live]).expect_code(0);
    daemon.wait_end(&live);
    // What is not known is not 0: when nothing is live there is no heartbeat.
    let found = until("the stop is counted, and no heartbeat any more", || {
        let found = samples(&daemon);
        let over = found["proctor_runs_over_total{status=\"aborted\",called=\"no\"}"] >= 1.0;
        (over && !found.contains_key("proctor_heartbeat_age_max_seconds")).then_some(found)
    });
    assert_eq!(found["proctor_queue_waiting{queue=\"nightly\"}"], 0.0);
    daemon.expect_clean();
}

#[test]
fn a_lost_attempt_and_a_run_tried_again_by_itself_are_counted() {
    let daemon = Daemon::start("");
    let text = "retry_policy: {limit: 1, interval_sec: 0, on: lost}\nsteps: [{name: a, command: sleep 1000}]";
    let run = daemon.submit("fragile", text);
    let first = daemon.shim(&run);
    crate::helper::signal(first, libc::SIGKILL);
    until("the second attempt", || {
        let found = samples(&daemon);
        let started = found["proctor_attempts_started_total"] >= 2.0;
        (started && found["proctor_runs_retried_total{by=\"policy\"}"] == 1.0).then_some(())
    });
    let found = samples(&daemon);
    assert_eq!(found["proctor_attempts_lost_total{cause=\"signal\"}"], 1.0);
    assert_eq!(found["proctor_attempts_ended_total{status=\"failed\"}"], 1.0);
    assert_eq!(
        found["proctor_runs_over_total{status=\"failed\",called=\"no\"}"],
        0.0
    );
    daemon.ctl(&["stop", &run]).expect_code(0);
    daemon.wait_end(&run);
    daemon.expect_clean();
}

#[test]
fn the_manual_lists_every_metric_and_no_other() {
    let daemon = Daemon::start("");
    let (_, kinds) = parse(&daemon.ctl(&["metrics"]).expect_code(0).stdout);
    let page = page::page("proctord.8");
    let part = page.split("\n.Sh METRICS").nth(1).unwrap();
    let part = part.split("\n.Sh ").next().unwrap();
    let listed: Vec<String> = part
        .lines()
        .filter_map(|line| line.strip_prefix(".It Va "))
        .flat_map(|names| names.split(" , ").map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for name in kinds.keys() {
        assert!(listed.contains(name), "{name} is not in proctord(8)");
    }
    // These are there only where the machine tells them, or something is live or scheduled.
    let sometimes = [
        "proctor_heartbeat_age_max_seconds",
        "proctor_schedule_next_timestamp_seconds",
        "proctor_attempts_cpu_seconds_total",
        "proctor_attempts_memory_bytes",
        "proctor_attempts_pids",
        "proctor_attempts_oom_kills_total",
        "proctor_store_log_bytes",
    ];
    for name in &listed {
        let known = kinds.contains_key(name) || sometimes.contains(&name.as_str());
        assert!(known, "proctord(8) lists {name}, which is no metric");
    }
    daemon.expect_clean();
}

#[test]
fn schedules_and_what_is_removed_are_counted() {
    let mut daemon = Daemon::prepare("");
    let dags = daemon.path("etc/proctor/dags");
    std::fs::create_dir_all(&dags).unwrap();
    let text = "schedule: \"* * * * * *\"\noverlap_policy: skip\nsteps: [{name: a, command: \"true\"}]";
    std::fs::write(dags.join("often.yaml"), text).unwrap();
    daemon.restart();
    let found = until("two starts", || {
        let found = samples(&daemon);
        (found["proctor_schedule_times_total{outcome=\"started\"}"] >= 2.0).then_some(found)
    });
    assert!(found["proctor_runs_accepted_total{trigger=\"scheduler\"}"] >= 2.0);
    assert_eq!(found["proctor_dags_installed"], 1.0);
    let next = found["proctor_schedule_next_timestamp_seconds"];
    assert!(next > found["process_start_time_seconds"], "{next}");
    daemon.ctl(&["disable", "often"]).expect_code(0);
    until("the last one is over", || {
        let found = samples(&daemon);
        let open = found["proctor_runs_in_memory"];
        (open == 0.0).then_some(())
    });
    let runs = daemon.json(&["history"])["runs"].as_array().unwrap().len();
    daemon
        .ctl(&["cleanup", "--yes", "--keep-runs", "1"])
        .expect_code(0);
    let left = daemon.json(&["history"])["runs"].as_array().unwrap().len();
    assert!(left < runs, "{left} of {runs}");
    let removed = samples(&daemon)["proctor_retention_runs_total"];
    assert_eq!(removed, f64::from(u32::try_from(runs - left).unwrap()));
    daemon.expect_clean();
}

/// What the socket answers to these words, or to none.
fn ask(path: &Path, words: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // Who is refused may find the connection closed before it has said anything.
    drop(stream.write_all(words.as_bytes()));
    if words.is_empty() {
        drop(stream.shutdown(Shutdown::Write));
    }
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8(answer).unwrap()
}

#[test]
fn the_socket_gives_the_page_and_speaks_http() {
    let mut daemon = Daemon::start("[metrics]\nsocket = true\n");
    let path = daemon.path("run/proctor/metrics.sock");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    parse(&ask(&path, ""));
    // Somebody who says nothing and listens is answered, too.
    let mut silent = UnixStream::connect(&path).unwrap();
    silent.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = String::new();
    silent.read_to_string(&mut answer).unwrap();
    parse(&answer);
    let got = ask(&path, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    assert!(
        head.contains(&format!("Content-Length: {}", body.len())),
        "{head}"
    );
    parse(body);
    let head = ask(&path, "HEAD / HTTP/1.0\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.0 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    let other = ask(&path, "POST / HTTP/1.0\r\n\r\n");
    assert!(other.starts_with("HTTP/1.0 405 "), "{other}");
    // A request that never ends is cut off.
    let endless = format!("GET /{} HTTP/1.0\r\n", "x".repeat(100_000));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    drop(stream.write_all(endless.as_bytes()));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    daemon.expect_unharmed();
    // The socket of a daemon that was killed stands in nobody's way, and one that leaves takes its own with it.
    daemon.kill9();
    daemon.restart();
    parse(&ask(&path, ""));
    daemon.stop();
    assert!(!path.exists());
    daemon.restart();
    daemon.expect_clean();
}

/// Runs in a process of another user: tells what the socket answers.
#[test]
fn reader() {
    if let Some(path) = std::env::var_os("PROCTOR_IT_METRICS") {
        let answer = [
            ask(path.as_ref(), ""),
            ask(path.as_ref(), "GET / HTTP/1.0\r\n\r\n"),
        ]
        .concat();
        println!("answer: {answer}");
    }
}

#[test]
fn others_may_not_read_metrics_unless_their_group_may() {
    let Some((_, guest)) = two_users() else { return };
    let daemon = Daemon::start("[metrics]\nsocket = true\nsocket_mode = \"0666\"\n");
    std::fs::set_permissions(daemon.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let answer = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "metrics::reader", "--nocapture"]);
        command.env("PROCTOR_IT_METRICS", daemon.path("run/proctor/metrics.sock"));
        command.uid(guest.uid).gid(guest.gid).current_dir("/");
        let out = command.output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(text.contains("answer: "), "{out:?}");
        text
    };
    let refused = answer();
    assert!(!refused.contains("proctor_runs"), "{refused}");
    assert!(
        refused.contains("may not see numbers about this daemon"),
        "{refused}"
    );
    until("both are counted", || {
        (samples(&daemon)["proctor_requests_denied_total"] == 2.0).then_some(())
    });
    daemon.wait_log(&format!("denied to uid {}", guest.uid));
    let name = nix::unistd::Group::from_gid(guest.gid.into())
        .unwrap()
        .unwrap()
        .name;
    daemon.configure(&format!(
        "[metrics]\nsocket = true\nsocket_mode = \"0666\"\ngroup = \"{name}\"\n"
    ));
    daemon.ctl(&["reload"]).expect_code(0);
    let allowed = answer();
    assert!(allowed.contains("proctor_runs_queued 0"), "{allowed}");
    assert!(allowed.contains("HTTP/1.0 200 OK"), "{allowed}");
    daemon.expect_clean();
}

#[test]
fn the_file_is_written_again_and_again_and_a_reload_changes_it() {
    let mut daemon = Daemon::prepare("");
    let path = daemon.path("out/proctor.prom");
    std::fs::create_dir(daemon.path("out")).unwrap();
    daemon.configure(&format!("[metrics]\ntextfile = {path:?}\ninterval_sec = 1\n"));
    daemon.restart();
    let accepted = || {
        let text = read(&path);
        (!text.is_empty()).then(|| parse(&text).0["proctor_runs_accepted_total{trigger=\"manual\"}"])
    };
    assert_eq!(until("the file", accepted), 0.0);
    let run = daemon.submit("one", "steps: [{name: a, command: \"true\"}]");
    daemon.wait_success(&run);
    until("the file knows of the run", || {
        accepted().filter(|count| *count == 1.0)
    });
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    // A directory that is missing is no harm, and is said once.
    daemon.configure(&format!(
        "[metrics]\ntextfile = {:?}\ninterval_sec = 1\n",
        daemon.path("none/proctor.prom")
    ));
    daemon.ctl(&["reload"]).expect_code(0);
    daemon.wait_log("the file of metrics cannot be written");
    std::fs::create_dir(daemon.path("none")).unwrap();
    daemon.wait_log("the file of metrics can be written again");
    daemon.configure("");
    daemon.ctl(&["reload"]).expect_code(0);
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn the_service_manager_is_told_what_is_live_what_waits_and_what_comes() {
    let mut daemon = Daemon::prepare("");
    let path = daemon.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let told = || {
        let mut bytes = [0; 4096];
        let count = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    };
    let told_status = |wanted: &str| {
        // Other lines may come before, and this one comes, or `recv` fails.
        while !told().lines().any(|line| line == format!("STATUS={wanted}")) {}
    };
    let dags = daemon.path("etc/proctor/dags");
    std::fs::create_dir_all(&dags).unwrap();
    daemon.restart_with(|command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let ready = told();
    assert!(ready.contains("READY=1"), "{ready}");
    assert!(
        ready.contains("STATUS=serving; 0 attempts adopted; 0 live, 0 queued"),
        "{ready}"
    );
    let text = "max_active_runs: 1\nsteps: [{name: a, command: sleep 1000}]";
    let one = daemon.submit("busy", text);
    told_status("1 live, 0 queued");
    let two = daemon.submit("busy", text);
    told_status("1 live, 1 queued");
    // The last day of the year, far off or not; the name is everybody's to see.
    std::fs::write(
        dags.join("yearly.yaml"),
        "schedule: \"CRON_TZ=UTC 59 23 31 12 *\"\nsteps: [{name: a, command: \"true\"}]",
    )
    .unwrap();
    let line = loop {
        let line = told();
        if line.contains("next yearly ") {
            break line;
        }
    };
    assert!(
        line.contains("STATUS=1 live, 1 queued, next yearly ") && line.contains("23:59"),
        "{line}"
    );
    std::fs::remove_file(dags.join("yearly.yaml")).unwrap();
    told_status("1 live, 1 queued");
    for run in [&two, &one] {
        daemon.ctl(&["stop", run]).expect_code(0);
        daemon.wait_end(run);
    }
    told_status("0 live, 0 queued");
    daemon.expect_clean();
}

#[test]
fn the_log_tells_the_story_of_a_run() {
    let daemon = Daemon::start("");
    let text = "steps:\n  - {name: a, command: \"true\"}\n  \
                - {name: b, command: exit 3, retry_policy: {limit: 1, interval_sec: 0}}\n";
    let run = daemon.submit("told", text);
    assert_eq!(daemon.wait_end(&run)["status"], "failed");
    daemon.wait_log(&format!("run {run} is over: failed"));
    daemon.ctl(&["retry", &run]).expect_code(1);
    daemon.wait_end(&run);
    let log = daemon.log();
    let mut rest = log.as_str();
    for part in [
        format!("run {run} accepted (manual)"),
        String::from("started, shim "),
        format!("step a of {run} started"),
        format!("step a of {run} ended: succeeded"),
        format!("step b of {run} started"),
        format!("step b of {run} is tried again, retry 1: "),
        format!("step b of {run} started"),
        format!("step b of {run} failed: "),
        format!("of {run} ended: failed"),
        format!("run {run} is over: failed"),
        format!("run {run} is queued again after 1 attempt\n"),
    ] {
        let Some((_, after)) = rest.split_once(&part) else {
            panic!("{part:?} does not follow in:\n{log}");
        };
        rest = after;
    }
    let long = daemon.submit("told", "steps: [{name: a, command: sleep 1000}]");
    daemon.shim(&long);
    daemon.ctl(&["stop", &long]).expect_code(0);
    daemon.wait_end(&long);
    daemon.wait_log(&format!("run {long} is to stop: stopped by user id "));
    // Who does not want the steps in the log is only told of those that fail.
    daemon.configure("[log]\nsteps = false\n");
    daemon.ctl(&["reload"]).expect_code(0);
    let run = daemon.submit("quiet", text);
    daemon.wait_end(&run);
    daemon.wait_log(&format!("run {run} is over: failed"));
    let log = daemon.log();
    assert!(log.contains(&format!("step b of {run} failed: ")), "{log}");
    assert!(!log.contains(&format!("step a of {run} started")), "{log}");
    daemon.expect_clean();
}
