//! How answers look. Nothing here asks anything or writes anywhere: a view comes in, lines or a JSON value go out.
//!
//! Every text that came from a run passes through [`escape()`] on its way, except into JSON.

pub(crate) mod escape;
pub(crate) mod graph;
pub(crate) mod installed;
pub(crate) mod json;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod tree;
pub(crate) mod usage;
pub(crate) mod version;
pub(crate) mod words;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::model::{PendingRetry, RunStatus, StepStatus, Time};
use crate::wire::control::Problem;
use escape::escape;

/// What is drawn where a text was cut.
const CUT: &str = "…";

/// Pieces of one line, each with its style.
#[derive(Debug, Default)]
pub(crate) struct Line(Vec<(Style, String)>);

impl Line {
    /// Adds a text that may come from a run.
    pub(crate) fn text(&mut self, style: Style, text: &str) -> &mut Self {
        self.0.push((style, escape(text).into_owned()));
        self
    }

    /// Adds a text filled with blanks to `width` columns.
    pub(crate) fn padded(&mut self, style: Style, text: &str, width: usize) -> &mut Self {
        let text = escape(text).into_owned();
        let blanks = width.saturating_sub(text.width());
        self.0.push((style, text));
        self.plain(&" ".repeat(blanks))
    }

    /// Adds an unstyled text.
    pub(crate) fn plain(&mut self, text: &str) -> &mut Self {
        self.text(Style::new(), text)
    }

    /// The line, cut to a width in columns so that a terminal does not wrap it.
    pub(crate) fn fit(&self, width: Option<u16>) -> String {
        let total: usize = self.0.iter().map(|(_, text)| text.width()).sum();
        let room = width.map_or(usize::MAX, usize::from);
        let mut left = if total > room {
            room.saturating_sub(CUT.width())
        } else {
            room
        };
        let mut out = String::new();
        for (style, text) in &self.0 {
            let mut piece = String::new();
            for c in text.chars() {
                let columns = c.width().unwrap_or(0);
                if columns > left {
                    left = 0;
                    break;
                }
                left -= columns;
                piece.push(c);
            }
            if piece.is_empty() {
                continue;
            }
            out.push_str(&format!("{style}{piece}{style:#}"));
        }
        if total > room && room > 0 {
            out.push_str(CUT);
        }
        let end = out.trim_end_matches(' ').len();
        out.truncate(end);
        out
    }
}

fn coloured(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(colour.into()))
}

/// Style of a run's status.
pub(crate) fn run_style(status: RunStatus) -> Style {
    match status {
        RunStatus::Succeeded => coloured(AnsiColor::Green),
        RunStatus::Failed | RunStatus::Rejected => coloured(AnsiColor::Red),
        RunStatus::Aborted | RunStatus::PartiallySucceeded | RunStatus::Waiting => {
            coloured(AnsiColor::Yellow)
        }
        RunStatus::Running => coloured(AnsiColor::Cyan),
        RunStatus::Queued | RunStatus::NotStarted => Style::new().dimmed(),
    }
}

/// Style of a step's status.
pub(crate) fn step_style(status: StepStatus) -> Style {
    match status {
        StepStatus::Succeeded => coloured(AnsiColor::Green),
        StepStatus::Failed | StepStatus::Rejected => coloured(AnsiColor::Red),
        StepStatus::Aborted | StepStatus::PartiallySucceeded | StepStatus::Waiting | StepStatus::Retrying => {
            coloured(AnsiColor::Yellow)
        }
        StepStatus::Running => coloured(AnsiColor::Cyan),
        StepStatus::NotStarted | StepStatus::Skipped => Style::new().dimmed(),
    }
}

/// Style of a word that tells a change.
pub(crate) fn changed_style() -> Style {
    coloured(AnsiColor::Yellow)
}

/// A point in time for people: UTC, whole seconds.
pub(crate) fn time(at: Time) -> String {
    at.utc().format("%Y-%m-%d %H:%M:%S").to_string()
}

/// How long it took, in at most two units.
pub(crate) fn duration(from: Time, to: Time) -> String {
    let micros = to.0.saturating_sub(from.0).max(0);
    let secs = micros / 1_000_000;
    match secs {
        0..60 => format!("{secs}.{}s", micros % 1_000_000 / 100_000),
        60..3_600 => format!("{}m{:02}s", secs / 60, secs % 60),
        3_600..86_400 => format!("{}h{:02}m", secs / 3_600, secs % 3_600 / 60),
        _ => format!("{}d{:02}h", secs / 86_400, secs % 86_400 / 3_600),
    }
}

/// The retry of a run that comes by itself: `retry 2 of 5 in 4m10s`. One that is `held` waits for its DAG.
pub(crate) fn pending(retry: &PendingRetry, held: bool, now: Time) -> String {
    if held {
        format!("{retry} when the DAG is enabled")
    } else if retry.at > now {
        format!("{retry} in {}", duration(now, retry.at))
    } else {
        format!("{retry} is due")
    }
}

/// Time from a start to an end, or to now if there is no end; empty without a start.
pub(crate) fn elapsed(started: Option<Time>, finished: Option<Time>, now: Time) -> String {
    started.map_or_else(String::new, |from| duration(from, finished.unwrap_or(now)))
}

/// A problem of a DAG file as compilers write it: `file:line:column: message`, and the hint below.
pub(crate) fn problem(problem: &Problem) -> String {
    let mut out = String::new();
    if let Some(file) = &problem.file {
        out.push_str(&escape(file));
        out.push(':');
    }
    for number in [problem.line, problem.column].into_iter().flatten() {
        out.push_str(&format!("{number}:"));
    }
    if !out.is_empty() {
        out.push(' ');
    }
    out.push_str(&escape(&problem.message));
    if let Some(hint) = &problem.hint {
        out.push_str("\n  hint: ");
        out.push_str(&escape(hint));
    }
    out
}

#[cfg(test)]
pub(crate) mod tests;
