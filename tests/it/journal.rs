//! What steps write in the journal: here a socket of the test's own takes it. That journald does is shown in tests/systemd.

use std::os::unix::net::UnixDatagram;

use serde_json::Value;

use crate::helper::{DEADLINE, Daemon, files_below, read};

/// A daemon whose steps write to this journal, too.
fn world(output: &str) -> (Daemon, UnixDatagram) {
    let mut daemon = Daemon::prepare("");
    let path = daemon.path("journal");
    let journal = UnixDatagram::bind(&path).unwrap();
    journal.set_read_timeout(Some(DEADLINE)).unwrap();
    daemon.configure(&format!(
        "[log]\nstep_output = \"{output}\"\njournal_socket = {path:?}\n"
    ));
    daemon.restart();
    (daemon, journal)
}

/// The fields of the next record.
fn record(journal: &UnixDatagram) -> Vec<(String, String)> {
    let mut bytes = vec![0; 64 * 1024];
    let count = journal.recv(&mut bytes).unwrap();
    let text = String::from_utf8(bytes[..count].to_vec()).unwrap();
    let field = |line: &str| {
        let (name, value) = line.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    text.lines().map(field).collect()
}

fn get<'r>(record: &'r [(String, String)], name: &str) -> &'r str {
    let found = record.iter().find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value)
}

/// The logs of a run's steps that have anything in them.
fn logs(daemon: &Daemon) -> Vec<String> {
    let mut files = files_below(&daemon.path("var/lib/proctor/attempts"));
    files.retain(|file| file.extension().is_some_and(|ending| ending != "json"));
    files.sort();
    files
        .iter()
        .map(|file| read(file))
        .filter(|text| !text.is_empty())
        .collect()
}

fn variable(result: &Value, step: usize, name: &str) -> String {
    let value = &result["steps"][step]["variables"][name];
    value.as_str().unwrap_or_default().to_owned()
}

#[test]
fn lines_go_to_the_journal_with_the_fields_of_their_step_and_to_the_file() {
    let (daemon, journal) = world("both");
    std::fs::write(daemon.path("src/token"), "hunter2-correct-horse").unwrap();
    let text = "secrets:\n  - {name: TOKEN, provider: file, key: token}\n\
                steps:\n  - name: say\n    script: |\n      echo \"one $TOKEN\"\n      printf two\n      echo oh >&2\n    output: SAID\n";
    let run = daemon.submit("spoken", text);
    let result = daemon.wait_success(&run);
    let mut found = [record(&journal), record(&journal), record(&journal)];
    // The two streams are read one after the other.
    found.sort_by_key(|record| get(record, "STREAM") == "stderr");
    let said: Vec<(&str, &str, &str)> = found
        .iter()
        .map(|record| {
            (
                get(record, "STREAM"),
                get(record, "PRIORITY"),
                get(record, "MESSAGE"),
            )
        })
        .collect();
    let wanted = [
        ("stdout", "6", "one *******"),
        ("stdout", "6", "two"),
        ("stderr", "5", "oh"),
    ];
    assert_eq!(said, wanted);
    let (dag, id) = run.split_once(':').unwrap();
    for record in &found {
        for (name, value) in [
            ("DAG", dag),
            ("RUN_ID", id),
            ("ATTEMPT_ID", result["attempt_id"].as_str().unwrap()),
            ("STEP", "say"),
            ("SYSLOG_IDENTIFIER", "proctor-step"),
            ("MESSAGE_ID", "d7a0b35c4e1f48269b6cf8015e92a47d"),
        ] {
            assert_eq!(get(record, name), value, "{name}");
        }
    }
    assert_eq!(variable(&result, 0, "SAID"), "one *******\ntwo");
    daemon.expect_clean();
    assert_eq!(logs(&daemon), ["oh\n", "one *******\ntwo"]);
}

#[test]
fn what_the_journal_has_leaves_no_file_behind_and_what_it_has_not_does() {
    let (daemon, journal) = world("journal");
    let text = "steps:\n  - {name: a, command: echo first}\n  - {name: b, command: echo oh >&2; exit 3}\n";
    let run = daemon.submit("kept", text);
    let result = daemon.wait_end(&run);
    // The error has the end of standard error all the same.
    let error = result["steps"][1]["error"].as_str().unwrap();
    assert!(error.contains("oh"), "{error}");
    assert_eq!(get(&record(&journal), "MESSAGE"), "first");
    assert_eq!(get(&record(&journal), "MESSAGE"), "oh");
    daemon.expect_clean();
    assert_eq!(logs(&daemon), Vec::<String>::new());
    // Without a journal there are the files.
    drop(journal);
    std::fs::remove_file(daemon.path("journal")).unwrap();
    let run = daemon.submit("kept", text);
    daemon.wait_end(&run);
    daemon.expect_clean();
    assert_eq!(logs(&daemon), ["first\n", "oh\n"]);
}

#[test]
fn a_journal_that_does_not_read_holds_up_no_step_and_is_told_what_it_has_not_got() {
    let (daemon, journal) = world("journal");
    let lines = 30_000;
    let text = format!(
        "steps: [{{name: a, command: \"seq 1000000 {}\"}}]",
        1_000_000 + lines - 1
    );
    let run = daemon.submit("much", &text);
    // Nobody reads the journal before the run has ended.
    let result = daemon.wait_success(&run);
    daemon.expect_clean();
    let file = result["steps"][0]["stdout"].as_str().unwrap();
    assert_eq!(read(file.as_ref()).lines().count(), lines);
    journal.set_nonblocking(true).unwrap();
    let mut got = 0;
    let mut bytes = vec![0; 64 * 1024];
    while journal.recv(&mut bytes).is_ok() {
        got += 1;
    }
    assert!(got < lines, "{got}");
    daemon.expect_unharmed();
}
