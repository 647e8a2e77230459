//! Users among themselves: jobs run as the one who asked, and only their owner and root may touch them.

mod namesakes;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use proctor::sys::creds::User;

use crate::helper::{Daemon, Out, Running, is_root, program, skip, text_of, until};

pub(crate) const OPEN: &str = "[control]\nsocket_mode = \"0666\"\n";

/// `proctorctl` as another user.
pub(crate) fn ctl_as(user: &User, root: &Path) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_proctorctl"));
    // This also takes the supplementary groups away.
    command.uid(user.uid).gid(user.gid).arg("--root").arg(root);
    command
}

/// Two users who are not root and can execute the programs under test; none where that is not so.
pub(crate) fn two_users() -> Option<(User, User)> {
    if !is_root() {
        skip("only root can be other users");
        return None;
    }
    let (Ok(one), Ok(two)) = (User::by_name("daemon"), User::by_name("nobody")) else {
        skip("there are no users daemon and nobody");
        return None;
    };
    let version = ctl_as(&two, Path::new("/nowhere")).arg("--version").output();
    if !version.is_ok_and(|out| out.status.success()) {
        skip("other users cannot execute the programs under test");
        return None;
    }
    Some((one, two))
}

/// Lets everybody find the way to what is below the root; it belongs to `owner`.
pub(crate) fn open_up(daemon: &Daemon, owner: &User) {
    for below in [
        "",
        "src",
        "src/who.yaml",
        "etc",
        "etc/proctor",
        "etc/proctor/proctord.toml",
    ] {
        let path = daemon.path(below);
        nix::unistd::chown(&path, Some(owner.uid.into()), Some(owner.gid.into())).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_daemon_that_is_not_root_runs_nobody_elses_jobs() {
    let Some((host, guest)) = two_users() else { return };
    let mut daemon = Daemon::prepare(OPEN);
    let file = daemon.dag("who", "steps: [{name: a, command: id -u, output: WHO}]");
    open_up(&daemon, &host);
    daemon.restart_with(|command| {
        command.uid(host.uid).gid(host.gid);
    });
    let mut theirs = ctl_as(&guest, daemon.root());
    theirs.args(["run", &file]);
    let refused = Running::start(theirs).finish().expect_code(77);
    assert!(refused.stderr.contains("may not submit"), "{refused:?}");
    let mut ours = ctl_as(&host, daemon.root());
    ours.args(["--json", "run", &file]);
    let result = Running::start(ours).finish().expect_code(0).json();
    assert_eq!(
        result["steps"][0]["variables"]["WHO"],
        host.uid.to_string(),
        "{result:#}"
    );
    let history = daemon.json(&["history"]);
    assert_eq!(history["runs"].as_array().unwrap().len(), 1, "{history:#}");
    // It is the host's own daemon: nobody else is there to order its queues.
    let ctl = |words: &[&str]| {
        let mut ours = ctl_as(&host, daemon.root());
        ours.args(words);
        Running::start(ours).finish().expect_code(0)
    };
    ctl(&["queue", "pause", "q"]);
    ctl(&["enqueue", "--queue", "q", "--run-id", "one", &file]);
    ctl(&["queue", "move", "who:one", "--priority", "5", "--first"]);
    ctl(&["dequeue", "who:one"]);
    daemon.expect_clean();
}

#[test]
fn a_private_daemon_is_its_users_alone_unless_the_configuration_says_otherwise() {
    let Some((_, guest)) = two_users() else { return };
    let daemon = Daemon::start("");
    std::fs::set_permissions(daemon.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut theirs = ctl_as(&guest, daemon.root());
    theirs.arg("ps");
    Running::start(theirs).finish().expect_code(77);
    daemon.expect_clean();
}

#[test]
fn a_job_of_another_user_gets_nothing_of_root_and_touches_nothing_of_root() {
    let Some((_, guest)) = two_users() else { return };
    let daemon = Daemon::start(OPEN);
    let file = daemon.dag(
        "who",
        "steps: [{name: a, command: id -u; id -g; id -G, output: IDS}]",
    );
    open_up(&daemon, &User::current().unwrap());
    let mut theirs = ctl_as(&guest, daemon.root());
    theirs.args(["--json", "run", &file]);
    let result = Running::start(theirs).finish().json();
    assert_eq!(result["status"], "succeeded", "{result:#}\n{}", daemon.log());
    let ids = result["steps"][0]["variables"]["IDS"].as_str().unwrap();
    let mut lines = ids.lines();
    assert_eq!(lines.next(), Some(guest.uid.to_string().as_str()), "{ids}");
    assert_eq!(lines.next(), Some(guest.gid.to_string().as_str()), "{ids}");
    assert!(
        !lines.next().unwrap().split(' ').any(|group| group == "0"),
        "{ids}"
    );
    let run = daemon.submit("roots", "steps: [{name: a, command: sleep 1000}]");
    daemon.shim(&run);
    for verb in ["stop", "retry", "restart"] {
        let mut theirs = ctl_as(&guest, daemon.root());
        theirs.args([verb, &run]);
        Running::start(theirs).finish().expect_code(77);
    }
    // Nor decide about what waits.
    let waits = daemon.submit("waits", "steps: [{name: a, command: 'true', approval: {}}]");
    daemon.wait_end(&waits);
    for verb in ["approve", "reject", "stop"] {
        let mut theirs = ctl_as(&guest, daemon.root());
        theirs.args([verb, &waits]);
        Running::start(theirs).finish().expect_code(77);
    }
    let mut theirs = ctl_as(&guest, daemon.root());
    theirs.args(["--json", "ps"]);
    let listed = Running::start(theirs).finish().expect_code(0).json();
    assert_eq!(listed["runs"].as_array().unwrap().len(), 0, "{listed:#}");
    daemon.ctl(&["approve", &waits]).expect_code(0);
    daemon.wait_success(&waits);
    // Nor over the attempt's own socket.
    let socket = daemon.status_socket(&run);
    let mut theirs = ctl_as(&guest, daemon.root());
    theirs.args(["logs", &run]);
    assert_ne!(Running::start(theirs).finish().code(), 0);
    assert_eq!(
        std::fs::metadata(socket).unwrap().permissions().mode() & 0o777,
        0o666
    );
    assert_eq!(daemon.status(&run)["status"], "running");
    daemon.ctl(&["stop", &run]).expect_code(0);
    daemon.wait_end(&run);
    daemon.expect_clean();
}

#[test]
fn users_have_dags_of_their_own_that_others_do_not_even_see() {
    let Some((host, guest)) = two_users() else { return };
    let daemon = Daemon::start(OPEN);
    let text = "working_dir: /\nschedule: 1 3 1 1 *\nsteps: [{name: a, command: id -u, output: WHO}]\n";
    let file = daemon.dag("who", text);
    open_up(&daemon, &User::current().unwrap());
    let as_user = |user: &User, args: &[&str]| {
        let mut command = ctl_as(user, daemon.root());
        command.arg("--json").args(args);
        Running::start(command).finish()
    };
    let own = as_user(&guest, &["install", &file]).expect_code(0).json();
    assert_eq!(
        (&own["owner"], &own["system"]),
        (&guest.uid.into(), &false.into()),
        "{own:#}"
    );
    let path = Path::new(own["file"].as_str().unwrap());
    let about = |path: &Path| {
        use std::os::unix::fs::MetadataExt;
        let about = std::fs::metadata(path).unwrap();
        (about.uid(), about.mode() & 0o777)
    };
    assert_eq!(about(path), (0, 0o644), "only the daemon writes there");
    assert_eq!(about(path.parent().unwrap()), (0, 0o755));
    let result = as_user(&guest, &["run", "who"]).expect_code(0).json();
    assert_eq!(
        result["steps"][0]["variables"]["WHO"],
        guest.uid.to_string(),
        "{result:#}"
    );

    let listed = |user: &User| {
        let answer = as_user(user, &["dags"]).expect_code(0).json();
        let names = answer["dags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|dag| dag["dag"].to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(listed(&guest), ["\"who\""]);
    assert_eq!(listed(&host), [""; 0]);
    for verb in ["run", "remove", "edit", "enable", "disable", "next"] {
        as_user(&host, &[verb, "who"]).expect_code(1);
    }
    let out = as_user(&host, &["install", "--replace", &file]).expect_code(1);
    assert!(out.text().contains("another user has a DAG who"), "{out:?}");
    assert!(
        !out.text().contains("var/lib"),
        "its place is nobody's business: {out:?}"
    );
    as_user(&host, &["install", "--name", "mine", &file]).expect_code(0);
    assert_eq!(
        daemon.json(&["dags"])["dags"].as_array().unwrap().len(),
        2,
        "root sees all"
    );

    let system = daemon.path("etc/proctor/dags");
    std::fs::create_dir_all(&system).unwrap();
    for (name, mode) in [("open.yaml", 0o644), ("closed.yaml", 0o600)] {
        std::fs::write(system.join(".tmp"), text).unwrap();
        std::fs::set_permissions(system.join(".tmp"), std::fs::Permissions::from_mode(mode)).unwrap();
        std::fs::rename(system.join(".tmp"), system.join(name)).unwrap();
    }
    until("all are listed", || {
        (daemon.json(&["dags"])["dags"].as_array().unwrap().len() == 4).then_some(())
    });
    assert_eq!(listed(&guest), ["\"open\"", "\"who\""]);
    for verb in ["remove", "edit", "enable", "disable"] {
        as_user(&guest, &[verb, "open"]).expect_code(77);
        as_user(&guest, &[verb, "closed"]).expect_code(1);
    }
    let next = as_user(&guest, &["next"]).expect_code(0).json();
    assert!(
        !next.to_string().contains("closed") && !next.to_string().contains("mine"),
        "{next:#}"
    );
    as_user(&guest, &["disable", "who"]).expect_code(0);
    daemon.json(&["enable", "who"]);
    as_user(&guest, &["remove", "who"]).expect_code(0);
    as_user(&guest, &["run", "who"]).expect_code(1);
    daemon.expect_clean();
}

#[test]
fn users_clean_up_their_own_runs_and_root_all() {
    let Some((one, two)) = two_users() else { return };
    let mut daemon = Daemon::prepare(OPEN);
    let file = daemon.dag("who", "steps: [{name: a, command: id -u}]");
    open_up(&daemon, &User::by_uid(0).unwrap());
    daemon.restart();
    for user in [&one, &two] {
        for _ in 0..2 {
            let mut command = ctl_as(user, daemon.root());
            command.args(["run", &file]);
            Running::start(command).finish().expect_code(0);
        }
    }
    let cleans = |mut command: Command| {
        command.args(["--json", "cleanup", "who", "--keep-runs", "1", "--yes"]);
        Running::start(command).finish().expect_code(0).json()["runs"].clone()
    };
    let owners = || -> Vec<u64> {
        let listed = daemon.json(&["history"]);
        let runs = listed["runs"].as_array().unwrap();
        let mut owners: Vec<u64> = runs.iter().map(|run| run["owner"].as_u64().unwrap()).collect();
        owners.sort_unstable();
        owners
    };
    assert_eq!(cleans(ctl_as(&two, daemon.root())), 1);
    let (first, second) = (u64::from(one.uid), u64::from(two.uid));
    let mut expected = vec![first, first, second];
    expected.sort_unstable();
    assert_eq!(owners(), expected);
    assert_eq!(cleans(ctl_as(&two, daemon.root())), 0);
    assert_eq!(cleans(daemon.command(&[])), 1);
    let mut expected = vec![first, second];
    expected.sort_unstable();
    assert_eq!(owners(), expected);
    daemon.expect_clean();
}

/// A daemon of root's that everybody may ask, with a DAG `who` that everybody may read.
pub(crate) fn open_house() -> (Daemon, String) {
    let mut daemon = Daemon::prepare(OPEN);
    let file = daemon.dag(
        "who",
        "schedule: 1 3 1 1 *\nsteps: [{name: a, command: \"true\"}]",
    );
    open_up(&daemon, &User::by_uid(0).unwrap());
    daemon.restart();
    (daemon, file)
}

pub(crate) fn as_user(user: &User, daemon: &Daemon, words: &[&str]) -> Out {
    let mut command = ctl_as(user, daemon.root());
    command.args(words);
    Running::start(command).finish()
}

/// Puts a DAG of the system into its directory, as an editor would.
pub(crate) fn put(daemon: &Daemon, file: &str, text: &str, mode: u32) {
    let dir = daemon.path("etc/proctor/dags");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(".tmp"), text).unwrap();
    std::fs::set_permissions(dir.join(".tmp"), std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::rename(dir.join(".tmp"), dir.join(file)).unwrap();
}

#[test]
fn no_user_can_take_a_name_from_the_system_or_leave_it_something() {
    let Some((_, guest)) = two_users() else { return };
    let (mut daemon, file) = open_house();
    let system = |daemon: &Daemon| {
        let all = daemon.json(&["dags"])["dags"].as_array().unwrap().clone();
        let dir = daemon.path("etc/proctor/dags");
        let own = |dag: &serde_json::Value| Path::new(text_of(&dag["file"])).starts_with(&dir);
        all.into_iter()
            .find(|dag| own(dag) && dag["in_force"] == true)
            .map(|dag| (text_of(&dag["dag"]).to_owned(), dag["enabled"] == true))
    };
    let text = "schedule: 2 3 1 1 *\nsteps: [{name: a, command: \"true\"}]";
    as_user(&guest, &daemon, &["install", "--name", "nightly", &file]).expect_code(0);
    as_user(&guest, &daemon, &["disable", "nightly"]).expect_code(0);
    put(&daemon, "nightly.yaml", text, 0o644);
    let expected = Some(("nightly".to_owned(), true));
    until("the system has the name", || {
        (system(&daemon) == expected).then_some(())
    });
    daemon.wait_log("nobody/nightly.yaml is not in force: ");
    let none = as_user(&guest, &daemon, &["run", "none"]).expect_code(1);
    assert!(none.text().contains("`proctorctl install`"), "{none:?}");
    assert!(!none.text().contains("etc/proctor/dags"), "{none:?}");
    daemon.kill9();
    daemon.restart();
    assert_eq!(system(&daemon), expected, "{}", daemon.log());
    std::fs::remove_file(daemon.path("etc/proctor/dags/nightly.yaml")).unwrap();
    until("the system's is gone", || system(&daemon).is_none().then_some(()));
    as_user(&guest, &daemon, &["disable", "nightly"]).expect_code(0);
    // It goes while the daemon is away, as it would if that were killed between the file and the store.
    daemon.kill9();
    let dir = daemon.path("var/lib/proctor/dags").join("nobody");
    std::fs::remove_file(dir.join("nightly.yaml")).unwrap();
    daemon.restart();
    put(&daemon, "nightly.yaml", text, 0o644);
    until("the system's is back", || system(&daemon).is_some().then_some(()));
    assert_eq!(system(&daemon), expected, "{}", daemon.log());
    daemon.expect_clean();
}

#[test]
fn a_file_that_becomes_private_is_private_at_once() {
    let Some((_, guest)) = two_users() else { return };
    let (daemon, _) = open_house();
    let dag = |word: &str| format!("# {word}\nsteps: [{{name: a, command: \"true\"}}]\n");
    put(&daemon, "open.yaml", &dag("everybody"), 0o644);
    let source = || {
        let mut command = ctl_as(&guest, daemon.root());
        command.args(["edit", "open"]).env("EDITOR", "true");
        Running::start(command).finish()
    };
    until("it is installed", || {
        source().stderr.contains("is not yours").then_some(())
    });
    // Only an answer from before the daemon has read the file shows something: on a slow machine it takes more rounds.
    let (mut in_time, mut rounds) = (0, 0);
    while in_time < 3 {
        rounds += 1;
        if rounds > 40 {
            return skip("too slow to ask before the change of a file has settled");
        }
        put(&daemon, "open.yaml", &dag("everybody"), 0o644);
        until("it is open", || {
            source().stderr.contains("is not yours").then_some(())
        });
        put(&daemon, "open.yaml", &dag("secret"), 0o600);
        // Before the change has settled, so what is known of the file is out of date.
        let read = daemon.log().len();
        let out = source();
        assert!(
            out.stderr.contains("no DAG open is installed"),
            "{rounds}: {out:?}"
        );
        let news = daemon.log();
        in_time += i32::from(!news.get(read..).unwrap_or_default().contains("open"));
    }
    daemon.expect_clean();
}

#[test]
fn who_is_nobody_special_goes_before_nobody_and_suppresses_no_scheduled_run() {
    let Some((_, guest)) = two_users() else { return };
    let daemon = Daemon::start(OPEN);
    let file = daemon.dag(
        "who",
        "working_dir: /\npriority: high\nsteps: [{name: a, command: id -u}]\n",
    );
    open_up(&daemon, &User::current().unwrap());
    let as_guest = |args: &[&str]| {
        let mut command = ctl_as(&guest, daemon.root());
        command.arg("--json").args(args);
        Running::start(command).finish()
    };
    as_guest(&["run", "--now", &file]).expect_code(77);
    let out = as_guest(&["run", "--priority", "1", &file]).expect_code(77);
    assert!(out.text().contains("a priority above 0"), "{out:?}");
    let out = as_guest(&["run", "--run-id", "sched-20300101T000000-00000000", &file]).expect_code(2);
    assert!(out.text().contains("scheduled runs"), "{out:?}");
    as_guest(&["run", "--run-id", "low", "--priority", "-1", &file]).expect_code(0);
    let out = as_guest(&["run", "--run-id", "plain", &file]).expect_code(0);
    assert!(out.text().contains("counts as 0"), "{out:?}");
    assert_eq!(daemon.status("who:plain")["priority"], 0);
    daemon
        .ctl(&["run", "--now", "--priority", "1", &file])
        .expect_code(0);
    daemon.expect_clean();
}
