//! The core schema of YAML 1.2 (chapter 10.3): what a plain scalar is.

use super::Kind;

/// What a plain scalar with this text is.
pub(super) fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Kind::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Kind::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Kind::Float(f64::NEG_INFINITY),
        _ => number(text).unwrap_or(Kind::Str),
    }
}

fn number(text: &str) -> Option<Kind> {
    let radix = |digits: &str, radix: u32| {
        let plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        plain
            .then(|| i64::from_str_radix(digits, radix).ok().map(Kind::Int))
            .flatten()
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) {
        // A whole number beyond 64 bits is still a number, only not a whole one that anything here can take.
        return match text.parse() {
            Ok(value) => Some(Kind::Int(value)),
            Err(_) => text.parse().ok().map(Kind::Float),
        };
    }
    is_float(unsigned)
        .then(|| text.parse().ok().map(Kind::Float))
        .flatten()
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent_fits = exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)));
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    exponent_fits && mantissa_fits
}
