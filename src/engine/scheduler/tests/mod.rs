//! Each transition by itself, as scripts: an event, and the effects it must have, in words.
//!
//! `submit a`, `retry a`, `stop a` take the next token; `ok 2`, `full 2`, `io 2`, `exists 2` answer batch 2; the
//! rest name an attempt: `ready a1` is the first attempt of run `a`. Runs named with a capital belong to the
//! group of that name and a capacity of 2; the others to `g`, with a capacity of 1.

mod again;
mod decide;
mod family;
mod lanes;
mod plan;
mod queue;
mod queues;
mod recover;
mod start;
mod stop;

use super::api::{AttemptEnd, CommitError, Decision, Event, Origin, RetryFacts};
use super::{Config, Effect, Refusal, Scheduler, Token};
use crate::model::change::{AttemptIdentity, Caller, Change, NewRun};
use crate::model::{
    AttemptId, Boot, GroupName, LostCause, Now, Priority, RunRef, RunStatus, StopReason, Time,
};

fn run(name: &str) -> RunRef {
    RunRef {
        dag: "dag".parse().unwrap(),
        id: name.parse().unwrap(),
    }
}

fn group(name: &str) -> (GroupName, u32) {
    if name.starts_with(char::is_uppercase) {
        (name.parse().unwrap(), 2)
    } else {
        ("g".parse().unwrap(), 1)
    }
}

fn attempt(text: &str) -> AttemptId {
    let (name, number) = text.split_at(text.len() - 1);
    AttemptId::derive(&run(name), number.parse().unwrap())
}

fn new_run(name: &str, capacity: u32) -> Box<NewRun> {
    Box::new(NewRun {
        capacity,
        owner: 1000,
        ..NewRun::bare(run(name), group(name).0)
    })
}

fn end(status: RunStatus) -> AttemptEnd {
    AttemptEnd {
        status,
        error: None,
        outputs: Vec::new(),
        timed_out: false,
        kill_escalated: false,
        retry: false,
        at: Time::default(),
    }
}

/// What the store has of a run after its first attempt.
fn facts(name: &str, status: RunStatus) -> RetryFacts {
    let (group, capacity) = group(name);
    RetryFacts {
        group,
        capacity,
        owner: 1000,
        priority: Priority::default(),
        now: false,
        dag_limit: 0,
        attempts: 1,
        status,
        caller: None,
        retry: None,
        origin: Origin::default(),
    }
}

fn decide(token: Token, name: &str, status: RunStatus, decision: Decision) -> Event {
    Event::Decide(token, run(name), facts(name, status), decision)
}

fn decided(name: &str) -> Change {
    Change::Decide {
        run: run(name),
        attempt: AttemptId::derive(&run(name), 1),
        node: crate::model::Node::Step(0),
        view: Box::new(crate::model::view::StepView::new("s")),
    }
}

/// An engine and the clock and counters around it.
struct Bed {
    engine: Scheduler,
    now: Now,
    token: u64,
}

impl Bed {
    fn new() -> Self {
        Self {
            engine: Scheduler::new(Config::default()),
            now: Now::default(),
            token: 0,
        }
    }

    /// Gives an event and returns the effects in words.
    fn give(&mut self, event: Event) -> String {
        let mut out = Vec::new();
        self.engine.handle(self.now, event, &mut out);
        let words: Vec<String> = out.iter().map(|effect| self.words(effect)).collect();
        words.join(", ")
    }

    fn tell(&mut self, line: &str) -> String {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let number = || rest.parse().unwrap();
        let event = match verb {
            "ok" => Event::Committed(number()),
            "full" => Event::CommitFailed(number(), CommitError::DiskFull("no space".into())),
            "io" => Event::CommitFailed(number(), CommitError::Other("broken".into())),
            "exists" => Event::CommitFailed(number(), CommitError::Exists),
            "ready" => Event::Ready(attempt(rest), AttemptIdentity::default()),
            "unmade" => Event::LaunchFailed(attempt(rest), "no such user".into()),
            "started" => Event::Started(attempt(rest), Time::default(), None),
            "ended" => Event::Ended(attempt(rest), end(RunStatus::Succeeded)),
            "waits" => Event::Ended(attempt(rest), end(RunStatus::Waiting)),
            // The supervisor leaves the failure handler out, or it has run.
            "fails" => Event::Ended(
                attempt(rest),
                AttemptEnd {
                    retry: true,
                    at: self.now.wall,
                    ..end(RunStatus::Failed)
                },
            ),
            "fails-last" => Event::Ended(attempt(rest), end(RunStatus::Failed)),
            "odd-end" => Event::Ended(attempt(rest), end(RunStatus::Running)),
            "gone" => Event::Gone(attempt(rest), LostCause::SupervisorSignal(9)),
            "damaged" => Event::Gone(attempt(rest), LostCause::JournalDamaged("torn".into())),
            "cleaned" => Event::Cleaned(attempt(rest)),
            "drain" => Event::Drain,
            "caller-stop" | "caller-kill" => Event::CallerStops {
                run: run(rest),
                kill: verb == "caller-kill",
            },
            "tick" => {
                self.now.boot = Boot(rest.parse::<u64>().unwrap() * 1000);
                Event::Tick
            }
            _ => {
                self.token += 1;
                let token = Token(self.token);
                match verb {
                    "submit" => Event::Submit(token, new_run(rest, group(rest).1)),
                    // "call x of a": a step of run a calls run x.
                    "call" => {
                        let (name, parent) = rest.split_once(" of ").unwrap();
                        let mut new = new_run(name, 1);
                        new.parent = Some(Caller {
                            run: run(parent),
                            attempt: 1,
                            step: "s".into(),
                            root: run(parent),
                            depth: 1,
                        });
                        Event::Submit(token, new)
                    }
                    "call-again" => {
                        let (name, parent) = rest.split_once(" of ").unwrap();
                        let facts = RetryFacts {
                            capacity: 1,
                            caller: Some((run(parent), 1)),
                            ..facts(name, RunStatus::Failed)
                        };
                        Event::Retry(token, run(name), facts)
                    }
                    "stop" => Event::Stop(token, run(rest), StopReason::User { uid: 7 }),
                    "retry" => Event::Retry(token, run(rest), facts(rest, RunStatus::Failed)),
                    "decide" => decide(
                        token,
                        rest,
                        RunStatus::Waiting,
                        Decision::Resume(vec![decided(rest)]),
                    ),
                    "late-decide" => decide(
                        token,
                        rest,
                        RunStatus::Failed,
                        Decision::Resume(vec![decided(rest)]),
                    ),
                    "end-waiting" => {
                        let stop = Decision::Stop(StopReason::User { uid: 7 });
                        decide(token, rest, RunStatus::Waiting, stop)
                    }
                    _ => panic!("no such event: {line}"),
                }
            }
        };
        self.give(event)
    }

    /// Plays a script: events, each with what must follow.
    fn play(&mut self, script: &[(&str, &str)]) {
        for (step, (event, expected)) in script.iter().enumerate() {
            assert_eq!(self.tell(event), *expected, "after step {step}, `{event}`");
        }
    }

    fn words(&self, effect: &Effect) -> String {
        match effect {
            Effect::Commit(number, batch) => {
                let words: Vec<String> = batch.iter().map(change).collect();
                format!("commit {number} {}", words.join("+"))
            }
            Effect::Launch(run, _, number) => format!("launch {}{number}", run.id),
            Effect::OpenGate(_) => "open".into(),
            Effect::CloseGate(_) => "close".into(),
            Effect::Adopt(run, ..) => format!("adopt {}", run.id),
            Effect::SendStop(..) => "send-stop".into(),
            Effect::EnsureStop(..) => "ensure-stop".into(),
            Effect::NoRetry(_) => "no-retry".into(),
            Effect::Clean(_) => "clean".into(),
            Effect::Accepted(token) => format!("yes {}", token.0),
            Effect::Refused(token, refusal) => {
                let why = match refusal {
                    Refusal::Exists => "exists".into(),
                    Refusal::NotFound => "not-found".into(),
                    Refusal::WrongState(status) => status.to_string(),
                    Refusal::CallerGone => "caller-gone".into(),
                    Refusal::Draining => "draining".into(),
                    Refusal::Changing => "changing".into(),
                    Refusal::Store(why) => why.clone(),
                };
                format!("no {} {why}", token.0)
            }
            Effect::Changed(_) => "changed".into(),
            Effect::Over(_) => "over".into(),
            Effect::Arm(at) => format!("arm +{}", at.micros_since(self.now.boot) / 1000),
            Effect::Make(new) => format!("make {}", new.run.id),
            Effect::Unmake(run) => format!("unmake {}", run.id),
            Effect::Tick(_, at, _, outcome) => format!("{} {}", plan::clock(*at), plan::outcome(outcome)),
            Effect::Idle => "idle".into(),
        }
    }
}

fn change(change: &Change) -> String {
    match change {
        Change::Accept(_) => "accept".into(),
        Change::Requeue { .. } => "requeue".into(),
        Change::Decide { .. } => "decide".into(),
        Change::Intend { run, number, .. } => format!("intend {}{number}", run.id),
        Change::Identify { .. } => "identify".into(),
        Change::Unlaunch { .. } => "unlaunch".into(),
        Change::Start { .. } => "start".into(),
        Change::Stop { .. } => "stop".into(),
        Change::End { status, lost, .. } => {
            format!("end-{status}{}", if lost.is_some() { "-lost" } else { "" })
        }
        Change::EndQueued { status, .. } => format!("end-queued-{status}"),
        Change::Clean { .. } => "clean".into(),
        Change::RetryLater { retry, .. } => format!("retry-later {}", retry.number),
        Change::CancelRetry { .. } => "cancel-retry".into(),
        Change::Watermark { at, .. } => format!("mark {}", plan::clock(*at)),
        Change::Suspend { on, .. } => if *on { "suspend" } else { "enable" }.into(),
        Change::Install(version) => format!("install {}", version.dag),
        Change::Uninstall { dag, .. } => format!("uninstall {dag}"),
        Change::PauseQueue { queue, on } => format!("pause {queue} {on}"),
        Change::Move { .. } => "move".into(),
        Change::Notify(_)
        | Change::Account { .. }
        | Change::Notified { .. }
        | Change::Retire { .. }
        | Change::Removed { .. }
        | Change::Step { .. } => {
            panic!("not the engine's: {change:?}")
        }
    }
}

/// Up to each point of a run's life: events that bring run `a` there, one table for all tests.
const TO_QUEUED: &[(&str, &str)] = &[
    ("submit a", "commit 1 accept"),
    ("ok 1", "yes 1, changed, commit 2 intend a1"),
];
const TO_LAUNCHING: &[(&str, &str)] = &[("ok 2", "changed, launch a1")];
const TO_IDENTIFYING: &[(&str, &str)] = &[("ready a1", "commit 3 identify")];
const TO_OPENING: &[(&str, &str)] = &[("ok 3", "open")];
const TO_RUNNING: &[(&str, &str)] = &[("started a1", "commit 4 start"), ("ok 4", "")];
const TO_ENDING: &[(&str, &str)] = &[("ended a1", "commit 5 end-succeeded")];
const TO_CLEANING: &[(&str, &str)] = &[("ok 5", "changed, over"), ("gone a1", "clean")];
const TO_FORGETTING: &[(&str, &str)] = &[("cleaned a1", "commit 6 clean")];

const LIFE: [&[(&str, &str)]; 8] = [
    TO_QUEUED,
    TO_LAUNCHING,
    TO_IDENTIFYING,
    TO_OPENING,
    TO_RUNNING,
    TO_ENDING,
    TO_CLEANING,
    TO_FORGETTING,
];

/// A bed in which run `a` has come through that many parts of its life: 1 intending, 2 launching, 3 identifying,
/// 4 opening, 5 running, 6 ending, 7 cleaning, 8 forgetting.
fn bed_at(parts: usize) -> Bed {
    let mut bed = Bed::new();
    for part in &LIFE[..parts] {
        bed.play(part);
    }
    bed
}
