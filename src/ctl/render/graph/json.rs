//! The drawing as data.

use serde_json::{Value, json};

use super::{Chart, Vertex};

/// The object of a DAG.
pub(crate) fn json(chart: &Chart) -> Value {
    let mut layer_of = vec![None; chart.steps.len()];
    for (number, layer) in (1usize..).zip(&chart.layers) {
        for step in layer {
            if let Some(slot) = layer_of.get_mut(*step) {
                *slot = Some(number);
            }
        }
    }
    let name = |at: usize| chart.steps.get(at).map(|step| step.name.as_str());
    let steps: Vec<Value> = chart
        .steps
        .iter()
        .zip(layer_of)
        .map(|(step, layer)| {
            let mut object = vertex(step);
            object["layer"] = json!(layer);
            object
        })
        .collect();
    let edges: Vec<Value> = chart
        .edges
        .iter()
        .map(|edge| json!({ "from": name(edge.from), "to": name(edge.to), "label": edge.label }))
        .collect();
    let handlers: Vec<Value> = chart
        .handlers
        .iter()
        .map(|(moment, step)| {
            let mut object = vertex(step);
            object["on"] = json!(moment);
            object
        })
        .collect();
    json!({
        "dag": chart.name,
        "steps": steps,
        "edges": edges,
        "handlers": handlers,
        "local_dags": chart.locals.iter().map(json).collect::<Vec<_>>(),
    })
}

fn vertex(step: &Vertex) -> Value {
    json!({ "name": step.name, "kind": step.kind.as_str(), "detail": step.detail, "marks": step.marks })
}
