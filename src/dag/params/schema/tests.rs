//! Tests of schemas: what they declare, what values they take, and what a hostile one may not do.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::dag::params::{ParamInput, resolve};
use crate::dag::types::{ParamKind, ParamSchema};
use crate::model::testing::CpuTime;

fn schema(value: &Json) -> Schema {
    Schema::parse(&value.to_string()).unwrap_or_else(|reason| panic!("{value}\n{reason}"))
}

fn params(value: &Json) -> Params {
    Params {
        defs: schema(value).properties().defs(),
        typed: true,
        schema: Some(ParamSchema {
            path: "s.json".to_owned(),
            text: value.to_string(),
        }),
        ..Params::default()
    }
}

fn try_resolve(value: &Json, given: &str) -> Result<Vec<String>, Vec<String>> {
    let input = ParamInput {
        text: Some(given.to_owned()),
        ..ParamInput::default()
    };
    match resolve(&params(value), &input) {
        Ok(resolved) => {
            let list = resolved.list.iter();
            Ok(list.map(|(name, value)| format!("{name}={value}")).collect())
        }
        Err(errors) => Err(errors.iter().map(Diagnostic::to_string).collect()),
    }
}

/// The reason why a text cannot be a schema.
fn refused(text: &str) -> String {
    let begun = CpuTime::start();
    let reason = Schema::parse(text).and_then(|schema| schema.rules()).err();
    assert!(begun.spent() < Duration::from_secs(10), "{:?}", begun.spent());
    reason.unwrap_or_else(|| panic!("accepted: {text:.200}"))
}

fn deploy() -> Json {
    json!({
        "type": "object",
        "properties": {
            "region": {"type": "string", "description": "where", "enum": ["eu", "us"]},
            "count": {"type": "integer", "minimum": 1, "maximum": 10, "default": 3},
        },
        "required": ["region"],
    })
}

#[test]
fn declarations_come_from_the_properties_in_the_order_of_their_names() {
    let defs = params(&deploy()).defs;
    let [count, region] = defs.as_slice() else {
        panic!("two parameters: {defs:?}")
    };
    assert_eq!(
        (count.name.as_str(), count.kind, count.default.as_deref()),
        ("count", ParamKind::Integer, Some("3"))
    );
    assert_eq!(
        (count.minimum, count.maximum, count.required),
        (Some(1.0), Some(10.0), false)
    );
    assert_eq!(
        (region.kind, region.required, region.description.as_str()),
        (ParamKind::String, true, "where")
    );
    assert_eq!(region.choices, [json!("eu"), json!("us")]);
    let referring = json!({
        "$ref": "#/$defs/all",
        "$defs": {
            "all": {"properties": {"a": {"$ref": "#/$defs/short"}}, "allOf": [{"properties": {"b": {"type": "array"}}}]},
            "short": {"type": "string", "minLength": 1, "maxLength": 3, "pattern": "^x"},
        },
    });
    let defs = params(&referring).defs;
    assert_eq!((defs[0].min_length, defs[0].max_length), (Some(1), Some(3)));
    assert_eq!(defs[0].pattern.as_deref(), Some("^x"));
    assert_eq!((defs[1].name.as_str(), defs[1].kind), ("b", ParamKind::Json));
}

#[test]
fn values_are_coerced_and_checked_all_at_once() {
    assert_eq!(
        try_resolve(&deploy(), "region=eu count=+4"),
        Ok(vec!["count=4".to_owned(), "region=eu".to_owned()])
    );
    assert_eq!(
        try_resolve(&deploy(), "5 us"),
        Ok(vec!["count=5".to_owned(), "region=us".to_owned()]),
        "a place goes by the order of the names"
    );
    assert_eq!(
        try_resolve(&deploy(), r#"{"region": "eu", "count": 10}"#),
        Ok(vec!["count=10".to_owned(), "region=eu".to_owned()])
    );
    let missing = try_resolve(&deploy(), "").unwrap_err();
    assert_eq!(
        missing,
        ["parameter validation failed: parameter \"region\" is required"]
    );
    let wrong = try_resolve(&deploy(), "region=xx count=many").unwrap_err();
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(
        wrong[0].contains("\"count\"") && wrong[0].contains("integer"),
        "{wrong:?}"
    );
    assert!(
        wrong[1].contains("\"region\"") && wrong[1].contains("eu"),
        "{wrong:?}"
    );
    assert!(try_resolve(&deploy(), "1 eu x").unwrap_err()[0].contains("too many"));
    assert!(try_resolve(&json!({}), "x").unwrap_err()[0].contains("too many"));
}

#[test]
fn the_schema_says_which_other_names_there_may_be() {
    let open = try_resolve(&deploy(), "region=eu other=x").unwrap();
    assert_eq!(open, ["count=3", "region=eu", "other=x"]);
    let mut closed = deploy();
    closed["additionalProperties"] = json!(false);
    let errors = try_resolve(&closed, "region=eu regoin=x").unwrap_err();
    assert_eq!(
        errors,
        ["there is no parameter \"regoin\"; did you mean `region`?"]
    );
    let numbers = json!({"additionalProperties": {"type": "integer"}, "patternProperties": {"^f_": {"type": "boolean"}}});
    assert_eq!(
        try_resolve(&numbers, "a=07 f_x=TRUE").unwrap(),
        ["a=7", "f_x=true"]
    );
    assert!(try_resolve(&numbers, "a=x").is_err());
}

#[test]
fn a_text_stands_for_what_the_schema_allows() {
    let schema = schema(&json!({"properties": {
        "i": {"type": "integer"}, "n": {"type": "number"}, "b": {"type": "boolean"}, "s": {"type": "string"},
        "list": {"type": "array"}, "map": {"type": "object"}, "maybe": {"type": ["integer", "null"]},
        "either": {"anyOf": [{"type": "boolean"}, {"type": "integer"}]}, "text": {"type": ["string", "null"]},
        "one": {"enum": [1, "2", null]}, "free": {},
    }}));
    let properties = schema.properties();
    let cases = [
        ("i", "7", json!(7)),
        ("i", "7.5", json!("7.5")),
        ("n", "7.5", json!(7.5)),
        ("b", "False", json!(false)),
        ("s", "7", json!("7")),
        ("list", "[1, \"x\"]", json!([1, "x"])),
        ("list", "{}", json!("{}")),
        ("map", "{\"a\": 1}", json!({"a": 1})),
        ("maybe", "", json!(null)),
        ("maybe", "3", json!(3)),
        ("either", "3", json!(3)),
        ("either", "true", json!(true)),
        ("text", "", json!("")),
        ("text", "null", json!(null)),
        ("one", "1", json!(1)),
        ("one", "2", json!("2")),
        ("free", "1", json!("1")),
        ("unknown", "1", json!("1")),
    ];
    for (name, text, value) in cases {
        assert_eq!(properties.coerce(name, text), value, "{name} {text:?}");
    }
}

#[test]
fn what_is_no_schema_is_refused_with_the_reason() {
    for (text, words) in [
        ("", "not JSON"),
        ("{\"type\": }", "line 1 column 10"),
        ("[]", "not a JSON object"),
        ("true", "not a JSON object"),
        ("{\"type\": \"integr\"}", "invalid at /type"),
        ("{\"properties\": 3}", "invalid at /properties"),
        (
            "{\"properties\": {\"a\": {\"minimum\": \"x\"}}}",
            "invalid at /properties/a/minimum",
        ),
        (
            "{\"properties\": {\"a\": {\"pattern\": \"(\"}}}",
            "unclosed group",
        ),
        ("{\"$schema\": \"http://example.com/own\"}", "example.com"),
        ("{\"$ref\": 5}", "invalid at /$ref"),
    ] {
        let reason = refused(text);
        assert!(reason.contains(words), "{text}: {reason}");
    }
    let large = format!("{{\"description\": \"{}\"}}", "x".repeat(SCHEMA_MAX));
    assert!(refused(&large).contains("262144 bytes"));
}

#[test]
fn references_stay_within_the_schema() {
    for reference in [
        "http://localhost:1/s.json",
        "https://localhost:1/s.json#/x",
        "file:///etc/passwd",
        "other.json",
        "/etc/passwd",
    ] {
        let reason = refused(&json!({"properties": {"a": {"$ref": reference}}}).to_string());
        assert!(
            reason.contains(reference) && reason.contains("copy that schema"),
            "{reason}"
        );
    }
    for (schema, words) in [
        (json!({"$ref": "#/nowhere"}), "leads nowhere"),
        (json!({"$ref": "#name"}), "only plain ones"),
        (
            json!({"$ref": "#/%24defs/a", "$defs": {"a": {}}}),
            "only plain ones",
        ),
        (
            json!({"properties": {"a": {"$id": "http://localhost/a"}}}),
            "`$id`",
        ),
        (json!({"allOf": [{"$dynamicRef": "#x"}]}), "`$dynamicRef`"),
        (json!({"unevaluatedProperties": false}), "`unevaluatedProperties`"),
    ] {
        let reason = refused(&schema.to_string());
        assert!(reason.contains(words), "{schema}: {reason}");
    }
    // A property may have the name of a keyword.
    let named =
        json!({"properties": {"$ref": {"type": "string"}, "id": {"type": "string"}, "$id": {"const": "x"}}});
    assert_eq!(try_resolve(&named, "id=1"), Ok(vec!["id=1".to_owned()]));
}

#[test]
fn endless_and_exploding_references_are_refused_at_once() {
    for circle in [
        json!({"$ref": "#"}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}}),
        json!({"properties": {"tree": {"items": {"$ref": "#/properties/tree"}}}}),
    ] {
        assert!(refused(&circle.to_string()).contains("circle"), "{circle}");
    }
    let chain = |length: usize, width: usize| {
        let next = |at: usize| json!({"allOf": vec![json!({"$ref": format!("#/$defs/d{}", at + 1)}); width]});
        let mut defs: Map<String, Json> = (0..length).map(|at| (format!("d{at}"), next(at))).collect();
        defs.insert(format!("d{length}"), json!({"type": "object"}));
        json!({"$ref": "#/$defs/d0", "$defs": defs}).to_string()
    };
    assert!(refused(&chain(30, 2)).contains("100000 rules"));
    assert!(refused(&chain(5_000, 1)).contains("64 deep"));
    let deep = format!("{}{{}}{}", "{\"not\":".repeat(100), "}".repeat(100));
    assert!(refused(&deep).contains("64 deep"));
    let bottomless = "{\"not\":".repeat(10_000);
    assert!(refused(&bottomless).contains("not JSON"));
    let accepted = Schema::parse(&chain(20, 1)).and_then(|schema| schema.rules());
    assert!(accepted.is_ok(), "{:?}", accepted.err());
}

#[test]
fn what_says_nothing_counts_each_time_that_it_is_met() {
    let refused = |part: Json| {
        let many = |name: &str| json!({"allOf": vec![json!({"$ref": format!("#/$defs/{name}")}); 150]});
        let defs = json!({"b": part, "c": many("d"), "d": many("b")});
        refused(&json!({"properties": {"A": {"$ref": "#/$defs/c"}}, "$defs": defs}).to_string())
    };
    let names: Vec<String> = (0..20_000).map(|number| format!("n{number}")).collect();
    for part in [
        json!({"allOf": vec![json!({}); 70_000]}),
        json!({"prefixItems": vec![json!(true); 40_000]}),
        json!({"required": names}),
        json!({"dependentRequired": {"a": names}}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "dependencies": {"a": names}}),
        json!({}),
    ] {
        assert!(
            refused(part.clone()).contains("more than 100000 rules"),
            "{part:.100}"
        );
    }
}

#[test]
fn patterns_cost_no_more_than_their_size() {
    let with = |pattern: &str| json!({"properties": {"a": {"type": "string", "pattern": pattern}}});
    let reason = refused(&with("^([^x]{1,500}y){1,500}$").to_string());
    assert!(reason.contains("regular expression"), "{reason}");
    for long in [
        with(&"\\w".repeat(50_000)),
        json!({"patternProperties": {"\\w".repeat(50_000): {}}}),
    ] {
        let reason = refused(&long.to_string());
        assert!(reason.contains("a pattern of 100000 bytes"), "{reason}");
    }
    let reason = refused(&with("(?=a)b").to_string());
    assert!(reason.contains("look-around"), "{reason}");
    // Exponential for an engine that goes back.
    let begun = CpuTime::start();
    let given = format!("a={}b", "a".repeat(50_000));
    assert!(try_resolve(&with("^(a+)+$"), &given).is_err());
    assert!(begun.spent() < Duration::from_secs(10), "{:?}", begun.spent());
}

#[test]
fn values_too_many_for_the_rules_are_refused_before_they_are_checked() {
    let rules: Vec<Json> = (0..90_000).map(|number| json!(number)).collect();
    let text = json!({"additionalProperties": {"enum": rules}}).to_string();
    assert!(
        text.len() > SCHEMA_MAX,
        "the size bounds it first: {}",
        text.len()
    );
    let rules: Vec<Json> = (0..30_000).map(|number| json!(number)).collect();
    let many: String = (0..5_000).map(|at| format!("p{at}=x ")).collect();
    let begun = CpuTime::start();
    let errors = try_resolve(&json!({"additionalProperties": {"enum": rules}}), &many).unwrap_err();
    assert!(
        errors[0].contains("too large for their JSON schema"),
        "{errors:?}"
    );
    assert!(begun.spent() < Duration::from_secs(20), "{:?}", begun.spent());
}

#[test]
fn long_values_are_quoted_in_part() {
    let given = format!("region={}", "x".repeat(10_000));
    let errors = try_resolve(&deploy(), &given).unwrap_err();
    assert!(errors[0].len() < 500, "{}", errors[0].len());
}
