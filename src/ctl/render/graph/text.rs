//! The drawing for a terminal: a row for each step, lanes at its left, handlers and further DAGs below.
//!
//! What would not be readable is not drawn: many steps are summed up by layer, and steps with too many lanes beside
//! them are listed with the names of those they wait for.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};

use super::layout::{Below, Cell, Layout, layout};
use super::{Chart, Kind, Vertex};
use crate::ctl::render::words::count;
use crate::ctl::render::{Line, coloured};

/// Most steps that are drawn one by one.
pub(crate) const STEPS_DRAWN_MAX: usize = 200;
/// Most columns of lanes, also where there is room for more.
const COLUMNS_MAX: usize = 24;
/// Most names that stand for a layer, or that a step is said to wait for.
const NAMES_MAX: usize = 8;

/// How to draw.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Look {
    /// Columns of the terminal; none is as many as needed.
    pub(crate) width: Option<u16>,
    /// Only with characters of ASCII.
    pub(crate) ascii: bool,
}

/// The lines of a DAG.
pub(crate) fn lines(chart: &Chart, look: Look) -> Vec<String> {
    let mut out = Vec::new();
    let mut head = Line::default();
    head.text(Style::new().bold(), &chart.name).plain(&format!(
        "  {} in {}",
        count(chart.steps.len(), "step"),
        count(chart.layers.len(), "layer")
    ));
    out.push(head.fit(look.width));
    if chart.steps.len() > STEPS_DRAWN_MAX {
        summary(chart, look, &mut out);
    } else {
        let columns = look
            .width
            .map_or(COLUMNS_MAX, |width| (usize::from(width) / 5).min(COLUMNS_MAX));
        match layout(&dependencies(chart), columns) {
            Some(layout) => drawing(chart, &layout, look, &mut out),
            None => listing(chart, look, &mut out),
        }
    }
    for (moment, step) in &chart.handlers {
        let mut line = Line::default();
        line.plain(&format!("on {moment}: "));
        vertex(&mut line, step, look);
        out.push(line.fit(look.width));
    }
    for local in &chart.locals {
        out.push(String::new());
        out.extend(lines(local, look));
    }
    out
}

fn dependencies(chart: &Chart) -> Vec<Vec<usize>> {
    let mut found = vec![Vec::new(); chart.steps.len()];
    for edge in &chart.edges {
        if let Some(list) = found.get_mut(edge.to) {
            list.push(edge.from);
        }
    }
    found
}

/// The layer of each step, from 1.
fn numbers(chart: &Chart) -> Vec<usize> {
    let mut numbers = vec![0; chart.steps.len()];
    for (number, layer) in (1..).zip(&chart.layers) {
        for step in layer {
            if let Some(slot) = numbers.get_mut(*step) {
                *slot = number;
            }
        }
    }
    numbers
}

fn drawing(chart: &Chart, layout: &Layout, look: Look, out: &mut Vec<String>) {
    let faint = Style::new().dimmed();
    let numbers = numbers(chart);
    let digits = chart.layers.len().to_string().len();
    let routes = routes(chart);
    for row in &layout.rows {
        let Some(step) = chart.steps.get(row.step) else {
            continue;
        };
        let mut line = Line::default();
        let number = numbers.get(row.step).copied().unwrap_or_default();
        line.text(faint, &format!("{number:>digits$} "));
        let mut lanes = lanes(&row.cells, layout.columns, look, row.arrow);
        if row.arrow {
            lanes.pop();
            lanes.push(if look.ascii { '>' } else { '▶' });
        }
        line.text(faint, &lanes);
        line.text(style(step.kind), sign(step.kind, look)).plain(" ");
        vertex(&mut line, step, look);
        if let Some(route) = routes.get(&row.step) {
            line.plain("  ").text(coloured(AnsiColor::Magenta), route);
        }
        out.push(line.fit(look.width));
        if let Some(below) = &row.below {
            let mut line = Line::default();
            line.plain(&" ".repeat(digits + 1));
            line.text(faint, &lanes_below(below, layout.columns, look));
            out.push(line.fit(look.width));
        }
    }
}

fn lanes_below(below: &Below, columns: usize, look: Look) -> String {
    let mut text = lanes(&below.cells, columns, look, below.turns);
    text.push(match (below.turns, below.straight, look.ascii) {
        (true, true, false) => '┤',
        (true, false, false) => '╯',
        (false, _, false) => '│',
        (true, true, true) => '+',
        (true, false, true) => '\'',
        (false, _, true) => '|',
    });
    text
}

/// Two characters for each column. Behind the leftmost cell that belongs to the line, the line goes on.
fn lanes(cells: &[Cell], columns: usize, look: Look, line: bool) -> String {
    let own = |cell: &Cell| !matches!(cell, Cell::Empty | Cell::Pass | Cell::Across);
    let first = cells.iter().position(own).filter(|_| line).unwrap_or(usize::MAX);
    let dash = if look.ascii { '-' } else { '─' };
    let mut text = String::new();
    for at in 0..columns {
        let cell = cells.get(at).copied().unwrap_or(Cell::Empty);
        let after = at >= first;
        text.push(match cell {
            Cell::Empty if after => dash,
            cell => glyph(cell, look),
        });
        text.push(if after { dash } else { ' ' });
    }
    text
}

const fn glyph(cell: Cell, look: Look) -> char {
    match (cell, look.ascii) {
        (Cell::Empty, _) => ' ',
        (Cell::Pass, false) => '│',
        (Cell::Pass, true) => '|',
        (Cell::Across, false) => '─',
        (Cell::Across, true) => '-',
        (Cell::Begin, false) => '╭',
        (Cell::Begin, true) => '.',
        (Cell::Join | Cell::Branch, false) => '├',
        (Cell::End, false) => '╰',
        (Cell::End, true) => '`',
        (Cell::BeginOn, false) => '┬',
        (Cell::JoinOn, false) => '┼',
        (Cell::Join | Cell::Branch | Cell::BeginOn | Cell::JoinOn, true) => '+',
    }
}

const fn sign(kind: Kind, look: Look) -> &'static str {
    match (kind, look.ascii) {
        (Kind::Command, false) => "●",
        (Kind::Command, true) => "*",
        (Kind::Script, false) => "■",
        (Kind::Script, true) => "#",
        (Kind::Call, false) => "◆",
        (Kind::Call, true) => "@",
        (Kind::Router, false) => "◇",
        (Kind::Router, true) => "?",
        (Kind::Nothing, false) => "○",
        (Kind::Nothing, true) => "o",
    }
}

fn style(kind: Kind) -> Style {
    match kind {
        Kind::Command | Kind::Script => coloured(AnsiColor::Cyan),
        Kind::Call => coloured(AnsiColor::Blue),
        Kind::Router => coloured(AnsiColor::Magenta),
        Kind::Nothing => Style::new().dimmed(),
    }
}

/// Name, what it does, marks.
fn vertex(line: &mut Line, step: &Vertex, look: Look) {
    line.text(Style::new().bold(), &plain(&step.name, look))
        .plain("  ");
    line.text(Style::new().dimmed(), &plain(&step.what(), look));
    if !step.marks.is_empty() {
        let marks = plain(&step.marks.join(", "), look);
        line.plain("  ")
            .text(coloured(AnsiColor::Yellow), &format!("[{marks}]"));
    }
}

/// A text in ASCII, if that is wanted: what is not is shown as its escape.
fn plain(text: &str, look: Look) -> String {
    if !look.ascii || text.is_ascii() {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '…' => out.push_str("..."),
            c if c.is_ascii() => out.push(c),
            c => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// The routes that lead to each step.
fn routes(chart: &Chart) -> BTreeMap<usize, String> {
    let mut found: BTreeMap<usize, String> = BTreeMap::new();
    for edge in &chart.edges {
        let (Some(label), Some(router)) = (&edge.label, chart.steps.get(edge.from)) else {
            continue;
        };
        let text = format!("if {} is {label}", router.name);
        found
            .entry(edge.to)
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&text);
            })
            .or_insert(text);
    }
    found
}

/// At most so many names, and how many more there are.
fn names(chart: &Chart, steps: &[usize], look: Look) -> String {
    let shown: Vec<String> = steps
        .iter()
        .take(NAMES_MAX)
        .filter_map(|step| Some(plain(&chart.steps.get(*step)?.name, look)))
        .collect();
    let more = steps.len().saturating_sub(NAMES_MAX);
    if more > 0 {
        return format!("{} and {more} more", shown.join(", "));
    }
    shown.join(", ")
}

/// Layer by layer, each step with those it waits for.
fn listing(chart: &Chart, look: Look, out: &mut Vec<String>) {
    let dependencies = dependencies(chart);
    let routes = routes(chart);
    for (number, layer) in (1..).zip(&chart.layers) {
        out.push(format!("layer {number}"));
        for at in layer {
            let Some(step) = chart.steps.get(*at) else {
                continue;
            };
            let mut line = Line::default();
            line.plain("  ")
                .text(style(step.kind), sign(step.kind, look))
                .plain(" ");
            vertex(&mut line, step, look);
            if let Some(before) = dependencies.get(*at).filter(|before| !before.is_empty()) {
                line.plain(&format!("  after {}", names(chart, before, look)));
            }
            if let Some(route) = routes.get(at) {
                line.plain("  ").text(coloured(AnsiColor::Magenta), route);
            }
            out.push(line.fit(look.width));
        }
    }
}

/// A line for each layer; neighbours of one step each are one line.
fn summary(chart: &Chart, look: Look, out: &mut Vec<String>) {
    let mut layers = (1usize..).zip(&chart.layers).peekable();
    while let Some((first, layer)) = layers.next() {
        let (mut last, mut end) = (first, layer);
        while layer.len() == 1
            && let Some((number, next)) = layers.next_if(|(_, next)| next.len() == 1)
        {
            (last, end) = (number, next);
        }
        let mut line = Line::default();
        if last > first {
            let ends = [names(chart, layer, look), names(chart, end, look)];
            line.plain(&format!("layers {first} to {last}  1 step each: "))
                .plain(&ends.join(" to "));
        } else {
            line.plain(&format!("layer {first}  {}: ", kinds(chart, layer)))
                .plain(&names(chart, layer, look));
        }
        out.push(line.fit(look.width));
    }
    out.push(format!(
        "{} are too many to draw one by one; --dot and --mermaid have them all",
        count(chart.steps.len(), "step")
    ));
}

/// How many of each kind.
fn kinds(chart: &Chart, layer: &[usize]) -> String {
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    for step in layer.iter().filter_map(|at| chart.steps.get(*at)) {
        *counts.entry(step.kind).or_default() += 1;
    }
    let told: Vec<String> = counts
        .iter()
        .map(|(kind, number)| match kind {
            Kind::Nothing => format!("{} with nothing to do", count(*number, "step")),
            kind => count(*number, kind.as_str()),
        })
        .collect();
    told.join(", ")
}
