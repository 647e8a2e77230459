//! The drawing for Graphviz, in the DOT language.

use super::{Chart, Kind, Vertex};
use crate::ctl::render::escape::escape;

/// The whole text.
pub(crate) fn dot(chart: &Chart) -> String {
    let mut out = String::new();
    out.push_str(&format!("digraph {} {{\n", quoted(&[&chart.name])));
    out.push_str("  rankdir=TB;\n  compound=true;\n  node [shape=box, style=rounded];\n");
    body(chart, "", "  ", &mut out);
    for (at, local) in chart.locals.iter().enumerate() {
        out.push_str(&format!(
            "  subgraph cluster_{at} {{\n    label={};\n",
            quoted(&[&local.name])
        ));
        body(local, &format!("l{at}_"), "    ", &mut out);
        out.push_str("  }\n");
    }
    for (step, local) in chart.calls() {
        // An edge needs a node at its end; it is cut at the frame around it.
        if chart
            .locals
            .get(local)
            .is_some_and(|local| !local.steps.is_empty())
        {
            out.push_str(&format!(
                "  s{step} -> l{local}_s0 [style=dotted, lhead=cluster_{local}];\n"
            ));
        }
    }
    out.push_str("}\n");
    out
}

/// Steps, edges and handlers; the names of nodes begin with `prefix`.
fn body(chart: &Chart, prefix: &str, indent: &str, out: &mut String) {
    for (at, step) in chart.steps.iter().enumerate() {
        out.push_str(&format!("{indent}{prefix}s{at} [{}];\n", attributes(step, None)));
    }
    for edge in &chart.edges {
        let label = match &edge.label {
            Some(label) => format!(" [label={}]", quoted(&[label])),
            None => String::new(),
        };
        out.push_str(&format!(
            "{indent}{prefix}s{} -> {prefix}s{}{label};\n",
            edge.from, edge.to
        ));
    }
    if chart.handlers.is_empty() {
        return;
    }
    out.push_str(&format!(
        "{indent}subgraph cluster_{prefix}handlers {{\n{indent}  label=\"handlers\";\n{indent}  style=dashed;\n"
    ));
    for (at, (moment, step)) in chart.handlers.iter().enumerate() {
        out.push_str(&format!(
            "{indent}  {prefix}h{at} [{}];\n",
            attributes(step, Some(moment))
        ));
    }
    out.push_str(&format!("{indent}}}\n"));
}

fn attributes(step: &Vertex, moment: Option<&str>) -> String {
    let name = match moment {
        Some(moment) => format!("on {moment}: {}", step.name),
        None => step.name.clone(),
    };
    let what = step.what();
    let marks = step.marks.join(", ");
    let mut lines = vec![name.as_str(), what.as_str()];
    if !marks.is_empty() {
        lines.push(&marks);
    }
    let shape = match step.kind {
        Kind::Command => "",
        Kind::Script => ", shape=note",
        Kind::Call => ", shape=box3d",
        Kind::Router => ", shape=diamond",
        Kind::Nothing => ", shape=ellipse",
    };
    format!("label={}{shape}", quoted(&lines))
}

/// A quoted string of DOT with a line for each part. Quotes and backslashes are escaped, which also takes the
/// meaning from escapes such as `\N`; characters that do more than be shown are shown as their escapes.
fn quoted(lines: &[&str]) -> String {
    let lines: Vec<String> = lines
        .iter()
        .map(|line| escape(line).replace('\\', "\\\\").replace('"', "\\\""))
        .collect();
    format!("\"{}\"", lines.join("\\n"))
}
