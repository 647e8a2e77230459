//! A followed run while it goes on: a tree that is drawn again and again on a terminal, else a line for each change.

use std::collections::HashMap;

use anstyle::Style;

use super::tree::{Room, headline, tree};
use super::{Line, elapsed, run_style, step_style, time};
use crate::model::view::RunView;
use crate::model::{Node, RunStatus, StepStatus, Time};

/// What to write for a followed run.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Nothing.
    Silent,
    /// One line for each change.
    Lines(Changes),
    /// A tree, drawn over its former self.
    Live(Drawn),
}

/// What is to be written next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Picture {
    /// How many lines above the cursor are to be replaced.
    pub(crate) up: usize,
    /// The text, with colours.
    pub(crate) text: String,
}

impl From<String> for Picture {
    fn from(text: String) -> Self {
        Self { up: 0, text }
    }
}

/// What has been told of a run.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    run: Option<(u32, RunStatus, bool)>,
    nodes: HashMap<Node, (StepStatus, u32, u32)>,
}

/// What stands on the terminal.
#[derive(Debug, Default)]
pub(crate) struct Drawn {
    lines: usize,
}

/// Milliseconds after which a drawn tree is drawn again, for its elapsed times.
const REDRAW_MS: u16 = 1000;

impl Progress {
    /// The form for an output.
    pub(crate) fn new(json: bool, terminal: bool) -> Self {
        match (json, terminal) {
            (true, _) => Self::Silent,
            (false, true) => Self::Live(Drawn::default()),
            (false, false) => Self::Lines(Changes::default()),
        }
    }

    /// After how many milliseconds it wants to be drawn again although nothing happened.
    pub(crate) fn redraw_after(&self) -> Option<u16> {
        matches!(self, Self::Live(_)).then_some(REDRAW_MS)
    }

    /// Whether every change is told, also when the next one is known already.
    pub(crate) fn tells_each_change(&self) -> bool {
        matches!(self, Self::Lines(_))
    }

    /// What brings the output up to date. `terminal` is its size, if it is one.
    pub(crate) fn update(&mut self, view: &RunView, now: Time, terminal: Option<(u16, u16)>) -> Picture {
        match self {
            Self::Silent => Picture::default(),
            Self::Lines(changes) => changes.update(view, now).into(),
            Self::Live(drawn) => drawn.update(view, now, terminal),
        }
    }

    /// Leaves what is drawn where it is: something else is written below it now.
    pub(crate) fn let_go(&mut self) {
        if let Self::Live(drawn) = self {
            drawn.lines = 0;
        }
    }

    /// What to write at the end: the whole tree on a terminal, else the last lines.
    pub(crate) fn finish(&mut self, view: &RunView, now: Time, terminal: Option<(u16, u16)>) -> Picture {
        match self {
            Self::Live(drawn) => drawn.update(view, now, terminal.map(|(width, _)| (width, u16::MAX))),
            _ => self.update(view, now, terminal),
        }
    }
}

impl Drawn {
    fn update(&mut self, view: &RunView, now: Time, terminal: Option<(u16, u16)>) -> Picture {
        let room = Room {
            width: terminal.map(|(width, _)| width),
            rows: terminal.map(|(_, rows)| rows),
        };
        let lines = tree(view, now, room);
        let up = std::mem::replace(&mut self.lines, lines.len());
        let text = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        Picture { up, text }
    }
}

impl Changes {
    fn update(&mut self, view: &RunView, now: Time) -> String {
        let mut out = String::new();
        let run = (view.number, view.status, view.stalled);
        let ended = view.finished_at.is_some();
        if self.run.is_some_and(|(number, ..)| number != view.number) {
            self.nodes.clear();
        }
        // A queued run that is taken out of its queue has its next number and is still told as queued.
        let same = |known: (u32, RunStatus, bool)| {
            known == run || (run.1 == RunStatus::Queued && (known.1, known.2) == (run.1, run.2))
        };
        let anew = !self.run.is_some_and(same);
        // A run that ended is told after its steps.
        if anew && !ended {
            self.tell_run(view, now, &mut out);
        }
        for (node, step) in view.nodes() {
            let state = (step.status, step.retry_count, step.done_count);
            let changed = match self.nodes.insert(node, state) {
                Some(known) => known != state,
                None => step.status != StepStatus::NotStarted,
            };
            if changed {
                let begun = step
                    .started_at
                    .filter(|_| step.retry_count == 0 && step.done_count == 0);
                // Of a further try only the first one's begin is known.
                let at = step.finished_at.or(begun).unwrap_or(now);
                let mut line = Line::default();
                line.text(Style::new().dimmed(), &time(at)).plain("  ");
                let name = match node {
                    Node::Step(_) => step.name.clone(),
                    Node::Handler(handler) => format!("on {}", handler.as_str()),
                };
                line.plain(&name).plain(": ");
                line.text(step_style(step.status), step.status.as_str());
                let took = elapsed(step.started_at, step.finished_at, now);
                if step.finished_at.is_some() && !took.is_empty() {
                    line.plain(&format!(" after {took}"));
                }
                if let Some(error) = &step.error {
                    line.plain(": ").plain(error);
                }
                out.push_str(&line.fit(None));
                out.push('\n');
            }
        }
        if anew && ended {
            self.tell_run(view, now, &mut out);
        }
        self.run = Some(run);
        out
    }

    fn tell_run(&self, view: &RunView, now: Time, out: &mut String) {
        let mut line = Line::default();
        let at = view.finished_at.or(view.started_at).unwrap_or(now);
        line.text(Style::new().dimmed(), &time(at)).plain("  ");
        if self.run.is_some() && view.finished_at.is_none() {
            line.plain(&view.run.to_string()).plain(": ");
            line.text(run_style(view.status), view.status.as_str());
            out.push_str(&line.fit(None));
        } else {
            out.push_str(&line.fit(None));
            out.push_str("  ");
            out.push_str(&headline(view, now).fit(None));
        }
        if let Some(error) = view.error.as_deref().filter(|_| view.finished_at.is_some()) {
            out.push_str(": ");
            out.push_str(&super::escape::escape(error));
        }
        if view.status == RunStatus::Queued {
            out.push_str(&format!(" (queue {})", view.group));
        }
        out.push('\n');
    }
}
