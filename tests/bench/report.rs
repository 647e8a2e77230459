//! Figures, what they are compared with, and how they are printed.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

/// What a figure is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Microseconds; printed in milliseconds from 1000 on.
    Micros,
    /// Events a second.
    PerSecond,
    /// Kilobytes of 1024 bytes.
    Kilobytes,
    /// Percent of one CPU.
    CpuPercent,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Micros => "us",
            Self::PerSecond => "1/s",
            Self::Kilobytes => "KB",
            Self::CpuPercent => "% of a CPU",
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Micros if value >= 1000.0 => format!("{:.2} ms", value / 1000.0),
            Self::Micros => format!("{value:.0} us"),
            Self::PerSecond => format!("{value:.1} /s"),
            Self::Kilobytes => format!("{value:.0} KB"),
            Self::CpuPercent => format!("{value:.3} %"),
        }
    }
}

/// What a figure should come to one day, in its own unit or as its ratio.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// The figure is at most this.
    AtMost(f64),
    /// The ratio is at least this.
    RatioAtLeast(f64),
}

/// One measured figure.
#[derive(Debug)]
pub(crate) struct Figure {
    key: &'static str,
    label: String,
    value: f64,
    unit: Unit,
    ratio: Option<(f64, &'static str)>,
    goal: Option<Goal>,
}

impl Figure {
    /// A figure; `key` names it in the JSON line.
    pub(crate) fn new(key: &'static str, label: impl Into<String>, value: f64, unit: Unit) -> Self {
        Self {
            key,
            label: label.into(),
            value,
            unit,
            ratio: None,
            goal: None,
        }
    }

    /// Compares it with a floor of the same run, in the figure's own unit.
    pub(crate) fn against(mut self, floor: f64, name: &'static str) -> Self {
        self.ratio = Some((self.value / floor, name));
        self
    }

    /// Sets what it should come to.
    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    fn met(&self) -> Option<bool> {
        match (self.goal?, self.ratio) {
            (Goal::AtMost(most), _) => Some(self.value <= most),
            (Goal::RatioAtLeast(least), Some((ratio, _))) => Some(ratio >= least),
            (Goal::RatioAtLeast(_), None) => None,
        }
    }

    fn cells(&self) -> [String; 4] {
        let goal = match self.goal {
            None => String::new(),
            Some(Goal::AtMost(most)) => format!("<= {}", self.unit.show(most)),
            Some(Goal::RatioAtLeast(least)) => format!(">= {least:.2} x"),
        };
        let mark = match self.met() {
            None => "",
            Some(true) => "  met",
            Some(false) => "  not met",
        };
        let ratio = self
            .ratio
            .map_or_else(String::new, |(ratio, name)| format!("{ratio:.2} x {name}"));
        [
            self.label.clone(),
            self.unit.show(self.value),
            ratio,
            format!("{goal}{mark}"),
        ]
    }

    fn json(&self) -> Value {
        let goal = self.goal.map(|goal| match goal {
            Goal::AtMost(most) => json!({ "at_most": most }),
            Goal::RatioAtLeast(least) => json!({ "ratio_at_least": least }),
        });
        json!({
            "value": self.value,
            "unit": self.unit.name(),
            "ratio": self.ratio.map(|(ratio, _)| ratio),
            "ratio_to": self.ratio.map(|(_, name)| name),
            "goal": goal,
            "met": self.met(),
        })
    }
}

/// Prints the table, then one line of JSON.
pub(crate) fn print(figures: &[Figure]) -> io::Result<()> {
    let head = ["measure", "figure", "ratio to the floor", "goal"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(head)
        .chain(figures.iter().map(Figure::cells))
        .collect();
    let width = |column: usize| {
        let lengths = rows.iter().filter_map(|row| row.get(column));
        lengths.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let (label, value, ratio) = (width(0), width(1), width(2));
    let mut out = io::stdout().lock();
    writeln!(out)?;
    for [a, b, c, d] in &rows {
        let line = format!("{a:<label$}  {b:>value$}  {c:<ratio$}  {d}");
        writeln!(out, "{}", line.trim_end())?;
    }
    let all: Map<String, Value> = figures
        .iter()
        .map(|figure| (figure.key.to_owned(), figure.json()))
        .collect();
    writeln!(out, "\n{}", Value::Object(all))
}

/// Samples of one measure.
#[derive(Debug)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Takes the samples, in any order.
    pub(crate) fn new(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self(samples)
    }

    /// The smallest value that so many percent of the samples do not exceed; 0 without samples.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1) - 1;
        self.0.get(rank).copied().unwrap_or(0.0)
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// The smallest one.
    pub(crate) fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(0.0)
    }
}
