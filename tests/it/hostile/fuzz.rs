//! T9: requests made at random, with a seed, by their structure and by their bytes, at both sockets.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use proctor::model::limits::FRAME_MAX;
use proctor::model::{DagName, RunId};
use proctor::wire::codec;
use proctor::wire::control::{HistoryFilter, Request, Selector};
use proctor::wire::hello::{CONTROL_MAGIC, Hello, STATUS_MAGIC};
use proctor::wire::shim::{StatusRequest, StatusResponse};
use serde_json::{Value, json};

use super::waiting;
use crate::helper::{Daemon, Rng, Status, until};

/// How many of each kind. Longer ones are for `PROCTOR_IT_FUZZ=n`.
fn rounds() -> u64 {
    let given = std::env::var("PROCTOR_IT_FUZZ").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(250)
}

fn pick<'a, T>(rng: &mut Rng, all: &'a [T]) -> &'a T {
    let at = rng.below(all.len() as u64);
    &all[usize::try_from(at).unwrap()]
}

/// Memory that a process has for itself, in KiB.
fn private_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap()
}

/// A value of any shape, some of them made to hurt.
fn value(rng: &mut Rng, depth: u32) -> Value {
    let texts = [
        "",
        "a",
        "..",
        "a/b",
        "\0",
        "\u{1b}[2J",
        "\u{202e}",
        "-1",
        "r1",
        "default",
        "sched-20300101T000000-00000000",
    ];
    match rng.below(if depth == 0 { 8 } else { 11 }) {
        0 => Value::Null,
        1 => json!(rng.below(2) == 0),
        2 => json!(i64::MIN),
        3 => json!(u64::MAX),
        4 => json!(1e308),
        5 => json!(*pick(rng, &texts)),
        6 => json!("x".repeat(usize::try_from(rng.below(100_000)).unwrap())),
        7 => json!(rng.below(1000)),
        8 => (0..rng.below(6)).map(|_| value(rng, depth - 1)).collect(),
        9 => {
            let pairs = (0..rng.below(6)).map(|n| (format!("k{n}"), value(rng, depth - 1)));
            Value::Object(pairs.collect())
        }
        _ => {
            let deep = usize::try_from(rng.below(2000)).unwrap();
            let text = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
            serde_json::from_str(&text).unwrap_or(Value::Null)
        }
    }
}

/// Requests that mean something, before something is done to them. None of them is for good.
fn requests() -> Vec<Value> {
    let selector = json!({"dag": "fuzzed", "run": "r1"});
    let mut all = vec![
        json!({"ping": {}}),
        json!({"ps": {}}),
        json!({"history": {"dag": "fuzzed", "statuses": ["failed"], "from": 0, "to": 1, "limit": 10, "lost": true}}),
        json!({"doctor": {"repair": false}}),
        json!({"dags": {}}),
        json!({"next": {"dag": "fuzzed", "count": 5}}),
        json!({"queues": {}}),
        json!({"queue": {"queue": "q"}}),
        json!({"cleanup": {"dag": "fuzzed", "keep_days": 1, "keep_runs": 1, "dry_run": true}}),
        json!({"submit": {"source": "steps: [{name: a, command: 'true'}]", "stem": "fuzzed", "params": "A=1", "args": ["b"],
            "base_dir": "/", "run_id": "r1", "priority": 0, "queue": "q", "file": "f", "trigger": "manual", "now": false}}),
        json!({"install": {"source": "steps: [{name: a, command: 'true'}]", "stem": "fuzzed", "file": "f", "replace": true}}),
        json!({"approve": {"run": selector, "step": "a", "inputs": [["a", "b"]]}}),
        json!({"reject": {"run": selector, "step": "a", "reason": "no"}}),
        json!({"move": {"run": selector, "queue": "q", "priority": 1, "first": true}}),
        json!({"stop": {"run": selector, "interrupted": true}}),
        json!({"source": {"dag": "fuzzed"}}),
        json!({"enable": {"dag": "fuzzed", "on": true}}),
    ];
    for verb in ["follow", "status", "retry", "rerun", "attempts", "why", "dequeue"] {
        all.push(json!({ verb: selector }));
    }
    all
}

/// Changes one part of a request, somewhere inside.
fn change(rng: &mut Rng, part: &mut Value) {
    match part {
        Value::Object(members) if !members.is_empty() && rng.below(8) > 0 => {
            let names: Vec<String> = members.keys().cloned().collect();
            let name = pick(rng, &names).clone();
            match rng.below(6) {
                0 => drop(members.shift_remove(&name)),
                1 => drop(members.insert(String::from("unknown"), value(rng, 2))),
                _ => change(rng, members.get_mut(&name).unwrap()),
            }
        }
        Value::Array(all) if !all.is_empty() && rng.below(4) > 0 => {
            let at = usize::try_from(rng.below(all.len() as u64)).unwrap();
            change(rng, &mut all[at]);
        }
        other => *other = value(rng, 3),
    }
}

/// Sends bytes in pieces and reads until the other side has ended, or has said nothing more for a while.
fn exchange(path: &Path, bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut rest = bytes;
    while !rest.is_empty() {
        let most = if rng.below(4) == 0 { 7 } else { 64 * 1024 };
        let (piece, after) = rest.split_at(most.min(rest.len()));
        // It may be closed in the middle.
        if stream.write_all(piece).is_err() {
            break;
        }
        rest = after;
    }
    drop(stream.shutdown(std::net::Shutdown::Write));
    let mut back = Vec::new();
    match (&mut stream).take(16 << 20).read_to_end(&mut back) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!(
                "no end to {:?}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(2000)])
            )
        }
        _ => back,
    }
}

/// Whether the memory is what it was, but for what a program keeps for the next time.
fn expect_small(pid: u32, before: u64) {
    let after = private_memory(pid);
    assert!(
        after < before + 96 * 1024,
        "{before} KiB before, {after} KiB after"
    );
}

#[test]
fn t09_json_requests_changed_at_random_are_answered_and_harm_nothing() {
    let mut rng = Rng::new();
    let daemon = Daemon::start("[queue]\nmax_active_runs = 0\n[retention]\nenabled = false\n");
    let socket = daemon.path("run/proctor/control.sock");
    daemon.expect_unharmed();
    let (all, before) = (requests(), private_memory(daemon.pid()));
    for _ in 0..rounds() {
        let mut request = pick(&mut rng, &all).clone();
        for _ in 0..rng.below(3) {
            change(&mut rng, &mut request);
        }
        let mut line = request.to_string();
        if rng.below(6) == 0 {
            let at = usize::try_from(rng.below(line.len() as u64)).unwrap();
            line = line
                .chars()
                .enumerate()
                .map(|(n, c)| if n == at { '\u{fffd}' } else { c })
                .collect();
        }
        // A line that does not begin like one is no JSON at all.
        if !line.starts_with('{') {
            line.insert(0, '{');
        }
        line.push('\n');
        let back = exchange(&socket, line.as_bytes(), &mut rng);
        let text = String::from_utf8(back).unwrap();
        for answer in text.lines() {
            let answer: Value = serde_json::from_str(answer).unwrap();
            assert!(answer.is_object(), "{answer}");
            assert!(!answer.to_string().contains("panicked"), "{answer}");
        }
        assert!(!text.is_empty(), "no answer to {line:?}");
    }
    expect_small(daemon.pid(), before);
    until("what was started has ended", || {
        daemon.json(&["ps"])["runs"]
            .as_array()
            .unwrap()
            .is_empty()
            .then_some(())
    });
    daemon.expect_unharmed();
    daemon.expect_clean();
}

/// Binary requests, before something is done to their bytes.
fn binary_requests() -> Vec<Request> {
    let run = Selector {
        dag: DagName::new("fuzzed").unwrap(),
        run: RunId::new("r1").ok(),
    };
    vec![
        Request::Ping,
        Request::Ps,
        Request::Follow(run.clone()),
        Request::Status(run.clone()),
        Request::Stop {
            run: run.clone(),
            interrupted: true,
        },
        Request::History(HistoryFilter::default()),
        Request::Approve {
            run,
            step: Some("a".repeat(300)),
            inputs: vec![("a".into(), "b".repeat(3000))],
        },
        Request::Next { dag: None, count: 7 },
    ]
}

/// Does something to the bytes of a frame, its length included.
fn spoil(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
        match rng.below(5) {
            0 => bytes[at] = u8::try_from(rng.below(256)).unwrap(),
            // The marks of long numbers, which claim very much.
            1 => bytes[at] = 251 + u8::try_from(rng.below(5)).unwrap(),
            2 => bytes.truncate(at.max(1)),
            3 => bytes.insert(at, u8::try_from(rng.below(256)).unwrap()),
            _ => {
                let more: Vec<u8> = (0..rng.below(40)).map(|_| 0xff).collect();
                bytes.splice(at..at, more);
            }
        }
    }
}

#[test]
fn t09_frames_changed_at_random_are_answered_or_cut_off_at_both_sockets() {
    let mut rng = Rng::new();
    let daemon = Daemon::start("");
    let run = daemon.submit("lives", &waiting(&daemon, ":"));
    let shim = daemon.shim(&run);
    let (control, status) = (
        daemon.path("run/proctor/control.sock"),
        daemon.status_socket(&run),
    );
    let requests: Vec<Vec<u8>> = binary_requests()
        .iter()
        .map(|request| codec::encode(request, FRAME_MAX).unwrap())
        .collect();
    // Neither a stop nor an attachment, which would be obeyed.
    let questions = [StatusRequest::Status, StatusRequest::Signal(libc::SIGWINCH)];
    let questions: Vec<Vec<u8>> = questions
        .iter()
        .map(|request| codec::encode(request, FRAME_MAX).unwrap())
        .collect();
    let before = [daemon.pid(), shim].map(private_memory);
    for _ in 0..rounds() {
        for (socket, magic, frames) in [
            (&control, CONTROL_MAGIC, &requests),
            (&status, STATUS_MAGIC, &questions),
        ] {
            let mut bytes: Vec<u8> = Vec::new();
            for _ in 0..=rng.below(2) {
                let mut frame = pick(&mut rng, frames).clone();
                spoil(&mut frame, &mut rng);
                bytes.extend(frame);
            }
            if socket == &status && decodes_to_an_order(&bytes) {
                continue;
            }
            let mut all = Hello::new(magic).to_bytes().to_vec();
            if rng.below(10) == 0 {
                spoil(&mut all, &mut rng);
            }
            all.extend(bytes);
            exchange(socket, &all, &mut rng);
        }
    }
    for (pid, before) in [daemon.pid(), shim].into_iter().zip(before) {
        expect_small(pid, before);
    }
    let mut client = Status::connect(&status);
    assert!(matches!(
        client.ask(&StatusRequest::Status),
        StatusResponse::Status(_)
    ));
    assert_eq!(daemon.status(&run)["status"], "running");
    fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_unharmed();
    daemon.expect_clean();
}

/// Whether one of the frames has become a request that is obeyed: a stop, a signal that ends something, an attachment.
fn decodes_to_an_order(bytes: &[u8]) -> bool {
    let mut frames = codec::FrameBuffer::new(FRAME_MAX);
    frames.push(bytes);
    while let Ok(Some(frame)) = frames.next_frame() {
        match codec::decode(&frame) {
            Ok(StatusRequest::Status | StatusRequest::Signal(libc::SIGWINCH)) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
    false
}
