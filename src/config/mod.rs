//! `proctord.toml`: read, validate, explain.
//!
//! Every key has a default, a unit and a meaning, and stands in `etc/proctor/proctord.toml`; a test compares the
//! two. Unknown keys are errors that suggest the key that was meant.

pub mod paths;
pub mod types;

pub use paths::Paths;
pub use types::Config;
