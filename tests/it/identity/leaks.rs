//! T16 and T17: descriptors and environment. A step has 0, 1 and 2, and the variables that it was given.

use std::collections::BTreeSet;
use std::process::Command;

use super::{Land, descriptors, user};
use crate::helper::{environ_has, files_below, processes_below, read, text_of, until};

/// A step that has the descriptors of its own shell listed, by a program: the shell would open one for that.
fn lists(name: &str) -> String {
    format!("  - name: {name}\n    command: 'ls -l /proc/$$/fd; true'\n")
}

#[test]
fn t16_each_of_64_steps_that_start_together_has_its_own_three_descriptors() {
    let Some(land) = Land::found("", "", |_| {}) else {
        return;
    };
    let all: String = (0..64).map(|n| lists(&format!("s{n}"))).collect();
    let run = land.submit(&user("one"), "crowd", &format!("type: graph\nsteps:\n{all}"));
    let result = land.daemon.wait_success(&run);
    let mut outputs = BTreeSet::new();
    for step in result["steps"].as_array().unwrap() {
        let found = descriptors(&read(text_of(&step["stdout"]).as_ref()));
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            ["0", "1", "2"],
            "{step:#}\n{found:#?}"
        );
        assert_eq!(found["0"], "/dev/null");
        assert_eq!(found["1"], text_of(&step["stdout"]), "its own log");
        assert_eq!(found["2"], text_of(&step["stderr"]), "its own log");
        outputs.insert(found["1"].clone());
    }
    assert_eq!(outputs.len(), 64);
    land.daemon.expect_clean();
}

#[test]
fn t16_a_captured_output_ends_with_its_step_while_64_siblings_live() {
    let Some(land) = Land::found("", "", |_| {}) else {
        return;
    };
    let go = land.daemon.path("src/go");
    let waits = |n: usize| {
        format!(
            "  - name: w{n}\n    output: W{n}\n    command: 'echo begun; while [ ! -e {} ]; do sleep 0.1; done'\n",
            go.display()
        )
    };
    let all: String = (0..64).map(waits).collect();
    let short = "  - {name: short, command: echo said, output: SAID}\n  - {name: after, command: \"true\", depends: short}\n";
    let run = land.submit(
        &user("one"),
        "pipes",
        &format!("type: graph\nsteps:\n{all}{short}"),
    );
    // The end of its output is seen although all the others may hold pipes that were made before and after.
    until("the short one and what depends on it end", || {
        let view = land.daemon.status(&run);
        let steps = view["steps"].as_array()?.clone();
        let ended = |name: &str| {
            steps
                .iter()
                .any(|step| step["name"] == name && step["status"] == "succeeded")
        };
        (ended("short") && ended("after")).then_some(())
    });
    std::fs::write(&go, "").unwrap();
    land.daemon.wait_success(&run);
    land.daemon.expect_clean();
}

#[test]
fn t16_no_descriptor_of_the_supervisor_is_a_working_directory_or_a_file_for_a_step() {
    let Some(land) = Land::found("", "", |_| {}) else {
        return;
    };
    let mut steps = String::from("type: graph\nsteps:\n");
    for n in 3..24 {
        for (what, key) in [("cwd", "working_dir"), ("out", "stdout")] {
            for place in ["self", "thread-self"] {
                steps += &format!(
                    "  - name: {what}-{place}-{n}\n    {key}: /proc/{place}/fd/{n}\n    command: 'readlink /proc/$$/cwd; ls -A . | head -n 3'\n"
                );
            }
        }
    }
    let run = land.submit(&user("one"), "tricks", &steps);
    let result = land.daemon.wait_end(&run);
    for step in result["steps"].as_array().unwrap() {
        let name = text_of(&step["name"]);
        if name.starts_with("cwd") {
            assert_eq!(step["status"], "failed", "{step:#}");
        }
        // What a name of a descriptor led to was nothing of the daemon's.
        let said = read(text_of(&step["stdout"]).as_ref());
        assert!(
            !said.contains("/cgroup") && !said.contains("/run/proctor"),
            "{name}: {said}"
        );
    }
    // The journal was whole to its end, or the run could not be read.
    land.look(&user("one"), "after", "").is(&user("one"));
    land.daemon.expect_clean();
}

/// What a daemon may find in its environment, and no job of another user may.
fn laden(command: &mut Command) {
    for (name, value) in [
        ("NOTIFY_SOCKET", "/nonexistent/notify"),
        ("JOURNAL_STREAM", "8:1"),
        ("INVOCATION_ID", "0123"),
        ("LISTEN_PID", "1"),
        ("LISTEN_FDS", "0"),
        ("WATCHDOG_USEC", "1"),
        ("MALLOC_ARENA_MAX", "2"),
        ("CREDENTIALS_DIRECTORY", "/run/credentials/proctord.service"),
        ("SECRET_OF_THE_DAEMON", "hunter2-of-root"),
        ("HOME", "/root"),
        ("USER", "root"),
        ("LOGNAME", "root"),
        ("SHELL", "/bin/bash"),
        ("MAIL", "/var/mail/root"),
        ("IFS", "x"),
        ("ENV", "/root/env"),
        ("BASH_ENV", "/root/env"),
        ("PYTHONPATH", "/root"),
        ("RUST_BACKTRACE", "1"),
    ] {
        command.env(name, value);
    }
}

#[test]
fn t17_the_environment_is_what_the_dag_and_the_configuration_give_and_nothing_of_the_daemons() {
    let config = "[job]\nenvironment = { SITE = \"here\" }\npath = \"/usr/bin:/bin\"\n";
    let Some(land) = Land::found(config, "", laden) else {
        return;
    };
    let look = land.look(&user("one"), "env", "env:\n  - GIVEN: by the DAG\n");
    let mut environ = look.environ();
    let mut take = |name: &str| {
        environ
            .remove(name)
            .unwrap_or_else(|| panic!("no {name}: {look:?}"))
    };
    for (name, value) in [
        ("PATH", "/usr/bin:/bin"),
        ("LANG", "C.UTF-8"),
        ("HOME", "/var/one"),
        ("SHELL", "/bin/sh"),
        ("USER", "one"),
        ("LOGNAME", "one"),
        ("SITE", "here"),
        ("GIVEN", "by the DAG"),
    ] {
        assert_eq!(take(name), value, "{name}");
    }
    // What is left tells the step about its run; the manual page has them all.
    let manual = read(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/man/proctor-dag.5").as_ref());
    for name in environ.keys() {
        assert!(
            manual.contains(name.as_str()),
            "{name} is not documented: {:?}",
            look.part("environ")
        );
    }
    assert!(!look.part("environ").contains("hunter2"));
    land.daemon.expect_clean();
}

#[test]
fn t17_a_secret_is_in_no_argument_list_and_in_no_environment_but_its_steps_and_in_no_file() {
    const SECRET: &str = "correct-horse-battery";
    let Some(land) = Land::found("", "", |_| {}) else {
        return;
    };
    let one = user("one");
    let file = land.daemon.path("src/token");
    std::fs::write(&file, SECRET).unwrap();
    std::os::unix::fs::chown(&file, Some(one.uid), Some(one.gid)).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let go = land.daemon.path("src/go");
    let text = format!(
        "secrets:\n  - {{name: TOKEN, provider: file, key: {}}}\nsteps:\n  - name: has\n    command: 'echo it is $TOKEN; while [ ! -e {} ]; do sleep 0.05; done'\n  - name: argument\n    command: echo \"$TOKEN\"\n    stdout: /dev/null\n",
        file.display(),
        go.display()
    );
    let run = land.submit(&one, "secret", &text);
    let step = until("the step runs", || {
        let view = land.daemon.status(&run);
        let pid = view["steps"][0]["pid"].as_u64()?;
        let log = read(text_of(&view["steps"][0]["stdout"]).as_ref());
        (log.contains("it is")).then(|| u32::try_from(pid).unwrap())
    });
    assert!(environ_has(step, SECRET), "it is where it belongs");
    let shim = land.daemon.shim(&run);
    for (pid, command) in processes_below(land.daemon.root()) {
        assert!(!command.contains(SECRET), "{pid}: {command}");
        let is_step = read(format!("/proc/{pid}/status").as_ref()).contains(&format!("PPid:\t{step}\n"));
        assert!(
            pid == step || is_step || !environ_has(pid, SECRET),
            "{pid}: {command}"
        );
    }
    for pid in [shim, land.daemon.pid()] {
        assert!(!environ_has(pid, SECRET));
    }
    let answers = [
        &["status", &run][..],
        &["history"],
        &["ps"],
        &["why", &run],
        &["logs", &run],
        &["attempts", &run],
    ];
    let search = |when: &str| {
        for words in answers {
            let said = land.daemon.ctl(words).text();
            assert!(!said.contains(SECRET), "{when}: {words:?}: {said}");
        }
        for found in files_below(&land.daemon.path("var"))
            .into_iter()
            .chain(files_below(&land.daemon.path("run")))
        {
            let bytes = std::fs::read(&found).unwrap_or_default();
            let has = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
            assert!(!has, "{when}: {}", found.display());
        }
        assert!(!land.daemon.log().contains(SECRET), "{when}");
    };
    search("live");
    std::fs::write(&go, "").unwrap();
    land.daemon.wait_success(&run);
    search("ended");
    land.daemon.expect_clean();
}
