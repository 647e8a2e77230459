//! Schedules in a simulated world: many DAGs with random schedules and policies, a clock that is set forward and back, a
//! store that refuses, people who hold DAGs back, and a daemon that crashes at every effect. What is decided is checked
//! against a reference that knows the rules and nothing of the engine. Each history follows from one number.
//!
//! A fiftieth of `PROCTOR_SIM_RUNS` sets how many histories are run; `PROCTOR_SIM_SEED` runs one and prints its trace, with
//! `PROCTOR_SIM_CRASH` one that crashes before its effect of that number and not at random.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "all of it is a test: what must hold is asserted where it happens"
)]

#[path = "sim_plan/actions.rs"]
mod actions;
#[path = "sim_plan/dags.rs"]
mod dags;
#[path = "sim_plan/edits.rs"]
mod edits;
#[path = "sim_plan/effects.rs"]
mod effects;
#[path = "sim_plan/reference.rs"]
mod reference;
#[path = "sim_plan/rest.rs"]
mod rest;
#[path = "sim_scheduler/rng.rs"]
mod rng;
#[path = "sim_plan/store.rs"]
mod store;
#[path = "sim_plan/timetable.rs"]
mod timetable;
#[path = "sim_plan/world.rs"]
mod world;
#[path = "sim_plan/year.rs"]
mod year;

use world::{Report, World};

/// Histories that are run unless the environment says otherwise. Each is long.
const RUNS: u64 = if cfg!(debug_assertions) { 400 } else { 1_000 };

/// Says which history failed, also when the engine itself panics.
struct Blame(u64, Option<u64>);

impl Drop for Blame {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let crash = self.1.map(|at| format!(" PROCTOR_SIM_CRASH={at}"));
            let crash = crash.unwrap_or_default();
            eprintln!("failed in the history of PROCTOR_SIM_SEED={}{crash}", self.0);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn history(seed: u64, crash_at: Option<u64>, print: bool) -> Report {
    let _blame = Blame(seed, crash_at);
    let mut world = World::new(seed, crash_at, print);
    world.storm();
    world.calm();
    world.report
}

#[test]
fn random_histories_keep_every_promise() {
    if let Some(seed) = number("PROCTOR_SIM_SEED") {
        history(seed, number("PROCTOR_SIM_CRASH"), true);
        return;
    }
    let mut sum = Report::default();
    // Fewer than the other simulations run: these histories are longer.
    let runs = number("PROCTOR_SIM_RUNS").map_or(RUNS, |runs| runs.div_ceil(50));
    for seed in 1..=runs {
        sum.add(&history(seed, None, false));
    }
    println!("{runs} histories: {sum:?}");
    // A world in which nothing happens would keep every promise, too.
    if runs >= 400 {
        for (what, count) in sum.counts() {
            assert!(count > 0, "no history had {what}");
        }
    }
}

#[test]
fn a_crash_at_every_effect() {
    for seed in 1..=2 {
        let total = history(seed, Some(u64::MAX), false).effects;
        assert!(total > 100, "seed {seed} has only {total} effects");
        // An unoptimised build has less to do.
        let step = if cfg!(debug_assertions) { 7 } else { 1 };
        for at in (0..total).step_by(step) {
            history(seed, Some(at), false);
        }
    }
}
