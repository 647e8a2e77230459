//! Properties over generated texts.

use proptest::prelude::*;

use super::super::{Dialect, Memo, Mode, dotenv, expand, shell_text};
use super::{full, scope};

/// Texts in which the syntax is frequent.
fn texts() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "$",
        "{",
        "}",
        "${",
        "`",
        "\\",
        "'",
        "\"",
        "X",
        "C",
        "C.k",
        "${C.k}",
        "$C.k",
        "[0]",
        "a b",
        ":-",
        "%",
        "#",
        "##",
        "<<",
        "<<-E",
        "E",
        "\n",
        "(",
        ")",
        "$(",
        "((",
        "))",
        "ü",
        "\0",
        "1",
        ":",
        " ",
        "*",
        "[",
        "]",
        "build.stdout",
    ]);
    prop::collection::vec(parts, 0..40).prop_map(|parts| parts.concat())
}

/// Words of shell text that are valid as they stand; `@` is where a reference goes, `~` one in single quotes.
fn words() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "@",
        "x@y",
        "'it ~ is'",
        "\"@ it's\"",
        "\\'@",
        "$((1 + 2))",
        "a#@",
        "''",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let list = prop::collection::vec(inner, 1..4).prop_map(|w| w.join(" "));
        list.prop_flat_map(|w| {
            // Shells differ in what ends the outer of two here-documents with one delimiter.
            let n = w.len();
            prop::sample::select(vec![
                format!("$(printf '[%s]' {w})"),
                format!("\"<$(printf '[%s]' {w}) it's @>\""),
                format!("\"${{NO:-it's @}}\" {w}"),
                format!("$(cat <<E{n} # it's @\n'@ \"$(printf '[%s]' {w})\"\nE{n}\n)"),
                format!("$(cat <<'E F'; echo @\nit's \"(\nE F\n) {w}"),
                w.clone(),
            ])
        })
    })
}

fn sh(text: &str, vars: &[(String, String)]) -> (String, bool) {
    let out = std::process::Command::new("/bin/sh")
        .args(["-c", text])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(vars.iter().cloned())
        .output()
        .unwrap();
    (
        String::from_utf8_lossy(&out.stdout).into_owned(),
        out.status.success() && out.stderr.is_empty(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_reference_is_like_a_variable_at_its_place(words in words()) {
        let value = "a  b'c\"d $(x) `y` \\ ;";
        let json = serde_json::json!({ "k": value }).to_string();
        let s = super::super::Scope::new().with([("C", json.as_str())]);
        let text = format!("printf '<%s>' {words}");
        let natural = text.replace('@', "${X}").replace('~', "'\"${X}\"'");
        let made = shell_text(&text.replace(['@', '~'], "${C.k}"), &s, Dialect::Posix).unwrap();
        let expected = sh(&natural, &[("X".to_owned(), value.to_owned())]);
        prop_assert!(expected.1, "{natural}");
        prop_assert_eq!(sh(&made.text, &made.extra_env), expected, "{}", made.text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_all_is_deterministic(text in texts()) {
        let s = scope(&[("X", "$C `x`"), ("C", r#"{"k":["v"]}"#), ("1", "one")]);
        let mut memo = Memo::new();
        memo.push(Ok("out".to_owned()));
        for mode in [Mode::FULL, Mode::USER, Mode::DOTENV] {
            prop_assert_eq!(expand(&text, &s, mode, &memo.cursor()), expand(&text, &s, mode, &memo.cursor()));
        }
        for dialect in [Dialect::Posix, Dialect::Extended, Dialect::Other] {
            prop_assert_eq!(shell_text(&text, &s, dialect), shell_text(&text, &s, dialect));
        }
        prop_assert!(dotenv::parse(&text).0.len() <= text.len());
    }

    #[test]
    fn plain_text_is_unchanged(text in "[^$`\\\\]*") {
        prop_assert_eq!(full(&text, &scope(&[])), text);
    }

    #[test]
    fn shell_text_never_holds_a_value(text in texts()) {
        let s = scope(&[("X", "Q7value"), ("C", r#"{"k":"Q7json"}"#), ("1", "Q7first"), ("a-b", "Q7odd")]);
        for dialect in [Dialect::Posix, Dialect::Extended, Dialect::Other] {
            prop_assert!(!shell_text(&text, &s, dialect).unwrap().text.contains("Q7"));
        }
    }

    #[test]
    fn without_references_a_shell_text_is_what_was_written(text in texts()) {
        let none = super::super::Scope::new();
        let expected = text.replace('\0', "");
        for dialect in [Dialect::Posix, Dialect::Extended, Dialect::Other] {
            prop_assert_eq!(shell_text(&text, &none, dialect).unwrap().text, expected.as_str());
        }
    }
}
