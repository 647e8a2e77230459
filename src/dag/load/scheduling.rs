//! What the scheduler acts on: schedules, catch-up, DAG-level retries. Read, checked and kept; a warning says that
//! nothing acts on it yet.

use super::fields::{boolean, get, map, natural, text, wrong};
use super::keys;
use super::policies::backoff;
use crate::dag::cron::{Cron, shown};
use crate::dag::diag::{Pos, Report};
use crate::dag::types::{DagRetry, OverlapPolicy, Schedules, Scheduling};
use crate::dag::yaml::{Entry, Node, Value};

/// Keys that are kept without effect.
const WITHOUT_EFFECT: [&str; 7] = [
    "schedule",
    "catchup_window",
    "overlap_policy",
    "skip_if_successful",
    "retry_policy",
    "run_config",
    "log_dir",
];

/// Reads the scheduler's keys.
pub(super) fn scheduling(report: &mut Report, entries: &[Entry]) -> (Schedules, Scheduling) {
    for entry in entries {
        if WITHOUT_EFFECT.contains(&entry.key.as_str()) && !entry.value.is_null() {
            report.warn(
                entry.key_at,
                format!("`{}` is kept, but nothing acts on it yet", entry.key),
            );
        }
    }
    let schedules = get(entries, "schedule")
        .map(|entry| schedules(report, &entry.value))
        .unwrap_or_default();
    let mut kept = Scheduling::default();
    if let Some(entry) = get(entries, "catchup_window") {
        kept.catchup_window_sec = catchup_window(report, &entry.value).unwrap_or(0);
    }
    if let Some(entry) = get(entries, "overlap_policy") {
        kept.overlap_policy = overlap_policy(report, &entry.value).unwrap_or_default();
    }
    if let Some(entry) = get(entries, "skip_if_successful") {
        kept.skip_if_successful = boolean(report, "skip_if_successful", &entry.value).unwrap_or(false);
    }
    if let Some(entry) = get(entries, "retry_policy") {
        kept.retry = dag_retry(report, &entry.value);
    }
    if let Some(entry) = get(entries, "run_config") {
        let entries = map(report, &entry.value, &keys::RUN_CONFIG).unwrap_or_default();
        for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
            boolean(report, &format!("run_config.{}", entry.key), &entry.value);
        }
    }
    (schedules, kept)
}

fn schedules(report: &mut Report, node: &Node) -> Schedules {
    let mut found = Schedules::default();
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                let list = match entry.key.as_str() {
                    "start" => &mut found.start,
                    "stop" => &mut found.stop,
                    "restart" => &mut found.restart,
                    key => {
                        let message = format!("unknown key `{key}` in `schedule`");
                        report.error_hint(entry.key_at, message, "it can have `start`, `stop` and `restart`");
                        continue;
                    }
                };
                *list = expressions(report, &format!("schedule.{}", entry.key), &entry.value);
            }
        }
        Value::Scalar(_) if node.as_str().is_none() => {
            wrong(report, "schedule", "a text, a list or a map", node);
        }
        _ => found.start = expressions(report, "schedule", node),
    }
    found
}

fn expressions(report: &mut Report, what: &str, node: &Node) -> Vec<String> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut found = Vec::new();
    for item in items.iter().filter(|item| !item.is_null()) {
        let Some(written) = text(report, what, item)
            .map(str::trim)
            .filter(|text| !text.is_empty())
        else {
            continue;
        };
        check_expression(report, written, item.at);
        found.push(written.to_owned());
    }
    found
}

fn check_expression(report: &mut Report, written: &str, at: Pos) {
    let expression = shown(written);
    match Cron::parse(written) {
        Ok(cron) if cron.never_matches() => {
            report.warn(
                at,
                format!("the schedule {expression} never comes: none of its months has such a day"),
            );
        }
        Ok(_) => {}
        Err(errors) => {
            for error in errors {
                let message = format!("invalid schedule {expression}: {}", error.message);
                report.error_hint(at, message, error.hint);
            }
        }
    }
}

fn overlap_policy(report: &mut Report, node: &Node) -> Option<OverlapPolicy> {
    match text(report, "overlap_policy", node)?.trim() {
        "skip" => Some(OverlapPolicy::Skip),
        "all" => Some(OverlapPolicy::All),
        "latest" => Some(OverlapPolicy::Latest),
        _ => {
            wrong(report, "overlap_policy", "`skip`, `all` or `latest`", node);
            None
        }
    }
}

fn catchup_window(report: &mut Report, node: &Node) -> Option<u64> {
    let window = node.as_str().and_then(|text| duration(text.trim()));
    if window.is_none() {
        wrong(
            report,
            "catchup_window",
            "a length of time like `6h`, `2d` or `1d12h30m`",
            node,
        );
    }
    window
}

/// Numbers with units `d`, `h`, `m` and `s`, one after the other; the sum in seconds.
fn duration(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, unit) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit())?)?;
        let seconds = match unit.chars().next()? {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(seconds)?)?;
        rest = unit.get(1..)?;
    }
    (!text.is_empty()).then_some(total)
}

fn dag_retry(report: &mut Report, node: &Node) -> Option<DagRetry> {
    let entries = map(report, node, &keys::DAG_RETRY)?;
    let mut whole = |key: &str, default: u64| match get(entries, key) {
        Some(entry) => whole(report, &format!("retry_policy.{key}"), &entry.value),
        None => Some(default),
    };
    let limit = whole("limit", 0);
    let interval_sec = whole("interval_sec", 60);
    let max_interval_sec = whole("max_interval_sec", 3_600);
    if limit == Some(0) {
        report.error(node.at, "`retry_policy.limit` is needed and must be at least 1");
    }
    let backoff = match get(entries, "backoff") {
        Some(entry) => backoff(report, "retry_policy.backoff", &entry.value),
        None => Some(0.0),
    };
    Some(DagRetry {
        limit: limit?,
        interval_sec: interval_sec?,
        backoff: backoff?,
        max_interval_sec: max_interval_sec?,
    })
}

/// A whole number from 0, also if written as a text.
fn whole(report: &mut Report, what: &str, node: &Node) -> Option<u64> {
    match node.as_str() {
        Some(text) => {
            let value = text.trim().parse().ok();
            if value.is_none() {
                wrong(report, what, "a whole number from 0", node);
            }
            value
        }
        None => natural(report, what, node),
    }
}
