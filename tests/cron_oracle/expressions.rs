//! Random expressions in which both sides mean the same.

use crate::rng::Rng;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field: its least and greatest number, and their names if they have some.
struct Field {
    least: usize,
    most: usize,
    names: &'static [&'static str],
}

const fn field(least: usize, most: usize, names: &'static [&'static str]) -> Field {
    Field { least, most, names }
}

const MINUTE: Field = field(0, 59, &[]);
const HOUR: Field = field(0, 23, &[]);
/// The hours in which most clocks change.
const NIGHT: Field = field(0, 4, &[]);
const DAY: Field = field(1, 31, &[]);
const MONTH: Field = field(1, 12, &MONTHS);
const WEEKDAY: Field = field(0, 6, &WEEKDAYS);

impl Field {
    fn number(&self, rng: &mut Rng) -> usize {
        self.least + rng.below(self.most - self.least + 1)
    }

    /// The number, or its name in some case.
    fn word(&self, number: usize, rng: &mut Rng) -> String {
        match self.names.get(number - self.least) {
            Some(name) if rng.percent(30) => name.to_uppercase(),
            Some(name) if rng.percent(60) => (*name).to_owned(),
            _ => number.to_string(),
        }
    }

    fn range(&self, rng: &mut Rng) -> String {
        let (one, other) = (self.number(rng), self.number(rng));
        let (first, last) = (one.min(other), one.max(other));
        // What the two sides disagree about.
        if last == 0 {
            return "0-0".to_owned();
        }
        format!("{}-{}", self.word(first, rng), self.word(last, rng))
    }

    fn step(&self, rng: &mut Rng) -> usize {
        2 + rng.below((self.most - self.least) / 2)
    }

    fn item(&self, rng: &mut Rng) -> String {
        let number = self.number(rng);
        match rng.below(6) {
            0 => self.range(rng),
            1 => format!("{}/{}", self.range(rng), self.step(rng)),
            2 if self.names.is_empty() => format!("{number}/{}", self.step(rng)),
            _ => self.word(number, rng),
        }
    }

    /// One to three numbers.
    fn few(&self, rng: &mut Rng) -> String {
        let words: Vec<String> = (0..=rng.below(3)).map(|_| self.number(rng).to_string()).collect();
        words.join(",")
    }

    /// Anything but all: an item, several of them, or steps.
    fn some(&self, rng: &mut Rng) -> String {
        match rng.below(5) {
            0 => format!("*/{}", self.step(rng)),
            1 => format!("{},{}", self.item(rng), self.item(rng)),
            _ => self.item(rng),
        }
    }

    fn one(&self, rng: &mut Rng) -> String {
        self.number(rng).to_string()
    }
}

/// An expression of five fields.
pub(crate) fn expression(rng: &mut Rng) -> String {
    let minute = match rng.below(20) {
        0 => MINUTE.some(rng),
        1..=3 => format!("*/{}", 15 + rng.below(15)),
        4..=8 => MINUTE.few(rng),
        _ => MINUTE.one(rng),
    };
    let is_busy = minute.contains(['*', '-', '/']);
    let hour = match rng.below(12) {
        // A year of a busy one takes its time and shows nothing more.
        0 | 1 if is_busy && rng.percent(80) => NIGHT.few(rng),
        0 => "*".to_owned(),
        1 => "0-23".to_owned(),
        2 => HOUR.some(rng),
        3 => HOUR.few(rng),
        4 => NIGHT.range(rng),
        5..=8 => NIGHT.one(rng),
        _ => HOUR.one(rng),
    };
    let all = |rng: &mut Rng| if rng.percent(20) { "?" } else { "*" }.to_owned();
    let (day, weekday) = match rng.below(10) {
        0 => (DAY.some(rng), all(rng)),
        1..=3 => (all(rng), WEEKDAY.some(rng)),
        // A day matches if one of the two does.
        4 | 5 => (DAY.some(rng), WEEKDAY.some(rng)),
        _ => (all(rng), all(rng)),
    };
    let month = if rng.percent(25) {
        MONTH.some(rng)
    } else {
        "*".to_owned()
    };
    format!("{minute} {hour} {day} {month} {weekday}")
}
