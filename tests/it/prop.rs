//! Random jobs, run by the real programs: the statuses of all steps, handlers and of the run, the counts of tries and the
//! outputs have to be those that a plain interpreter of the rules tells, and what the steps wrote has to show as many tries, in
//! an order that the graph allows.
//!
//! `PROCTOR_PROP_RUNS=n` sets the number of jobs, `PROCTOR_PROP_SEED=n` replays the job with that seed (with both: those from it
//! on). A part of the language is added in four places: what a job has (`job`), how that is written (`text`), what it comes to
//! (`fates`, and the reference itself), and what can be seen of it (`trace`).

mod fates;
mod job;
#[path = "../sim_attempt/reference.rs"]
mod reference;
mod text;
mod trace;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use proctor::model::view::RunView;
use proctor::model::{Handler, StepStatus};
use serde_json::{Value, json};

use crate::helper::{Control, Daemon};
use job::Job;
use reference::{Summary, interpret};

/// Jobs of one test run.
const JOBS: u64 = 150;
/// Jobs at a time.
const WORKERS: usize = 4;

#[test]
fn attempts_end_as_the_reference_says() {
    let number = |name: &str| {
        let text = std::env::var(name).ok();
        text.map(|text| text.parse::<u64>().expect("a number"))
    };
    let (given, runs) = (number("PROCTOR_PROP_SEED"), number("PROCTOR_PROP_RUNS"));
    let first = given.unwrap_or_else(proctor::sys::clock::boot_micros);
    let count = runs.unwrap_or(if given.is_some() { 1 } else { JOBS });
    eprintln!("PROCTOR_PROP_SEED={first} PROCTOR_PROP_RUNS={count}");
    let daemon = Daemon::start("");
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let mut control = daemon.control();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        break;
                    }
                    let seed = first.wrapping_add(at);
                    if let Err(failure) = catch_unwind(AssertUnwindSafe(|| one(&daemon, &mut control, seed)))
                    {
                        eprintln!("replay it with PROCTOR_PROP_SEED={seed} cargo test --test it prop");
                        // The others end with the jobs that they have begun.
                        next.store(count, Ordering::Relaxed);
                        resume_unwind(failure);
                    }
                }
            });
        }
    });
    daemon.expect_clean();
}

/// One job from its seed to the verdict.
fn one(daemon: &Daemon, control: &mut Control, seed: u64) {
    let job = Job::any(seed);
    let dir = daemon.path(&format!("work/{seed}"));
    let text = text::document(&job, &dir);
    let expected = interpret(&fates::dag(&job), &job);
    let view = run(control, &format!("prop-{seed}"), &text);
    let context = || format!("{text:#}\n{view:#?}\n{}", trace::read(&dir));
    assert_eq!(
        summary(&view),
        expected,
        "left is what happened, right the reference\n{}",
        context()
    );
    if let Err(wrong) = trace::check(&job, &expected, &trace::read(&dir)) {
        panic!("{wrong}\n{}", context());
    }
}

/// Submits a job, waits for its end and tells how it stands then.
fn run(control: &mut Control, name: &str, document: &Value) -> RunView {
    let answer = control.submit(name, "r", &document.to_string()).unwrap();
    assert!(answer.get("accepted").is_some(), "{answer:#}\n{document:#}");
    let run = json!({"dag": name, "run": "r"});
    control.send(&json!({"follow": run})).unwrap();
    loop {
        let answer = control.receive();
        let answer = answer.unwrap_or_else(|error| panic!("it does not go on: {error}\n{document:#}"));
        let answer = answer.expect("the daemon closed the connection");
        assert!(answer.get("error").is_none(), "{answer:#}");
        if answer.get("done").is_some() || answer == "done" {
            break;
        }
    }
    let mut answer = control.ask(&json!({"status": run}));
    serde_json::from_value(answer["run"].take()).unwrap()
}

/// What happened, in the form of the reference.
fn summary(view: &RunView) -> Summary {
    let steps = view.steps.iter();
    let ended = |handler: &Handler| {
        let found = view.handlers.iter().find(|(known, _)| known == handler);
        let status = found.map(|(_, step)| step.status);
        status
            .filter(|status| *status != StepStatus::NotStarted)
            .map(|status| (*handler, status))
    };
    Summary {
        status: view.status,
        steps: steps
            .map(|step| (step.status, step.done_count, step.retry_count, step.tolerated))
            .collect(),
        handlers: Handler::ALL.iter().filter_map(ended).collect(),
        outputs: view.outputs.clone(),
    }
}
