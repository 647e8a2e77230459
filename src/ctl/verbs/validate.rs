//! `validate`: load a DAG file here, without running anything, and say what is wrong with it.

use serde_json::json;

use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::local::{FileArgs, problems, show};
use crate::ctl::render::escape::escape;
use crate::ctl::render::json as as_json;
use crate::dag::{Diagnostic, project};

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    #[command(flatten)]
    file: FileArgs,

    /// Leave `$VAR` and command substitution as they are written (they always are: nothing is evaluated here)
    #[arg(long)]
    no_eval: bool,

    /// Do not apply a JSON schema that `params` refers to (never done here: it is a file of the run's machine)
    #[arg(long)]
    skip_schema_validation: bool,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let texts = args.file.read()?;
    let ready = match args.file.load(&texts, args.file.has_params()) {
        Ok(ready) => ready,
        Err(errors) => {
            if call.out.json {
                let errors = as_json::problems(&problems(&errors));
                call.out.object(&json!({ "valid": false, "errors": errors }));
            } else {
                show(&errors, &texts, &mut call.out);
                call.out.note(&format!("{} is not valid", args.file.file()));
            }
            return Ok(Exit::Negative);
        }
    };
    if call.out.json {
        let warnings: Vec<String> = ready.warnings.iter().map(Diagnostic::to_string).collect();
        let dag = project(&ready.dag, ready.params.as_ref(), &texts.base_dir);
        call.out
            .object(&json!({ "valid": true, "warnings": warnings, "dag": dag }));
        return Ok(Exit::Ok);
    }
    show(&ready.warnings, &texts, &mut call.out);
    let steps = ready.dag.steps.len();
    let plural = if steps == 1 { "" } else { "s" };
    let line = format!(
        "{}: valid, {} with {steps} step{plural}",
        args.file.file(),
        ready.dag.name
    );
    call.out.line(&escape(&line));
    Ok(Exit::Ok)
}
