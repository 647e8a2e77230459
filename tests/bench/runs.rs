//! What concerns runs: how many a second, how soon one starts, how soon a death is seen.

use std::time::{Duration, Instant};

use proctor::model::RunStatus;
use proctor::model::view::RunView;
use proctor::sys::pidfd::PidFd;
use proctor::wire::control::{HistoryFilter, Request, Response};

use crate::client::Client;
use crate::floor::Floors;
use crate::params::Params;
use crate::report::{Figure, Goal, Samples, Unit};
use crate::world::{World, note_cgroup, wait_live};
use crate::{Res, count, micros};

/// A run whose only step ends at once.
pub(crate) const SHORT: &str = "name: short\nsteps:\n  - name: one\n    command: /bin/true\n";
/// A run whose only step does not end.
pub(crate) const LONG: &str = "name: long\nsteps:\n  - name: one\n    command: /bin/sleep 100000\n";

/// One run whose shim is killed, so that nothing is measured that happens only the first time.
pub(crate) fn warm_up(world: &World) -> Res<()> {
    let mut client = world.connect()?;
    let run = client.submit(LONG)?;
    let mut view = client.follow(&run)?;
    client.wait_until(&mut view, runs_a_step)?;
    let pid = view.pid.ok_or("a live run has no process id")?;
    note_cgroup(pid);
    PidFd::open(pid)?.send_signal(libc::SIGKILL)?;
    while client.next_change(&mut view)? {}
    Ok(())
}

/// One-step runs a second, from the first submission until the last one has ended.
pub(crate) struct Throughput(f64);

impl Throughput {
    pub(crate) fn measure(world: &World, params: Params) -> Res<Self> {
        let before = succeeded(&mut world.connect()?)?;
        let begin = Instant::now();
        let mut clients = (0..params.connections)
            .map(|_| world.connect())
            .collect::<Res<Vec<_>>>()?;
        std::thread::scope(|scope| {
            let threads: Vec<_> = clients
                .iter_mut()
                .enumerate()
                .map(|(number, client)| {
                    let share = (number..params.runs).step_by(params.connections).count();
                    let submit = move |client: &mut Client| {
                        (0..share).try_for_each(|_| client.submit(SHORT).map(drop))
                    };
                    scope.spawn(move || submit(client).map_err(|error| error.to_string()))
                })
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
        })?;
        let mut client = world.connect()?;
        wait_live(&mut client, |live, _| live == 0)?;
        let wanted = (before + params.runs).min(HISTORY);
        // An end is told a moment before it is in the store.
        while succeeded(&mut client)? < wanted {
            if begin.elapsed() > LIMIT {
                return Err(format!("not all of {} runs succeeded", params.runs).into());
            }
            crate::pause(Duration::from_millis(1));
        }
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Self(count(params.runs) / seconds))
    }

    pub(crate) const fn per_second(&self) -> f64 {
        self.0
    }

    pub(crate) fn figure(&self, floors: Floors, params: Params) -> Figure {
        let label = format!(
            "one-step runs, {} over {} connections",
            params.runs, params.connections
        );
        Figure::new("runs_per_second", label, self.0, Unit::PerSecond)
            .against(floors.parallel, "parallel spawns")
            .goal(Goal::RatioAtLeast(0.25))
    }
}

/// How long the runs of one measurement may take.
const LIMIT: Duration = Duration::from_secs(240);
/// The daemon lists no more ended runs than this at a time.
const HISTORY: usize = 1000;

/// How many runs have succeeded, up to what one list holds.
fn succeeded(client: &mut Client) -> Res<usize> {
    let filter = HistoryFilter {
        statuses: vec![RunStatus::Succeeded],
        limit: u32::try_from(HISTORY)?,
        ..HistoryFilter::default()
    };
    match client.call(&Request::History(filter))? {
        Response::Runs(runs) => Ok(runs.len()),
        other => Err(format!("the answer to history is {other:?}").into()),
    }
}

/// From the submission of a run until a follower sees that its attempt has started.
pub(crate) struct Starts {
    seen: Samples,
    recorded: Samples,
}

impl Starts {
    pub(crate) fn measure(world: &World, params: Params) -> Res<Self> {
        let mut client = world.connect()?;
        let (mut seen, mut recorded) = (Vec::new(), Vec::new());
        for _ in 0..params.starts {
            let begin = Instant::now();
            let wall = proctor::sys::clock::wall_micros();
            let run = client.submit(SHORT)?;
            let mut view = client.follow(&run)?;
            client.wait_until(&mut view, |view| view.started_at.is_some())?;
            seen.push(micros(begin));
            let started = view.started_at.map_or(wall, |at| at.0);
            recorded.push(count(usize::try_from(started - wall).unwrap_or(0)));
            while client.next_change(&mut view)? {}
        }
        Ok(Self {
            seen: Samples::new(seen),
            recorded: Samples::new(recorded),
        })
    }

    pub(crate) fn figures(&self, floors: Floors) -> [Figure; 3] {
        let figure =
            |key, label, value| Figure::new(key, label, value, Unit::Micros).against(floors.serial, "spawn");
        [
            figure("start_p50", "submit -> started, seen, p50", self.seen.median())
                .goal(Goal::AtMost(5000.0)),
            figure(
                "start_p99",
                "submit -> started, seen, p99",
                self.seen.percentile(99),
            ),
            figure(
                "start_recorded_p50",
                "submit -> started, in the journal, p50",
                self.recorded.median(),
            ),
        ]
    }
}

/// From the SIGKILL of a shim until a follower sees the run's end.
pub(crate) struct Deaths(Samples);

impl Deaths {
    pub(crate) fn measure(world: &World, params: Params) -> Res<Self> {
        let mut client = world.connect()?;
        let mut samples = Vec::new();
        for _ in 0..params.kills {
            let run = client.submit(LONG)?;
            let mut view = client.follow(&run)?;
            client.wait_until(&mut view, runs_a_step)?;
            let shim = PidFd::open(view.pid.ok_or("a live run has no process id")?)?;
            let begin = Instant::now();
            shim.send_signal(libc::SIGKILL)?;
            while !view.status.is_terminal() {
                if !client.next_change(&mut view)? {
                    break;
                }
            }
            samples.push(micros(begin));
            if view.status != RunStatus::Failed || view.lost.is_none() {
                return Err(format!("a run whose shim was killed is {}", view.status).into());
            }
            while client.next_change(&mut view)? {}
        }
        Ok(Self(Samples::new(samples)))
    }

    pub(crate) fn figures(&self, floors: Floors) -> [Figure; 2] {
        let figure =
            |key, label, value| Figure::new(key, label, value, Unit::Micros).against(floors.serial, "spawn");
        [
            figure("kill_p50", "kill of a shim -> failed, seen, p50", self.0.median())
                .goal(Goal::AtMost(10_000.0)),
            figure(
                "kill_p99",
                "kill of a shim -> failed, seen, p99",
                self.0.percentile(99),
            ),
        ]
    }
}

fn runs_a_step(view: &RunView) -> bool {
    view.pid.is_some() && view.steps.iter().any(|step| step.pid.is_some())
}

/// Submits runs that do not end, and waits until all their attempts have started.
pub(crate) fn keep_live(world: &World, number: usize) -> Res<()> {
    let mut client = world.connect()?;
    let (live, _) = client.live()?;
    for _ in live..number {
        client.submit(LONG)?;
    }
    wait_live(&mut client, |live, started| live >= number && started >= number)?;
    // The steps of the last ones are still being started.
    crate::pause(Duration::from_millis(300));
    Ok(())
}
