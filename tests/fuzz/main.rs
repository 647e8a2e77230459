//! The properties that `tests/fuzz/run` checks while it fuzzes, checked here for the seeds and for simple changes of them, so
//! that they hold, and compile, in every run of the tests.
//!
//! `PROCTOR_FUZZ_ROUNDS=n` sets the number of changed inputs for each property; `PROCTOR_FUZZ_SEED=n` replays one of them.

#[cfg(test)]
mod eval;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod load;
#[cfg(test)]
mod params;
#[cfg(test)]
mod parts;
#[cfg(test)]
#[path = "../sim_scheduler/rng.rs"]
mod rng;
