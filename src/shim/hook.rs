//! A hook for operators: the shim becomes the hook's user and then the operator's program. Nothing but the shim ever
//! gives up root, so that this is done and checked in one place.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use super::setup::leave_privileges;
use crate::sys::exec::exec;
use crate::sys::{signals, stdio};
use crate::wire::shim::{HookSpec, SpecLimits};

/// Exit status of a hook whose program could not be started, as shells have it.
const NOT_STARTED: u8 = 127;
/// File mode creation mask of hooks.
const UMASK: u32 = 0o022;

/// Reads on descriptor 0 what is to be done, up to its end, and does it. If the daemon is gone before it has said all,
/// nothing is done.
pub(super) fn run() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            use std::io::Write;
            // The daemon reads it, or is gone.
            drop(writeln!(std::io::stderr(), "{text}"));
            ExitCode::from(NOT_STARTED)
        }
    }
}

fn start() -> Result<(), String> {
    let channel = stdio::take_stdin().map_err(|error| format!("descriptor 0 is not the channel: {error}"))?;
    signals::reset().map_err(|error| format!("resetting signals: {error}"))?;
    let mut text = Vec::new();
    File::from(channel)
        .read_to_end(&mut text)
        .map_err(|error| format!("reading what is to be done: {error}"))?;
    if text.is_empty() {
        return Ok(());
    }
    let spec: HookSpec =
        serde_json::from_slice(&text).map_err(|error| format!("what is to be done: {error}"))?;
    let none = SpecLimits::default();
    leave_privileges(spec.user.as_ref(), spec.open_files, UMASK, &none)?;
    std::env::set_current_dir("/").map_err(|error| format!("changing to /: {error}"))?;
    let program = spec.command.first().map(String::as_str).unwrap_or_default();
    exec(Path::new(program), &spec.command, &spec.env)
        .map(|_| ())
        .map_err(|error| format!("cannot start {program}: {error}"))
}
