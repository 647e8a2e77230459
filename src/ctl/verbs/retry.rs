//! `retry`: a new attempt of an ended run, from its failed steps, with the parameters it had.

use crate::ctl::Call;
use crate::ctl::cli::Target;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::follow;
use crate::ctl::session::Session;
use crate::ctl::signals::Signals;
use crate::wire::control::{Request, Response};

/// Arguments of `retry`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    #[command(flatten)]
    target: Target,

    /// Print the run's id and do not follow
    #[arg(long)]
    detach: bool,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let selector = args.target.selector()?;
    let signals = Signals::catch().map_err(|error| Failure::system("cannot catch signals", &error))?;
    let mut session = Session::open(&call.place)?;
    match session.call(&Request::Retry(selector)) {
        Ok(Response::Accepted { run, warnings }) => {
            follow::answer(session, (&run, &warnings), args.detach, &signals, &mut call.out)
        }
        Ok(_) => Err(Failure::unexpected()),
        Err(failure) => {
            session.finish(None, Some(&signals), &mut call.out);
            Err(failure)
        }
    }
}
