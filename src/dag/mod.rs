//! YAML to a validated DAG; errors with file, line and column.
//!
//! Loading executes nothing and reads nothing but the text it is given (W28). What depends on the moment of
//! execution (variables, command substitution, outputs) is evaluated by [`eval`] in the shim, at every try (W38).

pub mod eval;
pub mod types;

pub use types::{Dag, Step};
