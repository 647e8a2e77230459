//! The command line: global options, the list of verbs, and what several verbs share. Each verb's own arguments are
//! in its file.

use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

use super::failure::Failure;
use super::{exit, verbs};
use crate::model::{DagName, RunId};
use crate::wire::control::Selector;

const ABOUT: &str = "Run DAG jobs and see exactly what is alive";

const LONG_ABOUT: &str = "\
Run DAG jobs and see exactly what is alive.

proctorctl talks to proctord, which runs the jobs. Without further options that is the system's daemon. With --root, or \
PROCTOR_ROOT in the environment, it is the private daemon of that directory. With --embedded a private daemon is \
started if none answers; it leaves when nothing is left to do.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "proctorctl", version, about = ABOUT, long_about = LONG_ABOUT, after_long_help = exit::HELP)]
#[command(max_term_width = 100, disable_help_subcommand = true)]
pub(super) struct Cli {
    /// Use the private daemon of this directory instead of the system's
    #[arg(long, global = true, value_name = "DIR", help_heading = "Daemon")]
    pub(super) root: Option<PathBuf>,

    /// Start a private daemon if none answers; without --root, for a directory of your own
    ///
    /// The directory is then $XDG_STATE_HOME/proctor or ~/.local/state/proctor. The daemon leaves by itself when no
    /// client is connected and nothing is live.
    #[arg(long, global = true, help_heading = "Daemon")]
    pub(super) embedded: bool,

    /// Answer with exactly one JSON object on standard output
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) json: bool,

    /// What to do
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Start a run and follow it to its end
    Run(verbs::run::Args),
    /// List the runs that are live, queued or wait for approval
    Ps(verbs::ps::Args),
    /// Show how a run stands, or the daemon and its runs
    Status(verbs::status::Args),
    /// Queue a run and do not follow it
    Enqueue(verbs::enqueue::Args),
    /// Take a run out of the queue before it starts
    Dequeue(verbs::dequeue::Args),
    /// List queues, pause them, and move runs in them
    #[command(subcommand)]
    Queue(verbs::queue::Command),
    /// Stop a run
    Stop(verbs::stop::Args),
    /// Approve a step of a run that waits for it
    Approve(verbs::decide::Approve),
    /// Reject a step of a run that waits for approval
    Reject(verbs::decide::Reject),
    /// Stop a run, wait for its end, and start a new one like it
    Restart(verbs::restart::Args),
    /// Run an ended run again from its failed steps
    Retry(verbs::retry::Args),
    /// Show what the steps of a run wrote
    Logs(verbs::logs::Args),
    /// List runs of the past, or the attempts of one run
    History(verbs::history::Args),
    /// Wait for the end of a run; the exit status tells its outcome
    Wait(verbs::wait::Args),
    /// Install a DAG of your own: it can be run by name, and its schedules count
    Install(verbs::install::Install),
    /// Remove an installed DAG
    Remove(verbs::install::Remove),
    /// Change an installed DAG in an editor
    Edit(verbs::edit::Args),
    /// List the installed DAGs, how they stand and what is wrong with them
    Dags(verbs::installed::Dags),
    /// Have the schedules of a DAG count again
    Enable(verbs::enable::Args),
    /// Hold back everything that the schedules of a DAG would do
    Disable(verbs::enable::Args),
    /// Show what the schedules will do
    Next(verbs::installed::Next),
    /// Check DAG files, here and without running anything
    Validate(verbs::validate::Args),
    /// Show what a run of a DAG file would do, without running anything
    DryRun(verbs::dry_run::Args),
    /// Tell when a cron expression is due
    Cron(verbs::cron::Args),
    /// Draw the steps of a DAG and what they wait for
    Graph(verbs::graph::Args),
    /// Print the JSON schema of DAG files, for editors
    Schema(verbs::schema::Args),
    /// Print completions of the command line for a shell
    Completions(verbs::completions::Args),
    /// Tell in plain words why a run is in its state
    Why(verbs::why::Args),
    /// Remove old runs with their logs
    Cleanup(verbs::cleanup::Args),
    /// Check the daemon and the machine
    Doctor(verbs::doctor::Args),
    /// Show numbers about the daemon, as Prometheus reads them
    Metrics(verbs::metrics::Args),
    /// Have the daemon read its configuration again
    Reload(verbs::reload::Args),
    /// Show the versions of proctorctl and of the daemon
    Version(verbs::version::Args),
}

/// Whether one JSON object is the answer, of arguments that cannot be parsed.
pub(super) fn wants_json(args: &[OsString]) -> bool {
    args.iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg == "--json")
}

impl From<clap::Error> for Failure {
    /// In the words of clap, without the usage and what else is laid out for a person.
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let end = text
            .find("\n\nUsage:")
            .or_else(|| text.find("\n\nFor more information"));
        let text = text.get(..end.unwrap_or(text.len())).unwrap_or(&text);
        let (tips, message): (Vec<&str>, Vec<&str>) = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .partition(|line| line.starts_with("tip: "));
        let message = message.join(" ");
        let tips: Vec<&str> = tips.iter().map(|tip| tip.trim_start_matches("tip: ")).collect();
        let hint = if tips.is_empty() {
            "`--help` lists the verbs, and behind a verb its arguments".to_owned()
        } else {
            tips.join("; ")
        };
        Self::usage(message.strip_prefix("error: ").unwrap_or(&message)).with_hint(hint)
    }
}

/// The run a verb is about.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Name of the DAG, or NAME:RUN-ID
    #[arg(value_name = "NAME")]
    name: String,

    /// The run; without it, the newest one of the DAG
    #[arg(long, value_name = "ID")]
    run_id: Option<String>,
}

impl Target {
    /// The selector for the request.
    pub(super) fn selector(&self) -> Result<Selector, Failure> {
        selector(&self.name, self.run_id.as_deref())
    }
}

/// The selector for a DAG's name, or `NAME:RUN-ID` as answers show it, and a run id beside it.
pub(super) fn selector(name: &str, run_id: Option<&str>) -> Result<Selector, Failure> {
    let (dag, run) = match name.split_once(':') {
        Some((_, _)) if run_id.is_some() => {
            return Err(Failure::usage(
                "the run id is given twice, behind the name and with --run-id",
            ));
        }
        Some((dag, run)) => (dag, Some(run)),
        None => (name, run_id),
    };
    Ok(Selector {
        dag: DagName::new(dag)?,
        run: run.map(RunId::new).transpose()?,
    })
}
