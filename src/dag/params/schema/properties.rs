//! What a schema says of each parameter: its declaration, and the type that its text stands for.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value as Json;

use super::guard::target;
use crate::dag::params::check::{shown, typed};
use crate::dag::pattern::compile;
use crate::dag::types::{ParamDef, ParamKind};

/// The subschemas of parameters. Made from a schema that [`super::guard`] has accepted, which bounds all walks here.
pub(in crate::dag) struct Properties<'a> {
    root: &'a Json,
    named: BTreeMap<&'a str, &'a Json>,
    required: BTreeSet<&'a str>,
    patterns: Vec<(Regex, &'a Json)>,
    others: Option<&'a Json>,
}

impl<'a> Properties<'a> {
    pub(super) fn of(root: &'a Json) -> Self {
        let mut found = Self {
            root,
            named: BTreeMap::new(),
            required: BTreeSet::new(),
            patterns: Vec::new(),
            others: None,
        };
        for part in conjuncts(root, root) {
            let map = |key: &str| part.get(key).and_then(Json::as_object).into_iter().flatten();
            for (name, schema) in map("properties") {
                found.named.entry(name).or_insert(schema);
            }
            for (pattern, schema) in map("patternProperties") {
                found
                    .patterns
                    .extend(compile(pattern).ok().map(|regex| (regex, schema)));
            }
            let required = part.get("required").and_then(Json::as_array);
            found
                .required
                .extend(required.into_iter().flatten().filter_map(Json::as_str));
            let others = part
                .get("additionalProperties")
                .filter(|schema| schema.is_object());
            found.others = found.others.or(others);
        }
        found
    }

    /// One declaration for each property, sorted by name: positional values that are given go by that order.
    pub(in crate::dag) fn defs(&self) -> Vec<ParamDef> {
        self.named.keys().map(|name| self.def(name)).collect()
    }

    /// The declaration of one parameter, as far as it can be told in the terms of inline ones.
    pub(in crate::dag) fn def(&self, name: &str) -> ParamDef {
        let mut def = ParamDef {
            name: name.to_owned(),
            required: self.required.contains(name),
            ..ParamDef::default()
        };
        let Some(schema) = self.schema(name) else {
            return def;
        };
        let parts = conjuncts(self.root, schema);
        let get = |key: &str| parts.iter().find_map(|part| part.get(key));
        let text = |key: &str| get(key).and_then(Json::as_str).map(str::to_owned);
        def.choices = get("enum").and_then(Json::as_array).cloned().unwrap_or_default();
        def.kind = match types(self.root, schema).as_slice() {
            [] if def.choices.iter().all(Json::is_string) => ParamKind::String,
            ["string"] => ParamKind::String,
            ["integer"] => ParamKind::Integer,
            ["number"] => ParamKind::Number,
            ["boolean"] => ParamKind::Boolean,
            _ => ParamKind::Json,
        };
        def.description = text("description").unwrap_or_default();
        def.pattern = text("pattern");
        def.minimum = get("minimum").and_then(Json::as_f64);
        def.maximum = get("maximum").and_then(Json::as_f64);
        def.min_length = get("minLength").and_then(Json::as_u64);
        def.max_length = get("maxLength").and_then(Json::as_u64);
        def.default = get("default").filter(|value| !value.is_null()).map(shown);
        def
    }

    /// The value that a text stands for: one of the listed values, or one of a type that the schema allows, else the
    /// text itself. A parameter of which the schema gives no type is a text.
    pub(in crate::dag) fn coerce(&self, name: &str, text: &str) -> Json {
        let Some(schema) = self.schema(name) else {
            return text.into();
        };
        let parts = conjuncts(self.root, schema);
        let listed = parts.iter().flat_map(|part| {
            let list = part.get("enum").and_then(Json::as_array);
            list.into_iter().flatten().chain(part.get("const"))
        });
        if let Some(value) = listed.into_iter().find(|value| stands_for(text, value)) {
            return value.clone();
        }
        let types = types(self.root, schema);
        let may_be = |kind: &str| types.contains(&kind);
        let scalar = |kind, name: &str| may_be(name).then(|| typed(kind, text)).flatten();
        scalar(ParamKind::Integer, "integer")
            .or_else(|| scalar(ParamKind::Number, "number"))
            .or_else(|| scalar(ParamKind::Boolean, "boolean"))
            .or_else(|| {
                let value: Json = serde_json::from_str(text).ok()?;
                let fits = (value.is_array() && may_be("array"))
                    || (value.is_object() && may_be("object"))
                    || (value.is_null() && may_be("null"));
                fits.then_some(value)
            })
            .or_else(|| {
                let nothing = text.trim().is_empty() && may_be("null") && !may_be("string");
                nothing.then_some(Json::Null)
            })
            .unwrap_or_else(|| text.into())
    }

    fn schema(&self, name: &str) -> Option<&'a Json> {
        let matching = || self.patterns.iter().find(|(regex, _)| regex.is_match(name));
        self.named
            .get(name)
            .copied()
            .or_else(|| matching().map(|(_, schema)| *schema))
            .or(self.others)
    }
}

/// Whether a text is how a value is written.
fn stands_for(text: &str, value: &Json) -> bool {
    match value {
        Json::String(own) => own == text,
        Json::Bool(own) => text == if *own { "true" } else { "false" },
        Json::Null => text == "null",
        other => shown(other) == text,
    }
}

/// The schemas that hold at the same place: this one, what it refers to, and all of its `allOf`.
fn conjuncts<'a>(root: &'a Json, schema: &'a Json) -> Vec<&'a Json> {
    let mut found = vec![schema];
    let mut at = 0;
    while let Some(part) = found.get(at).copied() {
        at += 1;
        let reference = part.get("$ref").and_then(Json::as_str);
        found.extend(reference.and_then(|reference| target(root, reference).ok()));
        found.extend(part.get("allOf").and_then(Json::as_array).into_iter().flatten());
    }
    found
}

/// The types that a schema allows; empty if it says nothing of them.
fn types<'a>(root: &'a Json, schema: &'a Json) -> Vec<&'a str> {
    let parts = conjuncts(root, schema);
    let named = parts.iter().find_map(|part| match part.get("type")? {
        Json::String(one) => Some(vec![one.as_str()]),
        Json::Array(several) => Some(several.iter().filter_map(Json::as_str).collect()),
        _ => None,
    });
    named.unwrap_or_else(|| {
        let choices = parts.iter().flat_map(|part| {
            let list = |key| part.get(key).and_then(Json::as_array).into_iter().flatten();
            list("anyOf").chain(list("oneOf"))
        });
        let mut found: Vec<&str> = choices.flat_map(|choice| types(root, choice)).collect();
        found.sort_unstable();
        found.dedup();
        found
    })
}
