//! `graph`: draw the steps of a DAG and what they wait for.

use std::ffi::OsString;
use std::path::PathBuf;

use super::ask_once;
use super::run::{Named, named};
use crate::config::Config;
use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::local::{FileArgs, LoadArgs, Texts, Wanted};
use crate::ctl::place::Place;
use crate::ctl::render::graph::text::{Look, lines};
use crate::ctl::render::graph::{Chart, dot, json, mermaid};
use crate::ctl::session::Session;
use crate::model::DagName;
use crate::wire::control::{Request, Response};
use crate::wire::manage::SourceText;

const EXAMPLES: &str = "\
Examples:
  proctorctl graph nightly.yaml                     draw it here
  proctorctl graph --dot backup | dot -Tsvg -o backup.svg
  proctorctl graph --mermaid nightly.yaml           for a document that shows Mermaid

Signs: ● command, ■ script, ◆ call of another DAG, ◇ router, ○ nothing to do; in ASCII * # @ ? o. In front stands
the layer: steps with the same number can run at the same time.";

/// Arguments of `graph`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::ctl) struct Args {
    /// A DAG file (a path with a `/` or ending in .yaml or .yml), or the name of an installed DAG
    #[arg(value_name = "FILE|NAME")]
    dag: OsString,

    /// File with settings that hold where the DAG says nothing
    #[arg(long, value_name = "FILE")]
    base_config: Option<PathBuf>,

    /// Write it in the language of Graphviz
    #[arg(long, conflicts_with_all = ["mermaid", "ascii"])]
    dot: bool,

    /// Write it as a flow chart for Mermaid
    #[arg(long, conflicts_with = "ascii")]
    mermaid: bool,

    /// Draw with ASCII characters only; so it is where the locale has no UTF-8
    #[arg(long)]
    ascii: bool,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    if call.out.json && (args.dot || args.mermaid) {
        return Err(Failure::usage(
            "--json, --dot and --mermaid are three answers; choose one",
        ));
    }
    let of_file = |file: PathBuf, name: Option<&DagName>| FileArgs {
        file,
        with: LoadArgs::base(args.base_config.clone(), name.map(ToString::to_string)),
    };
    let (file, texts) = match named(&args.dag)? {
        Named::File(file) => {
            let file = of_file(file.to_owned(), None);
            let texts = file.read(false)?;
            (file, texts)
        }
        Named::Installed(name) => {
            let name = DagName::new(name)?;
            let known = source(&name, call);
            if let Ok(Some(source)) = known {
                // A file that `install` has named says nothing about it.
                let file = of_file(PathBuf::from(&source.file), Some(&name));
                let texts = Texts::given(source.file, source.text);
                (file, texts.over(args.base_config.as_deref())?)
            } else {
                // What the daemon says of a DAG that is in neither place is more than what the directory does.
                let file = installed(&name, &call.place).map_err(|failure| known.err().unwrap_or(failure))?;
                let file = of_file(file, None);
                let texts = file.read(false)?;
                (file, texts)
            }
        }
    };
    let wanted = Wanted {
        resolve: false,
        evaluate: false,
    };
    let ready = file.load_or_fail(&texts, wanted, "cannot be drawn", &mut call.out)?;
    let chart = Chart::new(&ready.dag);
    if args.dot {
        call.out.raw(dot::dot(&chart).as_bytes());
    } else if args.mermaid {
        call.out.raw(mermaid::mermaid(&chart).as_bytes());
    } else if call.out.json {
        call.out.object(&json::json(&chart));
    } else {
        let look = Look {
            width: call.out.width(),
            ascii: args.ascii || !call.out.utf8,
        };
        call.out.lines(lines(&chart, look));
    }
    Ok(Exit::Ok)
}

/// The text of an installed DAG, as the daemon knows it: also of one of the user's own. None if no daemon can be asked.
fn source(name: &DagName, call: &mut Call) -> Result<Option<SourceText>, Failure> {
    let Ok(Some(session)) = Session::open_to_ask(&call.place) else {
        return Ok(None);
    };
    match ask_once(session, &Request::Source(name.clone()), call)? {
        Response::Source(source) => {
            if !source.in_force {
                let file = &source.file;
                call.out.note(&format!(
                    "warning: {file} is not in force, another DAG has its name"
                ));
            }
            Ok(Some(*source))
        }
        _ => Err(Failure::unexpected()),
    }
}

/// The file of an installed DAG, in the directory that the daemon's configuration names.
fn installed(name: &DagName, place: &Place) -> Result<PathBuf, Failure> {
    let root = place.root.clone().unwrap_or_else(|| PathBuf::from("/"));
    let config = Config::load(None, &root).map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
    let dir = config.paths.dags;
    ["yaml", "yml"]
        .into_iter()
        .map(|ending| dir.join(format!("{name}.{ending}")))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            let message = format!("there is no DAG {name} in {}", dir.display());
            Failure::new(Exit::Negative, message)
                .with_hint("give a file: a path with a `/` or ending in .yaml")
        })
}
