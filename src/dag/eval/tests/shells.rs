//! [`shell_text`], judged by what `/bin/sh` makes of it.

use std::process::Command;

use super::super::{Dialect, EvalError, MAX_ENV_ENTRY, MAX_ENV_OUTPUTS, Scope, shell_text};
use super::scope;

fn sh(text: &str, scope: &Scope) -> String {
    let made = shell_text(text, scope, Dialect::Posix).unwrap();
    let out = Command::new("/bin/sh")
        .args(["-e", "-c", &made.text, "sh"])
        .args(&made.positional)
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin")])
        .envs(scope.environ())
        .envs(made.extra_env)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}: {}",
        made.text,
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
}

fn rewritten(text: &str, scope: &Scope) -> String {
    shell_text(text, scope, Dialect::Posix).unwrap().text
}

#[test]
fn the_shell_does_its_own_work() {
    let s = scope(&[("A", "two  words"), ("1", "p one"), ("2", "p2")]);
    assert_eq!(
        sh(
            "printf '[%s]' $A \"$A\" '$A' \"${A%% *}\" `echo $1` \"$2\" '$1'",
            &s
        ),
        "[two][words][two  words][$A][two][p][one][p2][$1]"
    );
    assert_eq!(sh("echo \"\\$A\" ${NO:-none} $((1 + 2))", &s), "$A none 3");
}

#[test]
fn references_work_in_every_quotation() {
    let s = scope(&[("C", r#"{"h":"a  b","q":"it's \"x\" $(id) `id`","n":3}"#)]);
    assert_eq!(sh("printf '[%s]' ${C.h}", &s), "[a][b]");
    assert_eq!(sh("printf '[%s]' \"${C.h}\" \"<$C.h>\"", &s), "[a  b][<a  b>]");
    assert_eq!(sh("echo '${C.q}' 'n=${C.n}'", &s), "it's \"x\" $(id) `id` n=3");
    assert_eq!(sh("echo \"$(printf '%s' '${C.h}') `echo ${C.n}`\"", &s), "a  b 3");
    assert_eq!(
        sh("echo $((${C.n} + 1)) ${NO:-${C.n}} \"${NO:-it's ${C.n}}\"", &s),
        "4 3 it's 3"
    );
    assert_eq!(
        sh("echo 'code ${build.exit_code}' ${build.stdout:1:4}", &s),
        "code 42 logs"
    );
}

#[test]
fn text_for_another_shell_gets_no_value() {
    let s = scope(&[("C", r#"{"k":"$(echo OWNED); echo OWNED"}"#)]);
    for text in [
        "sh -c 'echo \"${C.k}\"'",
        "eval 'echo \"${C.k}\"'",
        "sh -ec  'x=${C.k}; echo \"$x\"'",
    ] {
        assert_eq!(sh(text, &s), "$(echo OWNED); echo OWNED", "{text}");
    }
    assert_eq!(sh("echo abc | grep -c '${C.k}' || echo none", &s), "0\nnone");
    assert_eq!(sh("echo x-c'${C.k}'", &s), "x-c$(echo OWNED); echo OWNED");
}

#[test]
fn here_documents_comments_and_escapes() {
    let s = scope(&[("C", r#"{"k":"v"}"#)]);
    let script = "# it's ${C.k}\ncat <<EOF; cat <<-'Q E'\nit's \"${C.k}\" $(echo '${C.k}')\nEOF\n\tit's ${C.k}\n\tQ E\necho '${C.k}' \\${C.k}x#${C.k}";
    assert_eq!(sh(script, &s), "it's \"v\" v\nit's ${C.k}\nv ${C.k}x#v");
    assert_eq!(
        sh("echo $(cat <<A <<B\n${C.k}\nA\nb '${C.k}'\nB\n) '${C.k}'", &s),
        "b 'v' v"
    );
    assert_eq!(
        sh("cat <<X\n$(cat <<Y\n${C.k}'\nY\n)\nX\necho '${C.k}'", &s),
        "v'\nv"
    );
}

#[test]
fn what_leads_nowhere_stays() {
    let s = scope(&[("F", "file")]);
    for text in [
        "echo '${handler.stdout}'",
        "cat $F.txt",
        "echo ${F.x}",
        "echo ${F} $F",
        "echo $'a'",
    ] {
        assert_eq!(rewritten(text, &s), text);
    }
}

#[test]
fn names_that_no_shell_holds() {
    let s = scope(&[("a-b", "dash ed"), ("a", "plain"), ("x.y", "dot")]);
    assert_eq!(sh("echo \"${a-b}\" ${a-c} ${x.y}", &s), "dash ed plain dot");
}

#[test]
fn values_cannot_become_code() {
    let evil = "'; echo OWNED; \"; echo OWNED; $(echo OWNED) `echo OWNED` && echo OWNED #";
    let json = serde_json::json!({ "k": evil }).to_string();
    let s = scope(&[("X", evil), ("C", &json), ("1", evil)]);
    for text in [
        "echo $X",
        "echo \"$X\"",
        "echo '${C.k}'",
        "echo ${C.k}",
        "echo \"${C.k}\"",
        "echo $1",
        "cat <<E\n${C.k}\nE",
        "echo `echo ${C.k}`",
    ] {
        let out = sh(text, &s);
        assert!(out.starts_with("'; echo OWNED;"), "{text}: {out}");
        assert_eq!(out.matches("OWNED").count(), 5, "{text}: {out}");
    }
}

#[test]
fn arguments_only_for_a_text_that_asks() {
    let s = scope(&[("1", "secret"), ("3", "c")]);
    let positional = |text: &str| shell_text(text, &s, Dialect::Posix).unwrap().positional;
    assert!(positional("awk '{print $1}'").is_empty());
    assert!(positional("echo \\$1 # $1").is_empty());
    for text in ["echo $1", "echo ${1}", "f \"$@\"", "echo $#"] {
        assert_eq!(positional(text), ["secret", "", "c"], "{text}");
    }
}

#[test]
fn other_programs_get_paths_and_numbers_only() {
    let s = scope(&[("C", r#"{"k":"import os"}"#)]);
    let text = "open('${build.stdout}'); x = '${C.k}'; exit(${build.exit_code}); y = '$1 ${C}'";
    let made = shell_text(text, &s, Dialect::Other).unwrap();
    assert_eq!(
        made.text,
        "open('/logs/build.out'); x = '${C.k}'; exit(42); y = '$1 ${C}'"
    );
    assert!(made.extra_env.is_empty() && made.positional.is_empty());
}

#[test]
fn one_reference_has_one_variable() {
    let s = scope(&[("C", r#"{"k":"v"}"#)]);
    let made = shell_text("${C.k}${C.k}$C.k", &s, Dialect::Posix).unwrap();
    assert_eq!(made.text, "${PROCTOR_REF_1}${PROCTOR_REF_1}${PROCTOR_REF_2}");
}

#[test]
fn ansi_quotes_of_bash() {
    let s = scope(&[("C", r#"{"k":"v"}"#)]);
    let made = shell_text(r"echo $'it\'s ${C.k}' '${C.k}'", &s, Dialect::Extended).unwrap();
    assert_eq!(
        made.text,
        r#"echo $'it\'s '"${PROCTOR_REF_1}"$'' ''"${PROCTOR_REF_1}"''"#
    );
}

#[test]
fn deep_and_unclosed_constructs_take_linear_time() {
    let s = scope(&[("C", r#"{"k":"v"}"#)]);
    for piece in [
        "$(cat <<A\n",
        "\"$(",
        "`\"",
        "${X:-",
        "cat <<A <<B\n",
        "'",
        "$((",
        "<<'",
    ] {
        let text = piece.repeat(900_000 / piece.len());
        assert!(rewritten(&text, &s) == text, "{piece}");
    }
}

#[test]
fn too_large_for_the_environment() {
    let big = "x".repeat(MAX_ENV_ENTRY);
    let json = serde_json::json!({ "k": big }).to_string();
    let s = scope(&[("BIG", &big), ("C", &json), ("BIGGER", "b")]);
    assert!(s.environ().iter().all(|(n, _)| n != "BIG"));
    assert_eq!(rewritten("echo $BIGGER", &s), "echo $BIGGER");
    for text in [
        "echo $BIG",
        "echo \"${BIG}\"",
        "echo ${C.k}",
        "echo ${BIG:-x}",
        "echo ${#BIG}",
        "echo ${!BIG}",
    ] {
        assert!(
            matches!(
                shell_text(text, &s, Dialect::Posix),
                Err(EvalError::ValueTooLarge { .. })
            ),
            "{text}"
        );
    }
}

#[test]
fn small_outputs_stay_beside_an_environment_that_is_large_without_them() {
    let value = |length: usize| "x".repeat(length);
    let own: Vec<(String, String)> = (0..11).map(|n| (format!("V{n}"), value(100_000))).collect();
    let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (&**name, &**value)).collect();
    let of = |outputs: usize| {
        let outputs = (0..outputs).map(|n| (format!("OUT{n}"), value(50_000)));
        let environ = scope(&own).with_outputs(outputs).environ();
        let is_output = |(name, _): &&(String, String)| name.starts_with("OUT");
        environ.iter().filter(is_output).count()
    };
    assert_eq!((of(1), of(2), of(3), of(9)), (1, 2, 2, 2));
}

#[test]
fn the_largest_outputs_are_left_out_of_an_environment_that_has_no_room_for_all() {
    let value = |length: usize| "x".repeat(length);
    let outputs = (0..30).map(|n| (format!("OUT{n}"), value(50_000 + n)));
    let s = scope(&[("MINE", &value(120_000))]).with_outputs(outputs);
    let environ = s.environ();
    let total: usize = environ.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(
        (MAX_ENV_OUTPUTS - 60_000..MAX_ENV_OUTPUTS).contains(&total),
        "{total}"
    );
    let has = |wanted: &str| environ.iter().any(|(name, _)| name == wanted);
    // What is no output stays, however large it is.
    assert!(has("MINE") && has("OUT0") && !has("OUT29"));
    assert_eq!(rewritten("echo $MINE $OUT0", &s), "echo $MINE $OUT0");
    let refused = shell_text("echo ${OUT29}", &s, Dialect::Posix);
    assert!(
        matches!(refused, Err(EvalError::NoRoom { size: 50_029, .. })),
        "{refused:?}"
    );
    // A later variable of that name is another one.
    assert_eq!(rewritten("echo $OUT29", &s.with([("OUT29", "")])), "echo $OUT29");
}
