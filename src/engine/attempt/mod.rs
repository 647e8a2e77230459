//! The engine of one attempt, in the shim: the step graph, preconditions, continue-on, retries and repeats,
//! time limits, handlers and the stop ladder (seed-spec 3.4, 7.5 to 7.11).

pub mod api;

pub use api::{Effect, Event, NodeKey, Prepared, Resume, Timer, TryEnd};
