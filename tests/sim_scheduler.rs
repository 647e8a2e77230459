//! The scheduler engine in a simulated world: a manual clock, a store that can lose what was not committed, shims
//! that die at any time, and a daemon that crashes at every effect. Each history follows from one number.
//!
//! `PROCTOR_SIM_RUNS` sets how many histories are run; `PROCTOR_SIM_SEED` runs one and prints its trace, with
//! `PROCTOR_SIM_CRASH=8,11` one that crashes before its effects 8 and 11 and not at random.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "all of it is a test: what must hold is asserted where it happens"
)]

#[path = "sim_scheduler/actions.rs"]
mod actions;
#[path = "sim_scheduler/again.rs"]
mod again;
#[path = "sim_scheduler/effects.rs"]
mod effects;
#[path = "sim_scheduler/queues.rs"]
mod queues;
#[path = "sim_scheduler/recovery.rs"]
mod recovery;
#[path = "sim_scheduler/report.rs"]
mod report;
#[path = "sim_scheduler/requests.rs"]
mod requests;
#[path = "sim_scheduler/rng.rs"]
mod rng;
#[path = "sim_scheduler/store.rs"]
mod store;
#[path = "sim_scheduler/world.rs"]
mod world;

use report::Report;
use world::{Names, Plan, Trace, World};

/// Histories that are run unless the environment says otherwise.
const RUNS: u64 = 100_000;

/// Says which history failed, also when the engine itself panics.
struct Blame(String);

impl Drop for Blame {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed in {}", self.0);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn history(names: &Names, seed: u64, plan: Plan, trace: Trace) -> Report {
    let crash = match plan {
        Plan::Random => String::new(),
        Plan::CrashAt(first, second) => format!(" PROCTOR_SIM_CRASH={first},{second}"),
    };
    let _blame = Blame(format!("the history of PROCTOR_SIM_SEED={seed}{crash}"));
    let mut world = World::new(names, seed, plan, trace);
    world.storm();
    world.calm();
    world.check_end();
    world.report()
}

#[test]
fn random_histories_keep_every_promise() {
    let names = Names::new();
    if let Some(seed) = number("PROCTOR_SIM_SEED") {
        let crash = std::env::var("PROCTOR_SIM_CRASH").unwrap_or_default();
        let plan = match crash.split_once(',') {
            Some((first, second)) => Plan::CrashAt(first.parse().unwrap(), second.parse().unwrap()),
            None => Plan::Random,
        };
        history(&names, seed, plan, Trace::Print);
        return;
    }
    let mut sum = Report::default();
    let runs = number("PROCTOR_SIM_RUNS").unwrap_or(RUNS);
    for seed in 1..=runs {
        sum.add(&history(&names, seed, Plan::Random, Trace::Off));
    }
    println!("{runs} histories: {sum:?}");
    // A world in which nothing happens would keep every promise, too.
    if runs >= 1000 {
        for (what, count) in sum.counts() {
            assert!(count > 0, "no history had {what}");
        }
    }
}

#[test]
fn a_crash_at_every_effect_and_again_at_every_effect_after_it() {
    let names = Names::new();
    for seed in 1..=6 {
        let total = history(&names, seed, Plan::CrashAt(u64::MAX, u64::MAX), Trace::Off).effects;
        assert!(total > 10, "seed {seed} has only {total} effects");
        for first in 0..total {
            for second in 0..12 {
                history(&names, seed, Plan::CrashAt(first, first + 1 + second), Trace::Off);
            }
        }
    }
}

#[test]
fn a_seed_gives_the_same_trace_again() {
    let names = Names::new();
    for seed in 1..=200 {
        let one = history(&names, seed, Plan::Random, Trace::Hash).trace_hash;
        let two = history(&names, seed, Plan::Random, Trace::Hash).trace_hash;
        assert_eq!(one, two, "seed {seed}");
    }
    let other = history(&names, 201, Plan::Random, Trace::Hash).trace_hash;
    assert_ne!(history(&names, 1, Plan::Random, Trace::Hash).trace_hash, other);
}
