//! The process that supervises one attempt.
//!
//! It is single-threaded, becomes the job's user before it reads any of the user's files, holds the lock on its
//! proc entry for its whole life, writes the attempt's journal and answers on the attempt's status socket. It
//! never waits for the daemon: with the daemon down, stopped or upgraded, the attempt runs on and ends properly.
//!
//! What is decided is decided by [`crate::engine::attempt`]; this module performs it and reports back.

mod boot;
mod calls;
mod children;
mod conn;
mod context;
mod copies;
mod evaluate;
mod files;
mod hook;
mod journalled;
mod mask;
mod outlet;
mod outputs;
mod references;
mod secrets;
mod setup;
mod status;
mod supervisor;
mod taps;
mod task;
mod timers;
mod tree;
mod witness;

use std::io::Write;
use std::process::ExitCode;

const HELP: &str = "\
Supervise one attempt at a run. proctord starts it; there is nothing to do by hand.

Usage: proctor-shim [OPTIONS]

Options:
      --hook     Run a hook for operators, as standard input describes it
      --version  Print version
      --help     Print help

See proctor-shim(8).";

/// Runs the shim. Descriptor 0 must be a socket whose other end is the daemon.
///
/// The exit status says nothing to anybody: what happened is in the journal.
#[must_use]
pub fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        None => {}
        Some("--version") => {
            write_line(&format!("proctor-shim {}", env!("CARGO_PKG_VERSION")));
            return ExitCode::SUCCESS;
        }
        Some("--hook") => return hook::run(),
        Some("--help") => {
            write_line(HELP);
            return ExitCode::SUCCESS;
        }
        Some(_) => {
            // Whoever closed standard error does not want to read it.
            drop(writeln!(
                std::io::stderr(),
                "proctor-shim: it takes no such argument; see `proctor-shim --help`"
            ));
            return ExitCode::from(2);
        }
    }
    match boot::boot() {
        Ok(Some(boot)) => supervisor::run(boot),
        // The gate was never opened: nothing of the job has run, and nothing must.
        Ok(None) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::FAILURE
        }
    }
}

fn write_line(text: &str) {
    // Whoever closed standard output does not want to read it.
    drop(writeln!(std::io::stdout(), "{text}"));
}
