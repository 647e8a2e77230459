//! What happens after a step ended: `continue_on`, `retry_policy`, `repeat_policy` (seed-spec 9.3, 9.7, 9.8).

use super::fields::{boolean, get, integers, map, natural, text, texts, wrong};
use super::keys;
use crate::dag::diag::{Pos, Report};
use crate::dag::pattern;
use crate::dag::types::{Condition, ContinueOn, Number, RepeatMode, RepeatPolicy, RetryPolicy};
use crate::dag::yaml::{Entry, Kind, Node, Value};

/// Reads `continue_on`.
pub(super) fn continue_on(report: &mut Report, node: &Node) -> Option<ContinueOn> {
    let mut policy = ContinueOn::default();
    match &node.value {
        Value::Scalar(_) => match node.as_str() {
            Some("skipped") => policy.skipped = true,
            Some("failed") => policy.failure = true,
            _ => {
                wrong(report, "continue_on", "`skipped`, `failed` or a map", node);
                return None;
            }
        },
        Value::List(_) => {
            wrong(report, "continue_on", "`skipped`, `failed` or a map", node);
            return None;
        }
        Value::Map(_) => {
            let entries = map(report, node, &keys::CONTINUE_ON)?;
            let mut flag = |key: &str| {
                let entry = get(entries, key)?;
                boolean(report, &format!("continue_on.{key}"), &entry.value)
            };
            policy.skipped = flag("skipped").unwrap_or(false);
            policy.failure = flag("failed").unwrap_or(false) | flag("failure").unwrap_or(false);
            policy.mark_success = flag("mark_success").unwrap_or(false);
            if let Some(entry) = get(entries, "exit_code") {
                policy.exit_code = integers(report, "continue_on.exit_code", &entry.value);
            }
            if let Some(entry) = get(entries, "output") {
                let found = texts(report, "continue_on.output", &entry.value);
                check_patterns(report, &found, entry.value.at);
                policy.output = found.into_iter().map(|(text, _)| text).collect();
            }
        }
    }
    Some(policy)
}

/// What is behind `re:` must compile: it is matched as it is written, and no variable in it is replaced.
pub(super) fn check_pattern(report: &mut Report, pattern: &str, at: Pos) {
    if let Some(pattern) = pattern.strip_prefix("re:")
        && report.may_compile()
        && let Err(error) = pattern::compile(pattern)
    {
        report.error(at, pattern::refusal(pattern, &error));
    }
}

/// Patterns that are looked for at the same time must compile together. `at` is the place of all.
fn check_patterns(report: &mut Report, patterns: &[(String, Pos)], at: Pos) {
    let regexes = patterns
        .iter()
        .filter_map(|(pattern, _)| pattern.strip_prefix("re:"));
    let regexes: Vec<&str> = regexes.collect();
    if regexes.is_empty() || !report.may_compile() {
        return;
    }
    let Err(error) = pattern::compile_all(&regexes) else {
        return;
    };
    let errors = report.error_count();
    for (pattern, at) in patterns {
        check_pattern(report, pattern, *at);
    }
    if report.error_count() == errors {
        let message = format!("the regular expressions of `continue_on.output` together: {error}");
        report.error(at, message);
    }
}

/// Reads a number that may be an expression. A text that is neither is refused now, not when the step runs.
fn number(report: &mut Report, what: &str, node: &Node) -> Option<Number> {
    if let Some(written) = node.as_str() {
        let written = written.trim();
        return match written.parse::<u32>() {
            Ok(value) => Some(Number::Known(f64::from(value))),
            Err(_) if written.contains(['$', '`']) => Some(Number::Expr(written.to_owned())),
            Err(_) => {
                wrong(
                    report,
                    what,
                    "a whole number from 0 or an expression with `$`",
                    node,
                );
                None
            }
        };
    }
    let value = natural(report, what, node)?;
    match u32::try_from(value) {
        Ok(value) => Some(Number::Known(f64::from(value))),
        Err(_) => {
            report.error(
                node.at,
                format!("`{what}` is {value}; at most {} are possible", u32::MAX),
            );
            None
        }
    }
}

/// Reads `backoff`: `true` is 2, `false` and 0 are none, a number must be above 1. Whole numbers count, too.
pub(super) fn backoff(report: &mut Report, what: &str, node: &Node) -> Option<f64> {
    let kind = match &node.value {
        Value::Scalar(scalar) => scalar.kind,
        _ => Kind::Null,
    };
    let factor = match kind {
        Kind::Bool(true) => 2.0,
        Kind::Bool(false) => 0.0,
        kind => {
            let Some(value) = kind.number() else {
                wrong(report, what, "`true`, `false` or a number", node);
                return None;
            };
            value
        }
    };
    if factor == 0.0 || (factor > 1.0 && factor.is_finite()) {
        return Some(factor);
    }
    report.error(
        node.at,
        format!("`{what}`: backoff must be greater than 1.0, or 0 for none"),
    );
    None
}

/// Reads a length of time in seconds: any number from 0.
fn seconds(report: &mut Report, what: &str, node: &Node) -> Option<f64> {
    let value = match &node.value {
        Value::Scalar(scalar) => match scalar.kind {
            Kind::Str => scalar.text.trim().parse::<u32>().ok().map(f64::from),
            kind => kind.number(),
        },
        _ => None,
    };
    let value = value.filter(|value| value.is_finite() && *value >= 0.0);
    if value.is_none() {
        wrong(report, what, "a number of seconds from 0", node);
    }
    value
}

/// `backoff` and `max_interval_sec`, which every policy has.
fn growth(report: &mut Report, what: &str, entries: &[Entry]) -> (f64, f64) {
    let factor = get(entries, "backoff")
        .and_then(|entry| backoff(report, &format!("{what}.backoff"), &entry.value))
        .unwrap_or(0.0);
    let longest = get(entries, "max_interval_sec")
        .and_then(|entry| seconds(report, &format!("{what}.max_interval_sec"), &entry.value))
        .unwrap_or(0.0);
    (factor, longest)
}

/// Reads a step's `retry_policy`.
pub(super) fn retry(report: &mut Report, node: &Node) -> Option<RetryPolicy> {
    let entries = map(report, node, &keys::RETRY)?;
    let mut required = |key: &str| match get(entries, key) {
        Some(entry) => number(report, &format!("retry_policy.{key}"), &entry.value),
        None => {
            report.error(
                node.at,
                format!("{key} is required when retry_policy is specified"),
            );
            None
        }
    };
    let limit = required("limit");
    let interval_sec = required("interval_sec");
    let exit_code = get(entries, "exit_code")
        .map(|entry| integers(report, "retry_policy.exit_code", &entry.value))
        .unwrap_or_default();
    let (backoff, max_interval_sec) = growth(report, "retry_policy", entries);
    Some(RetryPolicy {
        limit: limit?,
        interval_sec: interval_sec?,
        exit_code,
        backoff,
        max_interval_sec,
    })
}

/// What `repeat:` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Mode(RepeatMode),
    Yes,
    No,
}

/// Reads a step's `repeat_policy`; none if it does not make the step repeat.
pub(super) fn repeat(report: &mut Report, node: &Node) -> Option<RepeatPolicy> {
    let entries = map(report, node, &keys::REPEAT)?;
    let asked = get(entries, "repeat").map_or(Some(Asked::No), |entry| asked(report, &entry.value));
    let mut optional = |key: &str| match get(entries, key) {
        Some(entry) => number(report, &format!("repeat_policy.{key}"), &entry.value),
        None => Some(Number::Known(0.0)),
    };
    let limit = optional("limit");
    let interval_sec = optional("interval_sec");
    let exit_code = get(entries, "exit_code")
        .map(|entry| integers(report, "repeat_policy.exit_code", &entry.value))
        .unwrap_or_default();
    let (backoff, max_interval_sec) = growth(report, "repeat_policy", entries);
    let condition = get(entries, "condition")
        .and_then(|entry| text(report, "repeat_policy.condition", &entry.value))
        .filter(|text| !text.trim().is_empty());
    let expected = get(entries, "expected")
        .and_then(|entry| text(report, "repeat_policy.expected", &entry.value).map(|text| (text, entry)));
    if let Some((expected, entry)) = expected {
        check_pattern(report, expected, entry.value.at);
        if condition.is_none() {
            report.error(
                entry.key_at,
                "`repeat_policy.expected` needs a `condition` it is compared with",
            );
        }
    }
    let has_test = condition.is_some() || !exit_code.is_empty();
    let mode = match asked? {
        Asked::Yes => RepeatMode::While,
        Asked::Mode(_) if !has_test => {
            report.error(
                node.at,
                "`repeat: while` and `repeat: until` need a `condition` or an `exit_code`",
            );
            return None;
        }
        Asked::Mode(mode) => mode,
        Asked::No if condition.is_some() && expected.is_some() => RepeatMode::Until,
        Asked::No if has_test => RepeatMode::While,
        Asked::No => {
            let said = get(entries, "repeat").is_some();
            if !said && entries.iter().any(|entry| !entry.value.is_null()) {
                report.warn(
                    node.at,
                    "the `repeat_policy` repeats nothing: it has no `repeat`, no `condition` and no `exit_code`",
                );
            }
            return None;
        }
    };
    Some(RepeatPolicy {
        mode,
        interval_sec: interval_sec?,
        limit: limit?,
        condition: condition.map(|condition| Condition {
            condition: condition.to_owned(),
            // An empty text is a value, too. Without one the condition would be a command.
            expected: expected.map(|(text, _)| text.to_owned()),
            negate: false,
        }),
        exit_code,
        backoff,
        max_interval_sec,
    })
}

fn asked(report: &mut Report, node: &Node) -> Option<Asked> {
    let kind = match &node.value {
        Value::Scalar(scalar) => scalar.kind,
        _ => Kind::Null,
    };
    match (kind, node.as_str()) {
        (Kind::Bool(true), _) => Some(Asked::Yes),
        (Kind::Bool(false), _) => Some(Asked::No),
        (_, Some("while")) => Some(Asked::Mode(RepeatMode::While)),
        (_, Some("until")) => Some(Asked::Mode(RepeatMode::Until)),
        _ => {
            let shown = node
                .scalar_text()
                .map_or_else(|| node.describe(), |text| format!("'{text}'"));
            let message = format!("invalid value for repeat: {shown}");
            report.error_hint(node.at, message, "it can be `while`, `until`, `true` or `false`");
            None
        }
    }
}
