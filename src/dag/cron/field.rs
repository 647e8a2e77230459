//! One field: lists of values, ranges and steps, read into a set of numbers.

use super::error::{CronError, shown};
use crate::dag::diag::closest;

/// Numbers from 0 to 63.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Set(u64);

impl Set {
    fn add(&mut self, number: u32) {
        self.0 |= 1_u64.checked_shl(number).unwrap_or(0);
    }

    /// Whether the number is in it.
    pub(super) fn has(self, number: u32) -> bool {
        self.0.checked_shr(number).is_some_and(|rest| rest & 1 == 1)
    }

    /// Only this number.
    pub(super) const fn only(number: u32) -> Self {
        Self(1 << number)
    }

    /// Whether it has all numbers below this one.
    pub(super) const fn is_all_below(self, number: u32) -> bool {
        let all = (1 << number) - 1;
        self.0 & all == all
    }

    /// The least number in it that is not less than this one.
    pub(super) fn first_from(self, number: u32) -> Option<u32> {
        let rest = self.0.checked_shr(number)?;
        (rest != 0).then(|| number + rest.trailing_zeros())
    }
}

/// What a field may hold.
#[derive(Debug)]
pub(super) struct Field {
    /// How messages call it.
    name: &'static str,
    least: u32,
    most: u32,
    /// Names of the numbers from `least` on; none if they have no names.
    names: &'static [&'static str],
    /// The allowed values for people.
    allowed: &'static str,
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const fn field(
    name: &'static str,
    (least, most): (u32, u32),
    names: &'static [&'static str],
    allowed: &'static str,
) -> Field {
    Field {
        name,
        least,
        most,
        names,
        allowed,
    }
}

/// The field that may stand before the five.
pub(super) const SECOND: Field = field("second", (0, 59), &[], "a second is 0 to 59");

/// The five fields in their order.
pub(super) const FIELDS: [Field; 5] = [
    field("minute", (0, 59), &[], "a minute is 0 to 59"),
    field("hour", (0, 23), &[], "an hour is 0 to 23"),
    field("day of month", (1, 31), &[], "a day of month is 1 to 31"),
    field("month", (1, 12), &MONTHS, "a month is 1 to 12, or `jan` to `dec`"),
    field(
        "day of week",
        (0, 6),
        &WEEKDAYS,
        "a day of week is 0 (Sunday) to 6, or `sun` to `sat`",
    ),
];

/// What is wrong with an item of a field, and the cure.
type Wrong = (String, String);

impl Field {
    /// The numbers that a field means, and whether it was written to mean all: `*` or `?` without a step over 1, also
    /// among others. `column` is where the field begins.
    pub(super) fn read(&self, text: &str, column: u32) -> Result<(Set, bool), CronError> {
        let mut set = Set::default();
        let mut all = false;
        let mut at = column;
        for item in text.split(',') {
            let (first, last, step, is_all) = self
                .item(item)
                .map_err(|(message, hint)| CronError::new(at, message, hint))?;
            let mut number = first;
            while number <= last {
                set.add(number);
                number = number.saturating_add(step);
            }
            all |= is_all;
            let length = u32::try_from(item.chars().count()).unwrap_or(u32::MAX);
            at = at.saturating_add(length).saturating_add(1);
        }
        Ok((set, all))
    }

    /// First and last number of an item, its step, and whether it means all.
    fn item(&self, item: &str) -> Result<(u32, u32, u32, bool), Wrong> {
        let name = self.name;
        if item.is_empty() {
            let message = format!("the list for the {name} has an empty item");
            return Err((message, "strike out the superfluous comma".to_owned()));
        }
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(self.step(item, step)?)),
            None => (item, None),
        };
        if matches!(range, "*" | "?") {
            let step = step.unwrap_or(1);
            return Ok((self.least, self.most, step, step == 1));
        }
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => self.range(item, first, last)?,
            None => {
                let first = self.value(range)?;
                // A step without an end goes on to the last number.
                let last = if step.is_some() { self.most } else { first };
                self.within(first, first)?;
                (first, last)
            }
        };
        Ok((first, last, step.unwrap_or(1), false))
    }

    fn step(&self, item: &str, step: &str) -> Result<u32, Wrong> {
        let hint = || "a step is a whole number from 1, such as `*/15` or `8-18/2`".to_owned();
        if step.contains('/') {
            return Err((format!("{} has too many slashes", shown(item)), hint()));
        }
        match number(step) {
            Some(step) if step > 0 => Ok(step),
            Some(_) => Err((
                format!(
                    "the step of {} is 0, with which it would never go on",
                    shown(item)
                ),
                hint(),
            )),
            None if step.is_empty() => Err((format!("{} lacks the step", shown(item)), hint())),
            None => Err((
                format!("the step {} of the {} is no number", shown(step), self.name),
                hint(),
            )),
        }
    }

    fn range(&self, item: &str, first: &str, last: &str) -> Result<(u32, u32), Wrong> {
        let hint = || format!("a range is two values, such as `{}-{}`", self.least, self.most);
        if last.contains('-') {
            return Err((format!("{} has too many hyphens", shown(item)), hint()));
        }
        if first.is_empty() || last.is_empty() {
            let message = format!(
                "the range {} lacks an end; there are no negative numbers",
                shown(item)
            );
            return Err((message, hint()));
        }
        if let Some(end) = [first, last].iter().find(|end| matches!(**end, "*" | "?")) {
            let message = format!("`{end}` cannot be an end of a range: it means all");
            return Err((message, hint()));
        }
        let (first, last) = (self.value(first)?, self.value(last)?);
        self.within(first, last)?;
        if first > last {
            return Err((
                format!("the range {} of the {} goes backwards", shown(item), self.name),
                format!(
                    "if it is to go on from the beginning, write `{},{}`",
                    span(first, self.most),
                    span(self.least, last)
                ),
            ));
        }
        Ok((first, last))
    }

    /// Whether both are numbers of this field.
    fn within(&self, first: u32, last: u32) -> Result<(), Wrong> {
        let name = self.name;
        for value in [first, last] {
            if value < self.least {
                let message = format!("{name} {value} is below the minimum {}", self.least);
                return Err((message, self.allowed.to_owned()));
            }
            if value > self.most {
                let message = format!("{name} {value} is above the maximum {}", self.most);
                let hint = if name == "day of week" && last == 7 {
                    sunday(first)
                } else {
                    self.allowed.to_owned()
                };
                return Err((message, hint));
            }
        }
        Ok(())
    }

    /// The number that a value means: digits, or a name of three letters in any case.
    fn value(&self, text: &str) -> Result<u32, Wrong> {
        match number(text) {
            Some(number) if number < u32::MAX => return Ok(number),
            Some(_) => {
                let message = format!("{} {} is above the maximum {}", self.name, shown(text), self.most);
                return Err((message, self.allowed.to_owned()));
            }
            None => {}
        }
        let named = (self.least..).zip(self.names);
        for (number, name) in named {
            if text.eq_ignore_ascii_case(name) {
                return Ok(number);
            }
        }
        let message = format!("{} is no {}", shown(text), self.name);
        let is_day = self.name.starts_with("day");
        if is_day && text.contains(['L', 'W', '#']) {
            let hint =
                "`L`, `W` and `#` (last day, nearest working day, n-th weekday) are not supported here";
            return Err((message, hint.to_owned()));
        }
        // Longer names begin with the short ones.
        let lower = text.to_lowercase();
        let begins = self.names.iter().find(|name| lower.starts_with(**name)).copied();
        let meant = begins.or_else(|| closest(text, self.names.iter().copied()));
        let hint = match meant {
            Some(name) => format!("did you mean `{name}`? {}", self.allowed),
            None => self.allowed.to_owned(),
        };
        Err((message, hint))
    }
}

/// Digits as a number; the largest one for what is too large even for that.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

fn span(first: u32, last: u32) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

/// The cure for a range of weekdays that ends in 7.
fn sunday(first: u32) -> String {
    let instead = match first {
        0 | 1 => "*".to_owned(),
        2..=6 => format!("0,{}", span(first, 6)),
        _ => "0".to_owned(),
    };
    format!("Sunday is 0: write `{instead}`")
}
