//! `enable` and `disable`: whether the schedules of an installed DAG count. The answer comes when it is recorded.

use super::install::change;
use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::model::DagName;
use crate::wire::control::Request;

/// Arguments of `enable` and `disable`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    /// Name of the DAG
    #[arg(value_name = "NAME")]
    name: String,
}

pub(in crate::ctl) fn run(args: &Args, on: bool, call: &mut Call) -> Result<Exit, Failure> {
    let dag = DagName::new(args.name.as_str())?;
    let done = if on {
        "is enabled"
    } else {
        "is disabled: nothing of its schedules happens, and none of its owner's runs of it is tried again by itself, until it \
         is enabled; what runs goes on"
    };
    change(&Request::Enable { dag, on }, done, call)
}
