//! `dry-run`: check that a DAG could be run with these parameters, and show the plan. Nothing is executed or
//! recorded.

use serde_json::{Value, json};

use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::local::{FileArgs, problems, show};
use crate::ctl::render::escape::escape;
use crate::dag::{Dag, Diagnostic};

/// Arguments of `dry-run`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    #[command(flatten)]
    file: FileArgs,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let texts = args.file.read()?;
    let ready = match args.file.load(&texts, true) {
        Ok(ready) => ready,
        Err(errors) => {
            let message = format!("{} cannot be run", args.file.file());
            if !call.out.json {
                show(&errors, &texts, &mut call.out);
                return Err(Failure::usage(message));
            }
            let first = errors.first().map(Diagnostic::to_string).unwrap_or_default();
            return Err(Failure {
                problems: problems(&errors),
                ..Failure::usage(format!("{message}: {first}"))
            });
        }
    };
    let params = ready.params.map(|params| params.list).unwrap_or_default();
    if call.out.json {
        let params: Vec<String> = params
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let warnings: Vec<String> = ready.warnings.iter().map(Diagnostic::to_string).collect();
        call.out.object(&json!({
            "dag": ready.dag.name,
            "params": params,
            "steps": plan(&ready.dag),
            "warnings": warnings,
        }));
        return Ok(Exit::Ok);
    }
    show(&ready.warnings, &texts, &mut call.out);
    call.out.line(&format!("{} could be run:", ready.dag.name));
    for (name, value) in &params {
        call.out
            .line(&format!("  with {}={}", escape(name), escape(value)));
    }
    let lines = plan_lines(&ready.dag);
    call.out.lines(lines);
    Ok(Exit::Ok)
}

fn names_of(dag: &Dag, positions: &[u32]) -> Vec<String> {
    let name = |at: &u32| Some(dag.steps.get(usize::try_from(*at).ok()?)?.name.clone());
    positions.iter().filter_map(name).collect()
}

fn plan(dag: &Dag) -> Vec<Value> {
    dag.steps
        .iter()
        .map(|step| json!({ "name": step.name, "depends": names_of(dag, &step.depends) }))
        .collect()
}

fn plan_lines(dag: &Dag) -> Vec<String> {
    dag.steps
        .iter()
        .map(|step| {
            let after = names_of(dag, &step.depends);
            let name = escape(&step.name).into_owned();
            if after.is_empty() {
                return format!("  {name}");
            }
            format!("  {name}  after {}", escape(&after.join(", ")))
        })
        .collect()
}
