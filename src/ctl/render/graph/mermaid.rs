//! The drawing for Mermaid: a flow chart.

use super::{Chart, Kind, Vertex};
use crate::ctl::render::escape::escape;

/// The whole text.
pub(crate) fn mermaid(chart: &Chart) -> String {
    let mut out = String::from("flowchart TD\n");
    body(chart, "", "  ", &mut out);
    for (at, local) in chart.locals.iter().enumerate() {
        out.push_str(&format!("  subgraph l{at} [\"{}\"]\n", text(&local.name)));
        body(local, &format!("l{at}_"), "    ", &mut out);
        out.push_str("  end\n");
    }
    for (step, local) in chart.calls() {
        out.push_str(&format!("  s{step} -.-> l{local}\n"));
    }
    out
}

fn body(chart: &Chart, prefix: &str, indent: &str, out: &mut String) {
    for (at, step) in chart.steps.iter().enumerate() {
        out.push_str(&format!("{indent}{prefix}s{at}{}\n", node(step, None)));
    }
    for edge in &chart.edges {
        let label = match &edge.label {
            Some(label) => format!("|\"{}\"|", text(label)),
            None => String::new(),
        };
        out.push_str(&format!(
            "{indent}{prefix}s{} -->{label} {prefix}s{}\n",
            edge.from, edge.to
        ));
    }
    if chart.handlers.is_empty() {
        return;
    }
    out.push_str(&format!("{indent}subgraph {prefix}handlers [\"handlers\"]\n"));
    for (at, (moment, step)) in chart.handlers.iter().enumerate() {
        out.push_str(&format!("{indent}  {prefix}h{at}{}\n", node(step, Some(moment))));
    }
    out.push_str(&format!("{indent}end\n"));
}

/// Shape and label.
fn node(step: &Vertex, moment: Option<&str>) -> String {
    let mut lines = vec![match moment {
        Some(moment) => text(&format!("on {moment}: {}", step.name)),
        None => text(&step.name),
    }];
    lines.push(text(&step.what()));
    if !step.marks.is_empty() {
        lines.push(text(&step.marks.join(", ")));
    }
    let label = lines.join("<br/>");
    let (open, close) = match step.kind {
        Kind::Command => ("[", "]"),
        Kind::Script => ("[/", "/]"),
        Kind::Call => ("[[", "]]"),
        Kind::Router => ("{", "}"),
        Kind::Nothing => ("([", "])"),
    };
    format!("{open}\"{label}\"{close}")
}

/// A text between quotes. Whatever could mean something to Mermaid, to HTML or to Markdown is written as a character
/// code.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in escape(text).chars() {
        let plain =
            !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, ' ' | ',' | ':' | '/' | '-' | '_');
        if plain {
            out.push(c);
        } else {
            out.push_str(&format!("#{};", u32::from(c)));
        }
    }
    out
}
