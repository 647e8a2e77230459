//! Metrics as Prometheus reads them: its text format, version 0.0.4. Who counts gives the numbers, here they become lines.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// The media type of a page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a number means over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows while the process lives, and begins at 0 with it. Its name ends in `_total`.
    Counter,
    /// It is how something stands now.
    Gauge,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// The value of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole one.
    Whole(u64),
    /// Any other.
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::Whole(u64::try_from(value).unwrap_or(u64::MAX))
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => value.fmt(f),
            Self::Real(value) if value.is_nan() => f.write_str("NaN"),
            Self::Real(value) if value.is_infinite() => {
                f.write_str(if *value > 0.0 { "+Inf" } else { "-Inf" })
            }
            Self::Real(value) => value.fmt(f),
        }
    }
}

/// Seconds from microseconds.
#[must_use]
pub fn seconds(micros: u64) -> f64 {
    // Beyond 285 years single microseconds are lost.
    micros as f64 / 1e6
}

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// Samples of one name.
#[derive(Debug)]
pub struct Family<'p> {
    name: &'static str,
    text: &'p mut String,
}

impl Page {
    /// Begins the samples of a name, which stand together and come once in a page.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        self.head(kind.as_str(), name, help);
        Family {
            name,
            text: &mut self.text,
        }
    }

    /// A name with one sample.
    pub fn one(&mut self, kind: Kind, name: &'static str, help: &str, value: impl Into<Number>) {
        self.family(kind, name, help).sample(&[], value);
    }

    /// A name with one sample if its value is known. What is not known is left out: it is not 0.
    pub fn known<N: Into<Number>>(&mut self, kind: Kind, name: &'static str, help: &str, value: Option<N>) {
        if let Some(value) = value {
            self.one(kind, name, help, value);
        }
    }

    /// A name with the buckets, the sum and the count of a histogram, in seconds.
    pub fn histogram(&mut self, name: &'static str, help: &str, histogram: &Histogram) {
        self.head("histogram", name, help);
        let mut below = 0;
        for (bound, count) in histogram.bounds.iter().zip(&histogram.counts) {
            below += count;
            self.line(format_args!(
                "{name}_bucket{{le=\"{}\"}} {below}",
                seconds(*bound)
            ));
        }
        self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {}", histogram.count));
        self.line(format_args!("{name}_sum {}", seconds(histogram.sum)));
        self.line(format_args!("{name}_count {}", histogram.count));
    }

    /// The page as it is sent.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn head(&mut self, kind: &str, name: &str, help: &str) {
        self.line(format_args!("# HELP {name} {}", escaped(help, false)));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        write_line(&mut self.text, line);
    }
}

impl Family<'_> {
    /// A sample with these labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Number>) {
        let (name, value) = (self.name, value.into());
        if labels.is_empty() {
            return write_line(self.text, format_args!("{name} {value}"));
        }
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value, true)))
            .collect();
        write_line(self.text, format_args!("{name}{{{}}} {value}", labels.join(",")));
    }
}

fn write_line(text: &mut String, line: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    text.write_fmt(line).unwrap_or_default();
    text.push('\n');
}

/// Text as it stands in a comment or, with quotes escaped too, in a label.
fn escaped(text: &str, quotes: bool) -> Cow<'_, str> {
    if !text.contains(['\\', '\n', '"']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// How long something takes: how often up to each of some bounds.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// In microseconds, ascending.
    bounds: &'static [u64],
    counts: Vec<u64>,
    count: u64,
    sum: u64,
}

impl Histogram {
    /// An empty one with these bounds, in microseconds and ascending.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len()],
            count: 0,
            sum: 0,
        }
    }

    /// It took that many microseconds once more.
    pub fn observe(&mut self, micros: u64) {
        let place = self.bounds.iter().position(|bound| micros <= *bound);
        if let Some(count) = place.and_then(|place| self.counts.get_mut(place)) {
            *count += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_help_type_and_samples() {
        let mut page = Page::default();
        page.one(Kind::Gauge, "a", "Has a \\ and\na line.", 3_u32);
        let mut family = page.family(Kind::Counter, "b_total", "B.");
        family.sample(&[("queue", "a\"b\\c\nd"), ("x", "ä")], 5_u64);
        family.sample(&[], 0.25);
        page.known(Kind::Gauge, "c", "Not known.", None::<u64>);
        page.known(Kind::Gauge, "d", "Known.", Some(true));
        let wanted = "# HELP a Has a \\\\ and\\na line.\n# TYPE a gauge\na 3\n\
                      # HELP b_total B.\n# TYPE b_total counter\n\
                      b_total{queue=\"a\\\"b\\\\c\\nd\",x=\"ä\"} 5\nb_total 0.25\n\
                      # HELP d Known.\n# TYPE d gauge\nd 1\n";
        assert_eq!(page.into_text(), wanted);
    }

    #[test]
    fn a_histogram_counts_what_is_at_most_each_bound() {
        let mut histogram = Histogram::new(&[1_000, 10_000]);
        for micros in [0, 1_000, 1_001, 10_000, 10_001, 5_000_000] {
            histogram.observe(micros);
        }
        let mut page = Page::default();
        page.histogram("t_seconds", "T.", &histogram);
        let wanted = "# HELP t_seconds T.\n# TYPE t_seconds histogram\n\
                      t_seconds_bucket{le=\"0.001\"} 2\nt_seconds_bucket{le=\"0.01\"} 4\n\
                      t_seconds_bucket{le=\"+Inf\"} 6\nt_seconds_sum 5.022002\nt_seconds_count 6\n";
        assert_eq!(page.into_text(), wanted);
    }

    #[test]
    fn numbers_are_written_as_the_format_has_them() {
        let shown = |number: Number| number.to_string();
        assert_eq!(shown(u64::MAX.into()), "18446744073709551615");
        assert_eq!(shown(1.5.into()), "1.5");
        assert_eq!(shown(f64::NAN.into()), "NaN");
        assert_eq!(shown(f64::INFINITY.into()), "+Inf");
        assert_eq!(shown(f64::NEG_INFINITY.into()), "-Inf");
        assert_eq!(shown(7_usize.into()), "7");
    }
}
