//! The client, `proctorctl`: how people and scripts talk to the daemon.
//!
//! [`main`] reads the command line (`cli`), finds the daemon that is meant (`place`), and gives the call to its
//! verb, one file each under `verbs`. A verb opens a `session`, asks, and hands what it got to a renderer under
//! `render`: a table, a tree, or with `--json` exactly one JSON object. How the call ends is one table in [`exit`].
//!
//! It owns nothing: it never reads or writes what the daemon keeps, and it may do only what the daemon allows its
//! user. The two things it opens itself, DAG files and step logs, it opens with the user's own rights. There is one
//! thread and no runtime; what is waited for together (answers, signals, a daemon's end) is waited for with poll(2).

mod again;
mod cli;
mod client;
mod embedded;
pub mod exit;
mod failure;
mod family;
mod follow;
mod interrupts;
mod local;
mod out;
mod place;
mod render;
mod schemas;
mod session;
mod signals;
mod tail;
mod verbs;
mod zone;

use clap::Parser;
use std::ffi::OsString;
use std::process::ExitCode;

use cli::{Cli, Verb};
use exit::Exit;
use failure::Failure;
use out::Out;
use place::{Place, PlaceEnv};

/// One call: which daemon, and where the answer goes.
#[derive(Debug)]
struct Call {
    place: Place,
    out: Out,
}

/// Runs `proctorctl` with these arguments, the program's name first, and says how it ended.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            if cli::wants_json(&args) {
                Out::standard(true).failure(&Failure::from(error));
            } else {
                // If it cannot be written, its reader is gone.
                drop(error.print());
            }
            return Exit::Usage.into();
        }
        Err(help_or_version) => {
            drop(help_or_version.print());
            return Exit::Ok.into();
        }
    };
    let out = Out::standard(cli.json);
    run(cli, &PlaceEnv::of_process(), out).into()
}

fn run(cli: Cli, env: &PlaceEnv, mut out: Out) -> Exit {
    let place = match Place::find(cli.root, cli.embedded, env) {
        Ok(place) => place,
        Err(failure) => {
            out.failure(&failure);
            return failure.exit;
        }
    };
    let mut call = Call { place, out };
    let exit = dispatch(cli.verb, &mut call).unwrap_or_else(|failure| {
        call.out.failure(&failure);
        failure.exit
    });
    match call.out.write_error() {
        Some(kind) if exit == Exit::Ok => {
            call.out.note(&format!("cannot write the answer: {kind}"));
            Exit::Negative
        }
        _ => exit,
    }
}

fn dispatch(verb: Verb, call: &mut Call) -> Result<Exit, Failure> {
    match verb {
        Verb::Run(args) => verbs::run::run(&args, call),
        Verb::Ps(args) => verbs::ps::run(&args, call),
        Verb::Status(args) => verbs::status::run(&args, call),
        Verb::Enqueue(args) => verbs::enqueue::run(&args, call),
        Verb::Dequeue(args) => verbs::dequeue::run(&args, call),
        Verb::Queue(command) => verbs::queue::run(&command, call),
        Verb::Stop(args) => verbs::stop::run(&args, call),
        Verb::Approve(args) => verbs::decide::approve(&args, call),
        Verb::Reject(args) => verbs::decide::reject(&args, call),
        Verb::Restart(args) => verbs::restart::run(&args, call),
        Verb::Retry(args) => verbs::retry::run(&args, call),
        Verb::Logs(args) => verbs::logs::run(&args, call),
        Verb::History(args) => verbs::history::run(&args, call),
        Verb::Wait(args) => verbs::wait::run(&args, call),
        Verb::Install(args) => verbs::install::install(&args, call),
        Verb::Remove(args) => verbs::install::remove(&args, call),
        Verb::Edit(args) => verbs::edit::run(&args, call),
        Verb::Dags(args) => verbs::installed::dags(&args, call),
        Verb::Enable(args) => verbs::enable::run(&args, true, call),
        Verb::Disable(args) => verbs::enable::run(&args, false, call),
        Verb::Next(args) => verbs::installed::next(&args, call),
        Verb::Validate(args) => verbs::validate::run(&args, call),
        Verb::DryRun(args) => verbs::dry_run::run(&args, call),
        Verb::Cron(args) => verbs::cron::run(&args, call),
        Verb::Graph(args) => verbs::graph::run(&args, call),
        Verb::Schema(args) => verbs::schema::run(&args, call),
        Verb::Completions(args) => verbs::completions::run(&args, call),
        Verb::Why(args) => verbs::why::run(&args, call),
        Verb::Cleanup(args) => verbs::cleanup::run(&args, call),
        Verb::Doctor(args) => verbs::doctor::run(&args, call),
        Verb::Metrics(args) => verbs::metrics::run(&args, call),
        Verb::Reload(args) => verbs::reload::run(&args, call),
        Verb::Version(args) => verbs::version::run(&args, call),
    }
}

#[cfg(test)]
mod tests;
