//! Schedules, as scripts in the words of the other tests, and these: `at 0801` or `at 080130` moves both clocks there on
//! Monday, 5 January 2026, `at 06.0800` on the day after, and tells the timer; `set 0700` steps the wall clock alone;
//! `suspend`, `enable`, `uninstall`, `forget`. `s0800` is the run for 08:00, `r0800` the one of a restart, `s08001` its first
//! attempt. All of it is UTC. What is armed is left out.

mod barred;
mod change;
mod crowd;
mod idle;
mod late;
mod newest;
mod overlap;
mod retries;
mod suspend;
mod tick;
mod trouble;
mod users;

use std::sync::Arc;

use super::{Bed, group, new_run};
use crate::dag::cron::{Schedule, Zone};
use crate::dag::types::OverlapPolicy;
use crate::engine::scheduler::{Event, Installed, TickOutcome, Token};
use crate::model::{Boot, DagName, RunId, Time, Trigger};

/// Monday, 5 January 2026.
pub(super) const MONDAY: i64 = 1_767_571_200;

/// A time in short: `0800`, `080001`, `06.0800`.
pub(super) fn clock(at: Time) -> String {
    let utc = at.utc();
    let (day, time) = (utc.format("%d.").to_string(), utc.format("%H%M%S").to_string());
    let time = time.strip_suffix("00").unwrap_or(&time);
    format!("{}{time}", if day == "05." { "" } else { &day })
}

/// The time that is written so.
pub(super) fn time(text: &str) -> Time {
    let (day, time) = text.split_once('.').unwrap_or(("05", text));
    let number = |text: &str| text.parse::<i64>().unwrap();
    let (hour, rest) = time.split_at(2);
    let (minute, second) = rest.split_at(2);
    let second = if second.is_empty() { 0 } else { number(second) };
    let days = number(day) - 5;
    Time::from_secs(MONDAY + ((days * 24 + number(hour)) * 60 + number(minute)) * 60 + second)
}

pub(super) fn outcome(outcome: &TickOutcome) -> String {
    match outcome {
        TickOutcome::Started { run, caught_up } => {
            format!("{} {}", if *caught_up { "made-up" } else { "started" }, run.id)
        }
        TickOutcome::StartedBefore => "started-before".into(),
        TickOutcome::Stopped(count) => format!("stopped-{count}"),
        TickOutcome::Overlapped => "overlapped".into(),
        TickOutcome::Replaced => "replaced".into(),
        TickOutcome::StopPassed => "stop-passed".into(),
        TickOutcome::HeldBack => "held-back".into(),
        TickOutcome::Crowded => "crowded".into(),
        TickOutcome::UserCrowded => "user-crowded".into(),
        TickOutcome::AwaitsRetry(run) => format!("awaits-retry {}", run.id),
        TickOutcome::Successful => "successful".into(),
        TickOutcome::Barred => "barred".into(),
        TickOutcome::Missed => "missed".into(),
        TickOutcome::Delayed(why) => format!("delayed ({why})"),
    }
}

fn cron(text: &str) -> Schedule {
    Schedule::parse(text).unwrap()
}

fn dag() -> DagName {
    "dag".parse().unwrap()
}

/// Every hour, decided up to Monday, 00:00. Runs belong to group `g` with a capacity of 1.
fn hourly() -> Installed {
    Installed {
        dag: dag(),
        starts: vec![cron("0 * * * *")],
        stops: Vec::new(),
        restarts: Vec::new(),
        zone: Zone::UTC,
        jitter_sec: 0,
        overlap: OverlapPolicy::Skip,
        catchup_sec: 0,
        skip_if_successful: false,
        template: Arc::new(*new_run("template", 1)),
        suspended: false,
        watermark: Some(time("0000")),
        last_success: None,
    }
}

/// The same with room for two.
fn roomy() -> Installed {
    Installed {
        template: Arc::new(*new_run("Template", 2)),
        ..hourly()
    }
}

struct Desk(Bed);

impl Desk {
    /// At this time, with this plan.
    fn new(at: &str, plan: Installed) -> (Self, String) {
        let mut bed = Bed::new();
        bed.now.wall = time(at);
        let mut desk = Self(bed);
        let first = desk.install(plan);
        (desk, first)
    }

    /// One that has nothing to do at that time.
    fn quiet(at: &str, plan: Installed) -> Self {
        let plan = Installed {
            watermark: Some(time(at)),
            ..plan
        };
        let (desk, first) = Self::new(at, plan);
        assert_eq!(first, "idle");
        desk
    }

    fn install(&mut self, plan: Installed) -> String {
        self.give(Event::Install(Box::new(plan)))
    }

    fn give(&mut self, event: Event) -> String {
        let told = self.0.give(event);
        let words = told.split(", ").filter(|word| !word.starts_with("arm "));
        short(&words.collect::<Vec<_>>().join(", "))
    }

    fn tell(&mut self, line: &str) -> String {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let bed = &mut self.0;
        let event = match verb {
            "at" => {
                let ahead = time(rest).0 - bed.now.wall.0;
                bed.now.boot = Boot(bed.now.boot.0 + u64::try_from(ahead).unwrap());
                bed.now.wall = time(rest);
                Event::Tick
            }
            "set" => {
                bed.now.wall = time(rest);
                Event::ClockSet
            }
            "suspend" | "enable" => {
                bed.token += 1;
                Event::Suspend {
                    token: Token(bed.token),
                    dag: dag(),
                    owner: 1000,
                    on: verb == "suspend",
                }
            }
            "uninstall" => Event::Uninstall(dag()),
            "forget" => Event::Forget(dag()),
            _ => {
                let told = bed.tell(format!("{verb} {}", long(rest)).trim_end());
                let words = told.split(", ").filter(|word| !word.starts_with("arm "));
                return short(&words.collect::<Vec<_>>().join(", "));
            }
        };
        self.give(event)
    }

    fn play(&mut self, script: &[(&str, &str)]) {
        for (step, (event, expected)) in script.iter().enumerate() {
            assert_eq!(self.tell(event), *expected, "after step {step}, `{event}`");
        }
    }
}

/// Ids of scheduled runs as `s0800`.
fn short(words: &str) -> String {
    let mut words = words.to_owned();
    for (prefix, letter) in [("sched-", 's'), ("restart-", 'r')] {
        while let Some((before, id)) = words.split_once(prefix) {
            let part = |range| id.get(range).unwrap();
            let (day, time) = (part(6..8), part(9..15));
            let time = time.strip_suffix("00").unwrap_or(time);
            let day = if day == "05" {
                String::new()
            } else {
                format!("{day}.")
            };
            words = format!("{before}{letter}{day}{time}{}", id.get(24..).unwrap());
        }
    }
    words
}

/// The other way round: `s0800` or `s08001` is the whole id, and the number of an attempt.
fn long(word: &str) -> String {
    let restart = word.starts_with('r');
    let short = word
        .strip_prefix(['s', 'r'])
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let Some(short) = short else {
        return word.to_owned();
    };
    let (time_of, attempt) = short.split_at(4);
    format!(
        "{}{attempt}",
        RunId::scheduled(&dag(), 1000, time(time_of), restart)
    )
}

/// Brings a run that was just queued to life: its `Intend` is batch `number`.
fn lives(desk: &mut Desk, run: &str, number: u64) {
    let told = [
        desk.tell(&format!("ok {number}")),
        desk.tell(&format!("ready {run}1")),
        desk.tell(&format!("ok {}", number + 1)),
        desk.tell(&format!("started {run}1")),
        desk.tell(&format!("ok {}", number + 2)),
    ];
    let expected = [
        format!("changed, launch {run}1"),
        format!("commit {} identify", number + 1),
        "open".into(),
        format!("commit {} start", number + 2),
        String::new(),
    ];
    assert_eq!(told, expected);
}

/// Ends it with success; its `End` is batch `number`.
fn succeeds(desk: &mut Desk, run: &str, number: u64) {
    assert_eq!(
        desk.tell(&format!("ended {run}1")),
        format!("commit {number} end-succeeded")
    );
    assert_eq!(desk.tell(&format!("ok {number}")), "changed, over");
    assert_eq!(desk.tell(&format!("gone {run}1")), "clean");
    assert_eq!(
        desk.tell(&format!("cleaned {run}1")),
        format!("commit {} clean", number + 1)
    );
    assert_eq!(desk.tell(&format!("ok {}", number + 1)), "idle");
}

#[test]
fn the_words_of_these_tests_mean_what_they_say() {
    assert_eq!(
        (clock(time("0801")), clock(time("06.000005"))),
        ("0801".into(), "06.000005".into())
    );
    assert_eq!(short(&long("s0800")), "s0800");
    assert_eq!(group("Template").1, 2);
    assert_eq!(hourly().template.trigger, Trigger::Manual);
}
