//! What can be wrong with an expression, with its place and its cure.

use crate::dag::diag::{Diagnostic, closest};

/// Most characters of an expression that a message repeats.
const SHOWN_MAX: usize = 40;

const FIVE: &str = "write five fields: minute, hour, day of month, month, day of week";
const FIVE_OR_SIX: &str =
    "write five fields: minute, hour, day of month, month, day of week; or six, the seconds first";
const REBOOT: &str = "a schedule tells times; the start of the machine is none";

/// Words that stand for fields, and two that other crons know.
const WORDS: [&str; 9] = [
    "@hourly",
    "@daily",
    "@midnight",
    "@weekly",
    "@monthly",
    "@yearly",
    "@annually",
    "@every",
    "@reboot",
];

/// Something that is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CronError {
    /// Where, in characters of the expression from 1.
    pub column: u32,
    /// What is wrong, in a lower-case sentence.
    pub message: String,
    /// What cures it.
    pub hint: String,
}

impl CronError {
    pub(super) fn new(column: u32, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            column,
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl From<CronError> for Diagnostic {
    /// A diagnostic that is in no file; the column is that of the expression.
    fn from(error: CronError) -> Self {
        Self {
            column: Some(error.column),
            ..Self::nowhere(error.message).with_hint(error.hint)
        }
    }
}

/// A piece of an expression for a message: in back quotes, cut if it is long.
pub(in crate::dag) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN_MAX).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        cut.push('…');
    }
    format!("`{cut}`")
}

/// The error for fields that are not five, each with its column.
pub(super) fn not_five(fields: &[(u32, &str)], text: &str) -> CronError {
    match fields {
        [] => nothing(text, FIVE),
        [(column, word), rest @ ..] if word.starts_with('@') => {
            let name = word.to_ascii_lowercase();
            let span = rest.first().map_or("", |(_, span)| *span);
            let hint = match (name.as_str(), in_fields(&name, span)) {
                (_, Some(fields)) => format!("write `{fields}`"),
                ("@every", None) => {
                    "write the minutes or hours as a step, such as `*/5 * * * *` for every five minutes"
                        .to_owned()
                }
                ("@reboot", None) => REBOOT.to_owned(),
                _ => FIVE.to_owned(),
            };
            let message = format!("{} is not accepted, only fields are", shown(word));
            CronError::new(*column, message, hint)
        }
        fields => {
            let number = fields.len();
            let plural = if number == 1 { "" } else { "s" };
            let hint = match number {
                6 => "seconds are not supported here: leave out the first field if it is that",
                7 => "seconds and years are not supported here: leave out the first and the last field",
                _ => FIVE,
            };
            // Too many: the first one too much. Too few: where the next one is missing.
            let column = fields.get(5).map_or_else(|| end(text), |(column, _)| *column);
            let message = format!("expected exactly 5 fields, found {number} field{plural}");
            CronError::new(column, message, hint)
        }
    }
}

/// The error for what is neither five fields, nor six, nor a word that stands for some.
pub(super) fn no_schedule(fields: &[(u32, &str)], text: &str) -> CronError {
    match fields {
        [] => nothing(text, FIVE_OR_SIX),
        [(column, word), rest @ ..] if word.starts_with('@') => {
            let name = word.to_ascii_lowercase();
            let span = rest.first().map_or("", |(_, span)| *span);
            let taken = WORDS.iter().take(7).any(|known| *known == name);
            if let (true, Some((column, _))) = (taken, rest.first()) {
                let message = format!("nothing may stand behind {}", shown(word));
                return CronError::new(
                    *column,
                    message,
                    "leave it out, or write fields instead of the word",
                );
            }
            let hint = match name.as_str() {
                "@reboot" => REBOOT.to_owned(),
                "@every" => match every(span).or_else(|| every_seconds(span)) {
                    Some(fields) => format!("write `{fields}`"),
                    None => {
                        "write the minutes or hours as a step, such as `*/5 * * * *` for every five minutes"
                            .to_owned()
                    }
                },
                name => match closest(name, WORDS) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => FIVE_OR_SIX.to_owned(),
                },
            };
            CronError::new(*column, format!("{} is not accepted", shown(word)), hint)
        }
        fields => {
            let number = fields.len();
            let plural = if number == 1 { "" } else { "s" };
            let hint = match number {
                7 => "years are not supported: leave out the last field",
                _ => FIVE_OR_SIX,
            };
            let column = fields.get(6).map_or_else(|| end(text), |(column, _)| *column);
            let message = format!("expected 5 fields, or 6 with seconds first, found {number} field{plural}");
            CronError::new(column, message, hint)
        }
    }
}

/// Behind the last character.
fn end(text: &str) -> u32 {
    u32::try_from(text.trim_end().chars().count())
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}

fn nothing(text: &str, hint: &str) -> CronError {
    if text.trim().is_empty() {
        CronError::new(1, "the cron expression is empty", hint)
    } else {
        CronError::new(end(text), "there is nothing behind the time zone", hint)
    }
}

/// The five fields that mean the same as a word of other crons.
fn in_fields(word: &str, span: &str) -> Option<String> {
    let fixed = match word {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        "@every" => return every(span),
        _ => return None,
    };
    Some(fixed.to_owned())
}

/// The same for `@every 5m` and `@every 2h`, if the hour or the day can be divided so.
fn every(span: &str) -> Option<String> {
    let whole = |number: &str, of: u32| {
        let number: u32 = number.parse().ok()?;
        (number > 0 && of.is_multiple_of(number)).then_some(number)
    };
    match (span.strip_suffix('m'), span.strip_suffix('h')) {
        (Some(minutes), _) => Some(match whole(minutes, 60)? {
            60 => "0 * * * *".to_owned(),
            1 => "* * * * *".to_owned(),
            minutes => format!("*/{minutes} * * * *"),
        }),
        (_, Some(hours)) => Some(match whole(hours, 24)? {
            24 => "0 0 * * *".to_owned(),
            1 => "0 * * * *".to_owned(),
            hours => format!("0 */{hours} * * *"),
        }),
        _ => None,
    }
}

/// The six fields for `@every 30s`, if the minute can be divided so.
fn every_seconds(span: &str) -> Option<String> {
    let seconds: u32 = span.strip_suffix('s')?.parse().ok()?;
    match seconds {
        1 => Some("* * * * * *".to_owned()),
        2..60 if 60_u32.is_multiple_of(seconds) => Some(format!("*/{seconds} * * * * *")),
        60 => Some("* * * * *".to_owned()),
        _ => None,
    }
}
