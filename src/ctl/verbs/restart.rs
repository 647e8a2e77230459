//! `restart`: stop a run, wait for its end, and start a new one with the same DAG and parameters.

use crate::ctl::Call;
use crate::ctl::cli::Target;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::follow::{self, Ended, exactly};
use crate::ctl::render::progress::Progress;
use crate::ctl::session::Session;
use crate::ctl::signals::Signals;
use crate::wire::control::{Request, Response};

/// Arguments of `restart`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    #[command(flatten)]
    target: Target,

    /// Print the new run's id and do not follow
    #[arg(long)]
    detach: bool,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let selector = args.target.selector()?;
    let signals = Signals::catch().map_err(|error| Failure::system("cannot catch signals", &error))?;
    let mut session = Session::open(&call.place)?;
    let Response::Run(view) = session.call(&Request::Status(selector))? else {
        return Err(Failure::unexpected());
    };
    // What a step calls ends with that step, so its stop would be all that came of it.
    if let Some(caller) = &view.parent {
        return Err(Failure {
            hint: Some(format!(
                "stop or retry {}, the run at the root of the tree",
                caller.root
            )),
            ..Failure::new(
                Exit::Negative,
                format!(
                    "run {} was called by step {} of {}: it cannot be restarted alone",
                    view.run, caller.step, caller.run
                ),
            )
        });
    }
    let stop = Request::Stop {
        run: exactly(&view.run),
        interrupted: false,
    };
    let Response::Accepted { run: old, .. } = session.call(&stop)? else {
        return Err(Failure::unexpected());
    };
    call.out.note(&format!("waiting for the end of {old}"));
    let old = exactly(&old);
    let ended = follow::follow(
        &mut session,
        &old,
        Some(&signals),
        &mut Progress::Silent,
        &mut call.out,
    )?;
    // Who stops this call while it waits does not want what would come next.
    if matches!(ended, Ended::Detached | Ended::Over { stopped: true, .. }) {
        return Err(Failure::new(
            Exit::Negative,
            "the run is stopped; no new one was started",
        ));
    }
    let Response::Accepted { run, warnings } = session.call(&Request::Rerun(old))? else {
        return Err(Failure::unexpected());
    };
    follow::answer(session, (&run, &warnings), args.detach, &signals, &mut call.out)
}
