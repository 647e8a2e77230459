//! The engine of the daemon: admission, queue order, group capacity, launch, adoption, loss, stop and retry.

pub mod api;

pub use api::{Effect, Event, Refusal, Token};
