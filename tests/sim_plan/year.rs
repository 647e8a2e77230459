//! A year of many DAGs, minute by minute, against an oracle by brute force: it asks of every day of the year, and of every
//! minute of a day, whether an expression means it, with a calendar of its own. The zones have no summer
//! time: that is what the tests of the calendar are for.

use proctor::dag::cron::{Schedule, Zone};
use proctor::dag::types::OverlapPolicy;
use proctor::engine::scheduler::api::AttemptEnd;
use proctor::engine::scheduler::{Config, Effect, Event, Installed, Scheduler};
use proctor::model::change::AttemptIdentity;
use proctor::model::{Boot, DagName, LostCause, Now, RunStatus, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::dags::Dag;
use crate::rng::Rng;

/// Thursday, 1 January 2026, 00:00 UTC.
const FROM: i64 = 1_767_225_600;

const ZONES: [(&str, i64); 4] = [
    ("UTC", 0),
    ("Asia/Kolkata", 19_800),
    ("Asia/Tokyo", 32_400),
    ("America/Phoenix", -25_200),
];

/// Whether a field of an expression means a number; `first` is the least that it can mean.
fn means(field: &str, number: i64, first: i64) -> bool {
    field.split(',').any(|part| {
        let (range, step) = part
            .split_once('/')
            .map_or((part, 1), |(range, step)| (range, step.parse().unwrap()));
        let value = |text: &str| text.parse::<i64>().unwrap();
        match range.split_once('-') {
            _ if range == "*" => (number - first) % step == 0,
            Some((low, high)) => {
                (value(low)..=value(high)).contains(&number) && (number - value(low)) % step == 0
            }
            None => number == value(range),
        }
    })
}

/// Month from 1 and day from 1 of a day since the epoch.
fn date(days: i64) -> (i64, i64) {
    let shifted = days + 719_468;
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    (if month < 10 { month + 3 } else { month - 9 }, day)
}

/// Whether an expression without lists of both days and weekdays means a day of local time.
fn means_day(fields: &[&str], day_number: i64) -> bool {
    let (month, day) = date(day_number);
    (fields[2] == "*" || means(fields[2], day, 1))
        && (fields[3] == "*" || means(fields[3], month, 1))
        && means(fields[4], (day_number + 4).rem_euclid(7), 0)
}

/// The minutes of a day of which an expression means hour and minute.
fn minutes_of_a_day(fields: &[&str]) -> Vec<i64> {
    (0..1440)
        .filter(|minute| means(fields[0], minute % 60, 0) && means(fields[1], minute / 60, 0))
        .collect()
}

fn expression(rng: &mut Rng) -> String {
    let (minute, hour) = (rng.below(60), rng.below(24));
    match rng.below(12) {
        0 => format!("{minute} * * * *"),
        1 => format!("{minute} */6 * * *"),
        2 => format!("{minute} {hour} * * 1-5"),
        3 => format!("{minute} {hour} * * 0,6"),
        4 => format!("{minute} {hour} 1 * *"),
        5 => format!("{minute} {hour} 28-31 * *"),
        6 => format!("{minute} {hour} 29 2,3 *"),
        7 => format!("{minute} 9-17/4 * * 1,3,5"),
        8 => format!("{minute} {hour} 1-7/3 */5 *"),
        _ => format!("{minute} {hour} * * *"),
    }
}

fn oracle(expressions: &[String], ahead: i64, minutes: i64) -> Vec<i64> {
    let (first, ahead) = (FROM / 60, ahead / 60);
    let (after, to) = (first + ahead, first + ahead + minutes);
    let mut found = BTreeSet::new();
    for text in expressions {
        let fields: Vec<&str> = text.split(' ').collect();
        let of_day = minutes_of_a_day(&fields);
        let days = after.div_euclid(1440)..=to.div_euclid(1440);
        for day in days.filter(|day| means_day(&fields, *day)) {
            let local = of_day.iter().map(|minute| day * 1440 + minute);
            found.extend(local.filter(|local| *local > after && *local <= to));
        }
    }
    found.into_iter().map(|local| (local - ahead) * 60).collect()
}

/// Performs everything at once, and every run succeeds. Returns the time to wait for, and notes what is made.
fn perform(
    engine: &mut Scheduler,
    now: Now,
    event: Event,
    armed: &mut Option<Boot>,
    made: &mut BTreeMap<DagName, Vec<i64>>,
) {
    let mut events = VecDeque::from([event]);
    let mut out = Vec::new();
    while let Some(event) = events.pop_front() {
        engine.handle(now, event, &mut out);
        for effect in out.drain(..) {
            match effect {
                Effect::Make(new) => {
                    let at = new.scheduled_for.unwrap().secs();
                    made.entry(new.run.dag).or_default().push(at);
                }
                Effect::Commit(number, _) => events.push_back(Event::Committed(number)),
                Effect::Launch(_, attempt, _) => {
                    events.push_back(Event::Ready(attempt, AttemptIdentity::default()));
                }
                Effect::OpenGate(attempt) => {
                    events.push_back(Event::Started(attempt.clone(), now.wall, None));
                    let end = AttemptEnd {
                        status: RunStatus::Succeeded,
                        error: None,
                        outputs: Vec::new(),
                        timed_out: false,
                        kill_escalated: false,
                        retry: false,
                        at: now.wall,
                    };
                    events.push_back(Event::Ended(attempt.clone(), end));
                    events.push_back(Event::Gone(attempt, LostCause::SupervisorGone));
                }
                Effect::Clean(attempt) => events.push_back(Event::Cleaned(attempt)),
                Effect::Arm(at) => *armed = Some(at),
                _ => {}
            }
        }
    }
}

#[test]
fn a_year_of_a_thousand_dags_starts_what_the_oracle_says_and_nothing_else() {
    // An unoptimised build has less to do.
    let (dags, days) = if cfg!(debug_assertions) {
        (100, 60)
    } else {
        (1_000, 365)
    };
    let mut rng = Rng::new(7);
    let mut engine = Scheduler::new(Config::default());
    let mut now = Now {
        wall: Time::from_secs(FROM),
        boot: Boot(1),
    };
    let (mut armed, mut made, mut expected) = (None, BTreeMap::new(), BTreeMap::new());
    for number in 0..dags {
        let (zone, ahead) = ZONES[rng.below(ZONES.len())];
        // Some with two expressions, and some of those with the same one twice.
        let mut expressions = vec![expression(&mut rng)];
        match rng.below(6) {
            0 => expressions.push(expressions[0].clone()),
            1 | 2 => expressions.push(expression(&mut rng)),
            _ => {}
        }
        let mut dag = Dag::random(number, &mut rng);
        (dag.capacity, dag.shares, dag.dag_limit) = (0, false, 0);
        let plan = Installed {
            starts: expressions
                .iter()
                .map(|text| Schedule::parse(text).unwrap())
                .collect(),
            stops: Vec::new(),
            restarts: Vec::new(),
            zone: Zone::named(zone).unwrap(),
            overlap: OverlapPolicy::All,
            skip_if_successful: false,
            jitter_sec: 0,
            template: Arc::new(dag.new_run("template", dag.owner, now.wall)),
            ..dag.installed()
        };
        let times = oracle(&expressions, ahead, days * 1440);
        if !times.is_empty() {
            expected.insert(dag.name.clone(), times);
        }
        perform(
            &mut engine,
            now,
            Event::Install(Box::new(plan)),
            &mut armed,
            &mut made,
        );
    }
    let end = FROM + days * 86_400;
    while let Some(at) = armed.take() {
        let ahead = at.0 - now.boot.0;
        now.boot = at;
        now.wall = Time(now.wall.0 + i64::try_from(ahead).unwrap());
        if now.wall.secs() > end {
            break;
        }
        perform(&mut engine, now, Event::Tick, &mut armed, &mut made);
    }
    let count: usize = made.values().map(Vec::len).sum();
    println!("{dags} DAGs, {days} days: {count} runs");
    assert!(count > 100 * dags / 2, "too few to mean anything");
    assert_eq!(made.len(), expected.len());
    for (dag, times) in &expected {
        assert_eq!(made.get(dag), Some(times), "{dag}");
    }
    assert!(engine.is_empty());
}
