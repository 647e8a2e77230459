//! Numbers of retry and repeat policies, which may be expressions.

use super::expand::expand_or_stop;
use super::{Cursor, EvalError, Mode, Outcome, Scope, Stop, settle};
use crate::dag::types::Number;

/// A limit: a whole number from 0 to `u32::MAX`. `what` names the setting in errors.
///
/// # Errors
/// Evaluation failed, or the result is not such a number.
pub fn whole(
    what: &'static str,
    number: &Number,
    scope: &Scope,
    cursor: &Cursor<'_>,
) -> Result<Outcome<u32>, EvalError> {
    settle(whole_or_stop(what, number, scope, cursor))
}

/// An interval in seconds. A known one may have a fraction; an expression must come to a whole number.
///
/// # Errors
/// Evaluation failed, or the result is not such a number.
pub fn seconds(
    what: &'static str,
    number: &Number,
    scope: &Scope,
    cursor: &Cursor<'_>,
) -> Result<Outcome<f64>, EvalError> {
    if let Number::Known(known) = number {
        if known.is_finite() && *known >= 0.0 {
            return Ok(Outcome::Ready(*known));
        }
        return Err(not_whole(what, &known.to_string(), &known.to_string()));
    }
    settle(whole_or_stop(what, number, scope, cursor).map(f64::from))
}

fn whole_or_stop(
    what: &'static str,
    number: &Number,
    scope: &Scope,
    cursor: &Cursor<'_>,
) -> Result<u32, Stop> {
    let (text, value) = match number {
        Number::Known(known) => (known.to_string(), known.to_string()),
        Number::Expr(text) => (text.clone(), expand_or_stop(text, scope, Mode::FULL, cursor)?),
    };
    value
        .trim()
        .parse()
        .map_err(|_| not_whole(what, &text, &value).into())
}

fn not_whole(what: &'static str, text: &str, value: &str) -> EvalError {
    let short = |t: &str| t.chars().take(80).collect();
    EvalError::NotWhole {
        what,
        text: short(text),
        value: short(value),
    }
}
