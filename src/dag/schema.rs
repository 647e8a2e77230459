//! The JSON schema of DAG files, for editors. A test holds it against the keys that the loader knows.

/// The schema (draft 2020-12), as text. It describes one document of a DAG file. What needs more than one place to
/// be judged (names that are unique, dependencies that exist, cycles) only the loader can tell. A key with nothing behind
/// it is refused, although to the loader it is the same as no key: in an editor it is one that is still being written.
pub const SCHEMA: &str = include_str!("schema.json");
