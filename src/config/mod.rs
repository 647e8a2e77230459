//! `proctord.toml`: read, validate, explain.
//!
//! Owns the keys, their defaults and ranges, and what a reload may change. It looks at the file and nothing else:
//! it makes no directory, resolves no user and starts nothing. Unknown keys are errors that suggest the key that
//! was meant, and all errors of a file are reported at once, each with its place and its cure.
//!
//! Every key stands in `etc/proctor/proctord.toml` with default, unit and meaning; a test compares the two.

mod check;
mod error;
pub mod hooks;
pub mod keys;
mod limits;
mod load;
mod log;
pub mod metrics;
pub mod paths;
mod reader;
mod reload;
#[cfg(test)]
mod tests;
pub mod types;
mod value;

pub use check::Warning;
pub use error::{ConfigError, Problem};
pub use hooks::{Hook, Hooks};
pub use metrics::Metrics;
pub use paths::Paths;
pub use reload::Reload;
pub use types::Config;
