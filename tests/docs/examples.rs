//! The examples that the page of DAG files has.

use std::fs;
use std::path::Path;

/// What the test of an example has to know.
#[derive(Debug)]
pub(crate) enum Example {
    /// A JSON schema, which the next example refers to as `deploy.schema.json`.
    Schema(String),
    /// A whole DAG file.
    Dag(String),
}

/// The text of a manual page.
pub(crate) fn page(name: &str) -> String {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(repository.join("packaging/man").join(name)).unwrap()
}

/// The examples of the page of DAG files, made whole as the page says: items begin with a hyphen, and the rest may lack
/// its steps.
pub(crate) fn of_the_dag_page() -> Vec<Example> {
    let whole = |block: String| match block.chars().next() {
        Some('{') => Example::Schema(block),
        Some('-') => Example::Dag(format!("type: chain\nsteps:\n{block}")),
        _ if block.lines().any(|line| line == "steps:") => Example::Dag(block),
        _ => Example::Dag(format!("{block}steps:\n  - echo step\n")),
    };
    blocks(&page("proctor-dag.5")).into_iter().map(whole).collect()
}

/// The literal blocks of a manual page, with the escapes of roff taken away.
fn blocks(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        if line.starts_with(".Bd -literal") {
            open = Some(String::new());
        } else if line == ".Ed" {
            found.extend(open.take());
        } else if let Some(block) = &mut open {
            assert!(!line.starts_with(['.', '\'']), "a request of roff: {line}");
            block.push_str(&plain(line));
            block.push('\n');
        }
    }
    found
}

/// A line without the escapes of roff.
fn plain(line: &str) -> String {
    let escapes = [
        ("\\-", "-"),
        ("\\(aq", "'"),
        ("\\(ga", "`"),
        ("\\(ti", "~"),
        ("\\(ha", "^"),
        ("\\&", ""),
        ("\\e", "\\"),
    ];
    escapes.iter().fold(line.to_owned(), |line, (escape, plain)| {
        line.replace(escape, plain)
    })
}
