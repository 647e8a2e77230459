//! Hooks: operators are told of the ends of runs, by commands of theirs, at least once.

mod ends;

use std::path::Path;

use proctor::sys::creds::User;

use crate::helper::{Daemon, files_below, is_root, lines, read, signal, skip, until};

/// The configuration of a hook that has a shell write to the files of the test.
fn hook(event: &str, script: &str, more: &str) -> String {
    format!("[hooks.{event}]\ncommand = ['/bin/sh', '-c', '''{script}''', 'hook', 'an argument']\n{more}\n")
}

/// A script that appends the hook's environment to a file in one write.
fn tells(daemon: &Daemon, name: &str) -> String {
    format!(
        "env | sort >{0}.$$ && mv {0}.$$ {0}.done",
        daemon.path(name).display()
    )
}

/// Waits until the hook has told, and gives its environment.
fn told(daemon: &Daemon, name: &str) -> Vec<(String, String)> {
    let path = daemon.path(&format!("{name}.done"));
    let text = until(&format!("{name} is told\n{}", daemon.log()), || {
        path.exists().then(|| read(&path))
    });
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn value<'e>(env: &'e [(String, String)], name: &str) -> &'e str {
    let found = env.iter().find(|(key, _)| key == name);
    found.map_or_else(|| panic!("no {name} in {env:?}"), |(_, value)| value)
}

const FACTS: [&str; 19] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PROCTOR_EVENT",
    "PROCTOR_DAG",
    "PROCTOR_RUN_ID",
    "PROCTOR_ATTEMPT_ID",
    "PROCTOR_ATTEMPTS",
    "PROCTOR_STATUS",
    "PROCTOR_ERROR",
    "PROCTOR_LOST",
    "PROCTOR_OWNER",
    "PROCTOR_TRIGGER",
    "PROCTOR_STARTED_AT",
    "PROCTOR_FINISHED_AT",
    "PROCTOR_LOG_DIR",
    "PROCTOR_HOOK_ID",
];

/// Waits until so many hooks are over.
fn over(daemon: &Daemon, counter: &str, count: u64) {
    until(&format!("{count} {counter}"), || {
        (daemon.doctor_value(counter) == count).then_some(())
    });
}

#[test]
fn each_end_runs_the_hook_of_its_event_with_the_facts_and_nothing_else() {
    let mut daemon = Daemon::prepare("");
    let mut config = String::new();
    for event in ["failed", "lost", "succeeded"] {
        config += &hook(event, &tells(&daemon, event), "");
    }
    daemon.configure(&config);
    daemon.restart_with(|command| {
        command.env("SECRET_OF_THE_DAEMON", "x");
    });
    let ok = daemon.submit("fine", "steps: [{name: a, command: 'true'}]");
    daemon.wait_success(&ok);
    let env = told(&daemon, "succeeded");
    assert_eq!(value(&env, "PROCTOR_EVENT"), "succeeded");
    assert_eq!(value(&env, "PROCTOR_STATUS"), "succeeded");
    assert_eq!(value(&env, "PROCTOR_ERROR"), "");
    // The shell adds a few of its own.
    let odd = |name: &&str| !FACTS.contains(name) && !["PWD", "SHLVL", "_", "OLDPWD"].contains(name);
    let odd: Vec<&str> = env.iter().map(|(name, _)| name.as_str()).filter(odd).collect();
    assert_eq!(odd, [""; 0], "{env:?}");

    let bad = daemon.submit("broken", "steps: [{name: a, command: exit 3}]");
    daemon.wait_end(&bad);
    let env = told(&daemon, "failed");
    for name in FACTS {
        value(&env, name);
    }
    let status = daemon.status(&bad);
    let user = User::current().unwrap().name;
    for (name, wanted) in [
        ("PROCTOR_EVENT", "failed"),
        ("PROCTOR_DAG", "broken"),
        ("PROCTOR_RUN_ID", status["run_id"].as_str().unwrap()),
        ("PROCTOR_ATTEMPT_ID", status["attempt_id"].as_str().unwrap()),
        ("PROCTOR_ATTEMPTS", "1"),
        ("PROCTOR_STATUS", "failed"),
        ("PROCTOR_LOST", ""),
        ("PROCTOR_OWNER", &user),
        ("PROCTOR_TRIGGER", "manual"),
        ("PROCTOR_STARTED_AT", status["started_at"].as_str().unwrap()),
        ("PROCTOR_FINISHED_AT", status["finished_at"].as_str().unwrap()),
        ("PROCTOR_LOG_DIR", status["log_dir"].as_str().unwrap()),
        ("USER", &user),
        ("LOGNAME", &user),
    ] {
        assert_eq!(value(&env, name), wanted, "{name} in {env:?}\n{status:#}");
    }
    assert_ne!(value(&env, "PROCTOR_ERROR"), "");

    let gone = daemon.submit("gone", "steps: [{name: a, command: sleep 1000}]");
    signal(daemon.shim(&gone), libc::SIGKILL);
    daemon.wait_end(&gone);
    let env = told(&daemon, "lost");
    assert_eq!(value(&env, "PROCTOR_EVENT"), "lost");
    assert_eq!(value(&env, "PROCTOR_STATUS"), "failed");
    assert_eq!(value(&env, "PROCTOR_LOST"), "supervisor killed by SIGKILL");
    over(&daemon, "hooks run", 3);
    assert_eq!(daemon.doctor_value("notices pending"), 0);
    let report = daemon.json(&["doctor"]);
    let actions = report["actions"].as_array().unwrap();
    let last = actions
        .iter()
        .find(|action| action["what"] == "hook run")
        .unwrap();
    assert_eq!(last["about"], format!("lost of {gone}"), "{report:#}");
    daemon.expect_clean();
}

#[test]
fn what_was_stopped_and_what_is_called_by_others_runs_no_hook_and_only_named_dags_do() {
    let mut daemon = Daemon::prepare("");
    let log = daemon.path("told");
    let script = format!("echo $PROCTOR_EVENT $PROCTOR_DAG >>{}", log.display());
    let only = "dags = ['parent', 'last', 'slow']";
    daemon.configure(&(hook("succeeded", &script, only) + &hook("failed", &script, "")));
    daemon.restart();
    let slow = daemon.submit("slow", "steps: [{name: a, command: sleep 1000}]");
    daemon.shim(&slow);
    daemon.ctl(&["stop", &slow]).expect_code(0);
    assert_eq!(daemon.wait_end(&slow)["status"], "aborted");
    // What has failed stays so if its retry does not come, and that is told then.
    let pending = daemon.submit(
        "pending",
        "retry_policy: {limit: 1, interval_sec: 1000}\nsteps: [{name: a, command: 'false'}]",
    );
    until("a pending retry", || {
        daemon.status(&pending)["retry"].is_object().then_some(())
    });
    let out = daemon.ctl(&["stop", &pending]).expect_code(0);
    assert!(out.stdout.contains("the retry of pending:"), "{out:?}");
    over(&daemon, "hooks run", 1);
    let other = daemon.submit("other", "steps: [{name: a, command: 'true'}]");
    daemon.wait_success(&other);
    let parent = daemon.submit(
        "parent",
        "steps: [{name: a, call: below}]\n---\nname: below\nsteps: [{name: b, command: 'true'}]\n",
    );
    daemon.wait_success(&parent);
    let last = daemon.submit("last", "steps: [{name: a, command: 'true'}]");
    daemon.wait_success(&last);
    over(&daemon, "hooks run", 3);
    assert_eq!(read(&log), "failed pending\nsucceeded parent\nsucceeded last\n");
    daemon.expect_clean();
}

#[test]
fn a_hook_runs_as_its_user_with_the_groups_of_that_user_only() {
    if !is_root() {
        return skip("only root can be other users");
    }
    let Ok(user) = User::by_name("daemon") else {
        return skip("there is no user daemon");
    };
    let mut daemon = Daemon::prepare("");
    let out = daemon.path("out");
    std::fs::create_dir(&out).unwrap();
    nix::unistd::chown(&out, Some(user.uid.into()), None).unwrap();
    let open = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    open(daemon.root());
    let script = format!(
        "(id -u; id -g; id -G; pwd; grep -c . /proc/self/fdinfo/0; readlink /proc/$$/fd/0; echo $HOME; umask; \
         grep NoNewPrivs /proc/self/status) >{0}/tmp; mv {0}/tmp {0}/told",
        out.display()
    );
    daemon.configure(&hook("succeeded", &script, "user = 'daemon'"));
    daemon.restart();
    let run = daemon.submit("fine", "steps: [{name: a, command: 'true'}]");
    daemon.wait_success(&run);
    let path = out.join("told");
    let text = until(&format!("told\n{}", daemon.log()), || {
        path.exists().then(|| read(&path))
    });
    let told: Vec<&str> = text.lines().collect();
    assert_eq!(told[0], user.uid.to_string(), "{text}");
    assert_eq!(told[1], user.gid.to_string(), "{text}");
    let groups: std::collections::BTreeSet<u32> =
        told[2].split(' ').map(|group| group.parse().unwrap()).collect();
    assert_eq!(groups, user.groups.iter().copied().collect(), "{text}");
    assert_eq!(told[3], "/", "{text}");
    assert_eq!(told[5], "/dev/null", "{text}");
    assert_eq!(told[6], user.home.display().to_string(), "{text}");
    assert_eq!(told[7].trim_start_matches('0'), "22", "{text}");
    assert!(told[8].ends_with('0'), "{text}");
    // A user that does not exist is nobody: the hook does not run as anybody else.
    daemon.configure(&hook(
        "succeeded",
        &format!("touch {}", daemon.path("ran").display()),
        "user = 'no-such'",
    ));
    daemon.ctl(&["reload"]).expect_code(0);
    let run = daemon.submit("fine", "steps: [{name: a, command: 'true'}]");
    daemon.wait_success(&run);
    daemon.wait_log("no user named \"no-such\"");
    over(&daemon, "hooks failed", 1);
    assert!(!daemon.path("ran").exists());
    daemon.expect_clean();
}

#[test]
fn a_hook_that_fails_is_logged_with_the_beginning_of_what_it_wrote_and_not_tried_again() {
    let mut daemon = Daemon::prepare("");
    let ran = daemon.path("ran");
    let script = format!(
        "echo x >>{}; echo out of paper; printf 'no \\033[31mink\\n' >&2; head -c 100000 /dev/zero | tr '\\0' y; exit 4",
        ran.display()
    );
    daemon.configure(&hook("failed", &script, ""));
    daemon.restart();
    let run = daemon.submit("broken", "steps: [{name: a, command: 'false'}]");
    daemon.wait_end(&run);
    daemon.wait_log("failed: exit code 4");
    over(&daemon, "hooks failed", 1);
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("exit code 4")).unwrap();
    assert!(line.contains("out of paper") && line.contains("[cut]"), "{line}");
    assert!(line.len() < 6000 && !line.contains('\u{1b}'), "{line}");
    // Neither now nor by the next daemon.
    daemon.stop();
    daemon.restart();
    daemon.expect_unharmed();
    assert_eq!(lines(&ran), 1);
    assert_eq!(daemon.doctor_value("notices pending"), 0);
    // Nor does one whose program is not there.
    daemon.configure("[hooks.failed]\ncommand = ['/nonexistent/notify']\n");
    daemon.ctl(&["reload"]).expect_code(0);
    let run = daemon.submit("broken", "steps: [{name: a, command: 'false'}]");
    daemon.wait_end(&run);
    daemon.wait_log("cannot start /nonexistent/notify");
    daemon.expect_clean();
}

#[test]
fn when_too_many_notices_wait_the_oldest_are_dropped_and_that_is_said() {
    let mut daemon = Daemon::prepare("");
    let (done, go) = (daemon.path("done"), daemon.path("go"));
    let script = format!(
        "while [ ! -e {} ]; do sleep 0.05; done; echo $PROCTOR_DAG >>{}",
        go.display(),
        done.display()
    );
    daemon.configure(&format!(
        "[hooks]\nmax_parallel = 1\nqueue_max = 2\n{}",
        hook("succeeded", &script, "")
    ));
    daemon.restart();
    for n in 0..5 {
        let run = daemon.submit(&format!("fine{n}"), "steps: [{name: a, command: 'true'}]");
        daemon.wait_success(&run);
        until("its notice", || {
            let told = daemon.doctor_value("notices pending") + daemon.doctor_value("notices dropped");
            (told == n + 1).then_some(())
        });
    }
    assert_eq!(daemon.doctor_value("notices dropped"), 2);
    daemon.wait_log("more than 2 notices wait");
    std::fs::write(&go, "").unwrap();
    over(&daemon, "hooks run", 3);
    // The first ran already; of the others the newest are left.
    assert_eq!(read(&done), "fine0\nfine3\nfine4\n");
    daemon.stop();
    daemon.restart();
    assert_eq!(
        daemon.doctor_value("notices pending"),
        0,
        "what was dropped does not come back"
    );
    daemon.expect_clean();
}

#[test]
fn secrets_are_as_hidden_from_hooks_as_from_the_record() {
    let mut daemon = Daemon::prepare("");
    let script = tells(&daemon, "failed");
    daemon.configure(&hook("failed", &script, ""));
    daemon.restart();
    let secret = daemon.path("secret");
    std::fs::write(&secret, "hush-hush-42").unwrap();
    let run = daemon.submit(
        "leaks",
        &format!(
            "secrets: [{{name: TOKEN, provider: file, key: {}}}]\nsteps: [{{name: a, command: 'echo $TOKEN >&2; exit 1'}}]\n",
            secret.display()
        ),
    );
    daemon.wait_end(&run);
    let env = told(&daemon, "failed");
    assert!(!format!("{env:?}").contains("hush-hush"), "{env:?}");
    for file in files_below(&daemon.path("var")) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(
            !bytes.windows(9).any(|part| part == b"hush-hush"),
            "{}",
            file.display()
        );
    }
    daemon.expect_clean();
}

#[test]
fn a_private_daemon_that_serves_one_client_leaves_after_its_hooks() {
    let daemon = Daemon::prepare("");
    let told = daemon.path("told");
    let script = format!("sleep 0.3; echo $PROCTOR_STATUS >>{}", told.display());
    daemon.configure(&hook("succeeded", &script, ""));
    let file = daemon.dag("hello", "steps: [{name: a, command: echo hello}]");
    daemon.ctl(&["--json", "run", "--embedded", &file]).expect_code(0);
    until("the hook", || (lines(&told) == 1).then_some(()));
    until("the end of the private daemon", || {
        daemon.remains().is_empty().then_some(())
    });
    assert_eq!(read(&told), "succeeded\n");
}
