//! Rules of [`expand`].

use super::super::{EvalError, MAX_SUBSTITUTIONS, MAX_TEXT, Memo, Mode, Outcome, expand};
use super::{full, ready, run, scope, user};

#[test]
fn variables_of_the_user_and_of_the_system() {
    let s = scope(&[("A", "x y"), ("B1", "b"), ("1", "first"), ("a-b", "odd")]);
    assert_eq!(
        user("$A/${A}-$B1.$1 ${1} ${a-b}", &s),
        "x y/x y-b.first first odd"
    );
    assert_eq!(
        user("$HOME ${HOME} $NOPE ${NOPE}", &s),
        "$HOME ${HOME} $NOPE ${NOPE}"
    );
    assert_eq!(full("$HOME|${OS_ONLY}|$NOPE|${NOPE}|", &s), "/home/u|os|||");
}

#[test]
fn what_is_no_reference_stays() {
    let s = scope(&[("A", "x")]);
    for text in [
        "$",
        "$$",
        "${",
        "${A",
        "$(echo $)",
        "${}",
        "100%",
        "a } b",
        "$-",
        "``",
        "`",
        "\\",
        "\\\\n",
    ] {
        assert_eq!(user(text, &s), text);
    }
}

#[test]
fn an_odd_number_of_backslashes_protects() {
    let s = scope(&[("A", "x")]);
    assert_eq!(user(r"\$A \${A} \\$A \\\$A", &s), r"$A ${A} \\x \\$A");
    assert_eq!(user(r"\`date\`", &s), "`date`");
}

#[test]
fn quotes_around_a_reference() {
    let s = scope(&[("A", "say \"hi\""), ("J", r#"{"k":"v"}"#)]);
    assert_eq!(user("'$A' '${A}' '${A:-d}'", &s), "'$A' '${A}' '${A:-d}'");
    assert_eq!(user("'${J.k}' '$J.k'", &s), "'v' 'v'");
    assert_eq!(user("'x $J.k'", &s), "'x v'");
    assert_eq!(user(r#"{"a": "${A}"}"#, &s), r#"{"a": "say \"hi\""}"#);
    assert_eq!(
        user(r#""${J.k}" "${NOPE}" "$A""#, &s),
        r#""v" "${NOPE}" "say "hi"""#
    );
}

#[test]
fn dotted_references_look_into_json() {
    let json = r#"{"host":"h","port":8080,"on":true,"list":[{"id":"a"},{"id":"b"}],"o":{"x-y":1},"n":null}"#;
    let s = scope(&[("C", json), ("F", "file"), ("L", "[1,2]")]);
    assert_eq!(user("${C.host}:${C.port} ${C.on} $C.host.", &s), "h:8080 true h.");
    assert_eq!(user("${C.list[1].id}${C.list.0.id}${C.list[-1].id}", &s), "bab");
    assert_eq!(
        user("${C.o} ${C.o.x-y} ${C.o[\"x-y\"]} ${C.n}", &s),
        r#"{"x-y":1} 1 1 null"#
    );
    assert_eq!(user("${L[0]} ${C.host:0:1} ${C.host:5}", &s), "1 h ");
    assert_eq!(
        user("${C.nope} ${C.list[9].id} ${F.txt} $F.txt", &s),
        "${C.nope} ${C.list[9].id} ${F.txt} file.txt"
    );
}

#[test]
fn dotted_references_to_steps_come_first() {
    let s = scope(&[("build", r#"{"stdout":"no","else":"yes"}"#)]);
    assert_eq!(
        user(
            "${build.stdout} $build.stderr ${build.exit_code}${build.exitCode}",
            &s
        ),
        "/logs/build.out /logs/build.err 4242"
    );
    assert_eq!(
        user("${build.stdout:1:4} ${build.stdout:6} ${build.else}", &s),
        "logs build.out yes"
    );
}

#[test]
fn operators_as_in_a_shell() {
    let s = scope(&[("X", "archive.tar.gz"), ("E", ""), ("U", "äöü"), ("P", "/a/b/c")]);
    for (text, expected) in [
        ("${X:-d}${E:-d}${E-d}${NO:-d}${NO-d}", "archive.tar.gzddd"),
        ("${NO:=$X}", "archive.tar.gz"),
        ("${NO:-${E:-${U}}}", "äöü"),
        ("${NO:-\"two words\"}", "two words"),
        ("${X:+alt}${E:+alt}${E+alt}${NO+alt}", "altalt"),
        (
            "${X:0:3} ${X:8} ${X: -2} ${X:0:-3} ${U:1:1}",
            "arc tar.gz gz archive.tar ö",
        ),
        ("${#X} ${#U} ${#E} ${#NO}", "14 3 0 0"),
        (
            "${X%.*} ${X%%.*} ${X#*.} ${X##*.}",
            "archive.tar archive tar.gz gz",
        ),
        (
            "${P%/*} ${P##*/} ${P#/[!b]} ${P%[[:alpha:]]} ${X%nope}",
            "/a/b c /b/c /a/b/ archive.tar.gz",
        ),
        ("${X%.t?r*} ${X#\\*}", "archive archive.tar.gz"),
    ] {
        assert_eq!(full(text, &s), expected, "{text}");
    }
    assert_eq!(user("${NO:-d} ${X/a/b}", &s), "${NO:-d} ${X/a/b}");
    let error = run(|c| expand("${NO:?set it}", &s, Mode::FULL, c)).unwrap_err();
    assert_eq!(
        error,
        EvalError::Unset {
            name: "NO".to_owned(),
            message: "set it".to_owned()
        }
    );
}

#[test]
fn patterns_take_linear_time_and_bounded_memory() {
    let long = "a".repeat(400_000);
    let s = scope(&[("X", &long), ("P", &"*a".repeat(40_000))]);
    assert_eq!(full("${X%%*b*}", &s).len(), long.len());
    assert!(matches!(
        run(|c| expand("${X%$P}", &s, Mode::FULL, c)),
        Err(EvalError::Pattern { .. })
    ));
}

#[test]
fn values_are_not_looked_at_again() {
    let s = scope(&[("X", "`touch /tmp/x` $Y ${Y} \\$Y"), ("Y", "y")]);
    assert_eq!(user("<$X>", &s), "<`touch /tmp/x` $Y ${Y} \\$Y>");
    assert_eq!(full("${NO:-$X}", &s), "`touch /tmp/x` $Y ${Y} \\$Y");
}

#[test]
fn substitution_is_resumed_from_the_memo() {
    let s = scope(&[("A", "x; rm -rf /"), ("J", r#"{"k":"v v"}"#)]);
    let text = "`echo \"$A\"`-`echo ${J.k}`";
    let mut memo = Memo::new();
    let Outcome::Pending(first) = expand(text, &s, Mode::FULL, &memo.cursor()).unwrap() else {
        panic!()
    };
    assert_eq!(first.command.text, "echo \"$A\"");
    assert!(
        first
            .scope
            .environ()
            .contains(&("A".to_owned(), "x; rm -rf /".to_owned()))
    );
    memo.push(Ok(" one\n".to_owned()));
    let Outcome::Pending(second) = expand(text, &s, Mode::FULL, &memo.cursor()).unwrap() else {
        panic!()
    };
    assert_eq!(second.command.text, "echo ${PROCTOR_REF_1}");
    assert_eq!(
        second.command.extra_env,
        [("PROCTOR_REF_1".to_owned(), "v v".to_owned())]
    );
    memo.push(Ok("$A\n".to_owned()));
    assert_eq!(
        ready(expand(text, &s, Mode::FULL, &memo.cursor()).unwrap()),
        "one-$A"
    );
    assert_eq!(
        ready(expand(text, &s, Mode::DOTENV, &memo.cursor()).unwrap()),
        "`echo \"x; rm -rf /\"`-`echo v v`"
    );
}

#[test]
fn a_failed_substitution_says_why() {
    let mut memo = Memo::new();
    memo.push(Err("exit 3: no such thing".to_owned()));
    let error = expand("`get \\`x\\``", &scope(&[]), Mode::FULL, &memo.cursor()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "command substitution `get `x`` failed: exit 3: no such thing"
    );
}

#[test]
fn limits_hold() {
    let big = "x".repeat(MAX_TEXT / 2);
    let s = scope(&[("X", &big)]);
    assert_eq!(full("$X$X", &s).len(), MAX_TEXT);
    assert_eq!(
        run(|c| expand("$X$X.", &s, Mode::FULL, c)),
        Err(EvalError::TooLong)
    );
    let mut nested = "z".to_owned();
    for _ in 0..20 {
        nested = format!("${{NO:-{nested}}}");
    }
    assert_eq!(
        run(|c| expand(&nested, &s, Mode::FULL, c)),
        Err(EvalError::TooDeep)
    );
    let mut memo = Memo::new();
    let mut many = String::new();
    for _ in 0..=MAX_SUBSTITUTIONS {
        memo.push(Ok(String::new()));
        many.push_str("`x`");
    }
    assert_eq!(
        expand(&many, &s, Mode::FULL, &memo.cursor()),
        Err(EvalError::TooManySubstitutions)
    );
    let s2 = scope(&[
        ("X", &"x".repeat(200_000)),
        ("J", &format!("[\"{}\"]", "x".repeat(200_000))),
    ]);
    assert_eq!(full(&"${X:0:1}".repeat(100), &s2).len(), 100);
    assert_eq!(full(&"${J[0]:0:1}".repeat(100), &s2).len(), 100);
    for text in ["${X:0:1}", "${#X}", "${J[0]:0:1}"] {
        assert_eq!(
            run(|c| expand(&text.repeat(1000), &s2, Mode::FULL, c)),
            Err(EvalError::TooMuchWork)
        );
    }
    let unclosed = "${".repeat(MAX_TEXT / 2);
    assert_eq!(full(&unclosed, &s), unclosed);
    let ticks = "`\\".repeat(MAX_TEXT / 4) + "\\";
    assert!(run(|c| expand(&ticks, &s, Mode::FULL, c)).is_ok());
}
