//! The store under SIGKILL and on a full disk. The test binary runs itself as the process that is killed.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like the tests")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says why")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;

use proctor::model::change::{Change, NewRun};
use proctor::model::view::StepView;
use proctor::model::{
    AttemptId, DagName, GroupName, Node, RunId, RunRef, RunStatus, StepStatus, Time, Trigger,
};
use proctor::store::{Error, Filter, OpenError, Options, Store};

const DATABASE: &str = "PROCTOR_TEST_DATABASE";
const FIRST: &str = "PROCTOR_TEST_FIRST";
const DIRECTORY: &str = "PROCTOR_TEST_DIRECTORY";
/// Batches that are under way at a time.
const WINDOW: u64 = 24;

type Answers = mpsc::Receiver<(u64, Result<(), Error>)>;

fn open(path: &Path) -> (Store, Answers) {
    let options = Options::new(Arc::new(|at, attempt| {
        format!("/attempts/{}/{attempt}", at.day())
    }));
    let (sender, answers) = mpsc::channel();
    let done = Box::new(move |number, result| drop(sender.send((number, result))));
    (Store::open(path, options, done).unwrap(), answers)
}

fn run_ref(number: u64) -> RunRef {
    RunRef {
        dag: DagName::new("crash").unwrap(),
        id: RunId::new(format!("r{number}")).unwrap(),
    }
}

/// A whole life in one batch: if any part of it is missing, the batch was torn.
fn batch(number: u64, dag_bytes: usize) -> Vec<Change> {
    let run = run_ref(number);
    let attempt = AttemptId::derive(&run, 1);
    let step = |index: u32| {
        let mut view = StepView::new("s");
        view.status = StepStatus::Succeeded;
        Change::Step {
            attempt: attempt.clone(),
            node: Node::Step(index),
            view: Box::new(view),
        }
    };
    vec![
        Change::Accept(Box::new(NewRun {
            run: run.clone(),
            group: GroupName::new("crash").unwrap(),
            capacity: 1,
            owner: 0,
            trigger: Trigger::Manual,
            created_at: Time(1),
            dag_hash: format!("{number}"),
            dag: "x".repeat(dag_bytes).into(),
            steps: vec!["a".to_owned(), "b".to_owned()],
            handlers: Vec::new(),
            params: Vec::new(),
            params_json: String::new(),
            base_dir: "/".to_owned(),
            parent: None,
            priority: proctor::model::Priority::default(),
            now: false,
            dag_limit: 0,
            scheduled_for: None,
            retry: None,
        })),
        Change::Intend {
            run,
            attempt: attempt.clone(),
            number: 1,
            at: Time(2),
        },
        Change::Start {
            attempt: attempt.clone(),
            at: Time(3),
            params: None,
        },
        step(0),
        step(1),
        Change::End {
            attempt: attempt.clone(),
            status: RunStatus::Succeeded,
            error: None,
            lost: None,
            outputs: Vec::new(),
            timed_out: false,
            kill_escalated: false,
            at: Time(4),
        },
        Change::Clean { attempt },
    ]
}

/// Every run that is there is whole, and nothing else is there.
fn check_whole(store: &Store) -> u64 {
    let reader = store.reader();
    assert_eq!(reader.integrity_check().unwrap(), Vec::<String>::new());
    let counts = reader.counts().unwrap();
    assert_eq!((counts.queued, counts.live, counts.not_cleaned), (0, 0, 0));
    let mut filter = Filter::default();
    let mut runs = 0;
    loop {
        let page = reader.history(&filter).unwrap();
        for run in page.runs {
            assert_eq!(
                (run.status, run.progress),
                (RunStatus::Succeeded, (2, 2)),
                "{}",
                run.run
            );
            runs += 1;
        }
        let Some(next) = page.next else { return runs };
        filter.before = Some(next);
    }
}

/// The process that is killed.
fn write_for_ever(path: &Path) {
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let (store, answers) = open(path);
    let mut next = first;
    loop {
        while next < first + WINDOW {
            store.submit(next, batch(next, 500)).unwrap();
            next += 1;
        }
        let (number, result) = answers.recv().unwrap();
        result.unwrap();
        // Past the test harness, which would keep the line.
        writeln!(std::io::stdout().lock(), "\nacknowledged {number}").unwrap();
        store.submit(next, batch(next, 500)).unwrap();
        next += 1;
    }
}

fn child(path: &Path, first: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "what_was_acknowledged_survives_sigkill_and_nothing_is_there_by_half",
            "--nocapture",
        ])
        .env(DATABASE, path)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn what_was_acknowledged_survives_sigkill_and_nothing_is_there_by_half() {
    if let Some(path) = std::env::var_os(DATABASE) {
        return write_for_ever(Path::new(&path));
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proctor.db");
    let mut first = 0;
    let mut acknowledged = Vec::new();
    // Killed after so many answers: at the very start, inside a group, and behind a checkpoint of the log.
    for answers in [1, 37, 2, 150, 11, 600, 73] {
        let mut child = child(&path, first);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut got = 0;
        for line in lines {
            let Ok(line) = line else { break };
            let number = line.strip_prefix("acknowledged ").and_then(|n| n.parse().ok());
            let Some(number) = number else { continue };
            acknowledged.push(number);
            got += 1;
            if got == answers {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(got >= answers, "the child ended by itself after {got} answers");
        let (store, _answers) = open(&path);
        for number in &acknowledged {
            let view = store.reader().run_view(&run_ref(*number)).unwrap();
            assert!(view.is_some(), "batch {number} was acknowledged and is not there");
        }
        let runs = check_whole(&store);
        assert!(runs >= acknowledged.len() as u64);
        // Numbers that are behind everything this child can have submitted.
        first = acknowledged.iter().max().unwrap_or(&first) + 10_000;
    }
}

/// Runs in a mount namespace of its own, on a file system of one megabyte.
fn write_on_a_small_disk(dir: &Path) {
    let filler = dir.join("filler");
    let (store, answers) = open(&dir.join("proctor.db"));
    let mut next = 0;
    let mut stored = Vec::new();
    let mut submit = |count: u64, bytes: usize| {
        let range = next..next + count;
        next = range.end;
        for number in range.clone() {
            store.submit(number, batch(number, bytes)).unwrap();
        }
        let mut results = Vec::new();
        for expected in range {
            let (number, result) = answers.recv().unwrap();
            assert_eq!(number, expected);
            if result.is_ok() {
                stored.push(number);
            }
            results.push(result);
        }
        results
    };
    assert!(submit(5, 100).iter().all(Result::is_ok));
    for _ in 0..3 {
        // Fills what is left to the last byte.
        let full = std::fs::write(&filler, vec![1; 4 << 20]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        for results in [submit(1, 400_000), submit(30, 40_000)] {
            let failed: Vec<_> = results
                .iter()
                .filter_map(|result| result.as_ref().err())
                .collect();
            assert!(!failed.is_empty());
            assert!(
                failed.iter().all(|error| matches!(error, Error::DiskFull(_))),
                "{failed:?}"
            );
        }
        std::fs::remove_file(&filler).unwrap();
        let results = submit(5, 100);
        assert!(
            results.iter().all(Result::is_ok),
            "it works again once there is space: {results:?}"
        );
    }
    assert_eq!(check_whole(&store), stored.len() as u64);
    drop(store);
    let (store, _answers) = open(&dir.join("proctor.db"));
    assert_eq!(check_whole(&store), stored.len() as u64);
    for number in stored {
        assert!(store.reader().run_view(&run_ref(number)).unwrap().is_some());
    }
}

/// Runs that test again as a process with a file system of its own; says why if that cannot be.
fn on_a_file_system(options: &str, test: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o \"$1\" none \"$PROCTOR_TEST_DIRECTORY\" || exit 77; shift; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--", "sh", "-c", mount, "sh", options])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(DIRECTORY, dir.path())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return println!("skipped: unshare cannot be run: {error}"),
    };
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if told.contains("unshare failed") || output.status.code() == Some(77) {
        return println!("skipped: a file system of its own needs root: {told}");
    }
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}

#[test]
fn a_full_disk_is_told_and_survived() {
    match std::env::var_os(DIRECTORY) {
        Some(dir) => write_on_a_small_disk(Path::new(&dir)),
        None => on_a_file_system("size=1m,mode=0700", "a_full_disk_is_told_and_survived"),
    }
}

fn refusal(dir: &Path) -> OpenError {
    let options = Options::new(Arc::new(|_, _| String::new()));
    Store::open(&dir.join("proctor.db"), options, Box::new(|_, _| {})).unwrap_err()
}

#[test]
fn no_space_for_a_new_database_is_told_and_leaves_nothing() {
    match std::env::var_os(DIRECTORY) {
        Some(dir) => {
            let error = refusal(Path::new(&dir));
            assert!(matches!(error, OpenError::DiskFull(_)), "{error}");
            assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0);
        }
        None => on_a_file_system(
            "size=48k",
            "no_space_for_a_new_database_is_told_and_leaves_nothing",
        ),
    }
}

#[test]
fn a_read_only_file_system_is_told() {
    match std::env::var_os(DIRECTORY) {
        Some(dir) => {
            let error = refusal(Path::new(&dir));
            assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
        }
        None => on_a_file_system("ro", "a_read_only_file_system_is_told"),
    }
}
