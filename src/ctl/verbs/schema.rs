//! `schema`: print the JSON schema of DAG files, for editors.

use crate::ctl::Call;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;
use crate::dag::schema::SCHEMA;

const EXAMPLES: &str = "\
An editor that knows the language server of YAML uses it for a file that begins with
  # yaml-language-server: $schema=/usr/share/proctor/dag.schema.json
which is where the installation puts it.";

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::ctl) struct Args {}

pub(in crate::ctl) fn run(_: &Args, call: &mut Call) -> Result<Exit, Failure> {
    if call.out.json {
        let schema = serde_json::from_str(SCHEMA)
            .map_err(|error| Failure::new(Exit::Bug, format!("the schema is not JSON: {error}")))?;
        call.out.object(&schema);
    } else {
        call.out.raw(SCHEMA.as_bytes());
    }
    Ok(Exit::Ok)
}
