//! Tests of secrets.

use super::*;

fn secrets(list: &str) -> String {
    format!("secrets: {list}\nsteps: [x]\n")
}

#[test]
fn a_secret_is_a_variable_a_provider_and_a_key() {
    let text = secrets(
        "[{name: A, provider: file, key: /k, options: {n: 1, t: 30s}}, {name: B, provider: env, key: C}]",
    );
    let expected = [
        Secret {
            name: "A".to_owned(),
            provider: "file".to_owned(),
            key: "/k".to_owned(),
            options: vec![
                ("n".to_owned(), "1".to_owned()),
                ("t".to_owned(), "30s".to_owned()),
            ],
        },
        Secret {
            name: "B".to_owned(),
            provider: "env".to_owned(),
            key: "C".to_owned(),
            options: Vec::new(),
        },
    ];
    let dag = dag(&text);
    assert_eq!(dag.secrets, expected);
    assert!(warnings(&text).is_empty());
    let json = crate::dag::project(&dag, None, "", true);
    let shown =
        serde_json::json!({"name": "A", "provider": "file", "key": "/k", "options": {"n": "1", "t": "30s"}});
    assert_eq!(json["secrets"][0], shown);
}

#[test]
fn an_unknown_provider_loads_with_a_warning() {
    let text = secrets("[{name: A, provider: vault, key: k}]");
    let warnings = warnings(&text);
    assert!(
        warnings.len() == 1 && warnings[0].contains("\"vault\""),
        "{warnings:?}"
    );
    assert!(
        dag(&secrets("[{name: A, provider: credential, key: k}]"))
            .secrets
            .len()
            == 1
    );
}

#[test]
fn what_a_secret_lacks_is_said() {
    error(
        &secrets("[{provider: env, key: k}]"),
        1,
        11,
        "'name' field is required",
    );
    error(
        &secrets("[{name: A, key: k}]"),
        1,
        11,
        "'provider' field is required",
    );
    error(
        &secrets("[{name: A, provider: env}]"),
        1,
        11,
        "'key' field is required",
    );
    assert_eq!(errors(&secrets("[{}]")).len(), 3);
    let of = |entries: &str| secrets(&format!("[{{name: A, provider: env, key: k}}, {{{entries}}}]"));
    error_at(&of("name: B, provider: env, key: ' '"), "' '", "is empty");
    error_at(
        &of("name: B C, provider: env, key: k"),
        "B C",
        "name of a variable",
    );
    error_at(
        &of("name: A, provider: file, key: l"),
        "{name: A, provider: file",
        "duplicate",
    );
    error_at(
        &of("name: B, provider: env, key: k, value: v"),
        "value",
        "unknown key",
    );
    error_at(
        &of("name: B, provider: env, key: k, options: [a]"),
        "[a]",
        "must be a map",
    );
    error(&secrets("{A: env}"), 1, 10, "a list of maps");
    error(&secrets("[A]"), 1, 11, "must be a map");
}
