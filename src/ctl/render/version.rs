//! The daemon as it presents itself.

use serde_json::{Value, json};

use super::escape::escape;
use crate::wire::control::Response;

/// As a JSON object; `null` if the answer is no presentation.
pub(crate) fn daemon(pong: &Response) -> Value {
    match pong {
        Response::Pong {
            version,
            pid,
            embedded,
        } => {
            json!({ "version": version, "pid": pid, "embedded": embedded })
        }
        _ => Value::Null,
    }
}

/// As a line.
pub(crate) fn line(pong: &Response) -> String {
    match pong {
        Response::Pong {
            version,
            pid,
            embedded,
        } => {
            let kind = if *embedded { "private daemon" } else { "daemon" };
            format!("proctord {} ({kind}, pid {pid})", escape(version))
        }
        _ => "proctord does not answer".to_owned(),
    }
}
