//! Whole calls of `proctorctl` against a small server on a temporary socket.

use super::*;
use crate::ctl::render::tests::a_view;
use crate::model::view::RunView;
use crate::model::{RunStatus, Time};
use crate::wire::control::{ErrorKind, Problem, Request, Response, Selector, Update};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

mod asking;
mod cleanup;
mod cron;
mod dags;
pub(super) mod server;
use server::Server;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// What a call wrote, and how it ended.
struct Answer {
    exit: Exit,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap()
    }
}

fn call(root: &Path, args: &[&str]) -> Answer {
    let first = ["proctorctl", "--root", root.to_str().unwrap()];
    let args = first.iter().chain(args);
    let cli = Cli::try_parse_from(args).unwrap();
    let (stdout, stderr) = (Shared::default(), Shared::default());
    let out = Out::new(stdout.clone(), stderr.clone(), cli.json);
    let exit = run(cli, &PlaceEnv::default(), out);
    Answer {
        exit,
        stdout: stdout.text(),
        stderr: stderr.text(),
    }
}

fn ended(status: RunStatus) -> RunView {
    let mut view = a_view();
    view.status = status;
    view.finished_at = Some(Time::from_secs(100));
    view
}

fn dag_file(dir: &Path) -> String {
    let path = dir.join("hello.yaml");
    std::fs::write(&path, "steps:\n  - command: 'true'\n").unwrap();
    path.to_str().unwrap().to_owned()
}

fn accepts(view: RunView) -> impl Fn(Request) -> Vec<Response> + Send + Sync + 'static {
    move |request| match request {
        Request::Submit(_) | Request::Retry(_) | Request::Rerun(_) | Request::Stop { .. } => {
            vec![Response::Accepted {
                run: view.run.clone(),
                warnings: Vec::new(),
            }]
        }
        Request::Follow(_) => {
            let mut before = a_view();
            before.status = RunStatus::Running;
            let update = Update {
                summary: view.summary(),
                stop: None,
                children: Vec::new(),
                nodes: view.nodes().map(|(node, step)| (node, step.clone())).collect(),
                params: Some(view.params.clone()),
                outputs: view.outputs.clone(),
                lost: view.lost.clone(),
                log_dir: None,
                timed_out: view.timed_out,
                kill_escalated: view.kill_escalated,
            };
            vec![
                Response::Run(Box::new(before)),
                Response::Update(Box::new(update)),
                Response::Done,
            ]
        }
        Request::Status(_) => vec![Response::Run(Box::new(view.clone()))],
        Request::Ps | Request::History(_) => vec![Response::Runs(vec![view.summary()])],
        _ => vec![Response::Done],
    }
}

#[test]
fn run_sends_the_text_and_answers_with_the_outcome() {
    for (status, exit) in [
        (RunStatus::Succeeded, Exit::Ok),
        (RunStatus::Failed, Exit::Negative),
        (RunStatus::Aborted, Exit::Aborted),
        (RunStatus::PartiallySucceeded, Exit::PartiallySucceeded),
        (RunStatus::Waiting, Exit::Waiting),
    ] {
        let server = Server::start(accepts(ended(status)));
        let file = dag_file(server.root());
        let answer = call(
            server.root(),
            &["run", "--json", "--run-id", "r1", &file, "--", "a", "K=V"],
        );
        assert_eq!(answer.exit, exit);
        assert_eq!(answer.json()["status"], json!(status));
        assert_eq!(answer.stderr, "");
        let requests = server.requests();
        let Some(Request::Submit(submit)) = requests.first() else {
            panic!("{requests:?}");
        };
        assert_eq!(submit.source, "steps:\n  - command: 'true'\n");
        assert_eq!(
            (submit.stem.as_str(), submit.file.as_str()),
            ("hello", file.as_str())
        );
        assert_eq!(submit.base_dir, server.root().to_str().unwrap());
        assert_eq!((submit.run_id.as_deref(), &submit.params), (Some("r1"), &None));
        assert_eq!(submit.args, ["a", "K=V"]);
        assert!(matches!(requests.get(1), Some(Request::Follow(_))));
    }
}

#[test]
fn run_without_a_terminal_tells_each_change_on_a_line() {
    let server = Server::start(accepts(ended(RunStatus::Failed)));
    let file = dag_file(server.root());
    let answer = call(server.root(), &["run", &file]);
    assert_eq!(answer.exit, Exit::Negative);
    let lines: Vec<&str> = answer.stdout.lines().collect();
    assert!(lines[0].contains("hello:r1  running"), "{lines:?}");
    assert!(lines.last().unwrap().contains("hello:r1  failed"), "{lines:?}");
    assert!(!answer.stdout.contains('\x1b'));
}

#[test]
fn a_refused_start_is_an_error_object_with_places() {
    let server = Server::start(|_| {
        vec![Response::Error {
            kind: ErrorKind::Invalid,
            message: "the DAG has errors".to_owned(),
            hint: None,
            problems: vec![Problem {
                message: "unknown key\x1b".to_owned(),
                file: Some("hello.yaml".to_owned()),
                line: Some(3),
                column: Some(5),
                hint: Some("did you mean 'steps'?".to_owned()),
            }],
        }]
    });
    let file = dag_file(server.root());
    let answer = call(server.root(), &["run", "--json", &file]);
    assert_eq!(answer.exit, Exit::Usage);
    assert_eq!(answer.json()["error"], "the DAG has errors");
    assert_eq!(answer.json()["problems"][0]["line"], 3);
    let answer = call(server.root(), &["run", &file]);
    assert_eq!(answer.stdout, "");
    assert_eq!(
        answer.stderr,
        "hello.yaml:3:5: unknown key\\x1b\n  hint: did you mean 'steps'?\nproctorctl: the DAG has errors\n"
    );
}

#[test]
fn detach_prints_the_id_and_does_not_follow() {
    let server = Server::start(accepts(ended(RunStatus::Succeeded)));
    let answer = call(server.root(), &["retry", "--detach", "hello"]);
    assert_eq!((answer.exit, answer.stdout.as_str()), (Exit::Ok, "hello:r1\n"));
    let answer = call(server.root(), &["retry", "--detach", "--json", "hello:r1"]);
    assert_eq!(answer.json()["run_id"], "r1");
    assert!(
        server
            .requests()
            .iter()
            .all(|request| matches!(request, Request::Retry(_)))
    );
}

#[test]
fn restart_stops_waits_and_starts_anew() {
    let server = Server::start(accepts(ended(RunStatus::Succeeded)));
    let answer = call(server.root(), &["restart", "--json", "hello"]);
    assert_eq!(answer.exit, Exit::Ok);
    let requests = server.requests();
    assert!(
        matches!(
            requests.as_slice(),
            [
                Request::Status(_),
                Request::Stop {
                    run: Selector { run: Some(_), .. },
                    interrupted: false,
                },
                Request::Follow(_),
                Request::Rerun(_),
                Request::Follow(_)
            ]
        ),
        "{requests:?}"
    );
}

#[test]
fn without_a_daemon_a_start_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dag_file(dir.path());
    let answer = call(dir.path(), &["run", &file]);
    assert_eq!(answer.exit, Exit::Unreachable);
    assert!(
        answer.stderr.contains("cannot reach the daemon at "),
        "{}",
        answer.stderr
    );
    assert!(answer.stderr.contains("--embedded"), "{}", answer.stderr);
}

#[test]
fn wait_answers_like_run() {
    let mut lost = ended(RunStatus::Failed);
    lost.lose(Time::from_secs(9), crate::model::LostCause::Reboot);
    let server = Server::start(accepts(lost));
    let answer = call(server.root(), &["wait", "hello", "--json"]);
    assert_eq!(answer.exit, Exit::Lost);
    assert_eq!(
        answer.json()["lost"],
        "the machine was restarted while the attempt ran"
    );
}

#[test]
fn a_reader_that_goes_away_does_not_end_the_run() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::BrokenPipe))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let server = Server::start(accepts(ended(RunStatus::Succeeded)));
    let root = server.root().to_str().unwrap();
    let file = dag_file(server.root());
    let cli = Cli::try_parse_from(["proctorctl", "--root", root, "run", &file]).unwrap();
    let exit = run(cli, &PlaceEnv::default(), Out::new(Gone, io::sink(), false));
    assert_eq!(exit, Exit::Ok);
}

#[test]
fn a_daemon_that_restarts_is_found_again() {
    let broken = std::sync::atomic::AtomicBool::new(false);
    let answers = accepts(ended(RunStatus::Succeeded));
    let server = Server::start(move |request| match request {
        Request::Follow(_) if !broken.swap(true, std::sync::atomic::Ordering::SeqCst) => Vec::new(),
        request => answers(request),
    });
    let answer = call(server.root(), &["wait", "hello"]);
    assert_eq!(answer.exit, Exit::Ok, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("waiting for the daemon to come back"),
        "{}",
        answer.stderr
    );
    assert_eq!(server.requests().len(), 2);
}
