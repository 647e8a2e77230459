//! What a text comes to when nothing may be run and nothing outside be asked: as a DAG is shown, or submitted.

use super::reference::name_len;
use super::{Memo, Mode, Outcome, Scope, expand};

/// The value of a text in which every name is one of these variables; none if it names others, if there is a command
/// in it, or if it cannot be evaluated. It is then the value that the text has when the run evaluates it.
#[must_use]
pub fn known(text: &str, scope: &Scope) -> Option<String> {
    const NO_COMMANDS: Mode = Mode {
        os: false,
        commands: false,
    };
    if text.contains('`') || !text.split('$').skip(1).all(|rest| is_known(rest, scope)) {
        return None;
    }
    match expand(text, scope, NO_COMMANDS, &Memo::new().cursor()) {
        Ok(Outcome::Ready(value)) => Some(value),
        _ => None,
    }
}

/// Whether the name behind a `$` is one of the variables. Where no name follows, nothing is expanded.
fn is_known(behind: &str, scope: &Scope) -> bool {
    let name = behind.strip_prefix('{').unwrap_or(behind);
    let name = name.strip_prefix('#').unwrap_or(name);
    name_len(name).is_none_or(|len| scope.get(name.get(..len).unwrap_or_default(), false).is_some())
}
