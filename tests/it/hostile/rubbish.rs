//! T9: bad input at both sockets: a clear answer or a closed connection, and a daemon that goes on.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use proctor::model::limits::FRAME_MAX;
use proctor::wire::codec;
use proctor::wire::hello::{CONTROL_MAGIC, Hello, STATUS_MAGIC};
use proctor::wire::shim::{StatusRequest, StatusResponse};
use serde_json::json;

use crate::helper::{Daemon, Status, until};

/// Sends bytes, ends the sending side, and gives what comes back until the connection is closed.
fn send(path: &Path, bytes: &[u8], end: bool) -> Vec<u8> {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    // It may be closed before everything is sent.
    drop(stream.write_all(bytes));
    if end {
        drop(stream.shutdown(std::net::Shutdown::Write));
    }
    let mut back = Vec::new();
    match stream.read_to_end(&mut back) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!(
                "neither an answer nor an end to {:?}",
                bytes.get(..40.min(bytes.len()))
            )
        }
        _ => back,
    }
}

/// Rubbish for a socket whose hello begins with `magic`.
fn rubbish(magic: [u8; 8]) -> Vec<Vec<u8>> {
    let hello = Hello::new(magic).to_bytes();
    let mut version = Hello::new(magic);
    version.version = 0xffff;
    let framed = |length: u32, rest: &[u8]| {
        let mut bytes = hello.to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(rest);
        bytes
    };
    vec![
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0; 64 * 1024],
        vec![0xff; 100],
        version.to_bytes().to_vec(),
        framed(u32::MAX, b"x"),
        framed(u32::try_from(FRAME_MAX).unwrap() + 1, b"x"),
        framed(5, &[0xff; 5]),
        framed(0, b""),
        framed(1000, &[0x03; 1000]),
        // A claim of very many elements in a small frame.
        framed(12, &[1, 253, 255, 255, 255, 255, 255, 255, 255, 0x7f, 0, 0]),
    ]
}

#[test]
fn t09_rubbish_at_the_control_socket_is_refused_and_the_daemon_goes_on() {
    let daemon = Daemon::start("[control]\nclient_timeout_sec = 1\n");
    let socket = daemon.path("run/proctor/control.sock");
    for bytes in rubbish(CONTROL_MAGIC) {
        let back = send(&socket, &bytes, false);
        let shown = String::from_utf8_lossy(&back).into_owned();
        assert!(
            back.starts_with(&CONTROL_MAGIC),
            "{:?} {shown:?}",
            bytes.get(..16.min(bytes.len()))
        );
        assert!(back.len() > 12, "no reason is given: {shown:?}");
    }
    // What is cut off in the middle gets no answer, and an end.
    let hello = Hello::new(CONTROL_MAGIC).to_bytes();
    for cut in [1, 8, 11] {
        assert!(send(&socket, hello.get(..cut).unwrap(), true).is_empty());
    }
    let mut truncated = hello.to_vec();
    truncated.extend(100u32.to_le_bytes());
    truncated.extend(b"abc");
    assert_eq!(send(&socket, &truncated, true).len(), hello.len());
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn t09_clients_that_say_half_a_hello_or_nothing_are_cut_off_and_do_not_keep_others_out_for_long() {
    let daemon = Daemon::start("[control]\nclient_timeout_sec = 0.5\nmax_clients = 8\n");
    let socket = daemon.path("run/proctor/control.sock");
    let silent: Vec<UnixStream> = (0..20)
        .map(|n| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            if n % 2 == 0 {
                stream.write_all(b"PROC").unwrap();
            }
            stream
        })
        .collect();
    let begun = Instant::now();
    for mut stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut bytes = [0; 64];
        assert_eq!(stream.read(&mut bytes).unwrap(), 0, "an end");
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn t09_a_client_that_asks_and_never_reads_is_cut_off_and_holds_up_nobody() {
    let daemon = Daemon::start("[control]\nclient_timeout_sec = 1\n");
    let mut stream = UnixStream::connect(daemon.path("run/proctor/control.sock")).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    let many = "{\"doctor\":{}}\n".repeat(1000);
    let begun = Instant::now();
    let mut cut = false;
    while begun.elapsed() < Duration::from_secs(40) {
        if let Err(error) = stream.write_all(many.as_bytes()) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it is not cut off");
            cut = true;
            break;
        }
    }
    assert!(cut, "a client may send without end");
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn t09_requests_as_lines_of_json_are_answered_and_wrong_ones_refused() {
    let daemon = Daemon::start("");
    let mut control = daemon.control();
    let pong = control.ask(&json!({"ping": {}}));
    assert_eq!(pong["pong"]["pid"], daemon.pid(), "{pong}");
    let answer = control
        .submit("lines", "r1", "steps: [{name: a, command: \"true\"}]")
        .unwrap();
    assert_eq!(answer["accepted"]["run"]["id"], "r1", "{answer}");
    control
        .send(&json!({"follow": {"dag": "lines", "run": "r1"}}))
        .unwrap();
    let mut last = control.receive().unwrap().unwrap();
    while last.get("done").is_none() {
        assert!(last.get("error").is_none(), "{last:#}");
        last = control.receive().unwrap().unwrap();
    }
    let run = control.ask(&json!({"status": {"dag": "lines"}}));
    assert_eq!(run["run"]["status"], "succeeded", "{run:#}");
    for wrong in [
        "{}",
        "{\"ping\":{},\"ps\":{}}",
        "{\"explode\":{}}",
        "{\"ping\":{\"x\":1}}",
        "{\"status\":{}}",
        "{\"status\":{\"dag\":7}}",
        "{not json}",
        "{\"submit\":{\"source\":\"\\ud800\"}}",
    ] {
        let back = send(
            &daemon.path("run/proctor/control.sock"),
            format!("{wrong}\n").as_bytes(),
            true,
        );
        let text = String::from_utf8_lossy(&back).into_owned();
        assert!(text.contains("\"error\""), "{wrong}: {text:?}");
    }
    // A script that sends its question and closes its side gets the answer all the same.
    let back = send(&daemon.path("run/proctor/control.sock"), b"{\"ping\":{}}\n", true);
    assert!(String::from_utf8_lossy(&back).contains("pong"), "{back:?}");
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn t09_ids_that_are_no_file_names_are_refused_everywhere() {
    let daemon = Daemon::start("");
    let source = "steps: [{name: a, command: \"true\"}]";
    let long = "x".repeat(10_000);
    for bad in [
        "a/b",
        "..",
        ".",
        "../../etc",
        "a\0b",
        "a\nb",
        "",
        "a b",
        "\u{1b}[31m",
        "ü",
        &long,
    ] {
        let mut control = daemon.control();
        let mut requests = vec![
            json!({"submit": {"source": source, "stem": "x", "run_id": bad}}),
            json!({"submit": {"source": source, "stem": "x", "name": bad}}),
            json!({"submit": {"name": bad}}),
            json!({"status": {"dag": bad}}),
            json!({"status": {"dag": "x", "run": bad}}),
            json!({"stop": {"run": {"dag": "x", "run": bad}}}),
            json!({"retry": {"dag": bad}}),
            json!({"rerun": {"dag": bad}}),
            json!({"why": {"dag": bad}}),
            json!({"attempts": {"dag": "x", "run": bad}}),
            json!({"follow": {"dag": bad}}),
            json!({"history": {"dag": bad}}),
        ];
        if bad == "." || bad == ".." || bad == "ü" {
            requests.push(json!({"submit": {"source": format!("name: {bad}\n{source}"), "stem": "x"}}));
        }
        for request in requests {
            // A line that is no request ends the connection after the answer.
            let answer = match control.send(&request).and_then(|()| control.receive()) {
                Ok(Some(answer)) => answer,
                _ => {
                    control = daemon.control();
                    control.ask(&request)
                }
            };
            let error = &answer["error"];
            assert!(error.is_object(), "{request}: {answer:#}");
            let message = error["message"].as_str().unwrap();
            assert!(message.len() < 1000, "{} bytes of message", message.len());
            assert!(!message.contains(['\n', '\0', '\x1b']), "{message:?}");
        }
    }
    let history = daemon.json(&["history"]);
    assert_eq!(history["runs"].as_array().unwrap().len(), 0, "{history:#}");
    daemon.expect_unharmed();
    daemon.expect_clean();
}

#[test]
fn t09_rubbish_at_a_status_socket_is_refused_and_the_attempt_goes_on() {
    let mut daemon = Daemon::start("[control]\nmax_status_clients = 4\n");
    let go = daemon.path("go");
    let text = format!(
        "steps:\n  - name: a\n    command: while [ ! -e {} ]; do sleep 0.05; done\n",
        go.display()
    );
    let run = daemon.submit("attacked", &text);
    let socket = daemon.status_socket(&run);
    for bytes in rubbish(STATUS_MAGIC) {
        let back = send(&socket, &bytes, false);
        assert!(
            back.starts_with(&STATUS_MAGIC),
            "{:?}",
            bytes.get(..16.min(bytes.len()))
        );
    }
    assert!(send(&socket, b"PROC", true).is_empty());
    drop(send(&socket, b"{\"status\":{}}\n", false));
    // One that asks in a loop and never reads.
    let mut deaf = UnixStream::connect(&socket).unwrap();
    deaf.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    deaf.write_all(&Hello::new(STATUS_MAGIC).to_bytes()).unwrap();
    let ask = codec::encode(&StatusRequest::Status, FRAME_MAX)
        .unwrap()
        .repeat(1000);
    let begun = Instant::now();
    // Either it is cut off or its sending is held up; what it cannot do is to make the shim wait or grow.
    deaf.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    while begun.elapsed() < Duration::from_secs(10) && deaf.write_all(&ask).is_ok() {}
    let mut client = Status::connect(&socket);
    assert!(matches!(
        client.ask(&StatusRequest::Status),
        StatusResponse::Status(_)
    ));
    let refused = client.ask(&StatusRequest::Signal(9999));
    assert!(matches!(refused, StatusResponse::Error { .. }), "{refused:?}");
    // Clients that connect and say nothing keep neither the owner nor a new daemon out.
    let silent: Vec<UnixStream> = (0..12).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let mut client = Status::connect(&socket);
    assert!(matches!(
        client.ask(&StatusRequest::Status),
        StatusResponse::Status(_)
    ));
    daemon.kill9();
    daemon.restart();
    until("the daemon's channel", || {
        let report = daemon.ctl(&["--json", "doctor"]).json();
        (report["ok"] == true).then_some(())
    });
    drop(silent);
    std::fs::write(&go, "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}
