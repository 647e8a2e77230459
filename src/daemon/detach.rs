//! Going into the background. Whoever called waits until the daemon serves, or hears why it does not (daemon(7),
//! step 15).

use std::io::{self, PipeWriter, Read, Write};

use daemonize::{Daemonize, Outcome};

use super::boot::{Failure, because};

/// What the daemon says when it serves. Anything else is the reason of its end.
const READY: &str = "ready";

/// Who this process is after the detaching.
#[derive(Debug)]
pub(super) enum Side {
    /// The process that was called; the daemon serves.
    Caller,
    /// The daemon.
    Daemon(Caller),
}

/// The process that waits. It hears one thing, or the end of this process.
#[derive(Debug)]
pub(super) struct Caller(PipeWriter);

impl Caller {
    /// The daemon serves.
    pub(super) fn ready(self) {
        self.say(READY);
    }

    /// The daemon ends before it has served.
    pub(super) fn failed(self, failure: &Failure) {
        self.say(&failure.to_string());
    }

    fn say(mut self, text: &str) {
        // A caller that was killed need not hear.
        drop(self.0.write_all(text.as_bytes()));
    }
}

/// Detaches from terminal, session and working directory. Must be called before there are threads.
///
/// Only the detaching is the crate's; lock, credentials and directories are our own (RUSTSEC-2025-0069).
pub(super) fn detach() -> Result<Side, Failure> {
    let failed = |error: daemonize::Error| Failure::Other(format!("cannot detach: {error}"));
    let (mut hear, say) = io::pipe().map_err(because("the pipe to the caller"))?;
    match Daemonize::new().working_directory("/").umask(0o022).execute() {
        Outcome::Child(child) => {
            drop(hear);
            child.map_err(failed)?;
            Ok(Side::Daemon(Caller(say)))
        }
        Outcome::Parent(parent) => {
            drop(say);
            parent.map_err(failed)?;
            let mut said = String::new();
            hear.read_to_string(&mut said)
                .map_err(because("the daemon cannot be heard"))?;
            match said.as_str() {
                READY => Ok(Side::Caller),
                "" => Err(Failure::Other(String::from("the daemon ended before it served"))),
                why => Err(Failure::Told(why.to_owned())),
            }
        }
    }
}
