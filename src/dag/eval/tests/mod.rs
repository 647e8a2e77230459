//! Tests of the evaluation: one file per subject, and properties over all.

mod calls;
mod conditions;
mod expansion;
mod invocations;
mod properties;
mod scopes;
mod shells;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Cursor, Memo, Mode, Origin, Outcome, Scope, StepRef, expand};

/// A scope with these user variables over the operating system's `HOME=/home/u` and `OS_ONLY=os`.
fn scope(vars: &[(&str, &str)]) -> Scope {
    let mut scope = Scope::new();
    scope.push(Origin::Os);
    scope.set("HOME", "/home/u");
    scope.set("OS_ONLY", "os");
    let mut scope = scope.with(vars.iter().copied());
    let build = StepRef {
        stdout: "/logs/build.out".to_owned(),
        stderr: "/logs/build.err".to_owned(),
        exit_code: Some(42),
    };
    scope.set_steps(Arc::new(BTreeMap::from([("build".to_owned(), build)])));
    scope
}

fn ready<T>(outcome: Outcome<T>) -> T {
    match outcome {
        Outcome::Ready(value) => value,
        Outcome::Pending(what) => panic!("pending: {:?}", what.command),
    }
}

fn run<T>(f: impl FnOnce(&Cursor<'_>) -> T) -> T {
    f(&Memo::new().cursor())
}

fn full(text: &str, scope: &Scope) -> String {
    ready(run(|c| expand(text, scope, Mode::FULL, c)).expect(text))
}

fn user(text: &str, scope: &Scope) -> String {
    ready(run(|c| expand(text, scope, Mode::USER, c)).expect(text))
}
