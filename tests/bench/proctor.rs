//! The benchmark: `cargo bench` prints each figure beside a floor of the machine that is measured in the same run,
//! then one line of JSON.
//!
//! It starts a private daemon below cargo's target directory and leaves nothing behind: no process, no file, no
//! cgroup, also when it is interrupted or its time is over. Sizes come from `PROCTOR_BENCH_*` (`params`); without
//! cargo's `--bench`, as under `cargo test --benches`, they are small, for then it only shows that it works.

mod client;
mod floor;
mod language;
mod params;
mod queues;
mod report;
mod rest;
mod runs;
mod world;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use floor::Floors;
use language::{Calls, Loading};
use params::Params;
use queues::{Backlog, Drain};
use report::{Figure, Unit};
use rest::{Adoption, Journal, Memory, Status};
use runs::{Deaths, Starts, Throughput};
use world::World;

/// What any part of the benchmark comes to.
type Res<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let quick = !std::env::args().any(|arg| arg == "--bench");
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("b{}", std::process::id()));
    match Params::read(quick).and_then(|params| bench(root, params)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("the benchmark failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn bench(root: PathBuf, params: Params) -> Res<()> {
    watch_over(root.clone(), params.limit)?;
    let mut world = World::new(root)?;
    let mut figures = Vec::new();

    say("floors");
    let before = Floors::measure(world.root(), params.floor)?;
    let journal = Journal::measure(world.root(), params)?;

    say("a large DAG");
    let loading = Loading::measure(params)?;

    world.start()?;
    runs::warm_up(&world)?;
    say("one-step runs");
    let throughput = Throughput::measure(&world, params)?;
    say("a queue");
    let drain = Drain::measure(&world, params)?;
    say("sub-runs");
    let calls = Calls::measure(&world, params)?;
    say("submit -> started");
    let starts = Starts::measure(&world, params)?;
    say("kill of a shim -> failed");
    let deaths = Deaths::measure(&world, params)?;
    say("proctorctl status");
    let status = Status::measure(&world, "short", params)?;
    say("floors once more");
    let floors = before.mean(Floors::measure(world.root(), params.floor)?);

    say("idle attempts");
    let idle_none = rest::idle_cpu(&world, params)?;
    world.raze()?;
    world.start()?;
    let memory = Memory::measure(&world, params)?;
    let idle_some = rest::idle_cpu(&world, params)?;
    say("adoption");
    let adoption = Adoption::measure(&mut world, params)?;
    say("a very long queue");
    world.raze()?;
    world.start()?;
    let backlog = Backlog::measure(&world, params)?;
    drop(world);

    figures.push(Figure::new(
        "spawn",
        "floor: spawn, exec, wait",
        floors.serial,
        Unit::Micros,
    ));
    let label = "the same of /bin/true, which is linked dynamically";
    figures
        .push(Figure::new("spawn_true", label, floors.dynamic, Unit::Micros).against(floors.serial, "spawn"));
    figures.push(Figure::new(
        "parallel_spawns",
        "floor: the same from 2 threads",
        floors.parallel,
        Unit::PerSecond,
    ));
    figures.push(Figure::new(
        "append",
        "floor: append, fdatasync",
        floors.append,
        Unit::Micros,
    ));
    figures.push(throughput.figure(floors, params));
    figures.push(drain.figure(throughput.per_second(), params));
    figures.extend(backlog.figures(params));
    figures.push(calls.figure(floors, params));
    figures.extend(loading.figures(params));
    figures.extend(starts.figures(floors));
    figures.extend(deaths.figures(floors));
    figures.extend(status.figures(floors));
    figures.extend(memory.figures(params));
    figures.extend(adoption.figures(floors, params));
    figures.push(journal.figure(floors));
    figures.push(rest::cpu_figure("cpu_no_attempts", 0, idle_none));
    figures.push(rest::cpu_figure("cpu_idle_attempts", params.idle, idle_some));
    report::print(&figures)?;
    Ok(())
}

/// Ends everything when the time is over or somebody interrupts.
fn watch_over(root: PathBuf, limit: Duration) -> Res<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    std::thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || {
            let begin = Instant::now();
            while begin.elapsed() < limit && !interrupted.load(Ordering::Relaxed) {
                pause(Duration::from_millis(200));
            }
            let interrupted = interrupted.load(Ordering::Relaxed);
            say(if interrupted {
                "interrupted"
            } else {
                "the time is over"
            });
            world::sweep(&root);
            leave();
        })?;
    Ok(())
}

#[expect(clippy::exit, reason = "the measuring thread waits for what was just killed")]
fn leave() -> ! {
    std::process::exit(1)
}

/// Tells on standard error how far it is; standard output is for the result.
fn say(text: &str) {
    // A reader that is gone does not want to know.
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Lets time pass.
fn pause(time: Duration) {
    let begin = Instant::now();
    while let Some(left) = time.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// Microseconds since then.
fn micros(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e6
}

/// A number for calculations; none here is so large that it would be rounded.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn count(number: usize) -> f64 {
    number as f64
}
