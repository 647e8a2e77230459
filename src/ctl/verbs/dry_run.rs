//! `dry-run`: check that a DAG could be run with these parameters, and show the plan. Nothing is executed or
//! recorded.

use serde_json::json;

use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::local::{FileArgs, Wanted, show};
use crate::ctl::render::plan::Plan;
use crate::dag::Diagnostic;

/// Arguments of `dry-run`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    #[command(flatten)]
    file: FileArgs,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let texts = args.file.read(true)?;
    let wanted = Wanted {
        resolve: true,
        evaluate: true,
    };
    let ready = args
        .file
        .load_or_fail(&texts, wanted, "cannot be run", &mut call.out)?;
    let plan = Plan::new(&ready.dag, &ready.params.unwrap_or_default(), &texts.base_dir);
    if call.out.json {
        let warnings: Vec<String> = ready.warnings.iter().map(Diagnostic::to_string).collect();
        let mut object = plan.json();
        object["warnings"] = json!(warnings);
        call.out.object(&object);
        return Ok(Exit::Ok);
    }
    show(&ready.warnings, &texts, &mut call.out);
    let width = call.out.width();
    call.out.lines(plan.lines(width));
    Ok(Exit::Ok)
}
