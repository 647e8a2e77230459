//! The schema for editors against the loader: the same keys, and no other judgement.

mod judgement;

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::*;
use crate::dag::load::keys::{self, Keys};
use crate::dag::load::param_defs;
use crate::dag::schema::SCHEMA;
use crate::dag::yaml::{Kind, Value};
use crate::model::Handler;

fn schema() -> Json {
    serde_json::from_str(SCHEMA).unwrap()
}

fn words<'w>(words: impl IntoIterator<Item = &'w str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

fn same(what: &str, told: &BTreeSet<String>, known: impl IntoIterator<Item = &'static str>) {
    assert_eq!(*told, words(known), "{what}");
}

#[test]
fn the_schema_has_the_keys_of_the_loader_and_no_other() {
    let schema = schema();
    let of = |at: &str| {
        let object = schema.pointer(at).unwrap_or_else(|| panic!("no {at}"));
        let properties = object["properties"].as_object().unwrap();
        words(properties.keys().map(String::as_str))
    };
    let tables: [(&str, &Keys<'static>); 18] = [
        ("", &keys::TOP),
        ("/$defs/step/anyOf/1", &keys::STEP),
        ("/properties/defaults", &keys::DEFAULTS),
        ("/$defs/continue_on/anyOf/1", &keys::CONTINUE_ON),
        ("/$defs/retry_policy", &keys::RETRY),
        ("/$defs/repeat_policy", &keys::REPEAT),
        ("/properties/schedule/anyOf/1", &keys::SCHEDULE),
        ("/properties/retry_policy", &keys::DAG_RETRY),
        ("/properties/retry_policy/properties/lost", &keys::LOST_RETRY),
        ("/properties/run_config", &keys::RUN_CONFIG),
        ("/$defs/output/anyOf/1", &keys::OUTPUT),
        ("/$defs/param", &param_defs::RICH),
        ("/$defs/parallel/anyOf/1", &keys::PARALLEL),
        ("/$defs/approval", &keys::APPROVAL),
        ("/$defs/secret", &keys::SECRET),
        ("/properties/limits", &keys::LIMITS),
        ("/properties/limits/properties/rlimits", &keys::RLIMITS),
        ("/$defs/rlimit/anyOf/1", &keys::RLIMIT),
    ];
    for (at, table) in tables {
        same(at, &of(at), table.known.iter().copied());
    }
    same("conditions", &of("/$defs/condition/anyOf/1"), keys::CONDITION);
    same(
        "handlers",
        &of("/properties/handler_on"),
        Handler::ALL.map(Handler::as_str),
    );
    let types = schema
        .pointer("/$defs/step/anyOf/1/properties/type/enum")
        .unwrap();
    let types = words(types.as_array().unwrap().iter().filter_map(Json::as_str));
    same("types", &types, keys::STEP_TYPES.into_iter().chain([""]));
}

/// Calls `f` with every object of a JSON value and where it is.
fn walk(value: &Json, at: &str, f: &mut impl FnMut(&str, &Map<String, Json>)) {
    match value {
        Json::Object(object) => {
            f(at, object);
            for (key, value) in object {
                walk(value, &format!("{at}/{key}"), f);
            }
        }
        Json::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                walk(value, &format!("{at}/{index}"), f);
            }
        }
        _ => {}
    }
}

#[test]
fn maps_with_fixed_keys_are_closed_and_every_key_is_described() {
    let schema = schema();
    let mut maps = 0;
    walk(&schema, "", &mut |at, object| {
        let Some(properties) = object.get("properties").and_then(Json::as_object) else {
            return;
        };
        // Rules on keys that are described elsewhere.
        let rule = [
            "/if",
            "/then",
            "/else",
            "/not",
            "/oneOf/",
            "/repeat_policy/anyOf/",
            "/$defs/handler",
        ];
        if rule.iter().any(|part| at.contains(part)) {
            return;
        }
        maps += 1;
        assert_eq!(object.get("additionalProperties"), Some(&json!(false)), "{at}");
        for (key, value) in properties {
            let target = value.get("$ref").and_then(Json::as_str).map(|to| {
                let to = to.strip_prefix('#').unwrap();
                schema
                    .pointer(to)
                    .unwrap_or_else(|| panic!("{at}/{key}: no {to}"))
            });
            let described = [Some(value), target]
                .into_iter()
                .flatten()
                .any(|value| value["description"].is_string());
            assert!(
                described || ["start", "stop", "restart"].contains(&key.as_str()),
                "{at}/{key}"
            );
        }
    });
    assert!(maps > 15, "{maps}");
}

#[test]
fn defaults_and_examples_of_the_schema_fit_it() {
    let schema = schema();
    let mut checked = 0;
    walk(&schema, "", &mut |at, object| {
        let samples = object
            .get("examples")
            .and_then(Json::as_array)
            .into_iter()
            .flatten();
        let samples: Vec<&Json> = samples.chain(object.get("default")).collect();
        // A key that is called `default` is no default.
        if samples.is_empty() || at.ends_with("/properties") {
            return;
        }
        let part = json!({ "$defs": schema["$defs"], "allOf": [object] });
        let validator = jsonschema::draft202012::new(&part).unwrap();
        for sample in samples {
            assert!(validator.is_valid(sample), "{at}: {sample}");
            checked += 1;
        }
    });
    assert!(checked > 50, "{checked}");
}

fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => {
            let entries = entries.iter();
            Json::Object(
                entries
                    .map(|entry| (entry.key.clone(), to_json(&entry.value)))
                    .collect(),
            )
        }
        Value::Scalar(scalar) => match scalar.kind {
            Kind::Null => Json::Null,
            Kind::Bool(value) => json!(value),
            Kind::Int(value) => json!(value),
            Kind::Float(value) => json!(value),
            Kind::Str => json!(scalar.text),
        },
    }
}

/// What the schema says of each document of a text.
fn refusals(text: &str) -> Vec<String> {
    let mut report = Report::new(vec!["d.yaml".to_owned()]);
    let documents = yaml::read(text.as_bytes(), 0, &mut report).expect("YAML");
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let mut found = Vec::new();
    for document in &documents {
        let document = to_json(document);
        found.extend(validator.iter_errors(&document).map(|error| error.to_string()));
    }
    found
}

#[test]
fn every_example_fits_the_schema() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/examples");
    let mut files = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(refusals(&text), Vec::<String>::new(), "{}", path.display());
        let first = text.lines().next().unwrap();
        assert_eq!(
            first,
            "# yaml-language-server: $schema=/usr/share/proctor/dag.schema.json"
        );
        files += 1;
    }
    assert!(files >= 6);
}
