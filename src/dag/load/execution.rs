//! As whom attempts run, and within which limits: `run_as`, `no_new_privs` and `limits`.

use super::fields::{boolean, get, integer, map, natural, text, wrong};
use super::keys;
use crate::dag::diag::Report;
use crate::dag::types::Execution;
use crate::dag::yaml::{Entry, Node};
use crate::model::resources::{MEMORY_MIN, PIDS_MAX, PIDS_MIN};
use crate::model::{Amount, Resources, Rlimit, RlimitPair};

/// Most percent of one CPU.
const PERCENT_MAX: u64 = 100_000;

/// Reads what a document says of the processes of its attempts.
pub(super) fn execution(report: &mut Report, entries: &[Entry], is_main: bool) -> Execution {
    Execution {
        run_as: get(entries, "run_as").and_then(|entry| run_as(report, entry, is_main)),
        no_new_privs: get(entries, "no_new_privs")
            .and_then(|entry| boolean(report, "no_new_privs", &entry.value)),
        limits: get(entries, "limits")
            .and_then(|entry| limits(report, &entry.value))
            .unwrap_or_default(),
        of_system: false,
    }
}

/// The base configuration and further documents name no user: a base holds for DAGs of several, and what is called runs
/// as who calls it.
fn run_as(report: &mut Report, entry: &Entry, is_main: bool) -> Option<String> {
    if entry.key_at.file != 0 {
        report.error_hint(
            entry.key_at,
            "`run_as` is not for the base configuration, which holds for the DAGs of several users",
            "write it into each DAG that needs it",
        );
        return None;
    }
    if !is_main {
        report.error_hint(
            entry.key_at,
            "`run_as` is not for further documents: a DAG that is called runs as the run that calls it",
            "leave it out",
        );
        return None;
    }
    let name = text(report, "run_as", &entry.value)?.trim();
    if name.is_empty() {
        report.error(entry.value.at, "`run_as` does not name a user");
        return None;
    }
    Some(name.to_owned())
}

fn limits(report: &mut Report, node: &Node) -> Option<Resources> {
    let entries = map(report, node, &keys::LIMITS)?;
    let value = |key: &str| get(entries, key).map(|entry| &entry.value);
    let mut size = |key: &str| {
        let what = format!("limits.{key}");
        value(key).and_then(|node| size(report, &what, node))
    };
    let (memory_max, memory_high, swap_max) = (size("memory_max"), size("memory_high"), size("swap_max"));
    for (key, found) in [("memory_max", memory_max), ("memory_high", memory_high)] {
        if let (Some(node), Some(Amount::Of(bytes))) = (value(key), found)
            && bytes < MEMORY_MIN
        {
            let least = Amount::Of(MEMORY_MIN).as_size();
            let message = format!(
                "`limits.{key}` must be at least {least}, of which the supervisor of an attempt needs some"
            );
            report.error(node.at, message);
        }
    }
    if let (Some(node), Some(high), Some(max)) = (value("memory_high"), memory_high, memory_max)
        && high > max
    {
        let message = "`limits.memory_high` has no effect: `memory_max` is lower";
        report.warn(node.at, message);
    }
    let mut whole = |key: &str, least: i64, most: i64| {
        value(key).and_then(|node| whole(report, &format!("limits.{key}"), node, least, most))
    };
    let weight = |number: i64| u32::try_from(number).ok();
    let cpu_weight = whole("cpu_weight", 1, 10_000).and_then(weight);
    let io_weight = whole("io_weight", 1, 10_000).and_then(weight);
    let nice = whole("nice", -20, 19).and_then(|nice| i32::try_from(nice).ok());
    Some(Resources {
        memory_max,
        memory_high,
        swap_max,
        cpu_weight,
        cpu_max: value("cpu_max").and_then(|node| percent(report, node)),
        io_weight,
        pids_max: value("pids_max").and_then(|node| pids(report, node)),
        nice,
        umask: value("umask").and_then(|node| umask(report, node)),
        rlimits: value("rlimits")
            .and_then(|node| rlimits(report, node))
            .unwrap_or_default(),
    })
}

fn size(report: &mut Report, what: &str, node: &Node) -> Option<Amount> {
    let found = node.scalar_text().and_then(|text| Amount::parse(text.trim()));
    if found.is_none() {
        wrong(
            report,
            what,
            "a number of bytes such as `512M` or `2G`, or `max`",
            node,
        );
    }
    found
}

fn whole(report: &mut Report, what: &str, node: &Node, least: i64, most: i64) -> Option<i64> {
    let number = integer(report, what, node)?;
    let fits = (least..=most).contains(&number);
    if !fits {
        report.error(
            node.at,
            format!("`{what}` is {number}; it must be from {least} to {most}"),
        );
    }
    fits.then_some(number)
}

/// Percent of one CPU. Without its sign a number could be meant in CPUs.
fn percent(report: &mut Report, node: &Node) -> Option<Amount> {
    let text = node.scalar_text().map(str::trim);
    if text == Some("max") {
        return Some(Amount::Max);
    }
    let number = text.and_then(|text| Amount::parse(text.strip_suffix('%')?));
    let found = number.filter(|number| (Amount::Of(1)..=Amount::Of(PERCENT_MAX)).contains(number));
    if found.is_none() {
        let wanted = "percent of one CPU such as `50%` or `150%` (at most `100000%`), or `max`";
        wrong(report, "limits.cpu_max", wanted, node);
    }
    found
}

fn pids(report: &mut Report, node: &Node) -> Option<Amount> {
    if node.as_str().map(str::trim) == Some("max") {
        return Some(Amount::Max);
    }
    let number = natural(report, "limits.pids_max", node)?;
    if number < PIDS_MIN {
        let message = format!(
            "`limits.pids_max` must be at least {PIDS_MIN}: the supervisor of an attempt counts as one of its processes"
        );
        report.error(node.at, message);
        return None;
    }
    if number > PIDS_MAX {
        let message =
            format!("`limits.pids_max` must be at most {PIDS_MAX}, which no machine exceeds, or `max`");
        report.error(node.at, message);
        return None;
    }
    Some(Amount::Of(number))
}

/// Octal digits, as after umask(1).
fn umask(report: &mut Report, node: &Node) -> Option<u32> {
    let text = node.scalar_text().map(str::trim).unwrap_or_default();
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let mask = u32::from_str_radix(digits, 8).ok();
    let mask = mask.filter(|mask| octal && *mask <= 0o777);
    if mask.is_none() {
        wrong(report, "limits.umask", "octal digits such as `022`", node);
    }
    mask
}

fn rlimits(report: &mut Report, node: &Node) -> Option<std::collections::BTreeMap<Rlimit, RlimitPair>> {
    let entries = map(report, node, &keys::RLIMITS)?;
    let mut found = std::collections::BTreeMap::new();
    for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
        let Some(limit) = Rlimit::from_name(&entry.key) else {
            continue;
        };
        if limit == Rlimit::Locks {
            let message = "`limits.rlimits.locks` has no effect: Linux does not limit file locks";
            report.warn(entry.key_at, message);
        }
        if let Some(pair) = pair(report, limit, &entry.value) {
            found.insert(limit, pair);
        }
    }
    Some(found)
}

/// One value for both, or a map of the two.
fn pair(report: &mut Report, limit: Rlimit, node: &Node) -> Option<RlimitPair> {
    let what = format!("limits.rlimits.{}", limit.as_str());
    if node.as_map().is_none() {
        let both = ceiling(report, &what, limit, node)?;
        return Some(RlimitPair {
            soft: Some(both),
            hard: Some(both),
        });
    }
    let entries = map(report, node, &keys::RLIMIT)?;
    let mut value = |key: &str| {
        let entry = get(entries, key)?;
        ceiling(report, &format!("{what}.{key}"), limit, &entry.value)
    };
    let (soft, hard) = (value("soft"), value("hard"));
    if let (Some(soft), Some(hard)) = (soft, hard)
        && soft > hard
    {
        report.error(node.at, format!("`{what}`: the soft limit is above the hard one"));
        return None;
    }
    Some(RlimitPair { soft, hard })
}

fn ceiling(report: &mut Report, what: &str, limit: Rlimit, node: &Node) -> Option<Amount> {
    let text = node.scalar_text().map(str::trim);
    if matches!(text, Some("unlimited" | "max")) {
        return Some(Amount::Max);
    }
    let units = |text: &&str| limit.is_size() || text.bytes().all(|byte| byte.is_ascii_digit());
    let found = text.filter(units).and_then(Amount::parse);
    if found.is_none() {
        let wanted = if limit.is_size() {
            "a number of bytes such as `64K` or `1G`, `unlimited`, or a map of `soft` and `hard`"
        } else if limit == Rlimit::Cpu {
            "a number of seconds, `unlimited`, or a map of `soft` and `hard`"
        } else {
            "a whole number from 0, `unlimited`, or a map of `soft` and `hard`"
        };
        wrong(report, what, wanted, node);
    }
    found
}
