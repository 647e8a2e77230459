//! `ps`: the runs that are live, queued or wait for approval.

use super::{ask_once, run_table};
use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::follow::now;
use crate::ctl::render::json;
use crate::ctl::session::Session;
use crate::model::view::RunSummary;
use crate::wire::control::{Request, Response};

/// Arguments of `ps`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    /// Leave out runs that a step of another run called
    #[arg(long)]
    roots: bool,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let mut runs = match Session::open_to_ask(&call.place)? {
        None => Vec::new(),
        Some(session) => match ask_once(session, &Request::Ps, call)? {
            Response::Runs(runs) => runs,
            _ => return Err(Failure::unexpected()),
        },
    };
    if args.roots {
        runs.retain(|run| run.parent.is_none());
    }
    show(
        &runs,
        false,
        "nothing is live, queued or waits for approval",
        call,
    );
    Ok(Exit::Ok)
}

/// Shows a list of runs; in its `long` form with what they used.
pub(super) fn show(runs: &[RunSummary], long: bool, if_none: &str, call: &mut Call) {
    if call.out.json {
        call.out.object(&json::runs(runs));
    } else if runs.is_empty() {
        call.out.note(if_none);
    } else {
        let lines = run_table(runs, now(), call.out.width(), long);
        call.out.lines(lines);
    }
}
