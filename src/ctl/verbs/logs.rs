//! `logs`: what the steps of a run wrote, also while they write it.

use serde_json::{Value, json};
use std::os::fd::AsFd;
use std::path::Path;

use super::{ask_about, ask_once};
use crate::ctl::Call;
use crate::ctl::again::find_again;
use crate::ctl::cli::Target;
use crate::ctl::client::ClientError;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::follow::exactly;
use crate::ctl::interrupts::Interrupts;
use crate::ctl::out::Out;
use crate::ctl::render::escape::escape;
use crate::ctl::session::Session;
use crate::ctl::signals;
use crate::ctl::tail::{Cleaner, Tail, Watcher};
use crate::model::view::{RunView, StepView};
use crate::wire::control::{Request, Response, Selector};

/// Most of each log that goes into the JSON answer, in bytes: its end.
const JSON_MAX: u64 = 1024 * 1024;

/// Arguments of `logs`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    #[command(flatten)]
    target: Target,

    /// Only this step
    #[arg(value_name = "STEP")]
    step: Option<String>,

    /// Go on until the run ends
    #[arg(short, long)]
    follow: bool,

    /// Show standard error instead of standard output
    #[arg(long)]
    stderr: bool,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    if args.follow && call.out.json {
        return Err(Failure::usage(
            "--follow and --json exclude each other: a log that grows is not one object",
        ));
    }
    let selector = args.target.selector()?;
    let session = ask_about(call, &selector)?;
    if args.follow {
        return follow(args, session, &selector, call);
    }
    let Response::Run(view) = ask_once(session, &Request::Status(selector), call)? else {
        return Err(Failure::unexpected());
    };
    let mut logs = Logs::new(args, &view)?;
    if call.out.json {
        let object = logs.object()?;
        call.out.object(&object);
    } else {
        logs.finish(&mut call.out)?;
    }
    Ok(Exit::Ok)
}

/// The logs that are wanted.
struct Logs<'a> {
    args: &'a Args,
    shown: Vec<(String, Tail, Cleaner)>,
    /// Which of them was printed last.
    last: Option<usize>,
}

impl<'a> Logs<'a> {
    fn new(args: &'a Args, view: &RunView) -> Result<Self, Failure> {
        let mut logs = Self {
            args,
            shown: Vec::new(),
            last: None,
        };
        if let Some(name) = &args.step
            && !view.nodes().any(|(_, step)| step.name == *name)
        {
            return Err(Failure::new(
                Exit::Negative,
                format!("{} has no step {name:?}", view.run),
            ));
        }
        logs.add(view);
        Ok(logs)
    }

    /// Takes up logs that have begun since.
    fn add(&mut self, view: &RunView) {
        for (_, step) in view.nodes() {
            let Some(path) = self.wanted(step) else {
                continue;
            };
            if !self
                .shown
                .iter()
                .any(|(_, tail, _)| tail.path() == Path::new(path))
            {
                self.shown
                    .push((step.name.clone(), Tail::new(path), Cleaner::default()));
            }
        }
    }

    fn wanted<'v>(&self, step: &'v StepView) -> Option<&'v str> {
        if self.args.step.as_ref().is_some_and(|name| *name != step.name) {
            return None;
        }
        let path = if self.args.stderr {
            &step.stderr
        } else {
            &step.stdout
        };
        path.as_deref()
    }

    /// Prints what is new. A heading tells whose it is, if there can be several. What is written meanwhile is left for
    /// the next time: a step that writes faster than is printed holds up neither the others nor the end.
    fn print(&mut self, out: &mut Out) -> Result<(), Failure> {
        for (at, (name, tail, cleaner)) in self.shown.iter_mut().enumerate() {
            let mut left = tail.unread().map_err(|error| unreadable(tail, &error))?;
            while left > 0 && !out.is_broken() {
                let bytes = tail.next(left).map_err(|error| unreadable(tail, &error))?;
                if bytes.is_empty() {
                    break;
                }
                left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                if self.args.step.is_none() && self.last != Some(at) {
                    let gap = if self.last.is_some() { "\n" } else { "" };
                    out.line(&format!("{gap}==> {} <==", escape(name)));
                    self.last = Some(at);
                }
                if out.terminal.is_some() {
                    out.raw(cleaner.clean(&bytes).as_bytes());
                } else {
                    out.raw(&bytes);
                }
            }
        }
        Ok(())
    }

    /// Prints what is new, and the last of what was held back: no more comes.
    fn finish(mut self, out: &mut Out) -> Result<(), Failure> {
        self.print(out)?;
        for (_, _, cleaner) in &mut self.shown {
            out.raw(cleaner.finish().as_bytes());
        }
        Ok(())
    }

    fn object(&mut self) -> Result<Value, Failure> {
        let stream = if self.args.stderr { "stderr" } else { "stdout" };
        let mut list = Vec::new();
        for (name, tail, _) in &mut self.shown {
            let failed = |error: &std::io::Error, tail: &Tail| unreadable(tail, error);
            let truncated = tail
                .skip_to_last(JSON_MAX)
                .map_err(|error| failed(&error, tail))?;
            let mut text = Vec::new();
            let mut left = JSON_MAX;
            while left > 0 {
                let bytes = tail.next(left).map_err(|error| failed(&error, tail))?;
                if bytes.is_empty() {
                    break;
                }
                left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                text.extend(bytes);
            }
            list.push(json!({
                "step": name,
                "stream": stream,
                "path": tail.path().to_string_lossy(),
                "text": String::from_utf8_lossy(&text),
                "truncated": truncated,
            }));
        }
        Ok(json!({ "logs": list }))
    }
}

fn unreadable(tail: &Tail, error: &std::io::Error) -> Failure {
    let exit = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Exit::Denied,
        _ => Exit::Negative,
    };
    Failure::new(exit, format!("cannot read {}: {error}", tail.path().display()))
}

/// Prints until the run has ended and all it wrote is printed, or until nobody reads it any more.
fn follow(args: &Args, mut session: Session, selector: &Selector, call: &mut Call) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| Failure::system("cannot watch the logs", &error);
    let mut watcher = Watcher::new().map_err(failed)?;
    let mut view = match session.follow(selector) {
        Err(error) if error.is_gone() => found_again(&mut session, selector, error, &mut call.out)?,
        other => other?,
    };
    let selector = exactly(&view.run);
    let mut logs = Logs::new(args, &view)?;
    loop {
        if !view.log_dir.is_empty() {
            watcher.watch(Path::new(&view.log_dir)).map_err(failed)?;
        }
        let over = take_changes(&mut session, &mut view)?;
        watcher.take().map_err(failed)?;
        logs.add(&view);
        if over {
            logs.finish(&mut call.out)?;
            session.finish(Some(&view.run), None, &mut call.out);
            return Ok(Exit::Ok);
        }
        logs.print(&mut call.out)?;
        if call.out.is_broken() {
            return Ok(Exit::Ok);
        }
        let descriptors = [session.client.as_fd(), watcher.as_fd()];
        let ready = signals::wait_or_lost(&descriptors, call.out.descriptor(), None).map_err(failed)?;
        if ready.get(descriptors.len()) == Some(&true) {
            return Ok(Exit::Ok);
        }
        if ready.first() == Some(&true)
            && let Err(error) = session.client.fill()
        {
            if !error.is_gone() {
                return Err(error.into());
            }
            view = found_again(&mut session, &selector, error, &mut call.out)?;
        }
    }
}

/// Takes the changes of the run that have come. True if it is over.
fn take_changes(session: &mut Session, view: &mut Box<RunView>) -> Result<bool, ClientError> {
    while let Some(response) = session.client.buffered()? {
        match response {
            Response::Update(update) => update.apply_to(view),
            Response::Run(now) => *view = now,
            Response::Done => return Ok(true),
            _ => return Err(ClientError::Unexpected),
        }
    }
    Ok(false)
}

/// Finds the daemon again. Signals keep their default effect, so that nobody can leave meanwhile but by ending the process.
fn found_again(
    session: &mut Session,
    selector: &Selector,
    error: ClientError,
    out: &mut Out,
) -> Result<Box<RunView>, Failure> {
    let heed = (None, &mut Interrupts::default());
    find_again(session, selector, error, heed, out)?.ok_or_else(Failure::unexpected)
}
