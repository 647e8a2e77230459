//! T8: records and messages that are not what they seem: journals, the supervisor's side of its channel, notifications.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proctor::model::limits::FRAME_MAX;
use proctor::wire::codec;
use proctor::wire::hello::{HELLO_LEN, Hello, STATUS_MAGIC};
use proctor::wire::shim::{FromShim, SlotUse, StatusResponse};

use super::waiting;
use crate::helper::{DEADLINE, Daemon, Rng, alive, text_of, until};

/// Something done to a journal, and whether an end that is recorded may still be believed.
fn damage(bytes: &mut Vec<u8>, how: u64, rng: &mut Rng) -> bool {
    let len = bytes.len() as u64;
    let at = usize::try_from(rng.below(len)).unwrap();
    match how {
        // As it is.
        0 => return true,
        1 => bytes[at] ^= 1 << rng.below(8),
        2 => bytes.truncate(at),
        3 => bytes.insert(at, 0),
        4 => bytes.insert(at, b'\n'),
        5 => {
            let field = vec![b'x'; 1024 * 1024];
            bytes.splice(at..at, field);
        }
        6 => bytes.clear(),
        7 => {
            // A line of another shape, with a right end.
            let line = format!(
                "00000000 {{\"at\":1,\"fact\":\"ended\",\"status\":\"{}\"}}\n",
                "\u{1b}\\n".repeat(1000)
            );
            bytes.extend(line.as_bytes());
            return true;
        }
        8 => bytes.extend(vec![b'y'; 8 * 1024 * 1024]),
        _ => {
            let piece: Vec<u8> = (0..2000).map(|_| u8::try_from(rng.below(256)).unwrap()).collect();
            bytes.splice(at.., piece);
        }
    }
    false
}

#[test]
fn t08_a_damaged_journal_is_told_from_a_good_one_and_stops_nothing() {
    const RUNS: u64 = 20;
    let mut rng = Rng::new();
    let mut daemon = Daemon::start("[queue]\nmax_active_runs = 0\n");
    let text = waiting(&daemon, ":");
    let runs: Vec<String> = (0..RUNS)
        .map(|n| daemon.submit(&format!("damaged{n}"), &text))
        .collect();
    let shims: Vec<u32> = runs.iter().map(|run| daemon.shim(run)).collect();
    let attempts: Vec<String> = runs
        .iter()
        .map(|run| text_of(&daemon.status(run)["attempt_id"]).to_owned())
        .collect();
    daemon.kill9();
    fs::write(daemon.path("go"), "").unwrap();
    for shim in shims {
        until("the end of the supervisor", || (!alive(shim)).then_some(()));
    }
    let days: Vec<PathBuf> = fs::read_dir(daemon.path("var/lib/proctor/attempts"))
        .unwrap()
        .map(|day| day.unwrap().path())
        .collect();
    let mut good = BTreeSet::new();
    for (number, attempt) in (0..).zip(&attempts) {
        let journal = days
            .iter()
            .map(|day| day.join(attempt).join("journal"))
            .find(|path| path.exists());
        let journal = journal.unwrap();
        let mut bytes = fs::read(&journal).unwrap();
        if damage(&mut bytes, number % 10, &mut rng) {
            good.insert(attempt.clone());
        }
        fs::write(journal, bytes).unwrap();
    }
    daemon.restart();
    for (run, attempt) in runs.iter().zip(&attempts) {
        let end = daemon.wait_end(run);
        let error = text_of(&end["error"]);
        match text_of(&end["status"]) {
            // What was hit may have been the part behind the record of the end.
            "succeeded" => {}
            "failed" => assert!(error.starts_with("lost: ") && !good.contains(attempt), "{end:#}"),
            other => panic!("{other}: {end:#}"),
        }
        assert!(!error.contains(['\n', '\u{1b}', '\0']), "{error:?}");
        if good.contains(attempt) {
            assert_eq!(end["status"], "succeeded", "{end:#}");
        }
    }
    daemon.expect_unharmed();
    daemon.expect_clean();
}

/// A peer that accepts what the daemon opens, and answers with these bytes, again and again.
fn pretend(listener: &UnixListener, answers: &[u8]) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut hello = [0; HELLO_LEN];
    stream.read_exact(&mut hello).unwrap();
    drop(stream.write_all(answers));
    // What the daemon says is not heard; it cuts the line or goes on.
    drop(stream.shutdown(std::net::Shutdown::Write));
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    drop(std::io::copy(
        &mut Read::by_ref(&mut stream).take(1 << 20),
        &mut std::io::sink(),
    ));
}

fn frames(messages: &[FromShim]) -> Vec<u8> {
    let hello = Hello::new(STATUS_MAGIC).to_bytes().to_vec();
    let ok = codec::encode(&StatusResponse::Ok, FRAME_MAX).unwrap();
    let messages = messages
        .iter()
        .flat_map(|message| codec::encode(message, FRAME_MAX).unwrap());
    hello.into_iter().chain(ok).chain(messages).collect()
}

#[test]
fn t08_a_supervisor_that_talks_nonsense_harms_nobody_and_is_not_believed() {
    let mut rng = Rng::new();
    let mut daemon = Daemon::start("");
    let run = daemon.submit("talks", &waiting(&daemon, ":"));
    let shim = daemon.shim(&run);
    let socket = daemon.status_socket(&run);
    let aside = socket.with_extension("aside");
    let good = frames(&[]);
    let mut all: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0; 100_000],
        good[..HELLO_LEN].to_vec(),
        [&good[..HELLO_LEN], &u32::MAX.to_le_bytes()[..], b"x"].concat(),
        // Every message out of place, and for things that are not there.
        frames(&[
            FromShim::Ready,
            FromShim::EntryReplaced,
            FromShim::StopCall(u64::MAX),
            FromShim::KillCall(0),
            FromShim::GrantSlot(7),
            FromShim::Slot(SlotUse::Resting),
            FromShim::Slot(SlotUse::Wanted),
        ]),
        frames(&vec![FromShim::Poke; 50_000]),
        [&good[..], &[5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff]].concat(),
    ];
    for _ in 0..5 {
        let mut bytes = frames(&[FromShim::Poke, FromShim::StopCall(1), FromShim::Poke]);
        for _ in 0..3 {
            let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
            bytes[at] = u8::try_from(rng.below(256)).unwrap();
        }
        all.push(bytes);
    }
    fs::rename(&socket, &aside).unwrap();
    for bytes in all {
        daemon.kill9();
        let listener = UnixListener::bind(&socket).unwrap();
        daemon.restart();
        pretend(&listener, &bytes);
        assert_eq!(daemon.status(&run)["status"], "running", "{}", daemon.log());
        assert_eq!(daemon.shim(&run), shim);
        drop(listener);
        fs::remove_file(&socket).unwrap();
    }
    daemon.expect_unharmed();
    daemon.kill9();
    fs::rename(&aside, &socket).unwrap();
    daemon.restart();
    fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

/// A line of a notification is one assignment (sd_notify(3)), whatever the names in it are.
#[test]
fn t08_notifications_are_short_lines_of_known_words() {
    let known = [
        "READY",
        "STATUS",
        "WATCHDOG",
        "STOPPING",
        "RELOADING",
        "MONOTONIC_USEC",
        "MAINPID",
        "FDSTORE",
        "FDNAME",
    ];
    let mut daemon = Daemon::prepare("[log]\nlevel = \"info\"\n");
    let place = daemon.path("src/notify");
    let socket = UnixDatagram::bind(&place).unwrap();
    // Read all the time: a queue of datagrams holds few, and whoever sends one more waits.
    let (done, begun) = (AtomicBool::new(false), Instant::now());
    let told: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let (mut buffer, mut told) = (vec![0; 64 * 1024], Vec::new());
            loop {
                match socket.recv(&mut buffer) {
                    Ok(n) => told.push(buffer[..n].to_vec()),
                    // If the test fails before that, it is not to wait for ever.
                    Err(_) if done.load(Ordering::Relaxed) || begun.elapsed() > 5 * DEADLINE => {
                        return told;
                    }
                    Err(_) => {}
                }
            }
        });
        daemon.restart_with(|command| {
            command
                .env("NOTIFY_SOCKET", &place)
                .env("WATCHDOG_USEC", "200000");
        });
        // The longest names there are.
        let name = "n".repeat(proctor::model::limits::DAG_NAME_MAX);
        let file = daemon.dag(
            &name,
            "schedule: 1 3 1 1 *\nsteps: [{name: \"a\\nSTOPPING=1\", command: 'true'}]",
        );
        daemon.ctl(&["install", &file]);
        daemon.ctl(&["run", &file, "--run-id", &"r".repeat(64)]);
        daemon.json(&["reload"]);
        daemon.expect_unharmed();
        daemon.expect_clean();
        daemon.stop();
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    let mut words = BTreeSet::new();
    for text in &told {
        assert!(text.len() < 1024, "{} bytes", text.len());
        let text = std::str::from_utf8(text).unwrap();
        for line in text.lines() {
            let (word, value) = line.split_once('=').unwrap_or_else(|| panic!("{text:?}"));
            assert!(known.contains(&word), "{text:?}");
            assert!(!value.contains(|c: char| c.is_control()), "{text:?}");
            words.insert(word.to_owned());
        }
    }
    for word in ["READY", "STATUS", "WATCHDOG", "STOPPING"] {
        assert!(words.contains(word), "{words:?}");
    }
    fs::remove_file(&place).unwrap();
}
