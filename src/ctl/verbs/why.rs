//! `why`: tell in plain words why a run is in its state.

use super::{ask_about, ask_once};
use crate::ctl::Call;
use crate::ctl::cli::Target;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::render::escape::escape;
use crate::ctl::render::{Line, json, run_style};
use crate::wire::control::{Request, Response};

/// Arguments of `why`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    #[command(flatten)]
    target: Target,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let selector = args.target.selector()?;
    let session = ask_about(call, &selector)?;
    let Response::Why(why) = ask_once(session, &Request::Why(selector), call)? else {
        return Err(Failure::unexpected());
    };
    if call.out.json {
        call.out.object(&json::why(&why));
        return Ok(Exit::Ok);
    }
    let mut line = Line::default();
    line.plain(&format!("{} is ", why.run))
        .text(run_style(why.status), why.status.as_str());
    call.out
        .line(&format!("{}: {}", line.fit(None), escape(&why.answer)));
    call.out.lines(
        why.evidence
            .iter()
            .map(|finding| format!("  - {}", escape(finding))),
    );
    Ok(Exit::Ok)
}
