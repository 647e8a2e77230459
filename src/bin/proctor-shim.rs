//! The `proctor-shim` binary.
fn main() {}
