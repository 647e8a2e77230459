//! `run`: start a run and follow it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::follow;
use crate::ctl::schemas::{self, Referring};
use crate::ctl::session::Session;
use crate::ctl::signals::Signals;
use crate::model::limits::DAG_SOURCE_MAX;
use crate::model::{GroupName, Priority, Trigger};
use crate::wire::control::{Request, Response, Submit};

const EXAMPLES: &str = "\
Examples:
  proctorctl run --embedded hello.yaml              run a file; no set-up, nothing is left running
  proctorctl run backup                             run an installed DAG with the system's daemon
  proctorctl run deploy.yaml -- prod region=eu      give parameters, by position or by name
  proctorctl run --json nightly.yaml > result.json  keep the outcome of every step
  proctorctl run --detach nightly.yaml              print the run's id and leave it running

On a terminal, Ctrl-C asks whether to stop the run or to detach from it. Elsewhere SIGINT and SIGTERM abort it.";

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", crate::ctl::exit::HELP))]
pub(in crate::ctl) struct Args {
    #[command(flatten)]
    wanted: Wanted,

    /// Print the run's id and do not follow
    #[arg(long)]
    detach: bool,

    /// Start at once, beyond the limits of queue, DAG and daemon
    #[arg(long)]
    now: bool,
}

/// What run is wanted: arguments of `run` and `enqueue`.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    /// A DAG file (a path with a `/` or ending in .yaml or .yml), or the name of an installed DAG
    #[arg(value_name = "FILE|NAME")]
    dag: OsString,

    /// Parameters as one text: `a b`, `K=V`, or a JSON object
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    params: Option<String>,

    /// Id for the run: letters, digits, `-` and `_`
    #[arg(long, value_name = "ID")]
    run_id: Option<String>,

    /// Name for the DAG, before the one in the file
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// File with settings that hold where the DAG says nothing
    #[arg(long, value_name = "FILE")]
    base_config: Option<PathBuf>,

    /// Working directory where the DAG names none
    #[arg(long, value_name = "DIR")]
    default_working_dir: Option<String>,

    /// Queue to wait in instead of the DAG's
    #[arg(long, value_name = "NAME")]
    queue: Option<GroupName>,

    /// Which of the runs that wait goes first: -100 to 100, or low, normal or high
    #[arg(long, value_name = "N", value_parser = priority, allow_negative_numbers = true)]
    priority: Option<Priority>,

    /// Parameters, each a value or NAME=VALUE
    #[arg(last = true, value_name = "PARAM")]
    args: Vec<String>,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let mut submit = submission(&args.wanted)?;
    submit.now = args.now;
    let signals = Signals::catch().map_err(|error| Failure::system("cannot catch signals", &error))?;
    let mut session = Session::open(&call.place)?;
    match session.call(&Request::Submit(Box::new(submit))) {
        Ok(Response::Accepted { run, warnings }) => {
            follow::answer(session, (&run, &warnings), args.detach, &signals, &mut call.out)
        }
        Ok(_) => Err(Failure::unexpected()),
        Err(failure) => {
            session.finish(None, Some(&signals), &mut call.out);
            Err(failure)
        }
    }
}

/// What `FILE|NAME` means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named<'a> {
    /// What has a slash in it or ends in .yaml or .yml.
    File(&'a Path),
    /// An installed DAG.
    Installed(&'a str),
}

/// Tells a file from an installed DAG. Only a file may have a name that is not UTF-8.
pub(super) fn named(dag: &OsStr) -> Result<Named<'_>, Failure> {
    let bytes = dag.as_bytes();
    if bytes.contains(&b'/')
        || [".yaml", ".yml"]
            .iter()
            .any(|end| bytes.ends_with(end.as_bytes()))
    {
        return Ok(Named::File(Path::new(dag)));
    }
    dag.to_str().map(Named::Installed).ok_or_else(|| {
        Failure::usage(format!("{} is no name of a DAG: it is not UTF-8", dag.display()))
            .with_hint("a file ends in .yaml, or has its directory before it, such as ./FILE")
    })
}

/// A priority as people write it.
pub(super) fn priority(text: &str) -> Result<Priority, String> {
    Priority::from_text(text)
        .ok_or_else(|| String::from("a priority is a whole number from -100 to 100, or low, normal or high"))
}

/// The request for the run that is wanted.
pub(super) fn submission(args: &Wanted) -> Result<Submit, Failure> {
    let base = args.base_config.as_deref().map(read_text).transpose()?;
    let mut submit = Submit {
        source: String::new(),
        name: args.name.clone(),
        file: args.dag.to_string_lossy().into_owned(),
        stem: String::new(),
        base,
        schemas: Vec::new(),
        base_dir: String::new(),
        default_working_dir: args.default_working_dir.clone(),
        run_id: args.run_id.clone(),
        params: args.params.clone(),
        args: args.args.clone(),
        trigger: Trigger::Manual,
        queue: args.queue.clone(),
        priority: args.priority,
        now: false,
    };
    let path = match named(&args.dag)? {
        Named::File(path) => path,
        Named::Installed(_) if args.name.is_some() => {
            return Err(Failure::usage(
                "--name is for files; an installed DAG has its name",
            ));
        }
        Named::Installed(name) => {
            name.clone_into(&mut submit.stem);
            submit.name = Some(name.to_owned());
            return Ok(submit);
        }
    };
    submit.source = read_text(path)?;
    let absolute = std::path::absolute(path).map_err(|error| Failure::file("find", path, &error))?;
    submit.stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    submit.base_dir = absolute
        .parent()
        .and_then(Path::to_str)
        .ok_or_else(|| {
            Failure::usage(format!(
                "the directory of {} has a name that is not UTF-8",
                path.display()
            ))
        })?
        .to_owned();
    submit.schemas = schemas::read(&Referring {
        source: &submit.source,
        base: submit.base.as_deref(),
        base_dir: &submit.base_dir,
        default_working_dir: submit.default_working_dir.as_deref(),
    });
    Ok(submit)
}

/// The text of a DAG file or base configuration.
pub(in crate::ctl) fn read_text(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::file("read", path, &error);
    let limit = u64::try_from(DAG_SOURCE_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() > DAG_SOURCE_MAX {
        return Err(Failure::usage(format!(
            "{} is over the limit of {DAG_SOURCE_MAX} bytes",
            path.display()
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::usage(format!("{} is not UTF-8 (at byte {at})", path.display()))
    })
}

#[cfg(test)]
mod tests;
