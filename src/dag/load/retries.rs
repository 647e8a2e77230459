//! Retries of a run as a whole: `retry_policy` of a DAG, and what `delivery` adds to it.

use super::fields::{get, integers, map, natural, texts, wrong};
use super::keys;
use super::policies::backoff;
use crate::dag::diag::Report;
use crate::dag::scheduling::AT_LEAST_ONCE;
use crate::dag::yaml::{Entry, Node};
use crate::model::{RetryPolicy, RetryRule};

/// Keys that are about the rule which `limit` begins.
const OF_LIMIT: [&str; 5] = ["interval_sec", "backoff", "max_interval_sec", "exit_codes", "on"];

/// Which ends of an attempt a rule is for.
#[derive(Clone, Copy)]
struct On {
    failed: bool,
    lost: bool,
}

/// Reads `retry_policy` of a DAG.
pub(super) fn retry_policy(report: &mut Report, node: &Node, at_least_once: bool) -> Option<RetryPolicy> {
    let entries = map(report, node, &keys::DAG_RETRY)?;
    let lost = get(entries, "lost");
    let asked = |key: &&str| get(entries, key).is_some();
    let has_rule = asked(&"limit") || lost.is_none() || OF_LIMIT.iter().any(asked);
    let rule = if has_rule {
        Some(rule(report, "retry_policy", node, entries)?)
    } else {
        None
    };
    let written = get(entries, "on").map(|entry| on(report, &entry.value));
    let exit_codes = get(entries, "exit_codes")
        .map(|entry| integers(report, "retry_policy.exit_codes", &entry.value))
        .unwrap_or_default();
    let own = match lost {
        Some(entry) => {
            let entries = map(report, &entry.value, &keys::LOST_RETRY)?;
            Some(self::rule(report, "retry_policy.lost", &entry.value, entries)?)
        }
        None => None,
    };
    if let (Some(entry), Some(On { lost: true, .. })) = (lost, written) {
        report.error_hint(
            entry.key_at,
            "`retry_policy.lost` is a budget of its own for losses, but `on` puts them into the other one",
            "leave out `lost` of `on`, or the map",
        );
    }
    // A rule of their own takes losses out of the common one, and so does the promise to go on for ever.
    let on = written.unwrap_or(On {
        failed: true,
        lost: own.is_none() && !at_least_once,
    });
    if !exit_codes.is_empty() && !on.failed {
        report.warn(
            node.at,
            "`retry_policy.exit_codes` has no effect: `on` leaves failures out",
        );
    }
    let failed = rule.filter(|_| on.failed);
    let common = rule.filter(|_| on.lost);
    Some(RetryPolicy {
        failed,
        exit_codes,
        lost: own.or(common).or(at_least_once.then_some(AT_LEAST_ONCE)),
        shared: failed.is_some() && common.is_some() && own.is_none(),
    })
}

/// The policy of a DAG that writes none.
pub(super) fn of_delivery(at_least_once: bool) -> Option<RetryPolicy> {
    at_least_once.then(|| RetryPolicy {
        lost: Some(AT_LEAST_ONCE),
        ..RetryPolicy::default()
    })
}

fn on(report: &mut Report, node: &Node) -> On {
    let mut on = On {
        failed: false,
        lost: false,
    };
    let errors = report.error_count();
    for (word, _) in texts(report, "retry_policy.on", node) {
        match word.trim() {
            "failed" => on.failed = true,
            "lost" => on.lost = true,
            _ => wrong(
                report,
                "retry_policy.on",
                "`failed`, `lost` or a list of both",
                node,
            ),
        }
    }
    if !on.failed && !on.lost && report.error_count() == errors {
        wrong(
            report,
            "retry_policy.on",
            "`failed`, `lost` or a list of both",
            node,
        );
    }
    on
}

/// `limit`, which is needed, and what goes with it.
fn rule(report: &mut Report, what: &str, node: &Node, entries: &[Entry]) -> Option<RetryRule> {
    let mut number = |key: &str, default: u64| match get(entries, key) {
        Some(entry) => whole(report, &format!("{what}.{key}"), &entry.value),
        None => Some(default),
    };
    let limit = number("limit", 0);
    let interval_sec = number("interval_sec", 60);
    let max_interval_sec = number("max_interval_sec", 3_600);
    if limit == Some(0) {
        report.error(
            node.at,
            format!("`{what}.limit` is needed and must be at least 1"),
        );
    }
    let limit = limit.and_then(|limit| {
        let narrow = u32::try_from(limit).ok();
        if narrow.is_none() {
            let message = format!("`{what}.limit` is {limit}; at most {} are possible", u32::MAX);
            report.error(node.at, message);
        }
        narrow
    });
    let backoff = match get(entries, "backoff") {
        Some(entry) => backoff(report, &format!("{what}.backoff"), &entry.value),
        None => Some(0.0),
    };
    Some(RetryRule {
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
