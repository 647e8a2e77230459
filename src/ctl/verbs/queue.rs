//! `queue`: list queues, pause them, and give queued runs another place.

use super::run::priority;
use super::{ask_about, ask_once, ps};
use crate::ctl::Call;
use crate::ctl::cli::selector;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::follow::now;
use crate::ctl::render::table::{Table, column};
use crate::ctl::render::{changed_style, duration, json};
use crate::ctl::session::Session;
use crate::model::{GroupName, Priority};
use crate::wire::control::{Request, Response};
use crate::wire::manage::QueueView;

const EXAMPLES: &str = "\
Examples:
  proctorctl queue list                      every queue: its capacity, and what is live and waits in it
  proctorctl queue list nightly              the runs that wait in a queue
  proctorctl queue pause nightly             start nothing more of it; what is live goes on
  proctorctl queue move backup:0199 --first  have a run go before the others of its DAG";

/// What to do.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub(in crate::ctl) enum Command {
    /// List the queues, or what waits in one
    List(List),
    /// Start nothing more of a queue; what is live goes on
    Pause(Name),
    /// Have a paused queue go on
    Resume(Name),
    /// Give a queued run another place
    Move(Move),
}

/// Arguments of `queue list`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct List {
    /// Queue whose runs are listed
    #[arg(value_name = "NAME")]
    queue: Option<GroupName>,
}

/// A queue by its name.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Name {
    /// Name of the queue
    #[arg(value_name = "NAME")]
    queue: GroupName,
}

/// Arguments of `queue move`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("to").required(true).multiple(true))]
pub(in crate::ctl) struct Move {
    /// Name of the DAG, for its newest run, or NAME:RUN-ID
    #[arg(value_name = "RUN")]
    run: String,

    /// Have it go before the others of its DAG and priority
    #[arg(long, group = "to")]
    first: bool,

    /// Put it into this queue, behind the others unless --first is given, too
    #[arg(long, value_name = "NAME", group = "to")]
    queue: Option<GroupName>,

    /// Give it this priority: -100 to 100, or low, normal or high
    #[arg(long, value_name = "N", value_parser = priority, allow_negative_numbers = true, group = "to")]
    priority: Option<Priority>,
}

pub(in crate::ctl) fn run(command: &Command, call: &mut Call) -> Result<Exit, Failure> {
    match command {
        Command::List(List { queue: Some(queue) }) => runs_of(queue, call),
        Command::List(List { queue: None }) => list(call),
        Command::Pause(name) => pause(&name.queue, true, call),
        Command::Resume(name) => pause(&name.queue, false, call),
        Command::Move(args) => move_run(args, call),
    }
}

fn list(call: &mut Call) -> Result<Exit, Failure> {
    let queues = match Session::open_to_ask(&call.place)? {
        None => Vec::new(),
        Some(session) => queues(ask_once(session, &Request::Queues, call)?)?,
    };
    if call.out.json {
        call.out.object(&json::queues(&queues));
    } else if queues.is_empty() {
        call.out.note("no queue is configured, holds runs or is paused");
    } else {
        let lines = table(&queues, call);
        call.out.lines(lines);
    }
    Ok(Exit::Ok)
}

fn runs_of(queue: &GroupName, call: &mut Call) -> Result<Exit, Failure> {
    let runs = match Session::open_to_ask(&call.place)? {
        None => Vec::new(),
        Some(session) => match ask_once(session, &Request::Queue(queue.clone()), call)? {
            Response::Runs(runs) => runs,
            _ => return Err(Failure::unexpected()),
        },
    };
    ps::show(&runs, false, &format!("nothing waits in queue {queue}"), call);
    Ok(Exit::Ok)
}

fn pause(queue: &GroupName, on: bool, call: &mut Call) -> Result<Exit, Failure> {
    let request = Request::PauseQueue {
        queue: queue.clone(),
        on,
    };
    let session = Session::open(&call.place)?;
    let queues = queues(ask_once(session, &request, call)?)?;
    if call.out.json {
        call.out.object(&json::queues(&queues));
    } else {
        let what = if on { "is paused" } else { "goes on" };
        call.out.line(&format!("queue {queue} {what}"));
        // Only then nothing tells its capacity.
        if queues.iter().all(|queue| queue.capacity.is_none()) {
            call.out
                .note(&format!("queue {queue} is not configured and holds no runs"));
        }
    }
    Ok(Exit::Ok)
}

fn move_run(args: &Move, call: &mut Call) -> Result<Exit, Failure> {
    let run = selector(&args.run, None)?;
    let session = ask_about(call, &run)?;
    let request = Request::Move {
        run,
        queue: args.queue.clone(),
        priority: args.priority,
        first: args.first,
    };
    let Response::Accepted { run, warnings } = ask_once(session, &request, call)? else {
        return Err(Failure::unexpected());
    };
    if call.out.json {
        call.out.object(&json::accepted(&run, &warnings));
    } else {
        for warning in &warnings {
            call.out.warning(warning);
        }
        call.out.line(&format!("{run} has its new place"));
    }
    Ok(Exit::Ok)
}

fn queues(answer: Response) -> Result<Vec<QueueView>, Failure> {
    match answer {
        Response::Queues(queues) => Ok(queues),
        _ => Err(Failure::unexpected()),
    }
}

fn table(queues: &[QueueView], call: &Call) -> Vec<String> {
    let columns = [
        column("QUEUE", 0),
        column("STATE", 0),
        column("LIVE", 0),
        column("CAPACITY", 1),
        column("QUEUED", 0),
        column("OLDEST", 2),
        column("WAITS", 3),
        column("OF USER", 0),
    ];
    // Most queues are everybody's.
    let alone = queues.iter().any(|queue| queue.owner.is_some());
    let columns = columns
        .get(..columns.len() - usize::from(!alone))
        .unwrap_or_default();
    let mut table = Table::new(columns, "STATE");
    for queue in queues {
        let capacity = match queue.capacity {
            None => String::from("?"),
            Some(0) => String::from("no limit"),
            Some(capacity) => capacity.to_string(),
        };
        let (state, style) = if queue.paused {
            ("paused", changed_style())
        } else {
            ("open", anstyle::Style::new())
        };
        let oldest = queue.oldest.as_ref();
        table.row(
            style,
            [
                queue.queue.to_string(),
                state.to_owned(),
                queue.live.to_string(),
                capacity,
                queue.queued.to_string(),
                oldest.map(|(run, _)| run.to_string()).unwrap_or_default(),
                oldest.map(|(_, at)| duration(*at, now())).unwrap_or_default(),
            ]
            .into_iter()
            .chain(alone.then(|| queue.owner.map(|user| user.to_string()).unwrap_or_default())),
        );
    }
    table.lines(call.out.width())
}
