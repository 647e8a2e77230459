//! Installed DAGs: what people do with their own, and what becomes of files that change.

mod files;
mod own;

use serde_json::Value;

use crate::helper::{Daemon, text_of, until};

/// A DAG that is due at another minute than the others.
pub(super) fn yearly(minute: u32) -> String {
    format!("schedule: {minute} 3 1 1 *\nsteps: [{{name: a, command: \"true\"}}]\n")
}

pub(super) const BAD: &str = "schedule: 1 3 1 1 *\nsteps: [{name: a, comand: x}]\n";

/// Puts a system DAG into its directory, as an editor would.
pub(super) fn put(daemon: &Daemon, file: &str, text: &str) {
    let dir = daemon.path("etc/proctor/dags");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(".tmp"), text).unwrap();
    std::fs::rename(dir.join(".tmp"), dir.join(file)).unwrap();
}

pub(super) fn dags(daemon: &Daemon) -> Vec<Value> {
    daemon.json(&["dags"])["dags"].as_array().unwrap().clone()
}

/// The DAGs as `NAME EXPRESSION` with `!` behind it if there is a problem and `?` if no version is in force.
pub(super) fn shown(daemon: &Daemon) -> Vec<String> {
    let words = |dag: &Value| {
        let bad = if dag["problems"].as_array().unwrap().is_empty() {
            ""
        } else {
            "!"
        };
        let none = if dag["in_force"] == true { "" } else { "?" };
        let when = text_of(&dag["schedules"][0]["expression"]).to_owned();
        format!("{} {when}{bad}{none}", text_of(&dag["dag"]))
    };
    dags(daemon).iter().map(words).collect()
}

pub(super) fn wait_shown(daemon: &Daemon, expected: &[&str]) {
    until(
        &format!(
            "the DAGs are {expected:?}, not {:?}\n{}",
            shown(daemon),
            daemon.log()
        ),
        || (shown(daemon) == expected).then_some(()),
    );
}

/// Every message of a DAG's problems.
pub(super) fn problems(daemon: &Daemon, dag: &str) -> String {
    let all = dags(daemon);
    let found = all
        .iter()
        .find(|found| found["dag"] == dag && found["problems"][0].is_object());
    found
        .map(|found| found["problems"].to_string())
        .unwrap_or_default()
}
