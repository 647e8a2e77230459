//! `enqueue`: queue a run. As `run --detach`.

use super::ask_once;
use super::run::{Wanted, submission};
use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::render::json;
use crate::ctl::session::Session;
use crate::wire::control::{Request, Response};

const EXAMPLES: &str = "\
Examples:
  proctorctl enqueue report.yaml -- 2026-01     queue a run of a file with a parameter
  proctorctl enqueue --queue nightly backup     queue an installed DAG, in another queue than its own
  proctorctl enqueue --priority high backup     have it go before those of lower priority";

/// Arguments of `enqueue`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", crate::ctl::exit::HELP))]
pub(in crate::ctl) struct Args {
    #[command(flatten)]
    wanted: Wanted,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let request = Request::Submit(Box::new(submission(&args.wanted)?));
    let session = Session::open(&call.place)?;
    let Response::Accepted { run, warnings } = ask_once(session, &request, call)? else {
        return Err(Failure::unexpected());
    };
    if call.out.json {
        call.out.object(&json::accepted(&run, &warnings));
    } else {
        for warning in &warnings {
            call.out.warning(warning);
        }
        call.out.line(&run.to_string());
    }
    Ok(Exit::Ok)
}
