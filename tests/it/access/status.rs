//! The status socket of an attempt: its owner and root, also when the daemon is down; to attach is for the daemon's own user.

use proctor::sys::creds::User;
use proctor::wire::control::ErrorKind;
use proctor::wire::shim::{DENIALS_MAX, StatusRequest, StatusResponse};
use serde_json::json;

use super::{People, connect_as, control_as, open_world, people};
use crate::helper::{Daemon, Status, until};

const TRAPS: &str =
    "working_dir: /\nsteps: [{name: a, script: \"trap 'exit 0' USR1\\nwhile :; do sleep 0.05; done\"}]";

/// Waits until the log has every denial of the table so many times.
fn told(daemon: &Daemon, people: &People, times: usize) {
    let told = |verb: &str, user: &User| {
        let line = format!(
            "the supervisor of traps:r denied {verb} to uid {} (pid ",
            user.uid
        );
        daemon.log().matches(&line).count()
    };
    until("the denials are told", || {
        let strangers = [&people.bob, &people.admin].into_iter();
        let all = |user| {
            ["status", "stop", "attach"]
                .iter()
                .all(|verb| told(verb, user) == times)
        };
        let strangers = strangers.filter(|user| all(user) && told("signal", user) == 2 * times);
        (strangers.count() == 2 && told("attach", &people.ann) == times).then_some(())
    });
}

#[test]
fn every_cell_of_role_and_verb_of_a_status_socket_with_the_daemon_and_without() {
    let Some(people) = people() else { return };
    let mut daemon = open_world(&people.config());
    let root = User::by_uid(0).unwrap();
    let submitted = control_as(&people.ann, &daemon)
        .submit("traps", "r", TRAPS)
        .unwrap();
    assert!(submitted["accepted"].is_object(), "{submitted:#}");
    until("the step runs", || {
        let run = daemon.status("traps:r");
        (run["steps"][0]["status"] == "running").then_some(())
    });
    let socket = daemon.status_socket("traps:r");
    let ask = |user: &User, request: &StatusRequest| Status::over(connect_as(user, &socket)).ask(request);
    let denied = |answer: &StatusResponse| {
        matches!(
            answer,
            StatusResponse::Error {
                kind: ErrorKind::Denied,
                ..
            }
        )
    };
    for with_daemon in [true, false] {
        if !with_daemon {
            told(&daemon, &people, 1);
            daemon.kill9();
        }
        // Signal 0 reaches nobody, and is no signal to send; that is told to who may only.
        for (user, may) in [
            (&root, true),
            (&people.ann, true),
            (&people.bob, false),
            (&people.admin, false),
        ] {
            let answer = ask(user, &StatusRequest::Status);
            assert_eq!(matches!(answer, StatusResponse::Status(_)), may, "{answer:?}");
            assert_eq!(denied(&answer), !may, "{} {answer:?}", user.name);
            assert_eq!(
                denied(&ask(user, &StatusRequest::Signal(0))),
                !may,
                "{}",
                user.name
            );
            if !may {
                let stop = StatusRequest::Stop { interrupted: false };
                for request in [stop, StatusRequest::Signal(libc::SIGKILL), StatusRequest::Attach] {
                    assert!(denied(&ask(user, &request)), "{} {request:?}", user.name);
                }
            }
        }
        assert!(denied(&ask(&people.ann, &StatusRequest::Attach)));
    }
    // The log has it all, also of the time without a daemon; the socket has no say in that, so it has an end.
    daemon.restart();
    told(&daemon, &people, 2);
    for _ in 0..2 * DENIALS_MAX {
        assert!(denied(&ask(&people.bob, &StatusRequest::Status)));
    }
    // Nothing of what was denied came through, and the owner's word does.
    assert_eq!(
        ask(&people.ann, &StatusRequest::Signal(libc::SIGUSR1)),
        StatusResponse::Ok
    );
    daemon.wait_success("traps:r");
    let denials = || daemon.log().matches("the supervisor of traps:r denied ").count();
    until("the last denial that is told", || {
        (denials() >= DENIALS_MAX as usize).then_some(())
    });
    let history = control_as(&people.ann, &daemon).ask(&json!({"history": {}}));
    assert_eq!(history["runs"].as_array().unwrap().len(), 1, "{history:#}");
    daemon.expect_clean();
    assert_eq!(denials(), DENIALS_MAX as usize);
}
