//! The daemon: it owns the proc directory, the store and the control socket, launches and adopts shims, reaps
//! what dies, and lets the scheduler engine decide.
//!
//! It must not run a job's code, open a path that a user chose, or decide anything itself.

mod account;
mod admission;
mod alarms;
mod allowed;
mod args;
mod attempt;
mod below;
mod boot;
mod callee;
mod calls;
mod channel;
mod cleanup;
mod clients;
mod control;
mod decisions;
mod detach;
mod dispatcher;
mod doctor;
mod effects;
mod evidence;
mod follow;
mod foreign;
mod hooks;
mod host;
mod inherited;
mod installed;
mod job_env;
mod kept;
mod launch;
mod limits;
mod lists;
mod live;
mod liveness;
mod metrics;
mod orders;
mod outbox;
mod patience;
mod place;
mod privileges;
mod questions;
mod queues;
mod recovery;
mod registry;
mod reload;
mod requests;
mod retention;
mod retries;
mod run_as;
mod saving;
mod schedules;
mod shims;
mod slots;
mod stalled;
mod status;
mod story;
mod submission;
mod tree;
mod undo;
mod verdicts;
mod why;

use std::process::ExitCode;

pub use args::Args;

/// Runs the daemon to its end.
///
/// Exit status: 0 after an orderly end, 1 if it failed, 2 for wrong usage, 78 for a wrong configuration
/// (sysexits.h `EX_CONFIG`).
#[must_use]
pub fn main() -> ExitCode {
    use clap::Parser;
    use std::io::Write;
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version come this way, too; clap knows the stream and the status.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match boot::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            drop(write!(std::io::stderr(), "{failure}"));
            failure.status()
        }
    }
}
