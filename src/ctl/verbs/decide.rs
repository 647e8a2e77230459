//! `approve` and `reject`: decide about a step that waits. The answer comes as soon as the decision is recorded; `wait`
//! waits for what becomes of the run.

use super::{ask_about, ask_once};
use crate::ctl::Call;
use crate::ctl::cli::Target;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::render::json;
use crate::wire::control::{Request, Response};

/// Arguments of `approve`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Approve {
    #[command(flatten)]
    target: Target,

    /// The step; needed if several wait
    #[arg(long, value_name = "STEP")]
    step: Option<String>,

    /// A value that the step asks for; it becomes a variable of the step. May be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = input)]
    input: Vec<(String, String)>,
}

/// Arguments of `reject`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Reject {
    #[command(flatten)]
    target: Target,

    /// The step; needed if several wait
    #[arg(long, value_name = "STEP")]
    step: Option<String>,

    /// Why; it is recorded
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(in crate::ctl) fn approve(args: &Approve, call: &mut Call) -> Result<Exit, Failure> {
    let request = Request::Approve {
        run: args.target.selector()?,
        step: args.step.clone(),
        inputs: args.input.clone(),
    };
    decide(&args.target, &request, "is approved and goes on", call)
}

pub(in crate::ctl) fn reject(args: &Reject, call: &mut Call) -> Result<Exit, Failure> {
    let request = Request::Reject {
        run: args.target.selector()?,
        step: args.step.clone(),
        reason: args.reason.clone(),
    };
    decide(&args.target, &request, "is rejected", call)
}

fn decide(target: &Target, request: &Request, done: &str, call: &mut Call) -> Result<Exit, Failure> {
    let session = ask_about(call, &target.selector()?)?;
    let Response::Accepted { run, warnings } = ask_once(session, request, call)? else {
        return Err(Failure::unexpected());
    };
    if call.out.json {
        call.out.object(&json::accepted(&run, &warnings));
    } else {
        call.out.line(&format!("{run} {done}"));
    }
    Ok(Exit::Ok)
}

/// A name and a value with `=` between.
fn input(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("an input is NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_a_name_and_a_value() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(input("A=1"), pair("A", "1"));
        assert_eq!(input("A="), pair("A", ""));
        assert_eq!(input("A=b=c"), pair("A", "b=c"));
        for wrong in ["", "A", "=1"] {
            assert!(input(wrong).is_err(), "{wrong}");
        }
    }
}
