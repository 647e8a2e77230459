//! `dags` and `next`: what is installed, and what its schedules will do.

use serde_json::{Value, json};

use super::ask_once;
use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::render::installed as render;
use crate::ctl::session::Session;
use crate::model::DagName;
use crate::wire::control::{Request, Response};

/// Most times of one call.
const COUNT_MAX: i64 = 1_000;

/// Arguments of `dags`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Dags {}

/// Arguments of `next`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Next {
    /// Only this DAG
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// How many times, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=COUNT_MAX))]
    count: u32,
}

pub(in crate::ctl) fn dags(_args: &Dags, call: &mut Call) -> Result<Exit, Failure> {
    let dags = match Session::open_to_ask(&call.place)? {
        None => Vec::new(),
        Some(session) => match ask_once(session, &Request::Dags, call)? {
            Response::Dags(dags) => dags,
            _ => return Err(Failure::unexpected()),
        },
    };
    if call.out.json {
        let dags: Vec<Value> = dags.iter().map(render::dag).collect();
        call.out.object(&json!({ "dags": dags }));
    } else if dags.is_empty() {
        call.out
            .note("no DAG is installed; `proctorctl install FILE` installs one");
    } else {
        let lines = render::dags(&dags, call.out.width());
        call.out.lines(lines);
    }
    Ok(Exit::Ok)
}

pub(in crate::ctl) fn next(args: &Next, call: &mut Call) -> Result<Exit, Failure> {
    let dag = args.name.as_deref().map(DagName::new).transpose()?;
    let request = Request::Next {
        dag,
        count: args.count,
    };
    let next = match Session::open_to_ask(&call.place)? {
        None => Vec::new(),
        Some(session) => match ask_once(session, &request, call)? {
            Response::Next(next) => next,
            _ => return Err(Failure::unexpected()),
        },
    };
    if call.out.json {
        let next: Vec<Value> = next.iter().map(render::upcoming).collect();
        call.out.object(&json!({ "next": next }));
    } else if next.is_empty() {
        call.out.note("no schedule has a time to come");
    } else {
        let lines = render::times(&next, call.out.width());
        call.out.lines(lines);
    }
    Ok(Exit::Ok)
}
