//! `stop`: ask a run to stop. The answer comes as soon as the request is recorded; `wait` waits for the end.

use super::{ask_about, ask_once};
use crate::ctl::Call;
use crate::ctl::cli::Target;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::render::json;
use crate::wire::control::{Request, Response};

/// Arguments of `stop`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    #[command(flatten)]
    target: Target,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let selector = args.target.selector()?;
    let mut session = ask_about(call, &selector)?;
    // Nothing runs of what waits for its retry. If that begins right now it is stopped, whatever is said; and the newest run
    // may be another one by then.
    let pending = match session.call(&Request::Status(selector.clone())) {
        Ok(Response::Run(view)) if view.retry.is_some() && view.status.is_terminal() => Some(view.run),
        _ => None,
    };
    let request = Request::Stop {
        run: selector,
        interrupted: false,
    };
    let Response::Accepted { run, warnings } = ask_once(session, &request, call)? else {
        return Err(Failure::unexpected());
    };
    if call.out.json {
        call.out.object(&json::accepted(&run, &warnings));
    } else if pending.as_ref() == Some(&run) {
        call.out
            .line(&format!("the retry of {run} is cancelled; it stays as it ended"));
    } else {
        call.out.line(&format!("{run} is being stopped"));
    }
    Ok(Exit::Ok)
}
