//! What the scheduler acts on: schedules, overlap, catch-up, delivery, priority, how many runs are kept.

use super::fields::{boolean, get, map, natural32, scalar, text, wrong};
use super::{keys, retries};
use crate::dag::cron::{CronError, Schedule, Zone, shown};
use crate::dag::diag::{Pos, Report};
use crate::dag::scheduling::JITTER_MAX;
use crate::dag::types::{OverlapPolicy, Schedules, Scheduling};
use crate::dag::yaml::{Entry, Node, Value};
use crate::model::Priority;

/// Keys that are kept without effect.
const WITHOUT_EFFECT: [&str; 2] = ["run_config", "log_dir"];

/// Keys that say what the schedules of an installed DAG do.
const PLAN: [&str; 4] = [
    "schedule",
    "overlap_policy",
    "catchup_window",
    "skip_if_successful",
];

/// Most entries of `schedule` together.
const SCHEDULES_MAX: usize = 1_000;

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
    let value = |key| get(entries, key).map(|entry| &entry.value);
    let schedules = value("schedule")
        .map(|node| schedules(report, node))
        .unwrap_or_default();
    let at_least_once = value("delivery")
        .and_then(|node| delivery(report, node))
        .unwrap_or(false);
    let kept = Scheduling {
        skip_if_successful: value("skip_if_successful")
            .and_then(|node| boolean(report, "skip_if_successful", node))
            .unwrap_or(false),
        catchup_window_sec: value("catchup_window")
            .and_then(|node| catchup_window(report, node))
            .unwrap_or(0),
        overlap_policy: value("overlap_policy")
            .and_then(|node| overlap_policy(report, node))
            .unwrap_or_default(),
        at_least_once,
        retry: match value("retry_policy") {
            Some(node) => retries::retry_policy(report, node, at_least_once),
            None => retries::of_delivery(at_least_once),
        },
        priority: value("priority")
            .and_then(|node| priority(report, node))
            .unwrap_or_default(),
        // A written 0 is no limit, whatever the daemon is configured to keep.
        hist_retention_runs: value("hist_retention_runs")
            .and_then(|node| natural32(report, "hist_retention_runs", node)),
    };
    if let Some(node) = value("run_config") {
        let entries = map(report, node, &keys::RUN_CONFIG).unwrap_or_default();
        for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
            boolean(report, &format!("run_config.{}", entry.key), &entry.value);
        }
    }
    (schedules, kept)
}

/// Warns of keys about schedules in a further document, which is only ever called. Those of the base configuration,
/// which are not its own, are there for the first one.
pub(super) fn warn_without_plan<'e>(report: &mut Report, own: impl Iterator<Item = &'e Entry>) {
    let planned = |entry: &&Entry| PLAN.contains(&entry.key.as_str()) && !entry.value.is_null();
    for entry in own.filter(planned) {
        let message = format!(
            "`{}` has no effect here: schedules count only in the first document of a file",
            entry.key
        );
        report.warn(entry.key_at, message);
    }
}

fn schedules(report: &mut Report, node: &Node) -> Schedules {
    let mut found = Schedules::default();
    match &node.value {
        Value::Map(entries) => {
            keys::check(report, entries, &keys::SCHEDULE);
            for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
                let what = format!("schedule.{}", entry.key);
                let (list, check): (_, Check) = match entry.key.as_str() {
                    "start" => (&mut found.start, check_expression),
                    "stop" => (&mut found.stop, check_expression),
                    "restart" => (&mut found.restart, check_expression),
                    "at" => (&mut found.at, check_time),
                    "jitter_sec" => {
                        found.jitter_sec = jitter(report, &what, &entry.value).unwrap_or(0);
                        continue;
                    }
                    _ => continue,
                };
                *list = written(report, &what, &entry.value, check);
            }
        }
        Value::Scalar(_) if node.as_str().is_none() => {
            wrong(report, "schedule", "a text, a list or a map", node);
        }
        _ => found.start = written(report, "schedule", node, check_expression),
    }
    let count = found.start.len() + found.stop.len() + found.restart.len() + found.at.len();
    if count > SCHEDULES_MAX {
        let message = format!("`schedule` has {count} entries; at most {SCHEDULES_MAX} are possible");
        report.error_hint(node.at, message, "put them together with lists, ranges and steps");
    }
    found
}

/// Checks an entry of `schedule` and reports what is wrong with it.
type Check = fn(&mut Report, &str, Pos);

/// The entries of a list, or one alone.
fn written(report: &mut Report, what: &str, node: &Node, check: Check) -> Vec<String> {
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
        check(report, written, item.at);
        found.push(written.to_owned());
    }
    found
}

fn check_expression(report: &mut Report, written: &str, at: Pos) {
    match Schedule::parse(written) {
        Ok(schedule) if schedule.never_comes() => {
            let expression = shown(written);
            let message = format!("the schedule {expression} never comes: none of its months has such a day");
            report.warn(at, message);
        }
        Ok(_) => {}
        Err(errors) => {
            for error in errors {
                invalid(report, written, at, error);
            }
        }
    }
}

/// Which zone it is meant in does not matter for whether it is a time.
fn check_time(report: &mut Report, written: &str, at: Pos) {
    if let Err(error) = Schedule::at(written, Zone::UTC) {
        invalid(report, written, at, error);
    }
}

fn invalid(report: &mut Report, written: &str, at: Pos, error: CronError) {
    let message = format!("invalid schedule {}: {}", shown(written), error.message);
    report.error_hint(at, message, error.hint);
}

fn jitter(report: &mut Report, what: &str, node: &Node) -> Option<u32> {
    let jitter = natural32(report, what, node)?;
    if jitter > JITTER_MAX {
        let message = format!("`{what}` is {jitter}; at most {JITTER_MAX} seconds are possible");
        report.error(node.at, message);
        return None;
    }
    Some(jitter)
}

fn delivery(report: &mut Report, node: &Node) -> Option<bool> {
    match text(report, "delivery", node)?.trim() {
        "at_most_once" => Some(false),
        "at_least_once" => Some(true),
        _ => {
            wrong(report, "delivery", "`at_most_once` or `at_least_once`", node);
            None
        }
    }
}

fn priority(report: &mut Report, node: &Node) -> Option<Priority> {
    let priority = Priority::from_text(scalar(report, "priority", node)?.trim());
    if priority.is_none() {
        let wanted = "`low`, `normal`, `high` or a whole number from -100 to 100";
        wrong(report, "priority", wanted, node);
    }
    priority
}

fn overlap_policy(report: &mut Report, node: &Node) -> Option<OverlapPolicy> {
    match text(report, "overlap_policy", node)?.trim() {
        "skip" => Some(OverlapPolicy::Skip),
        "all" => Some(OverlapPolicy::All),
        "latest" => Some(OverlapPolicy::Latest),
        "cancel_other" => Some(OverlapPolicy::CancelOther),
        _ => {
            let wanted = "`skip`, `all`, `latest` or `cancel_other`";
            wrong(report, "overlap_policy", wanted, node);
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
