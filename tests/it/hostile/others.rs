//! T5: what is another user's, by the ways that are no verbs of the control socket: attempts' own sockets, and files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use proctor::sys::creds::User;
use proctor::wire::control::ErrorKind;
use proctor::wire::shim::{StatusRequest, StatusResponse};

use super::as_user;
use crate::helper::{Daemon, Running, Status, files_below, text_of, until};
use crate::users::{ctl_as, two_users};

const SECRET: &str = "hunter2-of-the-owner";

/// A run of `owner`'s that has a secret in its environment, its parameters and its output, and is live.
fn private_run(daemon: &Daemon, owner: &User) -> String {
    fs::set_permissions(daemon.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = daemon.dag(
        "private",
        &format!(
            "working_dir: /\nenv: [{{OWN: {SECRET}}}]\nparams: [{{P: {SECRET}}}]\nsteps:\n  - name: a\n    script: |\n      \
             echo {SECRET}; echo {SECRET} > $DAG_RUN_WORK_DIR/file; echo {SECRET} > $DAG_RUN_LOG_FILE\n      \
             while [ ! -e {} ]; do sleep 0.05; done\n",
            daemon.path("go").display()
        ),
    );
    let mut command = ctl_as(owner, daemon.root());
    command.args(["--json", "run", "--detach", &file]);
    let answer = Running::start(command).finish().expect_code(0).json();
    // The text lies where everybody can read it, which is not what this is about.
    fs::remove_file(file).unwrap();
    format!("{}:{}", text_of(&answer["dag"]), text_of(&answer["run_id"]))
}

fn is_denied(answer: &StatusResponse) -> bool {
    matches!(
        answer,
        StatusResponse::Error {
            kind: ErrorKind::Denied,
            ..
        }
    )
}

#[test]
fn t05_an_attempts_own_socket_serves_its_owner_and_root_and_takes_orders_from_nobody_else() {
    let Some((owner, stranger)) = two_users() else {
        return;
    };
    let mut daemon = Daemon::start("[control]\nsocket_mode = \"0666\"\n");
    let run = private_run(&daemon, &owner);
    let socket = daemon.status_socket(&run);
    daemon.shim(&run);
    let root = User::current().unwrap();
    let stop = StatusRequest::Stop { interrupted: false };
    // Whether each may: attach is the daemon's alone, which is root here; the stop comes last.
    let table = [
        (StatusRequest::Status, [true, true, false]),
        (StatusRequest::Signal(libc::SIGWINCH), [true, true, false]),
        (StatusRequest::Attach, [true, false, false]),
        (stop, [true, true, false]),
    ];
    for without_daemon in [false, true] {
        if without_daemon {
            daemon.kill9();
        }
        for (request, may) in &table {
            for (who, may) in [&root, &owner, &stranger].into_iter().zip(may) {
                if *may && matches!(request, StatusRequest::Stop { .. }) {
                    continue;
                }
                let answer = as_user(who, || Status::connect(&socket).ask(request));
                assert_eq!(
                    is_denied(&answer),
                    !may,
                    "{request:?} of {}: {answer:?}",
                    who.name
                );
                assert!(*may || !format!("{answer:?}").contains(SECRET));
            }
        }
    }
    daemon.restart();
    until("the daemon's channel", || {
        (daemon.ctl(&["--json", "doctor"]).json()["ok"] == true).then_some(())
    });
    assert_eq!(daemon.status(&run)["status"], "running");
    let answer = as_user(&owner, || {
        Status::connect(&socket).ask(&StatusRequest::Stop { interrupted: false })
    });
    assert_eq!(answer, StatusResponse::Ok);
    assert_eq!(daemon.wait_end(&run)["status"], "aborted");
    daemon.expect_clean();
}

/// The files below the root that a user can read.
fn readable(root: &Path, user: &User) -> Vec<PathBuf> {
    as_user(user, || {
        let mut files = files_below(root);
        files.retain(|file| fs::File::open(file).is_ok());
        files
    })
}

#[test]
fn t05_nothing_of_a_run_is_read_by_another_user() {
    let Some((owner, stranger)) = two_users() else {
        return;
    };
    let daemon = Daemon::start("[control]\nsocket_mode = \"0666\"\n");
    let run = private_run(&daemon, &owner);
    let shim = daemon.shim(&run);
    let has = |file: &Path| String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).contains(SECRET);
    let kept = || -> Vec<PathBuf> {
        let mut files = files_below(daemon.root());
        files.retain(|file| file.metadata().is_ok_and(|about| about.is_file()) && has(file));
        files
    };
    // Store or its log, step's output, file of the job's, and the one of the DAG's log directory.
    until("what the run writes", || (kept().len() >= 4).then_some(()));
    for live in [true, false] {
        for file in readable(daemon.root(), &stranger) {
            assert!(!has(&file), "{} is open to everybody", file.display());
        }
        // The owner reads his own, and not the store. His scratch directory lies in one that is not listed.
        let own = readable(daemon.root(), &owner);
        let own: Vec<PathBuf> = own.into_iter().filter(|file| has(file)).collect();
        // What it wrote, the DAG's own log, and while it runs its script.
        assert_eq!(own.len(), if live { 3 } else { 2 }, "{own:#?}");
        assert!(
            own.iter().all(|file| file.parent().unwrap().ends_with("logs")),
            "{own:#?}"
        );
        let scratch = kept().into_iter().find(|file| file.ends_with("file")).unwrap();
        assert!(as_user(&owner, || fs::File::open(&scratch).is_ok()));
        assert!(as_user(&stranger, || fs::File::open(&scratch).is_err()));
        if live {
            let step = crate::helper::processes_below(daemon.root());
            let pids = step
                .iter()
                .map(|(pid, _)| *pid)
                .filter(|pid| *pid != daemon.pid());
            for pid in pids.chain([shim]) {
                for name in ["environ", "mem", "maps", "fd", "cwd", "exe"] {
                    let place = format!("/proc/{pid}/{name}");
                    let seen = as_user(&stranger, || {
                        fs::read_link(&place).is_ok()
                            || fs::read_dir(&place).is_ok()
                            || fs::read(&place).is_ok()
                    });
                    assert!(!seen, "{place} is open to everybody");
                }
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                assert!(
                    !String::from_utf8_lossy(&line).contains(SECRET),
                    "a secret in a command line"
                );
            }
            // The supervisor is the job's user, and closed to him all the same.
            let closed = as_user(&owner, || fs::read_dir(format!("/proc/{shim}/fd")).is_err());
            assert!(closed, "a job can get at its supervisor's descriptors");
            fs::write(daemon.path("go"), "").unwrap();
            daemon.wait_success(&run);
        }
    }
    for words in [
        &["status", &run][..],
        &["logs", &run],
        &["why", &run],
        &["wait", &run],
        &["retry", &run],
        &["history"],
        &["ps"],
    ] {
        let mut command = ctl_as(&stranger, daemon.root());
        command.args(words);
        let out = Running::start(command).finish();
        assert!(!out.text().contains(SECRET), "{words:?}: {out:?}");
    }
    daemon.expect_clean();
}

/// P15: a denial names the process that asked, by what it runs.
#[test]
fn t05_a_denial_is_logged_with_number_user_and_program() {
    let Some((owner, stranger)) = two_users() else {
        return;
    };
    let daemon = Daemon::start("[control]\nsocket_mode = \"0666\"\n");
    let run = private_run(&daemon, &owner);
    let mut command = ctl_as(&stranger, daemon.root());
    command.args(["stop", &run]);
    let client = Running::start(command);
    let pid = client.pid();
    client.finish().expect_code(77);
    let program = fs::canonicalize(env!("CARGO_BIN_EXE_proctorctl")).unwrap();
    daemon.wait_log(&format!(
        "denied to uid {} (pid {pid}, {}): ",
        stranger.uid,
        program.display()
    ));
    fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}
