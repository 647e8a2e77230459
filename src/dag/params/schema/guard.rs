//! What a schema may ask for, found before anything is compiled from it.
//!
//! A schema comes from whoever submits a run, and the daemon applies it: forty definitions that each refer twice to
//! the next one would keep it busy for years. So references are followed here once, with every rule counted as often
//! as validation will meet it, and a schema that is too large, too deep or endless is refused.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

use crate::dag::pattern::TEXT_MAX;

/// Most rules of a schema, each counted as often as references lead to it; each value of an `enum` and each name in a
/// list of required ones is one, and so is a schema itself, an empty one too.
pub(super) const RULES_MAX: u64 = 100_000;
/// Deepest nesting of a schema, references included.
pub(super) const DEPTH_MAX: u32 = 64;

/// Keywords whose cost or target cannot be told from the text alone.
const REFUSED: [&str; 7] = [
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveAnchor",
    "$recursiveRef",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// What a schema costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Weight {
    /// Rules, counted as often as they are met.
    pub(super) rules: u64,
    /// Regular expressions, each counted once.
    pub(super) patterns: u32,
}

/// Weighs a schema.
///
/// # Errors
/// Why it is refused, in words that follow "the schema".
pub(super) fn weigh(root: &Json) -> Result<Weight, String> {
    let mut walk = Walk {
        root,
        known: HashMap::new(),
        open: HashSet::new(),
        patterns: 0,
    };
    let cost = walk.schema(root, 0)?;
    Ok(Weight {
        rules: cost.rules,
        patterns: walk.patterns,
    })
}

/// The place in the schema that a `$ref` names.
///
/// # Errors
/// It names something else than a place in the same schema.
pub(super) fn target<'a>(root: &'a Json, reference: &str) -> Result<&'a Json, String> {
    let Some(pointer) = reference.strip_prefix('#') else {
        return Err(format!(
            "refers to {reference:?}, and nothing is fetched or opened for it: copy that schema under `$defs` and \
             write \"#/$defs/NAME\""
        ));
    };
    if pointer.contains('%') || !(pointer.is_empty() || pointer.starts_with('/')) {
        return Err(format!(
            "has the reference {reference:?}: only plain ones such as \"#/$defs/NAME\" are supported"
        ));
    }
    root.pointer(pointer)
        .ok_or_else(|| format!("has the reference {reference:?}, which leads nowhere"))
}

#[derive(Clone, Copy)]
struct Cost {
    rules: u64,
    height: u32,
}

/// How many values or names a keyword lists, each of which is looked at on its own.
fn listed(keyword: &str, value: &Json) -> u64 {
    let length = |list: &Json| list.as_array().map_or(0, Vec::len);
    let count = match keyword {
        "enum" | "required" => length(value),
        "dependentRequired" | "dependencies" => {
            let lists = value.as_object().into_iter().flat_map(serde_json::Map::values);
            lists.map(|list| 1 + length(list)).sum()
        }
        _ => 0,
    };
    u64::try_from(count).unwrap_or(u64::MAX)
}

struct Walk<'a> {
    root: &'a Json,
    /// Costs by the address of the schema, which stays where it is while the walk borrows it.
    known: HashMap<*const Json, Cost>,
    open: HashSet<*const Json>,
    patterns: u32,
}

impl<'a> Walk<'a> {
    fn schema(&mut self, schema: &'a Json, depth: u32) -> Result<Cost, String> {
        let Json::Object(keywords) = schema else {
            // `true` and `false`. What is no schema at all is found when it is compiled.
            return Ok(Cost { rules: 1, height: 1 });
        };
        let place: *const Json = schema;
        if self.open.contains(&place) {
            return Err("refers to itself in a circle, which is not supported".to_owned());
        }
        let deepest = self.known.get(&place).map_or(1, |cost| cost.height);
        if depth + deepest > DEPTH_MAX {
            return Err(format!(
                "is nested more than {DEPTH_MAX} deep, references included"
            ));
        }
        if let Some(cost) = self.known.get(&place) {
            return Ok(*cost);
        }
        self.open.insert(place);
        let mut cost = Cost { rules: 1, height: 0 };
        for (keyword, value) in keywords {
            self.keyword(keyword, value, depth, &mut cost)?;
        }
        cost.height += 1;
        self.open.remove(&place);
        self.known.insert(place, cost);
        Ok(cost)
    }

    fn keyword(&mut self, keyword: &str, value: &'a Json, depth: u32, cost: &mut Cost) -> Result<(), String> {
        cost.rules = cost.rules.saturating_add(1 + listed(keyword, value));
        let mut parts: Vec<&'a Json> = Vec::new();
        match keyword {
            _ if REFUSED.contains(&keyword) => {
                return Err(format!("has the keyword `{keyword}`, which is not supported"));
            }
            "$id" | "id" if depth > 0 && value.is_string() => {
                return Err(format!(
                    "has the keyword `{keyword}` below its top, which is not supported: refer to parts by \"#/$defs/NAME\""
                ));
            }
            "$ref" => {
                // A reference that is no text is found when the schema is compiled.
                if let Some(reference) = value.as_str() {
                    parts.push(target(self.root, reference)?);
                }
            }
            "pattern" => {
                self.patterns = self.patterns.saturating_add(1);
                short_enough(value.as_str().unwrap_or_default())?;
            }
            "additionalProperties"
            | "additionalItems"
            | "contains"
            | "contentSchema"
            | "not"
            | "if"
            | "then"
            | "else"
            | "propertyNames" => parts.push(value),
            "allOf" | "anyOf" | "oneOf" | "prefixItems" | "items" => match value {
                Json::Array(items) => parts.extend(items),
                other => parts.push(other),
            },
            "properties" | "patternProperties" | "dependentSchemas" | "dependencies" | "$defs"
            | "definitions" => {
                let entries = value.as_object();
                if keyword == "patternProperties" {
                    let more = u32::try_from(entries.map_or(0, serde_json::Map::len)).unwrap_or(u32::MAX);
                    self.patterns = self.patterns.saturating_add(more);
                    for pattern in entries.into_iter().flat_map(serde_json::Map::keys) {
                        short_enough(pattern)?;
                    }
                }
                parts.extend(entries.into_iter().flat_map(serde_json::Map::values));
            }
            _ => {}
        }
        within(cost.rules)?;
        for part in parts {
            let below = self.schema(part, depth + 1)?;
            cost.rules = cost.rules.saturating_add(below.rules);
            cost.height = cost.height.max(below.height);
            within(cost.rules)?;
        }
        Ok(())
    }
}

/// Whether a pattern can be compiled without taking too much memory on the way, where its size is not bounded yet.
fn short_enough(pattern: &str) -> Result<(), String> {
    if pattern.len() > TEXT_MAX {
        return Err(format!(
            "has a pattern of {} bytes; at most {TEXT_MAX} are allowed",
            pattern.len()
        ));
    }
    Ok(())
}

fn within(rules: u64) -> Result<(), String> {
    if rules > RULES_MAX {
        return Err(format!(
            "has more than {RULES_MAX} rules, each counted as often as references lead to it"
        ));
    }
    Ok(())
}
