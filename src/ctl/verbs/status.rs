//! `status`: how a run stands, or the daemon and what it has to do.

use serde_json::json;

use super::{ask_about, ask_once, run_table};
use crate::ctl::Call;
use crate::ctl::cli::selector;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::family::Family;
use crate::ctl::follow::now;
use crate::ctl::render::tree::{Room, details, tree};
use crate::ctl::render::{json as as_json, version};
use crate::ctl::session::Session;
use crate::wire::control::{Request, Response, Selector};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    /// Name of the DAG, or NAME:RUN-ID; without it, the daemon and its runs are shown
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// The run; without it, the newest one of the DAG
    #[arg(long, value_name = "ID", requires = "name")]
    run_id: Option<String>,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let Some(name) = &args.name else {
        return daemon(call);
    };
    let selector = selector(name, args.run_id.as_deref())?;
    let mut session = ask_about(call, &selector)?;
    let told = tell(&mut session, &selector, call);
    session.finish(None, None, &mut call.out);
    told
}

fn tell(session: &mut Session, selector: &Selector, call: &mut Call) -> Result<Exit, Failure> {
    let Response::Run(view) = session.call(&Request::Status(selector.clone()))? else {
        return Err(Failure::unexpected());
    };
    if call.out.json {
        let family = Family::of(session, &view)?;
        call.out.object(&as_json::result(&view, &family));
        return Ok(Exit::Ok);
    }
    let room = Room {
        width: call.out.width(),
        rows: None,
    };
    call.out.lines(tree(&view, now(), room));
    call.out.lines(details(&view));
    Ok(Exit::Ok)
}

fn daemon(call: &mut Call) -> Result<Exit, Failure> {
    let Some(mut session) = Session::open_to_ask(&call.place)? else {
        if call.out.json {
            call.out.object(&json!({ "daemon": null, "runs": [] }));
        } else {
            call.out.note("no daemon runs here, and nothing was ever run");
        }
        return Ok(Exit::Ok);
    };
    let pong = session.call(&Request::Ping)?;
    let Response::Runs(runs) = ask_once(session, &Request::Ps, call)? else {
        return Err(Failure::unexpected());
    };
    if call.out.json {
        let mut object = as_json::runs(&runs);
        object["daemon"] = version::daemon(&pong);
        call.out.object(&object);
        return Ok(Exit::Ok);
    }
    call.out.line(&version::line(&pong));
    if !runs.is_empty() {
        let lines = run_table(&runs, now(), call.out.width(), false);
        call.out.lines(lines);
    }
    Ok(Exit::Ok)
}
