//! Proctor: a Linux daemon that runs DAG jobs and always knows, exactly and at once, which attempts are alive.
//!
//! The library holds everything; the three binaries are a few lines each. Modules stand on floors, and a
//! module may use only what is on a floor above it in the list of `tests/architecture.rs`.

pub mod config;
pub mod ctl;
pub mod daemon;
pub mod dag;
pub mod engine;
pub mod journal;
pub mod model;
pub mod proc;
pub mod shim;
pub mod store;
pub mod sys;
pub mod telemetry;
pub mod wire;
