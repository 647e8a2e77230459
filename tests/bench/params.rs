//! How much is measured. Every size is an environment variable, so that a quick look and a long run are the same
//! program.

use std::env;
use std::time::Duration;

use crate::Res;

/// Sizes of the measurements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Params {
    /// Spawns and appends for the floors.
    pub(crate) floor: usize,
    /// Runs of the throughput measurement.
    pub(crate) runs: usize,
    /// Connections they are submitted over.
    pub(crate) connections: usize,
    /// Runs for the latency from submission to start.
    pub(crate) starts: usize,
    /// Shims that are killed.
    pub(crate) kills: usize,
    /// Calls of `proctorctl status`.
    pub(crate) status: usize,
    /// Idle attempts whose memory is measured.
    pub(crate) idle: usize,
    /// Live attempts at the daemon's restart.
    pub(crate) adopt: usize,
    /// Steps of the DAG that is loaded.
    pub(crate) steps: usize,
    /// Times it is loaded.
    pub(crate) loads: usize,
    /// Sub-runs of one parallel step.
    pub(crate) calls: usize,
    /// Runs of the queue that is drained.
    pub(crate) drain: usize,
    /// Queued runs behind which a submission is timed.
    pub(crate) backlog: usize,
    /// How long the idle daemon is watched.
    pub(crate) watch: Duration,
    /// When the whole program gives up.
    pub(crate) limit: Duration,
}

impl Params {
    /// The full sizes with `quick` false, else small ones; `PROCTOR_BENCH_*` overrides each.
    pub(crate) fn read(quick: bool) -> Res<Self> {
        let size = |name: &str, full: usize, small: usize| number(name, if quick { small } else { full });
        let seconds = |name: &str, full: usize, small: usize| {
            let count = size(name, full, small)?;
            Res::Ok(Duration::from_secs(u64::try_from(count)?))
        };
        Ok(Self {
            floor: size("FLOOR", 400, 20)?,
            runs: size("RUNS", 500, 20)?,
            connections: size("CONNECTIONS", 4, 2)?,
            starts: size("STARTS", 200, 5)?,
            kills: size("KILLS", 100, 5)?,
            status: size("STATUS", 100, 5)?,
            idle: size("IDLE", 50, 5)?,
            adopt: size("ADOPT", 1000, 10)?,
            steps: size("STEPS", 10_000, 500)?,
            loads: size("LOADS", 10, 2)?,
            calls: size("CALLS", 1000, 20)?,
            drain: size("DRAIN", 10_000, 50)?,
            backlog: size("BACKLOG", 100_000, 200)?,
            watch: seconds("WATCH_SEC", 2, 1)?,
            limit: seconds("LIMIT_SEC", 900, 120)?,
        })
    }
}

fn number(name: &str, default: usize) -> Res<usize> {
    let name = format!("PROCTOR_BENCH_{name}");
    match env::var(&name) {
        Err(_) => Ok(default),
        Ok(text) => match text.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(format!("{name}={text}: expected a whole number of at least 1").into()),
        },
    }
}
