//! `completions`: print what a shell needs to complete the command line.

use clap::{CommandFactory, ValueEnum};
use clap_complete::aot;
use serde_json::json;

use crate::ctl::Call;
use crate::ctl::cli::Cli;
use crate::ctl::exit::Exit;
use crate::ctl::failure::Failure;

const EXAMPLES: &str = "\
The packages and packaging/install put them where the shells look for them. For yourself:
  bash: proctorctl completions bash >~/.local/share/bash-completion/completions/proctorctl
  fish: proctorctl completions fish >~/.config/fish/completions/proctorctl.fish
  zsh:  proctorctl completions zsh >DIR/_proctorctl, with DIR in fpath";

/// The shells whose completions can be printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::ctl) struct Args {
    /// Shell that they are for
    #[arg(value_enum)]
    shell: Shell,
}

pub(in crate::ctl) fn run(args: &Args, call: &mut Call) -> Result<Exit, Failure> {
    let (shell, generator) = match args.shell {
        Shell::Bash => ("bash", aot::Shell::Bash),
        Shell::Zsh => ("zsh", aot::Shell::Zsh),
        Shell::Fish => ("fish", aot::Shell::Fish),
    };
    let mut script = Vec::new();
    aot::generate(generator, &mut Cli::command(), "proctorctl", &mut script);
    if call.out.json {
        let script = String::from_utf8_lossy(&script);
        call.out.object(&json!({ "shell": shell, "script": script }));
    } else {
        call.out.raw(&script);
    }
    Ok(Exit::Ok)
}
