//! `validate`: load DAG files here, without running anything, and say what is wrong with them.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::ctl::local::{FileArgs, LoadArgs, Ready, Texts, Wanted, problems, show};
use crate::ctl::out::Out;
use crate::ctl::render::escape::escape;
use crate::ctl::render::json as as_json;
use crate::ctl::render::words::count;
use crate::dag::{Diagnostic, project};

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct Args {
    /// The DAG files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    #[command(flatten)]
    with: LoadArgs,

    /// Show references to parameters in `env` and `eval` as they are written (other variables and commands always are)
    #[arg(long)]
    no_eval: bool,

    /// Neither read nor apply a JSON schema that `params` refers to
    #[arg(long)]
    skip_schema_validation: bool,
}

/// What was found in one file.
enum Found {
    Valid(Texts, Box<Ready>),
    Invalid(Texts, Vec<Diagnostic>),
    /// It could not be read.
    Unread(Failure),
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let mut files = args.files.iter().map(|file| FileArgs {
        file: file.clone(),
        with: args.with.clone(),
    });
    if args.files.len() == 1
        && let Some(file) = files.next()
    {
        let found = look(&file, args);
        if let Found::Unread(failure) = found {
            return Err(failure);
        }
        if call.out.json {
            call.out.object(&object(&found, args));
        } else {
            tell(&file, &found, &mut call.out);
        }
        return Ok(exit(matches!(found, Found::Valid(..))));
    }
    let mut answers = Vec::new();
    let (mut invalid, mut errors, mut warnings) = (0, 0, 0);
    for file in files {
        let found = look(&file, args);
        match &found {
            Found::Valid(_, ready) => warnings += ready.warnings.len(),
            Found::Invalid(_, found) => {
                errors += found.len();
                invalid += 1;
            }
            Found::Unread(_) => {
                errors += 1;
                invalid += 1;
            }
        }
        if call.out.json {
            let mut answer = json!({ "file": file.file() });
            if let (Value::Object(all), Value::Object(found)) = (&mut answer, object(&found, args)) {
                all.extend(found);
            }
            answers.push(answer);
        } else {
            tell(&file, &found, &mut call.out);
        }
    }
    if call.out.json {
        call.out.object(&json!({ "files": answers }));
    } else {
        let sum = format!(
            "{}, {} not valid: {}, {}",
            count(args.files.len(), "file"),
            if invalid == 0 {
                "none".to_owned()
            } else {
                invalid.to_string()
            },
            count(errors, "error"),
            count(warnings, "warning")
        );
        call.out.line(&sum);
    }
    Ok(exit(invalid == 0))
}

const fn exit(valid: bool) -> Exit {
    if valid { Exit::Ok } else { Exit::Negative }
}

fn look(file: &FileArgs, args: &Args) -> Found {
    let texts = match file.read(!args.skip_schema_validation) {
        Ok(texts) => texts,
        Err(failure) => return Found::Unread(failure),
    };
    let wanted = Wanted {
        resolve: file.has_params(),
        evaluate: !args.no_eval,
    };
    match file.load(&texts, wanted) {
        Ok(ready) => Found::Valid(texts, Box::new(ready)),
        Err(errors) => Found::Invalid(texts, errors),
    }
}

/// The answer for one file.
fn object(found: &Found, args: &Args) -> Value {
    let errors = match found {
        Found::Valid(texts, ready) => {
            let warnings: Vec<String> = ready.warnings.iter().map(Diagnostic::to_string).collect();
            let dag = project(&ready.dag, ready.params.as_ref(), &texts.base_dir, !args.no_eval);
            return json!({ "valid": true, "warnings": warnings, "dag": dag });
        }
        Found::Invalid(_, errors) => problems(errors),
        Found::Unread(failure) => problems(&[Diagnostic::nowhere(failure.message.clone())]),
    };
    json!({ "valid": false, "errors": as_json::problems(&errors) })
}

fn tell(args: &FileArgs, found: &Found, out: &mut Out) {
    match found {
        Found::Valid(texts, ready) => {
            show(&ready.warnings, texts, out);
            let mut line = format!(
                "{}: valid, {} with {}",
                args.file(),
                ready.dag.name,
                count(ready.dag.steps.len(), "step")
            );
            if !ready.warnings.is_empty() {
                line += &format!(", {}", count(ready.warnings.len(), "warning"));
            }
            out.line(&escape(&line));
        }
        Found::Invalid(texts, errors) => {
            show(errors, texts, out);
            out.note(&format!(
                "{} is not valid: {}",
                args.file(),
                count(errors.len(), "error")
            ));
        }
        Found::Unread(failure) => out.note(&failure.message),
    }
}
