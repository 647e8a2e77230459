//! A record as a line for standard error.

use serde_json::{Map, Value as Json};
use tracing::Level;

use super::capture::{Record, Value};

/// The priority of syslog(3) for a level.
pub(super) fn priority(level: Level) -> u8 {
    if level == Level::ERROR {
        3
    } else if level == Level::WARN {
        4
    } else if level == Level::INFO {
        6
    } else {
        7
    }
}

/// A line of text. To a journal (sd-daemon(3)) it starts with its priority, and the journal knows the time; else
/// it starts with the time. The events of operators say everything in their message; others get their fields
/// behind it.
pub(super) fn text(record: &Record, to_journal: bool) -> String {
    let level = *record.metadata.level();
    let mut line = if to_journal {
        format!("<{}>", priority(level))
    } else {
        format!("{} {level:<5} ", record.at.rfc3339())
    };
    let event = record.get("MESSAGE_ID").is_some();
    if !event {
        line += record.metadata.target();
        line += ": ";
    }
    if let Some(message) = record.get("message") {
        line += &message.to_string();
    }
    if !event {
        for (field, value) in record
            .fields
            .iter()
            .filter(|(field, _)| field.name() != "message")
        {
            match value {
                Value::Text(text) => line += &format!(" {}={text:?}", field.name()),
                other => line += &format!(" {}={other}", field.name()),
            }
        }
    }
    line.push('\n');
    line
}

/// A line with a JSON object: `time`, `level`, `target`, `message` and the fields.
pub(super) fn json(record: &Record) -> String {
    let mut object = Map::new();
    let mut put = |name: &str, value: Json| {
        object.insert(name.to_owned(), value);
    };
    put("time", record.at.rfc3339().into());
    put(
        "level",
        record.metadata.level().as_str().to_ascii_lowercase().into(),
    );
    put("target", record.metadata.target().into());
    if let Some(message) = record.get("message") {
        put("message", message.to_string().into());
    }
    for (field, value) in record
        .fields
        .iter()
        .filter(|(field, _)| field.name() != "message")
    {
        let value = match value {
            Value::Text(text) => text.as_str().into(),
            Value::Signed(number) => (*number).into(),
            Value::Unsigned(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Truth(truth) => (*truth).into(),
        };
        put(field.name(), value);
    }
    let mut line = Json::Object(object).to_string();
    line.push('\n');
    line
}
