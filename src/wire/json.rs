//! The control protocol as lines of JSON, for other languages.
//!
//! A connection whose first byte is `{` speaks it: one request a line, and for each the same answers as with
//! frames, one a line. A message is an object with one key, the name of the variant of
//! [`Request`] or [`Response`] in snake case; its value is an object with the fields, or the value itself where
//! the variant holds one:
//!
//! ```text
//! {"ping":{}}                                        {"pong":{"version":"0.1.0","pid":7,"embedded":false}}
//! {"status":{"dag":"backup"}}                        {"run":{"run":{"dag":"backup","id":"1"},...}}
//! {"stop":{"run":{"dag":"backup"}}}                  {"accepted":{"run":{...},"warnings":[]}}
//! {"submit":{"source":"steps: [...]","stem":"x"}}    {"error":{"kind":"invalid","message":"...",...}}
//! {"history":{"dag":"backup","limit":10}}            {"runs":[...]}
//! ```
//!
//! Points in time are integers, microseconds since the Unix epoch; pairs are arrays of two. What may be left out
//! of a request: everything that can be `null`, and what [`defaults`] names. An unknown field is refused.

use serde_json::{Map, Value, json};

use super::control::{Request, Response};

/// Why a line is not a request. The connection stays usable: the next line may be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is no JSON at all.
    #[error("the line is not JSON: {0}")]
    Syntax(String),
    /// It is JSON of another shape.
    #[error("a request is an object with one key, the name of the verb, for example {{\"ping\":{{}}}}")]
    Shape,
    /// There is no such verb.
    #[error("there is no verb {0:?}")]
    Verb(String),
    /// A field has a wrong value or is missing.
    #[error("{verb}: {message}")]
    Field {
        /// The verb.
        verb: String,
        /// What is wrong.
        message: String,
    },
    /// The verb has no such field.
    #[error("{verb}: there is no field {field:?}")]
    UnknownField {
        /// The verb.
        verb: String,
        /// The field, with the ones around it.
        field: String,
    },
}

/// Fields a request may leave out although they cannot be `null`, with the values they then have.
#[must_use]
pub fn defaults(verb: &str) -> Value {
    match verb {
        "submit" => {
            json!({"source": "", "file": "<json>", "stem": "", "base_dir": "/", "args": [], "schemas": [],
            "trigger": "manual", "now": false})
        }
        "history" => json!({"statuses": [], "limit": 100, "lost": false}),
        "stop" => json!({"interrupted": false}),
        "doctor" => json!({"repair": false}),
        "install" => json!({"file": "<json>", "stem": "", "schemas": [], "replace": false, "private": false}),
        "next" => json!({"count": 10}),
        "approve" => json!({"inputs": []}),
        "move" => json!({"first": false}),
        "cleanup" => json!({"dry_run": false}),
        _ => json!({}),
    }
}

/// The request of a line.
///
/// # Errors
/// [`JsonError`] says what is wrong with the line.
pub fn parse_request(line: &[u8]) -> Result<Request, JsonError> {
    let value: Value = serde_json::from_slice(line).map_err(|error| JsonError::Syntax(error.to_string()))?;
    let Value::Object(object) = value else {
        return Err(JsonError::Shape);
    };
    let mut entries = object.into_iter();
    let (Some((verb, body)), None) = (entries.next(), entries.next()) else {
        return Err(JsonError::Shape);
    };
    let variant = pascal(&verb).ok_or_else(|| JsonError::Verb(shorten(&verb)))?;
    let given = match body {
        Value::Null => Value::Object(Map::new()),
        // A name alone, for verbs that need no more.
        Value::Object(_) | Value::String(_) => body,
        _ => {
            return Err(JsonError::Field {
                verb: shorten(&verb),
                message: "the value must be an object, or a name".to_owned(),
            });
        }
    };
    let request = read(&verb, &variant, &given)?;
    if let Some(field) = serde_json::to_value(&request)
        .ok()
        .and_then(|known| unknown(&given, known.get(&variant).unwrap_or(&Value::Null)))
    {
        return Err(JsonError::UnknownField { verb, field });
    }
    Ok(request)
}

fn read(verb: &str, variant: &str, given: &Value) -> Result<Request, JsonError> {
    // A variant without fields is a mere string to serde.
    if let Ok(request) = serde_json::from_value(Value::String(variant.to_owned())) {
        return Ok(request);
    }
    let mut full = if given.is_string() {
        given.clone()
    } else {
        defaults(verb)
    };
    if let (Some(full), Some(given)) = (full.as_object_mut(), given.as_object()) {
        full.extend(given.clone());
    }
    let tagged = Value::Object(Map::from_iter([(variant.to_owned(), full)]));
    serde_json::from_value(tagged).map_err(|error| {
        let message = error.to_string();
        if message.starts_with("unknown variant") {
            let named = format!("unknown variant `{variant}`");
            if message.starts_with(&named) {
                return JsonError::Verb(shorten(verb));
            }
        }
        JsonError::Field {
            verb: verb.to_owned(),
            message,
        }
    })
}

/// The path of the first key that was given and is not in what was understood.
fn unknown(given: &Value, known: &Value) -> Option<String> {
    for (key, value) in given.as_object()? {
        match known.get(key) {
            None => return Some(shorten(key)),
            Some(inner) => {
                if let Some(path) = unknown(value, inner) {
                    return Some(format!("{key}.{path}"));
                }
            }
        }
    }
    None
}

/// The line for an answer, with its line feed.
///
/// # Errors
/// The text of a fault of this program: an answer that JSON cannot hold.
pub fn write_response(response: &Response) -> Result<String, String> {
    let value = serde_json::to_value(response).map_err(|error| error.to_string())?;
    let (variant, mut body) = match value {
        Value::String(variant) => (variant, json!({})),
        Value::Object(object) => object.into_iter().next().ok_or("an answer without a name")?,
        _ => return Err("an answer of an unknown shape".to_owned()),
    };
    if let Some(Value::String(kind)) = body.get_mut("kind").filter(|_| variant == "Error") {
        *kind = snake(kind);
    }
    Ok(format!(
        "{}\n",
        Value::Object(Map::from_iter([(snake(&variant), body)]))
    ))
}

/// `not_found` to `NotFound`; none if the text is not in snake case.
fn pascal(text: &str) -> Option<String> {
    let mut out = String::new();
    for word in text.split('_') {
        let mut letters = word.chars();
        let first = letters.next().filter(char::is_ascii_lowercase)?;
        out.push(first.to_ascii_uppercase());
        out.push_str(letters.as_str());
    }
    text.bytes()
        .all(|b| b.is_ascii_lowercase() || b == b'_')
        .then_some(out)
}

fn snake(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// What a peer sent, cut to a length that fits a message.
fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests;
