//! What a DAG asks for, in words: conditions, retries, repeats, limits. For people who read a plan or a drawing.

use crate::dag::types::OverlapPolicy;
use crate::dag::types::{
    Approval, Call, Condition, ContinueOn, Item, Items, Number, RepeatMode, RepeatPolicy, RetryPolicy, Shell,
};
use crate::model::{RetryPolicy as WholeRetry, RetryRule};

/// A number with the word for what is counted, in the plural unless it is one.
pub(crate) fn count(number: usize, word: &str) -> String {
    match (number, word.strip_suffix('y')) {
        (1, _) => format!("1 {word}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        _ => format!("{number} {word}s"),
    }
}

/// A length of time given in whole seconds.
pub(crate) fn seconds(total: u64) -> String {
    let parts = [
        (total / 86_400, "d"),
        (total / 3_600 % 24, "h"),
        (total / 60 % 60, "min"),
        (total % 60, "s"),
    ];
    let told: Vec<String> = parts
        .iter()
        .filter(|(value, _)| *value > 0)
        .map(|(value, unit)| format!("{value} {unit}"))
        .collect();
    if told.is_empty() {
        return "0 s".to_owned();
    }
    told.join(" ")
}

/// A number as it was written.
pub(crate) fn number(number: &Number) -> String {
    match number {
        Number::Known(value) => value.to_string(),
        Number::Expr(text) => text.clone(),
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

fn codes(codes: &[i32]) -> String {
    let word = if codes.len() == 1 {
        "exit status"
    } else {
        "one of the exit statuses"
    };
    format!("{word} {}", list(codes))
}

/// How a pause grows; empty if it does not.
fn growth(backoff: f64, max: f64) -> String {
    if backoff <= 0.0 {
        return String::new();
    }
    let bound = if max > 0.0 {
        format!(" up to {max} s")
    } else {
        String::new()
    };
    format!(", each pause {backoff} times the one before{bound}")
}

/// A retry policy.
pub(crate) fn retry(policy: &RetryPolicy) -> String {
    let after = if policy.exit_code.is_empty() {
        "any failure".to_owned()
    } else {
        codes(&policy.exit_code)
    };
    format!(
        "up to {} times after {after}, {} s later{}",
        number(&policy.limit),
        number(&policy.interval_sec),
        growth(policy.backoff, policy.max_interval_sec)
    )
}

/// A repeat policy.
pub(crate) fn repeat(policy: &RepeatPolicy) -> String {
    let word = match policy.mode {
        RepeatMode::While => "while",
        RepeatMode::Until => "until",
    };
    let test = match (&policy.condition, policy.exit_code.as_slice()) {
        (Some(condition), _) => self::condition(condition),
        (None, []) => "it succeeds".to_owned(),
        (None, list) => format!("it ends with {}", codes(list)),
    };
    let limit = match &policy.limit {
        Number::Known(0.0) => String::new(),
        limit => format!(", at most {} times in all", number(limit)),
    };
    format!(
        "every {} s{}{limit}, {word} {test}",
        number(&policy.interval_sec),
        growth(policy.backoff, policy.max_interval_sec)
    )
}

/// A condition.
pub(crate) fn condition(condition: &Condition) -> String {
    let Condition {
        condition: written,
        expected,
        negate,
    } = condition;
    match expected {
        None if *negate => format!("this fails: {written}"),
        None => format!("this succeeds: {written}"),
        Some(expected) => {
            let (is, matches) = if *negate {
                ("is not", "does not match")
            } else {
                ("is", "matches")
            };
            match expected.strip_prefix("re:") {
                Some(pattern) => format!("{written} {matches} /{pattern}/"),
                None => format!("{written} {is} {expected:?}"),
            }
        }
    }
}

/// What is tolerated; none if nothing is.
pub(crate) fn continue_on(policy: &ContinueOn) -> Option<String> {
    let mut told = Vec::new();
    if policy.failure {
        told.push("failed".to_owned());
    }
    if policy.skipped {
        told.push("skipped".to_owned());
    }
    if !policy.exit_code.is_empty() {
        told.push(codes(&policy.exit_code));
    }
    if !policy.output.is_empty() {
        let output: Vec<String> = policy.output.iter().map(|text| format!("{text:?}")).collect();
        told.push(format!("output with {}", output.join(" or ")));
    }
    if told.is_empty() {
        return None;
    }
    let mark = if policy.mark_success {
        ", and counts as succeeded then"
    } else {
        ""
    };
    Some(format!("{}{mark}", told.join(", ")))
}

/// Retries of a run as a whole.
pub(crate) fn whole_retry(policy: &WholeRetry) -> Vec<String> {
    let failure = if policy.exit_codes.is_empty() {
        "a failure".to_owned()
    } else {
        format!("a failure with {}", codes(&policy.exit_codes))
    };
    let loss = "a loss";
    match (&policy.failed, &policy.lost) {
        (Some(common), Some(_)) if policy.shared => vec![whole_rule(common, &format!("{failure} or {loss}"))],
        (failed, lost) => [(failed, failure.as_str()), (lost, loss)]
            .into_iter()
            .filter_map(|(rule, after)| Some(whole_rule(rule.as_ref()?, after)))
            .collect(),
    }
}

fn whole_rule(rule: &RetryRule, after: &str) -> String {
    let max = f64::from(u32::try_from(rule.max_interval_sec).unwrap_or(u32::MAX));
    let often = match rule.limit {
        u32::MAX => "again and again".to_owned(),
        1 => "once".to_owned(),
        limit => format!("up to {limit} times"),
    };
    format!(
        "the whole run {often} after {after}, {} s later{}",
        rule.interval_sec,
        growth(rule.backoff, max)
    )
}

/// What becomes of a start while the DAG is busy.
pub(crate) const fn overlap(policy: OverlapPolicy) -> &'static str {
    match policy {
        OverlapPolicy::Skip => "a start is dropped",
        OverlapPolicy::All => "every start waits",
        OverlapPolicy::Latest => "the latest start waits",
        OverlapPolicy::CancelOther => "what waits is ended, what is live is stopped, and the new run starts",
    }
}

/// A shell with its arguments.
pub(crate) fn shell(shell: &Shell) -> String {
    std::iter::once(&shell.program)
        .chain(&shell.args)
        .cloned()
        .collect::<Vec<_>>()
        .join(" ")
}

/// What is asked of a person.
pub(crate) fn approval(approval: &Approval) -> String {
    let mut told = "somebody approves it".to_owned();
    if !approval.prompt.is_empty() {
        told += &format!(", asked {:?}", approval.prompt);
    }
    let inputs: Vec<String> = approval
        .input
        .iter()
        .map(|name| {
            let required = approval.required.contains(name);
            format!("{name}{}", if required { " (required)" } else { "" })
        })
        .collect();
    if !inputs.is_empty() {
        told += &format!(", and may give {}", inputs.join(", "));
    }
    told
}

/// How many sub-runs a call has, if not just one.
pub(crate) fn items(call: &Call) -> Option<String> {
    let parallel = call.parallel.as_ref()?;
    let items = match &parallel.items {
        Items::List(items) => count(items.len(), "item"),
        Items::Expr(text) => format!("each item of {text}"),
    };
    Some(format!("for {items}, {} at a time", parallel.max_concurrent))
}

/// An item of a call.
pub(crate) fn item(item: &Item) -> String {
    match item {
        Item::Value(text) => text.clone(),
        Item::Params(pairs) => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            pairs.join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_and_counts() {
        assert_eq!(seconds(0), "0 s");
        assert_eq!(seconds(90), "1 min 30 s");
        assert_eq!(seconds(90_000), "1 d 1 h");
        assert_eq!(count(1, "entry"), "1 entry");
        assert_eq!(count(2, "entry"), "2 entries");
        assert_eq!(count(0, "step"), "0 steps");
    }

    #[test]
    fn policies_read_as_sentences() {
        let mut policy = RetryPolicy {
            limit: Number::Known(4.0),
            interval_sec: Number::Expr("${PAUSE}".to_owned()),
            exit_code: Vec::new(),
            backoff: 1.5,
            max_interval_sec: 30.0,
        };
        assert_eq!(
            retry(&policy),
            "up to 4 times after any failure, ${PAUSE} s later, each pause 1.5 times the one before up to 30 s"
        );
        policy.exit_code = vec![7, 28];
        policy.backoff = 0.0;
        assert_eq!(
            retry(&policy),
            "up to 4 times after one of the exit statuses 7, 28, ${PAUSE} s later"
        );
        let mut policy = RepeatPolicy {
            mode: RepeatMode::While,
            interval_sec: Number::Known(1.0),
            limit: Number::Known(0.0),
            condition: None,
            exit_code: Vec::new(),
            backoff: 0.0,
            max_interval_sec: 0.0,
        };
        assert_eq!(repeat(&policy), "every 1 s, while it succeeds");
        policy.mode = RepeatMode::Until;
        policy.exit_code = vec![3];
        policy.limit = Number::Known(5.0);
        assert_eq!(
            repeat(&policy),
            "every 1 s, at most 5 times in all, until it ends with exit status 3"
        );
    }

    #[test]
    fn conditions_say_what_is_compared() {
        let told = |expected: Option<&str>, negate| {
            condition(&Condition {
                condition: "$A \"b\"".to_owned(),
                expected: expected.map(str::to_owned),
                negate,
            })
        };
        assert_eq!(told(None, false), r#"this succeeds: $A "b""#);
        assert_eq!(told(None, true), r#"this fails: $A "b""#);
        assert_eq!(told(Some("x"), false), r#"$A "b" is "x""#);
        assert_eq!(told(Some("x"), true), r#"$A "b" is not "x""#);
        assert_eq!(told(Some("re:^x"), false), r#"$A "b" matches /^x/"#);
        assert_eq!(told(Some("re:^x"), true), r#"$A "b" does not match /^x/"#);
    }

    #[test]
    fn what_is_tolerated() {
        let mut policy = ContinueOn::default();
        assert_eq!(continue_on(&policy), None);
        policy.skipped = true;
        policy.output = vec!["re:^w".to_owned()];
        policy.mark_success = true;
        assert_eq!(
            continue_on(&policy).unwrap(),
            "skipped, output with \"re:^w\", and counts as succeeded then"
        );
    }
}
