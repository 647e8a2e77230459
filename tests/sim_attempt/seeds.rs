//! One seed after the other.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs every history of a test, or the one that is asked for, and names the seed of one that fails.
pub(crate) fn histories(count: u64, one: impl Fn(u64)) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect("a number"))
    };
    let seeds = match number("PROCTOR_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PROCTOR_SIM_RUNS").unwrap_or(count),
    };
    for seed in seeds {
        if let Err(failure) = catch_unwind(AssertUnwindSafe(|| one(seed))) {
            eprintln!("replay it with PROCTOR_SIM_SEED={seed}");
            resume_unwind(failure);
        }
    }
}
