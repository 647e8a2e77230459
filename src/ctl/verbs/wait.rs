//! `wait`: wait for the end of a run. The exit status tells its outcome, as with `run`.

use super::ask_about;
use crate::ctl::Call;
use crate::ctl::cli::Target;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::family::Family;
use crate::ctl::follow::{self, Ended, now};
use crate::ctl::render::{json, progress::Progress, tree::headline};

/// Arguments of `wait`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    #[command(flatten)]
    target: Target,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let selector = args.target.selector()?;
    let mut session = ask_about(call, &selector)?;
    // Signals keep their default effect: to end the waiting does nothing to the run.
    let ended = follow::follow(
        &mut session,
        &selector,
        None,
        &mut Progress::Silent,
        &mut call.out,
    )?;
    let Ended::Over { view, .. } = ended else {
        return Err(Failure::new(Exit::Negative, "the run is still live"));
    };
    if call.out.json {
        let family = Family::of(&mut session, &view)?;
        call.out.object(&json::result(&view, &family));
    } else {
        let line = headline(&view, now()).fit(call.out.width());
        call.out.line(&line);
    }
    session.finish(Some(&view.run), None, &mut call.out);
    Ok(Exit::of_run(&view))
}
