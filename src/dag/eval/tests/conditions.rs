//! Conditions, output patterns, numbers, directories, outputs.

use super::super::{
    EvalError, OutputMatcher, Verdict, camel_case, collect, command_met, seconds, value_met, whole,
    working_dir,
};
use super::{ready, run, scope};
use crate::dag::types::{Number, Output};

fn met(value: &str, expected: &str) -> bool {
    value_met(value, expected, false, 100).unwrap() == Verdict::Met
}

#[test]
fn a_line_of_the_value_decides() {
    assert!(met("a\nb\r\nc\n", "b"));
    assert!(!met("a b", "a") && !met("", "x"));
    assert!(met("", "") && met("", "re:^$") && !met("a\n", ""));
    assert!(met("x\n20251122_053600", "re:[0-9]{8}_[0-9]{6}") && !met("ab", "re:^b"));
}

#[test]
fn negation_turns_the_verdict_but_not_errors() {
    assert_eq!(value_met("a", "b", true, 100).unwrap(), Verdict::Met);
    let Verdict::Unmet(reason) = value_met("a", "a", true, 100).unwrap() else {
        panic!()
    };
    assert_eq!(
        reason,
        "condition was not met: expected anything but `a`, got `a`"
    );
    assert!(matches!(
        value_met("a", "re:(", true, 100),
        Err(EvalError::Pattern { .. })
    ));
    assert!(matches!(
        value_met("a", "re:(a{1000}){1000}", true, 100),
        Err(EvalError::Pattern { .. })
    ));
    assert_eq!(
        value_met("word", r"re:^\w{1,100}$", false, 100).unwrap(),
        Verdict::Met
    );
    assert_eq!(
        value_met("abc", "a", true, 2),
        Err(EvalError::ValueTooLong { size: 3, limit: 2 })
    );
}

#[test]
fn commands_are_judged_by_their_exit() {
    assert_eq!(command_met("true", Some(0), false), Verdict::Met);
    assert_eq!(command_met("false", Some(1), true), Verdict::Met);
    let expected = "condition was not met: `test -f x` exited with 1";
    assert_eq!(
        command_met("test -f x", Some(1), false),
        Verdict::Unmet(expected.to_owned())
    );
    assert!(
        matches!(command_met("kill $$", None, false), Verdict::Unmet(r) if r.ends_with("killed by a signal"))
    );
}

#[test]
fn output_is_matched_across_pieces() {
    let matcher =
        |p: &[&str]| OutputMatcher::new(&p.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).unwrap();
    let mut m = matcher(&["needle", "re:^end$"]);
    assert!(!m.feed(b"hay nee") && !m.feed(b"d\nle\n"));
    assert!(m.feed(b"x need") || m.feed(b"le y\n"));
    let mut m = matcher(&["re:^end$"]);
    assert!(!m.feed(b"\xff the end\nend"));
    assert!(m.finish());
    let mut m = matcher(&["tail"]);
    for _ in 0..100 {
        assert!(!m.feed(&[b'x'; 4096]));
    }
    assert!(!m.feed(b"tail\n") && m.feed(b"tail\r\n"));
    assert!(!matcher(&[]).finish());
    assert!(OutputMatcher::new(&["re:[".to_owned()]).is_err());
    assert!(matcher(&["x", r"re:^\w{60}$", "re:^b$"]).feed(b"a\nb\n"));
    let large = [r"re:\w{60}".to_owned(), r"re:\w{61}".to_owned()];
    assert!(OutputMatcher::new(&large).is_err(), "both together");
}

#[test]
fn numbers_must_be_whole() {
    let s = scope(&[("N", " 3 "), ("F", "1.5")]);
    let limit = |text: &str| run(|c| whole("limit", &Number::Expr(text.to_owned()), &s, c)).map(ready);
    assert_eq!(limit("$N"), Ok(3));
    assert_eq!(limit("${OS_NONE:-7}"), Ok(7));
    for text in ["$F", "-1", "$NOPE", "x", "4294967296"] {
        assert!(
            matches!(limit(text), Err(EvalError::NotWhole { what: "limit", .. })),
            "{text}"
        );
    }
    assert_eq!(
        run(|c| whole("limit", &Number::Known(4.0), &s, c)).map(ready),
        Ok(4)
    );
    assert_eq!(
        run(|c| seconds("interval_sec", &Number::Known(0.5), &s, c)).map(ready),
        Ok(0.5)
    );
    assert_eq!(
        run(|c| seconds("interval_sec", &Number::Expr("$N".to_owned()), &s, c)).map(ready),
        Ok(3.0)
    );
    assert!(run(|c| seconds("interval_sec", &Number::Known(f64::NAN), &s, c)).is_err());
}

#[test]
fn working_directories_resolve() {
    let s = scope(&[("D", "/data/x")]);
    let dir = |step, dag| run(|c| working_dir(step, dag, "/dags", Some("/home/u"), &s, c)).map(ready);
    assert_eq!(dir(None, None).unwrap(), "/dags");
    assert_eq!(dir(None, Some("sub/./a")).unwrap(), "/dags/sub/a");
    assert_eq!(dir(Some("../"), Some("$D")).unwrap(), "/data");
    assert_eq!(dir(Some("./s"), Some("/w")).unwrap(), "/w/s");
    assert_eq!(dir(Some("~/w"), Some("$NOPE")).unwrap(), "/home/u/w");
    assert_eq!(dir(Some("$HOME"), None).unwrap(), "/home/u");
    assert_eq!(dir(Some("/../.."), None).unwrap(), "/");
    assert!(matches!(dir(Some("$NOPE"), None), Err(EvalError::EmptyDir(_))));
    assert!(matches!(dir(Some("~root/x"), None), Err(EvalError::OtherHome(_))));
    assert!(matches!(
        run(|c| working_dir(Some("~"), None, "/", None, &s, c)),
        Err(EvalError::NoHome(_))
    ));
}

#[test]
fn keys_are_in_camel_case() {
    for (name, key) in [
        ("OUTPUT_NAME", "outputName"),
        ("RESULT", "result"),
        ("OUT1", "out1"),
        ("alreadyCamel", "alreadyCamel"),
        ("ALREADY_CAMEL_Case", "alreadyCamelCase"),
        ("_X__Y_", "xY"),
        ("_", "_"),
    ] {
        assert_eq!(camel_case(name), key);
    }
}

#[test]
fn outputs_are_collected() {
    let output = |name: &str, key: Option<&str>, omit| Output {
        name: name.to_owned(),
        key: key.map(str::to_owned),
        omit,
    };
    let all = [
        output("A_B", None, false),
        output("C", Some("my-key"), false),
        output("D", None, true),
        output("A_B", None, false),
    ];
    let collected = collect(all.iter().zip(["1", "2", "3", "4"]));
    assert_eq!(
        collected,
        [
            ("aB".to_owned(), "4".to_owned()),
            ("my-key".to_owned(), "2".to_owned())
        ]
    );
}
