//! `logs`: what the steps of a run wrote, also while they write it.

use serde_json::{Value, json};
use std::os::fd::AsFd;
use std::path::Path;

use super::{ask_about, ask_once};
use crate::ctl::Call;
use crate::ctl::cli::Target;
use crate::ctl::client::ClientError;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
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
        logs.print(&mut call.out)?;
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

    /// Prints what is new. A heading tells whose it is, if there can be several.
    fn print(&mut self, out: &mut Out) -> Result<(), Failure> {
        for (at, (name, tail, cleaner)) in self.shown.iter_mut().enumerate() {
            loop {
                let bytes = tail.next().map_err(|error| unreadable(tail, &error))?;
                if bytes.is_empty() {
                    break;
                }
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

    fn object(&mut self) -> Result<Value, Failure> {
        let stream = if self.args.stderr { "stderr" } else { "stdout" };
        let mut list = Vec::new();
        for (name, tail, _) in &mut self.shown {
            let failed = |error: &std::io::Error, tail: &Tail| unreadable(tail, error);
            let truncated = tail
                .skip_to_last(JSON_MAX)
                .map_err(|error| failed(&error, tail))?;
            let mut text = Vec::new();
            while u64::try_from(text.len()).unwrap_or(u64::MAX) < JSON_MAX {
                let bytes = tail.next().map_err(|error| failed(&error, tail))?;
                if bytes.is_empty() {
                    break;
                }
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

/// Prints until the run has ended and all it wrote is printed.
fn follow(args: &Args, mut session: Session, selector: &Selector, call: &mut Call) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| Failure::system("cannot watch the logs", &error);
    let mut watcher = Watcher::new().map_err(failed)?;
    session.client.send(&Request::Follow(selector.clone()))?;
    let Response::Run(mut view) = session.client.receive()? else {
        return Err(Failure::unexpected());
    };
    let mut logs = Logs::new(args, &view)?;
    loop {
        if !view.log_dir.is_empty() {
            watcher.watch(Path::new(&view.log_dir)).map_err(failed)?;
        }
        let mut over = false;
        while let Some(response) = session.client.buffered()? {
            match response {
                Response::Update(update) => update.apply_to(&mut view),
                Response::Run(now) => view = now,
                Response::Done => {
                    over = true;
                    break;
                }
                _ => return Err(ClientError::Unexpected.into()),
            }
        }
        watcher.take().map_err(failed)?;
        logs.add(&view);
        logs.print(&mut call.out)?;
        if over {
            session.finish(Some(&view.run), None, &mut call.out);
            return Ok(Exit::Ok);
        }
        let ready = signals::wait(&[session.client.as_fd(), watcher.as_fd()], None).map_err(failed)?;
        if ready.first() == Some(&true) {
            session.client.fill()?;
        }
    }
}
