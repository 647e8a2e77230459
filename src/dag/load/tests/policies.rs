//! Tests of retry, repeat, continue-on and the other policies of a step.

use super::*;

#[test]
fn continue_on_takes_a_word_or_a_map() {
    assert_eq!(
        step("continue_on: skipped").continue_on,
        ContinueOn {
            skipped: true,
            ..ContinueOn::default()
        }
    );
    assert!(step("continue_on: failed").continue_on.failure);
    let all = step(
        "continue_on: {failed: true, skipped: false, exit_code: [1, \"2\"], output: \"re:^x\", mark_success: true}",
    );
    let expected = ContinueOn {
        failure: true,
        skipped: false,
        exit_code: vec![1, 2],
        output: vec!["re:^x".to_owned()],
        mark_success: true,
    };
    assert_eq!(all.continue_on, expected);
    error(&with("continue_on: maybe"), 4, 18, "`skipped`, `failed` or a map");
    error(&with("continue_on: [1]"), 4, 18, "a list");
    error(
        &with("continue_on: {failure: \"true\"}"),
        4,
        28,
        "continue_on.failure",
    );
    error(&with("continue_on: {exit_code: x}"), 4, 30, "whole number");
    error(
        &with("continue_on: {output: \"re:(\"}"),
        4,
        27,
        "regular expression",
    );
    error(&with("continue_on: {exitcode: 1}"), 4, 19, "unknown key");
}

#[test]
fn a_retry_policy_needs_limit_and_interval() {
    let policy = step(
        "retry_policy: {limit: 3, interval_sec: \"${N}\", backoff: 2, max_interval_sec: 9, exit_code: [1]}",
    );
    let expected = RetryPolicy {
        limit: Number::Known(3.0),
        interval_sec: Number::Expr("${N}".to_owned()),
        exit_code: vec![1],
        backoff: 2.0,
        max_interval_sec: 9.0,
    };
    assert_eq!(policy.retry, Some(expected));
    let errors = errors(&with("retry_policy: {}"));
    assert_eq!(errors.len(), 2, "both are said at once");
    error(
        &with("retry_policy: {limit: 1}"),
        4,
        19,
        "interval_sec is required",
    );
    error(
        &with("retry_policy: {limit: -1, interval_sec: 1}"),
        4,
        27,
        "negative",
    );
    error(
        &with("retry_policy: {limit: many, interval_sec: 1}"),
        4,
        27,
        "expression",
    );
}

#[test]
fn a_backoff_is_true_or_above_one() {
    let backoff = |text: &str| {
        let policy = step(&format!(
            "retry_policy: {{limit: 1, interval_sec: 1, backoff: {text}}}"
        ));
        policy.retry.expect("a policy").backoff
    };
    assert_eq!(
        ["true", "false", "0", "2", "1.5"].map(backoff),
        [2.0, 0.0, 0.0, 2.0, 1.5]
    );
    for text in ["1", "0.8", "-2", ".inf", ".nan"] {
        let text = with(&format!(
            "retry_policy: {{limit: 1, interval_sec: 1, backoff: {text}}}"
        ));
        error(&text, 4, 56, "greater than 1.0");
    }
}

#[test]
fn the_repeat_mode_follows_from_what_is_there() {
    let mode = |text: &str| {
        step(&format!("repeat_policy: {{{text}}}"))
            .repeat
            .map(|policy| policy.mode)
    };
    assert_eq!(mode("repeat: true"), Some(RepeatMode::While));
    assert_eq!(mode("repeat: until, condition: x"), Some(RepeatMode::Until));
    assert_eq!(mode("repeat: while, exit_code: [0]"), Some(RepeatMode::While));
    assert_eq!(mode("condition: x, expected: y"), Some(RepeatMode::Until));
    assert_eq!(mode("condition: x"), Some(RepeatMode::While));
    assert_eq!(mode("repeat: false, exit_code: 3"), Some(RepeatMode::While));
    assert_eq!(mode("repeat: false"), None);
    assert_eq!(mode("interval_sec: 5"), None);
    error(
        &with("repeat_policy: {repeat: until}"),
        4,
        20,
        "need a `condition` or an `exit_code`",
    );
    error(
        &with("repeat_policy: {repeat: always}"),
        4,
        29,
        "invalid value for repeat: 'always'",
    );
    error(
        &with("repeat_policy: {repeat: 5}"),
        4,
        29,
        "invalid value for repeat: '5'",
    );
    error(
        &with("repeat_policy: {repeat: true, limit: 3.5}"),
        4,
        42,
        "whole number",
    );
    error(
        &with("repeat_policy: {repeat: true, expected: x}"),
        4,
        35,
        "needs a `condition`",
    );
}

#[test]
fn an_empty_text_can_be_expected_and_the_condition_stays_a_value() {
    let empty = Condition {
        condition: "$X".to_owned(),
        expected: Some(String::new()),
        negate: false,
    };
    let policy = step("repeat_policy: {condition: $X, expected: ''}")
        .repeat
        .expect("a policy");
    assert_eq!(
        (policy.mode, policy.condition.as_ref()),
        (RepeatMode::Until, Some(&empty))
    );
    assert_eq!(
        step("preconditions: {condition: $X, expected: ''}").preconditions,
        [empty]
    );
}

#[test]
fn a_repeat_policy_that_repeats_nothing_is_worth_a_warning() {
    for policy in ["{limit: 3}", "{interval_sec: 1, backoff: 2}", "{condition: ' '}"] {
        assert_eq!(
            warnings(&with(&format!("repeat_policy: {policy}"))),
            ["the `repeat_policy` repeats nothing: it has no `repeat`, no `condition` and no `exit_code`"],
            "{policy}"
        );
    }
    for policy in [
        "{}",
        "{limit: }",
        "{repeat: false, limit: 3}",
        "{exit_code: 1, limit: 3}",
    ] {
        assert_eq!(
            warnings(&with(&format!("repeat_policy: {policy}"))),
            [""; 0],
            "{policy}"
        );
    }
}

#[test]
fn numbers_of_policies_may_be_large() {
    let growth = |text: &str| {
        let policy = step(&format!("retry_policy: {{limit: 1, interval_sec: 1, {text}}}"));
        policy
            .retry
            .map(|policy| (policy.backoff, policy.max_interval_sec))
    };
    assert_eq!(
        growth("backoff: 3000000000, max_interval_sec: 3000000000"),
        Some((3e9, 3e9))
    );
    assert_eq!(growth("max_interval_sec: '3000000000'"), Some((0.0, 3e9)));
}

#[test]
fn what_is_behind_re_must_be_a_regular_expression() {
    for (lines, place) in [
        ("preconditions: {condition: x, expected: 're:[x'}", "'re:[x"),
        ("preconditions: [{Condition: x, Expected: 're:${X}'}]", "'re:${X}"),
        ("repeat_policy: {condition: x, expected: 're:('}", "'re:("),
        ("continue_on: {output: [a, 're:b', 're:*']}", "'re:*"),
    ] {
        error_at(&with(lines), place, "is not a regular expression");
    }
}

#[test]
fn conditions_come_in_three_forms() {
    let of = |text: &str| step(&format!("preconditions: {text}")).preconditions;
    let plain = |text: &str| Condition {
        condition: text.to_owned(),
        expected: None,
        negate: false,
    };
    assert_eq!(of("test -e x"), [plain("test -e x")]);
    assert_eq!(of("[a, {command: b}]"), [plain("a"), plain("b")]);
    let full = Condition {
        condition: "$X".to_owned(),
        expected: Some("1".to_owned()),
        negate: true,
    };
    assert_eq!(of("{Condition: $X, EXPECTED: \"1\", negate: true}"), [full]);
    assert_eq!(
        of("{condition: , command: b, expected: , negate: }"),
        [plain("b")]
    );
    error(
        &with("preconditions: {condition: }"),
        4,
        20,
        "needs a `condition`",
    );
    error(&with("preconditions: 5"), 4, 20, "a text, a map or a list");
    error(
        &with("preconditions: {expected: x}"),
        4,
        20,
        "needs a `condition`",
    );
    error(
        &with("preconditions: {condition: a, command: b}"),
        4,
        35,
        "are the same",
    );
    error(
        &with("preconditions: {condition: a, negate: 1}"),
        4,
        43,
        "`negate` must be a bool",
    );
    error(
        &with("preconditions: {condition: \" \"}"),
        4,
        32,
        "must not be empty",
    );
    error(
        &with("preconditions: {conditoin: a, condition: b}"),
        4,
        21,
        "unknown key",
    );
}

#[test]
fn defaults_fill_what_a_step_does_not_say() {
    let text = "defaults:\n  timeout_sec: 5\n  signal_on_stop: SIGHUP\n  continue_on: failed\n  env: {A: 1}\n  \
                preconditions: [p]\n  retry_policy: {limit: 1, interval_sec: 0}\n\
                handler_on:\n  exit: {command: x, timeout_sec: 7}\n\
                steps:\n  - a\n  - command: b\n    timeout_sec: 0\n    env: {B: 2}\n    preconditions: q\n    \
                retry_policy:\n    continue_on: skipped\n";
    let dag = dag(text);
    let [first, second] = dag.steps.as_slice() else {
        panic!("two steps")
    };
    assert_eq!((first.timeout_sec, first.signal_on_stop), (5, Some(1)));
    assert!(first.continue_on.failure && first.retry.is_some());
    assert_eq!((first.env.len(), first.preconditions.len()), (1, 1));
    assert_eq!(second.timeout_sec, 0, "what is written wins, also 0");
    assert_eq!(second.retry, None, "and also nothing");
    assert!(second.continue_on.skipped && !second.continue_on.failure);
    let env: Vec<&str> = second.env.iter().map(|var| var.name.as_str()).collect();
    assert_eq!(env, ["A", "B"], "the defaults come first");
    assert_eq!(second.preconditions[0].condition, "p");
    assert_eq!(dag.handlers[0].1.timeout_sec, 7);
    error(
        "defaults: {timeout: 5}\nsteps: [a]\n",
        1,
        12,
        "unknown key `timeout` in `defaults`",
    );
}

#[test]
fn a_pattern_may_be_large_but_not_boundless() {
    assert!(crate::dag::pattern::compile(r"^\w{1,64}$").is_ok());
    assert!(
        crate::dag::pattern::compile(r"((\w{99}){99}){99}").is_err_and(|cause| cause.contains("size limit"))
    );
    let together = with("continue_on: {output: [x, 're:\\w{60}', 're:\\w{61}']}");
    error(&together, 4, 27, "together: Compiled regex exceeds size limit");
    assert!(crate::dag::pattern::compile("a(").is_err_and(|cause| cause == "unclosed group"));
}
