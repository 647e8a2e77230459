//! Tests of parameters with an external JSON schema.

use super::*;
use crate::dag::load::schema::schema_refs;
use crate::dag::params::{ParamInput, resolve};
use crate::model::{SchemaFile, SchemaRef};

const SCHEMA: &str = r#"{"properties": {
    "region": {"type": "string", "enum": ["eu", "us"]},
    "count": {"type": "integer", "maximum": 10, "default": 3},
    "tags": {"type": "array", "items": {"type": "string"}}
}, "required": ["region"], "additionalProperties": false}"#;

fn file(path: &str, text: Result<&str, &str>) -> SchemaFile {
    let wanted = SchemaRef {
        path: path.to_owned(),
        working_dir: None,
    };
    SchemaFile::new(wanted, text.map(str::to_owned).map_err(str::to_owned))
}

fn with_schema(text: &str, schema: &str) -> Result<Loaded, Vec<Diagnostic>> {
    let schemas = [file("s.json", Ok(schema))];
    let options = LoadOptions {
        schemas: &schemas,
        ..LoadOptions::default()
    };
    load(&source(text), &options)
}

/// The one error: its place, its words, its hint.
fn one(result: Result<Loaded, Vec<Diagnostic>>, line: u32, column: u32, words: &str) -> String {
    let errors = result.expect_err("refused");
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert_eq!(
        (errors[0].line, errors[0].column),
        (Some(line), Some(column)),
        "{errors:#?}"
    );
    assert!(errors[0].message.contains(words), "{errors:#?}");
    errors[0].hint.clone().unwrap_or_default()
}

#[test]
fn the_schema_declares_and_the_values_are_defaults() {
    let text = "params:\n  schema: s.json\n  values: {count: 5, tags: [a, b], region: ~}\nsteps: [x]\n";
    let dag = with_schema(text, SCHEMA).expect("valid").dag;
    let found: Vec<_> = dag
        .params
        .defs
        .iter()
        .map(|def| (def.name.as_str(), def.kind, def.default.as_deref()))
        .collect();
    assert_eq!(
        found,
        [
            ("count", ParamKind::Integer, Some("5")),
            ("region", ParamKind::String, None),
            ("tags", ParamKind::Json, Some("[\"a\",\"b\"]")),
        ]
    );
    // The snapshot of a run is enough to check the parameters of another one.
    let json = serde_json::to_string(&dag).unwrap();
    let again: Dag = serde_json::from_str(&json).unwrap();
    assert_eq!(again, dag);
    let input = |text: &str| ParamInput {
        text: Some(text.to_owned()),
        ..ParamInput::default()
    };
    assert!(resolve(&again.params, &input("region=eu")).is_ok());
    let errors = resolve(&again.params, &input("region=eu count=11")).expect_err("refused");
    assert!(
        errors[0].message.contains("parameter \"count\": 11"),
        "{errors:?}"
    );
    let open = with_schema("params: {schema: s.json, values: {b: 1}}\nsteps: [x]\n", "{}").expect("valid");
    assert_eq!(open.dag.params.defs[0].default.as_deref(), Some("1"));
}

#[test]
fn values_that_do_not_fit_are_told_at_their_place() {
    let values = |values: &str| {
        let text = format!("params:\n  schema: s.json\n  values:\n    {values}\nsteps: [x]\n");
        with_schema(&text, SCHEMA)
    };
    one(
        values("count: 11"),
        4,
        12,
        "parameter \"count\" does not fit: 11 is greater",
    );
    one(values("tags: [1]"), 4, 11, "1 is not of type");
    one(values("regoin: eu"), 4, 13, "no such parameter");
    one(values("'a b': eu"), 4, 5, "cannot be the name");
    let list = "params:\n  schema: s.json\n  values: [1]\nsteps: [x]\n";
    one(with_schema(list, SCHEMA), 3, 11, "a map of names and values");
    let text = "params:\n  schema: s.json\nsteps: [x]\n";
    let bad = SCHEMA.replace("\"default\": 3", "\"default\": 30");
    one(
        with_schema(text, &bad),
        2,
        11,
        "the default of parameter \"count\"",
    );
    let odd = "{\"properties\": {\"a b\": {}}}";
    one(
        with_schema(text, odd),
        2,
        11,
        "\"a b\" in the JSON schema cannot be",
    );
}

#[test]
fn a_schema_that_cannot_be_used_is_told_at_its_place() {
    let text = "params:\n  schema: s.json\nsteps: [x]\n";
    one(
        with_schema(text, "{\"type\": 5}"),
        2,
        11,
        "the JSON schema \"s.json\" is invalid at /type",
    );
    let options = |schemas: &[SchemaFile]| {
        load(
            &source(text),
            &LoadOptions {
                schemas,
                ..LoadOptions::default()
            },
        )
    };
    let hint = one(
        options(&[file("s.json", Err("there is no such file"))]),
        2,
        11,
        "cannot be read: there is no such file",
    );
    assert!(hint.contains("beside the DAG file"), "{hint}");
    one(options(&[]), 2, 11, "did not come with the DAG");
    let url = "params: {schema: \"https://localhost/s.json\"}\nsteps: [x]\n";
    let hint = one(with_schema(url, SCHEMA), 1, 18, "is a URL");
    assert!(hint.contains("download it"), "{hint}");
    one(
        with_schema("params: {schema: ' '}\nsteps: [x]\n", SCHEMA),
        1,
        18,
        "is empty",
    );
    one(
        with_schema("params: {schema: [a]}\nsteps: [x]\n", SCHEMA),
        1,
        18,
        "must be a text",
    );
    let extra = "params: {schema: s.json, count: 3}\nsteps: [x]\n";
    one(with_schema(extra, SCHEMA), 1, 26, "unknown key `count`");
    let named = with_schema("params: [schema: public]\nsteps: [x]\n", SCHEMA).expect("valid");
    assert_eq!(named.dag.params.defs[0].default.as_deref(), Some("public"));
}

#[test]
fn values_are_counted_before_each_is_looked_for_in_all_rules() {
    let rules = vec!["{}"; 40_000].join(",");
    let schema = format!("{{\"additionalProperties\": {{\"allOf\": [{rules}]}}}}");
    let values: String = (0..900).map(|number| format!("v{number}: x, ")).collect();
    let text = format!("params:\n  schema: s.json\n  values: {{{values}}}\nsteps: [x]\n");
    one(
        with_schema(&text, &schema),
        2,
        11,
        "too large for their JSON schema",
    );
}

#[test]
fn without_validation_only_the_values_count() {
    let options = LoadOptions {
        skip_schemas: true,
        ..LoadOptions::default()
    };
    let text = "params:\n  schema: nowhere.json\n  values: {b: 11, a: [1]}\nsteps: [x]\n";
    let params = load(&source(text), &options).expect("valid").dag.params;
    let found: Vec<_> = params
        .defs
        .iter()
        .map(|def| (def.name.as_str(), def.default.as_deref()))
        .collect();
    assert_eq!(found, [("a", Some("[1]")), ("b", Some("11"))]);
    assert_eq!((params.typed, params.schema), (false, None));
}

#[test]
fn a_text_tells_which_schemas_it_refers_to() {
    let refs = |text: &str, base: Option<&str>| {
        let base = base.map(|base| BaseConfig {
            text: base.as_bytes(),
            file: "base",
        });
        let found = schema_refs(&source(text), base.as_ref());
        let pairs = found.into_iter().map(|found| (found.path, found.working_dir));
        pairs.collect::<Vec<_>>()
    };
    let of = |path: &str, dir: Option<&str>| (path.to_owned(), dir.map(str::to_owned));
    let text = "working_dir: /w\nparams: {schema: a.json}\n---\nname: b\nparams: {schema: b.json}\n---\nname: c\nparams: \
                {schema: b.json}\n---\nname: d\nparams: {schema: \"http://x/y\"}\n---\nname: e\nparams: [schema: no]\n";
    assert_eq!(refs(text, None), [of("a.json", Some("/w")), of("b.json", None)]);
    let base = "params: {schema: base.json}\nworking_dir: /b\n";
    assert_eq!(refs("steps: [x]\n", Some(base)), [of("base.json", Some("/b"))]);
    assert_eq!(refs("params: a\n", Some(base)), [], "the DAG has its own");
    assert_eq!(
        refs("params: {schema: [\n", None),
        [],
        "the loader says what is wrong"
    );
    assert_eq!(refs("params: {schema: [1]}\n", None), []);
}

#[test]
fn many_schemas_are_not_more_than_a_few_large_ones() {
    let mut text = String::new();
    for number in 0..20 {
        text += &format!("name: d{number}\nparams: {{schema: s.json}}\nsteps: [x]\n---\n");
    }
    text += "name: last\nsteps: [x]\n";
    assert!(with_schema(&text, SCHEMA).is_ok());
    let large = SCHEMA.replace(
        "\"required\"",
        &format!("\"$comment\": \"{}\", \"required\"", "x".repeat(200_000)),
    );
    let errors = with_schema(&text, &large).expect_err("refused");
    assert!(errors[0].message.contains("1048576 bytes together"), "{errors:?}");
    let patterns = format!("{{\"allOf\": [{}]}}", vec!["{\"pattern\": \"x\"}"; 60].join(","));
    let errors = with_schema(&text, &patterns).expect_err("refused");
    assert!(errors[0].message.contains("100 patterns together"), "{errors:?}");
}
