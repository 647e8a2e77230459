//! `dequeue`: take a run out of the queue. It ends as aborted; one that has begun is left alone.

use super::{ask_about, ask_once};
use crate::ctl::Call;
use crate::ctl::cli::selector;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::follow::exactly;
use crate::ctl::render::json;
use crate::ctl::session::Session;
use crate::model::{GroupName, RunRef};
use crate::wire::control::{Request, Response};

/// How often the first run of a queue may begin, between the question which one it is and its removal.
const TRIES: u32 = 10;

/// Arguments of `dequeue`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(in crate::ctl) struct Args {
    /// Name of the DAG, for its newest run, or NAME:RUN-ID
    #[arg(value_name = "RUN", group = "what")]
    run: Option<String>,

    /// Take out the run that is first in this queue
    #[arg(long, value_name = "NAME", group = "what")]
    queue: Option<GroupName>,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let run = match (&args.run, &args.queue) {
        (Some(run), _) => {
            let selector = selector(run, None)?;
            let session = ask_about(call, &selector)?;
            accepted(ask_once(session, &Request::Dequeue(selector), call)?)?
        }
        (None, Some(queue)) => first_of(queue, call)?,
        (None, None) => return Err(Failure::usage("dequeue needs a run or --queue")),
    };
    if call.out.json {
        call.out.object(&json::accepted(&run, &[]));
    } else {
        call.out.line(&format!("{run} is taken out of the queue"));
    }
    Ok(Exit::Ok)
}

fn accepted(answer: Response) -> Result<RunRef, Failure> {
    match answer {
        Response::Accepted { run, .. } => Ok(run),
        _ => Err(Failure::unexpected()),
    }
}

/// Takes the first run of a queue out. If that one begins meanwhile, the next one is the first.
fn first_of(queue: &GroupName, call: &mut Call) -> Result<RunRef, Failure> {
    let empty = || Failure::new(Exit::Negative, format!("nothing waits in queue {queue}"));
    let mut session = Session::open_to_ask(&call.place)?.ok_or_else(empty)?;
    let mut tries = 0;
    let outcome = loop {
        let first = match session.call(&Request::Queue(queue.clone()))? {
            Response::Runs(runs) => runs.into_iter().next().map(|run| run.run),
            _ => return Err(Failure::unexpected()),
        };
        let Some(first) = first else {
            break Err(empty());
        };
        tries += 1;
        match session.call(&Request::Dequeue(exactly(&first))) {
            Err(failure) if failure.exit == Exit::Negative && tries < TRIES => {}
            answer => break answer.and_then(accepted),
        }
    };
    session.finish(None, None, &mut call.out);
    outcome
}
