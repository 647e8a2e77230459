//! `version`: the versions of this program and of the daemon, if one answers.

use serde_json::{Value, json};

use crate::ctl::Call;
use crate::ctl::client::Client;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::render::version;
use crate::wire::PROTOCOL_VERSION;
use crate::wire::control::Request;

/// Arguments of `version`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {}

pub(in crate::ctl) fn run(_args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let own = env!("CARGO_PKG_VERSION");
    let pong = Client::connect(&call.place.socket()).and_then(|mut client| client.call(&Request::Ping));
    if call.out.json {
        let daemon = pong.as_ref().map_or(Value::Null, version::daemon);
        call.out
            .object(&json!({ "version": own, "protocol": PROTOCOL_VERSION, "daemon": daemon }));
        return Ok(Exit::Ok);
    }
    call.out
        .line(&format!("proctorctl {own} (protocol version {PROTOCOL_VERSION})"));
    match pong {
        Ok(pong) => call.out.line(&version::line(&pong)),
        Err(error) => call.out.note(&error.to_string()),
    }
    Ok(Exit::Ok)
}
