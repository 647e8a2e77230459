//! `reload`: have the daemon read its configuration again.

use serde_json::json;

use super::ask_once;
use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::render::escape::escape;
use crate::ctl::session::Session;
use crate::wire::control::{Request, Response};

/// Arguments of `reload`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {}

pub(in crate::ctl) fn run(_args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let session = Session::open(&call.place)?;
    let Response::Reloaded(changes) = ask_once(session, &Request::Reload, call)? else {
        return Err(Failure::unexpected());
    };
    if call.out.json {
        call.out.object(&json!({ "changes": changes }));
    } else if changes.is_empty() {
        call.out.line("the configuration is read again; nothing changed");
    } else {
        call.out.lines(changes.iter().map(|change| escape(change)));
    }
    Ok(Exit::Ok)
}
