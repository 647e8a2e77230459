//! Tests of parameters: notations, defaults, checks.

use proptest::prelude::*;

use super::*;
use crate::dag::types::ParamKind;

fn plain(defaults: &[(&str, &str)]) -> Params {
    let defs = defaults
        .iter()
        .enumerate()
        .map(|(place, (name, value))| ParamDef {
            name: if name.is_empty() {
                (place + 1).to_string()
            } else {
                (*name).to_owned()
            },
            positional: name.is_empty(),
            default: Some((*value).to_owned()),
            ..ParamDef::default()
        });
    Params {
        defs: defs.collect(),
        ..Params::default()
    }
}

fn rich(defs: Vec<ParamDef>) -> Params {
    Params {
        defs,
        typed: true,
        ..Params::default()
    }
}

fn def(name: &str, kind: ParamKind) -> ParamDef {
    ParamDef {
        name: name.to_owned(),
        kind,
        ..ParamDef::default()
    }
}

fn text(text: &str) -> ParamInput {
    ParamInput {
        text: Some(text.to_owned()),
        args: Vec::new(),
        pairs: Vec::new(),
    }
}

fn words(words: &[&str]) -> ParamInput {
    ParamInput {
        text: Some("ignored=1".to_owned()),
        args: words.iter().map(|w| (*w).to_owned()).collect(),
        pairs: Vec::new(),
    }
}

fn list(params: &Params, input: &ParamInput) -> Vec<String> {
    let resolved = resolve(params, input).expect("accepted");
    resolved
        .list
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn refused(params: &Params, input: &ParamInput) -> String {
    resolve(params, input).expect_err("refused")[0].message.clone()
}

#[test]
fn given_values_replace_by_place_and_by_name() {
    let params = plain(&[("", "p1"), ("A", "a"), ("", "p3")]);
    assert_eq!(list(&params, &ParamInput::default()), ["1=p1", "A=a", "3=p3"]);
    assert_eq!(list(&params, &text("x B=2")), ["1=x", "A=a", "3=p3", "B=2"]);
    assert_eq!(
        list(&params, &text("x y z")),
        ["1=x", "A=y", "3=z"],
        "a place keeps its name"
    );
    assert_eq!(
        list(&params, &text("A=\"q r\" 1=s")),
        ["1=s", "A=q r", "3=p3"],
        "a stored positional one is found again"
    );
}

#[test]
fn too_many_positional_values_are_refused_if_any_is_declared() {
    let params = plain(&[("", "p1")]);
    assert!(refused(&params, &text("a b")).contains("too many"));
    assert_eq!(
        list(&params, &text("[\"a\", \"b\"]")),
        ["1=a", "2=b"],
        "JSON is not counted"
    );
    assert_eq!(list(&Params::default(), &text("a b")), ["1=a", "2=b"]);
}

#[test]
fn words_are_literal_and_win_over_the_text() {
    let params = plain(&[("A", "a"), ("B", "b")]);
    assert_eq!(
        list(&params, &words(&["A=x \"y\" $Z", "B="])),
        ["A=x \"y\" $Z", "B="]
    );
    assert_eq!(
        list(&params, &words(&["two words = one"])),
        ["A=two words = one", "B=b"]
    );
}

#[test]
fn json_is_kept_as_it_was_given() {
    let given = "{\"b\": 2, \"A\": \"x\", \"l\": [1, null]}";
    let resolved = resolve(&plain(&[("A", "a")]), &text(given)).expect("accepted");
    assert_eq!(resolved.json, given);
    let expected = [("A", "x"), ("b", "2"), ("l", "[1,null]")];
    assert_eq!(
        resolved.list,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    let merged = resolve(&plain(&[("A", "a")]), &text("B=1")).expect("accepted");
    assert_eq!(merged.json, "{\"A\":\"a\",\"B\":\"1\"}");
    let alone = resolve(&plain(&[("A", "a")]), &words(&["{\"A\": 5}"])).expect("accepted");
    assert_eq!(
        (alone.json.as_str(), alone.list[0].1.as_str()),
        ("{\"A\": 5}", "5")
    );
}

#[test]
fn left_over_quotes_around_the_whole_are_dropped() {
    assert_eq!(list(&Params::default(), &text("\"a b=c\"")), ["1=a", "b=c"]);
    assert_eq!(list(&Params::default(), &text("\"a b\" \"c\"")), ["1=a b", "2=c"]);
    assert!(refused(&Params::default(), &text("a=\"b")).contains("not closed"));
}

#[test]
fn typed_values_are_coerced_and_checked() {
    let mut count = def("count", ParamKind::Integer);
    (count.minimum, count.maximum) = (Some(1.0), Some(5.0));
    let mut region = def("region", ParamKind::String);
    region.required = true;
    region.choices = vec!["a".into(), "b".into()];
    let params = rich(vec![
        region,
        count,
        def("on", ParamKind::Boolean),
        def("x", ParamKind::Number),
    ]);
    assert_eq!(
        list(&params, &text("b 05 TRUE 1.50")),
        ["region=b", "count=5", "on=true", "x=1.5"]
    );
    assert_eq!(
        list(&params, &text("region=a")),
        ["region=a"],
        "what is not given and has no default is not there"
    );
    for (given, message) in [
        ("", "\"region\" is required"),
        ("c", "must be one of a, b"),
        ("a 0", "at least 1"),
        ("a 6", "at most 5"),
        ("a x", "must be a whole number"),
        ("a on=maybe", "`true` or `false`"),
        ("a x=inf", "must be a number"),
        ("a 1 true 2 3", "too many positional"),
        ("[\"a\", 1, true, 2, 3]", "too many positional"),
        ("a cuont=3", "no parameter \"cuont\""),
    ] {
        let found = refused(&params, &text(given));
        assert!(found.contains(message), "{given}: {found}");
    }
    let errors = resolve(&params, &text("region=c count=9")).expect_err("refused");
    assert_eq!(errors.len(), 2, "all are said at once");
    let unknown = resolve(&params, &text("a cuont=3")).expect_err("refused");
    assert!(
        unknown[0]
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("`count`"))
    );
}

#[test]
fn lengths_count_characters_and_patterns_search() {
    let mut def = def("p", ParamKind::String);
    (def.min_length, def.max_length, def.pattern) = (Some(2), Some(3), Some("^ä".to_owned()));
    assert_eq!(check(&def, "äöü"), Ok("äöü".to_owned()));
    assert!(check(&def, "ä").is_err_and(|error| error.contains("at least 2")));
    assert!(check(&def, "äöüß").is_err_and(|error| error.contains("at most 3")));
    assert!(check(&def, "xyz").is_err_and(|error| error.contains("pattern")));
}

#[test]
fn an_eval_waits_unless_its_value_is_given() {
    let mut with_default = def("n", ParamKind::Integer);
    (with_default.eval, with_default.default) = (Some("`nproc`".to_owned()), Some("2".to_owned()));
    let mut without = def("dir", ParamKind::String);
    without.eval = Some("$HOME".to_owned());
    let params = rich(vec![without, with_default]);

    let mut resolved = resolve(&params, &ParamInput::default()).expect("accepted");
    assert_eq!(resolved.pending_eval, [0, 1]);
    assert_eq!(resolved.known(&params), [("n".to_owned(), "2".to_owned())]);
    resolved.settle(&params, Some("/root")).expect("fits");
    assert!(resolved.clone().settle(&params, Some("many")).is_err());
    resolved.settle(&params, None).expect("the default counts");
    assert_eq!(resolved.json, "{\"dir\":\"/root\",\"n\":\"2\"}");
    assert!(resolved.pending_eval.is_empty());

    let given = resolve(&params, &text("dir=\"\"")).expect("accepted");
    assert_eq!((given.list[0].1.as_str(), given.pending_eval), ("", vec![1]));
    let mut failed = resolve(&params, &ParamInput::default()).expect("accepted");
    assert!(failed.settle(&params, None).is_err(), "no value and no default");
}

#[test]
fn an_eval_of_other_parameters_needs_no_run() {
    let eval = |name: &str, text: &str| ParamDef {
        eval: Some(text.to_owned()),
        ..def(name, ParamKind::String)
    };
    let params = rich(vec![
        eval("base", "/default"),
        eval("out", "$base/${out2:-x}"),
        eval("out2", "${base}/o-${#base}"),
        eval("home", "$HOME/x"),
        eval("command", "`date` $base"),
        eval("after", "$command"),
    ]);
    let settled = |given: &str| {
        let mut resolved = resolve(&params, &text(given)).expect("accepted");
        resolved.settle_known(&params).expect("fits");
        assert_eq!(
            resolved.pending_eval,
            [1, 3, 4, 5],
            "a later name and the environment's are not known"
        );
        let json: serde_json::Value = serde_json::from_str(&resolved.json).unwrap();
        assert_eq!(json["out2"], resolved.list[2].1.as_str());
        let shown = resolved
            .settled()
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"));
        shown.collect::<Vec<_>>()
    };
    assert_eq!(settled(""), ["base=/default", "out2=/default/o-8"]);
    assert_eq!(
        settled("base=\"\""),
        ["base=", "out2=/o-0"],
        "an empty value is a value"
    );
    assert_eq!(
        settled("base=`$HOME`"),
        ["base=`$HOME`", "out2=`$HOME`/o-7"],
        "a value is not code"
    );
    let shown = defaults(&params, true);
    assert_eq!(
        default_text(&params, &shown),
        "base=\"/default\" out2=\"/default/o-8\""
    );
    assert_eq!(default_text(&params, &defaults(&params, false)), "");
}

#[test]
fn an_eval_that_violates_its_declaration_is_refused() {
    let mut count = def("count", ParamKind::Integer);
    count.eval = Some("x${1}".to_owned());
    count.default = Some("3".to_owned());
    let params = rich(vec![def("1", ParamKind::String), count]);
    let mut resolved = resolve(&params, &text("1=2")).expect("accepted");
    assert!(resolved.settle_known(&params).is_err());
    assert_eq!(
        defaults(&params, true).list,
        [("count".to_owned(), "3".to_owned())]
    );
}

#[test]
fn what_evals_come_to_is_bounded() {
    let mut defs = vec![ParamDef {
        default: Some("x".repeat(1000)),
        ..def("p0", ParamKind::String)
    }];
    for number in 1..100 {
        let before = format!("$p{}", number - 1);
        defs.push(ParamDef {
            eval: Some(before.repeat(2)),
            ..def(&format!("p{number}"), ParamKind::String)
        });
    }
    let resolved = defaults(&rich(defs), true);
    let bytes: usize = resolved.list.iter().map(|(_, value)| value.len()).sum();
    assert!(bytes < 2 * 1024 * 1024, "{bytes}");
    assert!(resolved.pending_eval.len() > 80, "the run does the others");
}

#[test]
fn the_defaults_of_a_dag_can_be_shown_without_values() {
    let mut required = def("r", ParamKind::String);
    required.required = true;
    let resolved = defaults(&rich(vec![required]), true);
    assert_eq!((resolved.list.len(), resolved.json.as_str()), (0, "{}"));
}

#[test]
fn a_default_alone_is_read_back() {
    for value in [
        "x",
        "a b",
        "a=b",
        "",
        " ",
        "[1]",
        "{\"a\": 1}",
        "a\\b",
        "say \"a b\"",
        "`date`",
        "\"",
        "a\nb",
    ] {
        let params = plain(&[("", value)]);
        let written = default_text(&params, &defaults(&params, false));
        let resolved =
            resolve(&params, &text(&written)).unwrap_or_else(|errors| panic!("{written}: {errors:?}"));
        assert_eq!(resolved.list, [("1".to_owned(), value.to_owned())], "{written}");
        assert!(!resolved.json_given, "{written}");
    }
    let written = |values: &[(&str, &str)]| default_text(&plain(values), &ResolvedParams::default());
    assert_eq!(written(&[("", "x")]), "\"x\"");
    assert_eq!(written(&[("", "a b")]), "1=\"a b\"");
    assert_eq!(written(&[("", "a b"), ("", "c")]), "\"a b\" \"c\"");
}

proptest! {
    #[test]
    fn a_quoted_value_is_read_back(value in any::<String>()) {
        let written = format!("a={}", text::quote(&value));
        let parsed = text::parse(&written).expect("parses");
        prop_assert_eq!(parsed.pairs, vec![(Some("a".to_owned()), value)]);
    }

    #[test]
    fn texts_never_panic(written in "[ab=\"'`\\\\ \n{}\\[\\]:,1]{0,40}") {
        if let Err(errors) = resolve(&plain(&[("a", "1"), ("", "2")]), &text(&written)) {
            prop_assert!(!errors.is_empty());
        }
    }
}

#[test]
fn pairs_of_a_call_are_taken_as_they_are() {
    let given = ParamInput {
        text: Some("A=ignored".to_owned()),
        args: vec!["ignored".to_owned()],
        pairs: vec![
            (None, "B=1 \"x".to_owned()),
            (Some("C".to_owned()), "{\"k\": 1}".to_owned()),
        ],
    };
    assert_eq!(list(&Params::default(), &given), ["1=B=1 \"x", "C={\"k\": 1}"]);
    let declared = plain(&[("A", "a"), ("B", "b")]);
    assert_eq!(list(&declared, &given), ["A=B=1 \"x", "B=b", "C={\"k\": 1}"]);
}

#[test]
fn a_name_that_is_empty_is_refused() {
    for text in [r#"{"": 1}"#, r#"["x", {"": 1}]"#] {
        for params in [plain(&[]), plain(&[("A", "1"), ("B", "2")])] {
            let input = ParamInput {
                text: Some(text.to_owned()),
                ..ParamInput::default()
            };
            let errors = resolve(&params, &input).expect_err(text);
            assert!(errors[0].message.contains("empty name"), "{errors:?}");
        }
    }
}
