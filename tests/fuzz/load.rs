//! YAML to DAG. Input: a DAG file, and behind a byte 0xFF a base configuration.

use proctor::dag::eval::{Memo, Outcome, Scope, call_plan, items};
use proctor::dag::graph::Graph;
use proctor::dag::types::Action;
use proctor::dag::{
    BaseConfig, Dag, Diagnostic, LoadOptions, Severity, Source, load, params, project, render,
};
use proctor::model::limits::PARALLEL_MAX;

use crate::parts::parts;

/// Checks what has to hold for an input.
pub(crate) fn check(input: &[u8]) {
    let mut parts = parts(input);
    let text = parts.next().unwrap_or_default();
    let base = parts.next();
    let source = Source {
        text,
        file: "dag.yaml",
        stem: "dag",
    };
    let options = LoadOptions {
        base: base.map(|text| BaseConfig {
            text,
            file: "base.yaml",
        }),
        ..LoadOptions::default()
    };
    let loaded = load(&source, &options);
    assert_eq!(loaded, load(&source, &options), "loading is not deterministic");
    let sources = [("dag.yaml", text), ("base.yaml", base.unwrap_or_default())];
    match loaded {
        Ok(loaded) => {
            all_of(&loaded.warnings, Severity::Warning, &sources);
            usable(&loaded.dag);
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            assert!(errors.iter().any(|error| error.severity == Severity::Error));
            all_of(&errors, Severity::Error, &sources);
        }
    }
}

/// Every diagnostic names a place that is there, and can be shown.
fn all_of(diagnostics: &[Diagnostic], worst: Severity, sources: &[(&str, &[u8])]) {
    for found in diagnostics {
        assert!(worst == Severity::Error || found.severity == worst, "{found:?}");
        let Some(file) = found.file.as_deref() else {
            assert!(found.line.is_none(), "a line of no file: {found:?}");
            continue;
        };
        let text = sources
            .iter()
            .find(|(name, _)| *name == file)
            .map(|(_, text)| *text);
        let text = text.unwrap_or_else(|| panic!("of a file that nobody gave: {found:?}"));
        let lines = text.split(|byte| *byte == b'\n').count();
        if let Some(line) = found.line {
            // Some ends of lines are not `\n`: the place cannot be beyond the number of bytes in any case.
            let last = if text.contains(&b'\r') {
                text.len() + 1
            } else {
                lines + 1
            };
            assert!(
                line >= 1 && usize::try_from(line).unwrap() <= last,
                "line {lines} is the last: {found:?}"
            );
            assert!(found.column.is_some_and(|column| column >= 1), "{found:?}");
        }
        assert!(
            !found.message.is_empty() && !found.to_string().contains('\n'),
            "{found:?}"
        );
    }
    for colour in [false, true] {
        let shown = render(diagnostics, sources, colour);
        assert!(diagnostics.is_empty() == shown.is_empty());
        let escapes = shown.chars().filter(|c| c.is_control() && *c != '\n');
        assert!(
            escapes.clone().all(|c| colour && c == '\x1b'),
            "a control character reaches the terminal: {shown:?}"
        );
    }
}

/// A DAG that was loaded can be kept, read back, shown, and asked for its graph and parameters.
fn usable(dag: &Dag) {
    let kept = serde_json::to_string(dag).expect("a DAG can be kept");
    let again: Dag = serde_json::from_str(&kept).expect("what was kept can be read");
    assert_eq!(*dag, again, "a DAG changes when it is kept: {kept}");
    assert_eq!(kept, serde_json::to_string(&again).unwrap());
    let levels = Graph::new(&dag.steps).levels();
    assert_eq!(
        levels.iter().map(Vec::len).sum::<usize>(),
        dag.steps.len(),
        "the graph has a cycle"
    );
    for evaluate in [false, true] {
        let resolved = params::defaults(&dag.params, evaluate);
        let shown = project(dag, Some(&resolved), "/base", evaluate);
        assert_eq!(shown, project(&again, Some(&resolved), "/base", evaluate));
    }
    calls(dag);
    for local in &dag.local_dags {
        assert!(local.local_dags.is_empty(), "a document inside a document");
        let levels = Graph::new(&local.steps).levels();
        assert_eq!(levels.iter().map(Vec::len).sum::<usize>(), local.steps.len());
        assert!(project(local, None, "/base", true).is_object());
    }
}

/// Every call can be evaluated, with and without an item.
fn calls(dag: &Dag) {
    let scope = Scope::new().with([("X", "one two"), ("C", r#"[{"k":"v"},[1],null]"#)]);
    for step in &dag.steps {
        let Action::Call(call) = &step.action else {
            continue;
        };
        let mut memo = Memo::new();
        memo.push(Ok("a, b".to_owned()));
        memo.push(Err("no".to_owned()));
        let found = call
            .parallel
            .as_ref()
            .map(|parallel| items(parallel, &scope, &memo.cursor()));
        let mut list = vec![None];
        if let Some(Ok(Outcome::Ready(found))) = found {
            assert!((1..=PARALLEL_MAX).contains(&found.len()));
            list.extend(found.into_iter().take(5).map(Some));
        }
        for item in list {
            let plan = call_plan(call, item.as_deref(), &scope, &memo.cursor());
            assert_eq!(plan, call_plan(call, item.as_deref(), &scope, &memo.cursor()));
            if let Ok(Outcome::Ready(plan)) = plan {
                assert!(
                    !plan.target.is_empty() && plan.target.trim() == plan.target,
                    "{plan:?}"
                );
            }
        }
    }
}
