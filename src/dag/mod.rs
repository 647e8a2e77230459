//! YAML to a validated DAG; errors with file, line and column.
//!
//! Loading executes nothing and reads nothing but the text it is given (W28). What depends on the moment of
//! execution (variables, command substitution, outputs) is evaluated by `eval` in the shim, at every try (W38).

pub mod cron;
pub mod diag;
pub mod eval;
pub mod graph;
pub mod load;
pub mod params;
pub mod pattern;
pub mod project;
pub mod scheduling;
pub mod schema;
pub mod types;
pub mod words;
mod yaml;

pub use diag::{Diagnostic, Severity, render};
pub use load::{BaseConfig, LoadOptions, Loaded, Source, load, name_of, schema_files, schema_places};
pub use params::{ParamInput, ResolvedParams};
pub use project::project;
pub use types::{Dag, Step};
