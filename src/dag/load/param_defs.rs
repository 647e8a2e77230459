//! `params`: every form of declaration (seed-spec 9.4).

use std::borrow::Cow;
use std::collections::HashMap;

use regex::Regex;
use serde_json::Value as Json;

use super::fields::{boolean, get, natural, scalar, text, wrong};
use super::keys::{self, Keys};
use super::{LoadOptions, schema};
use crate::dag::diag::{Pos, Report};
use crate::dag::params::{check_compiled, text as syntax, typed};
use crate::dag::pattern::{compile, refusal};
use crate::dag::types::{ParamDef, ParamKind, Params};
use crate::dag::yaml::{Entry, Kind, Node, Scalar, Value};

/// Most declared parameters.
pub(super) const PARAMS_MAX: usize = 1_000;

/// Keys of a typed parameter.
pub(super) const RICH: Keys<'_> = Keys {
    what: "params",
    known: &[
        "name",
        "default",
        "eval",
        "description",
        "type",
        "required",
        "enum",
        "minimum",
        "maximum",
        "min_length",
        "max_length",
        "pattern",
    ],
    refused: &[],
    renamed: &[
        ("minLength", "min_length"),
        ("maxLength", "max_length"),
        ("min", "minimum"),
        ("max", "maximum"),
        ("choices", "enum"),
    ],
};

/// Reads `params`, the node of a document.
pub(super) fn params(
    report: &mut Report,
    document: &[Entry],
    node: &Node,
    options: &LoadOptions<'_>,
) -> Params {
    let mut reader = Reader::default();
    match &node.value {
        Value::Scalar(_) => {
            if let Some(text) = text(report, "params", node) {
                reader.written(report, text, node.at, true);
            }
        }
        Value::List(items) => {
            for item in items {
                if reader.is_over() {
                    break;
                }
                reader.item(report, item);
            }
        }
        Value::Map(entries) => {
            if get(entries, "schema").is_some() {
                return schema::params(report, document, entries, options);
            }
            reader.map(report, entries.iter().filter(|entry| entry.key != "schema"));
        }
    }
    reader.finish(report, node.at)
}

#[derive(Default)]
struct Reader {
    params: Params,
    places: Vec<Pos>,
}

impl Reader {
    /// Whether there are too many already, so that no more need to be read.
    fn is_over(&self) -> bool {
        self.params.defs.len() > PARAMS_MAX
    }

    fn plain(&mut self, name: Option<String>, value: String, at: Pos) {
        let positional = name.is_none();
        let name = name.unwrap_or_else(|| (self.params.defs.len() + 1).to_string());
        self.places.push(at);
        self.params.defs.push(ParamDef {
            name,
            positional,
            default: Some(value),
            ..ParamDef::default()
        });
    }

    fn written(&mut self, report: &mut Report, written: &str, at: Pos, whole: bool) {
        match syntax::parse(written) {
            Ok(parsed) => {
                if parsed.json && whole {
                    self.params.json = Some(written.trim().to_owned());
                }
                for (name, value) in parsed.pairs {
                    // JSON can hold a name that no text can refer to.
                    match name.as_deref().filter(|name| !syntax::is_name(name)) {
                        Some(bad) => report.error(at, format!("{bad:?} cannot be the name of a parameter")),
                        None => self.plain(name, value, at),
                    }
                }
            }
            Err(message) => report.error(at, format!("`params`: {message}")),
        }
    }

    fn item(&mut self, report: &mut Report, item: &Node) {
        match &item.value {
            Value::Map(entries) if get(entries, "name").is_some() => self.rich(report, item.at, entries),
            Value::Map(entries) => {
                // A name that is null is not written, and makes no parameter that is called name.
                self.map(report, entries.iter().filter(|entry| entry.key != "name"));
            }
            Value::Scalar(_) if item.as_str().is_some() => {
                self.written(report, item.as_str().unwrap_or_default(), item.at, false);
            }
            _ => {
                let message = format!("invalid parameter value: {}", item.describe());
                report.error_hint(
                    item.at,
                    message,
                    "an item is a text (in quotes), `name: value`, or has a `name`",
                );
            }
        }
    }

    /// Names and values. The names are sorted: positional values that are given go by that order.
    fn map<'n>(&mut self, report: &mut Report, entries: impl Iterator<Item = &'n Entry>) {
        let mut sorted: Vec<&Entry> = entries.collect();
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        for entry in sorted {
            if self.is_over() {
                return;
            }
            if !matches!(entry.value.value, Value::Scalar(_)) {
                let message = format!("parameter {:?} must use object form with name", entry.key);
                report.error_hint(
                    entry.key_at,
                    message,
                    format!("rewrite it as `- name: {}` and its rules", entry.key),
                );
            } else if !syntax::is_name(&entry.key) {
                report.error(
                    entry.key_at,
                    format!("{:?} cannot be the name of a parameter", entry.key),
                );
            } else if let Some(value) = scalar(report, &entry.key, &entry.value) {
                self.plain(Some(entry.key.clone()), value.to_owned(), entry.key_at);
            }
        }
    }

    fn rich(&mut self, report: &mut Report, at: Pos, entries: &[Entry]) {
        self.params.typed = true;
        keys::check(report, entries, &RICH);
        if let Some(def) = rich(report, at, entries) {
            self.places.push(at);
            self.params.defs.push(def);
        }
    }

    fn finish(self, report: &mut Report, at: Pos) -> Params {
        if self.is_over() {
            report.error(at, format!("there are more than {PARAMS_MAX} parameters"));
            return Params::default();
        }
        let mut seen: HashMap<&str, Pos> = HashMap::new();
        for (def, at) in self.params.defs.iter().zip(&self.places) {
            if let Some(first) = seen.insert(&def.name, *at) {
                let message = format!(
                    "duplicate parameter name {:?}; the first is on line {}",
                    def.name, first.line
                );
                report.error(*at, message);
            }
        }
        self.params
    }
}

fn rich(report: &mut Report, at: Pos, entries: &[Entry]) -> Option<ParamDef> {
    let errors = report.error_count();
    let value = |key| get(entries, key).map(|entry| &entry.value);
    let name_node = value("name")?;
    let name = text(report, "name", name_node)?.trim().to_owned();
    if !syntax::is_name(&name) {
        report.error(
            name_node.at,
            format!("{name:?} cannot be the name of a parameter"),
        );
        return None;
    }
    if entries.len() == 1 {
        let message = "a parameter with a `name` needs at least one other key";
        report.error_hint(
            at,
            message,
            format!("add `default:`, `required:` or `description:`; or write `- {name}=`"),
        );
    }
    let kind = value("type")
        .and_then(|node| kind(report, node))
        .unwrap_or_default();
    let eval = value("eval").and_then(|node| text(report, "eval", node));
    if eval.is_some_and(|text| text.trim().is_empty()) {
        report.error(value("eval").map_or(at, |node| node.at), "eval must not be empty");
    }
    let (pattern, regex) = value("pattern").and_then(|node| pattern(report, node)).unzip();
    let mut def = ParamDef {
        positional: false,
        default: None,
        eval: eval.map(str::to_owned),
        description: value("description")
            .and_then(|node| text(report, "description", node))
            .unwrap_or_default()
            .to_owned(),
        kind,
        required: value("required")
            .and_then(|node| boolean(report, "required", node))
            .unwrap_or(false),
        choices: value("enum")
            .map(|node| choices(report, node, kind))
            .unwrap_or_default(),
        minimum: value("minimum").and_then(|node| bound(report, "minimum", node)),
        maximum: value("maximum").and_then(|node| bound(report, "maximum", node)),
        min_length: value("min_length").and_then(|node| length(report, "min_length", node)),
        max_length: value("max_length").and_then(|node| length(report, "max_length", node)),
        pattern,
        name,
    };
    fitting_rules(report, entries, &def);
    if let Some(node) = value("default")
        && let Some(written) = plain_value(report, "default", node, kind)
        && report.error_count() == errors
    {
        match check_compiled(&def, &written, regex.flatten().as_ref()) {
            Ok(value) => def.default = Some(value),
            Err(message) => report.error(node.at, format!("the default does not fit: {message}")),
        }
    }
    Some(def)
}

/// Bounds are for numbers, lengths and patterns for texts, and a range must not be empty.
fn fitting_rules(report: &mut Report, entries: &[Entry], def: &ParamDef) {
    let numeric = matches!(def.kind, ParamKind::Integer | ParamKind::Number);
    for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
        let fits = match entry.key.as_str() {
            "minimum" | "maximum" => numeric,
            "min_length" | "max_length" | "pattern" => def.kind == ParamKind::String,
            _ => true,
        };
        if !fits {
            let kinds = if numeric {
                "parameters of type string"
            } else {
                "parameters of type integer and number"
            };
            let kinds = if def.kind == ParamKind::Boolean {
                "other types"
            } else {
                kinds
            };
            report.error(entry.key_at, format!("`{}` is only for {kinds}", entry.key));
        }
    }
    let place = |key: &str| get(entries, key).map_or(Pos::default(), |entry| entry.value.at);
    if let (Some(least), Some(most)) = (def.minimum, def.maximum)
        && least > most
    {
        report.error(
            place("minimum"),
            format!("minimum {least} is above maximum {most}"),
        );
    }
    if let (Some(least), Some(most)) = (def.min_length, def.max_length)
        && least > most
    {
        report.error(
            place("min_length"),
            format!("min_length {least} is above max_length {most}"),
        );
    }
}

fn kind(report: &mut Report, node: &Node) -> Option<ParamKind> {
    match text(report, "type", node)?.trim() {
        "string" => Some(ParamKind::String),
        "integer" => Some(ParamKind::Integer),
        "number" => Some(ParamKind::Number),
        "boolean" => Some(ParamKind::Boolean),
        _ => {
            wrong(report, "type", "`string`, `integer`, `number` or `boolean`", node);
            None
        }
    }
}

fn choices(report: &mut Report, node: &Node, kind: ParamKind) -> Vec<Json> {
    let Some(items) = node.as_list().filter(|items| !items.is_empty()) else {
        wrong(report, "enum", "a list of values", node);
        return Vec::new();
    };
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        match plain_value(report, "enum", item, kind).and_then(|written| typed(kind, &written)) {
            Some(value) => found.push(value),
            None => wrong(report, "enum", "a list of values of the parameter's type", item),
        }
    }
    found
}

fn bound(report: &mut Report, what: &str, node: &Node) -> Option<f64> {
    let value = match &node.value {
        Value::Scalar(scalar) => scalar.kind.number().filter(|value| value.is_finite()),
        _ => None,
    };
    if value.is_none() {
        wrong(report, what, "a number", node);
    }
    value
}

fn length(report: &mut Report, what: &str, node: &Node) -> Option<u64> {
    if let Value::Scalar(scalar) = &node.value
        && let Kind::Int(value) = scalar.kind
        && value < 0
    {
        report.error(node.at, format!("{what} must be non-negative"));
        return None;
    }
    natural(report, what, node)
}

/// A pattern, and what it compiles to if it may be compiled now.
fn pattern(report: &mut Report, node: &Node) -> Option<(String, Option<Regex>)> {
    let pattern = text(report, "pattern", node)?;
    if !report.may_compile() {
        return Some((pattern.to_owned(), None));
    }
    match compile(pattern) {
        Ok(regex) => Some((pattern.to_owned(), Some(regex))),
        Err(error) => {
            report.error(node.at, refusal(pattern, &error));
            None
        }
    }
}

/// Any scalar as the text of a parameter of this type. YAML has more ways to write a number than a parameter has.
fn plain_value<'n>(report: &mut Report, what: &str, node: &'n Node, kind: ParamKind) -> Option<Cow<'n, str>> {
    match &node.value {
        Value::Scalar(Scalar {
            kind: Kind::Int(value),
            ..
        }) if matches!(kind, ParamKind::Integer | ParamKind::Number) => Some(value.to_string().into()),
        _ => scalar(report, what, node).map(Cow::from),
    }
}
