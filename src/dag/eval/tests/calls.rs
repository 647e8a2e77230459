//! Items of parallel calls, and the target and parameters of a call.

use proptest::prelude::*;

use super::super::{CallPlan, EvalError, Memo, Outcome, call_plan, items};
use super::{ready, run, scope};
use crate::dag::types::{Call, CallArg, Item, Items, Parallel};
use crate::model::limits::PARALLEL_MAX;

fn parallel(items: Items) -> Parallel {
    Parallel {
        items,
        max_concurrent: 10,
    }
}

/// Items of an expression that is the variable `V` with this value.
fn split(value: &str) -> Vec<String> {
    let s = scope(&[("V", value)]);
    ready(run(|c| items(&parallel(Items::Expr("${V}".to_owned())), &s, c)).expect(value))
}

fn failed(items_: Items, vars: &[(&str, &str)]) -> EvalError {
    run(|c| items(&parallel(items_), &scope(vars), c)).expect_err("no items")
}

fn call(target: &str, params: &[(&str, &str)]) -> Call {
    Call {
        target: target.to_owned(),
        params: params
            .iter()
            .map(|(name, value)| CallArg {
                name: (!name.is_empty()).then(|| (*name).to_owned()),
                value: (*value).to_owned(),
            })
            .collect(),
        parallel: None,
    }
}

fn plan(call: &Call, item: Option<&str>, vars: &[(&str, &str)]) -> CallPlan {
    ready(run(|c| call_plan(call, item, &scope(vars), c)).expect("a plan"))
}

/// `name=value` of named parameters, the value of others behind `=`.
fn params(params: &[(&str, &str)], item: Option<&str>, vars: &[(&str, &str)]) -> Vec<String> {
    let plan = plan(&call("child", params), item, vars);
    let shown = plan.params.into_iter();
    shown
        .map(|(name, value)| format!("{}={value}", name.unwrap_or_default()))
        .collect()
}

#[test]
fn a_value_is_split_by_the_first_form_it_has() {
    for (value, expected) in [
        (
            r#"["a b", 2, true, {"z": 1, "a": "x"}, [1]]"#,
            &["a b", "2", "true", r#"{"z":1,"a":"x"}"#, "[1]"][..],
        ),
        (
            " {\"file\": \"p.txt\",\n \"n\": 1} ",
            &["{\"file\": \"p.txt\",\n \"n\": 1}"],
        ),
        ("a, b\n\n  c d\r\n", &["a, b", "c d"]),
        (r#""a b" "c, d", "e \"f\"""#, &["a b", "c, d", "e \"f\""]),
        (r#""one""#, &["one"]),
        ("a b,c d;e,", &["a b", "c d;e"]),
        ("a;b", &["a", "b"]),
        ("a|b|c,d", &["a", "b", "c,d"]),
        ("a\tb c", &["a", "b c"]),
        ("a,b;c", &["a", "b;c"]),
        ("  one two\u{a0}three ", &["one", "two", "three"]),
        ("[a, b]", &["[a", "b]"]),
        (r#""a"b"#, &[r#""a"b"#]),
        (r#""a""b""#, &[r#""a""b""#]),
    ] {
        assert_eq!(split(value), expected, "{value}");
    }
}

#[test]
fn a_list_is_evaluated_and_maps_become_json() {
    let list = Items::List(vec![
        Item::Value("$X".to_owned()),
        Item::Value("$UNDEFINED a,b".to_owned()),
        Item::Params(vec![
            ("z".to_owned(), "${X}".to_owned()),
            ("a".to_owned(), "1".to_owned()),
        ]),
    ]);
    let s = scope(&[("X", "\"$Y\" `x`"), ("Y", "no")]);
    let found = ready(run(|c| items(&parallel(list), &s, c)).expect("items"));
    assert_eq!(
        found,
        ["\"$Y\" `x`", "$UNDEFINED a,b", r#"{"a":"1","z":"\"$Y\" `x`"}"#]
    );
}

#[test]
fn there_must_be_one_item_and_at_most_a_thousand() {
    for error in [
        failed(Items::List(Vec::new()), &[]),
        failed(Items::Expr("${V}".to_owned()), &[("V", " \n ")]),
        failed(Items::Expr("${V}".to_owned()), &[("V", "[]")]),
        failed(Items::Expr("${V}".to_owned()), &[("V", ",,")]),
        failed(Items::Expr("${NOWHERE}".to_owned()), &[]),
    ] {
        let text = error.to_string();
        assert!(
            text.contains("parallel execution requires at least one item"),
            "{text}"
        );
    }
    // Nothing is evaluated for a list that is too long: this command would be pending.
    let list = vec![Item::Value("`echo`".to_owned()); PARALLEL_MAX + 1];
    let many = "x ".repeat(PARALLEL_MAX + 1);
    for error in [
        failed(Items::List(list), &[]),
        failed(Items::Expr("$V".to_owned()), &[("V", &many)]),
    ] {
        let text = error.to_string();
        assert!(
            text.contains("parallel execution exceeds maximum limit: 1001 items"),
            "{text}"
        );
    }
    assert_eq!(split(&"x ".repeat(PARALLEL_MAX)).len(), PARALLEL_MAX);
}

#[test]
fn commands_are_asked_for_one_after_the_other() {
    let parallel = parallel(Items::Expr("`list`".to_owned()));
    let mut memo = Memo::new();
    let Ok(Outcome::Pending(what)) = items(&parallel, &scope(&[]), &memo.cursor()) else {
        panic!("not pending");
    };
    assert_eq!(what.command.text, "list");
    memo.push(Ok("a\n$HOME `x`\n".to_owned()));
    let found = ready(items(&parallel, &scope(&[]), &memo.cursor()).expect("items"));
    assert_eq!(found, ["a", "$HOME `x`"]);

    let call = call("child", &[("A", "`echo $ITEM`")]);
    let Ok(Outcome::Pending(what)) = call_plan(&call, Some("; rm"), &scope(&[]), &Memo::new().cursor())
    else {
        panic!("not pending");
    };
    assert!(!what.command.text.contains("rm"), "{}", what.command.text);
    assert_eq!(what.scope.get("ITEM", false).map(AsRef::as_ref), Some("; rm"));
}

#[test]
fn target_and_values_see_the_item() {
    let call = call(
        "jobs/child_${ITEM.id}.yaml ",
        &[("REGION", "${ITEM.region}"), ("ALL", "<$ITEM>")],
    );
    let item = r#"{"id": 7, "region": "a b"}"#;
    let plan = plan(&call, Some(item), &[("ITEM", "not this one")]);
    assert_eq!(plan.target, "jobs/child_7.yaml");
    assert_eq!(
        plan.params,
        [
            (Some("REGION".to_owned()), "a b".to_owned()),
            (Some("ALL".to_owned()), format!("<{item}>")),
        ]
    );
}

#[test]
fn a_named_value_is_one_value() {
    let vars = [("L", "hello world B=2"), ("KEY", "K")];
    assert_eq!(
        params(&[("A", "${L}"), ("${KEY}", "v $NO")], None, &vars),
        ["A=hello world B=2", "K=v $NO"]
    );
}

#[test]
fn a_value_without_a_name_is_taken_apart_unless_it_is_quoted() {
    let vars = [
        ("E", "A=1 B=\"x y\" z"),
        ("J", r#"{"k": "a b", "n": null, "o": {"p": 1}}"#),
        ("Q", "1\" B=\"2"),
    ];
    assert_eq!(
        params(&[("N", "1"), ("", "${E}")], None, &vars),
        ["N=1", "A=1", "B=x y", "=z"]
    );
    assert_eq!(
        params(&[("", "${J}")], None, &vars),
        ["k=a b", "n=", r#"o={"p":1}"#]
    );
    assert_eq!(params(&[("", "\"${E}\"")], None, &vars), [r#"=A=1 B="x y" z"#]);
    assert_eq!(params(&[("", "\"A=${Q}\"")], None, &vars), ["=A=1\" B=\"2"]);
    assert_eq!(params(&[("", "${EMPTY}")], None, &[("EMPTY", " ")]), [""; 0]);
}

#[test]
fn without_parameters_the_item_is_their_text() {
    assert_eq!(params(&[], Some("alpha"), &[]), ["=alpha"]);
    assert_eq!(params(&[], Some("ID=1 NAME=\"a b\""), &[]), ["ID=1", "NAME=a b"]);
    assert_eq!(
        params(&[], Some(r#"{"R": "a b", "N": 1.50}"#), &[]),
        ["R=a b", "N=1.5"]
    );
    assert_eq!(params(&[], None, &[]), [""; 0]);
    assert_eq!(params(&[("A", "1")], Some("B=2"), &[]), ["A=1"]);
    let error =
        run(|c| call_plan(&call("child", &[]), Some("A=\"x"), &scope(&[]), c)).expect_err("open quote");
    assert!(
        error
            .to_string()
            .contains("`A=\"x` cannot be read: a double quote is not closed"),
        "{error}"
    );
}

#[test]
fn a_target_must_be_something() {
    let empty = run(|c| call_plan(&call("${E}", &[]), None, &scope(&[("E", " ")]), c));
    assert_eq!(empty, Err(EvalError::NoTarget("${E}".to_owned())));
}

#[test]
fn values_are_bounded_together() {
    let big = "x".repeat(1024 * 1024);
    let s = scope(&[("BIG", &big)]);
    let args: Vec<_> = (0..17).map(|_| ("A", "$BIG")).collect();
    assert_eq!(
        run(|c| call_plan(&call("child", &args), None, &s, c)),
        Err(EvalError::EnvTooLong("params"))
    );
    let list = vec![Item::Value("$BIG".to_owned()); 17];
    assert_eq!(
        run(|c| items(&parallel(Items::List(list)), &s, c)),
        Err(EvalError::EnvTooLong("items"))
    );
    // The item is parsed once, however many parameters look into it.
    let item = format!("{{\"k\": 1, \"big\": \"{big}\"}}");
    let args: Vec<_> = (0..2000).map(|_| ("A", "${ITEM.k}")).collect();
    assert_eq!(params(&args, Some(&item), &[]).len(), 2000);
}

proptest! {
    #[test]
    fn nothing_in_an_item_is_evaluated(item in "([$`{}\"'\\\\ =]|X|\\$\\{X\\}|`x`|ITEM){0,20}") {
        let s = scope(&[("X", "Q7")]);
        let plain = call("child", &[("A", "${ITEM}"), ("", "\"$ITEM\"")]);
        let plan = ready(run(|c| call_plan(&plain, Some(&item), &s, c)).unwrap());
        prop_assert_eq!(&plan.params, &[(Some("A".to_owned()), item.clone()), (None, item.clone())]);
        if let Ok(Outcome::Ready(plan)) = run(|c| call_plan(&call("child", &[]), Some(&item), &s, c)) {
            let shown = format!("{plan:?}");
            prop_assert!(!shown.contains("Q7"), "{}", shown);
        }
        let list = parallel(Items::Expr("$V".to_owned()));
        if let Ok(Outcome::Ready(found)) = run(|c| items(&list, &s.with([("V", item.as_str())]), c)) {
            prop_assert!(!found.concat().contains("Q7"));
        }
    }
}
