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

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

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
        prop_assert_eq!(shell_text(&text, &none, Dialect::Posix).unwrap().text, expected);
    }
}
