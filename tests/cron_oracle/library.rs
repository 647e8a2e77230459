//! The library.

use chrono::{MappedLocalTime, TimeZone, Timelike};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::CronParser;
use std::collections::BTreeMap;

use crate::expressions::expression;
use crate::rng::Rng;
use crate::{Change, YEAR, changes, ours, shown};

/// Their clocks change at night, by half an hour, at midnight, around Ramadan, by two hours; and never.
const ZONES: [Tz; 8] = [
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Australia__Lord_Howe,
    Tz::America__Santiago,
    Tz::Asia__Beirut,
    Tz::Africa__Casablanca,
    Tz::Antarctica__Troll,
    Tz::UTC,
];

/// Expressions; each is asked for the year in one zone, and for the days of a change in all of them.
const EXPRESSIONS: usize = 320;

fn parse(text: &str) -> Cron {
    // Here as there `5/15` goes on from 5 to the greatest number, but the library has to be told that this is no error.
    let parser = CronParser::builder().sloppy_ranges(true).build();
    parser
        .parse(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// When the library says that an expression is due, after `from` and before `to`.
fn theirs(cron: &Cron, tz: Tz, from: i64, to: i64) -> Vec<i64> {
    cron.iter_after(shown(tz, from))
        .map(|at| at.timestamp())
        .take_while(|at| *at < to)
        .collect()
}

/// How much was compared.
#[derive(Debug, Default)]
struct Sum {
    /// Fires on days when no clock changes.
    usual: usize,
    /// Expressions on days of a change where both have the same rule, and their fires.
    same_rule: usize,
    same_rule_fires: usize,
    /// Those that the library was asked about time by time.
    by_time: usize,
    by_time_fires: usize,
    /// Of these: for how many the library, asked about them as a whole, says something else, which is left out.
    left_out: usize,
    /// Fires that were moved to the end of a gap, or are the first of two.
    moved: usize,
    first: usize,
}

/// What the manual page says for the days of a change, as the library has it: when, and with which mark.
fn by_the_manual(text: &str, tz: Tz, change: &Change, sum: &mut Sum) -> BTreeMap<i64, Option<&'static str>> {
    let (from, to) = change.around();
    let near = |times: Vec<i64>| times.into_iter().filter(|at| change.is_near(tz, *at));
    let whole = parse(text);
    let numbers = |values: Vec<u16>| values.into_iter().map(u32::from).collect::<Vec<_>>();
    let minutes = numbers(whole.pattern.minutes.values());
    let hours = numbers(whole.pattern.hours.values());
    let at_once: Vec<i64> = near(theirs(&whole, tz, from, to)).collect();
    if hours.len() == 24 {
        sum.same_rule += 1;
        sum.same_rule_fires += at_once.len();
        return at_once.into_iter().map(|at| (at, None)).collect();
    }
    let days = text.splitn(3, ' ').nth(2).unwrap();
    let mut due: BTreeMap<i64, Option<&'static str>> = BTreeMap::new();
    for (hour, minute) in hours
        .iter()
        .flat_map(|hour| minutes.iter().map(move |minute| (*hour, *minute)))
    {
        let single = parse(&format!("{minute} {hour} {days}"));
        for at in near(theirs(&single, tz, from, to)) {
            let local = shown(tz, at);
            let mark = if (local.hour(), local.minute()) != (hour, minute) {
                Some("moved")
            } else if let MappedLocalTime::Ambiguous(..) = tz.from_local_datetime(&local.naive_local()) {
                Some("first")
            } else {
                None
            };
            // One that is due at the end of the gap anyway is not moved there.
            let before = due.entry(at).or_insert(mark);
            *before = before.and(mark);
        }
    }
    if hours.len() == 1 && minutes.len() == 1 {
        sum.same_rule += 1;
        sum.same_rule_fires += due.len();
    } else {
        sum.by_time += 1;
        sum.by_time_fires += due.len();
        sum.left_out += usize::from(!due.keys().eq(at_once.iter()));
    }
    let marked = |word| due.values().filter(|mark| **mark == Some(word)).count();
    sum.moved += marked("moved");
    sum.first += marked("first");
    due
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.usual += other.usual;
        self.same_rule += other.same_rule;
        self.same_rule_fires += other.same_rule_fires;
        self.by_time += other.by_time;
        self.by_time_fires += other.by_time_fires;
        self.left_out += other.left_out;
        self.moved += other.moved;
        self.first += other.first;
    }
}

/// Compares all expressions on the days of a change in a zone, and its share of them over the year.
fn compare(which: usize, tz: Tz, expressions: &[String]) -> Sum {
    let mut sum = Sum::default();
    let changes = changes(tz);
    assert_eq!(changes.len(), if tz == Tz::UTC { 0 } else { 2 }, "{tz}");
    let usual = |at: &i64| !changes.iter().any(|change| change.is_near(tz, *at));
    for (number, text) in expressions.iter().enumerate() {
        for change in &changes {
            let (from, to) = change.around();
            let expected = by_the_manual(text, tz, change, &mut sum);
            let found: BTreeMap<i64, Option<&'static str>> = ours(text, tz, from, to)
                .into_iter()
                .map(|fire| (fire.at.secs(), fire.dst.word()))
                .filter(|(at, _)| change.is_near(tz, *at))
                .collect();
            assert_eq!(found, expected, "{text} in {tz} on {:?}", change.days);
        }
        if number % ZONES.len() == which {
            let (from, to) = YEAR;
            let fires = ours(text, tz, from, to);
            let mut found: Vec<i64> = fires.iter().map(|fire| fire.at.secs()).collect();
            let mut expected = theirs(&parse(text), tz, from, to);
            found.retain(usual);
            expected.retain(usual);
            assert!(
                found == expected,
                "{text} in {tz}: {}",
                difference(&found, &expected)
            );
            sum.usual += found.len();
        }
    }
    sum
}

#[test]
fn a_year_of_random_expressions_is_what_the_library_says() {
    let mut rng = Rng::new(11);
    let expressions: Vec<String> = (0..EXPRESSIONS).map(|_| expression(&mut rng)).collect();
    let mut sum = Sum::default();
    std::thread::scope(|scope| {
        let zones = ZONES.iter().enumerate();
        let threads: Vec<_> = zones
            .map(|(which, tz)| {
                (
                    tz,
                    scope.spawn({
                        let expressions = &expressions;
                        move || compare(which, *tz, expressions)
                    }),
                )
            })
            .collect();
        for (tz, thread) in threads {
            let found = thread
                .join()
                .unwrap_or_else(|_| panic!("{tz} differs, see above"));
            sum.add(&found);
        }
    });
    println!("{EXPRESSIONS} expressions: {sum:?}");
    assert_eq!(sum.same_rule + sum.by_time, EXPRESSIONS * 2 * (ZONES.len() - 1));
    for (what, count, least) in [
        ("fires on usual days", sum.usual, 100_000),
        ("expressions with the same rule", sum.same_rule, 1_000),
        ("their fires", sum.same_rule_fires, 10_000),
        ("expressions asked time by time", sum.by_time, 1_000),
        ("their fires", sum.by_time_fires, 2_000),
        ("moved fires", sum.moved, 50),
        ("first fires", sum.first, 50),
    ] {
        assert!(count >= least, "{what}: {count} are too few to mean anything");
    }
}

/// The first times that only one side has.
fn difference(found: &[i64], expected: &[i64]) -> String {
    let only = |one: &[i64], other: &[i64]| {
        let time = one.iter().find(|at| other.binary_search(at).is_err());
        time.map(|at| shown(Tz::UTC, *at).to_rfc3339())
    };
    format!(
        "only ours {:?}, only theirs {:?}",
        only(found, expected),
        only(expected, found)
    )
}
