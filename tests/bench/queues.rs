//! Queues: how fast a long one drains, and what a submission costs behind a very long one.

use std::time::Instant;

use proctor::model::GroupName;
use proctor::wire::control::{Request, Response};
use proctor::wire::manage::QueueView;

use crate::client::Client;
use crate::params::Params;
use crate::report::{Figure, Goal, Samples, Unit};
use crate::world::World;
use crate::{Res, count, micros, pause};

/// A run of the queue that is measured. Its limit is the configuration's: none.
const QUEUED: &str = "name: queued\nqueue: bench\nsteps:\n  - name: one\n    command: /bin/true\n";
/// Submissions that are timed one by one at each end of the very long queue.
const SAMPLES: usize = 200;

/// Runs a second while a queue drains that was filled before.
pub(crate) struct Drain(f64);

impl Drain {
    pub(crate) fn measure(world: &World, params: Params) -> Res<Self> {
        let mut client = world.connect()?;
        pause_queue(&mut client, true)?;
        submit(world, params.drain, params.connections)?;
        let begin = Instant::now();
        pause_queue(&mut client, false)?;
        loop {
            let queue = state(&mut client)?;
            if queue.is_none_or(|queue| queue.queued == 0 && queue.live == 0) {
                break;
            }
            // Seldom: an answer looks at everything that waits, and what is measured is the draining.
            pause(std::time::Duration::from_millis(100));
        }
        Ok(Self(count(params.drain) / begin.elapsed().as_secs_f64()))
    }

    pub(crate) fn figure(&self, direct: f64, params: Params) -> Figure {
        let label = format!("a queue of {} one-step runs drains", params.drain);
        Figure::new("drain_per_second", label, self.0, Unit::PerSecond)
            .against(direct, "submitted ones")
            .goal(Goal::RatioAtLeast(0.9))
    }
}

/// What a submission costs with nothing before it in the queue, and with very much.
pub(crate) struct Backlog {
    short: Samples,
    long: Samples,
    memory: f64,
}

impl Backlog {
    pub(crate) fn measure(world: &World, params: Params) -> Res<Self> {
        let mut client = world.connect()?;
        pause_queue(&mut client, true)?;
        let timed = |client: &mut Client| -> Res<Samples> {
            let mut samples = Vec::new();
            for _ in 0..SAMPLES.min(params.backlog) {
                let begin = Instant::now();
                client.submit(QUEUED)?;
                samples.push(micros(begin));
            }
            Ok(Samples::new(samples))
        };
        let short = timed(&mut client)?;
        let before = crate::rest::private_kilobytes(world.daemon_pid())?;
        submit(world, params.backlog, params.connections)?;
        let after = crate::rest::private_kilobytes(world.daemon_pid())?;
        let long = timed(&mut client)?;
        Ok(Self {
            short,
            long,
            memory: (after - before) / count(params.backlog),
        })
    }

    pub(crate) fn figures(&self, params: Params) -> [Figure; 3] {
        let behind = params.backlog;
        [
            Figure::new(
                "enqueue_p50",
                "submission to a paused queue, p50",
                self.short.median(),
                Unit::Micros,
            ),
            Figure::new(
                "enqueue_long_p50",
                format!("the same behind {behind} queued runs, p50"),
                self.long.median(),
                Unit::Micros,
            )
            .against(self.short.median(), "an empty queue")
            .goal(Goal::AtMost(self.short.median() * 1.5)),
            Figure::new(
                "queued_memory",
                "memory of the daemon for a queued run",
                self.memory,
                Unit::Kilobytes,
            ),
        ]
    }
}

fn queue_name() -> Res<GroupName> {
    Ok(GroupName::new("bench")?)
}

fn pause_queue(client: &mut Client, on: bool) -> Res<()> {
    let queue = queue_name()?;
    match client.call(&Request::PauseQueue { queue, on })? {
        Response::Queues(_) => Ok(()),
        other => Err(format!("the answer to pausing a queue is {other:?}").into()),
    }
}

/// The queue; none if nothing is in it.
fn state(client: &mut Client) -> Res<Option<QueueView>> {
    let name = queue_name()?;
    match client.call(&Request::Queues)? {
        Response::Queues(queues) => Ok(queues.into_iter().find(|queue| queue.queue == name)),
        other => Err(format!("the answer to queues is {other:?}").into()),
    }
}

/// Submits so many runs over so many connections.
fn submit(world: &World, runs: usize, connections: usize) -> Res<()> {
    let mut clients = (0..connections)
        .map(|_| world.connect())
        .collect::<Res<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(number, client)| {
                let share = (number..runs).step_by(connections).count();
                let all =
                    move |client: &mut Client| (0..share).try_for_each(|_| client.submit(QUEUED).map(drop));
                scope.spawn(move || all(client).map_err(|error| error.to_string()))
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    Ok(())
}
