//! `install` and `remove`: DAGs that the daemon keeps, and starts when they are due.

use std::path::{Path, PathBuf};

use super::ask_once;
use super::run::read_text;
use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::render::installed as render;
use crate::ctl::schemas::{self, Referring};
use crate::ctl::session::Session;
use crate::model::DagName;
use crate::wire::control::{Request, Response};
use crate::wire::manage::{self, DagSummary};

/// Arguments of `install`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Install {
    /// The DAG file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Name for the DAG, before the one in the file
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Replace a DAG of yours that has this name
    #[arg(long)]
    replace: bool,

    /// Let nobody else read it
    #[arg(long)]
    private: bool,
}

/// Arguments of `remove`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Remove {
    /// Name of the DAG
    #[arg(value_name = "NAME")]
    name: String,
}

pub(in crate::ctl) fn install(args: &Install, call: &mut Call) -> Result<Exit, Failure> {
    let source = read_text(&args.file)?;
    let path = std::path::absolute(&args.file).map_err(|error| Failure::file("find", &args.file, &error))?;
    let base_dir = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let stem = args.file.file_stem().unwrap_or_default();
    let request = manage::Install {
        schemas: schemas::read(&Referring {
            source: &source,
            base: None,
            base_dir: &base_dir,
            default_working_dir: None,
        }),
        source,
        file: args.file.to_string_lossy().into_owned(),
        stem: stem.to_string_lossy().into_owned(),
        name: args.name.clone(),
        replace: args.replace,
        private: args.private,
        replaces: None,
    };
    change(&Request::Install(Box::new(request)), "is installed", call)
}

pub(in crate::ctl) fn remove(args: &Remove, call: &mut Call) -> Result<Exit, Failure> {
    let dag = DagName::new(args.name.as_str())?;
    change(
        &Request::Remove(dag),
        "is removed; its runs stay in the history",
        call,
    )
}

/// Asks for a change of an installed DAG and tells what came of it.
pub(super) fn change(request: &Request, done: &str, call: &mut Call) -> Result<Exit, Failure> {
    let session = Session::open(&call.place)?;
    let Response::Dag(dag, warnings) = ask_once(session, request, call)? else {
        return Err(Failure::unexpected());
    };
    for warning in &warnings {
        call.out.warning(warning);
    }
    if call.out.json {
        call.out.object(&render::changed(&dag, &warnings));
    } else {
        call.out.line(&format!("{} {done}", dag.dag));
        if matches!(request, Request::Install(_) | Request::Enable { on: true, .. }) {
            tell(&dag, call);
        }
    }
    Ok(Exit::Ok)
}

/// Tells when it comes next, and what is wrong with it.
fn tell(dag: &DagSummary, call: &mut Call) {
    for problem in &dag.problems {
        call.out.warning(problem);
    }
    match &dag.next {
        Some(next) if !next.suspended => {
            let note = next
                .note
                .as_ref()
                .map(|note| format!(" ({note})"))
                .unwrap_or_default();
            call.out
                .line(&format!("next: {} {}{note}", next.local, next.zone));
        }
        Some(_) if dag.suspended => call
            .out
            .line("its schedules are held back; `proctorctl enable` ends that"),
        _ => {}
    }
}
