//! `metrics`: numbers about the daemon, as Prometheus reads them.

use serde_json::json;

use super::ask_once;
use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::session::Session;
use crate::wire::control::{Request, Response};

const EXAMPLES: &str = "\
Examples:
  proctorctl metrics                                    everything
  proctorctl metrics | grep ^proctor_runs               what is accepted, live and ended
  proctorctl metrics >/var/lib/node_exporter/p.prom     for a collector; [metrics] textfile writes it by itself";

/// Arguments of `metrics`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::ctl) struct Args {}

pub(in crate::ctl) fn run(_args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    // Also of a root that was never used: only a daemon has counted anything.
    let session = Session::open(&call.place)?;
    let Response::Metrics(text) = ask_once(session, &Request::Metrics, call)? else {
        return Err(Failure::unexpected());
    };
    if call.out.json {
        call.out
            .object(&json!({ "format": "prometheus text 0.0.4", "metrics": text }));
    } else {
        call.out.raw(text.as_bytes());
    }
    Ok(Exit::Ok)
}
