//! Expressions. Input, in parts: a text, a dotenv file, values of five variables, results of commands.

use std::collections::BTreeMap;
use std::sync::Arc;

use proctor::dag::eval::{
    Dialect, EvalError, MAX_TEXT, Memo, Mode, Origin, Outcome, OutputMatcher, Scope, StepRef, camel_case,
    dotenv, expand, seconds, shell_text, value_met, whole, working_dir,
};
use proctor::dag::types::Number;

use crate::parts::parts;

/// Variables whose values the input gives: plain ones, one with a dot's worth of JSON, a positional one, an odd one.
const NAMES: [&str; 5] = ["X", "C", "LONG_NAME", "1", "a-b"];

/// Checks what has to hold for an input.
pub(crate) fn check(input: &[u8]) {
    let mut parts = parts(input).map(|part| String::from_utf8_lossy(part).into_owned());
    let text = parts.next().unwrap_or_default();
    let file = parts.next().unwrap_or_default();
    let mut scope = Scope::new();
    scope.push(Origin::Os);
    scope.set("HOME", "/home/u");
    scope.set("OS_ONLY", "os");
    let mut values = Vec::new();
    for name in NAMES {
        values.extend(parts.next().map(|value| (name, value)));
    }
    let mut scope = scope.with(values.iter().map(|(name, value)| (*name, value.as_str())));
    let build = StepRef {
        stdout: "/logs/build.out".to_owned(),
        stderr: "/logs/build.err".to_owned(),
        exit_code: Some(42),
    };
    scope.set_steps(Arc::new(BTreeMap::from([("build".to_owned(), build)])));
    let mut memo = Memo::new();
    for result in parts {
        // A result that begins with `!` is a failure.
        memo.push(match result.strip_prefix('!') {
            Some(reason) => Err(reason.to_owned()),
            None => Ok(result),
        });
    }
    expansions(&text, &scope, &memo);
    shells(&text, &scope);
    dotenvs(&file, &scope, &memo);
    directories(&text, &file, &scope, &memo);
    conditions(&text, &file);
    numbers(&text, &scope, &memo);
    assert_eq!(camel_case(&text).is_empty(), text.is_empty());
}

fn is_plain(text: &str) -> bool {
    !text.contains(['$', '`', '\\'])
}

fn expansions(text: &str, scope: &Scope, memo: &Memo) {
    for mode in [Mode::FULL, Mode::USER, Mode::DOTENV] {
        let result = expand(text, scope, mode, &memo.cursor());
        assert_eq!(
            result,
            expand(text, scope, mode, &memo.cursor()),
            "not deterministic"
        );
        if is_plain(text) && text.len() <= MAX_TEXT {
            assert_eq!(
                result,
                Ok(Outcome::Ready(text.to_owned())),
                "a plain text changes"
            );
        }
        match result {
            Ok(Outcome::Ready(value)) => assert!(value.len() <= MAX_TEXT),
            Ok(Outcome::Pending(_)) => {
                assert!(mode.commands, "a command that is not allowed");
                // With every answer it comes to an end.
                let mut memo = memo.clone();
                let mut asked = 0;
                while let Ok(Outcome::Pending(_)) = expand(text, scope, mode, &memo.cursor()) {
                    memo.push(Ok("out".to_owned()));
                    asked += 1;
                    assert!(asked <= 256, "it asks for ever");
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn shells(text: &str, scope: &Scope) {
    for dialect in [Dialect::Posix, Dialect::Extended, Dialect::Other] {
        let made = shell_text(text, scope, dialect);
        assert_eq!(made, shell_text(text, scope, dialect), "not deterministic");
        let Ok(made) = made else { continue };
        assert!(!made.text.contains('\0') && made.extra_env.iter().all(|(name, _)| !name.is_empty()));
        if is_plain(text) {
            assert_eq!(made.text, text.replace('\0', ""), "a plain text changes");
            assert!(made.extra_env.is_empty());
        }
        // A value never becomes text of the shell: with other values the text is the same.
        let marked = scope.with(NAMES.map(|name| (name, "Q7marked")));
        if let Ok(marked) = shell_text(text, &marked, dialect) {
            assert!(
                text.contains("Q7marked") || !marked.text.contains("Q7marked"),
                "{}",
                marked.text
            );
        }
    }
}

fn dotenvs(file: &str, scope: &Scope, memo: &Memo) {
    let (entries, warnings) = dotenv::parse(file);
    assert_eq!((entries.clone(), warnings.clone()), dotenv::parse(file));
    assert!(entries.len() <= dotenv::MAX_ENTRIES && entries.len() <= file.len());
    let lines = file.split('\n').count();
    assert!(warnings.iter().all(|warning| (1..=lines).contains(&warning.line)));
    for entry in entries.iter().take(100) {
        assert!(
            !entry.name.is_empty() && !entry.name.contains(['=', '\n', '\0']),
            "{entry:?}"
        );
        let value = expand(&entry.value, scope, Mode::DOTENV, &memo.cursor());
        assert!(
            !matches!(value, Ok(Outcome::Pending(_))),
            "a dotenv file runs a command"
        );
    }
}

fn directories(text: &str, other: &str, scope: &Scope, memo: &Memo) {
    for (step, dag) in [(Some(text), None), (None, Some(text)), (Some(text), Some(other))] {
        let dir = working_dir(step, dag, "/base/dir", Some("/home/u"), scope, &memo.cursor());
        if let Ok(Outcome::Ready(dir)) = dir {
            assert!(dir.starts_with('/') && !dir.contains('\0'), "{dir:?}");
            let odd = dir
                .split('/')
                .skip(1)
                .any(|part| part == ".." || part == "." || part.is_empty());
            assert!(!odd || dir == "/", "{dir:?}");
        }
    }
}

fn conditions(value: &str, expected: &str) {
    let limit = 1 << 20;
    let plain = value_met(value, expected, false, limit);
    let negated = value_met(value, expected, true, limit);
    match (&plain, &negated) {
        (Ok(one), Ok(other)) => assert_ne!(is_met(one), is_met(other), "`negate` does not negate"),
        (Err(one), Err(other)) => assert_eq!(one, other),
        _ => panic!("{plain:?} and {negated:?}"),
    }
    // In pieces a line is found as it is in one.
    let patterns = vec![expected.to_owned()];
    let whole = OutputMatcher::new(&patterns).map(|mut found| {
        found.feed(value.as_bytes());
        found.finish()
    });
    let pieces = OutputMatcher::new(&patterns).map(|mut found| {
        for piece in value.as_bytes().chunks(3) {
            found.feed(piece);
        }
        found.finish()
    });
    assert_eq!(whole, pieces, "pieces are not the whole");
    assert!(matches!(whole, Ok(_) | Err(EvalError::Pattern { .. })));
}

fn is_met(verdict: &proctor::dag::eval::Verdict) -> bool {
    *verdict == proctor::dag::eval::Verdict::Met
}

fn numbers(text: &str, scope: &Scope, memo: &Memo) {
    let number = Number::Expr(text.to_owned());
    let one = whole("limit", &number, scope, &memo.cursor());
    let other = seconds("interval", &number, scope, &memo.cursor());
    if let (Ok(Outcome::Ready(one)), Ok(Outcome::Ready(other))) = (&one, &other) {
        assert_eq!(f64::from(*one), *other);
    } else {
        assert_eq!(one.is_err(), other.is_err());
    }
}
