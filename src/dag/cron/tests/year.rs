//! A year of 1,000 schedules, and random ones near the changes of clocks, against an oracle that looks at the clock
//! minute by minute or second by second. It knows nothing of offsets: what was leapt over is what lies between what
//! the clock shows and what it showed before, and what is shown again is not later than that.

use std::collections::HashSet;

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::oracle::{Numbers, field, place};
use super::{schedule, zone};
use crate::model::Time;

/// The fields of an expression as sets of numbers.
struct Meant {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    one_day_field: bool,
}

fn mask(numbers: &[u32]) -> u64 {
    numbers.iter().fold(0, |mask, number| mask | 1 << number)
}

fn within(mask: u64, number: u32) -> bool {
    mask >> number & 1 == 1
}

impl Meant {
    fn new(second: &Numbers, [minute, hour, day, month, weekday]: [&Numbers; 5]) -> Self {
        Self {
            seconds: mask(&second.1),
            minutes: mask(&minute.1),
            hours: mask(&hour.1),
            days: mask(&day.1),
            months: mask(&month.1),
            weekdays: mask(&weekday.1),
            one_day_field: day.2 || weekday.2,
        }
    }

    fn matches(&self, shown: NaiveDateTime) -> bool {
        let day = within(self.days, shown.day());
        let weekday = within(self.weekdays, shown.weekday().num_days_from_sunday());
        let today = if self.one_day_field {
            day && weekday
        } else {
            day || weekday
        };
        today
            && within(self.minutes, shown.minute())
            && within(self.seconds, shown.second())
            && within(self.hours, shown.hour())
            && within(self.months, shown.month())
    }

    const fn is_interval(&self) -> bool {
        self.hours == (1 << 24) - 1
    }
}

/// What a clock shows from one instant on, step by step.
struct Clock {
    /// By the minute of the hour: instant, what the clock shows, and whether it had shown it, or something later,
    /// before.
    shown: Vec<Vec<(i64, NaiveDateTime, bool)>>,
    /// What it leaps over, with the instant after the gap.
    leapt: Vec<(i64, Vec<NaiveDateTime>)>,
}

/// Long enough before the start to know what the clock shows for the second time.
const BEFORE: i64 = 26 * 3_600;

impl Clock {
    fn watch(tz: Tz, from: i64, to: i64, step: i64) -> Self {
        let show = |at: i64| {
            tz.from_utc_datetime(&DateTime::from_timestamp(at, 0).unwrap().naive_utc())
                .naive_local()
        };
        let mut clock = Self {
            shown: vec![Vec::new(); 60],
            leapt: Vec::new(),
        };
        let first = from.div_euclid(step) * step + step;
        let mut latest = show(first - BEFORE);
        for at in (first - BEFORE..to).step_by(usize::try_from(step).unwrap()) {
            let now = show(at);
            let is_again = now <= latest && at > first - BEFORE;
            if at >= first {
                clock.shown[now.minute() as usize].push((at, now, is_again));
                let mut over = latest + TimeDelta::seconds(step);
                if over < now {
                    let mut gap = Vec::new();
                    while over < now {
                        gap.push(over);
                        over += TimeDelta::seconds(step);
                    }
                    clock.leapt.push((at, gap));
                }
            }
            latest = latest.max(now);
        }
        clock
    }

    /// When these are due.
    fn fires(&self, meant: &Meant) -> Vec<i64> {
        let interval = meant.is_interval();
        let due =
            |(_, shown, again): &&(i64, NaiveDateTime, bool)| (interval || !again) && meant.matches(*shown);
        let minutes = (0..60_u32).filter(|minute| within(meant.minutes, *minute));
        let shown = minutes.flat_map(|minute| &self.shown[minute as usize]);
        let mut found: Vec<i64> = shown.filter(due).map(|(at, ..)| *at).collect();
        for (at, gap) in &self.leapt {
            if !interval && !found.contains(at) && gap.iter().any(|over| meant.matches(*over)) {
                found.push(*at);
            }
        }
        found.sort_unstable();
        found
    }
}

/// Random numbers that are the same each time.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((z ^ (z >> 31)) % u64::from(end)).unwrap()
    }

    fn list(&mut self, (least, most): (u32, u32), count: u32) -> Numbers {
        let count = 1 + self.below(count);
        let numbers: Vec<u32> = (0..count).map(|_| least + self.below(most - least + 1)).collect();
        let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        (words.join(","), numbers, false)
    }
}

fn all(least: u32, most: u32) -> Numbers {
    ("*".to_owned(), (least..=most).collect(), true)
}

fn step(least: u32, most: u32, step: u32) -> Numbers {
    let numbers = (least..=most).step_by(usize::try_from(step).unwrap());
    (format!("*/{step}"), numbers.collect(), false)
}

/// The schedules of a machine: mostly some times a day, some every hour, few more often.
fn some(rng: &mut Rng, number: usize) -> (String, Meant) {
    let minute = rng.list((0, 59), 3);
    // Mostly at night, when clocks change.
    let night = rng.list((0, 4), 2);
    let (days, months, weekdays) = (all(1, 31), all(1, 12), all(0, 6));
    let [minute, hour, day, month, weekday] = match number % 20 {
        0..=7 => [minute, night, days, months, weekdays],
        8..=10 => [minute, rng.list((0, 23), 3), days, months, rng.list((0, 6), 5)],
        11..=12 => [minute, night, rng.list((1, 31), 4), months, weekdays],
        13 => [
            minute,
            night,
            rng.list((1, 31), 4),
            rng.list((1, 12), 4),
            rng.list((0, 6), 2),
        ],
        14 => [step(0, 59, 20), night, days, months, weekdays],
        15..=16 => [minute, step(0, 23, 2 + rng.below(11)), days, months, weekdays],
        17..=18 => [rng.list((0, 59), 1), all(0, 23), days, months, weekdays],
        _ if number % 100 == 19 => [step(0, 59, 15), all(0, 23), days, months, weekdays],
        _ => [minute, all(0, 23), days, months, rng.list((0, 6), 1)],
    };
    let text = format!("{} {} {} {} {}", minute.0, hour.0, day.0, month.0, weekday.0);
    let zero = (String::new(), vec![0], false);
    (text, Meant::new(&zero, [&minute, &hour, &day, &month, &weekday]))
}

#[test]
fn a_year_of_a_thousand_schedules() {
    const ZONES: [Tz; 8] = [
        Tz::Europe__Berlin,
        Tz::America__New_York,
        Tz::Australia__Lord_Howe,
        Tz::America__Santiago,
        Tz::Asia__Beirut,
        Tz::Asia__Kolkata,
        Tz::Africa__Casablanca,
        Tz::Antarctica__Troll,
    ];
    let second = |text: &str| Time::from_rfc3339(text).unwrap().secs();
    let (from, to) = (second("2026-01-01T00:00:00Z"), second("2027-01-01T00:00:00Z"));
    let mut rng = Rng(4);
    let (mut schedules, mut seen) = (0, 0);
    for tz in ZONES {
        let clock = Clock::watch(tz, from, to, 60);
        for _ in 0..1_000 / ZONES.len() {
            let (text, meant) = some(&mut rng, schedules);
            let found: Vec<i64> = schedule(&text)
                .after(Time::from_secs(from), zone(tz.name()))
                .map(|fire| fire.at.secs())
                .take_while(|at| *at < to)
                .collect();
            let expected = clock.fires(&meant);
            assert!(
                found == expected,
                "{text} in {tz}: {:?}",
                difference(&found, &expected)
            );
            schedules += 1;
            seen += found.len();
        }
    }
    assert!(schedules == 1_000 && seen > 500_000, "{schedules} {seen}");
}

fn difference(found: &[i64], expected: &[i64]) -> Vec<String> {
    let (one, other): (HashSet<i64>, HashSet<i64>) = (
        found.iter().copied().collect(),
        expected.iter().copied().collect(),
    );
    one.symmetric_difference(&other)
        .take(5)
        .map(|at| Time::from_secs(*at).rfc3339())
        .collect()
}

/// Hours in which most clocks change.
fn night() -> impl Strategy<Value = Numbers> {
    (0..4_u32, 1..4_u32).prop_map(|(first, count)| {
        let last = first + count - 1;
        (format!("{first}-{last}"), (first..=last).collect(), false)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_second_near_a_change(
        second in field(0, 59),
        minute in field(0, 59),
        hour in prop_oneof![3 => field(0, 23), 2 => Just(all(0, 23)), 3 => night()],
        (tz, near) in place(),
        away in -4 * 3_600..2 * 3_600_i64,
    ) {
        // The changes of the places lie within 60 hours of them; half of the windows begin close to one.
        let from = if near % 2 == 0 { near } else { change_near(tz, near) + away };
        let to = from + 4 * 3_600;
        let text = format!("{} {} {} * * *", second.0, minute.0, hour.0);
        let meant = Meant::new(&second, [&minute, &hour, &all(1, 31), &all(1, 12), &all(0, 6)]);
        let expected = Clock::watch(tz, from, to, 1).fires(&meant);
        let compiled = schedule(&text);
        let zone = zone(tz.name());
        let found: Vec<_> = compiled
            .after(Time::from_secs(from), zone)
            .take_while(|fire| fire.at.secs() < to)
            .collect();
        let at: Vec<i64> = found.iter().map(|fire| fire.at.secs()).collect();
        prop_assert_eq!(&at, &expected, "{} in {} from {}", text, tz.name(), from);
        let mut locals = HashSet::new();
        for fire in &found {
            prop_assert!(meant.is_interval() || locals.insert(fire.local), "{} twice", fire.local);
            prop_assert_eq!(zone.local(fire.at), fire.local);
        }
        // Whoever asks between two fires is told of both, at each of which the other direction agrees.
        for pair in found.windows(2) {
            let middle = Time(pair[0].at.0 + (pair[1].at.0 - pair[0].at.0) / 2);
            prop_assert_eq!(compiled.next(middle, zone), Some(pair[1]));
            prop_assert_eq!(compiled.previous(pair[1].at, zone), Some(pair[0]));
        }
    }

    #[test]
    fn both_directions_agree(
        minute in field(0, 59),
        hour in field(0, 23),
        day in field(1, 31),
        month in field(1, 12),
        weekday in field(0, 6),
        (tz, from) in place(),
    ) {
        let text = format!("{} {} {} {} {}", minute.0, hour.0, day.0, month.0, weekday.0);
        let compiled = schedule(&text);
        let zone = zone(tz.name());
        let from = Time::from_secs(from);
        let previous = compiled.previous(from, zone);
        if let Some(previous) = previous {
            prop_assert!(previous.at < from);
            // There is none between it and here.
            prop_assert!(compiled.next(previous.at, zone).is_none_or(|next| next.at >= from));
        }
        let mut last = previous;
        for fire in compiled.after(Time(from.0 - 1), zone).take(20) {
            prop_assert!(last.is_none_or(|last| last.at < fire.at), "{:?} {:?}", last, fire);
            prop_assert_eq!(compiled.previous(fire.at, zone), last, "{} in {}", text, tz.name());
            last = Some(fire);
        }
    }
}

/// The change of the clock that is next to a place.
fn change_near(tz: Tz, near: i64) -> i64 {
    let offset = |at: i64| {
        let utc = DateTime::from_timestamp(at, 0).unwrap().naive_utc();
        chrono::Offset::fix(&tz.offset_from_utc_datetime(&utc)).local_minus_utc()
    };
    (near - 61 * 3_600..near + 61 * 3_600)
        .step_by(60)
        .find(|at| offset(*at) != offset(at - 60))
        .unwrap_or(near)
}
