//! `[job.limits]`: what attempts may use whose DAG says nothing, and the most that those of users may ask for.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::reader::{Reader, Section, shown};
use super::value::{self, Complaint};
use crate::model::resources::{MEMORY_MIN, PIDS_MAX, PIDS_MIN, WEIGHT_DEFAULT};
use crate::model::{Amount, Resources, Rlimit, RlimitPair};

/// The table, for messages.
const TABLE: &str = "job.limits";

/// Reads the table inside `[job]`. What has its default says nothing.
pub(super) fn fill<'t>(limits: &mut Resources, reader: &mut Reader<'_>, job: &Section<'t>) {
    let table = reader.inner(job, "limits", TABLE);
    let (max, high) = (&mut limits.memory_max, &mut limits.memory_high);
    reader.set(&table, "memory_max", max, size(MEMORY_MIN));
    reader.set(&table, "memory_high", high, size(MEMORY_MIN));
    reader.set(&table, "swap_max", &mut limits.swap_max, size(0));
    reader.set(&table, "cpu_weight", &mut limits.cpu_weight, weight);
    reader.set(&table, "cpu_max", &mut limits.cpu_max, percent);
    reader.set(&table, "io_weight", &mut limits.io_weight, weight);
    reader.set(&table, "pids_max", &mut limits.pids_max, pids);
    reader.set(&table, "nice", &mut limits.nice, nice);
    for (name, span, found) in reader.free(&table, "rlimits") {
        let path = format!("{TABLE}.rlimits.{}", shown(name));
        let Some(limit) = Rlimit::from_name(name) else {
            let cure = format!("there are: {}", Rlimit::NAMES.join(", "));
            reader.problem(&span, format!("`{path}` is no limit"), cure);
            continue;
        };
        match rlimit(limit, found.get_ref()) {
            Ok(pair) => {
                limits.rlimits.insert(limit, pair);
            }
            Err(Complaint { fault, cure }) => {
                reader.problem(&found.span(), format!("`{path}` {fault}"), cure);
            }
        }
    }
}

/// The values in effect.
pub(super) fn entries(limits: &Resources, put: &mut impl FnMut(&str, String)) {
    // Taken apart by name, so that a new field cannot be forgotten here.
    let Resources {
        memory_max,
        memory_high,
        swap_max,
        cpu_weight,
        cpu_max,
        io_weight,
        pids_max,
        nice,
        // The key is `job.umask`.
        umask: _,
        rlimits,
    } = limits;
    let mut put = |key: &str, value: String| put(&format!("{TABLE}.{key}"), value);
    let size = |amount: &Option<Amount>| format!("{:?}", amount.unwrap_or(Amount::Max).as_size());
    put("memory_max", size(memory_max));
    put("memory_high", size(memory_high));
    put("swap_max", size(swap_max));
    put("cpu_weight", cpu_weight.unwrap_or(WEIGHT_DEFAULT).to_string());
    let percent = match cpu_max {
        Some(Amount::Of(percent)) => format!("\"{percent}%\""),
        _ => String::from("\"max\""),
    };
    put("cpu_max", percent);
    put("io_weight", io_weight.unwrap_or(WEIGHT_DEFAULT).to_string());
    let pids = match pids_max {
        Some(Amount::Of(pids)) => pids.to_string(),
        _ => String::from("\"max\""),
    };
    put("pids_max", pids);
    put("nice", nice.unwrap_or(0).to_string());
    for (limit, pair) in rlimits {
        put(&format!("rlimits.{}", limit.as_str()), pair_text(*pair));
    }
}

fn pair_text(pair: RlimitPair) -> String {
    let value = |amount: Amount| match amount {
        Amount::Of(number) => number.to_string(),
        Amount::Max => String::from("\"unlimited\""),
    };
    match (pair.soft, pair.hard) {
        (Some(soft), Some(hard)) if soft == hard => value(soft),
        (soft, hard) => {
            let parts = [("soft", soft), ("hard", hard)];
            let parts = parts
                .into_iter()
                .filter_map(|(name, amount)| Some((name, amount?)));
            let parts: Vec<String> = parts
                .map(|(name, amount)| format!("{name} = {}", value(amount)))
                .collect();
            format!("{{ {} }}", parts.join(", "))
        }
    }
}

/// A number, in digits as it is written or with a unit in a string.
fn amount(value: &DeValue<'_>) -> Option<Amount> {
    match value {
        DeValue::Integer(number) if number.radix() == 10 => Amount::parse(number.as_str()),
        DeValue::String(text) => Amount::parse(text),
        _ => None,
    }
}

fn complaint<T>(value: &DeValue<'_>, cure: &str) -> Result<T, Complaint> {
    let fault = match value {
        DeValue::Integer(number) => format!("is {number}"),
        DeValue::String(text) => format!("is {text:?}"),
        other => format!("is {}", value::describe(other)),
    };
    Err(Complaint {
        fault,
        cure: cure.to_owned(),
    })
}

/// No limit is the default, and says nothing.
fn limit(amount: Amount) -> Option<Amount> {
    Some(amount).filter(|amount| *amount != Amount::Max)
}

/// Bytes.
fn size(least: u64) -> impl Fn(&DeValue<'_>) -> Result<Option<Amount>, Complaint> {
    move |value| match amount(value).filter(|amount| *amount >= Amount::Of(least)) {
        Some(amount) => Ok(limit(amount)),
        None => {
            let least = Amount::Of(least).as_size();
            let cure =
                format!("write bytes, as in \"512M\" or \"2G\", from {least}, or \"max\" for no limit");
            complaint(value, &cure)
        }
    }
}

fn percent(value: &DeValue<'_>) -> Result<Option<Amount>, Complaint> {
    let text = value.as_str().unwrap_or_default();
    if text == "max" {
        return Ok(None);
    }
    let number = text
        .strip_suffix('%')
        .and_then(|number| number.parse::<u64>().ok());
    match number.filter(|number| (1..=100_000).contains(number)) {
        Some(number) => Ok(Some(Amount::Of(number))),
        None => complaint(
            value,
            "write percent of one CPU, as in \"150%\", at most \"100000%\", or \"max\" for no limit",
        ),
    }
}

fn pids(value: &DeValue<'_>) -> Result<Option<Amount>, Complaint> {
    let fits = |amount: &Amount| {
        *amount == Amount::Max || (Amount::Of(PIDS_MIN)..=Amount::Of(PIDS_MAX)).contains(amount)
    };
    match amount(value).filter(fits) {
        Some(amount) => Ok(limit(amount)),
        None => {
            let cure = format!("write a whole number from {PIDS_MIN} to {PIDS_MAX}, or \"max\" for no limit");
            complaint(value, &cure)
        }
    }
}

fn weight(value: &DeValue<'_>) -> Result<Option<u32>, Complaint> {
    let weight = value::whole(1, 10_000)(value)?;
    Ok(Some(weight).filter(|weight| *weight != WEIGHT_DEFAULT))
}

fn nice(value: &DeValue<'_>) -> Result<Option<i32>, Complaint> {
    let number = value.as_integer().filter(|number| number.radix() == 10);
    let number = number.and_then(|number| number.as_str().parse::<i32>().ok());
    match number.filter(|number| (-20..=19).contains(number)) {
        Some(number) => Ok(Some(number).filter(|number| *number != 0)),
        None => complaint(value, "write a whole number from -20 to 19"),
    }
}

/// One value for both, or a table of the two.
fn rlimit(limit: Rlimit, value: &DeValue<'_>) -> Result<RlimitPair, Complaint> {
    let Some(table) = value.as_table() else {
        let both = Some(ceiling(limit, value)?);
        return Ok(RlimitPair {
            soft: both,
            hard: both,
        });
    };
    both(limit, table)
}

fn both(limit: Rlimit, table: &DeTable<'_>) -> Result<RlimitPair, Complaint> {
    let mut found: BTreeMap<&str, Amount> = BTreeMap::new();
    for (name, value) in table {
        let name = name.get_ref().as_ref();
        if !matches!(name, "soft" | "hard") {
            return Err(Complaint {
                fault: format!("has the key `{}`", shown(name)),
                cure: String::from("write `soft`, `hard` or both"),
            });
        }
        found.insert(name, ceiling(limit, value.get_ref())?);
    }
    let pair = RlimitPair {
        soft: found.get("soft").copied(),
        hard: found.get("hard").copied(),
    };
    if pair.soft.zip(pair.hard).is_some_and(|(soft, hard)| soft > hard) {
        return Err(Complaint {
            fault: String::from("has a soft limit above the hard one"),
            cure: String::from("raise the hard one, or lower the soft one"),
        });
    }
    Ok(pair)
}

fn ceiling(limit: Rlimit, value: &DeValue<'_>) -> Result<Amount, Complaint> {
    if value.as_str() == Some("unlimited") {
        return Ok(Amount::Max);
    }
    let found = amount(value).filter(|_| limit.is_size() || value.as_str().is_none_or(|text| text == "max"));
    match found {
        Some(amount) => Ok(amount),
        None if limit.is_size() => complaint(
            value,
            "write bytes, as in \"64M\", \"unlimited\", or { soft = ..., hard = ... }",
        ),
        None => complaint(
            value,
            "write a whole number, \"unlimited\", or { soft = ..., hard = ... }",
        ),
    }
}
