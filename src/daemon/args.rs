//! The command line of `proctord`.

use std::path::PathBuf;

use clap::Parser;

/// The Proctor daemon: runs DAG jobs and always knows which attempts are alive.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "proctord",
    version,
    after_help = "proctord is usually started by systemd (systemctl start proctord). See proctord(8) and \
                  proctord.toml(5)."
)]
pub struct Args {
    /// Configuration file [default: /etc/proctor/proctord.toml below the root]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Move the whole tree of directories below DIR: a private daemon that needs no privileges
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Leave when nothing is left to do and no client is connected; print "ready" on standard output when serving
    #[arg(long, conflicts_with = "daemonize")]
    pub embedded: bool,
    /// Detach from the terminal and go on in the background
    #[arg(long)]
    pub daemonize: bool,
    /// Read the configuration, tell what is wrong or unwise with it, and leave
    #[arg(long)]
    pub check_config: bool,
}
