//! The collected outputs of a run.

use crate::dag::types::Output;

/// The key of a variable among the collected outputs: `OUTPUT_NAME` is `outputName`; a name without `_` that
/// is not all upper case stays as it is.
#[must_use]
pub fn camel_case(name: &str) -> String {
    if !name.contains('_') && name.chars().any(char::is_lowercase) {
        return name.to_owned();
    }
    let mut key = String::with_capacity(name.len());
    for part in name.split('_').filter(|p| !p.is_empty()) {
        let lower = part.to_lowercase();
        let mut chars = lower.chars();
        match chars.next() {
            Some(first) if !key.is_empty() => key.extend(first.to_uppercase()),
            Some(first) => key.push(first),
            None => {}
        }
        key.push_str(chars.as_str());
    }
    if key.is_empty() { name.to_owned() } else { key }
}

/// The collected outputs: of each captured output, in the order of the steps, its `key` or else the variable's
/// name in camelCase. What is marked `omit` is left out; of two with one key the later wins, in the place of the first.
/// The value is what the step wrote, trimmed; masking of secrets is the caller's.
#[must_use]
pub fn collect<'a>(outputs: impl IntoIterator<Item = (&'a Output, &'a str)>) -> Vec<(String, String)> {
    let mut collected: Vec<(String, String)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (output, value) in outputs.into_iter().filter(|(o, _)| !o.omit) {
        let key = output.key.clone().unwrap_or_else(|| camel_case(&output.name));
        let place = *places.entry(key.clone()).or_insert(collected.len());
        match collected.get_mut(place) {
            Some((_, old)) => value.clone_into(old),
            None => collected.push((key, value.to_owned())),
        }
    }
    collected
}
