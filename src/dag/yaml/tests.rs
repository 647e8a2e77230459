//! Tests of the YAML reader: values, places, limits.

use proptest::prelude::*;

use super::*;
use crate::dag::diag::{Diagnostic, Report};
use crate::model::limits::DAG_SOURCE_MAX;
use crate::model::testing::CpuTime;

fn documents(text: &[u8]) -> Result<Vec<Node>, Vec<Diagnostic>> {
    let mut report = Report::new(vec!["t.yaml".to_owned()]);
    let documents = read(text, 0, &mut report);
    report.finish()?;
    Ok(documents.expect("without an error there are documents"))
}

fn one(text: &str) -> Node {
    documents(text.as_bytes()).expect("valid").remove(0)
}

fn field(node: &Node, key: &str) -> Node {
    let entries = node.as_map().expect("a map");
    entries
        .iter()
        .find(|entry| entry.key == key)
        .expect("the key")
        .value
        .clone()
}

fn kind(text: &str) -> Kind {
    match field(&one(&format!("a: {text}")), "a").value {
        Value::Scalar(scalar) => scalar.kind,
        other => panic!("{other:?} is no scalar"),
    }
}

fn refused(text: &[u8]) -> Diagnostic {
    documents(text).expect_err("must be refused").remove(0)
}

fn place(diagnostic: &Diagnostic) -> (u32, u32) {
    (
        diagnostic.line.expect("a line"),
        diagnostic.column.expect("a column"),
    )
}

#[test]
fn plain_scalars_follow_the_core_schema_of_yaml_1_2() {
    for text in ["", "~", "null", "Null", "NULL"] {
        assert_eq!(kind(text), Kind::Null, "{text}");
    }
    assert_eq!(kind("true"), Kind::Bool(true));
    assert_eq!(kind("FALSE"), Kind::Bool(false));
    for text in [
        "yes", "no", "on", "off", "tRue", "1:30", "0b1", "1_000", "1.2.3", "e5", ".", "0x", "+", "-x",
    ] {
        assert_eq!(kind(text), Kind::Str, "{text}");
    }
    assert_eq!(kind("-12"), Kind::Int(-12));
    assert_eq!(kind("+012"), Kind::Int(12));
    assert_eq!(kind("0o17"), Kind::Int(15));
    assert_eq!(kind("0xfF"), Kind::Int(255));
    assert_eq!(kind("1.5"), Kind::Float(1.5));
    assert_eq!(kind("-.5e2"), Kind::Float(-50.0));
    assert_eq!(kind("1."), Kind::Float(1.0));
    assert_eq!(kind("-.inf"), Kind::Float(f64::NEG_INFINITY));
    assert!(
        matches!(kind("9223372036854775808"), Kind::Float(_)),
        "a number, but no whole one"
    );
}

#[test]
fn quoted_and_block_scalars_are_texts() {
    for text in ["\"true\"", "'12'", "\"\"", "|\n  12", ">\n  null"] {
        assert_eq!(kind(text), Kind::Str, "{text}");
    }
    assert_eq!(field(&one("a: 'it''s'"), "a").as_str(), Some("it's"));
}

#[test]
fn tags_of_the_core_schema_decide_and_others_are_refused() {
    assert_eq!(kind("!!str 12"), Kind::Str);
    assert_eq!(kind("!!int \"12\""), Kind::Int(12));
    assert_eq!(kind("!!float 3"), Kind::Float(3.0));
    assert_eq!(place(&refused(b"a: !!int x")), (1, 10));
    assert!(refused(b"a: !secret x").message.contains("tag"));
    assert!(refused(b"a: !!set {x}").message.contains("tag"));
}

#[test]
fn numbers_keep_the_way_they_were_written() {
    assert_eq!(field(&one("a: 1.10"), "a").scalar_text(), Some("1.10"));
    assert_eq!(field(&one("a: ~"), "a").scalar_text(), Some(""));
}

#[test]
fn nodes_know_where_they_are() {
    let node = one("# comment\na: 1\nb:\n  - x\n  - {c: ü, d: e}\n");
    let list = field(&node, "b");
    let item = list.as_list().expect("a list")[1].clone();
    let at = field(&item, "d").at;
    assert_eq!(
        (at.line, at.column),
        (5, 15),
        "columns count characters, not bytes"
    );
    assert_eq!(node.as_map().expect("a map")[1].key_at.line, 3);
}

#[test]
fn crlf_and_a_byte_order_mark_change_nothing() {
    let node = documents(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
        .expect("valid")
        .remove(0);
    let entries = node.as_map().expect("a map");
    assert_eq!((entries[0].key_at.line, entries[0].key_at.column), (1, 1));
    assert_eq!((entries[1].key_at.line, entries[1].key_at.column), (2, 1));
    assert_eq!(entries[1].value.scalar_text(), Some("2"));
}

#[test]
fn a_key_that_is_there_twice_is_refused_with_both_places() {
    let diagnostic = refused(b"a: 1\nb: 2\na: 3\n");
    assert_eq!(place(&diagnostic), (3, 1));
    assert!(diagnostic.message.contains("line 1"), "{}", diagnostic.message);
    let several = documents(b"a: 1\na: 2\nb: 1\nb: 2\n").expect_err("refused");
    assert_eq!(several.len(), 2);
}

#[test]
fn a_merge_brings_what_is_not_there() {
    let node = one("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  <<: [*x, *y]\n  a: 0\n");
    let z = field(&node, "z");
    let texts = ["a", "b", "c"].map(|key| field(&z, key).scalar_text().map(str::to_owned));
    assert_eq!(texts, ["0", "2", "4"].map(|text| Some(text.to_owned())));
    assert_eq!(z.as_map().expect("a map").len(), 3);
    assert!(refused(b"a:\n  <<: 5\n").message.contains("merges maps"));
    let twice = refused(b"a:\n  <<: {b: 1}\n  c: 2\n  <<: {d: 3}\n");
    assert_eq!(place(&twice), (4, 3));
    assert!(
        twice.message.contains("twice") && twice.hint.is_some(),
        "{twice:?}"
    );
}

#[test]
fn a_merge_of_many_maps_takes_no_time_that_hurts() {
    let maps: String = (0..200_000).map(|number| format!("{{k{number}: }}, ")).collect();
    let begun = CpuTime::start();
    let node = one(&format!("<<: [{maps}]\n"));
    assert_eq!(node.as_map().map(<[Entry]>::len), Some(200_000));
    let repeated = "<<: {k: }, ".repeat(100_000);
    let many: String = (0..50_000).map(|number| format!("k{number}: , ")).collect();
    assert!(documents(format!("{{<<: {{{many}}}, {repeated}}}\n").as_bytes()).is_err());
    assert!(
        begun.spent() < std::time::Duration::from_secs(20),
        "{:?}",
        begun.spent()
    );
}

#[test]
fn empty_documents_are_skipped() {
    assert!(documents(b"").expect("valid").is_empty());
    assert!(
        documents(b"# only a comment\n---\n---\n")
            .expect("valid")
            .is_empty()
    );
    assert_eq!(documents(b"---\na: 1\n---\n---\nb: 2\n").expect("valid").len(), 2);
}

#[test]
fn an_anchor_ends_with_its_document() {
    assert!(documents(b"a: &x 1\n---\nb: *x\n").is_err());
}

#[test]
fn what_is_not_utf_8_is_refused_at_its_place() {
    let diagnostic = refused(b"a: 1\nb: \xc3\xa4\xff\n");
    assert_eq!(place(&diagnostic), (2, 5));
    assert!(diagnostic.message.contains("0xff"));
    assert!(refused(b"\xff\xfea\0").message.contains("UTF-16"));
}

#[test]
fn control_characters_are_refused_at_their_place() {
    assert_eq!(place(&refused(b"a: 1\r\nb: x\0y\n")), (2, 5));
    assert!(refused(b"a: \x1b[31m").message.contains("U+001B"));
    assert_eq!(
        field(&one("a: \"\\0\""), "a").as_str(),
        Some("\0"),
        "an escape is fine"
    );
}

#[test]
fn a_syntax_error_has_a_place_and_a_tab_a_hint() {
    let diagnostic = refused(b"a:\n  - b\n c: [1\n");
    assert!(diagnostic.message.starts_with("not valid YAML"));
    assert!(place(&diagnostic).0 >= 3);
    let diagnostic = refused(b"a:\n\tb: 1\n");
    assert!(diagnostic.hint.expect("a hint").contains("spaces"));
}

#[test]
fn keys_must_be_texts() {
    assert!(refused(b"? [a, b]\n: 1\n").message.contains("key"));
    assert!(refused(b": 1\n").message.contains("key is missing"));
    assert_eq!(one("1: x").as_map().expect("a map")[0].key, "1");
}

#[test]
fn a_tower_of_aliases_is_refused_without_being_built() {
    let mut text = "l0: &l0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let below = format!("*l{}", level - 1);
        text += &format!("l{level}: &l{level} [{}]\n", vec![below; 9].join(", "));
    }
    assert!(refused(text.as_bytes()).message.contains("aliases"));
    let big = "x".repeat(1024 * 1024);
    let wide = format!("a: &a {big}\nb: [{}]\n", vec!["*a"; 1000].join(", "));
    assert!(
        refused(wide.as_bytes()).message.contains("aliases"),
        "few nodes, but much text"
    );
}

#[test]
fn an_alias_inside_its_own_anchor_is_refused() {
    assert!(documents(b"a: &a [*a]\n").is_err());
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(documents(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert!(
        refused(nested(DEPTH_MAX + 1).as_bytes())
            .message
            .contains("nested")
    );
    for open in ["[", "{a: ", "- ", "? "] {
        assert!(documents(open.repeat(200_000).as_bytes()).is_err(), "{open}");
    }
}

#[test]
fn the_size_is_bounded() {
    let text = vec![b'a'; DAG_SOURCE_MAX + 1];
    assert!(refused(&text).message.contains("at most 4 MiB"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Err(errors) = documents(&bytes) {
            prop_assert!(!errors.is_empty());
        }
    }

    #[test]
    fn pieces_of_yaml_never_panic(pieces in proptest::collection::vec(piece(), 0..60)) {
        if let Err(errors) = documents(pieces.concat().as_bytes()) {
            prop_assert!(!errors.is_empty());
            prop_assert!(errors.iter().all(|error| error.line.is_some_and(|line| line > 0)));
        }
    }
}

fn piece() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "a",
        "b: ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        ": ",
        "? ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&x ",
        "*x",
        "<<: ",
        "'",
        "\"",
        "|",
        ">",
        "|+2",
        "\\",
        "#",
        " # c",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "!!str ",
        "!t ",
        "\t",
        "\r\n",
        "ü",
        "1",
        "\u{feff}",
        "@",
        "`",
        "%",
        "~",
        "\u{85}",
        "\u{2028}",
        "%TAG ! x\n",
    ])
}
