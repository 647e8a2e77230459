//! Tests of declared parameters.

use super::*;
use crate::dag::params::{default_text, defaults};

fn declared(text: &str) -> Vec<(String, String)> {
    let defs = dag(&format!("params: {text}\nsteps: [x]\n")).params.defs;
    defs.into_iter()
        .map(|def| (def.name, def.default.unwrap_or_default()))
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn parameters_can_be_one_text() {
    let found = declared(r#"'first A="b c" C=`x "y"` $D e=\n'"#);
    assert_eq!(
        found,
        pairs(&[
            ("1", "first"),
            ("A", "b c"),
            ("C", "`x \"y\"`"),
            ("4", "$D"),
            ("e", "\\n")
        ])
    );
    assert_eq!(declared(r#"'m="a\nb\t\"\\ü"'"#), pairs(&[("m", "a\nb\t\"\\ü")]));
    assert_eq!(declared("''"), pairs(&[]));
    let json = dag("params: '{\"a\": 1, \"b\": \"x\"}'\nsteps: [x]\n").params;
    assert_eq!(json.json.as_deref(), Some("{\"a\": 1, \"b\": \"x\"}"));
    assert_eq!(json.defs.len(), 2);
    error("params: 'a=\"b'\nsteps: [x]\n", 1, 9, "not closed");
    for name in ["", "a b", "a=b"] {
        let text = format!("params: ' [{{\"{name}\": 0}}, \"x\"]'\nsteps: [x]\n");
        error(&text, 1, 9, "cannot be the name of a parameter");
    }
}

#[test]
fn parameters_can_be_maps() {
    assert_eq!(declared("{b: 1, a: true}"), pairs(&[("a", "true"), ("b", "1")]));
    assert_eq!(
        declared("[{c: 1.10}, A=x, {b: , a: 2}]"),
        pairs(&[("c", "1.10"), ("A", "x"), ("a", "2"), ("b", "")])
    );
    error("params: [5]\nsteps: [x]\n", 1, 10, "invalid parameter value");
    error(
        "params: [{a: {type: string}}]\nsteps: [x]\n",
        1,
        11,
        "object form with name",
    );
    error(
        "params:\n  - a=1\n  - a: 2\nsteps: [x]\n",
        3,
        5,
        "duplicate parameter name \"a\"",
    );
}

#[test]
fn rich_parameters_carry_their_rules() {
    let text = "params:\n  - name: n\n    type: integer\n    default: \"3\"\n    minimum: 1\n    maximum: 5\n    enum: [1, 3]\n  \
                - name: s\n    required: true\n    min_length: 1\n    max_length: 2\n    pattern: ^a\n    description: d\nsteps: [x]\n";
    let params = dag(text).params;
    assert!(params.typed);
    let [n, s] = params.defs.as_slice() else {
        panic!("two parameters")
    };
    assert_eq!(
        (n.kind, n.default.as_deref(), n.minimum, n.maximum),
        (ParamKind::Integer, Some("3"), Some(1.0), Some(5.0))
    );
    assert_eq!(n.choices, [serde_json::json!(1), serde_json::json!(3)]);
    assert_eq!((s.required, s.min_length, s.max_length), (true, Some(1), Some(2)));
    assert_eq!((s.pattern.as_deref(), s.description.as_str()), (Some("^a"), "d"));
    assert_eq!(default_text(&params, &defaults(&params, false)), "n=\"3\"");
}

#[test]
fn numbers_count_by_their_value_however_yaml_writes_them() {
    let rules = "minimum: 0x10, maximum: 0o37, enum: [0o20, 0x1F], default: 0x10";
    for kind in ["integer", "number"] {
        let text = format!("params: [{{name: N, type: {kind}, {rules}}}]\nsteps: [x]\n");
        let def = dag(&text).params.defs.remove(0);
        assert_eq!((def.minimum, def.maximum), (Some(16.0), Some(31.0)));
        assert_eq!(def.choices, [serde_json::json!(16), serde_json::json!(31)]);
        assert_eq!(def.default.as_deref(), Some("16"));
    }
    let text = "params: [{name: S, default: 0x10}, {name: T, enum: [0x10]}, {U: 0x10}]\nsteps: [x]\n";
    let defs = dag(text).params.defs;
    assert_eq!(
        defs[0].default.as_deref(),
        Some("0x10"),
        "a text is as it is written"
    );
    assert_eq!(defs[1].choices, [serde_json::json!("0x10")]);
    assert_eq!(defs[2].default.as_deref(), Some("0x10"));
    error(
        "params: [{name: N, type: number, minimum: .inf}]\nsteps: [x]\n",
        1,
        43,
        "must be a number",
    );
}

#[test]
fn a_key_that_is_null_is_not_written() {
    let text = "params: [{name: A, type: boolean, pattern: , minimum: , default: true}]\nsteps: [x]\n";
    assert_eq!(dag(text).params.defs[0].default.as_deref(), Some("true"));
    assert_eq!(declared("[{name: , X: 1}]"), pairs(&[("X", "1")]));
    assert_eq!(declared("{schema: , X: 1}"), pairs(&[("X", "1")]));
    assert_eq!(declared("{name: , X: 1}"), pairs(&[("X", "1"), ("name", "")]));
}

#[test]
fn rules_that_make_no_sense_are_refused_at_their_place() {
    let rich = |rest: &str| format!("params:\n  - name: p\n    {rest}\nsteps: [x]\n");
    error(&rich("minLength: 1"), 3, 5, "unknown key");
    assert!(hint(&rich("minLength: 1")).contains("`min_length`"));
    error(&rich("eval: \" \""), 3, 11, "eval must not be empty");
    error(&rich("min_length: -1"), 3, 17, "min_length must be non-negative");
    error(
        &rich("minimum: 1"),
        3,
        5,
        "only for parameters of type integer and number",
    );
    error(
        &rich("{type: integer, pattern: x}").replace("name: p\n    {", "{name: p, "),
        2,
        30,
        "only for parameters of type string",
    );
    error(&rich("type: list"), 3, 11, "`string`, `integer`");
    error(&rich("enum: x"), 3, 11, "a list of values");
    error(&rich("pattern: ("), 3, 14, "regular expression");
    error(&rich("required: yes"), 3, 15, "bool");
    error(&rich("type: integer\n    default: x"), 4, 14, "does not fit");
    error(
        &rich("type: integer\n    minimum: 5\n    maximum: 1"),
        4,
        14,
        "above maximum",
    );
    error(
        &rich("max_length: 1\n    default: ab"),
        4,
        14,
        "at most 1 characters",
    );
    error(
        "params: [{name: p}]\nsteps: [x]\n",
        1,
        10,
        "at least one other key",
    );
}
